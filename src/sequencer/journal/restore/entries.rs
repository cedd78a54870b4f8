//! Entries that were accepted before, applied again.

use std::io;
use std::ops::Range;

use super::backlog::{Backlog, Events, HeldEvent};
use super::{LastNumbers, Restored, newer};
use crate::event::job::{EventId, JobId};
use crate::hub::keyed::Keyed;
use crate::hub::{After, Change, Entry, Hub, Life, Once, Owner, Terms};
use crate::sequencer::journal::JournalShared;
use crate::sequencer::journal::checkpoint::{CheckpointHead, LOST_MAX};
use crate::sequencer::journal::record::{
    ChangeRecord, ENTRY_MIN_BYTES, EntryRecord, MAGIC, Record, SegmentNumber, decode,
};
use crate::sequencer::journal::scan::{Scan, SegmentPiece};
use crate::sequencer::journal::segment::{RecordPlace, file_name};
use crate::sys::order::sort_by_key;

/// Applies entries again, in their order.
pub struct Restorer<'a> {
    pub hub: &'a Hub,
    pub last: LastNumbers,
    /// How many entries were restored.
    pub entries: u64,
    shared: &'a JournalShared,
    /// The number of the newest entry.
    newest_entry: EventId,
    /// Its time.
    newest_ms: u64,
    /// The first entry of which its segment doesn't tell yet.
    uncounted: Option<EventId>,
    /// The newest number that is known to have been given.
    newest: EventId,
    time_ms: u64,
    /// From which time on an entry lets go of deletions.
    lapse_ms: u64,
    /// What waits has its memory from here.
    backlog: Backlog<'static>,
    lost: Vec<Range<u64>>,
    has_checkpoint: bool,
}

impl<'a> Restorer<'a> {
    pub fn new(shared: &'a JournalShared, hub: &'a Hub) -> Restorer<'a> {
        Restorer {
            hub,
            last: LastNumbers::default(),
            entries: 0,
            shared,
            newest_entry: EventId(0),
            newest_ms: 0,
            uncounted: None,
            lapse_ms: 0,
            backlog: Backlog::default(),
            newest: EventId(0),
            time_ms: 0,
            lost: Vec::new(),
            has_checkpoint: false,
        }
    }

    /// The newest number that is known to have been given.
    pub fn newest(&self) -> EventId {
        self.newest
    }

    /// Numbers up to this one were given.
    pub fn reach(&mut self, newest: EventId) {
        self.newest = self.newest.max(newest);
    }

    /// These numbers may have been given, and are lost.
    pub fn lose(&mut self, lost: Range<u64>) {
        self.reach(EventId(lost.end.saturating_sub(1)));
        self.lost.push(lost);
    }

    /// No entry to come is older than this.
    pub fn note_time(&mut self, time_ms: u64) {
        self.time_ms = self.time_ms.max(time_ms);
    }

    /// Takes what a checkpoint says of all jobs.
    pub fn take_head(&mut self, head: &CheckpointHead) {
        self.has_checkpoint = true;
        self.reach(head.newest);
        self.note_time(head.time_ms);
        self.lost.extend(head.lost.iter().cloned());
        self.hub.reach_forgotten(head.forgotten);
    }

    /// Applies what a segment holds. Returns where its end is torn, if it is the last.
    pub fn replay(
        &mut self,
        segment: SegmentNumber,
        content: &[u8],
        is_last: bool,
    ) -> io::Result<Option<u64>> {
        let mut torn = None;
        let mut backlog = std::mem::take(&mut self.backlog).emptied();
        for piece in Scan::new(content, segment, MAGIC, decode) {
            let (offset, bytes, record) = match piece {
                SegmentPiece::Record {
                    offset,
                    bytes,
                    record,
                } => (offset, bytes, record),
                SegmentPiece::Damaged {
                    offset,
                    bytes,
                    is_tail,
                } => {
                    let is_end = is_tail && is_last;
                    report(segment, offset, bytes, is_end);
                    if is_end {
                        torn = Some(offset as u64);
                    }
                    self.last.lose(bytes as u64);
                    continue;
                }
                SegmentPiece::Newer => return Err(newer(&file_name(segment))),
            };
            match record {
                Record::Entry(entry) => {
                    self.last.go_on();
                    let place = RecordPlace {
                        segment,
                        offset: offset as u32,
                        bytes: bytes as u32,
                    };
                    self.take(&mut backlog, &entry, place);
                }
                Record::Open {
                    boot,
                    reserved,
                    newest,
                    ..
                } => {
                    self.last.open(boot, reserved);
                    self.reach(newest);
                    self.begin(segment, newest);
                }
                Record::Close => self.last.close(),
                Record::Gap { first, end } => {
                    self.last.go_on();
                    self.lose(first.0..end.0);
                }
            }
        }
        self.catch_up(&mut backlog);
        self.backlog = backlog.emptied();
        self.count(segment);
        Ok(torn)
    }

    /// Takes the next entry. An event may wait for others of its job, which waits for none.
    fn take<'c>(
        &mut self,
        backlog: &mut Backlog<'c>,
        record: &EntryRecord<'c>,
        place: RecordPlace,
    ) {
        if !self.note(record) {
            return;
        }
        if backlog.is_full() || record.time_ms >= self.lapse_ms {
            self.catch_up(backlog);
        }
        if record.time_ms < self.lapse_ms
            && let Some((event, None)) = HeldEvent::of(record, place)
        {
            backlog.push(record.job, event);
            return;
        }
        if let Some(of_job) = backlog.find(record.job) {
            let (job, events) = backlog.take(of_job);
            self.go_on(job, events);
        }
        self.apply(record, place);
        self.lapse_ms = self.hub.lapse_ms();
    }

    /// Applies what waits.
    fn catch_up(&mut self, backlog: &mut Backlog<'_>) {
        for of_job in 0..backlog.jobs() {
            let (job, events) = backlog.take(of_job);
            self.go_on(job, events);
        }
        *backlog = std::mem::take(backlog).emptied();
    }

    /// Applies events of a job.
    fn go_on(&self, name: &str, mut events: Events<'_, '_>) {
        let Ok(job) = name.parse::<JobId>() else {
            return;
        };
        loop {
            let done = self.follow(&job, events.clone());
            events.by_ref().take(done).for_each(drop);
            let Some(event) = events.next() else {
                return;
            };
            self.event(&job, event, None);
        }
    }

    /// Applies those events in front that follow on what there is. Returns how many.
    fn follow(&self, job: &JobId, events: Events<'_, '_>) -> usize {
        let Some(there) = self.hub.find(job) else {
            return 0;
        };
        let mut index = self.shared.index.lock();
        let mut newest = index.newest(job);
        let following = events.clone().take_while(move |event| {
            let before = std::mem::replace(&mut newest, event.entry.id);
            event.previous == before && before > EventId(0)
        });
        let entries = following.map(|event| &event.entry);
        let done = self.hub.go_on(&there, entries);
        let places = events.take(done);
        index.extend(job, places.map(|event| (event.entry.id, event.place)));
        done
    }

    /// Applies an entry.
    pub fn entry(&mut self, record: &EntryRecord<'_>, place: RecordPlace) {
        if self.note(record) {
            self.apply(record, place);
        }
    }

    /// Notes that there is an entry. False where it isn't to be applied.
    fn note(&mut self, record: &EntryRecord<'_>) -> bool {
        let id = record.id;
        if id <= self.newest_entry {
            error!("journal: entry {id} is not above the one before it, and is skipped");
            return false;
        }
        self.entries += 1;
        self.newest_entry = id;
        self.newest_ms = record.time_ms;
        self.uncounted.get_or_insert(id);
        self.reach(id);
        self.note_time(record.time_ms);
        true
    }

    fn apply(&self, record: &EntryRecord<'_>, place: RecordPlace) {
        let id = record.id;
        let Ok(job) = record.job.parse::<JobId>() else {
            return;
        };
        let change = match &record.change {
            ChangeRecord::Event { .. } => {
                if let Some((event, once)) = HeldEvent::of(record, place) {
                    self.event(&job, &event, once);
                }
                return;
            }
            ChangeRecord::Begin {
                owner,
                replaces,
                terms,
            } => {
                if *replaces {
                    self.end_by_deletion(&job, id, place);
                } else {
                    self.shared.index.lock().begin_life(&job);
                }
                Change::Begin {
                    owner: *owner,
                    // It was accepted, so whatever was before it is over.
                    after: After::Running,
                    terms: terms.clone(),
                }
            }
            ChangeRecord::Renew { lease, once } => Change::Renew {
                lease: *lease,
                only: None,
                once: once.clone(),
            },
            ChangeRecord::Cancel { grace_ms } => Change::Cancel {
                grace_ms: *grace_ms,
                only: None,
            },
            ChangeRecord::Delete { until_ms } => {
                self.end_by_deletion(&job, id, place);
                Change::Delete {
                    until_ms: *until_ms,
                    only: None,
                }
            }
            ChangeRecord::Forget { last } => {
                self.void(&job, id);
                self.hub.reach_forgotten(*last);
                // Where some of what it had is lost, it has come to less than that.
                let there = self.hub.life(&job).filter(|life| life.last < id);
                let last = there.map_or(*last, |life| life.last);
                Change::Forget { last }
            }
        };
        let entry = Entry {
            job,
            time_ms: record.time_ms,
            change,
        };
        self.hub.restore(id, &entry, false);
    }

    /// Notes which entries have been applied since this was done last: they are in this
    /// segment.
    pub fn count(&mut self, segment: SegmentNumber) {
        let Some(first) = self.uncounted.take() else {
            return;
        };
        if let Some(segment) = self.shared.segments.lock().get_mut(&segment) {
            segment.newest_ms = segment.newest_ms.max(self.newest_ms);
            segment.newest = self.newest_entry;
            segment.base = segment.base.min(EventId(first.0 - 1));
        }
    }

    /// Has the hub know how far numbers were given, and says what else was found.
    pub fn finish(mut self, found: &mut Restored, segments: u64) {
        let newest = self.newest.max(self.hub.published());
        let is_known = self.has_checkpoint || newest.0 > 0;
        // The segments that went before the first of which something is left.
        let unknown = if is_known {
            0
        } else {
            u64::from(found.next).saturating_sub(1 + segments.min(1))
        };
        let lost = self.last.lost_numbers(found.boot, newest, unknown);
        self.skip(found, lost);
    }

    /// Skips so many numbers, which may have been given.
    pub fn skip(&mut self, found: &mut Restored, count: u64) {
        let newest = self.newest.max(self.hub.published());
        let last = (newest.0 + count).min(EventId::MAX.0);
        if last > newest.0 {
            let lost = newest.0 + 1..last + 1;
            warn!("journal: up to {count} numbers may have been given and lost");
            found.gap = Some(lost.clone());
            self.lose(lost);
        }
        // What stands in a checkpoint too was not applied again.
        self.hub.reach_time(self.time_ms);
        sort_by_key(&mut self.lost, |lost| lost.start);
        self.lost.dedup();
        let old = self.lost.len().saturating_sub(LOST_MAX);
        for lost in self.lost.drain(..).skip(old) {
            self.hub.reach(EventId(0), Some(lost));
        }
        self.hub.reach(EventId(last), None);
    }

    /// Notes where an event is. Returns whether some before it are missing.
    fn place(&self, job: &JobId, event: &HeldEvent<'_>) -> bool {
        let (id, previous) = (event.entry.id, event.previous);
        // A life that is newer than this event has ended others since.
        let floor = self.hub.find(job).map_or(EventId(0), |there| {
            let core = there.lock();
            let previous_end = core.life().map_or(EventId(0), |life| life.previous_end);
            let numbers = [previous_end, there.newest()];
            let below = numbers.into_iter().filter(|&number| number < id);
            below.max().unwrap_or_default()
        });
        let mut index = self.shared.index.lock();
        let known = index.newest(job);
        let is_missing = previous > known;
        if is_missing {
            index.miss(job, previous);
        }
        if previous < known {
            // What ended the life that those before it were of is lost.
            index.remove(job);
            self.hub.lose_before(job, id);
        }
        index.append(job, id, event.place, floor);
        drop(index);
        is_missing
    }

    /// Events before this entry are void, and forgotten.
    fn void(&self, job: &JobId, id: EventId) {
        self.shared.index.lock().remove(job);
        if self.hub.life(job).is_some_and(|life| life.last >= id) {
            self.hub.void_after(job, EventId(0), None);
        }
    }

    /// Events of the life before this entry are void, and streams are shown that.
    fn end_by_deletion(&self, job: &JobId, id: EventId, place: RecordPlace) {
        let life = self.hub.life(job);
        let before = life
            .as_ref()
            .filter(|life| life.last < id || life.is_deleted());
        let floor = before.map_or(EventId(0), |life| life.previous_end);
        let mut index = self.shared.index.lock();
        let after = index.end_by_deletion(job, id, place, floor);
        drop(index);
        let Some(life) = life.filter(|life| life.last >= id) else {
            return;
        };
        // A life that knows of no other before it began when that was forgotten.
        let is_forgotten = life.previous_end < id && !life.is_deleted();
        if is_forgotten {
            self.hub.reach_forgotten(id);
            self.hub.lose_before(job, EventId(id.0 + 1));
        } else {
            self.hub.void_after(job, after, Some(id));
        }
    }

    /// Applies an event.
    fn event(&self, job: &JobId, event: &HeldEvent<'_>, once: Option<Box<Once>>) {
        let Some(content) = event.entry.event.to_event(job) else {
            return;
        };
        let is_missing = self.place(job, event);
        let (hub, id) = (self.hub, event.entry.id);
        let entry = Entry {
            job: job.clone(),
            time_ms: event.entry.time_ms,
            change: Change::Event {
                event: content,
                only: None,
                terms: Terms {
                    lease: event.entry.lease,
                    once,
                    ..Terms::default()
                },
            },
        };
        if is_missing {
            // A deletion that isn't remembered any more is no life that it could be missing in.
            hub.let_lapsed_go(&entry);
        }
        if is_missing && hub.life(job).is_none() {
            // Its beginning is lost, which its streams are to hear of.
            if let Ok(Some(life)) = Life::after(None, id, &entry) {
                hub.load(job, life, EventId(id.0 - 1));
                let keyed = entry.change.once().map(|&once| Keyed { once, id });
                hub.load_keys(job, keyed.into_iter().collect());
            }
        }
        if hub.restore(id, &entry, is_missing) {
            return;
        }
        if hub.life(job).is_some_and(|life| life.last < id) {
            // It was accepted, so a life began before it, of which the record is lost.
            let begin = Entry {
                job: job.clone(),
                time_ms: entry.time_ms,
                change: Change::Begin {
                    owner: Owner::Worker,
                    after: After::Running,
                    terms: Terms::default(),
                },
            };
            // Nobody follows anything yet.
            let _ = hub.apply(id, &begin);
            let _ = hub.apply(id, &entry);
        }
    }

    /// A segment's first entry comes behind this number. A checkpoint may be of a later time.
    fn begin(&self, segment: SegmentNumber, newest: EventId) {
        if let Some(segment) = self.shared.segments.lock().get_mut(&segment) {
            segment.come_before(newest);
        }
    }
}

fn report(segment: SegmentNumber, offset: usize, bytes: usize, is_end: bool) {
    let name = file_name(segment);
    let most = bytes as u64 / ENTRY_MIN_BYTES;
    if is_end {
        warn!(
            "journal: {name}: its end is torn: {bytes} bytes from {offset} on are cut off, \
             part of an entry that wasn't accepted yet, or up to {most} that were"
        );
    } else {
        error!(
            "journal: {name}: {bytes} bytes from {offset} on are damaged and skipped: up to \
             {most} entries are lost, and who needs them gets a reset"
        );
    }
}
