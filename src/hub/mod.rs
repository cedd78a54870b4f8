//! The state of all jobs, as the entries make it, one after the other.
//!
//! Two invariants:
//! - Whether an entry is accepted depends on the entries before it alone: [`Life::after`]
//!   decides, and nothing else does.
//! - A number is given out as the newest only when its event is in its job's ring. So
//!   whoever reads [`Hub::published`] finds every event up to it.
//!
//! The hub gives no numbers, knows no disk and waits for nothing. Who puts entries in
//! order is above it.

mod awaited;
mod config;
pub mod due;
// Only a fleet has others.
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
pub mod elsewhere;
mod entry;
mod error;
mod forgotten;
pub mod job;
pub mod keyed;
mod ledger;
mod life;
mod list;
#[cfg(feature = "redis")]
mod lost;
pub mod mailbox;
mod prefixes;
#[cfg(feature = "redis")]
mod replaced;
mod restoring;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::access::quota::Shares;
use crate::event::job::{EventId, JobId, JobIdHasher, JobState, LifeId};
use crate::event::resume::{Given, LastEventId, Resumption, Start};
use crate::sys::metrics::Metrics;
use crate::sys::order::sort_by;
pub use config::HubConfig;
use elsewhere::FollowedNames;
pub use entry::{After, Change, Entry, Once, Only, Owner, PastEntry, Terms};
pub use error::Refusal;
use forgotten::Forgotten;
pub use job::{Core, Job, Snapshot};
use ledger::Ledger;
pub use life::{Cancellation, Life, LifeState};
#[cfg(feature = "server")]
pub use list::Listing;
use list::Lives;
pub use mailbox::{Mailbox, MailboxOwner};
use prefixes::Prefixes;

/// A shard's number is a bit of a mask.
pub const SHARDS_MAX: usize = 64;

/// The jobs, their newest events, and who follows them. Cloning it is cheap and gives
/// another handle to the same hub.
#[derive(Clone)]
pub struct Hub(Arc<HubCore>);

struct HubCore {
    config: HubConfig,
    metrics: Arc<Metrics>,
    /// Every name that is a job's, or that a stream waits for.
    names: RwLock<HashMap<JobId, Arc<Job>, JobIdHasher>>,
    /// Names that are jobs'; a deleted one is none.
    jobs: AtomicUsize,
    /// Names that are only waited for.
    awaited: AtomicUsize,
    /// Those of each client.
    waiters: Arc<Shares>,
    lives: Lives,
    /// Held while an entry is applied.
    ledger: Mutex<Ledger>,
    /// The number before the first.
    base: AtomicU64,
    /// The newest number; its event is in its ring.
    published: AtomicU64,
    /// The time of the newest entry, in milliseconds of the unix clock.
    time_ms: AtomicU64,
    /// Numbers that may have been given, and are lost.
    lost: Mutex<Vec<Range<u64>>>,
    /// The newest number of any job that was forgotten.
    forgotten: AtomicU64,
    forgettings: Mutex<Forgotten>,
    #[cfg(feature = "redis")]
    losses: lost::Losses,
    ring_bytes: AtomicUsize,
    /// Keys that are remembered.
    keys: AtomicUsize,
    /// Lives whose workers were asked to end them, also those that have ended.
    cancelled: AtomicUsize,
    mailboxes: RwLock<Vec<Arc<Mailbox>>>,
    /// The shards that follow every job there is, as bits.
    followers_of_all: AtomicU64,
    prefixes: Mutex<Prefixes>,
    elsewhere: elsewhere::Elsewhere,
    /// What was applied, for a simulation that wants to know.
    #[cfg(test)]
    tap: Mutex<Option<Vec<Applied>>>,
}

/// An entry that was applied, and whether it was refused.
#[cfg(test)]
pub(crate) type Applied = (EventId, Entry, Option<Refusal>);

/// Who is to hear of an entry that was applied.
#[must_use]
#[derive(Clone, Copy, Debug, Default)]
pub struct News {
    /// Shards, as bits.
    shards: u64,
}

impl Hub {
    /// A hub without jobs, whose first number is above `base`.
    pub fn new(config: HubConfig, base: EventId) -> Hub {
        let waiters = Shares::new(config.awaited_per_address);
        Hub(Arc::new(HubCore {
            config,
            metrics: Arc::default(),
            names: RwLock::default(),
            jobs: AtomicUsize::new(0),
            awaited: AtomicUsize::new(0),
            waiters,
            lives: Lives::default(),
            ledger: Mutex::default(),
            base: AtomicU64::new(base.0),
            published: AtomicU64::new(base.0),
            time_ms: AtomicU64::new(0),
            lost: Mutex::default(),
            forgotten: AtomicU64::new(0),
            forgettings: Mutex::default(),
            #[cfg(feature = "redis")]
            losses: lost::Losses::default(),
            ring_bytes: AtomicUsize::new(0),
            keys: AtomicUsize::new(0),
            cancelled: AtomicUsize::new(0),
            mailboxes: RwLock::default(),
            followers_of_all: AtomicU64::new(0),
            prefixes: Mutex::default(),
            elsewhere: elsewhere::Elsewhere::default(),
            #[cfg(test)]
            tap: Mutex::default(),
        }))
    }

    /// Applies the next entry, numbered `id`. Entries are applied one at a time, in the
    /// order of their numbers. Who is told of it is woken by [`Hub::tell`], when the caller
    /// holds no lock.
    ///
    /// # Errors
    /// The entry is refused. It has its number all the same, unless the caller takes that
    /// back before anybody sees it.
    pub fn apply(&self, id: EventId, entry: &Entry) -> Result<News, Refusal> {
        let applied = self.change(id, entry);
        #[cfg(test)]
        if let Some(tap) = &mut *self.0.tap.lock() {
            tap.push((id, entry.clone(), applied.as_ref().err().copied()));
        }
        applied
    }

    fn change(&self, id: EventId, entry: &Entry) -> Result<News, Refusal> {
        let hub = &*self.0;
        let mut ledger = hub.ledger.lock();
        let forgets = matches!(entry.change, Change::Forget { .. });
        if !forgets && ledger.has_deletions_to_go(entry.time_ms) {
            // What is refused changes nothing, also not by its time.
            match self.find(&entry.job) {
                Some(name) => {
                    let core = name.lock();
                    core.judge(&mut core.life().cloned(), id, entry)?;
                }
                None => Life::follow(&mut None, id, entry)?,
            }
            self.let_deletions_go(&mut ledger, entry.time_ms);
        }
        // While the names are held, nobody takes this one for unused.
        let (names, name) = loop {
            let names = hub.names.read_recursive();
            if let Some(name) = names.get(&entry.job).cloned() {
                break (names, name);
            }
            drop(names);
            self.name_of(&entry.job);
        };
        let name = &name;
        let mut core = name.lock();
        let before = core.life().cloned();
        let mut after = core.life().cloned();
        if let Err(refusal) = core.judge(&mut after, id, entry) {
            drop(core);
            drop(names);
            self.close_if_unused(name);
            return Err(refusal);
        }
        let (keys, keys_end) = (core.keys().len(), core.keys().end());
        let forgotten = self.forgotten();
        let change = core.apply(id, entry, &after, hub.config.ring, forgotten, name);
        grow(&hub.keys, core.keys().len(), keys);
        ledger.note_keys(name, keys_end, core.keys().end());
        name.set_newest(core.newest());
        grow(&hub.ring_bytes, change.added, change.freed);
        // Nobody else sets it while the ledger is held.
        if entry.time_ms > hub.time_ms.load(Ordering::Relaxed) {
            hub.time_ms.store(entry.time_ms, Ordering::Release);
        }
        hub.lives.note(name, before.as_ref(), after.as_ref());
        hub.published.store(id.0, Ordering::Release);
        let mut shards = 0;
        let of_all = hub.followers_of_all.load(Ordering::Acquire);
        if change.is_news && (core.is_followed() || of_all != 0) {
            let mailboxes = hub.mailboxes.read_recursive();
            shards = core.post_dirty(&mailboxes);
            each_bit(of_all, |shard| mailboxes[shard].post_any());
            shards |= of_all;
        }
        drop(core);
        drop(names);
        self.note(&mut ledger, name, before.as_ref(), after.as_ref());
        if let (Some(before), None) = (&before, &after) {
            self.note_forgotten(name, before.last);
            self.close_if_unused(name);
        }
        if entry.change.once().is_some() {
            self.let_keys_go(&mut ledger, entry.time_ms);
        }
        if matches!(entry.change, Change::Event { .. }) {
            hub.metrics.events_published.add(1);
        }
        Ok(News { shards })
    }

    /// Wakes who is to hear of news. What `is_alone` is delivered at once: for one of many,
    /// shards do better to gather what comes.
    pub fn tell(&self, news: News, is_alone: bool) {
        if news.shards == 0 {
            return;
        }
        let mailboxes = self.0.mailboxes.read_recursive();
        each_bit(news.shards, |shard| {
            if is_alone {
                mailboxes[shard].deliver();
            } else {
                mailboxes[shard].wake();
            }
        });
    }

    /// A job's life; one that was deleted as long as that is remembered.
    pub fn life(&self, id: &JobId) -> Option<Life> {
        self.find(id)?.lock().life().cloned()
    }

    /// Whether this is the life of the job, and wasn't deleted.
    pub fn is_current(&self, id: &JobId, life: LifeId) -> bool {
        let now = self.life(id);
        now.is_some_and(|now| now.id() == life && !now.is_deleted())
    }

    /// What a job has come to. None where there is none, or it was deleted.
    pub fn snapshot(&self, id: &JobId) -> Option<Snapshot> {
        let snapshot = self.find(id)?.snapshot()?;
        Some(self.with_all_streams(snapshot))
    }

    /// Every job's snapshot, in the order of their names.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        let mut names: Vec<_> = self.0.names.read().values().cloned().collect();
        sort_by(&mut names, |a, b| a.id().cmp(b.id()));
        let snapshots = names.iter().filter_map(|name| name.snapshot());
        snapshots.map(|it| self.with_all_streams(it)).collect()
    }

    /// How many jobs are in each state: running, done, failed.
    pub fn jobs_by_state(&self) -> [(JobState, usize); 3] {
        let mut counts = [JobState::Running, JobState::Done, JobState::Failed].map(|s| (s, 0));
        for name in self.0.names.read().values() {
            let state = name.lock().life().and_then(Life::job_state);
            let mut counts = counts.iter_mut();
            if let Some((_, count)) = counts.find(|(of, _)| Some(*of) == state) {
                *count += 1;
            }
        }
        counts
    }

    /// How many jobs there are.
    pub fn jobs(&self) -> usize {
        self.0.jobs.load(Ordering::Acquire)
    }

    /// The memory that all rings hold, in bytes.
    pub fn ring_bytes(&self) -> usize {
        self.0.ring_bytes.load(Ordering::Relaxed)
    }

    /// How many keys are remembered.
    pub fn keys(&self) -> usize {
        self.0.keys.load(Ordering::Relaxed)
    }

    /// Whether a change of a job with a key may be made at this millisecond, where `newer`
    /// keys will have come to the job.
    ///
    /// # Errors
    /// It was made already, or another with the same key was.
    pub fn check_key(
        &self,
        job: &JobId,
        once: &Once,
        now_ms: u64,
        newer: usize,
    ) -> Result<(), Refusal> {
        let Some(job) = self.find(job) else {
            return Ok(());
        };
        let core = job.lock();
        core.keys().check(once, now_ms, newer)
    }

    /// The metrics of this hub and of the server around it.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// The configuration.
    pub fn config(&self) -> &HubConfig {
        &self.0.config
    }

    /// The number of the newest entry; all events up to it are in their rings.
    pub fn published(&self) -> EventId {
        EventId(self.0.published.load(Ordering::Acquire))
    }

    /// The time of the newest entry, in milliseconds of the unix clock.
    pub fn time_ms(&self) -> u64 {
        self.0.time_ms.load(Ordering::Acquire)
    }

    /// The newest number of any job that has been forgotten; zero where none was.
    pub fn forgotten(&self) -> EventId {
        EventId(self.0.forgotten.load(Ordering::Acquire))
    }

    /// The number that a client names, where it was given and isn't lost.
    pub fn find_number(&self, id: &LastEventId) -> Option<EventId> {
        self.given(|given| given.find(id))
    }

    /// Where a stream of one job begins. `history` says which number the oldest event has
    /// before it that is kept elsewhere than in the ring.
    pub fn begin(
        &self,
        job: &Job,
        start: &Start,
        history: Option<EventId>,
        is_paced: bool,
    ) -> Resumption {
        self.given(|given| {
            let core = job.lock();
            core.kept(given, self.forgotten(), history, is_paced)
                .begin(start)
        })
    }

    /// The number before the first that was given.
    pub fn base(&self) -> EventId {
        EventId(self.0.base.load(Ordering::Acquire))
    }

    /// Calls `each` with every name that has an event after `after`.
    pub fn jobs_after(&self, after: EventId, mut each: impl FnMut(&Arc<Job>)) {
        let names = self.0.names.read();
        let newer = names.values().filter(|name| name.newest() > after);
        newer.for_each(&mut each);
    }

    /// Adds a shard. Returns its number; none where there are [`SHARDS_MAX`] already.
    pub fn register(&self, mailbox: Arc<Mailbox>) -> Option<usize> {
        let mut mailboxes = self.0.mailboxes.write();
        if mailboxes.len() >= SHARDS_MAX {
            return None;
        }
        mailboxes.push(mailbox);
        Some(mailboxes.len() - 1)
    }

    /// Whether a shard wants to hear of every job's events.
    pub fn follow_all(&self, shard: usize, follows: bool) {
        let bit = 1 << shard;
        if follows {
            self.0.followers_of_all.fetch_or(bit, Ordering::AcqRel);
        } else {
            self.0.followers_of_all.fetch_and(!bit, Ordering::AcqRel);
        }
    }

    /// Counts a stream in that follows every job whose name begins with `prefix`.
    pub fn join_matching(&self, prefix: &Arc<str>) {
        self.0.prefixes.lock().join(prefix, 1);
        self.note_followed(|| FollowedNames::Prefix(prefix.clone()));
    }

    /// Counts such a stream out.
    pub fn leave_matching(&self, prefix: &Arc<str>) {
        self.0.prefixes.lock().leave(prefix, 1);
        self.note_followed(|| FollowedNames::Prefix(prefix.clone()));
    }

    /// How many streams get a job's events, also where it has yet to begin, those of other
    /// servers included.
    pub fn streams(&self, job: &JobId) -> usize {
        let by_name = self.find(job).map_or(0, |job| job.lock().streams());
        by_name + self.streams_besides(job)
    }

    /// Whether the worker of a job was asked to end it.
    pub fn is_cancelled(&self, job: &JobId) -> bool {
        // Most of the time that is nobody's, and no name is looked up.
        self.0.cancelled.load(Ordering::Acquire) > 0
            && self
                .find(job)
                .is_some_and(|job| job.lock().life().is_some_and(|it| it.cancelled.is_some()))
    }

    /// The streams that follow a job by a prefix, and those of other servers.
    fn streams_besides(&self, job: &JobId) -> usize {
        let by_prefix = self.0.prefixes.lock().streams_of(job.as_str());
        by_prefix + self.streams_elsewhere(job)
    }

    /// The snapshot with all streams that follow its job.
    fn with_all_streams(&self, mut snapshot: Snapshot) -> Snapshot {
        snapshot.streams += self.streams_besides(&snapshot.job);
        snapshot
    }

    /// Its events are gone by now.
    fn note_forgotten(&self, name: &Job, newest: EventId) {
        self.0.forgotten.fetch_max(newest.0, Ordering::AcqRel);
        self.0.forgettings.lock().note(name.id(), newest);
    }

    fn given<T>(&self, look: impl FnOnce(Given<'_>) -> T) -> T {
        let lost = self.0.lost.lock();
        look(Given {
            base: self.base(),
            newest: self.published(),
            lost: &lost,
        })
    }

    /// A job's life has become another: counts that, and notes what is to be let go of first.
    fn note(
        &self,
        ledger: &mut Ledger,
        name: &Arc<Job>,
        before: Option<&Life>,
        after: Option<&Life>,
    ) {
        self.count(name, before, after);
        ledger.note(name, before, after);
        self.note_word(&mut ledger.dues, name, before, after);
    }

    fn count(&self, name: &Job, before: Option<&Life>, after: Option<&Life>) {
        let is_job = |life: Option<&Life>| life.is_some_and(|life| !life.is_deleted());
        match (is_job(before), is_job(after)) {
            (false, true) => self.0.jobs.fetch_add(1, Ordering::AcqRel),
            (true, false) => self.0.jobs.fetch_sub(1, Ordering::AcqRel),
            _ => 0,
        };
        let is_cancelled = |life: Option<&Life>| life.is_some_and(|it| it.cancelled.is_some());
        match (is_cancelled(before), is_cancelled(after)) {
            (false, true) => self.0.cancelled.fetch_add(1, Ordering::AcqRel),
            (true, false) => self.0.cancelled.fetch_sub(1, Ordering::AcqRel),
            _ => 0,
        };
        match (before.is_some(), after.is_some()) {
            (false, true) => self.end_wait(name),
            (true, false) => {
                self.0.awaited.fetch_add(1, Ordering::AcqRel);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
impl Hub {
    /// What was applied since this was asked last; from the first time on.
    pub(crate) fn drain_tap(&self) -> Vec<Applied> {
        self.0.tap.lock().replace(Vec::new()).unwrap_or_default()
    }
}

fn each_bit(mut mask: u64, mut each: impl FnMut(usize)) {
    while mask != 0 {
        each(mask.trailing_zeros() as usize);
        mask &= mask - 1;
    }
}

/// Counts some in and others out.
fn grow(count: &AtomicUsize, added: usize, freed: usize) {
    if added != freed {
        count.fetch_add(added.wrapping_sub(freed), Ordering::Relaxed);
    }
}
