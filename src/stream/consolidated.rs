//! Streams of several jobs, or of all: one connection, ids that are the hub's numbers.
//!
//! The invariant: a pass reads the hub's newest number first and sends nothing above
//! it, and what the jobs hold below goes out in the order of the numbers. So ids only
//! grow, and whoever has seen one has seen all before it.

use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::Shard;
use super::delivery::{BATCH_MAX_BYTES, Sent};
use super::table::{CONSOLIDATED, ENDING, HAS_LEFTOVER};
use crate::event::frame;
use crate::event::job::{JobId, Sequence};
use crate::event::resume::{LastEventId, ResetReason, Start};
use crate::hub::{Hub, Job};
use crate::sys::socket::Socket;

/// Events sent to one stream in one pass.
const PASS_EVENTS: usize = 256;
/// The name that a `reset` has on a stream of every job, where no one job is meant.
const EVERY_JOB: &str = "*";

/// A consolidated stream.
pub struct Consolidated {
    selection: Selection,
    /// The number after which the stream begins.
    after: Sequence,
    /// Resets that are due: job, reason, the client's id.
    resets: Vec<(String, ResetReason, String)>,
    /// Numbers of forgotten jobs up to which the client has been told.
    forgotten: Sequence,
}

/// The jobs of a consolidated stream.
pub enum Selection {
    /// These, each of which has counted the stream in.
    Listed(Vec<Source>),
    /// Every job there is and will be, and where some of them begin.
    All(Arc<HashMap<JobId, Sequence>>),
}

/// A job to follow, and the id after which it is to begin, where it has one of its own.
pub type Listed = (Arc<Job>, Option<LastEventId>);

/// A job of a consolidated stream.
pub struct Source {
    /// The job.
    pub job: Arc<Job>,
    /// Its events up to this number are not missed: the stream began after them, or
    /// has said that they are gone.
    pub floor: Sequence,
}

/// What a batch has of a stream's events.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filled {
    /// All.
    Whole,
    /// The oldest.
    Partly,
    /// None: some of them are in the journal only.
    Behind,
}

/// The consolidated streams of a shard.
#[derive(Default)]
pub(super) struct Streams {
    places: Vec<Option<Consolidated>>,
    free: Vec<u32>,
    /// Rows that follow every job.
    all: Vec<u32>,
}

impl Consolidated {
    /// A stream of `jobs`, or of all where none are given. A job with an id of its own
    /// begins after that one, or where `start` says to resume if that is later.
    pub fn new(hub: &Hub, jobs: Option<Vec<Listed>>, start: &Start) -> Consolidated {
        let (base, published) = (hub.base(), hub.published());
        let known = |id: &LastEventId| match id {
            LastEventId::Number(id)
                if (base.0..=published.0).contains(id) && !hub.is_lost(Sequence(*id)) =>
            {
                Some(Sequence(*id))
            }
            _ => None,
        };
        let resumed = match start {
            Start::After(id) => known(id),
            _ => None,
        };
        let unknown = match start {
            Start::After(id) if resumed.is_none() => Some(id),
            _ => None,
        };
        let mut after = match start {
            Start::Next => published,
            _ => resumed.unwrap_or(base),
        };
        let floor_of = |job: &Arc<Job>| {
            let core = job.lock();
            let gone = core.gone_sequence();
            match start {
                Start::After(_) if resumed.is_some() => Sequence(0),
                Start::Next => published,
                Start::Newest => Sequence(
                    core.ring()
                        .newest_sequence()
                        .map_or(gone.0, |s| s.0.saturating_sub(1)),
                ),
                _ => gone,
            }
        };
        // What was missing when this life began is said at the beginning of a stream.
        let is_broken = |job: &Arc<Job>, after: Sequence| job.lock().broken() > after;
        let mut broken = Vec::new();
        let mut resets = Vec::new();
        let mut reset = |job: &str, id: &LastEventId| {
            resets.push((job.to_owned(), ResetReason::Unknown, id.to_string()));
        };
        let selection = match jobs {
            Some(jobs) => {
                let source = |(job, own): Listed| {
                    let floor = match (own.as_ref(), own.as_ref().and_then(known)) {
                        (_, Some(place)) => {
                            if is_broken(&job, resumed.unwrap_or(place).max(place)) {
                                broken.push(job.id().as_str().to_owned());
                            }
                            place
                        }
                        (Some(id), None) if resumed.is_none() => {
                            reset(job.id().as_str(), id);
                            job.lock().gone_sequence()
                        }
                        _ => {
                            if let Some(id) = unknown {
                                reset(job.id().as_str(), id);
                            } else if resumed.is_some_and(|after| is_broken(&job, after)) {
                                broken.push(job.id().as_str().to_owned());
                            }
                            floor_of(&job)
                        }
                    };
                    if resumed.is_none() {
                        after = after.min(floor);
                    }
                    Source { job, floor }
                };
                Selection::Listed(jobs.into_iter().map(source).collect())
            }
            None => {
                if let Some(id) = unknown {
                    reset(EVERY_JOB, id);
                }
                let mut floors = HashMap::new();
                hub.jobs_after(after, |job| {
                    let is_broken = || resumed.is_some_and(|after| is_broken(job, after));
                    if broken.is_empty() && is_broken() {
                        broken.push(EVERY_JOB.to_owned());
                    }
                    let floor = floor_of(job);
                    if floor > after {
                        floors.insert(job.id().clone(), floor);
                    }
                });
                Selection::All(Arc::new(floors))
            }
        };
        for job in broken {
            resets.push((job, ResetReason::Expired, after.0.to_string()));
        }
        let forgotten = match start {
            Start::After(_) if resumed.is_some() => after,
            _ => hub.newest_forgotten(),
        };
        Consolidated {
            selection,
            after,
            resets,
            forgotten,
        }
    }

    /// Whether the stream has nothing to say any more: every listed job has ended and
    /// the client has seen it.
    pub fn is_over(&self) -> bool {
        self.resets.is_empty() && self.has_ended_after(self.after)
    }

    /// Counts the stream out of its jobs again, where it is not going to be served.
    pub fn leave(self, hub: &Hub) {
        if let Selection::Listed(sources) = self.selection {
            for source in sources {
                if source.job.lock().leave() {
                    hub.close_if_empty(&source.job);
                }
            }
        }
    }

    fn has_ended_after(&self, after: Sequence) -> bool {
        let Selection::Listed(sources) = &self.selection else {
            return false;
        };
        sources.iter().all(|source| {
            let core = source.job.lock();
            core.is_forgotten()
                || core.ended().is_some() && {
                    let newest = core.ring().newest_sequence().unwrap_or(Sequence(0));
                    newest <= after.max(source.floor)
                }
        })
    }

    /// The jobs with events after `after`.
    fn jobs_with_news(&self, hub: &Hub, after: Sequence) -> Vec<(Arc<Job>, Sequence)> {
        let mut jobs = Vec::new();
        match &self.selection {
            Selection::Listed(sources) => {
                for source in sources.iter().filter(|s| s.job.newest_sequence() > after) {
                    jobs.push((source.job.clone(), source.floor));
                }
            }
            Selection::All(floors) => hub.jobs_after(after, |job| {
                let floor = floors.get(job.id()).copied().unwrap_or(Sequence(0));
                jobs.push((job.clone(), floor));
            }),
        }
        jobs
    }

    fn raise_floor(&mut self, job: &Arc<Job>, floor: Sequence) {
        match &mut self.selection {
            Selection::Listed(sources) => {
                let mut sources = sources.iter_mut();
                if let Some(source) = sources.find(|source| Arc::ptr_eq(&source.job, job)) {
                    source.floor = floor;
                }
            }
            Selection::All(floors) => {
                Arc::make_mut(floors).insert(job.id().clone(), floor);
            }
        }
    }
}

impl Shard {
    pub(super) fn adopt_consolidated(&mut self, socket: Socket, stream: Consolidated) -> u32 {
        let place = self.streams.free.pop().unwrap_or_else(|| {
            self.streams.places.push(None);
            self.streams.places.len() as u32 - 1
        });
        let after = stream.after.0;
        let row = self
            .table
            .insert(socket, place, after, HAS_LEFTOVER | CONSOLIDATED);
        match &stream.selection {
            Selection::All(_) => {
                self.streams.all.push(row);
                self.hub.follow_all(self.number, true);
            }
            Selection::Listed(sources) => {
                let jobs: Vec<_> = sources.iter().map(|source| source.job.clone()).collect();
                for job in jobs {
                    let slot = self.follow(&job);
                    if let Some(Some(followed)) = self.jobs.get_mut(slot as usize) {
                        followed.consolidated.push(row);
                    }
                }
            }
        }
        self.streams.places[place as usize] = Some(stream);
        row
    }

    pub(super) fn leave_consolidated(&mut self, row: u32, place: u32) {
        let Some(stream) = self.streams.places[place as usize].take() else {
            return;
        };
        self.streams.free.push(place);
        match &stream.selection {
            Selection::All(_) => {
                self.streams.all.retain(|&other| other != row);
                if self.streams.all.is_empty() {
                    self.hub.follow_all(self.number, false);
                }
            }
            Selection::Listed(sources) => {
                for source in sources {
                    let slot = source.job.lock().slot_in(self.number);
                    let Some(slot) = slot else { continue };
                    if let Some(Some(followed)) = self.jobs.get_mut(slot as usize) {
                        followed.consolidated.retain(|&other| other != row);
                    }
                    self.unfollow_if_unused(slot);
                }
            }
        }
        stream.leave(&self.hub);
    }

    pub(super) fn queue_followers_of_all(&mut self) {
        for index in 0..self.streams.all.len() {
            self.queue_row(self.streams.all[index]);
        }
    }

    pub(super) fn serve_consolidated(&mut self, row: u32) {
        let (after, place) = (Sequence(self.table[row].after), self.table[row].place);
        let Some(mut stream) = self.streams.places[place as usize].take() else {
            return;
        };
        let upto = self.hub.published();
        let filled = self.fill(&mut stream, after, upto);
        let is_whole = filled == Filled::Whole;

        let before_first = match self.batch.ends.first() {
            Some(&(first, _)) => first - 1,
            None if is_whole => upto.0,
            None => after.0,
        };
        let before_first = before_first.max(after.0);
        let mut resets = Vec::new();
        let due = stream.resets.len();
        for (index, (job, reason, id)) in stream.resets.drain(..).enumerate() {
            // Only the last one moves the client on: cut off between two, it is told of
            // the second again.
            let number = if index + 1 == due {
                before_first
            } else {
                after.0
            };
            frame::write_reset(&mut resets, &job, reason, &id, number);
        }
        self.hub.metrics().resets_sent.add(due as u64);
        if !resets.is_empty() {
            self.add_leftover(row, &resets);
        }
        self.batch.after = before_first;
        let mut has_ended = false;
        if is_whole {
            // All up to the number that was read is in the batch, of these jobs or not.
            let newest = self.batch.newest().max(upto.0);
            has_ended = stream.has_ended_after(Sequence(newest));
            self.table[row].after = self.table[row].after.max(before_first);
        }
        if filled == Filled::Behind {
            self.read_hub(row, &stream.selection, upto);
            self.streams.places[place as usize] = Some(stream);
            return;
        }
        self.forget_reading(row);
        self.streams.places[place as usize] = Some(stream);
        let sent = self.send(row, 0, has_ended);
        if let Some(there) = self.table.get(row)
            && let Some(Some(stream)) = self.streams.places.get_mut(place as usize)
            && let Selection::All(floors) = &mut stream.selection
        {
            let after = there.after;
            if !floors.is_empty() {
                Arc::make_mut(floors).retain(|_, floor| floor.0 > after);
            }
        }
        if sent == Sent::All {
            if !is_whole {
                self.queue_row(row);
            } else {
                // It is caught up with what was published: the jobs that it doesn't list
                // have nothing for it there.
                self.table[row].after = self.table[row].after.max(upto.0);
                if self.table[row].flags & ENDING != 0 {
                    self.end_with_retry(row);
                }
            }
        }
    }

    /// Fills the batch with a stream's events after `after` and up to `upto`, oldest
    /// first, and notes what is missing.
    fn fill(&mut self, stream: &mut Consolidated, after: Sequence, upto: Sequence) -> Filled {
        self.batch.clear();
        let jobs = stream.jobs_with_news(&self.hub, after);
        // Read after the jobs: one that is gone from among them has been counted here.
        let forgotten = self.hub.newest_forgotten();
        if matches!(stream.selection, Selection::All(_)) && forgotten > after.max(stream.forgotten)
        {
            let id = after.0.to_string();
            stream
                .resets
                .push((EVERY_JOB.to_owned(), ResetReason::Expired, id));
            stream.forgotten = forgotten;
        }
        // The oldest numbers of all jobs; a job is left as soon as it can't have any.
        let mut oldest = BinaryHeap::new();
        let mut is_whole = true;
        let mut is_behind = false;
        for (index, (job, floor)) in jobs.iter().enumerate() {
            let core = job.lock();
            let mut from = after.max(*floor);
            let gone = core.gone_sequence();
            if gone > from {
                let id = from.0.to_string();
                stream
                    .resets
                    .push((job.id().as_str().to_owned(), ResetReason::Expired, id));
                from = gone;
                stream.raise_floor(job, gone);
            }
            is_behind |= core.ring().evicted_sequence() > from;
            for number in core.ring().sequences(from, upto) {
                if oldest.len() == PASS_EVENTS {
                    is_whole = false;
                    if oldest.peek().is_some_and(|&(newest, _)| number > newest) {
                        break;
                    }
                    oldest.pop();
                }
                oldest.push((number, index));
            }
        }
        if is_behind {
            return Filled::Behind;
        }
        for (number, index) in oldest.into_sorted_vec() {
            if self.batch.bytes.len() >= BATCH_MAX_BYTES
                || !jobs[index]
                    .0
                    .lock()
                    .ring()
                    .copy_numbered(number, &mut self.batch)
            {
                // The rest is for the next pass, which also tells of what has gone since.
                return Filled::Partly;
            }
        }
        match is_whole {
            true => Filled::Whole,
            false => Filled::Partly,
        }
    }
}
