//! All jobs of one server, and the only place where events get their numbers.
//!
//! The invariant: a number is taken and its event appended in one critical section,
//! so whoever reads [`Hub::published`] finds every event up to it in its job's ring.

pub mod job;
pub mod mailbox;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, RwLock};

use crate::event::Event;
use crate::job::{EventId, JobId, JobState, Sequence};
use crate::journal::{Journal, NUMBER_MAX, Origin};
use crate::metrics::Metrics;
use crate::ring::RingLimits;
pub use job::{Job, Journaled, Snapshot};
pub use mailbox::{Mailbox, Owner};

/// How many forgotten jobs' last ids are remembered one by one. Beyond them the
/// oldest are folded into one floor for all: ids then skip numbers and still never
/// repeat.
const GRAVES_MAX: usize = 10_000;
/// A shard's number is a bit of a mask.
pub const SHARDS_MAX: usize = 64;

/// What a hub keeps, and how much of it.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// What each job's ring keeps for replay. Default: 256 events, 64 KiB.
    pub ring: RingLimits,
    /// Memory of all rings together, in bytes. Default: 64 MiB. When it is reached,
    /// finished jobs are forgotten, oldest first; when only running ones are left,
    /// an event for a new job is refused.
    pub memory_bytes: usize,
    /// The most jobs. Default: 20,000. At it the same happens as at `memory_bytes`.
    pub jobs: usize,
    /// The largest `data` of an event, in bytes. Default: 64 KiB.
    pub event_bytes: usize,
    /// A running job without an event for so long counts as finished when room is
    /// needed: its worker is gone. Default: 24 hours.
    pub abandoned_after: Duration,
}

impl Default for HubConfig {
    fn default() -> HubConfig {
        HubConfig {
            ring: RingLimits {
                events: 256,
                bytes: 64 * 1024,
            },
            memory_bytes: 64 * 1024 * 1024,
            jobs: 20_000,
            event_bytes: 64 * 1024,
            abandoned_after: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// The jobs, their events and who follows them. Cloning it is cheap and gives another
/// handle to the same hub.
///
/// ```
/// use landfall::{Event, Hub, HubConfig};
/// let hub = Hub::new(HubConfig::default());
/// let job = "job_8f3a".parse().unwrap();
/// let first = hub.publish(&job, Event::progress("scanning", 30.0)).unwrap();
/// let second = hub.publish(&job, Event::done()).unwrap();
/// assert!(second > first);
/// // `done` ends a job: nothing follows it.
/// assert!(hub.publish(&job, Event::done()).is_err());
/// ```
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    config: HubConfig,
    metrics: Arc<Metrics>,
    jobs: RwLock<HashMap<JobId, Arc<Job>>>,
    /// Where accepted events are kept on disk.
    journal: OnceLock<Journal>,
    /// Jobs that have ended, the first to be forgotten in front.
    ended: Mutex<Ended>,
    graves: Mutex<Graves>,
    /// The id before the first of a new job, and the number before the first event.
    base: u64,
    /// The last number taken. Its lock is held while an event is appended.
    order: Mutex<u64>,
    /// The last number whose event is in its ring.
    published: AtomicU64,
    /// Numbers that may have been given, and are lost with the power.
    lost: Mutex<Vec<Range<u64>>>,
    /// The newest number of any job that was forgotten.
    forgotten: AtomicU64,
    ring_bytes: AtomicUsize,
    mailboxes: RwLock<Vec<Arc<Mailbox>>>,
    /// The shards that follow every job there is, as bits.
    followers_of_all: AtomicU64,
}

/// Jobs that have ended, in the order in which they did.
#[derive(Default)]
struct Ended {
    all: VecDeque<Arc<Job>>,
    /// Of those that are in the journal, the ones whose rings are whole.
    untrimmed: VecDeque<Arc<Job>>,
}

/// The last numbers of forgotten jobs, so that a job of the same name goes on above
/// them, and its streams know what is gone.
struct Graves {
    last: HashMap<JobId, Numbers>,
    by_age: VecDeque<JobId>,
    floor: Numbers,
}

/// An event's numbers, where it has them already: from a journal, or another hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Its id on its job's stream.
    pub id: EventId,
    /// Its id on consolidated streams.
    pub sequence: Sequence,
}

impl Numbers {
    /// The higher one of each number.
    fn max(self, other: Numbers) -> Numbers {
        Numbers {
            id: self.id.max(other.id),
            sequence: self.sequence.max(other.sequence),
        }
    }
}

/// Why an event is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// The job has ended.
    Ended(JobState),
    /// The hub has no room for another job, and all that it has are running.
    Full,
    /// The data is larger than so many bytes.
    TooLarge {
        /// The most bytes of data.
        max_bytes: usize,
    },
    /// Given numbers don't lie above the ones that the job or the hub has.
    NotAbove,
    /// The journal has no room: the disk is full, or the journal's limit is reached.
    DiskFull,
    /// The journal can't be written.
    DiskFailing,
    /// The very job that it was meant for has been forgotten.
    Forgotten,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::Ended(state) => write!(
                f,
                "the job has ended with {}: publish to a new job, or delete this one first",
                state.as_str()
            ),
            PublishError::Full => f.write_str(
                "there is no room for another job and all jobs are running: try again later, \
                 or raise --max-jobs or --memory",
            ),
            PublishError::TooLarge { max_bytes } => {
                write!(
                    f,
                    "the event's data is too large: at most {max_bytes} bytes"
                )
            }
            PublishError::NotAbove => f.write_str("the event's numbers have been given already"),
            PublishError::DiskFull => f.write_str(
                "there is no room on disk for the event: make room, or raise --journal-bytes, \
                 and publish it again; streams go on meanwhile",
            ),
            PublishError::DiskFailing => f.write_str(
                "the event can't be written to disk, see the server's log: publish it again \
                 later; streams go on meanwhile",
            ),
            PublishError::Forgotten => f.write_str("the job has been forgotten"),
        }
    }
}

impl std::error::Error for PublishError {}

impl Hub {
    /// A hub that keeps nothing on disk. Its ids start from the clock, in
    /// microseconds, so that one from an earlier life is recognisably old.
    pub fn new(config: HubConfig) -> Hub {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Hub::with_base(config, now.as_micros() as u64)
    }

    /// A hub whose first id is the one after `base`.
    pub fn with_base(config: HubConfig, base: u64) -> Hub {
        Hub(Arc::new(Inner {
            config,
            metrics: Arc::default(),
            jobs: RwLock::default(),
            journal: OnceLock::new(),
            ended: Mutex::default(),
            graves: Mutex::new(Graves {
                last: HashMap::new(),
                by_age: VecDeque::new(),
                floor: Numbers {
                    id: EventId(base),
                    sequence: Sequence(0),
                },
            }),
            base,
            order: Mutex::new(base),
            published: AtomicU64::new(base),
            lost: Mutex::default(),
            forgotten: AtomicU64::new(0),
            ring_bytes: AtomicUsize::new(0),
            mailboxes: RwLock::default(),
            followers_of_all: AtomicU64::new(0),
        }))
    }

    /// Publishes one event and returns its id. Never blocks on a subscriber. With a
    /// journal it blocks, or suspends its coroutine, until the journal has the event.
    ///
    /// # Errors
    /// See [`PublishError`]. A refused event leaves no trace.
    pub fn publish(&self, job: &JobId, event: Event) -> Result<EventId, PublishError> {
        match self.journal() {
            None => self.take(job, &event, None, true),
            Some(journal) => {
                let (ids, error) = journal.publish(vec![(job.clone(), event)]);
                error.map_or_else(|| Ok(ids[0]), Err)
            }
        }
    }

    /// Publishes one event to this very job, and never to one of the same name that came
    /// after it: what an old attempt still says isn't news of the new one.
    ///
    /// # Errors
    /// As [`Hub::publish`], and [`PublishError::Forgotten`].
    pub fn publish_to(&self, job: &Arc<Job>, event: Event) -> Result<EventId, PublishError> {
        if let Some(journal) = self.journal() {
            return journal.publish_to(job, event);
        }
        self.check_size(&event)?;
        let id = self.append(job, &event, None, SystemTime::now(), None, true)?;
        id.ok_or(PublishError::Forgotten)
    }

    /// Publishes events in turn, up to the first that is refused. With a journal that is
    /// one write, and it blocks as [`Hub::publish`] does. Returns the ids of those that
    /// were accepted, and why the next one wasn't.
    pub fn publish_all(&self, events: Vec<(JobId, Event)>) -> (Vec<EventId>, Option<PublishError>) {
        if let Some(journal) = self.journal() {
            return journal.publish(events);
        }
        let mut ids = Vec::with_capacity(events.len());
        for (job, event) in events {
            match self.accept(&job, &event, None) {
                Ok(id) => ids.push(id),
                Err(error) => return (ids, Some(error)),
            }
        }
        (ids, None)
    }

    /// The one way in for events that no journal has numbered, with the numbers they
    /// have or with new ones.
    ///
    /// # Errors
    /// As [`Hub::publish`].
    pub fn accept(
        &self,
        id: &JobId,
        event: &Event,
        numbers: Option<Numbers>,
    ) -> Result<EventId, PublishError> {
        self.take(id, event, numbers, false)
    }

    /// The same. An event that `is_alone` has no others right behind it.
    fn take(
        &self,
        id: &JobId,
        event: &Event,
        numbers: Option<Numbers>,
        is_alone: bool,
    ) -> Result<EventId, PublishError> {
        self.check_size(event)?;
        let now = SystemTime::now();
        loop {
            let job = self.open(id).ok_or(PublishError::Full)?;
            // Without an id, the job was deleted between the look-up and the lock.
            if let Some(id) = self.append(&job, event, numbers, now, None, is_alone)? {
                return Ok(id);
            }
        }
    }

    /// Takes an event that the journal has. False for one that is here already.
    pub(crate) fn restore(
        &self,
        id: &JobId,
        event: &Event,
        numbers: Numbers,
        now: SystemTime,
        journaled: Journaled,
        is_alone: bool,
    ) -> bool {
        let origin = journaled.origin;
        loop {
            let job = self.find(id).unwrap_or_else(|| {
                let previous = EventId(journaled.previous);
                let sequence = match origin {
                    Some(origin) if origin.base == previous.0 => {
                        self.0.graves.lock().last_of(id).sequence
                    }
                    // The event before it is gone; that it came right before is the most.
                    _ => Sequence(numbers.sequence.0 - 1),
                };
                let last = Numbers {
                    id: previous,
                    sequence,
                };
                self.go_on(id, origin, last, now)
            });
            match self.append(&job, event, Some(numbers), now, Some(journaled), is_alone) {
                Ok(None) => {}
                taken => return taken.is_ok(),
            }
        }
    }

    pub(crate) fn check_size(&self, event: &Event) -> Result<(), PublishError> {
        let max_bytes = self.0.config.event_bytes;
        match event.data().len() > max_bytes {
            true => Err(PublishError::TooLarge { max_bytes }),
            false => Ok(()),
        }
    }

    /// Numbers an event, unless it has its numbers, and appends it. None where the job
    /// has been forgotten meanwhile. One that `is_alone` is delivered at once: for one of
    /// many, shards do better to gather what comes.
    fn append(
        &self,
        job: &Arc<Job>,
        event: &Event,
        numbers: Option<Numbers>,
        now: SystemTime,
        journaled: Option<Journaled>,
        is_alone: bool,
    ) -> Result<Option<EventId>, PublishError> {
        let hub = &*self.0;
        let mailboxes = hub.mailboxes.read_recursive();
        let mut core = job.lock();
        if core.is_forgotten() {
            return Ok(None);
        }
        if let Some(state) = core.ended() {
            return Err(PublishError::Ended(state));
        }
        let mut order = hub.order.lock();
        let numbers = numbers.unwrap_or(Numbers {
            id: EventId(core.newest_given() + 1),
            sequence: Sequence(*order + 1),
        });
        if numbers.id.0 <= core.newest_id() || numbers.sequence.0 <= *order {
            return Err(PublishError::NotAbove);
        }
        *order = numbers.sequence.0;
        let growth = core.append(job.id(), event, numbers, hub.config.ring, now, journaled);
        job.set_newest_sequence(numbers.sequence);
        hub.published.store(numbers.sequence.0, Ordering::Release);
        drop(order);

        hub.ring_bytes.fetch_add(growth.added, Ordering::Relaxed);
        hub.ring_bytes.fetch_sub(growth.freed, Ordering::Relaxed);
        let mut to_wake = core.post_dirty(&mailboxes);
        let has_ended = core.ended().is_some();
        drop(core);

        let of_all = hub.followers_of_all.load(Ordering::Acquire);
        each_bit(of_all, |shard| mailboxes[shard].post_any());
        to_wake |= of_all;
        each_bit(to_wake, |shard| match is_alone {
            true => mailboxes[shard].deliver(),
            false => mailboxes[shard].wake(),
        });

        hub.metrics.events_published.add(1);
        if has_ended {
            let mut ended = hub.ended.lock();
            if journaled.is_some() {
                ended.untrimmed.push_back(job.clone());
            }
            ended.all.push_back(job.clone());
        }
        Ok(Some(numbers.id))
    }

    /// What a job has come to. None for one that hasn't begun.
    pub fn snapshot(&self, id: &JobId) -> Option<Snapshot> {
        Some(self.find(id)?.snapshot())
    }

    /// Every job's snapshot, in the order of their names.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        let mut jobs: Vec<_> = self.0.jobs.read().values().cloned().collect();
        jobs.sort_by(|a, b| a.id().cmp(b.id()));
        jobs.iter().map(|job| job.snapshot()).collect()
    }

    /// Forgets a job; its streams end. False where there is none. With a journal it
    /// blocks as [`Hub::publish`] does.
    pub fn forget(&self, id: &JobId) -> bool {
        self.delete(id).unwrap_or(true)
    }

    /// The same, and says where the journal couldn't be told: the job is forgotten all
    /// the same, but may be there again after a restart.
    ///
    /// # Errors
    /// [`PublishError::DiskFull`] and [`PublishError::DiskFailing`].
    pub fn delete(&self, id: &JobId) -> Result<bool, PublishError> {
        match self.journal() {
            Some(journal) => journal.forget(id),
            None => Ok(self.forget_now(id).is_some()),
        }
    }

    /// Forgets a job of which the journal needn't be told. Returns its last numbers.
    pub(crate) fn forget_now(&self, id: &JobId) -> Option<Numbers> {
        let mailboxes = self.0.mailboxes.read_recursive();
        let mut jobs = self.0.jobs.write();
        let job = jobs.remove(id)?;
        let (to_wake, last) = self.bury(&job, &mailboxes);
        drop(jobs);
        self.no_longer_ended(&job);
        each_bit(to_wake, |shard| mailboxes[shard].wake());
        Some(last)
    }

    /// The metrics of this hub and of the server around it.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// The memory that all rings hold, in bytes.
    pub fn ring_bytes(&self) -> usize {
        self.0.ring_bytes.load(Ordering::Relaxed)
    }

    /// How many jobs are in each state: running, done, failed.
    pub fn jobs_by_state(&self) -> [(JobState, usize); 3] {
        let mut counts = [
            (JobState::Running, 0),
            (JobState::Done, 0),
            (JobState::Failed, 0),
        ];
        for job in self.0.jobs.read().values() {
            let state = job.state();
            counts
                .iter_mut()
                .filter(|(s, _)| *s == state)
                .for_each(|(_, n)| *n += 1);
        }
        counts
    }

    /// The configuration.
    pub fn config(&self) -> &HubConfig {
        &self.0.config
    }

    /// The job of that name, if it has begun.
    pub fn find(&self, id: &JobId) -> Option<Arc<Job>> {
        self.0.jobs.read().get(id).cloned()
    }

    /// The job of that name; it begins now if it hasn't. None where there is no room.
    pub fn open(&self, id: &JobId) -> Option<Arc<Job>> {
        if let Some(job) = self.find(id) {
            return Some(job);
        }
        while self.is_full() {
            if !self.make_room() {
                return None;
            }
        }
        let mut jobs = self.0.jobs.write();
        let begin = || {
            let last = self.0.graves.lock().last_of(id);
            Arc::new(Job::new(id.clone(), last, SystemTime::now()))
        };
        Some(jobs.entry(id.clone()).or_insert_with(begin).clone())
    }

    /// A job of that name, of which the journal has the events after `last`.
    fn go_on(
        &self,
        id: &JobId,
        origin: Option<Origin>,
        last: Numbers,
        now: SystemTime,
    ) -> Arc<Job> {
        while self.is_full() && self.make_room() {}
        let base = origin.map_or(0, |origin| origin.base);
        let created = origin.map_or(now, |origin| origin.created());
        let begin = || Arc::new(Job::going_on(id.clone(), base, last, created));
        let mut jobs = self.0.jobs.write();
        jobs.entry(id.clone()).or_insert_with(begin).clone()
    }

    /// Forgets a job that a subscriber began, that has no event and no follower.
    pub fn close_if_empty(&self, job: &Arc<Job>) {
        let mut jobs = self.0.jobs.write();
        if job.lock().forget_if_empty() {
            jobs.remove(job.id());
        }
    }

    /// Calls `each` with every job that has an event after `after`.
    pub fn jobs_after(&self, after: Sequence, mut each: impl FnMut(&Arc<Job>)) {
        let jobs = self.0.jobs.read();
        jobs.values()
            .filter(|job| job.newest_sequence() > after)
            .for_each(&mut each);
    }

    /// The number of the newest event; all up to it are in their rings.
    pub fn published(&self) -> Sequence {
        Sequence(self.0.published.load(Ordering::Acquire))
    }

    /// The number before the first that this life of the hub gave.
    pub fn base(&self) -> Sequence {
        Sequence(self.0.base)
    }

    /// The newest number of any job that has been forgotten; zero where none was.
    pub fn newest_forgotten(&self) -> Sequence {
        Sequence(self.0.forgotten.load(Ordering::Acquire))
    }

    /// Whether a number may have been given in an earlier life, and is lost.
    pub fn is_lost(&self, sequence: Sequence) -> bool {
        let lost = self.0.lost.lock();
        lost.iter().any(|numbers| numbers.contains(&sequence.0))
    }

    /// Where accepted events are kept on disk.
    pub fn journal(&self) -> Option<&Journal> {
        self.0.journal.get()
    }

    /// From here on, `journal` has every event before the hub does.
    pub(crate) fn attach(&self, journal: Journal) {
        // A hub that has one keeps it.
        let _ = self.0.journal.set(journal);
    }

    pub(crate) fn downgrade(&self) -> WeakHub {
        WeakHub(Arc::downgrade(&self.0))
    }

    /// The last number taken, or that may have been.
    pub(crate) fn newest_given(&self) -> Sequence {
        Sequence(*self.0.order.lock())
    }

    /// So many numbers, of the hub and of every job there is or was, may have been given
    /// and are lost.
    pub(crate) fn skip(&self, count: u64) {
        let hub = &*self.0;
        // All that are ever skipped are no more than there are numbers.
        let count = count.min(NUMBER_MAX.saturating_sub(*hub.order.lock()));
        if count == 0 {
            return;
        }
        let jobs = hub.jobs.read();
        let mut graves = hub.graves.lock();
        jobs.values().for_each(|job| job.lock().skip(count));
        graves.floor.id.0 += count;
        graves.last.values_mut().for_each(|last| last.id.0 += count);
        let mut order = hub.order.lock();
        hub.lost.lock().push(*order + 1..*order + count);
        *order += count;
    }

    /// Remembers the last numbers of a job that is forgotten and whose events aren't here.
    pub(crate) fn remember(&self, id: &JobId, last: Numbers) {
        self.0.graves.lock().add(id.clone(), last);
        self.reach(last.sequence);
    }

    /// Has new jobs begin above these numbers.
    pub(crate) fn raise_floor(&self, floor: Numbers) {
        let mut graves = self.0.graves.lock();
        graves.floor = graves.floor.max(floor);
        drop(graves);
        self.reach(floor.sequence);
    }

    /// A number has been given to an event that is forgotten.
    fn reach(&self, sequence: Sequence) {
        self.0.forgotten.fetch_max(sequence.0, Ordering::AcqRel);
        let mut order = self.0.order.lock();
        *order = (*order).max(sequence.0);
        self.0.published.fetch_max(sequence.0, Ordering::AcqRel);
    }

    /// The numbers above which jobs begin that aren't remembered by themselves.
    pub(crate) fn floor(&self) -> Numbers {
        self.0.graves.lock().floor
    }

    /// Whether a forgotten job is remembered by itself.
    pub(crate) fn remembers(&self, id: &JobId) -> bool {
        self.0.graves.lock().last.contains_key(id)
    }

    /// The jobs that ended first, `most` at most, and how many have ended in all.
    pub(crate) fn first_ended(&self, most: usize) -> (Vec<Arc<Job>>, usize) {
        let ended = self.0.ended.lock();
        (
            ended.all.iter().take(most).cloned().collect(),
            ended.all.len(),
        )
    }

    /// Adds a shard. Returns its number.
    ///
    /// # Panics
    /// There are [`SHARDS_MAX`] already.
    pub fn register(&self, mailbox: Arc<Mailbox>) -> usize {
        let mut mailboxes = self.0.mailboxes.write();
        assert!(
            mailboxes.len() < SHARDS_MAX,
            "a hub has at most {SHARDS_MAX} shards"
        );
        mailboxes.push(mailbox);
        mailboxes.len() - 1
    }

    /// Whether a shard wants to hear of every job's events.
    pub fn follow_all(&self, shard: usize, follows: bool) {
        let bit = 1 << shard;
        match follows {
            true => self.0.followers_of_all.fetch_or(bit, Ordering::AcqRel),
            false => self.0.followers_of_all.fetch_and(!bit, Ordering::AcqRel),
        };
    }

    fn is_full(&self) -> bool {
        let hub = &*self.0;
        hub.ring_bytes.load(Ordering::Relaxed) >= hub.config.memory_bytes
            || hub.jobs.read().len() >= hub.config.jobs
    }

    /// Forgets what can be spared first: of jobs that have ended the events that the
    /// journal has as well, then jobs. False where there is nothing.
    fn make_room(&self) -> bool {
        let hub = &*self.0;
        let is_short_of_memory = hub.ring_bytes.load(Ordering::Relaxed) >= hub.config.memory_bytes;
        let mut ended = hub.ended.lock();
        if is_short_of_memory && let Some(job) = ended.untrimmed.pop_front() {
            drop(ended);
            let freed = job.lock().trim();
            hub.ring_bytes.fetch_sub(freed, Ordering::Relaxed);
            return true;
        }
        let first = ended.all.pop_front();
        if let (Some(first), Some(untrimmed)) = (&first, ended.untrimmed.front())
            && Arc::ptr_eq(first, untrimmed)
        {
            ended.untrimmed.pop_front();
        }
        drop(ended);
        let Some(job) = first.or_else(|| self.abandoned()) else {
            return false;
        };
        self.let_go(&job);
        true
    }

    /// Forgets a job that has ended long ago. The journal is told, and not waited for.
    pub(crate) fn retire(&self, job: &Arc<Job>) {
        self.let_go(job);
        self.no_longer_ended(job);
    }

    fn no_longer_ended(&self, job: &Arc<Job>) {
        let Ended { all, untrimmed } = &mut *self.0.ended.lock();
        for list in [all, untrimmed] {
            list.retain(|ended| !Arc::ptr_eq(ended, job));
        }
    }

    fn let_go(&self, job: &Arc<Job>) {
        let hub = &*self.0;
        let mailboxes = hub.mailboxes.read_recursive();
        let mut jobs = hub.jobs.write();
        // A new job of the same name may have taken its place.
        if jobs
            .get(job.id())
            .is_some_and(|there| Arc::ptr_eq(there, job))
        {
            jobs.remove(job.id());
            let (to_wake, last) = self.bury(job, &mailboxes);
            drop(jobs);
            if let Some(journal) = self.journal() {
                journal.note_forgotten(job.id(), last);
            }
            each_bit(to_wake, |shard| mailboxes[shard].wake());
        }
    }

    fn abandoned(&self) -> Option<Arc<Job>> {
        let before = SystemTime::now().checked_sub(self.0.config.abandoned_after)?;
        let jobs = self.0.jobs.read();
        jobs.values()
            .find(|job| job.lock().is_silent_since(before))
            .cloned()
    }

    /// What forgetting a job takes, under the lock of `jobs`: a job of the same name
    /// must not begin before this one's last id is remembered. Returns the shards to
    /// wake, as bits, and the last numbers.
    fn bury(&self, job: &Arc<Job>, mailboxes: &[Arc<Mailbox>]) -> (u64, Numbers) {
        let hub = &*self.0;
        let mut core = job.lock();
        let (freed, spans) = core.forget();
        hub.ring_bytes.fetch_sub(freed, Ordering::Relaxed);
        if let Some(journal) = self.journal() {
            journal.release(&spans);
        }
        let last = Numbers {
            id: EventId(core.newest_given()),
            sequence: job.newest_sequence(),
        };
        hub.graves.lock().add(job.id().clone(), last);
        hub.forgotten.fetch_max(last.sequence.0, Ordering::AcqRel);
        (core.post_dirty(mailboxes), last)
    }
}

/// A hub that ends when nobody else has it.
pub(crate) struct WeakHub(std::sync::Weak<Inner>);

impl WeakHub {
    /// The hub, if it is still there.
    pub fn upgrade(&self) -> Option<Hub> {
        self.0.upgrade().map(Hub)
    }
}

impl Graves {
    fn last_of(&self, id: &JobId) -> Numbers {
        self.last
            .get(id)
            .map_or(self.floor, |last| last.max(self.floor))
    }

    fn add(&mut self, id: JobId, last: Numbers) {
        let before = self.last.get(&id).copied();
        if before.is_none() {
            self.by_age.push_back(id.clone());
        }
        self.last
            .insert(id, before.map_or(last, |before| before.max(last)));
        if self.by_age.len() > GRAVES_MAX
            && let Some(oldest) = self.by_age.pop_front()
            && let Some(last) = self.last.remove(&oldest)
        {
            self.floor = last.max(self.floor);
        }
    }
}

fn each_bit(mut mask: u64, mut each: impl FnMut(usize)) {
    while mask != 0 {
        each(mask.trailing_zeros() as usize);
        mask &= mask - 1;
    }
}
