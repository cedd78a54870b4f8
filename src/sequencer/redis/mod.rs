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
//!   each node has its own, and numbers that are lost are never given again.
//!
//! Redis is spoken to by two threads, each with a connection of its own.

mod entry;
mod flight;
mod position;
mod reader;
mod replica;
mod resp;
mod server;
mod snapshot;
mod store;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use parking_lot::Mutex;

use super::fleet::{FleetConfig, RedisUrl};
use super::journal::reply::pair;
use super::room::{self, Room};
use super::{Health, Order, Proposal, PublishError};
use crate::event::job::{EventId, JobId};
use crate::hub::Hub;
use crate::sys::clock;
use crate::sys::metrics::{Counter, gauge, head};
use crate::sys::{random, vital};
use flight::Flight;
use position::Position;
use reader::Reader;
use server::Server;
use store::{Dial, Fence};
use writer::{Command, Writer};

/// How long a start waits for Redis to be there, and to know everything.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);
/// How long Redis may be away before publishers hear of it at once.
const GRACE: Duration = Duration::from_secs(2);
/// What isn't worth a line in the log.
const BRIEF: Duration = Duration::from_secs(1);
/// How long what was proposed may take when the fleet is left.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

/// A node of a fleet.
pub struct Fleet {
    shared: Arc<Shared>,
    commands: Sender<Command>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What reader and writer both know.
struct Shared {
    hub: Hub,
    /// The node's name, and where others find it.
    node: String,
    url: String,
    /// Where Redis is, for the log.
    redis: String,
    /// What tells this process from every other.
    boot: u64,
    wait: u32,
    log_bytes: u64,
    flight: Mutex<Flight>,
    /// Where may be appended. None: nowhere.
    fence: Mutex<Option<Fence>>,
    health: AtomicU8,
    /// Since when it isn't good.
    trouble_since: Mutex<Option<Instant>>,
    /// When Redis has answered last.
    heard_at: Mutex<Instant>,
    /// Whether the log has said that something is in the way.
    is_told: AtomicBool,
    /// The reader is to see who keeps the log.
    looks_again: AtomicBool,
    wants_to_be_known: AtomicBool,
    is_over: AtomicBool,
    /// What was applied last.
    at: Mutex<Position>,
    lag: Mutex<Lag>,
    counters: Counters,
}

/// How far this node is behind the log.
#[derive(Default)]
struct Lag {
    /// How far the log went when it was looked at last.
    end: Position,
    /// Since when it isn't known that all of it is applied.
    since: Option<Instant>,
}

#[derive(Default)]
struct Counters {
    appends: Counter,
    resends: Counter,
    duplicates: Counter,
    rebuilds: Counter,
}

impl Fleet {
    /// Joins a fleet, whose order `hub` is kept by. Blocks until everything that there is
    /// was applied.
    ///
    /// # Errors
    /// Redis isn't there, or isn't one that a fleet can use: the error says what would be.
    pub fn join(config: &FleetConfig, redis: &RedisUrl, hub: &Hub) -> io::Result<Fleet> {
        let server = Server::new(redis.clone(), config.name.as_str());
        let boot = random::secret()?;
        let (boot, _) = boot.split_at(8);
        let boot = boot.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let shared = Arc::new(Shared::new(config, redis.to_string(), boot, hub));
        let dial: Arc<dyn Dial> = Arc::new(server);
        let (commands, received) = unbounded();
        let (joined, has_joined) = bounded(1);
        let reader = Reader::new(shared.clone(), dial.clone(), joined);
        let writer = Writer::new(shared.clone(), dial, received);
        let threads = vec![
            vital::spawn("fleet-reader", move || reader.run())?,
            vital::spawn("fleet-writer", move || writer.run())?,
        ];
        let fleet = Fleet {
            shared,
            commands,
            threads: Mutex::new(threads),
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
        let (reply, answer) = pair();
        let handed = self.commands.send(Command::Put(proposals, reply));
        let answer = handed.ok().and_then(|()| answer.wait());
        answer.unwrap_or((Vec::new(), Some(PublishError::Away)))
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
        Position::may_be(id, clock::now_ms() / 1000)
    }

    fn health(&self) -> Health {
        match self.shared.health.load(Ordering::Acquire) {
            it if it == Health::Good as u8 => Health::Good,
            it if it == Health::NoRoom as u8 => Health::NoRoom,
            _ => Health::Away,
        }
    }

    fn write_metrics(&self, out: &mut String) {
        self.shared.write_metrics(out);
    }

    fn close(&self) {
        let until = clock::now() + LEAVE_PATIENCE;
        let is_busy = || !self.commands.is_empty() || self.shared.flight.lock().len() > 0;
        while is_busy() && !self.shared.is_away() && clock::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.shared.end();
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn new(config: &FleetConfig, redis: String, boot: u64, hub: &Hub) -> Shared {
        Shared {
            hub: hub.clone(),
            node: config.node.to_string(),
            url: String::new(),
            redis,
            boot,
            wait: config.wait,
            log_bytes: config.log_bytes,
            flight: Mutex::default(),
            fence: Mutex::default(),
            health: AtomicU8::new(Health::Away as u8),
            trouble_since: Mutex::new(Some(clock::now())),
            heard_at: Mutex::new(clock::now()),
            is_told: AtomicBool::new(true),
            looks_again: AtomicBool::new(false),
            wants_to_be_known: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            at: Mutex::default(),
            lag: Mutex::new(Lag {
                since: Some(clock::now()),
                ..Lag::default()
            }),
            counters: Counters::default(),
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Something is in the way, which is said in the log where it lasts.
    fn trouble(&self, health: Health, why: &str) {
        self.health.store(health as u8, Ordering::Release);
        self.trouble_since.lock().get_or_insert_with(clock::now);
        let lasts = clock::now() - *self.heard_at.lock() >= BRIEF;
        let is_told = || self.is_told.swap(true, Ordering::AcqRel);
        if (lasts || health == Health::NoRoom) && !is_told() {
            log::error!(
                "fleet: {}: {why}: publishing is answered with 503 until it is back, streams go on",
                self.redis
            );
        }
    }

    /// Everything is as it should be.
    fn works(&self) {
        self.health.store(Health::Good as u8, Ordering::Release);
        *self.trouble_since.lock() = None;
        if self.is_told.swap(false, Ordering::AcqRel) {
            log::info!("fleet: {}: events are put in order there", self.redis);
        }
    }

    /// Whether publishers are to hear at once that nothing can be appended.
    fn is_away(&self) -> bool {
        let since = *self.trouble_since.lock();
        since.is_some_and(|since| clock::now() - since > GRACE)
    }

    fn refusal(&self) -> PublishError {
        match self.health.load(Ordering::Acquire) {
            it if it == Health::NoRoom as u8 => PublishError::NoRoom,
            _ => PublishError::Away,
        }
    }

    fn touch(&self) {
        *self.heard_at.lock() = clock::now();
    }

    fn note_position(&self, at: Position) {
        *self.at.lock() = at;
    }

    /// The log goes so far.
    fn note_end(&self, end: Position) {
        self.lag.lock().end = end;
    }

    /// Whether more is in the log than is applied, or may be.
    fn note_lag(&self, is_behind: bool) {
        let mut lag = self.lag.lock();
        lag.since = is_behind.then(|| lag.since.unwrap_or_else(clock::now));
    }

    /// How many entries are known to be in the log that aren't applied, and for how long this
    /// node has been behind.
    fn lag(&self) -> (u64, Duration) {
        let at = *self.at.lock();
        let lag = self.lag.lock();
        let Some(since) = lag.since else {
            return (0, Duration::ZERO);
        };
        // Of epochs between the two nothing is known here: it is so many at least.
        let entries = match lag.end.epoch == at.epoch {
            true => lag.end.sequence.saturating_sub(at.sequence),
            false if lag.end > at => lag.end.sequence + 1,
            false => 0,
        };
        (entries, clock::now() - since)
    }

    fn wish_to_be_known(&self) {
        self.wants_to_be_known.store(true, Ordering::Release);
    }

    fn take_wish_to_be_known(&self) -> bool {
        self.wants_to_be_known.swap(false, Ordering::AcqRel)
    }

    fn write_metrics(&self, out: &mut String) {
        use std::fmt::Write;
        let is_up = self.health.load(Ordering::Acquire) == Health::Good as u8;
        let help = "Whether Redis takes what is published.";
        gauge(out, "fleet_redis_up", help, u8::from(is_up));
        let at = *self.at.lock();
        gauge(
            out,
            "fleet_epoch",
            "The epoch of the fleet's log.",
            at.epoch,
        );
        let (entries, time) = self.lag();
        let help = "Entries that the fleet's log is known to have and this node hasn't applied.";
        gauge(out, "fleet_lag_entries", help, entries);
        let help = "For how long this node hasn't had all that the fleet's log has.";
        let seconds = format!("{:.3}", time.as_secs_f64());
        gauge(out, "fleet_lag_seconds", help, seconds);
        let counters = &self.counters;
        for (name, help, counter) in [
            (
                "appends",
                "Entries appended to the fleet's log.",
                &counters.appends,
            ),
            (
                "resends",
                "Entries that were sent again.",
                &counters.resends,
            ),
            (
                "duplicates",
                "Entries that were read again, and not applied again.",
                &counters.duplicates,
            ),
            (
                "rebuilds",
                "Times that the state was put back from Redis.",
                &counters.rebuilds,
            ),
        ] {
            let name = format!("fleet_{name}_total");
            head(out, &name, help, "counter");
            let _ = writeln!(out, "landfall_{name} {}", counter.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::HubConfig;

    #[test]
    fn a_node_knows_by_how_much_it_is_behind() {
        let hub = Hub::new(HubConfig::default(), EventId(0));
        let shared = Shared::new(&FleetConfig::default(), String::new(), 1, &hub);
        let place = |epoch, sequence| Position { epoch, sequence };
        let entries = |at, end, is_behind| {
            shared.note_position(at);
            shared.note_end(end);
            shared.note_lag(is_behind);
            shared.lag().0
        };
        assert_eq!(entries(place(7, 2), place(7, 12), true), 10);
        assert_eq!(entries(place(7, 2), place(9, 3), true), 4);
        assert_eq!(entries(place(9, 4), place(9, 3), true), 0);
        assert_eq!(entries(place(9, 4), place(9, 9), false), 0);
        assert_eq!(shared.lag().1, Duration::ZERO);
    }
}
