//! The whole state as bytes: what a node begins with that wasn't there.
//!
//! ```text
//! snapshot  "LANDFS1\n" head, and what the journal's checkpoint has
//! head      epoch, sequence, nonce, identity, how many processes, and of each 8 bytes, its
//!           count, whether that was refused, the number of its newest entry; how many nodes,
//!           and of each its name, its slot and 1, or 0, its process, its address, the number
//!           since which; how many uploads, and of each its job, life, and node
//! ```

use super::position::Position;
use super::replica::{Boot, Node, Replica};
use super::store::StateSnapshot;
use crate::event::job::{EventId, LifeId};
use crate::hub::{Hub, HubConfig};
use crate::sequencer::journal::checkpoint::{
    self, CheckpointHead, CheckpointPart, JobPart, OpenedCheckpoint,
};
use crate::sequencer::journal::codec::{Payload, Unread, put_name, put_number};

const MAGIC: &[u8; 8] = b"LANDFS1\n";
/// What a checkpoint's records are numbered with here.
const NUMBER: u32 = 0;

/// The snapshot of a state.
pub fn take(replica: &Replica) -> StateSnapshot {
    let mut out = MAGIC.to_vec();
    put_number(&mut out, replica.at.epoch);
    put_number(&mut out, replica.at.sequence);
    put_name(&mut out, &replica.nonce);
    put_name(&mut out, &replica.identity);
    put_number(&mut out, replica.boots.len() as u64);
    for (boot, known) in &replica.boots {
        out.extend_from_slice(&boot.to_le_bytes());
        put_number(&mut out, known.count);
        out.push(u8::from(known.is_refused));
        put_number(&mut out, known.last.0);
    }
    put_number(&mut out, replica.nodes.len() as u64);
    for (name, node) in &replica.nodes {
        put_name(&mut out, name);
        put_number(&mut out, node.slot.map_or(0, |slot| slot + 1));
        out.extend_from_slice(&node.boot.to_le_bytes());
        put_name(&mut out, &node.url);
        put_number(&mut out, node.since.0);
    }
    put_number(&mut out, replica.holders.len() as u64);
    replica.holders.each(|job, life, node| {
        put_name(&mut out, job.as_str());
        put_number(&mut out, life.0.0);
        put_name(&mut out, node);
    });
    put_jobs(&mut out, &replica.hub);
    StateSnapshot {
        at: replica.at,
        nonce: replica.nonce.clone(),
        state: out,
    }
}

fn put_jobs(out: &mut Vec<u8>, hub: &Hub) {
    put_number(out, hub.base().0);
    out.extend_from_slice(checkpoint::MAGIC);
    let mut lost = hub.lost();
    lost.drain(..lost.len().saturating_sub(checkpoint::LOST_MAX));
    let head = CheckpointHead {
        newest: hub.published(),
        time_ms: hub.time_ms(),
        forgotten: hub.forgotten(),
        lost,
        ..CheckpointHead::default()
    };
    checkpoint::encode(out, NUMBER, &CheckpointPart::Head(head));
    let mut jobs = 0;
    hub.each_kept(|job, life, keys, frame, gone| {
        let event = frame.as_deref().and_then(checkpoint::event_of);
        // What a life before has left is not of this one.
        let event = event.filter(|event| event.id > life.previous_end);
        jobs += 1;
        let part = JobPart {
            job: job.as_str(),
            life: life.clone(),
            keys: keys.clone(),
            before: EventId(0),
            gone: if event.is_some() {
                gone
            } else {
                gone.max(life.previous_end)
            },
            event,
        };
        checkpoint::encode(out, NUMBER, &CheckpointPart::Job(part));
    });
    checkpoint::encode(out, NUMBER, &CheckpointPart::End(jobs));
}

/// The state that a snapshot is of, in a hub of its own.
///
/// # Errors
/// It is damaged, or a newer node's.
pub fn restore(snapshot: &StateSnapshot, config: &HubConfig) -> Result<Replica, Unread> {
    let hub = Hub::new(config.clone(), EventId(0));
    let mut replica = Replica::new(hub);
    replica.at = snapshot.at;
    replica.nonce.clone_from(&snapshot.nonce);
    if snapshot.state.is_empty() {
        return Ok(replica);
    }
    let Some(rest) = snapshot.state.strip_prefix(MAGIC) else {
        let is_newer = snapshot.state.starts_with(b"LANDFS");
        return Err(if is_newer {
            Unread::Newer
        } else {
            Unread::Malformed
        });
    };
    let mut payload = Payload(rest);
    let at = Position {
        epoch: payload.number()?,
        sequence: payload.number()?,
    };
    if at != snapshot.at || payload.name()? != snapshot.nonce {
        return Err(Unread::Malformed);
    }
    payload.name()?.clone_into(&mut replica.identity);
    for _ in 0..payload.number()? {
        let boot = u64::from_le_bytes(payload.bytes()?);
        let known = Boot {
            count: payload.number()?,
            is_refused: payload.byte()? != 0,
            last: payload.id()?,
        };
        replica.boots.insert(boot, known);
    }
    for _ in 0..payload.number()? {
        let name = payload.name()?.to_owned();
        let node = Node {
            slot: payload.number()?.checked_sub(1),
            boot: u64::from_le_bytes(payload.bytes()?),
            url: payload.name()?.to_owned(),
            since: payload.id()?,
        };
        replica.nodes.insert(name, node);
    }
    replica.tell_holders();
    for _ in 0..payload.number()? {
        let job = payload.name()?.parse().map_err(|_| Unread::Malformed)?;
        let life = LifeId(payload.id()?);
        replica.holders.begin(&job, life, payload.name()?);
    }
    restore_jobs(payload.0, &replica.hub)?;
    Ok(replica)
}

fn restore_jobs(bytes: &[u8], hub: &Hub) -> Result<(), Unread> {
    let mut payload = Payload(bytes);
    let base = payload.id()?;
    let head = match checkpoint::open(payload.0, NUMBER) {
        OpenedCheckpoint::Whole(whole) => {
            for job in whole.jobs() {
                job.load_into(hub);
            }
            whole.head
        }
        OpenedCheckpoint::Broken => return Err(Unread::Malformed),
        OpenedCheckpoint::Newer => return Err(Unread::Newer),
    };
    hub.begin_above(base);
    for lost in head.lost {
        hub.reach(EventId(0), Some(lost));
    }
    hub.reach(head.newest, None);
    hub.reach_forgotten(head.forgotten);
    hub.reach_time(head.time_ms);
    Ok(())
}
