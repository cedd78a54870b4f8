//! Streams that are served so many times a second at most, and get of each job's progress the
//! newest then.
//!
//! The rows of a job that have a pace in common are a strand: a list of their own, which is
//! walked as a job's other rows are. A walk goes up to the number that was the newest when it
//! began, and all of the strand's rows get the same. After it the strand rests, whatever news
//! there is, but for the end of the job's life. So it is the strand that has a timer, and no
//! row. A consolidated stream does the same by itself.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::table::{NEWS, NONE, RESTS};
use super::{Shard, ShardJob};
use crate::event::Pace;
use crate::event::job::EventId;
use crate::hub::Job;

/// What the rows of a strand have in common, besides their job.
pub(super) struct Strand {
    pub pace: Pace,
    /// The place of the job itself.
    pub job: u32,
    /// Its rows get what is numbered up to here.
    pub upto: EventId,
    /// Nothing more is sent before then.
    rests_until: Option<Instant>,
}

/// Who rests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Resting {
    Strand(u32),
    Row(u32),
}

/// Until when they rest.
#[derive(Default)]
pub(super) struct Rests {
    ends: BinaryHeap<Reverse<(Instant, Resting)>>,
    /// One was added since the shard last looked how long it may sleep.
    pub has_new: bool,
}

impl Rests {
    fn add(&mut self, until: Instant, who: Resting) {
        self.ends.push(Reverse((until, who)));
        self.has_new = true;
    }

    /// How long until the next one ends. None where nobody rests.
    pub fn until_next(&self, now: Instant) -> Option<Duration> {
        let next = self.ends.peek();
        next.map(|Reverse((until, _))| until.saturating_duration_since(now))
    }
}

impl Shard {
    /// The place of those rows of a job that have this pace, for one that has `after`.
    pub(super) fn follow_paced(&mut self, job: &Arc<Job>, pace: Pace, after: EventId) -> u32 {
        let parent = self.follow(job);
        let of_pace = |slot: &u32| {
            let followed = self.jobs[*slot as usize].as_ref();
            followed.is_some_and(|it| it.strand.as_ref().is_some_and(|it| it.pace == pace))
        };
        let strands = |shard: &Shard| {
            let followed = shard.jobs[parent as usize].as_ref();
            followed.map_or(Vec::new(), |it| it.strands.clone())
        };
        if let Some(slot) = strands(self).into_iter().find(of_pace) {
            return slot;
        }
        // Its first row is served at once, with what there is.
        let upto = job.lock().newest();
        let until = (upto > after).then(|| self.now + pace.interval());
        let slot = self.place(ShardJob {
            strand: Some(Box::new(Strand {
                pace,
                job: parent,
                upto,
                rests_until: until,
            })),
            ..ShardJob::new(job.clone())
        });
        if let Some(until) = until {
            self.rests.add(until, Resting::Strand(slot));
        }
        if let Some(followed) = &mut self.jobs[parent as usize] {
            followed.strands.push(slot);
        }
        slot
    }

    /// Up to which number a row of one job is sent what there is.
    pub(super) fn upto(&self, slot: u32) -> Option<EventId> {
        let followed = self.jobs.get(slot as usize)?.as_ref()?;
        followed.strand.as_ref().map(|strand| strand.upto)
    }

    /// There is news for a job's strands.
    pub(super) fn tell_strands(&mut self, slot: u32) {
        let count = |shard: &Shard| {
            shard.jobs[slot as usize]
                .as_ref()
                .map_or(0, |it| it.strands.len())
        };
        for index in 0..count(self) {
            if let Some(followed) = &self.jobs[slot as usize] {
                self.tell_strand(followed.strands[index]);
            }
        }
    }

    /// Has a strand walked where there is news for it, unless it rests.
    pub(super) fn tell_strand(&mut self, slot: u32) {
        let Some(Some(followed)) = self.jobs.get_mut(slot as usize) else {
            return;
        };
        // One that is being walked is told when that is done.
        let is_free = !followed.queued && followed.walk == NONE;
        let Some(strand) = followed.strand.as_mut().filter(|_| is_free) else {
            return;
        };
        let core = followed.job.lock();
        let (newest, is_over) = (core.newest(), core.is_over());
        drop(core);
        // Nobody waits for the end.
        if newest <= strand.upto || strand.rests_until.is_some() && !is_over {
            return;
        }
        let until = self.now + strand.pace.interval();
        strand.upto = newest;
        strand.rests_until = Some(until);
        self.rests.add(until, Resting::Strand(slot));
        self.queue_job(slot);
    }

    /// There is news for a consolidated row.
    pub(super) fn tell_row(&mut self, row: u32) {
        match self.table.get(row) {
            Some(there) if there.flags & RESTS != 0 => there.flags |= NEWS,
            _ => self.queue_row(row),
        }
    }

    /// A consolidated row has all that there was when it was begun to be served: it rests, where
    /// it has a pace.
    pub(super) fn rest_row(&mut self, row: u32, place: u32) {
        let Some(Some(stream)) = self.streams.places.get_mut(place as usize) else {
            return;
        };
        let Some(paced) = &mut stream.paced else {
            return;
        };
        let until = paced.rest(self.now);
        // What has come meanwhile wasn't taken for news.
        let has_news = self.hub.published().0 > self.table[row].after;
        let Some(until) = until else {
            if has_news {
                self.queue_row(row);
            }
            return;
        };
        self.table[row].flags |= if has_news { RESTS | NEWS } else { RESTS };
        self.rests.add(until, Resting::Row(row));
    }

    /// Has those served whose rest has ended, and that there is news for.
    pub(super) fn end_rests(&mut self) {
        while let Some(&Reverse((until, who))) = self.rests.ends.peek()
            && until <= self.now
        {
            self.rests.ends.pop();
            match who {
                Resting::Strand(slot) => {
                    let followed = self.jobs.get_mut(slot as usize);
                    let strand = followed.and_then(|it| it.as_mut()?.strand.as_mut());
                    // The place may have become another's.
                    if let Some(strand) = strand.filter(|it| it.rests_until == Some(until)) {
                        strand.rests_until = None;
                        self.tell_strand(slot);
                    }
                }
                Resting::Row(row) => self.end_rest_of_row(row, until),
            }
        }
    }

    fn end_rest_of_row(&mut self, row: u32, until: Instant) {
        let Some(there) = self.table.get(row).filter(|it| it.flags & RESTS != 0) else {
            return;
        };
        let stream = self.streams.places.get_mut(there.place as usize);
        let paced = stream.and_then(|stream| stream.as_mut()?.paced.as_mut());
        if paced.is_some_and(|paced| paced.wake(until)) {
            let has_news = there.flags & NEWS != 0;
            there.flags &= !(RESTS | NEWS);
            if has_news {
                self.queue_row(row);
            }
        }
    }
}
