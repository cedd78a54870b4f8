//! What is asked of whoever keeps the log. Each call is one step for everybody, or none.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::position::Position;

/// What tells an entry from every other: the process and its count.
pub type Nonce = String;

/// What stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub at: Position,
    pub nonce: Nonce,
    pub what: Body,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// What a node has appended.
    Entry(Vec<u8>),
    /// An epoch begins.
    Opening {
        /// Who keeps the log from here on.
        identity: String,
        /// The last item before it, ...
        before: Position,
        /// ... and its nonce.
        nonce_before: Nonce,
    },
}

/// An epoch that somebody wants to open.
#[derive(Clone, Debug)]
pub struct EpochOpening {
    /// The newest epoch that the caller knows of.
    pub known: u64,
    /// The new one.
    pub epoch: u64,
    /// The opening's.
    pub nonce: Nonce,
    /// What the caller has applied last, and its state then, where it has one: it is what a
    /// log begins with where there is none.
    pub state: Option<StateSnapshot>,
    /// The last item of a log that can't be read through: where it still is that, the log goes,
    /// and one begins with the state.
    pub over: Option<Position>,
}

/// What became of the wish to open an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochOpened {
    /// It is open.
    Yes,
    /// There is an epoch that the caller doesn't know, or that is above the new one.
    Behind,
    /// There is no log, and no state for one to begin with.
    Empty,
}

/// Who keeps the log, and how far it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The server's identity, which changes with every start and every change of its history.
    pub identity: String,
    /// Whether it takes writes.
    pub is_master: bool,
    /// The last item and its nonce, which is empty where it isn't kept. None: there is no log.
    pub last: Option<(Position, Nonce)>,
}

/// A state of everything, and what was applied last before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSnapshot {
    pub at: Position,
    pub nonce: Nonce,
    pub state: Vec<u8>,
}

/// Where entries may be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub epoch: u64,
    pub identity: String,
}

/// Why something wasn't done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// The connection is of no use any more, and nobody knows what became of it.
    Broken(String),
    /// It wasn't done: another server, another epoch, or no log.
    Fenced,
    /// It wasn't done: there is no memory.
    Full,
    /// It wasn't done: there are no writes at present.
    Denied(String),
    /// It can't be done, which somebody has to see to.
    Refused(String),
}

/// An answer that isn't waited for.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<T> {
    /// It is there.
    All(Result<T, StoreFault>),
    /// More of it has yet to come.
    NotYet,
    /// There is much of it: whoever may wait is to read it.
    Much,
}

/// Whoever keeps the log, by one connection.
pub trait Store: Send {
    /// What can be polled for an answer by whoever doesn't wait for it; none where nothing can.
    fn socket(&self) -> Option<Arc<OwnedFd>> {
        None
    }
    /// Who keeps the log, and how far it goes.
    fn look(&mut self) -> Result<Look, StoreFault>;
    /// Opens an epoch.
    fn open(&mut self, opening: &EpochOpening) -> Result<EpochOpened, StoreFault>;
    /// Asks for entries to be appended, all or none. What came of it, [`Store::appended`] says,
    /// before anything else is asked for. Says whether all of it is on its way: where `waits` is
    /// false, the rest goes when that is asked.
    fn append(
        &mut self,
        fence: &Fence,
        entries: &[(Nonce, &[u8])],
        waits: bool,
    ) -> Result<bool, StoreFault>;
    /// Asks for the same, and behind it, in one piece, for the items after a place, `most` at most.
    /// Never waits.
    fn append_and_ask(
        &mut self,
        fence: &Fence,
        entries: &[(Nonce, &[u8])],
        after: Position,
        most: usize,
    ) -> Result<(), StoreFault>;
    /// What came of both, if it is known: the items, where what was to be appended was. Never waits.
    fn appended_items_now(&mut self) -> Heard<Vec<Item>>;
    /// Waits for what came of the append.
    fn appended(&mut self) -> Result<(), StoreFault>;
    /// What came of the append, if it is known. Never waits.
    fn appended_now(&mut self) -> Heard<()>;
    /// Asks for the items after a place, `most` at most; where there are none, for those that come
    /// within `wait`. Never waits. What there is, [`Store::items`] says, before anything else is
    /// asked for.
    fn ask(&mut self, after: Position, most: usize, wait: Duration) -> Result<(), StoreFault>;
    /// Waits for the items that were asked for.
    fn items(&mut self) -> Result<Vec<Item>, StoreFault>;
    /// The items that were asked for, if they are there. Never waits.
    fn items_now(&mut self) -> Heard<Vec<Item>>;
    /// The items after a place, once there are any, or `wait` is over.
    fn read(
        &mut self,
        after: Position,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Item>, StoreFault> {
        self.ask(after, most, wait)?;
        self.items()
    }
    /// What stands in a place.
    fn item_at(&mut self, at: Position) -> Result<Option<Item>, StoreFault>;
    /// The nonce of what stands in a place.
    fn nonce_at(&mut self, at: Position) -> Result<Option<Nonce>, StoreFault> {
        Ok(self.item_at(at)?.map(|item| item.nonce))
    }
    /// The snapshot that a start begins with.
    fn snapshot(&mut self) -> Result<Option<StateSnapshot>, StoreFault>;
    /// How far the snapshot goes that a start begins with, and how far the newest.
    fn snapshots_at(&mut self) -> Result<Option<(Position, Position)>, StoreFault>;
    /// Stores a snapshot, unless what it is of isn't the log's, or there is a newer. The log
    /// goes back to the one before from then on. False where it isn't stored.
    fn store(&mut self, snapshot: &StateSnapshot) -> Result<bool, StoreFault>;
    /// Makes room: the log goes back to the newest snapshot only.
    fn trim(&mut self) -> Result<(), StoreFault>;
    /// Waits until so many replicas have what was appended. False where they haven't yet.
    fn confirm(&mut self, replicas: u32) -> Result<bool, StoreFault>;
}

/// Makes connections.
pub trait Dial: Send + Sync {
    /// Makes one.
    fn dial(&self) -> Result<Box<dyn Store>, StoreFault>;
}
