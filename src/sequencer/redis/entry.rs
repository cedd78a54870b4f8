//! What a node appends to the log: a change that it proposes, or who it is. Whether a change
//! is accepted is found out by every node that reads it.
//!
//! ```text
//! payload  version (1), kind, flags, and by its kind
//!   1 event    job, milliseconds of the unix clock, [only], [lease], [key], event, data
//!   2 begin    job, milliseconds, owner, after, [life], [lease], [key], [client]
//!   3 renew    job, milliseconds, [life], lease, [key]
//!   4 cancel   job, milliseconds, [life], milliseconds of grace
//!   5 delete   job, milliseconds, [life], milliseconds until which that is remembered
//!   6 forget   job, milliseconds, number of the newest entry
//!   7 node     name, address
//!   8 again    job, number of the life: whoever holds its upload is to try it again
//!   9 crowd    1 where what its node said before is void, or 0, how many, and of each 0 for a
//!              job or 1 for a prefix, its name, how many streams follow it on that node
//! ```
//!
//! Flags: 1 it is void where what its node appended before it was refused, 2 a lease, 4 a key,
//! 8 it is for a life, 16 for a newest entry, 32 for a cancelled life, 64 the data has a
//! `jobId` of its own, 128 it is counted for a client. Numbers and names are written as the journal's. Another version, kind or
//! flag is a newer node's.

use super::crowd::Statement;
use crate::event::Event;
use crate::event::job::{EventId, JobId, LifeId};
use crate::hub::elsewhere::FollowedNames;
use crate::hub::{After, Change, Entry, Only, Owner, Terms};
use crate::sequencer::journal::codec::{Payload, Unread, put_event_name, put_name, put_number};
use crate::sequencer::journal::record::{
    parse_client, parse_lease, parse_once, put_client, put_once,
};
use crate::sequencer::{Errand, Proposal};

/// What a node may say of streams at most: sums of it are none too large, of 32 bits either.
const COUNT_MAX: usize = 1 << 24;

/// The version of entries and snapshots that is written.
pub const VERSION: u8 = 1;

const EVENT: u8 = 1;
const BEGIN: u8 = 2;
const RENEW: u8 = 3;
const CANCEL: u8 = 4;
const DELETE: u8 = 5;
const FORGET: u8 = 6;
const NODE: u8 = 7;
const AGAIN: u8 = 8;
const CROWD: u8 = 9;

const CHAINED: u8 = 1;
const LEASED: u8 = 2;
const KEYED: u8 = 4;
const OF_LIFE: u8 = 8;
const OF_ENTRY: u8 = 16;
const OF_CANCELLED: u8 = 32;
const NAMES_ITS_JOB: u8 = 64;
const COUNTED: u8 = 128;

/// What was read of a payload.
#[derive(Clone, Debug)]
pub struct ReadPayload {
    /// Whether it is void where the one before it from the same process was refused.
    pub is_chained: bool,
    /// What.
    pub what: PayloadKind,
}

/// What a payload says.
#[derive(Clone, Debug)]
pub enum PayloadKind {
    /// A change.
    Change(Entry),
    /// A node is there.
    Node {
        /// Its name.
        name: String,
        /// Where others find it; empty where it says nothing of that.
        url: String,
    },
    /// Something that a node asks of another.
    Errand(Errand),
    /// What streams a node has.
    Crowd(Statement),
}

/// The payload of a change that is proposed at this millisecond.
pub fn encode(proposal: &Proposal, time_ms: u64, is_chained: bool) -> Vec<u8> {
    let Proposal { job, change } = proposal;
    let (kind, only, terms) = match change {
        Change::Event { only, terms, .. } => (EVENT, *only, terms.clone()),
        Change::Begin { after, terms, .. } => {
            let only = match after {
                After::Failed(life) => Some(Only::Life(*life)),
                _ => None,
            };
            (BEGIN, only, terms.clone())
        }
        Change::Renew { lease, only, once } => {
            let terms = Terms {
                lease: Some(*lease),
                once: once.clone(),
                ..Terms::default()
            };
            (RENEW, only.map(Only::Life), terms)
        }
        Change::Cancel { only, .. } => (CANCEL, only.map(Only::Life), Terms::default()),
        Change::Delete { only, .. } => (DELETE, only.map(Only::Life), Terms::default()),
        Change::Forget { .. } => (FORGET, None, Terms::default()),
    };
    let mut flags = if is_chained { CHAINED } else { 0 };
    flags |= terms.lease.map_or(0, |_| LEASED);
    flags |= terms.once.as_ref().map_or(0, |_| KEYED);
    flags |= terms.client.as_ref().map_or(0, |_| COUNTED);
    let only = only.map(|only| match only {
        Only::Life(life) => (OF_LIFE, life.0),
        Only::Entry(id) => (OF_ENTRY, id),
        Only::Cancelled(id) => (OF_CANCELLED, id),
    });
    flags |= only.map_or(0, |(flag, _)| flag);
    if matches!(change, Change::Event { event, .. } if event.names_its_job()) {
        flags |= NAMES_ITS_JOB;
    }
    let mut out = vec![VERSION, kind, flags];
    put_name(&mut out, job.as_str());
    put_number(&mut out, time_ms);
    if let Change::Begin { owner, after, .. } = change {
        out.push(match owner {
            Owner::Worker => 0,
            Owner::Upload => 1,
        });
        out.push(match after {
            After::FailedUpload => 0,
            After::Ended => 1,
            After::Running => 2,
            After::Failed(_) => 3,
        });
    }
    if let Some((_, id)) = only {
        put_number(&mut out, id.0);
    }
    if let Some(lease) = terms.lease {
        put_number(&mut out, lease.duration().as_millis() as u64);
    }
    if let Some(once) = &terms.once {
        put_once(&mut out, once, time_ms);
    }
    if let Some(client) = &terms.client {
        put_client(&mut out, **client);
    }
    match change {
        Change::Event { event, .. } => {
            put_event_name(&mut out, event.name().as_str());
            out.extend_from_slice(event.data().as_bytes());
        }
        Change::Cancel { grace_ms, .. } => put_number(&mut out, *grace_ms),
        Change::Delete { until_ms, .. } => put_number(&mut out, *until_ms),
        Change::Forget { last } => put_number(&mut out, last.0),
        Change::Begin { .. } | Change::Renew { .. } => {}
    }
    out
}

/// The payload by which a node says who it is.
pub fn encode_node(name: &str, url: &str) -> Vec<u8> {
    let mut out = vec![VERSION, NODE, 0];
    put_name(&mut out, name);
    put_name(&mut out, url);
    out
}

/// The payload by which whoever holds a job's upload is asked to try it again.
pub fn encode_errand(errand: &Errand) -> Vec<u8> {
    let mut out = vec![VERSION, AGAIN, 0];
    put_name(&mut out, errand.job.as_str());
    put_number(&mut out, errand.life.0.0);
    out
}

/// The payload by which a node says what streams it has.
pub fn encode_statement(statement: &Statement) -> Vec<u8> {
    let mut out = vec![VERSION, CROWD, 0, u8::from(statement.is_anew)];
    put_number(&mut out, statement.counts.len() as u64);
    for (followed, count) in &statement.counts {
        let (kind, name) = match followed {
            FollowedNames::Job(job) => (0, job.as_str()),
            FollowedNames::Prefix(prefix) => (1, &**prefix),
        };
        out.push(kind);
        put_name(&mut out, name);
        put_number(&mut out, *count as u64);
    }
    out
}

fn statement(payload: &mut Payload<'_>) -> Result<Statement, Unread> {
    let mut statement = Statement {
        is_anew: payload.byte()? != 0,
        counts: Vec::new(),
    };
    for _ in 0..payload.number()? {
        let kind = payload.byte()?;
        let name = payload.name()?;
        let followed = match kind {
            0 => FollowedNames::Job(name.parse().map_err(|_| Unread::Malformed)?),
            1 => FollowedNames::Prefix(name.into()),
            _ => return Err(Unread::Newer),
        };
        let count = usize::try_from(payload.number()?).unwrap_or(usize::MAX);
        statement.counts.push((followed, count.min(COUNT_MAX)));
    }
    Ok(statement)
}

/// Reads a payload.
///
/// # Errors
/// It is none, or a newer node's.
pub fn decode(bytes: &[u8]) -> Result<ReadPayload, Unread> {
    let mut payload = Payload(bytes);
    if payload.byte()? != VERSION {
        return Err(Unread::Newer);
    }
    let kind = payload.byte()?;
    let flags = payload.flags(match kind {
        EVENT => !COUNTED,
        BEGIN => CHAINED | LEASED | KEYED | OF_LIFE | COUNTED,
        RENEW => CHAINED | LEASED | KEYED | OF_LIFE,
        CANCEL | DELETE => CHAINED | OF_LIFE,
        FORGET => CHAINED,
        NODE | AGAIN | CROWD => 0,
        _ => return Err(Unread::Newer),
    })?;
    let what = match kind {
        NODE => PayloadKind::Node {
            name: payload.name()?.to_owned(),
            url: payload.name()?.to_owned(),
        },
        AGAIN => PayloadKind::Errand(Errand {
            job: payload.name()?.parse().map_err(|_| Unread::Malformed)?,
            life: LifeId(payload.id()?),
        }),
        CROWD => PayloadKind::Crowd(statement(&mut payload)?),
        _ => PayloadKind::Change(change(kind, flags, &mut payload)?),
    };
    if !payload.0.is_empty() {
        return Err(Unread::Malformed);
    }
    let is_chained = flags & CHAINED != 0;
    Ok(ReadPayload { is_chained, what })
}

fn change(kind: u8, flags: u8, payload: &mut Payload<'_>) -> Result<Entry, Unread> {
    let job: JobId = payload.name()?.parse().map_err(|_| Unread::Malformed)?;
    let time_ms = payload.number()?;
    let (mut owner, mut after) = (0, 0);
    if kind == BEGIN {
        (owner, after) = (payload.byte()?, payload.byte()?);
    }
    let id = match flags & (OF_LIFE | OF_ENTRY | OF_CANCELLED) {
        0 => None,
        _ => Some(payload.id()?),
    };
    let life = id.map(LifeId);
    let lease = match flags & LEASED {
        0 => None,
        _ => Some(parse_lease(payload)?),
    };
    let once = match flags & KEYED {
        0 => None,
        _ => Some(Box::new(parse_once(payload, time_ms)?)),
    };
    let client = match flags & COUNTED {
        0 => None,
        _ => Some(Box::new(parse_client(payload)?)),
    };
    let terms = Terms {
        lease,
        once,
        client,
    };
    let change = match kind {
        EVENT => {
            let only = match flags & (OF_LIFE | OF_ENTRY | OF_CANCELLED) {
                0 => None,
                OF_LIFE => life.map(Only::Life),
                OF_ENTRY => id.map(Only::Entry),
                OF_CANCELLED => id.map(Only::Cancelled),
                _ => return Err(Unread::Malformed),
            };
            let name = payload.event_name()?;
            let data = payload.rest()?;
            let event = Event::restored(name, data, flags & NAMES_ITS_JOB != 0, &job);
            Change::Event {
                event: event.ok_or(Unread::Malformed)?,
                only,
                terms,
            }
        }
        BEGIN => Change::Begin {
            owner: match owner {
                0 => Owner::Worker,
                1 => Owner::Upload,
                _ => return Err(Unread::Newer),
            },
            after: match (after, life) {
                (0, None) => After::FailedUpload,
                (1, None) => After::Ended,
                (2, None) => After::Running,
                (3, Some(life)) => After::Failed(life),
                _ => return Err(Unread::Newer),
            },
            terms,
        },
        RENEW => Change::Renew {
            lease: lease.ok_or(Unread::Malformed)?,
            only: life,
            once: terms.once,
        },
        CANCEL => Change::Cancel {
            grace_ms: payload.number()?,
            only: life,
        },
        DELETE => Change::Delete {
            until_ms: payload.number()?,
            only: life,
        },
        _ => Change::Forget {
            last: EventId(payload.number()?),
        },
    };
    Ok(Entry {
        job,
        time_ms,
        change,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::places::Occupant;
    use crate::event::{Content, Lease};
    use crate::hub::Once;

    fn changes() -> Vec<Change> {
        let lease: Option<Lease> = "30s".parse().ok();
        let id = EventId(7 << 40);
        let once = Some(Box::new(Once {
            key: "key".parse().unwrap(),
            content: Content::of([&b"what"[..]]),
            until_ms: 1_900_000_000_000,
        }));
        let event = |only, terms| Change::Event {
            event: Event::new("scanned", r#"{"a":1}"#).unwrap(),
            only,
            terms,
        };
        let begin = |owner, after, terms| Change::Begin {
            owner,
            after,
            terms,
        };
        let none = Terms::default;
        let leased = Terms { lease, ..none() };
        let keyed = Terms {
            once: once.clone(),
            ..none()
        };
        let all = Terms {
            lease,
            ..keyed.clone()
        };
        let counted = Terms {
            client: Some(Box::new(Occupant {
                network: None,
                token: Some(7),
            })),
            ..all.clone()
        };
        vec![
            event(None, none()),
            event(Some(Only::Life(LifeId(id))), all.clone()),
            event(Some(Only::Entry(id)), leased),
            event(Some(Only::Cancelled(id)), keyed),
            begin(Owner::Worker, After::Ended, all),
            begin(Owner::Worker, After::Running, none()),
            begin(Owner::Upload, After::FailedUpload, none()),
            begin(Owner::Upload, After::Failed(LifeId(id)), counted),
            Change::Renew {
                lease: "1s".parse().unwrap(),
                only: Some(LifeId(id)),
                once,
            },
            Change::Renew {
                lease: "24h".parse().unwrap(),
                only: None,
                once: None,
            },
            Change::Cancel {
                grace_ms: 30_000,
                only: Some(LifeId(id)),
            },
            Change::Delete {
                until_ms: 1_900_000_000_000,
                only: None,
            },
            Change::Forget { last: id },
        ]
    }

    #[test]
    fn every_change_is_read_as_it_was_written_and_half_of_it_is_none() {
        for change in changes() {
            for is_chained in [false, true] {
                let proposal = Proposal {
                    job: "job_8f3a".parse().unwrap(),
                    change: change.clone(),
                };
                let bytes = encode(&proposal, 1_800_000_000_000, is_chained);
                let said = decode(&bytes).unwrap();
                assert_eq!(said.is_chained, is_chained);
                let PayloadKind::Change(entry) = said.what else {
                    panic!("no change");
                };
                assert_eq!(entry.change, change);
                assert_eq!(entry.time_ms, 1_800_000_000_000);
                // An event's data goes on to the end, and its bracket is missing then.
                for end in 0..bytes.len() {
                    assert!(decode(&bytes[..end]).is_err(), "{change:?} cut at {end}");
                }
            }
        }
    }

    #[test]
    fn what_streams_a_node_has_is_read_as_it_was_written_and_half_of_it_is_none() {
        let statement = Statement {
            is_anew: true,
            counts: vec![
                (FollowedNames::Job("job_8f3a".parse().unwrap()), 3),
                (FollowedNames::Prefix("user42.".into()), 300),
                (FollowedNames::Prefix("".into()), 0),
            ],
        };
        let bytes = encode_statement(&statement);
        let said = decode(&bytes).unwrap();
        assert!(matches!(said.what, PayloadKind::Crowd(read) if read == statement));
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn what_a_newer_node_says_is_known_as_such() {
        let node = encode_node("a", "http://a");
        assert!(matches!(
            decode(&node).unwrap().what,
            PayloadKind::Node { .. }
        ));
        for (at, byte) in [(0, 2), (1, 99), (2, 128)] {
            let mut newer = node.clone();
            newer[at] = byte;
            assert_eq!(decode(&newer).unwrap_err(), Unread::Newer);
        }
    }
}
