//! Where each job's events are.
//!
//! The invariant: what the index has of a job is exactly what may still be read of it.
//! Events of a life that was deleted, replaced or forgotten aren't in it, wherever their
//! records are; those of a life that ended and was followed by another are, whatever became of
//! that. Of a life that was deleted or replaced there is the entry that did it: streams of
//! several jobs show it.

use std::collections::HashMap;

use parking_lot::{Mutex, MutexGuard};

use super::record::SegmentNumber;
use super::segment::RecordPlace;
use crate::event::job::{EventId, JobId, JobIdHasher};

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
#[derive(Clone, Debug, Default)]
pub struct KnownJob {
    /// No event of it has a lower number.
    first: EventId,
    /// Lives of which the events are void.
    voids: Vec<Void>,
    /// What came before its newest life has no higher number than this; zero where nothing is
    /// known to have.
    before_newest_life: EventId,
    /// The newest.
    pub newest: EventId,
    /// The one before it; zero where there is none.
    pub before_newest: EventId,
    /// What was forgotten before the first of them has no higher number than this.
    pub floor: EventId,
    /// About what the newest takes in a checkpoint.
    newest_bytes: u32,
    /// Where they are, oldest first. Of older ones it is known that there were some.
    pub spans: Vec<Span>,
}

/// A life that was deleted or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Void {
    /// What came before it has no higher number than this.
    after: EventId,
    /// The entry that ended it, which streams show.
    by: EventId,
}

/// All jobs that have events.
#[derive(Default)]
pub struct Index(Mutex<IndexedJobs>);

/// What the index's lock guards.
#[derive(Default)]
pub struct IndexedJobs {
    known: HashMap<JobId, KnownJob, JobIdHasher>,
    /// What the newest events of all take together.
    newest_bytes: u64,
}

/// About what a checkpoint says of a job besides its name and its newest event.
const JOB_BYTES: usize = 96;

impl Index {
    /// All jobs. The lock is held for moments, and never across a system call.
    pub fn lock(&self) -> MutexGuard<'_, IndexedJobs> {
        self.0.lock()
    }
}

impl IndexedJobs {
    /// What is known of a job.
    pub fn get(&self, job: &JobId) -> Option<&KnownJob> {
        self.known.get(job)
    }

    /// The number of the job's newest event; zero where it has none that isn't void.
    pub fn newest(&self, job: &JobId) -> EventId {
        let known = self.known.get(job).filter(|known| !known.is_deleted());
        known.map_or(EventId(0), |known| known.newest)
    }

    /// Whether nothing of these jobs was void since their events were read: each comes with
    /// what [`KnownJob::version`] was.
    pub fn are_current(&self, sources: &[(JobId, EventId)]) -> bool {
        let is_current = |(job, version): &(JobId, EventId)| {
            let known = self.known.get(job);
            known.is_some_and(|known| known.version() == *version)
        };
        sources.iter().all(is_current)
    }

    /// Another life of a job begins.
    pub fn begin_life(&mut self, job: &JobId) {
        if let Some(known) = self.known.get_mut(job) {
            known.before_newest_life = known.newest;
        }
    }

    /// What there is of a job's newest life is void, by the entry that is here. Returns the
    /// number which nothing that came before that life is above.
    pub fn end_by_deletion(
        &mut self,
        job: &JobId,
        id: EventId,
        place: RecordPlace,
        floor: EventId,
    ) -> EventId {
        let after = self.known.get(job).map_or(floor, KnownJob::before_life);
        self.append(job, id, place, floor);
        if let Some(known) = self.known.get_mut(job) {
            known.voids.push(Void { after, by: id });
        }
        after
    }

    /// Adds a job's newest event. Where it is the first, what the job had before has no higher
    /// number than `floor`.
    pub fn append(&mut self, job: &JobId, id: EventId, place: RecordPlace, floor: EventId) {
        if !self.known.contains_key(job) {
            let known = KnownJob {
                first: id,
                floor,
                ..KnownJob::default()
            };
            self.known.insert(job.clone(), known);
        }
        self.extend(job, [(id, place)].into_iter());
    }

    /// Adds events of a job that has others, one after the other.
    pub fn extend(&mut self, job: &JobId, events: impl Iterator<Item = (EventId, RecordPlace)>) {
        let Some(known) = self.known.get_mut(job) else {
            return;
        };
        self.newest_bytes -= u64::from(known.newest_bytes);
        for (id, place) in events {
            if known.is_deleted() {
                known.before_newest_life = known.newest;
            }
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
            known.newest_bytes = in_checkpoint(job, place.bytes as usize);
        }
        self.newest_bytes += u64::from(known.newest_bytes);
    }

    /// Puts a job back, of which nothing is here but that it had these; the newest has so
    /// many bytes in the checkpoint that it comes from.
    pub fn load(&mut self, job: &JobId, newest: EventId, before_newest: EventId, bytes: usize) {
        let known = KnownJob {
            first: EventId(newest.0 + 1),
            newest,
            before_newest,
            newest_bytes: in_checkpoint(job, bytes),
            ..KnownJob::default()
        };
        self.newest_bytes += u64::from(known.newest_bytes);
        if let Some(before) = self.known.insert(job.clone(), known) {
            self.newest_bytes -= u64::from(before.newest_bytes);
        }
    }

    /// The same of a job that has had no events since what was before was deleted by the entry
    /// `floor`.
    pub fn load_floor(&mut self, job: &JobId, floor: EventId) {
        self.load(job, EventId(0), EventId(0), 0);
        if let Some(known) = self.known.get_mut(job) {
            known.first = EventId(floor.0 + 1);
            known.floor = floor;
        }
    }

    /// Events before `id` are missing, the last of which was `previous`.
    pub fn miss(&mut self, job: &JobId, previous: EventId) {
        match self.known.get_mut(job) {
            Some(known) => {
                known.before_newest = known.newest;
                known.newest = previous;
            }
            None => self.load(job, previous, EventId(0), 0),
        }
    }

    /// What there is of a job is void.
    pub fn remove(&mut self, job: &JobId) {
        if let Some(known) = self.known.remove(job) {
            self.newest_bytes -= u64::from(known.newest_bytes);
        }
    }

    /// About what a checkpoint would take in which no job's newest event is left out.
    pub fn newest_bytes(&self) -> u64 {
        self.newest_bytes
    }

    /// The first segment that has an event which may still be read. Takes time by the
    /// number of jobs.
    pub fn oldest_segment(&self) -> Option<SegmentNumber> {
        let first = |known: &KnownJob| known.spans.first().map(|span| span.segment);
        self.known.values().filter_map(first).min()
    }

    /// Segments below this one are no more.
    pub fn drop_below(&mut self, first: SegmentNumber) {
        self.known.retain(|_, known| {
            let dropped = known.spans.partition_point(|span| span.segment < first);
            known.spans.drain(..dropped);
            let Some(oldest) = known.spans.first() else {
                // That a job was deleted can't be read back any more.
                return !known.is_deleted();
            };
            let gone = known.voids.partition_point(|it| it.by <= oldest.before);
            known.voids.drain(..gone);
            true
        });
        self.newest_bytes = self
            .known
            .values()
            .map(|it| u64::from(it.newest_bytes))
            .sum();
    }
}

fn in_checkpoint(job: &JobId, bytes: usize) -> u32 {
    (bytes + job.as_str().len() + JOB_BYTES) as u32
}

impl KnownJob {
    /// Whether the newest is none that was published, but the end of a life that was deleted.
    pub fn is_deleted(&self) -> bool {
        let newest = |void: &Void| void.by == self.newest;
        self.voids.last().is_some_and(newest)
    }

    /// Whether the event of this number may be shown.
    pub fn is_readable(&self, id: EventId) -> bool {
        let next = self.voids.partition_point(|void| void.by <= id);
        let is_void = self.voids.get(next).is_some_and(|void| void.after < id);
        id >= self.first && !is_void
    }

    /// A number that is another when something of it has become void.
    pub fn version(&self) -> EventId {
        self.voids.last().map_or(self.first, |void| void.by)
    }

    fn before_life(&self) -> EventId {
        if self.is_deleted() {
            self.newest
        } else {
            self.before_newest_life.max(self.floor)
        }
    }

    /// The number before the oldest that can be read. None where none can be.
    pub fn before_oldest(&self) -> Option<EventId> {
        let oldest = self.spans.first()?;
        Some(oldest.before.max(self.floor))
    }

    /// The first of the spans that are in this segment or behind it.
    pub fn first_span_from(&self, first: SegmentNumber) -> Option<&Span> {
        self.spans.iter().find(|span| span.segment >= first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(segment: u32, offset: u32) -> RecordPlace {
        RecordPlace {
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
            jobs.append(&job, EventId(id), place(segment, offset), EventId(2));
            assert_eq!(jobs.get(&job).unwrap().before_oldest(), Some(EventId(2)));
        }
        let spans = &jobs.get(&job).unwrap().spans;
        let told: Vec<_> = spans
            .iter()
            .map(|s| (s.offset, s.end, s.before.0))
            .collect();
        assert_eq!(told, [(8, 40, 0), (8, 18, 5), (50, 60, 9)]);
        jobs.drop_below(SegmentNumber(3));
        let known = jobs.get(&job).unwrap();
        assert_eq!(known.spans.len(), 1);
        assert_eq!(known.spans[0].before, EventId(9));
        assert_eq!(known.before_oldest(), Some(EventId(9)));
        jobs.drop_below(SegmentNumber(5));
        assert_eq!(jobs.newest(&job), EventId(12));
        jobs.append(&job, EventId(20), place(5, 8), EventId(0));
        assert_eq!(jobs.get(&job).unwrap().spans[0].before, EventId(12));
        jobs.remove(&job);
        assert_eq!(jobs.newest(&job), EventId(0));
    }

    #[test]
    fn a_deletion_is_all_there_is_of_a_life_and_no_event_is_said_to_follow_it() {
        let index = Index::default();
        let mut jobs = index.lock();
        let job: JobId = "j".parse().unwrap();
        jobs.append(&job, EventId(3), place(1, 8), EventId(0));
        jobs.end_by_deletion(&job, EventId(4), place(1, 30), EventId(0));
        assert_eq!(jobs.newest(&job), EventId(0));
        jobs.append(&job, EventId(6), place(2, 8), EventId(0));
        assert_eq!(jobs.newest(&job), EventId(6));
        let known = jobs.get(&job).unwrap();
        assert_eq!(known.spans[1].before, EventId(4));
        let readable: Vec<_> = (1..9)
            .filter(|&id| known.is_readable(EventId(id)))
            .collect();
        assert_eq!(readable, [4, 5, 6, 7, 8]);
    }

    #[test]
    fn what_is_void_is_of_the_life_that_was_deleted_and_of_none_before_it() {
        let index = Index::default();
        let mut jobs = index.lock();
        let job: JobId = "j".parse().unwrap();
        let of_lives = |jobs: &IndexedJobs| {
            let known = jobs.get(&job).unwrap();
            (1..16).filter(|&id| known.is_readable(EventId(id))).count()
        };
        // One that ends; one that is deleted before it has an event; one that another takes the
        // place of, which is deleted after its end.
        jobs.append(&job, EventId(1), place(1, 0), EventId(0));
        jobs.append(&job, EventId(2), place(1, 10), EventId(0));
        let versions = [jobs.get(&job).unwrap().version()];
        jobs.begin_life(&job);
        let after = jobs.end_by_deletion(&job, EventId(4), place(1, 20), EventId(0));
        assert_eq!((after, of_lives(&jobs)), (EventId(2), 14));
        assert!(!jobs.are_current(&[(job.clone(), versions[0])]));
        jobs.append(&job, EventId(6), place(2, 0), EventId(0));
        let after = jobs.end_by_deletion(&job, EventId(7), place(2, 10), EventId(0));
        assert_eq!((after, of_lives(&jobs)), (EventId(4), 12));
        jobs.append(&job, EventId(8), place(2, 20), EventId(0));
        jobs.append(&job, EventId(9), place(2, 30), EventId(0));
        let after = jobs.end_by_deletion(&job, EventId(10), place(3, 0), EventId(0));
        assert_eq!((after, of_lives(&jobs)), (EventId(7), 10));
        jobs.drop_below(SegmentNumber(3));
        assert_eq!(jobs.get(&job).unwrap().voids.len(), 1);
        jobs.drop_below(SegmentNumber(4));
        assert!(jobs.get(&job).is_none());
    }

    #[test]
    fn it_tells_how_much_all_newest_events_take_and_where_the_oldest_is() {
        let index = Index::default();
        let mut jobs = index.lock();
        let [a, b]: [JobId; 2] = ["a", "b"].map(|name| name.parse().unwrap());
        let one = u64::from(in_checkpoint(&a, 10));
        assert_eq!((jobs.newest_bytes(), jobs.oldest_segment()), (0, None));
        jobs.append(&a, EventId(1), place(1, 8), EventId(0));
        jobs.append(&a, EventId(2), place(3, 8), EventId(0));
        jobs.append(&b, EventId(3), place(3, 18), EventId(0));
        assert_eq!(jobs.newest_bytes(), 2 * one);
        assert_eq!(jobs.oldest_segment(), Some(SegmentNumber(1)));
        jobs.remove(&a);
        assert_eq!(jobs.newest_bytes(), one);
        assert_eq!(jobs.oldest_segment(), Some(SegmentNumber(3)));
        jobs.load(&b, EventId(3), EventId(0), 10);
        assert_eq!((jobs.newest_bytes(), jobs.oldest_segment()), (one, None));
        jobs.remove(&b);
        assert_eq!(jobs.newest_bytes(), 0);
    }
}
