//! What stands in a segment: accepted entries, in their order, and where the journal's own
//! lives began and ended.
//!
//! ```text
//! segment  "LANDFJ2\n" record...
//! record   as the module `codec` has it
//! payload  kind: u8, and by its kind
//!   16 event   flags, id, id - the number of the job's event before it (0: it has none),
//!              milliseconds of the unix clock, job, event, data to the payload's end
//!   17 begin   flags, id, milliseconds, owner (0 worker, 1 upload), job
//!   18 delete  flags, id, milliseconds, milliseconds until which that is remembered, job
//!   19 forget  flags, id, milliseconds, number of the job's newest entry, job
//!   20 open    flags, boot: 16 bytes, the last number that may be given before another
//!              open, the newest number that was given
//!   21 close
//!   22 gap     the first number that may have been given and is lost, the one behind the
//!              last
//!   23 renew   flags, id, milliseconds, milliseconds of the lease, job
//!   25 cancel  flags, id, milliseconds, how many of them the worker may take, job
//! ```
//!
//! | flag | event | begin |
//! | --- | --- | --- |
//! | 1 | the data has a `jobId` of its own | a life was running, and ended with this |
//! | 2 | a lease, in milliseconds, behind the time | the same |
//! | 4 | a key, behind the lease: its digest and that of what was said, 16 bytes each, and how many milliseconds it is remembered | the same |
//!
//! A renew's flag 4 is the same. An open's flag 1: the segment holds what the first format's
//! had, and counts only beside a checkpoint. The other kinds have no flags yet. A lease that ran out is an event like any
//! other, and the kind 24 isn't used. Kinds below 16 are those of the
//! first format, and none here. A record with another flag, or another kind, was written
//! by a newer version.

use std::time::Duration;

use super::codec::{self, Found, HEADER_BYTES, Payload, Unread, put_name, put_number};
use crate::event::job::EventId;
use crate::event::{Content, IdempotencyKey, Lease};
use crate::hub::{Once, Owner, Terms};

/// What a segment begins with.
pub const MAGIC: &[u8; 8] = b"LANDFJ2\n";
/// Numbers that are reserved at a time: what a loss of power may cost of them.
pub const RESERVED: u64 = 1 << 17;
/// No record that takes a number is shorter: how many can have stood in a stretch that is
/// lost.
pub const ENTRY_MIN_BYTES: u64 = HEADER_BYTES as u64 + 7;

const NAMES_ITS_JOB: u8 = 1;
const REPLACES: u8 = 1;
const LEASED: u8 = 2;
const KEYED: u8 = 4;
const CARRIED_OVER: u8 = 1;

const EVENT: u8 = 16;
const BEGIN: u8 = 17;
const DELETE: u8 = 18;
const FORGET: u8 = 19;
const OPEN: u8 = 20;
const CLOSE: u8 = 21;
const GAP: u8 = 22;
const RENEW: u8 = 23;
const CANCEL: u8 = 25;

/// A segment's number; its checksums begin with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNumber(pub u32);

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// An entry was accepted.
    Entry(EntryRecord<'a>),
    /// A life of the journal began, or goes on.
    Open {
        /// The kernel's boot.
        boot: [u8; 16],
        /// The last number that may be given; zero where none is seen before it is on the
        /// medium.
        reserved: EventId,
        /// The newest number that was given.
        newest: EventId,
        /// Whether the segment holds what the first format's had, and counts only beside a
        /// checkpoint.
        is_carried_over: bool,
    },
    /// A life of the journal ended as it should.
    Close,
    /// These numbers may have been given, and are lost.
    Gap {
        /// The first of them.
        first: EventId,
        /// The one behind the last.
        end: EventId,
    },
}

/// An accepted entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRecord<'a> {
    /// Its number.
    pub id: EventId,
    /// When it was put in order, in milliseconds of the unix clock.
    pub time_ms: u64,
    /// The job's name.
    pub job: &'a str,
    /// What it changed.
    pub change: ChangeRecord<'a>,
}

/// What an entry changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeRecord<'a> {
    /// An event.
    Event {
        /// The number of the job's event before it; zero where there is none, or those
        /// before it are void.
        previous: EventId,
        /// The event's name.
        name: &'a str,
        /// Its data.
        data: &'a str,
        /// Whether the data has a `jobId` of its own.
        names_its_job: bool,
        /// What it said besides.
        terms: Terms,
    },
    /// A life began.
    Begin {
        /// Who began it.
        owner: Owner,
        /// Whether one was running, and ended with it.
        replaces: bool,
        /// What it said besides.
        terms: Terms,
    },
    /// The job's lease was renewed.
    Renew {
        /// Its lease from then on.
        lease: Lease,
        /// What it was known by.
        once: Option<Once>,
    },
    /// The job's worker was asked to end it.
    Cancel {
        /// How many milliseconds it may take.
        grace_ms: u64,
    },
    /// The job was deleted.
    Delete {
        /// Until when that is remembered.
        until_ms: u64,
    },
    /// The job was forgotten.
    Forget {
        /// Its newest entry.
        last: EventId,
    },
}

/// Appends a record.
pub fn encode(out: &mut Vec<u8>, segment: SegmentNumber, record: &Record<'_>) {
    codec::put_record(out, segment.0, |out| match record {
        Record::Entry(entry) => entry.encode(out),
        Record::Open {
            boot,
            reserved,
            newest,
            is_carried_over,
        } => {
            out.extend_from_slice(&[OPEN, u8::from(*is_carried_over)]);
            out.extend_from_slice(boot);
            put_number(out, reserved.0);
            put_number(out, newest.0);
        }
        Record::Close => out.push(CLOSE),
        Record::Gap { first, end } => {
            out.push(GAP);
            put_number(out, first.0);
            put_number(out, end.0);
        }
    });
}

/// Reads the record at the beginning of `bytes`.
pub fn decode(bytes: &[u8], segment: SegmentNumber) -> Found<Record<'_>> {
    codec::take_record(bytes, segment.0, parse)
}

fn parse<'a>(payload: &mut Payload<'a>) -> Result<Record<'a>, Unread> {
    match payload.byte()? {
        kind @ (EVENT..=FORGET | RENEW | CANCEL) => {
            EntryRecord::parse(kind, payload).map(Record::Entry)
        }
        OPEN => {
            let is_carried_over = payload.flags(CARRIED_OVER)? != 0;
            Ok(Record::Open {
                is_carried_over,
                boot: payload.bytes()?,
                reserved: payload.id()?,
                newest: payload.id()?,
            })
        }
        CLOSE => Ok(Record::Close),
        GAP => {
            let (first, end) = (payload.id()?, payload.id()?);
            if first > end {
                return Err(Unread::Malformed);
            }
            Ok(Record::Gap { first, end })
        }
        0..EVENT => Err(Unread::Malformed),
        _ => Err(Unread::Newer),
    }
}

impl<'a> EntryRecord<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        let (kind, flags) = match &self.change {
            ChangeRecord::Event { names_its_job, .. } => (EVENT, u8::from(*names_its_job)),
            ChangeRecord::Begin { replaces, .. } => (BEGIN, u8::from(*replaces)),
            ChangeRecord::Renew { .. } => (RENEW, 0),
            ChangeRecord::Cancel { .. } => (CANCEL, 0),
            ChangeRecord::Delete { .. } => (DELETE, 0),
            ChangeRecord::Forget { .. } => (FORGET, 0),
        };
        let terms = self.terms();
        let leased = terms.lease.is_some() && kind != RENEW;
        let leased = if leased { LEASED } else { 0 };
        let keyed = if terms.once.is_some() { KEYED } else { 0 };
        out.extend_from_slice(&[kind, flags | leased | keyed]);
        put_number(out, self.id.0);
        if let ChangeRecord::Event { previous, .. } = self.change {
            let step = if previous.0 == 0 {
                0
            } else {
                self.id.0 - previous.0
            };
            put_number(out, step);
        }
        put_number(out, self.time_ms);
        if let Some(lease) = terms.lease {
            put_number(out, lease.duration().as_millis() as u64);
        }
        if let Some(once) = terms.once {
            put_once(out, &once, self.time_ms);
        }
        match &self.change {
            ChangeRecord::Event { name, data, .. } => {
                put_name(out, self.job);
                codec::put_event_name(out, name);
                out.extend_from_slice(data.as_bytes());
                return;
            }
            ChangeRecord::Begin { owner, .. } => out.push(match owner {
                Owner::Worker => 0,
                Owner::Upload => 1,
            }),
            ChangeRecord::Renew { .. } => {}
            ChangeRecord::Cancel { grace_ms } => put_number(out, *grace_ms),
            ChangeRecord::Delete { until_ms } => put_number(out, *until_ms),
            ChangeRecord::Forget { last } => put_number(out, last.0),
        }
        put_name(out, self.job);
    }

    fn terms(&self) -> Terms {
        match self.change {
            ChangeRecord::Event { terms, .. } | ChangeRecord::Begin { terms, .. } => terms,
            ChangeRecord::Renew { lease, once } => Terms {
                lease: Some(lease),
                once,
            },
            ChangeRecord::Cancel { .. }
            | ChangeRecord::Delete { .. }
            | ChangeRecord::Forget { .. } => Terms::default(),
        }
    }

    fn parse(kind: u8, payload: &mut Payload<'a>) -> Result<EntryRecord<'a>, Unread> {
        let flags = payload.flags(match kind {
            EVENT => NAMES_ITS_JOB | LEASED | KEYED,
            BEGIN => REPLACES | LEASED | KEYED,
            RENEW => KEYED,
            _ => 0,
        })?;
        let id = payload.id()?;
        if id.0 == 0 {
            return Err(Unread::Malformed);
        }
        let mut previous = EventId(0);
        if kind == EVENT {
            let step = payload.number()?;
            if step > 0 {
                // Of the first event of all there is none before it.
                let before = id.0.checked_sub(step).filter(|&before| before > 0);
                previous = EventId(before.ok_or(Unread::Malformed)?);
            }
        }
        let time_ms = payload.number()?;
        let mut terms = Terms::default();
        if flags & LEASED != 0 || kind == RENEW {
            terms.lease = Some(parse_lease(payload)?);
        }
        if flags & KEYED != 0 && matches!(kind, EVENT | BEGIN | RENEW) {
            terms.once = Some(parse_once(payload, time_ms)?);
        }
        let change = match kind {
            EVENT => {
                let job = payload.name()?;
                let change = ChangeRecord::Event {
                    previous,
                    name: payload.event_name()?,
                    data: payload.rest()?,
                    names_its_job: flags & NAMES_ITS_JOB != 0,
                    terms,
                };
                return Ok(EntryRecord {
                    id,
                    time_ms,
                    job,
                    change,
                });
            }
            BEGIN => ChangeRecord::Begin {
                owner: match payload.byte()? {
                    0 => Owner::Worker,
                    1 => Owner::Upload,
                    _ => return Err(Unread::Newer),
                },
                replaces: flags & REPLACES != 0,
                terms,
            },
            RENEW => ChangeRecord::Renew {
                lease: terms.lease.ok_or(Unread::Malformed)?,
                once: terms.once,
            },
            CANCEL => ChangeRecord::Cancel {
                grace_ms: payload.number()?,
            },
            DELETE => ChangeRecord::Delete {
                until_ms: payload.number()?,
            },
            _ => ChangeRecord::Forget {
                last: payload.id()?,
            },
        };
        let job = payload.name()?;
        Ok(EntryRecord {
            id,
            time_ms,
            job,
            change,
        })
    }
}

/// Appends what a change is known by, which was made at this millisecond.
pub(super) fn put_once(out: &mut Vec<u8>, once: &Once, time_ms: u64) {
    out.extend_from_slice(&once.key.0);
    out.extend_from_slice(&once.content.0);
    put_number(out, once.until_ms.saturating_sub(time_ms));
}

/// What a change is known by, which was made at this millisecond.
pub(super) fn parse_once(payload: &mut Payload<'_>, time_ms: u64) -> Result<Once, Unread> {
    Ok(Once {
        key: IdempotencyKey(payload.bytes()?),
        content: Content(payload.bytes()?),
        until_ms: time_ms.saturating_add(payload.number()?),
    })
}

/// A lease, in milliseconds.
pub(super) fn parse_lease(payload: &mut Payload<'_>) -> Result<Lease, Unread> {
    let lease = Duration::from_millis(payload.number()?);
    Lease::new(lease).ok_or(Unread::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: SegmentNumber = SegmentNumber(7);

    fn entry(change: ChangeRecord<'static>) -> Record<'static> {
        Record::Entry(EntryRecord {
            id: EventId(70_000),
            time_ms: 1_800_000_000_000,
            job: "job_8f3a",
            change,
        })
    }

    fn event(previous: u64, name: &'static str, names_its_job: bool) -> Record<'static> {
        entry(ChangeRecord::Event {
            previous: EventId(previous),
            name,
            data: r#"{"stage":"scanning","percent":30}"#,
            names_its_job,
            terms: Terms::default(),
        })
    }

    fn on(terms: Terms) -> Record<'static> {
        let Record::Entry(mut entry) = event(1, "progress", true) else {
            unreachable!("it is one")
        };
        if let ChangeRecord::Event { terms: of_it, .. } = &mut entry.change {
            *of_it = terms;
        }
        Record::Entry(entry)
    }

    fn terms(lease: &str, once: Option<Once>) -> Terms {
        let lease = lease.parse().ok();
        Terms { lease, once }
    }

    fn once() -> Option<Once> {
        Some(Once {
            key: IdempotencyKey([7; 16]),
            content: Content([9; 16]),
            until_ms: 1_800_000_600_000,
        })
    }

    fn records() -> Vec<Record<'static>> {
        let begin = |owner, replaces, terms| {
            entry(ChangeRecord::Begin {
                owner,
                replaces,
                terms,
            })
        };
        let renew = |once| {
            entry(ChangeRecord::Renew {
                lease: "30s".parse().unwrap(),
                once,
            })
        };
        vec![
            event(69_999, "progress", false),
            event(1, "a-name", true),
            event(0, "done", false),
            on(terms("1s", None)),
            on(terms("24h", once())),
            on(terms("", once())),
            begin(Owner::Worker, false, Terms::default()),
            begin(Owner::Worker, false, terms("30s", None)),
            begin(Owner::Worker, true, terms("", once())),
            begin(Owner::Upload, true, terms("1500ms", once())),
            renew(None),
            renew(once()),
            entry(ChangeRecord::Cancel { grace_ms: 30_000 }),
            entry(ChangeRecord::Delete {
                until_ms: 1_800_003_600_000,
            }),
            entry(ChangeRecord::Forget {
                last: EventId(69_000),
            }),
            Record::Open {
                boot: [9; 16],
                reserved: EventId(1 << 40),
                newest: EventId(3),
                is_carried_over: true,
            },
            Record::Close,
            Record::Gap {
                first: EventId(3),
                end: EventId::MAX,
            },
        ]
    }

    fn bytes_of(record: &Record<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&mut bytes, SEGMENT, record);
        bytes
    }

    #[test]
    fn a_record_reads_back_whatever_stands_behind_it() {
        for record in records() {
            let mut bytes = bytes_of(&record);
            let length = bytes.len();
            bytes.extend_from_slice(b"more");
            assert_eq!(decode(&bytes, SEGMENT), Found::Record(record, length));
        }
    }

    #[test]
    fn a_cut_record_is_incomplete_and_a_changed_one_is_nothing() {
        for record in records() {
            let bytes = bytes_of(&record);
            for end in 0..bytes.len() {
                assert_eq!(decode(&bytes[..end], SEGMENT), Found::Incomplete, "{end}");
            }
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let found = decode(&changed, SEGMENT);
                let is_none = matches!(found, Found::Nothing | Found::Incomplete);
                assert!(is_none, "bit {bit} of {record:?}");
            }
            assert_eq!(decode(&bytes, SegmentNumber(8)), Found::Nothing);
        }
    }

    #[test]
    fn another_kind_or_flag_is_a_newer_versions_and_a_kind_of_the_first_format_is_nothing() {
        let found = |payload: &[u8]| {
            let mut bytes = Vec::new();
            let write = |out: &mut Vec<u8>| out.extend_from_slice(payload);
            codec::put_record(&mut bytes, SEGMENT.0, write);
            match decode(&bytes, SEGMENT) {
                Found::Record(..) => Found::Record((), 0),
                Found::Newer => Found::Newer,
                Found::Incomplete => Found::Incomplete,
                Found::Nothing => Found::Nothing,
            }
        };
        for kind in (24..=255).filter(|kind| *kind != CANCEL) {
            assert_eq!(found(&[kind, 1, 2, 3]), Found::Newer, "{kind}");
        }
        for kind in 0..16 {
            assert_eq!(found(&[kind, 0, 1, 0, 1]), Found::Nothing, "{kind}");
        }
        for record in records() {
            let bytes = bytes_of(&record);
            let mut payload = bytes[HEADER_BYTES..].to_vec();
            if ![CLOSE, GAP].contains(&payload[0]) {
                payload[1] |= 8;
                assert_eq!(found(&payload), Found::Newer, "{record:?}");
            }
        }
    }

    #[test]
    fn numbers_that_cannot_have_been_given_are_no_record() {
        let max = EventId::MAX.0;
        let forget = |id, last| {
            Record::Entry(EntryRecord {
                id: EventId(id),
                time_ms: 1,
                job: "j",
                change: ChangeRecord::Forget {
                    last: EventId(last),
                },
            })
        };
        let gap = |first, end| Record::Gap {
            first: EventId(first),
            end: EventId(end),
        };
        for (record, is_one) in [
            (forget(max, max), true),
            (forget(max + 1, 1), false),
            (forget(1, max + 1), false),
            (forget(0, 1), false),
            (gap(1, max), true),
            (gap(2, 1), false),
            (gap(1, max + 1), false),
        ] {
            let bytes = bytes_of(&record);
            let found = matches!(decode(&bytes, SEGMENT), Found::Record(..));
            assert_eq!(found, is_one, "{record:?}");
        }
    }

    #[test]
    fn a_lease_that_nobody_can_have_asked_for_is_no_record() {
        let bytes = bytes_of(&entry(ChangeRecord::Renew {
            lease: "24h".parse().unwrap(),
            once: None,
        }));
        let mut payload = bytes[HEADER_BYTES..].to_vec();
        let ms = Lease::MAX.as_millis() as u64;
        let mut written = Vec::new();
        put_number(&mut written, ms);
        let mut longer = Vec::new();
        put_number(&mut longer, ms + 1);
        let at = payload
            .windows(written.len())
            .position(|it| it == written)
            .unwrap();
        payload[at..at + written.len()].copy_from_slice(&longer);
        let mut changed = Vec::new();
        let write = |out: &mut Vec<u8>| out.extend_from_slice(&payload);
        codec::put_record(&mut changed, SEGMENT.0, write);
        assert_eq!(decode(&changed, SEGMENT), Found::Nothing);
    }

    #[test]
    fn an_event_costs_so_many_bytes_more_than_its_names_and_data() {
        let bytes = bytes_of(&event(69_999, "progress", false));
        let own = "job_8f3a".len() + r#"{"stage":"scanning","percent":30}"#.len();
        assert_eq!(bytes.len() - own, 23);
    }

    #[test]
    fn no_entry_is_shorter_than_the_shortest() {
        let changes = [
            ChangeRecord::Event {
                previous: EventId(0),
                name: "done",
                data: "{}",
                names_its_job: false,
                terms: Terms::default(),
            },
            ChangeRecord::Begin {
                owner: Owner::Worker,
                replaces: false,
                terms: Terms::default(),
            },
            ChangeRecord::Renew {
                lease: "1s".parse().unwrap(),
                once: None,
            },
            ChangeRecord::Cancel { grace_ms: 0 },
            ChangeRecord::Delete { until_ms: 0 },
            ChangeRecord::Forget { last: EventId(1) },
        ];
        for change in changes {
            let bytes = bytes_of(&Record::Entry(EntryRecord {
                id: EventId(1),
                time_ms: 0,
                job: "j",
                change,
            }));
            assert!(bytes.len() as u64 >= ENTRY_MIN_BYTES, "{}", bytes.len());
        }
    }
}
