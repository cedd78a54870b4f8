//! Connections to a made-up Redis, which break before a command, after it, or in the middle.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::server::{Command, Redis, Reply};
use crate::sequencer::redis::by_hand::{
    Dial, EpochOpened, EpochOpening, Fence, Heard, Item, Look, Nonce, Position, StateSnapshot,
    Store, StoreFault,
};
use crate::simulation::random::Random;

/// A Redis, and what lies between it and its clients.
pub struct Network {
    pub redis: Redis,
    /// One call in so many fails; none where it is 0.
    pub faults: u64,
    /// One call in so many comes right after a fault of Redis.
    pub losses: u64,
    /// Replicas confirm what is answered, and Redis loses nothing but by failovers.
    pub is_confirmed: bool,
    pub random: Random,
    /// What is on its way on connections that are gone.
    pub late: Vec<Command>,
    /// What has befallen Redis between two calls.
    pub told: Vec<String>,
    /// What happens at the call after so many.
    pub planned: Option<(u64, Mishap)>,
}

/// What happens at a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// Redis is flushed before it.
    Flush,
    /// It is executed, and its answer is lost.
    NoAnswer,
}

/// Makes connections.
pub struct Dialer(pub Arc<Mutex<Network>>);

struct Link {
    network: Arc<Mutex<Network>>,
    connection: u64,
    is_broken: bool,
    /// What came of the append, until that is asked for.
    appended: Option<Result<(), StoreFault>>,
    /// What is to be read.
    asked: Option<(Position, usize)>,
}

fn broken() -> StoreFault {
    StoreFault::Broken("made up".to_owned())
}

impl Network {
    /// What happens at this call.
    fn mishap(&mut self) -> Option<Mishap> {
        if self.losses > 0 && self.random.one_in(self.losses) {
            let what = self.break_redis();
            self.told.push(what);
        }
        let (calls, mishap) = self.planned.take()?;
        if calls > 0 {
            self.planned = Some((calls - 1, mishap));
            return None;
        }
        if mishap == Mishap::Flush {
            self.redis.lose_all();
        }
        Some(mishap)
    }

    fn fails(&mut self) -> bool {
        self.faults > 0 && self.random.one_in(self.faults)
    }

    /// Something befalls Redis. Returns what.
    pub fn break_redis(&mut self) -> String {
        self.redis.suffer(&mut self.random, self.is_confirmed)
    }

    /// Something of what is on its way arrives, or never does.
    pub fn deliver(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let index = self.random.below(self.late.len() as u64) as usize;
        let command = self.late.remove(index);
        if self.random.one_in(2) && !self.redis.is_down {
            let _ = self.redis.execute(&command);
        }
    }
}

impl Dial for Dialer {
    fn dial(&self) -> Result<Box<dyn Store>, StoreFault> {
        let mut network = self.0.lock();
        if network.redis.is_down || network.fails() {
            return Err(broken());
        }
        Ok(Box::new(Link {
            connection: network.redis.connections,
            network: self.0.clone(),
            is_broken: false,
            appended: None,
            asked: None,
        }))
    }
}

impl Link {
    fn call<T>(
        &mut self,
        call: impl FnOnce(&mut Network) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        assert!(!self.is_broken, "a connection is used that has failed");
        assert_eq!(self.asked, None, "what was asked for is to be heard first");
        let mut network = self.network.lock();
        let mishap = network.mishap();
        let is_closed = network.redis.is_down || network.redis.connections != self.connection;
        let done = if is_closed || network.fails() {
            Err(broken())
        } else {
            call(&mut network)
        };
        let is_answered = mishap != Some(Mishap::NoAnswer) && !network.fails();
        let done = if is_answered { done } else { Err(broken()) };
        self.is_broken = matches!(done, Err(StoreFault::Broken(_)));
        done
    }

    /// Whether what isn't waited for is done.
    fn is_soon(&self) -> bool {
        self.network.lock().random.one_in(2)
    }

    fn execute(&mut self, command: Command) -> Result<Reply, StoreFault> {
        self.call(|network| {
            if network.fails() {
                network.late.push(command);
                return Err(broken());
            }
            network.redis.execute(&command)
        })
    }
}

impl Store for Link {
    fn look(&mut self) -> Result<Look, StoreFault> {
        self.call(|network| Ok(network.redis.look()))
    }

    fn open(&mut self, opening: &EpochOpening) -> Result<EpochOpened, StoreFault> {
        match self.execute(Command::Open(opening.clone()))? {
            Reply::Opened(opened) => Ok(opened),
            other => panic!("an opening is answered {other:?}"),
        }
    }

    fn append(
        &mut self,
        fence: &Fence,
        entries: &[(Nonce, &[u8])],
        waits: bool,
    ) -> Result<bool, StoreFault> {
        let entries = entries.iter();
        let entries = entries.map(|(nonce, payload)| (nonce.clone(), payload.to_vec()));
        let append = Command::Append(fence.clone(), entries.collect());
        assert_eq!(self.appended, None, "another's answer is there");
        let appended = self.execute(append).map(drop);
        if !waits && appended.is_err() && self.is_soon() {
            // It is found out as it is sent.
            self.is_broken = true;
            return Err(broken());
        }
        self.appended = Some(appended);
        Ok(waits || self.is_soon())
    }

    fn append_and_ask(
        &mut self,
        fence: &Fence,
        entries: &[(Nonce, &[u8])],
        after: Position,
        most: usize,
    ) -> Result<(), StoreFault> {
        self.append(fence, entries, false)?;
        self.ask(after, most, Duration::ZERO)
    }

    fn appended_items_now(&mut self) -> Heard<Vec<Item>> {
        match self.network.lock().random.below(8) {
            0 | 1 => return Heard::NotYet,
            2 => return Heard::Much,
            _ => {}
        }
        let appended = self.appended();
        if let Err(fault) = appended {
            self.asked = None;
            return Heard::All(Err(fault));
        }
        Heard::All(self.items())
    }

    fn appended(&mut self) -> Result<(), StoreFault> {
        self.appended.take().expect("something is asked for")
    }

    fn appended_now(&mut self) -> Heard<()> {
        match self.is_soon() {
            true => Heard::All(self.appended()),
            false => Heard::NotYet,
        }
    }

    fn ask(&mut self, after: Position, most: usize, _: Duration) -> Result<(), StoreFault> {
        assert_eq!(self.asked, None, "what was asked for is to be heard first");
        self.asked = Some((after, most));
        Ok(())
    }

    fn items(&mut self) -> Result<Vec<Item>, StoreFault> {
        let (after, most) = self.asked.take().expect("something is asked for");
        self.call(|network| Ok(network.redis.read(after, most)))
    }

    fn items_now(&mut self) -> Heard<Vec<Item>> {
        let what = self.network.lock().random.below(8);
        match what {
            0 => Heard::NotYet,
            1 => Heard::Much,
            _ => Heard::All(self.items()),
        }
    }

    fn item_at(&mut self, at: Position) -> Result<Option<Item>, StoreFault> {
        self.call(|network| Ok(network.redis.item_at(at)))
    }

    fn snapshot(&mut self) -> Result<Option<StateSnapshot>, StoreFault> {
        self.call(|network| Ok(network.redis.snapshot()))
    }

    fn snapshots_at(&mut self) -> Result<Option<(Position, Position)>, StoreFault> {
        self.call(|network| Ok(network.redis.snapshots_at()))
    }

    fn store(&mut self, snapshot: &StateSnapshot) -> Result<bool, StoreFault> {
        match self.execute(Command::Store(snapshot.clone()))? {
            Reply::Stored(is_stored) => Ok(is_stored),
            other => panic!("a snapshot is answered {other:?}"),
        }
    }

    fn trim(&mut self) -> Result<(), StoreFault> {
        self.execute(Command::Trim).map(drop)
    }

    fn confirm(&mut self, _: u32) -> Result<bool, StoreFault> {
        self.call(|network| {
            let has = network.random.one_in(2);
            if has {
                network.redis.confirm();
            }
            Ok(has)
        })
    }
}
