//! A name: the life that it has, the ring of its events, and the shards that follow it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Mutex, MutexGuard};

use super::keyed::{Keyed, KeyedChanges};
use super::mailbox::Mailbox;
use super::{Change, Entry, Life, PastEntry, Refusal};
use crate::access::quota::Slot;
use crate::event::Event;
use crate::event::frame::{self, Frame};
use crate::event::job::{EventId, JobId, JobState, LifeId};
use crate::event::resume::{Given, Kept};
use crate::event::ring::{Batch, Ring, RingLimits};

/// The end of the year 9999, in milliseconds of the unix clock: the last that can be
/// written as a date.
const LAST_MS: u64 = 253_402_300_799_999;

/// A name that is a job's, or that streams wait for.
pub struct Job {
    id: JobId,
    /// A copy of what the lock guards, so that a consolidated stream can pass jobs
    /// without news by.
    newest: AtomicU64,
    core: Mutex<Core>,
}

/// What a job has come to, as the API shows it.
///
/// ```
/// use landfall::{Event, HubConfig, JobState, Sequencer};
/// let jobs = Sequencer::in_memory(HubConfig::default());
/// let job = "job_8f3a".parse().unwrap();
/// jobs.publish(&job, Event::error("no room")).unwrap();
/// assert_eq!(jobs.snapshot(&job).unwrap().state, JobState::Failed);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its name.
    pub job: JobId,
    /// The number of the entry that began its life: later ones began later.
    pub began: EventId,
    /// Its state.
    pub state: JobState,
    /// The number of the newest event.
    pub last_event_id: Option<EventId>,
    /// The newest event's name and data.
    pub last_event: Option<(String, String)>,
    /// When it began.
    pub created_at: SystemTime,
    /// When its newest event came.
    pub updated_at: SystemTime,
    /// How many streams get its events.
    pub streams: usize,
}

/// When a job ends by itself, and the life that does.
pub(super) type Due = (Instant, LifeId);

/// Whom a name that is no job's is counted for: the address and the token of whoever was the
/// first to wait for it.
type FirstWaiter = [Option<Slot>; 2];

/// A name's changing part.
pub struct Core {
    ring: Ring,
    /// None where it is no job's.
    life: Option<Life>,
    keys: KeyedChanges,
    /// When it ends by itself.
    pub(super) due: Option<Due>,
    streams: usize,
    /// Whom it is counted for as long as it is no job's.
    pub(super) waiter: FirstWaiter,
    followers: Vec<FollowingShard>,
}

/// A shard with subscribers of a name.
struct FollowingShard {
    shard: u16,
    /// Whether the shard has been told of news that it hasn't read.
    dirty: bool,
    /// The name's place in the shard.
    slot: u32,
}

/// What an entry has changed for those who follow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Effect {
    /// Bytes that the ring holds more.
    pub added: usize,
    /// Bytes that it holds less.
    pub freed: usize,
    /// Whether there is something to send.
    pub is_news: bool,
}

impl Job {
    pub(super) fn new(id: JobId) -> Job {
        Job {
            id,
            newest: AtomicU64::new(0),
            core: Mutex::new(Core {
                ring: Ring::default(),
                life: None,
                keys: KeyedChanges::default(),
                due: None,
                streams: 0,
                waiter: FirstWaiter::default(),
                followers: Vec::new(),
            }),
        }
    }

    /// Its name.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// The number of its newest event, or an older one for an instant.
    pub fn newest(&self) -> EventId {
        EventId(self.newest.load(Ordering::Acquire))
    }

    /// Where it stands. None where it is no job's, or was deleted.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.snapshot_at(EventId::MAX)
    }

    /// Where it stood when `at` was the newest number of all, of which nothing is told that
    /// has come since; where its newest event up to then is no longer kept, where it stands.
    /// None where it has been deleted, or was no job's.
    pub fn snapshot_at(&self, at: EventId) -> Option<Snapshot> {
        let core = self.lock();
        let life = core.life.clone()?;
        let mut state = life.job_state()?;
        if life.began > at {
            return None;
        }
        let mut frame = core.ring.frame_upto(at);
        if life.last > at {
            match &frame {
                None if core.ring.gone() >= life.began => frame = core.ring.frame_upto(life.last),
                // Nothing comes after an end.
                _ => state = JobState::Running,
            }
        }
        let streams = core.streams;
        drop(core);
        let frame = frame.filter(|(id, _)| *id > life.previous_end);
        let event = frame.as_ref().and_then(|(_, frame)| frame::parse(frame));
        Some(Snapshot {
            job: self.id.clone(),
            began: life.began,
            state,
            last_event: event.map(|(name, data)| (name.to_owned(), data.to_owned())),
            last_event_id: frame.map(|(id, _)| id),
            created_at: time(life.created_ms),
            updated_at: time(life.updated_ms),
            streams,
        })
    }

    /// The changing part. The lock is held for moments, and never across a system call.
    pub fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock()
    }

    pub(super) fn set_newest(&self, id: EventId) {
        self.newest.store(id.0, Ordering::Release);
    }
}

impl Core {
    /// The life that it has; one that was deleted as long as that is remembered.
    pub fn life(&self) -> Option<&Life> {
        self.life.as_ref()
    }

    /// The keys that its changes came with.
    pub fn keys(&self) -> &KeyedChanges {
        &self.keys
    }

    /// Makes a copy of its life what an entry makes of it, where that may be made.
    ///
    /// # Errors
    /// It is refused.
    pub(super) fn judge(
        &self,
        life: &mut Option<Life>,
        id: EventId,
        entry: &Entry,
    ) -> Result<(), Refusal> {
        if let Some(once) = entry.change.once()
            && self.remembers_at(entry.time_ms)
        {
            self.keys.check(once, entry.time_ms, 0)?;
        }
        Life::follow(life, id, entry)
    }

    /// Whether anything is remembered of it at this millisecond.
    fn remembers_at(&self, now_ms: u64) -> bool {
        self.life()
            .is_some_and(|life| !life.is_forgotten_at(now_ms))
    }

    /// Whether nothing follows in its life.
    pub fn is_over(&self) -> bool {
        self.life.as_ref().is_some_and(Life::is_over)
    }

    /// The number of its newest event; where none is kept, the newest that isn't any more.
    pub fn newest(&self) -> EventId {
        self.ring.newest().unwrap_or(self.ring.gone())
    }

    /// The ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// What is kept, for the beginning of a stream; for one that gets the newest progress only
    /// where it `is_paced`.
    pub(super) fn kept<'a>(
        &self,
        given: Given<'a>,
        forgotten: EventId,
        history: Option<EventId>,
        is_paced: bool,
    ) -> Kept<'a> {
        let floor = self.floor(forgotten);
        let before = |id: EventId| EventId(id.0 - 1);
        let in_ring = match self.ring.gone() {
            EventId(0) => floor,
            gone => self.ring.oldest().map_or(gone, before),
        };
        let newest = self.ring.newest().filter(|&newest| newest > floor);
        let gone = if is_paced {
            self.gone(history).min(self.ring.missed())
        } else {
            self.gone(history)
        };
        Kept {
            given,
            floor,
            gone,
            before_oldest: history
                .map_or(in_ring, |kept| kept.min(in_ring))
                .max(floor)
                .max(self.before_life(given)),
            before_newest: newest.map_or(floor, before),
            newest: newest.unwrap_or(floor),
        }
    }

    /// A number that was given, and that no event of this life is below.
    fn before_life(&self, given: Given) -> EventId {
        let begins = self.life.as_ref().map(|life| {
            // Of a deleted one there is nothing but that.
            if life.is_deleted() {
                life.last
            } else {
                life.began
            }
        });
        begins.map_or(given.base, |begins| given.base.max(EventId(begins.0 - 1)))
    }

    /// The newest number of the job whose event is neither in the ring nor elsewhere, where
    /// `history` is the number before the oldest there.
    pub fn gone(&self, history: Option<EventId>) -> EventId {
        let in_ring = self.ring.gone();
        history.map_or(in_ring, |kept| kept.min(in_ring))
    }

    /// Whether it is known to have had an event up to this number: then nothing of it was
    /// forgotten since.
    pub fn has_had_by(&self, number: EventId) -> bool {
        let known = match self.ring.gone() {
            EventId(0) => self.ring.oldest(),
            gone => Some(gone),
        };
        known.is_some_and(|known| known <= number)
    }

    /// Who has a lower number than this has seen another life, or may have: jobs up to the
    /// number `forgotten` aren't remembered.
    pub fn floor(&self, forgotten: EventId) -> EventId {
        match &self.life {
            None => forgotten,
            Some(life) if life.previous_end == EventId(0) => {
                forgotten.min(EventId(life.began.0 - 1))
            }
            Some(life) => life.previous_end,
        }
    }

    /// How many streams follow it by name.
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// Tells `shard` of every event from now on; the name is in its place `slot`.
    pub fn follow(&mut self, shard: usize, slot: u32) {
        self.followers.push(FollowingShard {
            shard: shard as u16,
            dirty: false,
            slot,
        });
    }

    /// Whether any shard follows it.
    pub(super) fn is_followed(&self) -> bool {
        !self.followers.is_empty()
    }

    /// Ends what [`Core::follow`] began.
    pub fn unfollow(&mut self, shard: usize) {
        self.followers
            .retain(|follower| usize::from(follower.shard) != shard);
    }

    /// The name's place in `shard`, where that follows it.
    pub fn slot_in(&self, shard: usize) -> Option<u32> {
        let mut followers = self.followers.iter();
        followers
            .find(|f| usize::from(f.shard) == shard)
            .map(|follower| follower.slot)
    }

    /// The news up to now have been read by `shard`.
    pub fn mark_clean(&mut self, shard: usize) {
        let mut followers = self.followers.iter_mut();
        if let Some(follower) = followers.find(|f| usize::from(f.shard) == shard) {
            follower.dirty = false;
        }
    }

    /// Copies what follows `after` in the life that this number is of, and says whether a
    /// stream that has all of it is at its end.
    pub fn copy_after(&self, after: u64, max_bytes: usize, batch: &mut Batch) -> bool {
        self.ring.copy_after(after, max_bytes, batch);
        self.is_end(batch)
    }

    fn is_end(&self, batch: &Batch) -> bool {
        // One that has the end already, and was kept from taking all of it.
        let has_end = batch.ends.is_empty() && self.is_over() && batch.newest() >= self.newest().0;
        batch.is_end || has_end
    }

    /// Copies what follows `after` and isn't numbered above `upto` as [`Core::copy_after`] does,
    /// but of the progress events among it the newest only.
    #[cfg(feature = "server")]
    pub fn copy_newest(
        &self,
        after: u64,
        upto: EventId,
        max_bytes: usize,
        batch: &mut Batch,
    ) -> bool {
        self.ring.copy_newest(after, upto.0, max_bytes, batch);
        self.is_end(batch)
    }

    /// Tells every shard that follows it and doesn't know yet. Returns the shards to
    /// wake, as bits.
    pub(super) fn post_dirty(&mut self, mailboxes: &[Arc<Mailbox>]) -> u64 {
        let mut to_wake = 0;
        for follower in self.followers.iter_mut().filter(|follower| !follower.dirty) {
            follower.dirty = true;
            mailboxes[usize::from(follower.shard)].post_dirty(follower.slot);
            to_wake |= 1 << follower.shard;
        }
        to_wake
    }

    pub(super) fn join(&mut self, most: usize) -> bool {
        let has_room = self.streams < most;
        self.streams += usize::from(has_room);
        has_room
    }

    /// True where the name may be of no further use.
    pub(super) fn leave(&mut self) -> bool {
        self.streams -= 1;
        self.is_unused()
    }

    pub(super) fn is_unused(&self) -> bool {
        self.streams == 0 && self.life.is_none()
    }

    /// Makes it what an entry has made of its life.
    pub(super) fn apply(
        &mut self,
        id: EventId,
        entry: &Entry,
        after: &Option<Life>,
        limits: RingLimits,
        forgotten: EventId,
        job: &Job,
    ) -> Effect {
        let was_running = self.life.as_ref().is_some_and(|life| !life.is_over());
        let before_life = self.floor(forgotten);
        if !self.remembers_at(entry.time_ms) || after.is_none() {
            self.keys.clear();
        }
        self.life = after.clone();
        if let Some(&once) = entry.change.once() {
            self.keys.add(Keyed { once, id }, entry.time_ms);
        }
        self.change_ring(limits, |ring, limits| match &entry.change {
            Change::Event { event, .. } => {
                ring.append(&Frame::new(&job.id, event, id), limits);
                if event.name().is_terminal() {
                    ring.shrink();
                }
                true
            }
            Change::Begin { .. } if was_running => {
                // It is deleted first, by the same entry.
                ring.make_void_after(before_life);
                ring.append(&Frame::deleted(&job.id, id), limits);
                true
            }
            Change::Begin { .. } | Change::Renew { .. } | Change::Cancel { .. } => false,
            Change::Delete { .. } => {
                ring.make_void_after(before_life);
                ring.append(&Frame::deleted(&job.id, id), limits);
                ring.shrink();
                true
            }
            Change::Forget { .. } => {
                ring.evict_all();
                false
            }
        })
    }

    /// Puts it back as it was; what came up to the number `gone` isn't kept.
    pub(super) fn load(&mut self, life: Life, gone: EventId, limits: RingLimits, job: &Job) {
        if life.is_deleted() {
            self.ring = Ring::beginning_after(life.previous_end);
            self.append_deletion(life.last, limits, job);
        } else {
            self.ring = Ring::beginning_after(gone);
        }
        self.life = Some(life);
    }

    /// Puts the keys back that its changes came with.
    pub(super) fn set_keys(&mut self, keys: KeyedChanges) {
        self.keys = keys;
    }

    /// Goes on with events that were accepted before, up to the first that doesn't go on with the
    /// life that it has. Returns how many those are, and how many of them it hadn't counted yet.
    pub(super) fn go_on<'a, 'b: 'a>(
        &mut self,
        events: impl Iterator<Item = &'a PastEntry<'b>>,
        limits: RingLimits,
        job: &Job,
    ) -> (usize, u64, Effect) {
        let (mut done, mut counted) = (0, 0);
        let Some(mut life) = self.life.take_if(|life| !life.is_deleted()) else {
            return (0, 0, Effect::default());
        };
        let mut newest = self.newest();
        let change = self.change_ring(limits, |ring, limits| {
            for &PastEntry {
                id,
                time_ms,
                event,
                lease,
            } in events
            {
                if life.last < id {
                    let end = JobState::ended_by(event.name());
                    if life.go_on(id, time_ms, end, lease).is_err() {
                        break;
                    }
                    counted += 1;
                }
                if id > newest {
                    ring.append(&Frame::of_past(&job.id, event, id), limits);
                    newest = id;
                }
                done += 1;
            }
            if life.is_over() {
                ring.shrink();
            }
            true
        });
        self.life = Some(life);
        (done, counted, change)
    }

    /// Appends an event that its life has counted already.
    pub(super) fn append_old(
        &mut self,
        id: EventId,
        event: &Event,
        is_missing: bool,
        limits: RingLimits,
        job: &Job,
    ) -> Effect {
        if id <= self.newest() {
            return Effect::default();
        }
        let is_over = self.is_over();
        self.change_ring(limits, |ring, limits| {
            if is_missing {
                *ring = Ring::beginning_after(EventId(id.0 - 1));
            }
            ring.append(&Frame::new(&job.id, event, id), limits);
            if is_over && event.name().is_terminal() {
                ring.shrink();
            }
            true
        })
    }

    /// Events before `id` are missing: who needs them has to be told.
    pub(super) fn lose_before(&mut self, id: EventId) {
        self.ring = Ring::beginning_after(EventId(id.0 - 1));
    }

    /// Lets its events after this number go, which nobody is to miss.
    pub(super) fn make_void_after(&mut self, after: EventId) {
        self.ring.make_void_after(after);
    }

    /// Appends that it was deleted by the entry `id`.
    pub(super) fn append_deletion(&mut self, id: EventId, limits: RingLimits, job: &Job) {
        self.ring.append(&Frame::deleted(&job.id, id), limits);
        self.ring.shrink();
    }

    /// Changes what it has come to for what another copy of the name has; who follows it stays.
    #[cfg(feature = "redis")]
    pub(super) fn exchange(&mut self, other: &mut Core, limits: RingLimits) {
        std::mem::swap(&mut self.ring, &mut other.ring);
        let began = |life: &Option<Life>| life.as_ref().map(|life| life.began);
        if began(&self.life) == began(&other.life) {
            // A number stands for one event: what came before it is the same here and there.
            self.ring
                .extend_back(std::mem::take(&mut other.ring), limits);
        }
        std::mem::swap(&mut self.life, &mut other.life);
        std::mem::swap(&mut self.keys, &mut other.keys);
    }

    /// Makes it no job's. Returns the bytes that its ring held.
    pub(super) fn forget(&mut self) -> usize {
        let freed = self.ring.allocated_bytes();
        self.ring.evict_all();
        self.keys.clear();
        self.life = None;
        freed
    }

    /// Lets the ring's events go but the newest. Returns the bytes that are free now.
    pub(super) fn trim(&mut self) -> usize {
        let before = self.ring.allocated_bytes();
        self.ring.keep_newest();
        before - self.ring.allocated_bytes()
    }

    fn change_ring(
        &mut self,
        limits: RingLimits,
        change: impl FnOnce(&mut Ring, RingLimits) -> bool,
    ) -> Effect {
        let before = self.ring.allocated_bytes();
        let is_news = change(&mut self.ring, limits);
        let after = self.ring.allocated_bytes();
        Effect {
            added: after.saturating_sub(before),
            freed: before.saturating_sub(after),
            is_news,
        }
    }
}

/// A time of the unix clock; one that can't be written as a date is the last that can.
fn time(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms.min(LAST_MS))
}
