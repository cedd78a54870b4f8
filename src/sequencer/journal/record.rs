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
//! A begin's flag 8 says that whom it is counted for comes behind the key: a byte, of which 1 says
//! that an IPv4 address follows, 2 an IPv6 one, and 4 the fingerprint of a token, 8 bytes.
//! A renew's flag 4 is the same. An open's flag 1: the segment holds what the first format's
//! had, and counts only beside a checkpoint. The other kinds have no flags yet. A lease that ran out is an event like any
//! other, and the kind 24 isn't used. Kinds below 16 are those of the
//! first format, and none here. A record with another flag, or another kind, was written
//! by a newer version.

use std::net::IpAddr;
use std::time::Duration;

use super::codec::{self, Decoded, Few, HEADER_BYTES, Payload, Unread, put_name, put_number};
use crate::access::network::Network;
use crate::access::places::Occupant;
use crate::event::job::EventId;
use crate::event::{Content, IdempotencyKey, Lease};
use crate::hub::{Once, Owner, Terms};

/// What a segment begins with.
pub const MAGIC: &[u8; 8] = b"LANDFJ2\n";
/// Numbers that are reserved at a time: what a loss of power may cost of them, and half as many
/// more. A simulation has to come to the end of them.
pub const RESERVED: u64 = if cfg!(test) { 16 } else { 1 << 17 };
/// No record that takes a number is shorter: how many can have stood in a stretch that is
/// lost.
pub const ENTRY_MIN_BYTES: u64 = HEADER_BYTES as u64 + 7;

const NAMES_ITS_JOB: u8 = 1;
const REPLACES: u8 = 1;
const LEASED: u8 = 2;
const KEYED: u8 = 4;
const COUNTED: u8 = 8;
const CARRIED_OVER: u8 = 1;
const V4: u8 = 1;
const V6: u8 = 2;
const TOKEN: u8 = 4;

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
        once: Option<Box<Once>>,
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
pub fn decode(bytes: &[u8], segment: SegmentNumber) -> Decoded<Record<'_>> {
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
        let (lease, once, client) = self.terms();
        let leased = lease.is_some() && kind != RENEW;
        let leased = if leased { LEASED } else { 0 };
        let keyed = if once.is_some() { KEYED } else { 0 };
        let counted = if client.is_some() { COUNTED } else { 0 };
        let mut head = Few::default();
        head.byte(kind);
        head.byte(flags | leased | keyed | counted);
        head.number(self.id.0);
        if let ChangeRecord::Event { previous, .. } = self.change {
            let step = if previous.0 == 0 {
                0
            } else {
                self.id.0 - previous.0
            };
            head.number(step);
        }
        head.number(self.time_ms);
        head.put(out);
        if let Some(lease) = lease {
            put_number(out, lease.duration().as_millis() as u64);
        }
        if let Some(once) = once {
            put_once(out, once, self.time_ms);
        }
        if let Some(client) = client {
            put_client(out, *client);
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

    /// Its lease, its key, and whom it is counted for.
    fn terms(&self) -> (Option<Lease>, Option<&Once>, Option<&Occupant>) {
        match &self.change {
            ChangeRecord::Event { terms, .. } | ChangeRecord::Begin { terms, .. } => {
                (terms.lease, terms.once.as_deref(), terms.client.as_deref())
            }
            ChangeRecord::Renew { lease, once } => (Some(*lease), once.as_deref(), None),
            ChangeRecord::Cancel { .. }
            | ChangeRecord::Delete { .. }
            | ChangeRecord::Forget { .. } => (None, None, None),
        }
    }

    fn parse(kind: u8, payload: &mut Payload<'a>) -> Result<EntryRecord<'a>, Unread> {
        let flags = payload.flags(match kind {
            EVENT => NAMES_ITS_JOB | LEASED | KEYED,
            BEGIN => REPLACES | LEASED | KEYED | COUNTED,
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
            terms.once = Some(Box::new(parse_once(payload, time_ms)?));
        }
        if flags & COUNTED != 0 && kind == BEGIN {
            terms.client = Some(Box::new(parse_client(payload)?));
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
pub fn put_once(out: &mut Vec<u8>, once: &Once, time_ms: u64) {
    out.extend_from_slice(&once.key.0);
    out.extend_from_slice(&once.content.0);
    put_number(out, once.until_ms.saturating_sub(time_ms));
}

/// Appends whom something is counted for.
pub fn put_client(out: &mut Vec<u8>, client: Occupant) {
    let address = client.network.map(Network::address);
    let kind = match address {
        None => 0,
        Some(IpAddr::V4(_)) => V4,
        Some(IpAddr::V6(_)) => V6,
    };
    out.push(kind | if client.token.is_some() { TOKEN } else { 0 });
    match address {
        None => {}
        Some(IpAddr::V4(address)) => out.extend_from_slice(&address.octets()),
        Some(IpAddr::V6(address)) => out.extend_from_slice(&address.octets()),
    }
    if let Some(token) = client.token {
        out.extend_from_slice(&token.to_le_bytes());
    }
}

/// Whom something is counted for.
pub fn parse_client(payload: &mut Payload<'_>) -> Result<Occupant, Unread> {
    let kind = payload.flags(V4 | V6 | TOKEN)?;
    let address = match kind & (V4 | V6) {
        0 => None,
        V4 => Some(IpAddr::from(payload.bytes::<4>()?)),
        V6 => Some(IpAddr::from(payload.bytes::<16>()?)),
        _ => return Err(Unread::Malformed),
    };
    let token = match kind & TOKEN {
        0 => None,
        _ => Some(u64::from_le_bytes(payload.bytes()?)),
    };
    let network = address.map(Network::of);
    Ok(Occupant { network, token })
}

/// What a change is known by, which was made at this millisecond.
pub fn parse_once(payload: &mut Payload<'_>, time_ms: u64) -> Result<Once, Unread> {
    Ok(Once {
        key: IdempotencyKey(payload.bytes()?),
        content: Content(payload.bytes()?),
        until_ms: time_ms.saturating_add(payload.number()?),
    })
}

/// A lease, in milliseconds.
pub fn parse_lease(payload: &mut Payload<'_>) -> Result<Lease, Unread> {
    let lease = Duration::from_millis(payload.number()?);
    Lease::new(lease).ok_or(Unread::Malformed)
}

#[cfg(test)]
mod tests;
