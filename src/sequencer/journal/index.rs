//! Where each job's events are.
//!
//! The invariant: what the index has of a job is exactly what may still be read of it.
//! Events of a life that was deleted, replaced or forgotten aren't in it, wherever their
//! records are; those of a life that ended and was followed by another are.

use std::collections::HashMap;

use parking_lot::{Mutex, MutexGuard};

use super::record::SegmentNumber;
use super::segment::Place;
use crate::event::job::{EventId, JobId};

/// A job's events in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The segment.
    pub segment: SegmentNumber,
    /// Where the first of them begins, in bytes.
    pub offset: u32,
    /// Where the last of them ends.
    pub end: u32,
    /// The number of the job's event before the first of them; zero where there is none.
    pub before: EventId,
}

/// A job's events.
#[derive(Clone, Debug)]
pub struct Known {
    /// No event of it has a lower number: those that have are void.
    pub first: EventId,
    /// The newest.
    pub newest: EventId,
    /// The one before it; zero where there is none.
    pub before_newest: EventId,
    /// Where they are, oldest first. Of older ones it is known that there were some.
    pub spans: Vec<Span>,
}

/// All jobs that have events.
#[derive(Default)]
pub struct Index(Mutex<Jobs>);

/// What the index's lock guards.
#[derive(Default)]
pub struct Jobs(HashMap<JobId, Known>);

impl Index {
    /// All jobs. The lock is held for moments, and never across a system call.
    pub fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.0.lock()
    }
}

impl Jobs {
    /// What is known of a job.
    pub fn get(&self, job: &str) -> Option<&Known> {
        self.0.get(job)
    }

    /// The job's name, where it has events already: another handle costs nothing.
    pub fn name(&self, job: &str) -> Option<JobId> {
        self.0.get_key_value(job).map(|(name, _)| name.clone())
    }

    /// The number of the job's newest event; zero where it has none.
    pub fn newest(&self, job: &str) -> EventId {
        self.0.get(job).map_or(EventId(0), |known| known.newest)
    }

    /// Adds a job's newest event.
    pub fn append(&mut self, job: &JobId, id: EventId, place: Place) {
        let known = match self.0.get_mut(job) {
            Some(known) => known,
            None => {
                let known = Known {
                    first: id,
                    newest: EventId(0),
                    before_newest: EventId(0),
                    spans: Vec::new(),
                };
                self.0.entry(job.clone()).or_insert(known)
            }
        };
        let end = place.offset + place.bytes;
        match known.spans.last_mut() {
            Some(last) if last.segment == place.segment => last.end = end,
            _ => {
                // Most jobs are in one segment.
                known.spans.reserve_exact(1);
                known.spans.push(Span {
                    segment: place.segment,
                    offset: place.offset,
                    end,
                    before: known.newest,
                });
            }
        }
        known.before_newest = known.newest;
        known.newest = id;
    }

    /// Puts a job back, of which nothing is here but that it had these.
    pub fn load(&mut self, job: &JobId, newest: EventId, before_newest: EventId) {
        let known = Known {
            first: EventId(newest.0 + 1),
            newest,
            before_newest,
            spans: Vec::new(),
        };
        self.0.insert(job.clone(), known);
    }

    /// Events before `id` are missing, the last of which was `previous`.
    pub fn miss(&mut self, job: &JobId, previous: EventId) {
        match self.0.get_mut(job) {
            Some(known) => {
                known.before_newest = known.newest;
                known.newest = previous;
            }
            None => self.load(job, previous, EventId(0)),
        }
    }

    /// What there is of a job is void.
    pub fn remove(&mut self, job: &str) {
        self.0.remove(job);
    }

    /// Segments below this one are no more.
    pub fn drop_below(&mut self, first: SegmentNumber) {
        for known in self.0.values_mut() {
            let dropped = known.spans.partition_point(|span| span.segment < first);
            known.spans.drain(..dropped);
        }
    }
}

impl Known {
    /// The first of the spans that are in this segment or behind it.
    pub fn first_span_from(&self, first: SegmentNumber) -> Option<&Span> {
        self.spans.iter().find(|span| span.segment >= first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(segment: u32, offset: u32) -> Place {
        Place {
            segment: SegmentNumber(segment),
            offset,
            bytes: 10,
        }
    }

    #[test]
    fn a_job_has_a_span_in_each_segment_and_keeps_what_it_had_in_those_that_are_dropped() {
        let index = Index::default();
        let mut jobs = index.lock();
        let job: JobId = "j".parse().unwrap();
        for (id, segment, offset) in [(3, 1, 8), (5, 1, 30), (9, 2, 8), (12, 4, 50)] {
            jobs.append(&job, EventId(id), place(segment, offset));
        }
        let spans = &jobs.get("j").unwrap().spans;
        let told: Vec<_> = spans
            .iter()
            .map(|s| (s.offset, s.end, s.before.0))
            .collect();
        assert_eq!(told, [(8, 40, 0), (8, 18, 5), (50, 60, 9)]);
        jobs.drop_below(SegmentNumber(3));
        let known = jobs.get("j").unwrap();
        assert_eq!(known.spans.len(), 1);
        assert_eq!(known.spans[0].before, EventId(9));
        jobs.drop_below(SegmentNumber(5));
        assert_eq!(jobs.newest("j"), EventId(12));
        jobs.append(&job, EventId(20), place(5, 8));
        assert_eq!(jobs.get("j").unwrap().spans[0].before, EventId(12));
        jobs.remove("j");
        assert_eq!(jobs.newest("j"), EventId(0));
    }
}
