//! All jobs of one server, and the only place where events get their numbers.
//!
//! The invariant: a number is taken and its event appended in one critical section,
//! so whoever reads [`Hub::published`] finds every event up to it in its job's ring.

mod config;
mod error;
pub mod job;
pub mod mailbox;
mod numbers;
mod room;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, RwLock};

use crate::event::Event;
use crate::event::job::{EventId, JobId, JobState, Sequence};
use crate::sequencer::journal::Journal;
use crate::sys::metrics::Metrics;
pub use config::HubConfig;
pub use error::PublishError;
pub use job::{Job, Journaled, Snapshot};
pub use mailbox::{Mailbox, Owner};
use numbers::Graves;
pub use numbers::Numbers;
use room::Ended;

/// A shard's number is a bit of a mask.
pub const SHARDS_MAX: usize = 64;

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
            graves: Mutex::new(Graves::above(base)),
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
            let there = self.find(id);
            let is_new = there.is_none();
            let job = there.unwrap_or_else(|| {
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
                Ok(Some(_)) => return true,
                Err(_) => {
                    if is_new {
                        // Its numbers were given all the same.
                        self.take_back(&job);
                        self.remember(id, numbers);
                    }
                    return false;
                }
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

    /// Calls `each` with every job that has an event after `after`.
    pub fn jobs_after(&self, after: Sequence, mut each: impl FnMut(&Arc<Job>)) {
        let jobs = self.0.jobs.read();
        jobs.values()
            .filter(|job| job.newest_sequence() > after)
            .for_each(&mut each);
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
}

/// A hub that ends when nobody else has it.
pub(crate) struct WeakHub(std::sync::Weak<Inner>);

impl WeakHub {
    /// The hub, if it is still there.
    pub fn upgrade(&self) -> Option<Hub> {
        self.0.upgrade().map(Hub)
    }
}

fn each_bit(mut mask: u64, mut each: impl FnMut(usize)) {
    while mask != 0 {
        each(mask.trailing_zeros() as usize);
        mask &= mask - 1;
    }
}
