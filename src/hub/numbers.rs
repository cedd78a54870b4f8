//! Ids and sequence numbers: which have been given, and what is remembered of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::{Hub, Job};
use crate::event::job::{EventId, JobId, Sequence};
use crate::sequencer::journal::{NUMBER_MAX, Origin};

/// How many forgotten jobs' last ids are remembered one by one. Beyond them the
/// oldest are folded into one floor for all: ids then skip numbers and still never
/// repeat.
const GRAVES_MAX: usize = 10_000;

/// The last numbers of forgotten jobs, so that a job of the same name goes on above
/// them, and its streams know what is gone.
pub(super) struct Graves {
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

impl Graves {
    /// None yet. Jobs' ids begin above `base`.
    pub fn above(base: u64) -> Graves {
        Graves {
            last: HashMap::new(),
            by_age: VecDeque::new(),
            floor: Numbers {
                id: EventId(base),
                sequence: Sequence(0),
            },
        }
    }

    pub fn last_of(&self, id: &JobId) -> Numbers {
        self.last
            .get(id)
            .map_or(self.floor, |last| last.max(self.floor))
    }

    pub fn add(&mut self, id: JobId, last: Numbers) {
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

impl Hub {
    /// A job of that name, of which the journal has the events after `last`.
    pub(super) fn go_on(
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
    pub(super) fn reach(&self, sequence: Sequence) {
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
}
