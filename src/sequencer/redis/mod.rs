//! The order of a fleet: one stream in Redis, which every node appends to and reads.
//!
//! A publisher's change goes to the writer, which appends it; the reader finds it in the log
//! like everybody's, has the hub apply it, and answers. So a node's state is what its log
//! says, and whoever published something can read it here when the answer is there.
//!
//! The invariants:
//! - An item is applied only where it comes right after the last that was applied.
//! - Nobody appends to an epoch that another has followed, or on a server whose history isn't
//!   the one that was read: the script that appends compares both.
//! - A number stands for one entry for ever: epochs are opened above every one that was seen,
//!   each node has its own of each second, and numbers that are lost are never given again.
//!
//! Redis is spoken to on two connections, each with a thread of its own, which does what waits. Of
//! an event by itself nearly all the cost is waking threads: so what is done without waiting, its
//! publisher appends itself, and a coroutine reads it back. Where the next is near, both go by one
//! connection, in one piece.

#[cfg(test)]
pub(crate) mod by_hand;
mod crowd;
mod entry;
mod flight;
mod holders;
mod position;
mod reader;
mod replica;
mod resp;
mod server;
mod shared;
mod snapshot;
mod store;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::sys::channel::{Receiver, Sender, bounded, unbounded};
use parking_lot::Mutex;

use super::fleet::{FleetConfig, RedisUrl};
use super::journal::reply::{Reply, pair};
use super::neighbours::{Errand, Neighbour, Neighbours};
use super::room::{self, Room};
use super::{Health, Order, Proposal, PublishError};
use crate::event::job::{EventId, JobId, LifeId};
use crate::hub::Hub;
use crate::sys::clock;
use crate::sys::{random, vital};
use flight::Put;
use reader::LogReader;
use server::RedisServer;
use shared::NodeShared;
use store::Dial;
use writer::{LogWriter, NodeCommand, Pen};

/// How long a start waits for Redis to be there, and to know everything.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);
/// How long what was proposed may take when the fleet is left.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

/// A node of a fleet.
pub struct Fleet {
    shared: Arc<NodeShared>,
    commands: Sender<NodeCommand>,
    pen: Arc<Pen>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Fleet {
    /// Joins a fleet, whose order `hub` is kept by. Blocks until everything that there is
    /// was applied.
    ///
    /// # Errors
    /// Redis isn't there, or isn't one that a fleet can use: the error says what would be.
    pub fn join(config: &FleetConfig, redis: &RedisUrl, hub: &Hub) -> io::Result<Fleet> {
        let server = RedisServer::new(redis.clone(), config.name.as_str());
        let boot = random::secret()?;
        let (boot, _) = boot.split_at(8);
        let boot = boot.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let shared = Arc::new(NodeShared::new(config, redis.to_string(), boot, hub));
        let dial: Arc<dyn Dial> = Arc::new(server);
        let (commands, received) = unbounded();
        let (joined, has_joined) = bounded(1);
        hub.have_others();
        let reader = LogReader::new(shared.clone(), dial.clone(), joined);
        let writer = Arc::new(Mutex::new(LogWriter::new(shared.clone(), dial, received)));
        let (its, known) = (writer.clone(), shared.clone());
        let writes = vital::spawn("fleet-writer", move || LogWriter::run(&its, &known))?;
        let pen = Arc::new(Pen {
            writer,
            thread: writes.thread().clone(),
            is_ridden: AtomicBool::new(false),
        });
        let reader = reader.with(pen.clone());
        let reads = vital::spawn("fleet-reader", move || reader.run())?;
        let fleet = Fleet {
            shared,
            commands,
            pen,
            threads: Mutex::new(vec![reads, writes]),
        };
        fleet
            .await_join(&has_joined, redis)
            .inspect_err(|_| fleet.close())?;
        Ok(fleet)
    }

    fn await_join(
        &self,
        joined: &Receiver<Result<(), String>>,
        redis: &RedisUrl,
    ) -> io::Result<()> {
        match joined.recv_timeout(JOIN_PATIENCE) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(io::Error::other(why)),
            Err(_) => {
                let message = format!(
                    "{redis}: nothing that can be used has been there for {JOIN_PATIENCE:?}: \
                     start it, or see what the log says of it"
                );
                Err(io::Error::new(io::ErrorKind::TimedOut, message))
            }
        }
    }

    fn hand(&self, proposals: Vec<Proposal>) -> (Vec<EventId>, Option<PublishError>) {
        if proposals.is_empty() {
            return (Vec::new(), None);
        }
        self.command(|reply| NodeCommand::Put(proposals, reply))
    }

    fn command(
        &self,
        command: impl FnOnce(Reply<Put>) -> NodeCommand,
    ) -> (Vec<EventId>, Option<PublishError>) {
        let (reply, answer) = pair();
        let answer = self.order(command(reply)).then(|| answer.wait()).flatten();
        answer.unwrap_or((Vec::new(), Some(PublishError::Away)))
    }

    /// Has the writer do what a command asks for. False where there is none any more.
    fn order(&self, command: NodeCommand) -> bool {
        let is_taken = self.commands.send(command).is_ok();
        self.pen.move_on();
        is_taken
    }

    /// Sees to it that there is room for what is proposed, as far as that is known here.
    fn make_room(&self, proposal: &Proposal) -> Result<(), PublishError> {
        let hub = &self.shared.hub;
        self.make_room_in_share(proposal)?;
        while hub.is_full() && room::adds_a_job(hub, proposal) {
            match room::find(hub, false) {
                Room::There => break,
                Room::After(job, last) => self.forget(job, last)?,
                Room::None => return Err(PublishError::Full),
            }
        }
        Ok(())
    }

    fn make_room_in_share(&self, proposal: &Proposal) -> Result<(), PublishError> {
        if proposal.client().is_nobody() {
            return Ok(());
        }
        let hub = &self.shared.hub;
        let theirs = |key| hub.first_ended_of(key, 0).1;
        let life = hub.life(&proposal.job);
        while let Some(key) = room::over_share(hub, life.as_ref(), proposal, theirs) {
            let first = hub.first_ended_of(key, 1).0.pop();
            let first = first.ok_or(PublishError::Share)?;
            self.forget(first.job, first.last)?;
            hub.metrics().jobs_displaced.add(1);
        }
        Ok(())
    }

    /// Has a job forgotten, unless something has come to it.
    fn forget(&self, job: JobId, last: EventId) -> Result<(), PublishError> {
        match self.hand(vec![room::forget(job, last)]) {
            (_, None | Some(PublishError::Refused(_))) => Ok(()),
            (_, Some(error)) => Err(error),
        }
    }
}

impl Order for Fleet {
    fn put(&self, mut proposals: Vec<Proposal>) -> (Vec<EventId>, Option<PublishError>) {
        if self.shared.is_away() {
            return (Vec::new(), Some(self.shared.refusal()));
        }
        let mut refused = None;
        for index in 0..proposals.len() {
            if let Err(error) = self.make_room(&proposals[index]) {
                proposals.truncate(index);
                refused = Some(error);
                break;
            }
        }
        let (ids, error) = self.hand(proposals);
        (ids, error.or(refused))
    }

    fn may_come(&self, id: EventId) -> bool {
        self.shared
            .position()
            .may_precede(id, clock::now_ms() / 1000)
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn neighbours(&self) -> Option<&dyn Neighbours> {
        Some(self)
    }

    fn write_metrics(&self, out: &mut String) {
        self.shared.write_metrics(out);
    }

    fn close(&self) {
        let until = clock::now() + LEAVE_PATIENCE;
        let is_busy = || self.commands.waiting() > 0 || self.shared.flight.lock().len() > 0;
        while is_busy() && !self.shared.is_away() && clock::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.shared.end();
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
    }
}

impl Neighbours for Fleet {
    fn here(&self) -> &Neighbour {
        &self.shared.here
    }

    fn all(&self) -> Vec<Neighbour> {
        self.shared.holders.nodes()
    }

    fn holder(&self, job: &JobId, life: LifeId) -> Option<Neighbour> {
        self.shared.holders.of(job, life)
    }

    fn ask(&self, errand: Errand) -> Result<(), PublishError> {
        if self.shared.is_away() {
            return Err(self.shared.refusal());
        }
        let payload = entry::encode_errand(&errand);
        let (_, error) = self.command(|reply| NodeCommand::Say(payload, reply));
        error.map_or(Ok(()), Err)
    }

    fn errands(&self) -> Receiver<Errand> {
        self.shared.asked.clone()
    }
}
