//! A Redis that is made up: what the scripts make of its keys, and what it loses.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::sequencer::redis::by_hand::{
    Body, EpochOpened, EpochOpening, Fence, Item, Look, Nonce, Position, StateSnapshot, StoreFault,
};
use crate::simulation::random::Random;

/// States that it may go back to.
const VERSIONS: usize = 30;

/// What changes it. Each is one script.
#[derive(Clone)]
pub enum Command {
    Append(Fence, Vec<(Nonce, Vec<u8>)>),
    Open(EpochOpening),
    Store(StateSnapshot),
    Trim,
}

/// What a command is answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Done,
    Opened(EpochOpened),
    Stored(bool),
}

/// What it keeps.
#[derive(Clone, Default)]
struct Data {
    log: Option<Log>,
    snapshot: Option<Arc<StateSnapshot>>,
    before: Option<Arc<StateSnapshot>>,
}

#[derive(Clone)]
struct Log {
    items: VecDeque<Arc<Item>>,
    last: Position,
}

/// Such a Redis, with a replica.
pub struct Redis {
    data: Data,
    /// What it was before its newest changes, and how many of these the replica has for sure.
    versions: VecDeque<Data>,
    unconfirmed: usize,
    /// Its process, and its history: both together are its identity.
    pub run: u64,
    pub history: u64,
    /// Connections of another number are closed.
    pub connections: u64,
    pub is_master: bool,
    pub is_full: bool,
    pub is_down: bool,
    /// Every item that there ever was.
    pub given: BTreeMap<Position, Arc<Item>>,
    /// What a torn file has that isn't read before the next start, and what it stands behind.
    torn: Vec<Arc<Item>>,
    torn_after: Position,
    /// Whether anything was ever lost.
    pub has_lost: bool,
    /// Where the log has ended of late.
    ends: Vec<Option<Position>>,
}

impl Redis {
    pub fn new() -> Redis {
        Redis {
            data: Data::default(),
            versions: VecDeque::new(),
            unconfirmed: 0,
            run: 1,
            history: 1,
            connections: 1,
            is_master: true,
            is_full: false,
            is_down: false,
            given: BTreeMap::new(),
            torn: Vec::new(),
            torn_after: Position::default(),
            has_lost: false,
            ends: Vec::new(),
        }
    }

    /// Forgets where the log has ended up to now.
    pub fn forget_ends(&mut self) {
        self.ends = vec![self.last()];
    }

    /// Forgets what there was, but for what may come back.
    pub fn forget(&mut self) {
        let torn = self.torn.iter();
        self.given = torn.map(|item| (item.at, item.clone())).collect();
    }

    /// Whether the log has ended here since then.
    pub fn has_ended(&self, at: Position) -> bool {
        self.ends.contains(&Some(at))
    }

    fn identity(&self) -> String {
        format!("{}/{}", self.run, self.history)
    }

    /// The last place of the log.
    pub fn last(&self) -> Option<Position> {
        self.data.log.as_ref().map(|log| log.last)
    }

    pub fn look(&self) -> Look {
        Look {
            identity: self.identity(),
            is_master: self.is_master,
            last: self.last().map(|last| (last, self.nonce_of(last))),
        }
    }

    pub fn item_at(&self, at: Position) -> Option<Item> {
        let item = self.items_from(at).next()?;
        (item.at == at).then(|| Item::clone(item))
    }

    pub fn read(&self, after: Position, most: usize) -> Vec<Item> {
        let items = self.items_from(after.next()).take(most);
        items.map(|item| Item::clone(item)).collect()
    }

    /// The one that a start begins with.
    pub fn snapshot(&self) -> Option<StateSnapshot> {
        let first = self.data.before.as_ref().or(self.data.snapshot.as_ref());
        first.map(|kept| StateSnapshot::clone(kept))
    }

    /// How far that goes, and how far the newest.
    pub fn snapshots_at(&self) -> Option<(Position, Position)> {
        let newest = self.data.snapshot.as_ref()?;
        let first = self.data.before.as_ref().unwrap_or(newest);
        Some((first.at, newest.at))
    }

    /// Carries a command out, all of it or nothing.
    pub fn execute(&mut self, command: &Command) -> Result<Reply, StoreFault> {
        let before = self.data.clone();
        let reply = match command {
            Command::Append(fence, entries) => self.append(fence, entries),
            Command::Open(opening) => self.open(opening).map(Reply::Opened),
            Command::Store(snapshot) => self.store(snapshot).map(Reply::Stored),
            Command::Trim => self.trim().map(|()| Reply::Done),
        };
        self.versions.push_back(before);
        self.unconfirmed += 1;
        if self.versions.len() > VERSIONS {
            self.versions.pop_front();
        }
        self.ends.push(self.last());
        reply
    }

    /// The replica has all of it.
    pub fn confirm(&mut self) {
        self.unconfirmed = 0;
    }

    fn items_from(&self, first: Position) -> impl Iterator<Item = &Arc<Item>> {
        let items = self.data.log.as_ref().map(|log| &log.items);
        let start = items.map_or(0, |items| items.partition_point(|item| item.at < first));
        items
            .into_iter()
            .flat_map(move |items| items.range(start..))
    }

    fn nonce_of(&self, at: Position) -> Nonce {
        self.item_at(at).map(|item| item.nonce).unwrap_or_default()
    }

    fn add(&mut self, item: Item) {
        let item = Arc::new(item);
        let known = self.given.insert(item.at, item.clone());
        assert!(
            known.is_none_or(|known| *known == *item),
            "{} stands for two entries",
            item.at
        );
        let log = self.data.log.get_or_insert_with(|| Log {
            items: VecDeque::new(),
            last: Position::START,
        });
        assert!(item.at > log.last, "the log goes back to {}", item.at);
        log.last = item.at;
        log.items.push_back(item);
    }

    fn append(&mut self, fence: &Fence, entries: &[(Nonce, Vec<u8>)]) -> Result<Reply, StoreFault> {
        let last = self.last().ok_or(StoreFault::Fenced)?;
        if fence.identity != self.identity() || last.epoch != fence.epoch {
            return Err(StoreFault::Fenced);
        }
        self.may_write(true)?;
        let mut at = last;
        for (nonce, payload) in entries {
            at = at.next();
            let (nonce, what) = (nonce.clone(), Body::Entry(payload.clone()));
            self.add(Item { at, nonce, what });
        }
        Ok(Reply::Done)
    }

    fn open(&mut self, opening: &EpochOpening) -> Result<EpochOpened, StoreFault> {
        let mut has_written = false;
        if opening.over.is_some() && opening.over == self.last() {
            self.may_write(false)?;
            self.data.log = None;
            self.torn.clear();
            has_written = true;
        }
        let (before, nonce_before) = match (self.last(), &opening.state) {
            (Some(last), _) => {
                if last.epoch > opening.known || last.epoch >= opening.epoch {
                    return Ok(EpochOpened::Behind);
                }
                self.may_write(!has_written)?;
                (last, self.nonce_of(last))
            }
            (None, None) => return Ok(EpochOpened::Empty),
            (None, Some(state)) => {
                self.may_write(false)?;
                self.data.before = None;
                self.data.snapshot = Some(Arc::new(state.clone()));
                (state.at, state.nonce.clone())
            }
        };
        let identity = self.identity();
        self.add(Item {
            at: Position::opening(opening.epoch),
            nonce: opening.nonce.clone(),
            what: Body::Opening {
                identity,
                before,
                nonce_before,
            },
        });
        Ok(EpochOpened::Yes)
    }

    fn store(&mut self, snapshot: &StateSnapshot) -> Result<bool, StoreFault> {
        if self.nonce_of(snapshot.at) != snapshot.nonce {
            return Ok(false);
        }
        let newest = self.data.snapshot.as_ref().map(|kept| kept.at);
        if newest.is_some_and(|newest| newest >= snapshot.at) {
            return Ok(false);
        }
        self.may_write(newest.is_none())?;
        let before = self.data.snapshot.replace(Arc::new(snapshot.clone()));
        if let Some(newest) = newest {
            self.data.before = before;
            self.cut(newest);
        }
        Ok(true)
    }

    fn trim(&mut self) -> Result<(), StoreFault> {
        let newest = self.data.snapshot.as_ref().map(|kept| kept.at);
        if let (Some(newest), Some(_)) = (newest, &self.data.log) {
            self.may_write(false)?;
            self.data.before = None;
            self.cut(newest);
        }
        Ok(())
    }

    /// Whether a script may write. What it writes first takes memory, or doesn't; whoever has
    /// written, may go on.
    fn may_write(&self, takes_memory: bool) -> Result<(), StoreFault> {
        if !self.is_master {
            return Err(StoreFault::Denied("READONLY".to_owned()));
        }
        if self.is_full && takes_memory {
            return Err(StoreFault::Full);
        }
        Ok(())
    }

    fn cut(&mut self, first: Position) {
        self.torn.retain(|item| item.at >= first);
        if let Some(log) = &mut self.data.log {
            log.items.retain(|item| item.at >= first);
        }
    }

    /// Something befalls it. Where replicas confirm what is answered, nothing is lost but by
    /// failovers. Returns what it was.
    pub fn suffer(&mut self, random: &mut Random, is_confirmed: bool) -> String {
        let what = match random.below(if is_confirmed { 6 } else { 10 }) {
            0 => {
                self.is_down = !self.is_down;
                self.start_again();
                "it goes away, or comes back".to_owned()
            }
            1 => {
                self.start_again();
                "it is started again".to_owned()
            }
            2 => {
                self.is_full = !self.is_full;
                format!("there is room: {}", !self.is_full)
            }
            3 => {
                self.is_master = !self.is_master;
                // Connections stay.
                self.history += 1;
                format!("it is a master: {}", self.is_master)
            }
            4 | 5 => {
                let lost = self.lose_end(random, true);
                self.start_again();
                format!("a replica that lacks {lost} takes its place")
            }
            6 => {
                self.lose_all();
                "it is flushed".to_owned()
            }
            7 => {
                self.lose_all();
                self.start_again();
                "it is started again with nothing".to_owned()
            }
            8 => {
                let lost = self.lose_end(random, false);
                self.start_again();
                format!("it is started again, and lacks {lost}")
            }
            _ => {
                self.start_again();
                self.tear();
                "it is started again, and its file is torn".to_owned()
            }
        };
        self.ends.push(self.last());
        what
    }

    /// Another process, or none before it, answers from now on.
    pub fn start_again(&mut self) {
        self.run += 1;
        self.history += 1;
        self.connections += 1;
        self.is_master = true;
        self.confirm();
        let Some(log) = &mut self.data.log else {
            return self.torn.clear();
        };
        // What was torn off is read where it stands in the file, if something stands behind it.
        // What was appended since is then left out where it isn't above it.
        let torn = std::mem::take(&mut self.torn);
        let since = log.items.partition_point(|it| it.at <= self.torn_after);
        let since = log.items.split_off(since);
        let torn = torn.into_iter().filter(|_| !since.is_empty());
        for item in torn.chain(since.iter().cloned()) {
            if log.items.back().is_none_or(|it| it.at < item.at) {
                log.last = item.at;
                log.items.push_back(item);
            }
        }
    }

    /// Everything is lost.
    pub fn lose_all(&mut self) {
        self.data = Data::default();
        self.versions.clear();
        self.torn.clear();
        self.has_lost = true;
    }

    /// The end is lost: what a replica hasn't got, or what wasn't on the disk.
    pub fn lose_end(&mut self, random: &mut Random, only_unconfirmed: bool) -> usize {
        let most = if only_unconfirmed {
            self.unconfirmed.min(self.versions.len())
        } else {
            self.versions.len()
        };
        let count = random.below(most.min(8) as u64 + 1) as usize;
        self.torn.clear();
        for _ in 0..count {
            self.data = self.versions.pop_back().unwrap_or_default();
        }
        self.has_lost |= count > 0;
        count
    }

    /// How many states it may go back to.
    pub fn versions(&self) -> usize {
        self.versions.len()
    }

    /// Another process has the state after so many changes.
    pub fn go_back_to(&mut self, versions: usize) {
        while self.versions.len() > versions {
            self.data = self.versions.pop_back().unwrap_or_default();
        }
        self.has_lost = true;
        self.start_again();
    }

    /// The newest batch is torn off a file, and comes back one start later.
    pub fn tear(&mut self) {
        let before = self.versions.pop_back().unwrap_or_default();
        let now = std::mem::replace(&mut self.data, before);
        let last = self.last().unwrap_or_default();
        let items = now.log.map(|log| log.items).unwrap_or_default();
        self.torn = items.into_iter().filter(|item| item.at > last).collect();
        self.torn_after = last;
        self.has_lost = true;
    }
}
