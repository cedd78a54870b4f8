//! Events that a start has found and not applied yet, by their jobs.
//!
//! What an event changes is its job's state, its ring, and what the index has of it: where thousands
//! of jobs take turns, no cache holds all that. So a job's events are gathered, and applied one
//! after the other when there are enough, or when the job's next entry is something else. They come
//! to the same, whatever comes to other jobs in between: what becomes of a job depends on its own
//! entries, and on when deletions are let go of, for which nothing waits.

use std::collections::HashMap;

use crate::event::PastEvent;
use crate::event::job::EventId;
use crate::hub::{Once, PastEntry};
use crate::sequencer::journal::record::{ChangeRecord, EntryRecord};
use crate::sequencer::journal::segment::RecordPlace;

/// The most that wait: with it they take about as much memory as a segment has bytes. A simulation
/// has to come to it.
const EVENTS_MAX: usize = if cfg!(test) { 16 } else { 1 << 16 };
/// No event's place.
const NONE: u32 = u32::MAX;

/// Events that wait, in their order.
#[derive(Default)]
pub(super) struct Backlog<'a> {
    events: Vec<(HeldEvent<'a>, u32)>,
    /// The first and the last of each job, which lead to one another.
    jobs: Vec<(&'a str, u32, u32)>,
    /// Where each job's are.
    names: HashMap<&'a str, usize>,
}

/// A job's events, the first in front.
#[derive(Clone)]
pub(super) struct Events<'b, 'a> {
    all: &'b [(HeldEvent<'a>, u32)],
    next: u32,
}

/// An event that was found.
pub(super) struct HeldEvent<'a> {
    pub entry: PastEntry<'a>,
    /// The number of the job's event before it, or zero.
    pub previous: EventId,
    pub place: RecordPlace,
}

impl<'a> HeldEvent<'a> {
    /// It, and its key, where the record is an event's that can have been accepted.
    pub fn of(
        record: &EntryRecord<'a>,
        place: RecordPlace,
    ) -> Option<(HeldEvent<'a>, Option<Box<Once>>)> {
        let ChangeRecord::Event {
            previous,
            name,
            data,
            names_its_job,
            ref terms,
        } = record.change
        else {
            return None;
        };
        let event = PastEvent::new(name, data, names_its_job)?;
        let entry = PastEntry {
            id: record.id,
            time_ms: record.time_ms,
            event,
            lease: terms.lease,
        };
        let waiting = HeldEvent {
            entry,
            previous,
            place,
        };
        Some((waiting, terms.once.clone()))
    }
}

impl<'a> Backlog<'a> {
    /// Whether it takes no more.
    pub fn is_full(&self) -> bool {
        self.events.len() >= EVENTS_MAX
    }

    /// Adds the newest event of a job.
    pub fn push(&mut self, job: &'a str, event: HeldEvent<'a>) {
        let at = self.events.len() as u32;
        self.events.push((event, NONE));
        let of_job = self.names.entry(job).or_insert(self.jobs.len());
        match self.jobs.get_mut(*of_job) {
            None => self.jobs.push((job, at, at)),
            Some((_, first, last)) => {
                match self.events.get_mut(*last as usize) {
                    Some((_, next)) => *next = at,
                    None => *first = at,
                }
                *last = at;
            }
        }
    }

    /// The place of a job among those that have or had events here.
    pub fn find(&self, job: &str) -> Option<usize> {
        self.names.get(job).copied()
    }

    /// How many such jobs there are.
    pub fn jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Takes the events of the job that has this place.
    pub fn take(&mut self, place: usize) -> (&'a str, Events<'_, 'a>) {
        let (job, first, last) = &mut self.jobs[place];
        let next = std::mem::replace(first, NONE);
        *last = NONE;
        let events = Events {
            all: &self.events,
            next,
        };
        (job, events)
    }

    /// An empty one, for what is found elsewhere, which has this one's memory.
    pub fn emptied<'b>(self) -> Backlog<'b> {
        Backlog {
            events: self.events.into_iter().map_while(|_| None).collect(),
            ..Backlog::default()
        }
    }
}

impl<'b, 'a> Iterator for Events<'b, 'a> {
    type Item = &'b HeldEvent<'a>;

    fn next(&mut self) -> Option<&'b HeldEvent<'a>> {
        let (event, next) = self.all.get(self.next as usize)?;
        self.next = *next;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequencer::journal::record::SegmentNumber;

    fn event(id: u64) -> HeldEvent<'static> {
        HeldEvent {
            entry: PastEntry {
                id: EventId(id),
                time_ms: 0,
                event: PastEvent::new("progress", "{}", false).unwrap(),
                lease: None,
            },
            previous: EventId(0),
            place: RecordPlace {
                segment: SegmentNumber(1),
                offset: 0,
                bytes: 0,
            },
        }
    }

    fn take(backlog: &mut Backlog<'_>, place: usize) -> Vec<u64> {
        let (_, events) = backlog.take(place);
        events.map(|event| event.entry.id.0).collect()
    }

    #[test]
    fn each_job_has_its_events_in_their_order_whatever_stands_between_them() {
        let mut backlog = Backlog::default();
        for (id, job) in [(1, "a"), (2, "b"), (3, "a"), (4, "a"), (5, "c"), (6, "b")] {
            backlog.push(job, event(id));
        }
        assert_eq!((backlog.jobs(), backlog.find("d")), (3, None));
        let b = backlog.find("b").unwrap();
        assert_eq!(take(&mut backlog, b), [2, 6]);
        assert_eq!(take(&mut backlog, b), [0; 0], "they are taken once");
        backlog.push("b", event(7));
        backlog.push("b", event(8));
        let all: Vec<_> = (0..backlog.jobs())
            .map(|it| take(&mut backlog, it))
            .collect();
        assert_eq!(all, [vec![1, 3, 4], vec![7, 8], vec![5]]);
        let room = backlog.events.capacity();
        let next = backlog.emptied();
        assert_eq!((next.jobs(), next.events.capacity()), (0, room));
    }
}
