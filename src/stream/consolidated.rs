//! Streams of several jobs, or of all whose names begin alike, on one connection.
//!
//! The invariant: a pass reads the newest number first and sends nothing above it, and
//! what the jobs hold below goes out in the order of the numbers. So numbers only grow,
//! and whoever has seen one has seen all before it. A stream follows names: it shows the
//! end of one life and the whole of the next.

mod resets;
mod selection;

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::MutexGuard;

use super::BATCH_MAX_BYTES;
use super::paced::Paced;
use crate::event::Pace;
use crate::event::job::{EventId, JobId};
use crate::event::resume::{LastEventId, ResetReason, Start};
use crate::event::ring::Batch;
use crate::hub::{Core, Hub, Job};
use crate::sequencer::Sequencer;
use crate::sequencer::history::Floors;
use resets::{Last, Resets};
use selection::Member;
pub use selection::{Listed, Selection};

/// Events sent to one stream in one pass.
const PASS_EVENTS: usize = 256;

/// A consolidated stream.
pub struct Consolidated {
    pub(super) selection: Selection,
    /// The number after which the stream begins.
    pub(super) after: EventId,
    resets: Resets,
    /// How many jobs had been forgotten when the stream was served last. None where it goes on
    /// for a client that hasn't been served yet.
    forgettings: Option<u64>,
    /// How often it is served, where there is a limit.
    pub(super) paced: Option<Paced>,
}

/// What there was before it was looked for what is gone.
#[derive(Clone, Copy)]
pub(super) struct Since {
    /// What was given up to this number can't be read back.
    pub kept_from: EventId,
    /// So many jobs had been forgotten.
    pub forgettings: u64,
}

/// What a batch has of a stream's events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// All up to this number.
    Whole(EventId),
    /// The oldest.
    Partly,
    /// None: some of them are no longer in their rings, and are to be read up to this number.
    Behind(EventId),
}

/// What a pass has found.
pub(super) struct PassFound {
    pub filled: Filled,
    /// What there was before.
    pub since: Since,
    /// The frames that go before the batch's.
    pub resets: Vec<u8>,
    /// There is more to send, or to look for, than the batch has.
    pub has_more: bool,
    /// The stream ends with the batch.
    pub has_ended: bool,
}

impl Consolidated {
    /// A stream of these names. One with a number of its own begins after that, or where
    /// `start` says to resume if that is later. What can't be resumed after is so for all.
    pub fn listed(sequencer: &Sequencer, names: Vec<Listed>, start: &Start) -> Consolidated {
        let hub = sequencer.hub();
        let mut stream = Consolidated::beginning(hub, start);
        let resumed = stream.resumed(hub, start);
        let unknown = unknown(start, resumed);
        let mut members = Vec::with_capacity(names.len());
        for (job, own) in names {
            let gone = gone(sequencer, &job);
            let place = own.as_ref().and_then(|own| hub.find_number(own));
            let strange = match (&own, place) {
                (Some(own), None) if resumed.is_none() => Some(text(own)),
                _ => unknown.clone(),
            };
            let floor = if let Some(last) = strange {
                let last = Last::Text(last);
                stream.resets.add(Some(&job), ResetReason::Unknown, last);
                gone.max(job.lock().floor(hub.forgotten()))
            } else if let Some(after) = place.max(resumed) {
                let floor = place.unwrap_or(EventId(0));
                if stream.say_forgotten(hub, &job, after) {
                    floor.max(gone)
                } else {
                    floor
                }
            } else {
                beginning_of(hub, &job, start, gone)
            };
            if resumed.is_none() {
                stream.after = stream.after.min(floor);
            }
            members.push(Member::new(job, floor));
        }
        stream.selection = Selection::Listed(members);
        stream
    }

    /// A stream of every job whose name begins with `prefix`.
    pub fn matching(sequencer: &Sequencer, prefix: &str, start: &Start) -> Consolidated {
        let hub = sequencer.hub();
        let mut stream = Consolidated::beginning(hub, start);
        let resumed = stream.resumed(hub, start);
        if let Some(last) = unknown(start, resumed) {
            stream
                .resets
                .add(None, ResetReason::Unknown, Last::Text(last));
        }
        let mut floors = Floors::default();
        if let Some(after) = resumed {
            stream.after = after;
            stream.forgettings = None;
        } else if *start != Start::Next {
            stream.after = hub.base();
            let mut jobs = Vec::new();
            hub.jobs_after(hub.base(), |job| jobs.push(job.clone()));
            for job in jobs
                .iter()
                .filter(|job| job.id().as_str().starts_with(prefix))
            {
                let gone = gone(sequencer, job);
                let floor = beginning_of(hub, job, start, gone);
                if floor > stream.after {
                    floors.insert(job.id().clone(), floor);
                }
            }
        }
        let prefix: Arc<str> = prefix.into();
        hub.join_matching(&prefix);
        stream.selection = Selection::Matching {
            prefix,
            floors: Arc::new(floors),
        };
        stream
    }

    /// Whether the stream has nothing to say any more: every listed job has ended and
    /// the client has seen it.
    pub fn is_over(&mut self) -> bool {
        self.resets.is_empty() && self.selection.has_ended_after(self.after)
    }

    /// Counts the stream out of its names again, where it is not going to be served.
    pub fn leave(self, hub: &Hub) {
        self.selection.leave(hub);
    }

    fn beginning(hub: &Hub, start: &Start) -> Consolidated {
        let published = hub.published();
        Consolidated {
            selection: Selection::Listed(Vec::new()),
            after: match start {
                Start::After(id) => hub.find_number(id).unwrap_or(published),
                _ => published,
            },
            resets: Resets::default(),
            forgettings: Some(hub.forgettings()),
            paced: None,
        }
    }

    /// Has it served so often at most.
    pub fn set_pace(&mut self, pace: Pace) {
        self.paced = Some(Paced::new(pace));
    }

    /// Whether it isn't to be served now.
    pub(super) fn rests_at(&mut self, now: Instant) -> bool {
        self.paced.as_mut().is_some_and(|paced| paced.rests_at(now))
    }

    /// Whether it gets the newest progress only.
    pub(super) fn is_paced(&self) -> bool {
        self.paced.is_some()
    }

    fn resumed(&self, hub: &Hub, start: &Start) -> Option<EventId> {
        match start {
            Start::After(id) => hub.find_number(id).map(|_| self.after),
            _ => None,
        }
    }

    /// Says of a job that began after the client's number that it may have had a life
    /// before, where that may be so. Returns whether it did.
    fn say_forgotten(&mut self, hub: &Hub, job: &Arc<Job>, after: EventId) -> bool {
        let may_be = {
            let core = job.lock();
            let is_new = core.life().is_none_or(|life| life.began > after);
            is_new && !core.has_had_by(after) && after < hub.forgotten()
        };
        if may_be {
            self.resets
                .add(Some(job), ResetReason::Expired, Last::Number(after));
        }
        may_be
    }

    /// Fills the batch with what comes next for a client that has everything up to `after`.
    pub(super) fn pass(
        &mut self,
        sequencer: &Sequencer,
        after: EventId,
        batch: &mut Batch,
    ) -> PassFound {
        let hub = sequencer.hub();
        let published = hub.published();
        let paced = self.paced.as_mut();
        let upto = paced.map_or(published, |paced| paced.begin(published));
        let since = Since {
            kept_from: sequencer.order().kept_from(),
            forgettings: hub.forgettings(),
        };
        let filled = self.fill(sequencer, after, upto, since, batch);
        if let Some(paced) = &mut self.paced {
            paced.note(!batch.ends.is_empty() || matches!(filled, Filled::Behind(_)));
        }
        let before_first = match (batch.ends.first(), filled) {
            (Some(&(first, _)), _) => first - 1,
            (None, Filled::Whole(upto)) => upto.0,
            (None, Filled::Partly) => batch.after,
            (None, Filled::Behind(_)) => after.0,
        };
        batch.after = before_first.max(after.0);
        hub.metrics().resets_sent.add(self.resets.len() as u64);
        let resets = self.resets.take(after, EventId(batch.after));
        let has_ended = match filled {
            // All up to the number that was read is in the batch, of these jobs or not.
            Filled::Whole(upto) => self
                .selection
                .has_ended_after(EventId(batch.newest().max(upto.0))),
            _ => false,
        };
        PassFound {
            filled,
            since,
            resets,
            has_more: filled != Filled::Whole(upto),
            has_ended,
        }
    }

    /// Says where jobs of a stream that lists none by name have been forgotten.
    fn tell_forgotten(&mut self, hub: &Hub, after: EventId, since: Since) {
        if !matches!(self.selection, Selection::Matching { .. }) {
            return;
        }
        let has_missed = match self.forgettings {
            None => hub.forgotten() > after,
            Some(count) => {
                let is_followed = |job: &JobId| self.selection.follows(job);
                hub.has_forgotten(count, after, is_followed)
            }
        };
        if has_missed {
            self.resets
                .add(None, ResetReason::Expired, Last::Number(after));
        }
        self.forgettings = Some(since.forgettings);
    }

    /// The newest number of a job that its ring can't give the stream.
    fn missed(&self, core: &Core) -> EventId {
        match self.paced {
            None => core.ring().gone(),
            Some(_) => core.ring().missed(),
        }
    }

    /// The job, and the newest number of it that is to be had no more, as far as that matters to
    /// a stream that has `after`.
    fn lock_with_gone<'a>(
        &self,
        sequencer: &Sequencer,
        job: &'a Job,
        after: EventId,
    ) -> (MutexGuard<'a, Core>, EventId) {
        let mut history = history(sequencer, job, after);
        let mut core = job.lock();
        if history.is_none() && self.missed(&core) > after {
            // Its ring has moved on since it was looked at.
            drop(core);
            history = sequencer.order().history(job.id());
            core = job.lock();
        }
        let gone = if self.missed(&core) > after {
            core.gone(history)
        } else {
            EventId(0)
        };
        (core, gone)
    }

    /// Fills the batch with a stream's events after `after` and up to `upto`, oldest
    /// first, and notes what is missing.
    fn fill(
        &mut self,
        sequencer: &Sequencer,
        after: EventId,
        mut upto: EventId,
        since: Since,
        batch: &mut Batch,
    ) -> Filled {
        let hub = sequencer.hub();
        batch.clear();
        let jobs = self.selection.with_news(hub, after);
        // Looked at after the jobs: one that is gone from among them is found here.
        self.tell_forgotten(hub, after, since);
        // The oldest numbers of all jobs; a job is left as soon as it can't have any.
        let mut oldest = BinaryHeap::new();
        let mut is_whole = true;
        let mut is_behind = false;
        for (index, (job, floor)) in jobs.iter().enumerate() {
            let mut from = after.max(*floor);
            if self.is_paced() && from >= upto {
                // What has gone since is looked for when its time has come.
                continue;
            }
            let (core, gone) = self.lock_with_gone(sequencer, job, from);
            // What has gone above the number that this pass goes up to is told of by the next: a
            // reset's number is the one before what follows.
            let gone = gone.min(upto);
            if gone > from {
                self.resets
                    .add(Some(job), ResetReason::Expired, Last::Number(from));
                from = gone;
                self.selection.raise_floor(job, gone);
            }
            is_behind |= from < upto && self.missed(&core) > from;
            is_whole &= match self.paced {
                None => add_oldest(&mut oldest, index, core.ring().numbers(from, upto)),
                Some(_) => add_oldest(&mut oldest, index, core.ring().newest_numbers(from, upto)),
            };
        }
        let mut oldest = oldest.into_sorted_vec();
        if is_behind {
            // What can't be read back, and is in rings, comes from there, in its place.
            let in_rings = since.kept_from.min(upto);
            if in_rings <= after {
                return Filled::Behind(upto);
            }
            is_whole |= oldest.last().is_some_and(|&(newest, _)| newest > in_rings);
            oldest.retain(|&(number, _)| number <= in_rings);
            upto = in_rings;
        }
        for (number, index) in oldest {
            let core = jobs[index].0.lock();
            if batch.bytes.len() >= BATCH_MAX_BYTES || !core.ring().copy_one(number, batch) {
                // The rest is for the next pass, which also tells of what has gone since. What
                // this one tells of is what has gone before it.
                if !self.resets.is_empty() {
                    batch.after = number.0 - 1;
                }
                return Filled::Partly;
            }
        }
        if is_whole {
            Filled::Whole(upto)
        } else {
            Filled::Partly
        }
    }
}

/// Adds to the oldest numbers of all jobs those of another. False where there are more.
fn add_oldest(
    oldest: &mut BinaryHeap<(EventId, usize)>,
    index: usize,
    numbers: impl Iterator<Item = EventId>,
) -> bool {
    let mut is_whole = true;
    for number in numbers {
        if oldest.len() == PASS_EVENTS {
            is_whole = false;
            if oldest.peek().is_some_and(|&(newest, _)| number > newest) {
                break;
            }
            oldest.pop();
        }
        oldest.push((number, index));
    }
    is_whole
}

/// The number before the oldest event of a job that can be read back, for a reader that
/// has `after`, where its ring hasn't all that follows.
pub(super) fn history(sequencer: &Sequencer, job: &Job, after: EventId) -> Option<EventId> {
    if job.lock().ring().gone() <= after {
        return None;
    }
    sequencer.order().history(job.id())
}

/// The newest number of a job whose event isn't to be had any more.
fn gone(sequencer: &Sequencer, job: &Job) -> EventId {
    let in_ring = job.lock().ring().gone();
    if in_ring == EventId(0) {
        return in_ring;
    }
    let history = sequencer.order().history(job.id());
    job.lock().gone(history)
}

/// The number after which a job begins on a stream that resumes nothing.
fn beginning_of(hub: &Hub, job: &Job, start: &Start, gone: EventId) -> EventId {
    let core = job.lock();
    let floor = gone.max(core.floor(hub.forgotten()));
    match start {
        Start::Next => hub.published(),
        Start::Newest => core
            .ring()
            .newest()
            .map_or(floor, |newest| floor.max(EventId(newest.0 - 1))),
        _ => floor,
    }
}

/// What the client said to resume after, where that is no number that was given.
fn unknown(start: &Start, resumed: Option<EventId>) -> Option<Arc<str>> {
    match start {
        Start::After(id) if resumed.is_none() => Some(text(id)),
        _ => None,
    }
}

fn text(id: &LastEventId) -> Arc<str> {
    id.to_string().into()
}
