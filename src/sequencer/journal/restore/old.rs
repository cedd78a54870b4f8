//! The first format, read once and carried over.
//!
//! ```text
//! segment  "LANDFJ1\n" record...
//! record   as the module `codec` has it
//! payload  kind: u8, and by its kind
//!   1 event   flags: u8, sequence, id, id - previous id, milliseconds of the unix clock,
//!             [base, milliseconds of the job's beginning: flags & 4], job, event, data
//!   2 forget  sequence, last id, job
//!   3 open    boot: 16 bytes, the number up to which numbers may be given
//!   4 close
//!   5 gap     how many numbers may have been given and lost before it
//!   6 floor   sequence, id: the highest of jobs of which nothing else is kept
//!   7 born    base, milliseconds of the job's beginning, job: its oldest event is gone
//! ```
//!
//! There an event had a number on its job's stream, the id, beside the one in the order of
//! all, the sequence. The sequence is its number now, and the ids say only where events are
//! missing.
//!
//! The invariant: until the new segments' checkpoint has its name, the old segments are what
//! counts, and nothing in them is changed. From then on the new ones are.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use super::{LastNumbers, Restored, Restorer, named, read_whole};
use crate::access::places::Occupant;
use crate::event::job::{EventId, EventName, JobId, JobState};
use crate::hub::{Life, LifeState, Owner, Terms};
use crate::sequencer::journal::JournalShared;
use crate::sequencer::journal::checkpoint;
use crate::sequencer::journal::codec::{self, Decoded, Payload, Unread};
use crate::sequencer::journal::record::{
    self, ChangeRecord, EntryRecord, Record as NewRecord, SegmentNumber,
};
use crate::sequencer::journal::scan::{Scan, SegmentPiece};
use crate::sequencer::journal::segment::{RecordPlace, Segment, file_name};

/// What an old segment begins with.
const MAGIC: &[u8; 8] = b"LANDFJ1\n";

const NAMES_ITS_JOB: u8 = 1;
const BEGINS: u8 = 2;
const HAS_ORIGIN: u8 = 4;

enum OldRecord<'a> {
    Event(OldEvent<'a>),
    Forget {
        sequence: EventId,
        id: u64,
        job: &'a str,
    },
    Open {
        boot: [u8; 16],
        reserved: EventId,
    },
    Close,
    Gap {
        count: u64,
    },
    Floor {
        sequence: EventId,
    },
    Born {
        origin: OldOrigin,
        job: &'a str,
    },
}

struct OldEvent<'a> {
    sequence: EventId,
    id: u64,
    /// The id of the job's event before it, or the one before the job's first.
    previous: u64,
    time_ms: u64,
    origin: Option<OldOrigin>,
    job: &'a str,
    name: &'a str,
    data: &'a str,
    names_its_job: bool,
}

/// Where a job began.
#[derive(Clone, Copy)]
struct OldOrigin {
    /// The id before its first.
    base: u64,
    created_ms: u64,
}

/// A job, as far as it has been read.
struct OldJob {
    first: EventId,
    last: EventId,
    last_id: u64,
    created_ms: u64,
    updated_ms: u64,
    state: LifeState,
    /// Events before the first are missing.
    is_cut: bool,
}

/// What the old segments say in the end.
#[derive(Default)]
struct OldJobs {
    jobs: HashMap<String, Box<OldJob>>,
    /// Where jobs began whose oldest events are gone, until their next one.
    born: HashMap<String, Box<OldOrigin>>,
    newest_event: EventId,
    /// The newest number that was given.
    newest: EventId,
    forgotten: EventId,
    lost: Vec<Range<u64>>,
    last: LastNumbers,
}

/// Whether there is a record of the first format in it.
pub fn has_records(content: &[u8], number: SegmentNumber) -> bool {
    Scan::new(content, number, MAGIC, decode)
        .any(|piece| matches!(piece, SegmentPiece::Record { .. }))
}

/// Restores what the old segments hold, and writes it anew, from the segment `found.next`
/// on and with a checkpoint. After an error everything is as it was.
pub fn carry_over(
    shared: &JournalShared,
    mut restorer: Restorer<'_>,
    old: &[(SegmentNumber, u64)],
    found: &mut Restored,
) -> io::Result<()> {
    let mut jobs = OldJobs::default();
    for &(number, bytes) in old {
        let content = read(shared, number, bytes)?;
        if content.is_empty() && bytes > 0 {
            jobs.last.lose_a_segment(bytes);
        }
        for piece in Scan::new(&content, number, MAGIC, decode) {
            match piece {
                SegmentPiece::Record { record, .. } => jobs.take(&record),
                SegmentPiece::Damaged { bytes, .. } => jobs.last.lose(bytes as u64),
                SegmentPiece::Newer => {}
            }
        }
    }
    let hub = restorer.hub;
    for (name, job) in &jobs.jobs {
        if let Ok(name) = name.parse::<JobId>() {
            let gone = if job.is_cut { job.first.0 - 1 } else { 0 };
            hub.load(&name, job.life(), EventId(gone));
        }
    }
    let first = SegmentNumber(found.next);
    let mut output = NewSegments {
        shared,
        boot: found.boot,
        number: first,
        bytes: Vec::new(),
        written: Vec::new(),
    };
    let written = write_segments(&mut output, &mut restorer, &jobs, old).and_then(|()| {
        let number = found.next_checkpoint;
        found.next = output.number.0;
        restorer.reach(jobs.newest);
        hub.reach_forgotten(jobs.forgotten);
        for lost in std::mem::take(&mut jobs.lost) {
            restorer.lose(lost);
        }
        let newest = restorer.newest();
        let lost = jobs.last.lost_numbers(found.boot, newest, 0);
        restorer.skip(found, lost);
        // It is in the checkpoint.
        found.gap = None;
        let bytes = checkpoint::write(shared, hub, number, first, &|| Ok(()))?;
        shared.set_checkpoint(bytes);
        shared.set_spare(0);
        found.next_checkpoint = number + 1;
        Ok(())
    });
    written.map_err(|error| {
        for number in &output.written {
            let _ = shared.files.remove(&file_name(*number));
        }
        let message = format!(
            "the journal of an older version can't be carried over, for which as much room is \
             needed as it has: {error}; nothing in it has been changed"
        );
        io::Error::new(error.kind(), message)
    })
}

fn read(shared: &JournalShared, number: SegmentNumber, bytes: u64) -> io::Result<Vec<u8>> {
    read_whole(&*shared.files, &file_name(number), bytes).map(Option::unwrap_or_default)
}

fn write_segments(
    output: &mut NewSegments<'_>,
    restorer: &mut Restorer<'_>,
    jobs: &OldJobs,
    old: &[(SegmentNumber, u64)],
) -> io::Result<()> {
    let mut newest = EventId(0);
    // Of each job the id and the number of the event before.
    let mut before: HashMap<&str, (u64, EventId)> = HashMap::new();
    for &(number, bytes) in old {
        let content = read(output.shared, number, bytes)?;
        for piece in Scan::new(&content, number, MAGIC, decode) {
            let SegmentPiece::Record {
                record: OldRecord::Event(event),
                ..
            } = piece
            else {
                continue;
            };
            if event.sequence <= newest {
                continue;
            }
            newest = event.sequence;
            let Some((name, job)) = jobs.jobs.get_key_value(event.job) else {
                continue;
            };
            if event.sequence < job.first {
                continue;
            }
            let previous = match before.get(event.job) {
                Some(&(id, number)) if id == event.previous => number,
                None if !job.is_cut => EventId(0),
                // Which numbers the missing ones had is not known.
                Some(_) | None => EventId(event.sequence.0 - 1),
            };
            before.insert(name, (event.id, event.sequence));
            let entry = EntryRecord {
                id: event.sequence,
                time_ms: event.time_ms,
                job: event.job,
                change: ChangeRecord::Event {
                    previous,
                    name: event.name,
                    data: event.data,
                    names_its_job: event.names_its_job,
                    terms: Terms::default(),
                },
            };
            let place = output.put(&entry, restorer)?;
            restorer.entry(&entry, place);
            restorer.count(place.segment);
        }
    }
    output.flush()?;
    output.shared.files.sync_names()
}

/// The new segments.
struct NewSegments<'a> {
    shared: &'a JournalShared,
    boot: [u8; 16],
    number: SegmentNumber,
    bytes: Vec<u8>,
    written: Vec<SegmentNumber>,
}

impl NewSegments<'_> {
    fn put(&mut self, entry: &EntryRecord<'_>, restorer: &Restorer<'_>) -> io::Result<RecordPlace> {
        if self.bytes.len() as u64 >= self.shared.config.segment_bytes() {
            self.flush()?;
        }
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(record::MAGIC);
            let open = NewRecord::Open {
                boot: self.boot,
                reserved: EventId(0),
                newest: restorer.newest(),
                is_carried_over: true,
            };
            record::encode(&mut self.bytes, self.number, &open);
            let segment = Segment::after(restorer.newest(), 0);
            self.shared.segments.lock().insert(self.number, segment);
        }
        let offset = self.bytes.len();
        let entry = NewRecord::Entry(entry.clone());
        record::encode(&mut self.bytes, self.number, &entry);
        Ok(RecordPlace {
            segment: self.number,
            offset: offset as u32,
            bytes: (self.bytes.len() - offset) as u32,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let name = file_name(self.number);
        self.written.push(self.number);
        let file = self.shared.files.open(&name, true);
        file.and_then(|file| {
            file.write_at(0, &self.bytes)?;
            file.sync()
        })
        .map_err(|error| named(&name, &error))?;
        if let Some(segment) = self.shared.segments.lock().get_mut(&self.number) {
            segment.bytes = self.bytes.len() as u64;
        }
        self.bytes.clear();
        self.number.0 += 1;
        Ok(())
    }
}

impl OldJobs {
    fn take(&mut self, record: &OldRecord<'_>) {
        match record {
            OldRecord::Event(event) => self.event(event),
            OldRecord::Forget { sequence, id, job } => {
                self.born.remove(*job);
                // A job that went on since is another one.
                if self
                    .jobs
                    .get(*job)
                    .is_some_and(|there| there.last_id <= *id)
                {
                    self.jobs.remove(*job);
                }
                self.newest = self.newest.max(*sequence);
                self.forgotten = self.forgotten.max(*sequence);
            }
            OldRecord::Open { boot, reserved } => self.last.open(*boot, *reserved),
            OldRecord::Close => self.last.close(),
            OldRecord::Gap { count } => {
                let end = (self.newest.0 + count).min(EventId::MAX.0);
                self.lost.push(self.newest.0 + 1..end + 1);
                self.newest = EventId(end);
                self.last.go_on();
            }
            OldRecord::Floor { sequence } => {
                self.newest = self.newest.max(*sequence);
                self.forgotten = self.forgotten.max(*sequence);
            }
            OldRecord::Born { origin, job } => {
                self.born.insert((*job).to_owned(), Box::new(*origin));
            }
        }
    }

    fn event(&mut self, event: &OldEvent<'_>) {
        // A crash amid a compaction has left some twice.
        if event.sequence <= self.newest_event {
            return;
        }
        self.newest_event = event.sequence;
        self.last.go_on();
        self.newest = self.newest.max(event.sequence);
        let origin = event
            .origin
            .or_else(|| self.born.remove(event.job).map(|it| *it));
        let there = self.jobs.get(event.job);
        // That its name was forgotten in between is lost.
        if there.is_none_or(|job| origin.is_some_and(|origin| job.last_id <= origin.base)) {
            let base = origin.map_or(event.previous, |origin| origin.base);
            let job = Box::new(OldJob {
                first: event.sequence,
                last: event.sequence,
                last_id: event.id,
                created_ms: origin.map_or(event.time_ms, |origin| origin.created_ms),
                updated_ms: event.time_ms,
                state: LifeState::Running,
                is_cut: event.previous > base && event.sequence.0 > 1,
            });
            self.jobs.insert(event.job.to_owned(), job);
        }
        if let Some(job) = self.jobs.get_mut(event.job) {
            job.last = event.sequence;
            job.last_id = event.id;
            job.updated_ms = event.time_ms;
            let name = event.name.parse::<EventName>().ok();
            job.state = match name.and_then(|name| name.end_state()) {
                Some(JobState::Done) => LifeState::Done,
                Some(JobState::Failed) => LifeState::Failed,
                Some(JobState::Running) | None => LifeState::Running,
            };
        }
    }
}

impl OldJob {
    fn life(&self) -> Life {
        Life {
            began: self.first,
            owner: Owner::Worker,
            state: self.state,
            previous_end: EventId(0),
            last: self.last,
            created_ms: self.created_ms,
            updated_ms: self.updated_ms,
            lease: None,
            cancelled: None,
            client: Occupant::default(),
        }
    }
}

fn decode(bytes: &[u8], segment: SegmentNumber) -> Decoded<OldRecord<'_>> {
    codec::take_record(bytes, segment.0, parse)
}

fn parse<'a>(payload: &mut Payload<'a>) -> Result<OldRecord<'a>, Unread> {
    Ok(match payload.byte()? {
        1 => OldRecord::Event(OldEvent::parse(payload)?),
        2 => OldRecord::Forget {
            sequence: payload.id()?,
            id: payload.number()?,
            job: payload.name()?,
        },
        3 => OldRecord::Open {
            boot: payload.bytes()?,
            reserved: payload.id()?,
        },
        4 => OldRecord::Close,
        5 => OldRecord::Gap {
            count: payload.id()?.0,
        },
        6 => {
            let sequence = payload.id()?;
            payload.number()?;
            OldRecord::Floor { sequence }
        }
        7 => OldRecord::Born {
            origin: OldOrigin {
                base: payload.number()?,
                created_ms: payload.number()?,
            },
            job: payload.name()?,
        },
        _ => return Err(Unread::Malformed),
    })
}

impl<'a> OldEvent<'a> {
    fn parse(payload: &mut Payload<'a>) -> Result<OldEvent<'a>, Unread> {
        let flags = payload.byte()?;
        let (sequence, id, step) = (payload.id()?, payload.number()?, payload.number()?);
        let previous = id.checked_sub(step).ok_or(Unread::Malformed)?;
        if step == 0 || sequence.0 == 0 {
            return Err(Unread::Malformed);
        }
        let time_ms = payload.number()?;
        let origin = match flags & (BEGINS | HAS_ORIGIN) {
            0 => None,
            BEGINS => Some(OldOrigin {
                base: previous,
                created_ms: time_ms,
            }),
            _ => Some(OldOrigin {
                base: payload.number()?,
                created_ms: payload.number()?,
            }),
        };
        Ok(OldEvent {
            sequence,
            id,
            previous,
            time_ms,
            origin,
            job: payload.name()?,
            name: payload.event_name()?,
            data: payload.rest()?,
            names_its_job: flags & NAMES_ITS_JOB != 0,
        })
    }
}
