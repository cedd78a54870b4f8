//! What keeps the journal within its limits: a thread that has old jobs forgotten, writes
//! checkpoints, and removes the segments that they make superfluous.
//!
//! The invariants:
//! - Jobs are forgotten by entries like any other.
//! - A segment goes only when the checkpoint that does without it has its name on the
//!   medium, and only if every number in it was applied before that was begun.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::desk::{WriterDesk, ask};
use super::record::SegmentNumber;
use super::segment::{Segment, file_name};
use super::writer::JournalCommand;
use super::{Alarm, JournalShared, checkpoint};
use crate::hub::Hub;
use crate::sequencer::room::forget;
use crate::sequencer::{Proposal, now_ms};
use crate::sys::channel::{Receiver, RecvTimeoutError, Sender};
use crate::sys::vital;

/// How often it looks, when nothing calls it.
const LOOK: Duration = Duration::from_secs(5);
/// The most jobs that are forgotten together. In a small journal they are fewer: their
/// entries take room themselves.
const FORGET: u64 = 256;
/// About what it takes to write that a job is forgotten.
const FORGET_BYTES: u64 = 64;

/// Starts the thread. It ends with the other end of `calls`.
pub(super) fn start(
    shared: Arc<JournalShared>,
    hub: Hub,
    commands: Sender<JournalCommand>,
    next_checkpoint: u32,
    calls: Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    vital::spawn("journal-keep", move || {
        let alarm = Alarm(shared.clone());
        let mut keeper = Keeper::new(shared, hub, commands, next_checkpoint);
        while calls.recv_timeout(LOOK) != Err(RecvTimeoutError::Disconnected) {
            keeper.look();
        }
        drop(alarm);
    })
}

/// What the thread does.
pub(super) struct Keeper<D> {
    shared: Arc<JournalShared>,
    hub: Hub,
    desk: D,
    next_checkpoint: u32,
    /// Jobs were forgotten since the last checkpoint, so the next will be smaller.
    has_forgotten: bool,
}

impl<D: WriterDesk> Keeper<D> {
    pub fn new(shared: Arc<JournalShared>, hub: Hub, desk: D, next_checkpoint: u32) -> Keeper<D> {
        Keeper {
            shared,
            hub,
            desk,
            next_checkpoint,
            has_forgotten: false,
        }
    }

    /// Does what there is to do.
    pub fn look(&mut self) {
        while !self.shared.is_closing.load(Ordering::Acquire) {
            // What comes while it looks may be what can go.
            let seen = self.hub.published();
            if self.forget_old() {
                continue;
            }
            let is_short = self.shared.is_short_of_room();
            let (worked, is_stuck) = match self.make_room(is_short) {
                Ok(worked) => (worked, false),
                Err(error) => {
                    error!("journal: no room can be made in it: {error}");
                    (false, true)
                }
            };
            let forgot = !worked && is_short && !is_stuck && self.forget_first();
            if is_short || worked {
                // Whoever waits for room hears of every step, and when there is no other. A
                // writer that is gone has nobody who waits.
                let exhausted_at = (!worked && !forgot).then_some(seen);
                self.desk.hand(JournalCommand::Room { exhausted_at });
            }
            if !worked && !forgot {
                return;
            }
        }
    }

    /// Forgets the jobs that ended before the age, and those over the limit.
    fn forget_old(&mut self) -> bool {
        let config = &self.shared.config;
        let before_ms = self.before_ms();
        let mut proposals = Vec::new();
        let (ended, count) = self.hub.first_ended(self.forget_most());
        for job in ended {
            let is_over = count > config.ended_jobs + proposals.len();
            if !is_over && job.at_ms >= before_ms {
                break;
            }
            proposals.push(forget(job.job, job.last));
        }
        self.forget(proposals)
    }

    /// Forgets some of the jobs that ended first: room is needed.
    fn forget_first(&mut self) -> bool {
        let (ended, _) = self.hub.first_ended(self.forget_most());
        let proposals = ended.into_iter().map(|job| forget(job.job, job.last));
        self.forget(proposals.collect())
    }

    /// True where some were.
    fn forget(&mut self, proposals: Vec<Proposal>) -> bool {
        if proposals.is_empty() {
            return false;
        }
        let forgotten = ask(&self.desk, |reply| JournalCommand::Forget(proposals, reply));
        let has_some = matches!(forgotten, Some((ids, None)) if !ids.is_empty());
        self.has_forgotten |= has_some;
        has_some
    }

    fn forget_most(&self) -> usize {
        let in_a_segment = self.shared.config.segment_bytes() / FORGET_BYTES;
        in_a_segment.min(FORGET) as usize
    }

    /// What came before this millisecond of the unix clock is too old.
    fn before_ms(&self) -> u64 {
        let age_ms = self.shared.config.age.as_millis().min(u64::MAX.into());
        now_ms().saturating_sub(age_ms as u64)
    }

    /// Has the oldest segments go, where that is due. False where it isn't, or there are
    /// none that can.
    fn make_room(&mut self, is_short: bool) -> io::Result<bool> {
        let Some(first) = self.choose(is_short) else {
            return Ok(false);
        };
        let number = self.next_checkpoint;
        let bytes = checkpoint::write(&self.shared, &self.hub, number, first, &|| {
            let closed = || Err(io::Error::other("the journal is closed"));
            ask(&self.desk, JournalCommand::Flush).unwrap_or_else(closed)
        })?;
        self.next_checkpoint += 1;
        self.has_forgotten = false;
        self.shared.counters.checkpoint_bytes.add(bytes);
        let dropped = self.drop_below(first, number);
        self.shared.set_checkpoint(bytes);
        self.shared.set_spare(0);
        dropped.map(|()| true)
    }

    /// The first segment to be kept.
    fn choose(&self, is_short: bool) -> Option<SegmentNumber> {
        let published = self.hub.published();
        let segments: Vec<(SegmentNumber, Segment)> = {
            let segments = self.shared.segments.lock();
            segments.iter().map(|(number, s)| (*number, *s)).collect()
        };
        // The last one is being written.
        let (active, sealed) = segments.split_last()?;
        let is_applied = |(_, segment): &&(_, Segment)| segment.newest <= published;
        let droppable = sealed.iter().take_while(is_applied).count();
        let before_ms = self.before_ms();
        // One without entries has no age, and goes with those behind it.
        let is_old = |(_, segment): &(_, Segment)| (1..before_ms).contains(&segment.newest_ms);
        let mut count = sealed[..droppable]
            .iter()
            .rposition(is_old)
            .map_or(0, |last| last + 1);
        count = count.max(self.count_dead(&sealed[..droppable]));
        if is_short {
            let too_much = self.too_much_bytes();
            let mut freed: u64 = sealed[..count].iter().map(|(_, s)| s.bytes).sum();
            while freed < too_much && count < droppable {
                freed += sealed[count].1.bytes;
                count += 1;
            }
        }
        if count == 0 && !(is_short && self.has_forgotten) {
            return None;
        }
        let (first, _) = sealed.get(count).unwrap_or(active);
        Some(*first)
    }

    /// How many of the first segments have nothing that may still be read; none where they
    /// take less than the checkpoint to be written for it.
    fn count_dead(&self, segments: &[(SegmentNumber, Segment)]) -> usize {
        let living = self.shared.index.lock().oldest_segment();
        let next_checkpoint = self.shared.next_checkpoint_bytes();
        let is_dead = |(number, _): &&(SegmentNumber, Segment)| living.is_none_or(|l| *number < l);
        let dead: Vec<_> = segments.iter().take_while(is_dead).collect();
        let bytes: u64 = dead.iter().map(|(_, segment)| segment.bytes).sum();
        if bytes > next_checkpoint {
            dead.len()
        } else {
            0
        }
    }

    /// How much is to go, so that it isn't to be done again at once.
    fn too_much_bytes(&self) -> u64 {
        let config = &self.shared.config;
        let slack = (4 * config.segment_bytes()).min(config.bytes / 8);
        let most = config
            .bytes
            .saturating_sub(self.shared.reserve_bytes() + slack);
        self.shared.kept_bytes().saturating_sub(most)
    }

    /// Removes what the checkpoint of this number makes superfluous.
    fn drop_below(&self, first: SegmentNumber, checkpoint: u32) -> io::Result<()> {
        let shared = &*self.shared;
        // A reader that finds a file gone looks again where the events are.
        shared.index.lock().drop_below(first);
        let dropped = {
            let mut segments = shared.segments.lock();
            let kept = segments.split_off(&first);
            let dropped = std::mem::replace(&mut *segments, kept);
            // Until their files are gone they take their room.
            let bytes: u64 = dropped.values().map(|segment| segment.bytes).sum();
            shared.spare_bytes.fetch_add(bytes, Ordering::AcqRel);
            dropped
        };
        let mut names: Vec<_> = dropped
            .iter()
            .map(|(number, _)| file_name(*number))
            .collect();
        for (name, _) in shared.files.list()? {
            if checkpoint::parse_file_name(&name).is_some_and(|number| number < checkpoint) {
                names.push(name);
            }
        }
        for name in names {
            shared.files.remove(&name)?;
        }
        shared.files.sync_names()
    }
}
