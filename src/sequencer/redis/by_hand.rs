//! A node without threads, for a simulation: whoever has it does their work, a step at a time.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::sys::channel::{Sender, bounded, unbounded};

use super::flight::Put;
pub use super::position::Position;
use super::reader::LogReader;
pub use super::replica::{ItemApplied, Replica};
use super::server::RedisServer;
use super::shared::NodeShared;
pub use super::store::{
    Body, Dial, EpochOpened, EpochOpening, Fence, Heard, Item, Look, Nonce, StateSnapshot, Store,
    StoreFault,
};
use super::writer::{LogWriter, NodeCommand};
use super::{FleetConfig, Health, entry};
use crate::event::job::EventId;
use crate::hub::{Change, Hub, HubConfig};
use crate::sequencer::Proposal;
use crate::sequencer::journal::checkpoint;
use crate::sequencer::journal::reply::{AwaitedReply, pair};
use crate::sys::clock;

/// A node without threads.
pub struct NodeByHand {
    pub hub: Hub,
    /// What tells this process from every other.
    pub boot: u64,
    shared: Arc<NodeShared>,
    reader: LogReader,
    writer: LogWriter,
    commands: Sender<NodeCommand>,
    /// The reader's pause after a failure, and until when it is.
    pause: Duration,
    pauses_until: Instant,
}

/// Somebody waits for this.
pub struct NodeWaiting(AwaitedReply<Put>);

impl NodeByHand {
    pub fn new(
        config: &FleetConfig,
        hub: HubConfig,
        boot: u64,
        seed: u64,
        dial: &Arc<dyn Dial>,
    ) -> NodeByHand {
        let hub = Hub::new(hub, EventId(0));
        let shared = Arc::new(NodeShared::new(config, "made up".to_owned(), boot, &hub));
        let (commands, received) = unbounded();
        // Nobody waits for it to be ready.
        let (joined, _) = bounded(1);
        NodeByHand {
            hub,
            boot,
            reader: LogReader::new(shared.clone(), dial.clone(), joined).seeded(seed),
            writer: LogWriter::new(shared.clone(), dial.clone(), received),
            shared,
            commands,
            pause: Duration::ZERO,
            pauses_until: clock::now(),
        }
    }

    /// What the reader does between two sleeps, unless it sleeps; without waiting, where it can.
    pub fn read(&mut self, at_once: bool) {
        if at_once && (self.reader.is_lent() || self.reader.is_calm()) {
            self.reader.read_now(&mut self.writer);
            self.writer.step_now();
        } else if clock::now() >= self.pauses_until {
            self.pause = self.reader.go_on(self.pause).expect("it may join");
            self.pauses_until = clock::now() + self.pause;
        }
    }

    /// What the writer does. False where there is nothing to do.
    pub fn write(&mut self) -> bool {
        self.writer.step()
    }

    /// Asks for changes, in turn up to the first that is refused; without the writer's thread,
    /// where that can be.
    pub fn submit(&mut self, proposals: Vec<Proposal>, at_once: bool) -> NodeWaiting {
        let (reply, answer) = pair();
        let handed = self.commands.send(NodeCommand::Put(proposals, reply));
        handed.expect("the writer is there");
        if at_once {
            self.writer.step_now();
        }
        NodeWaiting(answer)
    }

    /// Whether it has read everything, and nothing of its own is under way.
    pub fn is_at_rest(&self) -> bool {
        self.shared.flight.lock().len() == 0
            && self.commands.waiting() == 0
            && self.shared.health() == Health::Good
            && self.shared.fence.lock().is_some()
    }

    /// Something has come between it and the log, as its writer has found.
    pub fn lose_fence(&self) {
        *self.shared.fence.lock() = None;
        self.shared.looks_again.store(true, Ordering::Release);
    }

    /// Whether its reader is a coroutine's.
    pub fn rides(&self) -> bool {
        self.reader.is_calm()
    }

    /// Whether what it appends next brings what it is to read.
    pub fn lends(&self) -> bool {
        self.reader.is_lent()
    }

    /// What it is at, for whoever has to find out why it isn't at rest.
    pub fn told(&self) -> String {
        format!(
            "at {}, {} under way, fence {:?}, {} commands",
            self.replica().at,
            self.shared.flight.lock().len(),
            self.shared.fence.lock(),
            self.commands.waiting()
        )
    }

    pub fn replica(&self) -> &Replica {
        self.reader.replica()
    }
}

impl NodeWaiting {
    /// The answer, if it is there; within it none, where there will be none.
    pub fn take(&self) -> Option<Option<Put>> {
        self.0.take()
    }
}

/// Connections to a Redis that isn't made up.
pub fn real(url: &str) -> Arc<dyn Dial> {
    let url = url.parse().expect("it is a URL");
    Arc::new(RedisServer::new(url, "landfall"))
}

/// A replica that has read nothing.
pub fn fresh(hub: HubConfig) -> Replica {
    Replica::new(Hub::new(hub, EventId(0)))
}

/// What all replicas must have alike that have applied the same.
pub fn state(replica: &Replica) -> String {
    let Replica {
        hub,
        at,
        nonce,
        identity,
        boots,
        nodes,
        holders,
    } = replica;
    let mut out = format!("{at} {nonce} {identity}\n{boots:?}\n{nodes:?}\n");
    let numbers = (hub.base(), hub.published(), hub.time_ms(), hub.forgotten());
    let mut lost = hub.lost();
    lost.sort_by_key(|range| range.start);
    lost.dedup();
    let _ = writeln!(out, "{numbers:?} lost {lost:?}");
    let mut jobs = Vec::new();
    hub.each_kept(|job, life, keys, frame, _| {
        let keys: Vec<_> = keys.iter().map(|it| (it.id, it.once)).collect();
        let event = frame.as_deref().and_then(checkpoint::event_of);
        // What a life before has left may be there or not.
        let event = event.filter(|event| event.id > life.previous_end);
        let event = event.map(|event| format!("{} {event:?}", event.id));
        jobs.push(format!("{job} {life:?} {keys:?} {event:?}\n"));
    });
    holders.each(|job, life, node| jobs.push(format!("{job} {life:?} is held by {node}\n")));
    jobs.sort();
    out.extend(jobs);
    out
}

/// The data of the event that an item is; none where it is anything else.
pub fn event_of(item: &Item) -> Option<String> {
    let Body::Entry(payload) = &item.what else {
        return None;
    };
    match entry::decode(payload).expect("it is written here").what {
        entry::PayloadKind::Change(entry) => match entry.change {
            Change::Event { event, .. } => Some(event.data().to_owned()),
            _ => None,
        },
        entry::PayloadKind::Node { .. }
        | entry::PayloadKind::Errand(_)
        | entry::PayloadKind::Crowd(_) => None,
    }
}
