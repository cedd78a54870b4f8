//! What stands in a segment: records, each with its length and its checksum.
//!
//! ```text
//! segment  "LANDFJ1\n" record...
//! record   length: u32, crc: u32, payload          numbers are little-endian
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
//! Numbers of a payload are LEB128; a name has one byte of length before it, and data
//! goes to the payload's end. The event names `progress`, `done` and `error` are a
//! length of 0 to save their bytes, and then 1, 2 or 3.
//!
//! The checksum is CRC32C over the segment's number (so that what a file system shows of
//! another segment isn't taken for this one's), the length and the payload.
//!
//! The invariant: no event's data can hold a record. Data is JSON without control
//! characters, a length below 2^24 has a zero byte, and larger ones aren't records. So
//! a reader may look for the next record byte by byte.

use crate::event::job::{EventId, Sequence};
use crate::hub::Numbers;

/// What a segment begins with.
pub const MAGIC: &[u8; 8] = b"LANDFJ1\n";
/// Length and checksum.
pub const HEADER_BYTES: usize = 8;
/// The shortest payload: a close.
const PAYLOAD_MIN_BYTES: usize = 1;
/// The longest payload; an event's data has to fit with its names.
pub const PAYLOAD_MAX_BYTES: usize = (1 << 24) - 1;
/// No number is higher: two of them can be added, and one be gone on from.
pub const NUMBER_MAX: u64 = 1 << 62;
/// No event's record is shorter: how many can have stood in a stretch that is lost.
pub const EVENT_MIN_BYTES: u64 = HEADER_BYTES as u64 + 16;

const NAMES_ITS_JOB: u8 = 1;
const BEGINS: u8 = 2;
const HAS_ORIGIN: u8 = 4;

/// A segment's number; its checksums begin with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNumber(pub u32);

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// An event was accepted.
    Event(EventRecord<'a>),
    /// A job was forgotten, whose last numbers are these.
    Forget {
        /// The job.
        job: &'a str,
        /// Its last numbers.
        last: Numbers,
    },
    /// A life began, or goes on: it may give numbers up to this one.
    Open {
        /// The kernel's boot.
        boot: [u8; 16],
        /// The last number that it may give.
        reserved: u64,
    },
    /// A life ended as it should.
    Close,
    /// So many numbers may have been given before this, and are lost.
    Gap {
        /// How many, of the hub and of each job.
        count: u64,
    },
    /// New jobs begin above this.
    Floor(Numbers),
    /// Where a job began of which later events are kept.
    Born {
        /// The job.
        job: &'a str,
        /// Where it began.
        origin: Origin,
    },
}

/// An accepted event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord<'a> {
    /// Its numbers.
    pub numbers: Numbers,
    /// The id of the job's event before it, or the one before the job's first.
    pub previous: u64,
    /// When it was accepted, in milliseconds of the unix clock.
    pub time_ms: u64,
    /// Where its job began, in the job's oldest record.
    pub origin: Option<Origin>,
    /// The job's name.
    pub job: &'a str,
    /// The event's name.
    pub event: &'a str,
    /// Its data.
    pub data: &'a str,
    /// Whether the data has a `jobId` of its own.
    pub names_its_job: bool,
}

/// Where a job began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The id before its first.
    pub base: u64,
    /// When its first event came, in milliseconds of the unix clock.
    pub created_ms: u64,
}

/// What [`decode`] finds at a place.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A record, and how many bytes it has.
    Record(Record<'a>, usize),
    /// A record that would go on behind the end.
    Incomplete,
    /// No record.
    Nothing,
}

impl SegmentNumber {
    fn checksum(self, length: [u8; 4], payload: &[u8]) -> u32 {
        let seed = crc32c::crc32c(&self.0.to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c_append(seed, &length), payload)
    }
}

/// Appends a record. Its payload is at most [`PAYLOAD_MAX_BYTES`].
pub fn encode(out: &mut Vec<u8>, segment: SegmentNumber, record: &Record<'_>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    match record {
        Record::Event(event) => event.encode(out),
        Record::Forget { job, last } => {
            out.push(2);
            put_number(out, last.sequence.0);
            put_number(out, last.id.0);
            put_name(out, job);
        }
        Record::Open { boot, reserved } => {
            out.push(3);
            out.extend_from_slice(boot);
            put_number(out, *reserved);
        }
        Record::Close => out.push(4),
        Record::Gap { count } => {
            out.push(5);
            put_number(out, *count);
        }
        Record::Floor(floor) => {
            out.push(6);
            put_number(out, floor.sequence.0);
            put_number(out, floor.id.0);
        }
        Record::Born { job, origin } => {
            out.push(7);
            put_number(out, origin.base);
            put_number(out, origin.created_ms);
            put_name(out, job);
        }
    }
    let payload = start + HEADER_BYTES;
    let length = ((out.len() - payload) as u32).to_le_bytes();
    let crc = segment.checksum(length, &out[payload..]);
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4..payload].copy_from_slice(&crc.to_le_bytes());
}

/// Reads the record at the beginning of `bytes`.
pub fn decode(bytes: &[u8], segment: SegmentNumber) -> Found<'_> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Found::Incomplete;
    };
    let [length @ .., _, _, _, _] = *header;
    let payload_bytes = u32::from_le_bytes(length) as usize;
    if !(PAYLOAD_MIN_BYTES..=PAYLOAD_MAX_BYTES).contains(&payload_bytes) {
        return Found::Nothing;
    }
    let end = HEADER_BYTES + payload_bytes;
    let Some(payload) = bytes.get(HEADER_BYTES..end) else {
        return Found::Incomplete;
    };
    if !(1..=7).contains(&payload[0]) {
        return Found::Nothing;
    }
    let [_, _, _, _, crc @ ..] = *header;
    if segment.checksum(length, payload) != u32::from_le_bytes(crc) {
        return Found::Nothing;
    }
    match parse(payload) {
        Some(record) => Found::Record(record, end),
        None => Found::Nothing,
    }
}

fn parse(payload: &[u8]) -> Option<Record<'_>> {
    let (&kind, mut rest) = payload.split_first()?;
    let rest = &mut rest;
    let record = match kind {
        1 => Record::Event(EventRecord::parse(rest)?),
        2 => Record::Forget {
            last: numbers(rest)?,
            job: name(rest)?,
        },
        3 => {
            let (&boot, after) = rest.split_first_chunk()?;
            *rest = after;
            let reserved = event_number(rest)?;
            Record::Open { boot, reserved }
        }
        4 => Record::Close,
        5 => Record::Gap {
            count: event_number(rest)?,
        },
        6 => Record::Floor(numbers(rest)?),
        7 => Record::Born {
            origin: Origin {
                base: event_number(rest)?,
                created_ms: number(rest)?,
            },
            job: name(rest)?,
        },
        _ => return None,
    };
    rest.is_empty().then_some(record)
}

impl<'a> EventRecord<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        let begins = Some(Origin {
            base: self.previous,
            created_ms: self.time_ms,
        });
        let mut flags = 0;
        if self.names_its_job {
            flags |= NAMES_ITS_JOB;
        }
        let origin = match self.origin {
            origin if origin == begins => {
                flags |= BEGINS;
                None
            }
            Some(origin) => {
                flags |= HAS_ORIGIN;
                Some(origin)
            }
            None => None,
        };
        out.extend_from_slice(&[1, flags]);
        let id = self.numbers.id.0;
        for value in [
            self.numbers.sequence.0,
            id,
            id - self.previous,
            self.time_ms,
        ] {
            put_number(out, value);
        }
        if let Some(origin) = origin {
            put_number(out, origin.base);
            put_number(out, origin.created_ms);
        }
        put_name(out, self.job);
        match COMMON_EVENTS
            .iter()
            .position(|&common| common == self.event)
        {
            Some(index) => out.extend_from_slice(&[0, index as u8 + 1]),
            None => put_name(out, self.event),
        }
        out.extend_from_slice(self.data.as_bytes());
    }

    fn parse(rest: &mut &'a [u8]) -> Option<EventRecord<'a>> {
        let (&flags, after) = rest.split_first()?;
        *rest = after;
        let numbers = numbers(rest)?;
        let step = number(rest).filter(|&step| step > 0)?;
        let previous = numbers.id.0.checked_sub(step)?;
        if numbers.sequence.0 == 0 {
            return None;
        }
        let time_ms = number(rest)?;
        let origin = match flags & (BEGINS | HAS_ORIGIN) {
            0 => None,
            BEGINS => Some(Origin {
                base: previous,
                created_ms: time_ms,
            }),
            _ => Some(Origin {
                base: number(rest).filter(|&base| base <= previous)?,
                created_ms: number(rest)?,
            }),
        };
        let job = name(rest)?;
        let event = match name(rest)? {
            "" => {
                let (&index, after) = rest.split_first()?;
                *rest = after;
                COMMON_EVENTS.get(usize::from(index).checked_sub(1)?)?
            }
            event => event,
        };
        let data = std::str::from_utf8(std::mem::take(rest)).ok()?;
        Some(EventRecord {
            numbers,
            previous,
            time_ms,
            origin,
            job,
            event,
            data,
            names_its_job: flags & NAMES_ITS_JOB != 0,
        })
    }
}

const COMMON_EVENTS: [&str; 3] = ["progress", "done", "error"];

fn numbers(rest: &mut &[u8]) -> Option<Numbers> {
    Some(Numbers {
        sequence: Sequence(event_number(rest)?),
        id: EventId(event_number(rest)?),
    })
}

fn event_number(rest: &mut &[u8]) -> Option<u64> {
    number(rest).filter(|&number| number <= NUMBER_MAX)
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
}

fn name<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (&length, after) = rest.split_first()?;
    let (name, after) = after.split_at_checked(usize::from(length))?;
    *rest = after;
    std::str::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: SegmentNumber = SegmentNumber(7);

    fn event() -> EventRecord<'static> {
        EventRecord {
            numbers: Numbers {
                id: EventId(300),
                sequence: Sequence(70_000),
            },
            previous: 299,
            time_ms: 1_800_000_000_000,
            origin: None,
            job: "job_8f3a",
            event: "progress",
            data: r#"{"stage":"scanning","percent":30}"#,
            names_its_job: false,
        }
    }

    fn records() -> Vec<Record<'static>> {
        let origin = |base, created_ms| Some(Origin { base, created_ms });
        let last = Numbers {
            id: EventId(NUMBER_MAX),
            sequence: Sequence(NUMBER_MAX),
        };
        vec![
            Record::Event(event()),
            Record::Event(EventRecord {
                origin: origin(299, 1_800_000_000_000),
                event: "a-name",
                names_its_job: true,
                ..event()
            }),
            Record::Event(EventRecord {
                origin: origin(3, 4),
                event: "done",
                ..event()
            }),
            Record::Forget { job: "j", last },
            Record::Open {
                boot: [9; 16],
                reserved: 1 << 40,
            },
            Record::Close,
            Record::Gap { count: 131_072 },
            Record::Floor(last),
            Record::Born {
                job: "j",
                origin: origin(7, 8).unwrap(),
            },
        ]
    }

    #[test]
    fn a_record_reads_back_whatever_stands_behind_it() {
        for record in records() {
            let mut bytes = Vec::new();
            encode(&mut bytes, SEGMENT, &record);
            let length = bytes.len();
            bytes.extend_from_slice(b"more");
            assert_eq!(decode(&bytes, SEGMENT), Found::Record(record, length));
        }
    }

    #[test]
    fn numbers_that_cannot_have_been_given_are_no_record() {
        let numbers = |id, sequence| Numbers {
            id: EventId(id),
            sequence: Sequence(sequence),
        };
        let floor = |id, sequence| Record::Floor(numbers(id, sequence));
        let event = |id, sequence, previous| {
            Record::Event(EventRecord {
                numbers: numbers(id, sequence),
                previous,
                ..event()
            })
        };
        let based = Record::Event(EventRecord {
            origin: Some(Origin {
                base: 300,
                created_ms: 4,
            }),
            ..self::event()
        });
        let (max, above) = (NUMBER_MAX, NUMBER_MAX + 1);
        for (record, is_one) in [
            (floor(max, max), true),
            (floor(above, 1), false),
            (floor(1, above), false),
            (Record::Gap { count: above }, false),
            (event(max, max, 0), true),
            (event(above, 1, 0), false),
            (event(1, above, 0), false),
            (event(1, 0, 0), false),
            (event(1, 1, 1), false),
            (based, false),
        ] {
            let mut bytes = Vec::new();
            encode(&mut bytes, SEGMENT, &record);
            let found = matches!(decode(&bytes, SEGMENT), Found::Record(..));
            assert_eq!(found, is_one, "{record:?}");
        }
    }

    #[test]
    fn an_event_costs_so_many_bytes_more_than_its_names_and_data() {
        let mut bytes = Vec::new();
        encode(&mut bytes, SEGMENT, &Record::Event(event()));
        let own = event().job.len() + event().data.len();
        assert_eq!(bytes.len() - own, 25);
    }

    #[test]
    fn a_cut_record_is_incomplete_and_a_changed_one_is_nothing() {
        for record in records() {
            let mut bytes = Vec::new();
            encode(&mut bytes, SEGMENT, &record);
            for end in 0..bytes.len() {
                assert_eq!(decode(&bytes[..end], SEGMENT), Found::Incomplete, "{end}");
            }
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    !matches!(decode(&changed, SEGMENT), Found::Record(..)),
                    "bit {bit} of {record:?}"
                );
            }
            assert_eq!(decode(&bytes, SegmentNumber(8)), Found::Nothing);
        }
    }

    #[test]
    fn no_event_is_shorter_than_the_shortest() {
        let mut bytes = Vec::new();
        let shortest = EventRecord {
            numbers: Numbers {
                id: EventId(1),
                sequence: Sequence(1),
            },
            previous: 0,
            time_ms: 1_600_000_000_000,
            job: "j",
            event: "done",
            data: "{}",
            ..event()
        };
        encode(&mut bytes, SEGMENT, &Record::Event(shortest));
        assert!(bytes.len() as u64 >= EVENT_MIN_BYTES, "{}", bytes.len());
    }
}
