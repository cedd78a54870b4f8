//! A checkpoint: what every job has come to, so that segments with older entries can go.
//!
//! ```text
//! checkpoint  "LANDFC2\n" record...        a file NNNNNNNNNN.checkpoint
//! record      as the module `codec` has it
//! payload     kind: u8, and by its kind
//!   48 head   flags, number of the newest entry when the others began to be written, its
//!             milliseconds, the highest number of jobs that are forgotten, the first
//!             segment that is kept, how many ranges of numbers are lost, and of each the
//!             first and the one behind the last
//!   49 job    flags, began, previous end, newest entry, milliseconds of its beginning and
//!             of its newest entry, [milliseconds until which a deletion is remembered:
//!             flags & 8], [milliseconds of its lease: flags & 32], [how many keys are
//!             remembered, and of each the number of its change, its digest and that of what was
//!             said, 16 bytes each, and until when it is remembered, in milliseconds: flags &
//!             64], [number of the entry that asked for its end, how many milliseconds the worker
//!             may take: flags & 128], number of its newest event in no kept segment, of that before it (or of the
//!             entry that deleted what was before), job, [its newest event, which is in no kept
//!             segment: id, event, data to the payload's end: flags & 16]
//!   50 end    how many jobs
//!   51 counted  as a job, but that whom it is counted for comes before the number of its newest
//!             event in no kept segment, as in a segment's begin
//! ```
//!
//! A job's flags: 1 an upload began it, 2 it ended with `done`, 4 with `error`. Other
//! kinds and other versions in the first line are a newer version's.
//!
//! The invariants:
//! - It takes effect by its new name, in one step, and what it tells of is on the medium
//!   before that. Only then do the segments go that it makes superfluous.
//! - Without its end it is none.
//! - Jobs are written one after the other while entries go on being applied, so a job may
//!   be newer than the head's number. A segment with a higher number is kept, and a start
//!   gives a job no entry twice.

use std::io;
use std::ops::Range;

use super::JournalShared;
use super::codec::{self, Decoded, Payload, Unread, put_name, put_number};
use super::files::File;
use super::record::{SegmentNumber, parse_client, parse_lease, parse_once, put_client, put_once};
use super::segment::parse_number;
use crate::access::places::Occupant;
use crate::event::frame;
use crate::event::job::{EventId, JobId};
use crate::hub::keyed::{Keyed, KeyedChanges};
use crate::hub::{Cancellation, Hub, Life, LifeState, Owner};

/// What a checkpoint begins with.
pub const MAGIC: &[u8; 8] = b"LANDFC2\n";
/// Ranges of lost numbers that are remembered. Older ones are below what anybody can still
/// name.
pub const LOST_MAX: usize = 1024;
/// About what a key takes that is remembered.
pub const KEYED_BYTES: u64 = 48;
/// What is written at a time.
const PART_BYTES: usize = 256 * 1024;

const HEAD: u8 = 48;
const JOB: u8 = 49;
const END: u8 = 50;
const COUNTED_JOB: u8 = 51;

const UPLOAD: u8 = 1;
const DONE: u8 = 2;
const FAILED: u8 = 4;
const DELETED: u8 = 8;
const EVENT: u8 = 16;
const LEASED: u8 = 32;
const KEYED: u8 = 64;
const CANCELLED: u8 = 128;

/// A record.
#[derive(Debug, PartialEq, Eq)]
pub enum CheckpointPart<'a> {
    /// What is said of all jobs.
    Head(CheckpointHead),
    /// A job.
    Job(JobPart<'a>),
    /// There were so many jobs.
    End(u64),
}

/// What is said of all jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointHead {
    /// The newest number that was given.
    pub newest: EventId,
    /// Its time.
    pub time_ms: u64,
    /// The highest number of jobs that are forgotten.
    pub forgotten: EventId,
    /// Segments below this aren't kept.
    pub first: SegmentNumber,
    /// Numbers that may have been given, and are lost.
    pub lost: Vec<Range<u64>>,
}

/// A job.
#[derive(Debug, PartialEq, Eq)]
pub struct JobPart<'a> {
    /// Its name.
    pub job: &'a str,
    /// Its life.
    pub life: Life,
    /// The keys of its changes.
    pub keys: KeyedChanges,
    /// The number of its newest event that is in no kept segment; zero where all are.
    pub before: EventId,
    /// Its newest event that is kept nowhere, or the entry that deleted what was before.
    pub gone: EventId,
    /// Its newest event, where that is in no kept segment.
    pub event: Option<EventPart<'a>>,
}

/// An event, whose data has a `jobId` of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPart<'a> {
    /// Its number.
    pub id: EventId,
    /// Its name.
    pub name: &'a str,
    /// Its data.
    pub data: &'a str,
}

/// A checkpoint's file.
pub fn file_name(number: u32) -> String {
    format!("{number:010}.checkpoint")
}

/// The checkpoint of a file, if it is one's.
pub fn parse_file_name(name: &str) -> Option<u32> {
    parse_number(name, ".checkpoint")
}

/// Writes a checkpoint, after which the segments below `first` can go. What it tells of
/// is brought to the medium by `sync`. Returns its size. Blocks.
pub(super) fn write(
    shared: &JournalShared,
    hub: &Hub,
    number: u32,
    first: SegmentNumber,
    sync: &dyn Fn() -> io::Result<()>,
) -> io::Result<u64> {
    let name = file_name(number);
    let new = format!("{name}.new");
    let written = write_new(shared, hub, &new, number, first, sync);
    let renamed = written.and_then(|bytes| {
        shared.files.rename(&new, &name)?;
        Ok(bytes)
    });
    match renamed {
        Ok(bytes) => shared.files.sync_names().map(|()| bytes),
        Err(error) => {
            let _ = shared.files.remove(&new);
            shared.set_spare(0);
            Err(error)
        }
    }
}

fn write_new(
    shared: &JournalShared,
    hub: &Hub,
    name: &str,
    number: u32,
    first: SegmentNumber,
    sync: &dyn Fn() -> io::Result<()>,
) -> io::Result<u64> {
    let file = shared.files.open(name, true)?;
    let mut output = CheckpointOutput {
        shared,
        file: &*file,
        buffer: MAGIC.to_vec(),
        offset: 0,
        error: None,
    };
    let mut lost = hub.lost();
    lost.drain(..lost.len().saturating_sub(LOST_MAX));
    let head = CheckpointHead {
        newest: hub.published(),
        time_ms: hub.time_ms(),
        forgotten: hub.forgotten(),
        first,
        lost,
    };
    output.put(number, &CheckpointPart::Head(head));
    let mut jobs = 0;
    hub.each_life(|job, life, keys, frame| {
        let known = shared.index.lock().get(job).cloned();
        let (mut before, mut gone, mut event) = (EventId(0), EventId(0), None);
        match &known {
            Some(known) => match known.first_span_from(first) {
                Some(span) => {
                    before = span.before;
                    gone = span.before.max(known.floor);
                }
                // That a job was deleted its life says, or it is gone with the segment.
                None if known.is_deleted() && life.is_deleted() => {}
                None if known.is_deleted() => gone = known.newest,
                None => {
                    before = known.newest;
                    gone = known.before_newest.max(known.floor);
                    event = frame.as_deref().and_then(event_of);
                    event = event.filter(|event| event.id == known.newest);
                }
            },
            // There was an end of another life, of which nothing is left.
            None if !life.is_deleted() => gone = life.previous_end,
            None => {}
        }
        jobs += 1;
        let part = JobPart {
            job: job.as_str(),
            life: life.clone(),
            keys: keys.clone(),
            before,
            gone,
            event,
        };
        output.put(number, &CheckpointPart::Job(part));
    });
    output.put(number, &CheckpointPart::End(jobs));
    output.flush();
    if let Some(error) = output.error {
        return Err(error);
    }
    let bytes = output.offset;
    file.sync()?;
    sync()?;
    Ok(bytes)
}

/// The event in a frame.
pub fn event_of(frame: &[u8]) -> Option<EventPart<'_>> {
    let (name, data) = frame::parse(frame)?;
    let text = std::str::from_utf8(frame).ok()?;
    let (_, id) = text.trim_end().rsplit_once("\nid: ")?;
    let id = EventId(id.parse().ok()?);
    Some(EventPart { id, name, data })
}

struct CheckpointOutput<'a> {
    shared: &'a JournalShared,
    file: &'a dyn File,
    buffer: Vec<u8>,
    offset: u64,
    error: Option<io::Error>,
}

impl CheckpointOutput<'_> {
    fn put(&mut self, number: u32, part: &CheckpointPart<'_>) {
        encode(&mut self.buffer, number, part);
        if self.buffer.len() >= PART_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.file.write_at(self.offset, &self.buffer).err();
        }
        self.offset += self.buffer.len() as u64;
        self.shared.set_spare(self.offset);
        self.buffer.clear();
    }
}

/// Appends a record of the checkpoint of this number.
pub fn encode(out: &mut Vec<u8>, number: u32, part: &CheckpointPart<'_>) {
    codec::put_record(out, number, |out| match part {
        CheckpointPart::Head(head) => {
            out.extend_from_slice(&[HEAD, 0]);
            put_number(out, head.newest.0);
            put_number(out, head.time_ms);
            put_number(out, head.forgotten.0);
            put_number(out, head.first.0.into());
            put_number(out, head.lost.len() as u64);
            for lost in &head.lost {
                put_number(out, lost.start);
                put_number(out, lost.end);
            }
        }
        CheckpointPart::Job(job) => job.encode(out),
        CheckpointPart::End(jobs) => {
            out.push(END);
            put_number(out, *jobs);
        }
    });
}

/// Reads the record at the beginning of `bytes`.
pub fn decode(bytes: &[u8], number: u32) -> Decoded<CheckpointPart<'_>> {
    codec::take_record(bytes, number, |payload| match payload.byte()? {
        HEAD => {
            payload.flags(0)?;
            let newest = payload.id()?;
            let time_ms = payload.number()?;
            let forgotten = payload.id()?;
            let first = payload.number()?;
            let first = u32::try_from(first).map_err(|_| Unread::Malformed)?;
            let mut lost = Vec::new();
            for _ in 0..payload.number()? {
                lost.push(payload.id()?.0..payload.id()?.0);
            }
            Ok(CheckpointPart::Head(CheckpointHead {
                newest,
                time_ms,
                forgotten,
                first: SegmentNumber(first),
                lost,
            }))
        }
        kind @ (JOB | COUNTED_JOB) => JobPart::parse(kind, payload).map(CheckpointPart::Job),
        END => payload.number().map(CheckpointPart::End),
        _ => Err(Unread::Newer),
    })
}

impl<'a> JobPart<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        let Life {
            began,
            owner,
            state,
            previous_end,
            last,
            created_ms,
            updated_ms,
            lease,
            cancelled,
            client,
        } = self.life;
        let mut flags = match state {
            LifeState::Running => 0,
            LifeState::Done => DONE,
            LifeState::Failed => FAILED,
            LifeState::Deleted { .. } => DELETED,
        };
        if owner == Owner::Upload {
            flags |= UPLOAD;
        }
        if self.event.is_some() {
            flags |= EVENT;
        }
        if lease.is_some() {
            flags |= LEASED;
        }
        if !self.keys.is_empty() {
            flags |= KEYED;
        }
        if cancelled.is_some() {
            flags |= CANCELLED;
        }
        let kind = if client.is_nobody() { JOB } else { COUNTED_JOB };
        out.extend_from_slice(&[kind, flags]);
        for number in [began.0, previous_end.0, last.0, created_ms, updated_ms] {
            put_number(out, number);
        }
        if let LifeState::Deleted { until_ms } = state {
            put_number(out, until_ms);
        }
        if let Some(lease) = lease {
            put_number(out, lease.duration().as_millis() as u64);
        }
        if !self.keys.is_empty() {
            put_number(out, self.keys.len() as u64);
        }
        for keyed in self.keys.iter() {
            put_number(out, keyed.id.0);
            put_once(out, &keyed.once, 0);
        }
        if let Some(Cancellation { by, grace_ms }) = cancelled {
            put_number(out, by.0);
            put_number(out, grace_ms);
        }
        if kind == COUNTED_JOB {
            put_client(out, client);
        }
        put_number(out, self.before.0);
        put_number(out, self.gone.0);
        put_name(out, self.job);
        if let Some(event) = &self.event {
            put_number(out, event.id.0);
            codec::put_event_name(out, event.name);
            out.extend_from_slice(event.data.as_bytes());
        }
    }

    fn parse(kind: u8, payload: &mut Payload<'a>) -> Result<JobPart<'a>, Unread> {
        let flags = payload.byte()?;
        let (began, previous_end, last) = (payload.id()?, payload.id()?, payload.id()?);
        // Both are counted back from: the number before the first is never negative.
        if began.0 == 0 || last < began {
            return Err(Unread::Malformed);
        }
        let (created_ms, updated_ms) = (payload.number()?, payload.number()?);
        let state = match flags & (DONE | FAILED | DELETED) {
            0 => LifeState::Running,
            DONE => LifeState::Done,
            FAILED => LifeState::Failed,
            DELETED => LifeState::Deleted {
                until_ms: payload.number()?,
            },
            _ => return Err(Unread::Malformed),
        };
        let lease = match flags & LEASED {
            0 => None,
            _ => Some(parse_lease(payload)?),
        };
        let mut keys = Vec::new();
        if flags & KEYED != 0 {
            for _ in 0..payload.number()? {
                let id = payload.id()?;
                let once = parse_once(payload, 0)?;
                keys.push(Keyed { once, id });
            }
        }
        let cancelled = match flags & CANCELLED {
            0 => None,
            _ => Some(Cancellation {
                by: payload.id()?,
                grace_ms: payload.number()?,
            }),
        };
        let owner = if flags & UPLOAD == 0 {
            Owner::Worker
        } else {
            Owner::Upload
        };
        let client = match kind {
            COUNTED_JOB => parse_client(payload)?,
            _ => Occupant::default(),
        };
        let (before, gone) = (payload.id()?, payload.id()?);
        let job = payload.name()?;
        let event = if flags & EVENT == 0 {
            None
        } else {
            Some(EventPart {
                id: payload.id()?,
                name: payload.event_name()?,
                data: payload.rest()?,
            })
        };
        Ok(JobPart {
            job,
            life: Life {
                began,
                owner,
                state,
                previous_end,
                last,
                created_ms,
                updated_ms,
                lease,
                cancelled,
                client,
            },
            keys: keys.into_iter().collect(),
            before,
            gone,
            event,
        })
    }
}

/// What the file of a checkpoint turns out to be.
pub enum OpenedCheckpoint<'a> {
    /// A whole one.
    Whole(Whole<'a>),
    /// Half of one, or damaged.
    Broken,
    /// A newer version's.
    Newer,
}

/// A whole checkpoint.
pub struct Whole<'a> {
    /// What is said of all jobs.
    pub head: CheckpointHead,
    bytes: &'a [u8],
    number: u32,
}

/// Looks through a checkpoint's bytes.
pub fn open(bytes: &[u8], number: u32) -> OpenedCheckpoint<'_> {
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return OpenedCheckpoint::Broken;
    };
    let (mut at, mut head, mut jobs) = (0, None, 0);
    loop {
        match decode(&rest[at..], number) {
            Decoded::Record(part, length) => {
                at += length;
                match part {
                    CheckpointPart::Head(found) if head.is_none() => head = Some(found),
                    CheckpointPart::Job(_) if head.is_some() => jobs += 1,
                    CheckpointPart::End(count) if count == jobs && at == rest.len() => break,
                    _ => return OpenedCheckpoint::Broken,
                }
            }
            Decoded::Newer => return OpenedCheckpoint::Newer,
            Decoded::Incomplete | Decoded::Nothing => return OpenedCheckpoint::Broken,
        }
    }
    match head {
        Some(head) => OpenedCheckpoint::Whole(Whole {
            head,
            bytes: rest,
            number,
        }),
        None => OpenedCheckpoint::Broken,
    }
}

impl<'a> Whole<'a> {
    /// Its jobs.
    pub fn jobs(&self) -> impl Iterator<Item = JobPart<'a>> + use<'a> {
        let (bytes, number) = (self.bytes, self.number);
        let mut at = 0;
        std::iter::from_fn(move || {
            loop {
                let Decoded::Record(part, length) = decode(&bytes[at..], number) else {
                    return None;
                };
                at += length;
                if let CheckpointPart::Job(job) = part {
                    return Some(job);
                }
            }
        })
    }
}

impl JobPart<'_> {
    /// Puts the job back.
    pub(super) fn load(&self, shared: &JournalShared, hub: &Hub) {
        let Ok(job) = self.job.parse::<JobId>() else {
            return;
        };
        if self.before.0 > 0 {
            let bytes = self.event.map_or(0, |event| event.data.len());
            let mut index = shared.index.lock();
            index.load(&job, self.before, self.gone, bytes);
        } else if self.gone.0 > 0 {
            shared.index.lock().load_floor(&job, self.gone);
        }
        self.load_into(hub);
    }

    /// The same where its events are nowhere but in the hub.
    pub fn load_into(&self, hub: &Hub) {
        let Ok(job) = self.job.parse::<JobId>() else {
            return;
        };
        hub.load(&job, self.life.clone(), self.gone);
        hub.load_keys(&job, self.keys.clone());
        let event = self.event.and_then(|event| {
            let restored = crate::event::Event::restored(event.name, event.data, true, &job);
            restored.map(|restored| (event.id, restored))
        });
        if let Some((id, event)) = event {
            // Before any other, so that none of its events is passed over.
            hub.settle(&job, id, &event);
        }
    }
}

#[cfg(test)]
mod tests;
