//! One job: its ring, its state, and the shards that follow it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::{Mutex, MutexGuard};

use super::Numbers;
use super::mailbox::Mailbox;
use crate::event::Event;
use crate::event::frame;
use crate::event::job::{EventId, JobId, JobState, Sequence};
use crate::event::resume::Kept;
use crate::event::ring::{Batch, Ring, RingLimits};
use crate::sequencer::journal::{Origin, Place, Span};

/// A job that has begun.
pub struct Job {
    id: JobId,
    /// A copy of what the lock guards, so that a consolidated stream can pass jobs
    /// without news by.
    newest_sequence: AtomicU64,
    core: Mutex<Core>,
}

/// What a job has come to, as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub job: JobId,
    /// Its state.
    pub state: JobState,
    /// The id of the newest event.
    pub last_event_id: Option<EventId>,
    /// The newest event's name and data.
    pub last_event: Option<(String, String)>,
    /// When it began.
    pub created_at: SystemTime,
    /// When its newest event came.
    pub updated_at: SystemTime,
    /// How many streams follow it.
    pub streams: usize,
}

/// A job's changing part.
pub struct Core {
    ring: Ring,
    base: u64,
    newest_id: u64,
    /// Ids above the newest that may have been given, and lost with the power.
    skipped: u64,
    /// Ids that may have been given, and are lost. The oldest are let go.
    lost: Vec<Range<u64>>,
    /// The number of the newest event before which others are missing.
    broken: Sequence,
    /// Where the journal has its events, the oldest first.
    spans: Vec<Span>,
    state: JobState,
    forgotten: bool,
    created_at: SystemTime,
    updated_at: SystemTime,
    streams: usize,
    followers: Vec<Follower>,
}

/// A shard with subscribers of a job.
struct Follower {
    shard: u16,
    /// Whether the shard has been told of news that it hasn't read.
    dirty: bool,
    /// The job's place in the shard.
    slot: u32,
}

/// What the journal knows of an event besides.
#[derive(Clone, Copy, Debug)]
pub struct Journaled {
    /// The id of the job's event before it.
    pub previous: u64,
    /// Where its job began, in the job's oldest record.
    pub origin: Option<Origin>,
    /// Where its record is.
    pub place: Place,
}

/// Stretches of lost ids that a job remembers: one for each loss of power in its life.
const LOST_MAX: usize = 16;

/// How a ring's memory changed.
pub struct Growth {
    /// Bytes it has more.
    pub added: usize,
    /// Bytes it has less.
    pub freed: usize,
}

impl Job {
    /// A job that begins now, after the last numbers of those of its name before it.
    pub fn new(id: JobId, last: Numbers, now: SystemTime) -> Job {
        Job::going_on(id, last.id.0, last, now)
    }

    /// A job that began after the id `base`, of whose events up to `last` none is here.
    pub fn going_on(id: JobId, base: u64, last: Numbers, now: SystemTime) -> Job {
        Job {
            id,
            newest_sequence: AtomicU64::new(last.sequence.0),
            core: Mutex::new(Core {
                ring: Ring::beginning_after(last.id, last.sequence),
                base,
                newest_id: last.id.0,
                skipped: 0,
                lost: Vec::new(),
                broken: Sequence(0),
                spans: Vec::new(),
                state: JobState::Running,
                forgotten: false,
                created_at: now,
                updated_at: now,
                streams: 0,
                followers: Vec::new(),
            }),
        }
    }

    /// Its name.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// Its state.
    pub fn state(&self) -> JobState {
        self.lock().state
    }

    /// The number of its newest event, or an older one for an instant.
    pub fn newest_sequence(&self) -> Sequence {
        Sequence(self.newest_sequence.load(Ordering::Acquire))
    }

    /// Where it stands.
    pub fn snapshot(&self) -> Snapshot {
        let core = self.lock();
        let body = core.ring.newest_body();
        let (state, created_at, updated_at) = (core.state, core.created_at, core.updated_at);
        let (newest_id, streams) = (core.newest_id, core.streams);
        drop(core);
        let last_event = body.as_deref().and_then(frame::parse_body);
        Snapshot {
            job: self.id.clone(),
            state,
            last_event_id: body.is_some().then_some(EventId(newest_id)),
            last_event: last_event.map(|(name, data)| (name.to_owned(), data.to_owned())),
            created_at,
            updated_at,
            streams,
        }
    }

    /// The changing part. The lock is held for moments, and never across a system call.
    pub fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock()
    }

    pub(super) fn set_newest_sequence(&self, sequence: Sequence) {
        self.newest_sequence.fetch_max(sequence.0, Ordering::AcqRel);
    }
}

impl Core {
    /// Whether the hub doesn't have it any more.
    pub fn is_forgotten(&self) -> bool {
        self.forgotten
    }

    /// The state it ended in.
    pub fn ended(&self) -> Option<JobState> {
        (self.state != JobState::Running).then_some(self.state)
    }

    /// The newest id, or the one before the first.
    pub fn newest_id(&self) -> u64 {
        self.newest_id
    }

    /// The newest id that was given, or may have been.
    pub fn newest_given(&self) -> u64 {
        self.newest_id + self.skipped
    }

    /// When it began.
    pub fn created_at(&self) -> SystemTime {
        self.created_at
    }

    /// The id before the first.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The number of the newest event before which others are missing: they were damaged.
    pub fn broken(&self) -> Sequence {
        self.broken
    }

    /// Where the journal has its events, the oldest first.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// What is kept, for the beginning of a stream.
    pub fn kept(&self) -> Kept<'_> {
        let in_ring = self.ring.before_oldest().unwrap_or(self.newest_id);
        let in_journal = self.spans.first().map_or(in_ring, |span| span.before.id.0);
        Kept {
            base: self.base,
            before_oldest: in_ring.min(in_journal),
            before_newest: self.ring.before_newest().unwrap_or(self.newest_id),
            newest: self.newest_id,
            lost: &self.lost,
        }
    }

    /// The newest number of an event that is neither in the ring nor in the journal.
    pub fn gone_sequence(&self) -> Sequence {
        let in_ring = self.ring.evicted_sequence();
        let in_journal = self
            .spans
            .first()
            .map_or(in_ring, |span| span.before.sequence);
        in_ring.min(in_journal)
    }

    /// How many streams follow it.
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// Counts a stream in. The other half is [`Core::leave`].
    pub fn join(&mut self) {
        self.streams += 1;
    }

    /// Counts a stream out. True where the job is of no further use to anyone.
    pub fn leave(&mut self) -> bool {
        self.streams -= 1;
        self.is_empty()
    }

    /// Tells `shard` of every event from now on; the job is in its place `slot`.
    pub fn follow(&mut self, shard: usize, slot: u32) {
        self.followers.push(Follower {
            shard: shard as u16,
            dirty: false,
            slot,
        });
    }

    /// Ends what [`Core::follow`] began.
    pub fn unfollow(&mut self, shard: usize) {
        self.followers
            .retain(|follower| usize::from(follower.shard) != shard);
    }

    /// The job's place in `shard`, where that follows it.
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

    /// Copies what follows `after`, and says whether nothing will ever follow that.
    pub fn copy_after(&self, after: u64, max_bytes: usize, batch: &mut Batch) -> bool {
        self.ring.copy_after(after, max_bytes, batch);
        let is_whole = batch.newest() >= self.newest_id;
        // Of a forgotten job nothing is left to wait for, however far a reader was.
        self.forgotten || is_whole && self.ended().is_some()
    }

    pub(super) fn append(
        &mut self,
        id: &JobId,
        event: &Event,
        numbers: Numbers,
        limits: RingLimits,
        now: SystemTime,
        journaled: Option<Journaled>,
    ) -> Growth {
        let before = self.ring.allocated_bytes();
        if let Some(journaled) = journaled {
            let Journaled {
                previous,
                origin,
                place,
            } = journaled;
            // As a restart will find it.
            self.created_at = origin.map_or(self.created_at, |origin| origin.created());
            if previous != self.newest_id {
                // What lay between them is lost: those who need it have to be told.
                let last = EventId(numbers.id.0 - 1);
                self.broken = numbers.sequence;
                self.ring = Ring::beginning_after(last, Sequence(numbers.sequence.0 - 1));
            }
            let newest = self.ring.newest_sequence();
            let before = Numbers {
                id: EventId(previous),
                sequence: newest.unwrap_or(self.ring.evicted_sequence()),
            };
            Span::extend(&mut self.spans, place, before);
        }
        self.skipped = 0;
        self.ring
            .append(id, event, numbers.id, numbers.sequence, limits);
        self.newest_id = numbers.id.0;
        self.updated_at = now;
        if let Some(state) = event.name().end_state() {
            self.state = state;
            self.ring.shrink();
        }
        let after = self.ring.allocated_bytes();
        Growth {
            added: after.saturating_sub(before),
            freed: before.saturating_sub(after),
        }
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

    /// Lets the events go. Returns the bytes that the ring held, and where the journal
    /// has what isn't needed any more.
    pub(super) fn forget(&mut self) -> (usize, Vec<Span>) {
        self.forgotten = true;
        let freed = self.ring.allocated_bytes();
        self.ring.evict_all();
        (freed, std::mem::take(&mut self.spans))
    }

    /// Lets the ring's events go but the newest, where the journal has them. Returns the
    /// bytes that are free now.
    pub(super) fn trim(&mut self) -> usize {
        if self.spans.is_empty() {
            return 0;
        }
        let before = self.ring.allocated_bytes();
        self.ring.keep_newest();
        before - self.ring.allocated_bytes()
    }

    /// So many ids above the newest may have been given, and are lost.
    pub(super) fn skip(&mut self, count: u64) {
        let first = self.newest_given() + 1;
        if self.lost.len() == LOST_MAX {
            self.lost.remove(0);
        }
        self.lost.push(first..first + count - 1);
        self.skipped += count;
    }

    /// Tells it of changes to where the journal has its events.
    pub(crate) fn change_spans(&mut self, change: impl FnOnce(&mut Vec<Span>)) {
        change(&mut self.spans);
    }

    pub(super) fn forget_if_empty(&mut self) -> bool {
        let was_empty = self.is_empty();
        self.forgotten |= was_empty;
        was_empty
    }

    pub(super) fn is_silent_since(&self, before: SystemTime) -> bool {
        self.updated_at < before && self.streams == 0
    }

    fn is_empty(&self) -> bool {
        self.streams == 0 && self.newest_id == self.base && !self.forgotten && self.skipped == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job_with(events: u64) -> Job {
        let id: JobId = "job".parse().unwrap();
        let last = Numbers {
            id: EventId(0),
            sequence: Sequence(0),
        };
        let job = Job::new(id.clone(), last, SystemTime::UNIX_EPOCH);
        let limits = RingLimits {
            events: 10,
            bytes: 10_000,
        };
        for number in 1..=events {
            let numbers = Numbers {
                id: EventId(number),
                sequence: Sequence(number),
            };
            let event = Event::progress("x", 1.0);
            job.lock()
                .append(&id, &event, numbers, limits, SystemTime::UNIX_EPOCH, None);
        }
        job
    }

    #[test]
    fn a_reader_of_a_forgotten_job_is_at_its_end_however_far_behind() {
        let job = job_with(5);
        let mut batch = Batch::default();
        assert!(!job.lock().copy_after(2, usize::MAX, &mut batch));
        job.lock().forget();
        assert!(job.lock().copy_after(2, usize::MAX, &mut batch));
        assert!(batch.bytes.is_empty());
    }

    #[test]
    fn a_shard_is_told_once_until_it_has_read() {
        let job = job_with(0);
        let mailboxes = [Arc::new(Mailbox::new(|| {}))];
        job.lock().follow(0, 7);
        assert_eq!(job.lock().post_dirty(&mailboxes), 1);
        assert_eq!(job.lock().post_dirty(&mailboxes), 0);
        let mut posted = Vec::new();
        mailboxes[0].take_dirty(&mut posted);
        assert_eq!(posted, [7]);
        job.lock().mark_clean(0);
        assert_eq!(job.lock().post_dirty(&mailboxes), 1);
    }
}
