//! Reads the log, has the hub apply what stands there, and sees to the log itself: opens
//! epochs, stores snapshots, and puts the state back where Redis has lost some of it.

mod now;
mod opening;
mod rebuild;
#[cfg(feature = "server")]
mod ride;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::sys::channel::Sender;

use super::crowd::Crowd;
use super::position::{Position, SLOTS, epochs_until};
use super::replica::{Aside, ItemApplied, Misfit, Replica};
use super::shared::NodeShared;
use super::snapshot;
use super::store::{Body, Dial, Fence, Item, Look, Store, StoreFault};
use super::writer::Pen;
use crate::sequencer::Health;
use crate::sys::clock;
use crate::sys::random::Random;
use crate::sys::vital;
use now::{GAP_MAX, LITTLE};
use opening::EARLY;

/// Items that are read at a time.
const READ: usize = if cfg!(test) { 7 } else { 512 };
/// How long a read waits for something new.
pub const WAIT: Duration = Duration::from_millis(1000);
/// What a read may take beyond what it waits.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long a node without a state, or that hadn't read all there was, waits for one that has it
/// to begin the log: longer than one takes to find that there is none.
const SHYNESS: Duration = Duration::from_millis(3500);
/// What streams are waited for that have to hear of a loss.
const LOSS_PATIENCE: Duration = Duration::from_secs(2);
/// How often a snapshot that others have trimmed away meanwhile is read anew.
const ATTEMPTS: usize = 8;
/// How often a node that is behind finds out how far.
const MEASURE: Duration = Duration::from_secs(1);
/// What an item costs beyond its payload, about, in Redis's memory.
const ITEM_BYTES: u64 = 96;

pub struct LogReader {
    shared: Arc<NodeShared>,
    /// The writer, whom what is read back may let go on; none where it has no thread.
    pen: Option<Arc<Pen>>,
    dial: Arc<dyn Dial>,
    link: Option<Box<dyn Store>>,
    /// Items were asked for, which must be there by then.
    reads_until: Option<Instant>,
    /// What was heard without waiting, and is to be gone into.
    brought: Option<Result<Vec<Item>, ReadStop>>,
    /// How many reads in a row have brought little.
    calm: u32,
    /// How long it has been of late from one read that brings something of this process's to the
    /// next, and when the last was.
    gap: Duration,
    own_at: Instant,
    /// The writer has the connection, since then.
    lent_at: Option<Instant>,
    /// Whether a read has brought something of this process's.
    has_own: bool,
    replica: Replica,
    /// Whether what the replica has is anything's state.
    has_state: bool,
    /// Whether more is known to be in the log, or to have been there.
    is_behind: bool,
    /// Whether a look has found that more is in the log, and it wasn't read yet.
    must_come: bool,
    /// Whether the log on this connection is known to be the replica's.
    is_verified: bool,
    must_look: bool,
    /// Everything was applied, and what was lost of this process's is on its way.
    has_caught_up: bool,
    must_salvage: bool,
    /// The highest epoch and number that were ever applied here.
    high: Position,
    /// The highest epoch that this process has asked for, or one before it of this node may
    /// have: whether it was opened and lost, nobody knows.
    asked: u64,
    /// Since when there is no log.
    empty_since: Option<Instant>,
    /// Since when the log can't be read through, and where it ended then.
    unread_since: Option<Instant>,
    unread_end: Position,
    /// Bytes since the newest snapshot, and how far that goes.
    bytes: u64,
    snapshot_at: Position,
    random: Random,
    joined: Option<Sender<Result<(), String>>>,
    next_measure: Instant,
    /// The streams of other nodes.
    crowd: Crowd,
}

/// Why reading can't go on.
enum ReadStop {
    Fault(StoreFault),
    /// The state has to be put back.
    Rebuild,
    /// A newer node writes here.
    Newer,
}

impl From<StoreFault> for ReadStop {
    fn from(fault: StoreFault) -> ReadStop {
        ReadStop::Fault(fault)
    }
}

impl LogReader {
    pub fn new(
        shared: Arc<NodeShared>,
        dial: Arc<dyn Dial>,
        joined: Sender<Result<(), String>>,
    ) -> LogReader {
        LogReader {
            crowd: Crowd::new(shared.hub.clone()),
            replica: Replica {
                holders: shared.holders.clone(),
                ..Replica::new(shared.hub.clone())
            },
            shared,
            pen: None,
            dial,
            link: None,
            reads_until: None,
            brought: None,
            calm: 0,
            gap: GAP_MAX,
            own_at: clock::now(),
            lent_at: None,
            has_own: false,
            has_state: false,
            is_behind: false,
            must_come: false,
            is_verified: false,
            must_look: true,
            has_caught_up: false,
            must_salvage: false,
            high: Position::START,
            asked: epochs_until(clock::now_ms() / 1000),
            empty_since: None,
            unread_since: None,
            unread_end: Position::START,
            bytes: 0,
            snapshot_at: Position::START,
            random: Random::new(),
            joined: Some(joined),
            next_measure: clock::now(),
        }
    }

    /// The same, with a writer.
    pub fn with(self, pen: Arc<Pen>) -> LogReader {
        LogReader {
            pen: Some(pen),
            ..self
        }
    }

    /// Goes on until the fleet is left.
    pub fn run(mut self) {
        let mut pause = Duration::ZERO;
        while !self.shared.is_over() {
            let Some(next) = self.go_on(pause) else {
                return;
            };
            pause = next;
            clock::sleep(pause);
            #[cfg(feature = "server")]
            if self.is_calm() {
                self = ride::ride(self);
            }
        }
    }

    /// A step, and what comes of it where it fails. Returns how long the pause is until the
    /// next, by the one before. None where the fleet can't be joined.
    pub fn go_on(&mut self, pause: Duration) -> Option<Duration> {
        let Err(fault) = self.step(WAIT) else {
            return Some(Duration::ZERO);
        };
        match (fault, self.joined.take()) {
            (StoreFault::Refused(why), Some(joined)) => {
                let _ = joined.send(Err(why));
                return None;
            }
            (fault, joined) => {
                self.joined = joined;
                self.lose_link(&fault);
            }
        }
        Some((pause * 2).clamp(Duration::from_millis(20), Duration::from_millis(500)))
    }

    /// The same, with a chance that is the same every time.
    #[cfg(test)]
    pub fn seeded(self, seed: u64) -> LogReader {
        LogReader {
            random: Random::seeded(seed),
            ..self
        }
    }

    #[cfg(test)]
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    fn lose_link(&mut self, fault: &StoreFault) {
        self.link = None;
        (self.reads_until, self.brought, self.calm) = (None, None, 0);
        self.is_verified = false;
        self.must_look = true;
        self.has_caught_up = false;
        self.fence_off();
        self.shared.note_lag(true);
        let (health, why) = match fault {
            StoreFault::Broken(why) => (Health::Away, &**why),
            StoreFault::Denied(why) | StoreFault::Refused(why) => (Health::Denied, &**why),
            StoreFault::Fenced => (Health::Away, "another server answers"),
            StoreFault::Full => (Health::NoRoom, "Redis has no room (maxmemory)"),
        };
        self.shared.cannot_read(health, why);
    }

    /// One look, or one read and what comes of it.
    fn step(&mut self, wait: Duration) -> Result<(), StoreFault> {
        match self.turn(wait) {
            Ok(()) => Ok(()),
            Err(ReadStop::Fault(fault)) => Err(fault),
            Err(ReadStop::Rebuild) => self.rebuild(),
            Err(ReadStop::Newer) => Err(self.newer()),
        }
    }

    fn newer(&mut self) -> StoreFault {
        let why = "a newer server writes in this fleet: start that version here, too";
        if self.joined.is_none() {
            // It can't go on, and mustn't seem to.
            error!("fleet: {why}");
            vital::end("fleet");
        }
        StoreFault::Refused(why.to_owned())
    }

    fn turn(&mut self, wait: Duration) -> Result<(), ReadStop> {
        self.must_look |= self.shared.looks_again.swap(false, Ordering::AcqRel);
        let has_begun = self.reads_until.is_some() || self.brought.is_some();
        if self.must_look && !has_begun {
            self.must_look = false;
            let look = self.link()?.look()?;
            return self.see(&look);
        }
        let items = match self.brought.take() {
            Some(brought) => brought?,
            None => {
                self.ask(wait)?;
                self.reads_until = None;
                self.link()?.items()?
            }
        };
        self.calm = match items.len() {
            0..=LITTLE => self.calm.saturating_add(1),
            _ => 0,
        };
        self.take_in(&items)?;
        if !items.is_empty() && self.has_caught_up {
            self.keep_house()?;
        }
        Ok(())
    }

    /// Asks for what follows, unless that is under way.
    fn ask(&mut self, wait: Duration) -> Result<(), StoreFault> {
        if self.reads_until.is_some() {
            return Ok(());
        }
        let at = self.replica.at;
        let wait = if self.has_caught_up {
            wait
        } else {
            Duration::ZERO
        };
        self.link()?.ask(at, READ, wait)?;
        self.reads_until = Some(clock::now() + wait + PATIENCE);
        Ok(())
    }

    fn take_in(&mut self, items: &[Item]) -> Result<(), ReadStop> {
        self.shared.touch();
        let must_come = std::mem::take(&mut self.must_come);
        if items.is_empty() {
            self.must_look = true;
            // It ends where nothing stands.
            return if must_come {
                Err(ReadStop::Rebuild)
            } else {
                Ok(())
            };
        }
        let is_full = items.len() == READ;
        self.is_behind = is_full;
        if is_full {
            self.shared.note_lag(true);
            self.find_end()?;
        }
        let is_alone = items.len() == 1;
        for item in items {
            self.apply(item, is_alone)?;
        }
        if std::mem::take(&mut self.has_own) {
            self.note_own();
        }
        // Who has lost the fence gets it by a look that finds nothing new.
        let is_fenced_off = !self.has_caught_up || self.shared.fence.lock().is_none();
        if !is_full && is_fenced_off {
            self.must_look = true;
        }
        if !is_full && self.has_caught_up {
            self.shared.note_lag(false);
        }
        if self.has_caught_up {
            self.crowd.let_silent_go();
        }
        Ok(())
    }

    /// Finds out how far the log goes, now and then.
    fn find_end(&mut self) -> Result<(), StoreFault> {
        let now = clock::now();
        if now < self.next_measure {
            return Ok(());
        }
        self.next_measure = now + MEASURE;
        let look = self.link()?.look()?;
        let (end, _) = look.last.unwrap_or_default();
        self.shared.note_end(end);
        Ok(())
    }

    fn link(&mut self) -> Result<&mut Box<dyn Store>, StoreFault> {
        if self.link.is_none() {
            self.link = Some(self.dial.dial()?);
            self.is_verified = false;
        }
        self.link.as_mut().ok_or(StoreFault::Fenced)
    }

    /// What follows from who keeps the log and how far it goes.
    fn see(&mut self, look: &Look) -> Result<(), ReadStop> {
        self.shared.touch();
        if !look.is_master {
            let why = "it is a replica and takes no writes".to_owned();
            return Err(StoreFault::Denied(why).into());
        }
        let Some((last, nonce)) = &look.last else {
            return self.begin_log().map_err(ReadStop::Fault);
        };
        self.empty_since = None;
        if !self.has_state {
            return Err(ReadStop::Rebuild);
        }
        self.shared.note_end(*last);
        let at = self.replica.at;
        if *last < at || *last == at && *nonce != self.replica.nonce {
            return Err(ReadStop::Rebuild);
        }
        self.is_behind = *last > at;
        self.must_come = self.is_behind;
        if self.is_behind {
            return self.verify();
        }
        self.is_verified = true;
        self.shared.note_lag(false);
        if self.replica.identity != look.identity || self.high.epoch > at.epoch {
            self.has_caught_up = false;
            if !self.follow(*last)? {
                clock::sleep(EARLY);
            }
            return Ok(());
        }
        self.catch_up();
        self.keep_house().map_err(ReadStop::Fault)
    }

    /// Sees whether the log goes on from where the replica is.
    fn verify(&mut self) -> Result<(), ReadStop> {
        if self.is_verified {
            return Ok(());
        }
        let (at, nonce) = (self.replica.at, self.replica.nonce.clone());
        let link = self.link()?;
        let is_there = link.nonce_at(at)?.is_some_and(|found| found == nonce);
        let is_next = |replica: &Replica, item: &Item| {
            matches!(item.what, Body::Opening { .. }) && replica.is_next(item)
        };
        let is_its = is_there || {
            let next = link.read(at, 1, Duration::ZERO)?;
            next.first()
                .is_some_and(|item| is_next(&self.replica, item))
        };
        if !is_its {
            return Err(ReadStop::Rebuild);
        }
        self.is_verified = true;
        Ok(())
    }

    /// Everything is applied: what this process has to say can be said.
    fn catch_up(&mut self) {
        if std::mem::take(&mut self.must_salvage) {
            let boot = self.replica.boots.get(&self.shared.boot);
            let last = boot.map_or(0, |boot| boot.count);
            let count = self.shared.flight.lock().salvage(last);
            if count > 0 {
                warn!("fleet: Redis has lost {count} entries of this node: they are sent again");
            }
        }
        if !self.has_caught_up {
            self.crowd.wait_anew();
        }
        let node = self.replica.nodes.get(&self.shared.here.name);
        if node.is_none_or(|node| node.boot != self.shared.boot) {
            self.shared.wish_to_be_known();
        }
        self.has_caught_up = true;
        self.shared.flight.lock().holds = false;
        self.raise_fence();
        self.shared.reads();
        if let Some(joined) = self.joined.take() {
            let _ = joined.send(Ok(()));
        }
    }

    /// Nothing is appended until it is known what the log has.
    fn fence_off(&self) {
        *self.shared.fence.lock() = None;
        self.shared.flight.lock().holds = true;
    }

    fn raise_fence(&self) {
        *self.shared.fence.lock() = Some(Fence {
            epoch: self.replica.at.epoch,
            identity: self.replica.identity.clone(),
        });
    }

    fn apply(&mut self, item: &Item, is_alone: bool) -> Result<(), ReadStop> {
        if matches!(item.what, Body::Opening { .. }) && self.replica.is_next(item) {
            self.announce(&[self.replica.lost_by(item.at)]);
        }
        let applied = self
            .replica
            .apply(item, is_alone)
            .map_err(|misfit| match misfit {
                Misfit::Gap => ReadStop::Rebuild,
                Misfit::Newer => ReadStop::Newer,
            })?;
        if let ItemApplied::Entry {
            boot,
            aside: Some(aside),
            ..
        } = &applied
        {
            self.hear(*boot, aside);
        }
        self.note(item, applied);
        Ok(())
    }

    /// A process has said something that is none of the state's.
    fn hear(&mut self, boot: u64, aside: &Aside) {
        let is_own = boot == self.shared.boot;
        match aside {
            Aside::Errand(errand) => self.shared.take_errand(errand),
            Aside::Crowd(_) if is_own => {}
            Aside::Crowd(statement) => {
                if !self.crowd.hear(boot, statement.clone()) {
                    // Whoever hears of this node says it all again.
                    self.shared.wish_to_be_known();
                }
            }
            Aside::Node(before) => {
                if let Some(before) = before.filter(|before| *before != boot) {
                    self.crowd.drop(before);
                }
                self.shared.have_streams_told();
            }
        }
    }

    fn note(&mut self, item: &Item, applied: ItemApplied) {
        self.high = self.high.max(item.at);
        self.shared.note_position(item.at);
        let Body::Entry(payload) = &item.what else {
            // What was sent before it may be lost.
            self.shared.flight.lock().resend = true;
            if self.has_caught_up {
                self.raise_fence();
            }
            return;
        };
        self.bytes += payload.len() as u64 + ITEM_BYTES;
        match applied {
            ItemApplied::Repeat => self.shared.counters.duplicates.add(1),
            ItemApplied::Entry {
                boot,
                count,
                result,
                ..
            } if boot == self.shared.boot => {
                self.has_own = true;
                let needs_replicas = self.shared.wait > 0;
                let mut flight = self.shared.flight.lock();
                flight.settle(count, result, needs_replicas);
            }
            ItemApplied::Entry { .. } | ItemApplied::Opened | ItemApplied::Void => {}
        }
    }

    /// Has streams end whose numbers are lost, before they get anything else.
    fn announce(&self, lost: &[Range<u64>]) {
        let high = self.high.number().map_or(0, |id| id.0);
        if !lost
            .iter()
            .any(|range| range.start <= high && !range.is_empty())
        {
            return;
        }
        let hub = &self.shared.hub;
        hub.lose(lost.to_vec());
        let until = clock::now() + LOSS_PATIENCE;
        while !hub.has_seen_to_losses() && clock::now() < until {
            clock::sleep(Duration::from_millis(1));
        }
    }

    fn is_house_to_be_kept(&self) -> bool {
        self.replica.at.is_near_the_end() || self.has_much_to_store()
    }

    fn has_much_to_store(&self) -> bool {
        let share = self.shared.log_bytes / 2;
        self.bytes >= share + self.slot() * share / SLOTS / 4
    }

    /// Opens the next epoch where this one is nearly full, and stores a snapshot where there
    /// is much since the last.
    fn keep_house(&mut self) -> Result<(), StoreFault> {
        if self.replica.at.is_near_the_end() {
            self.open(None)?;
            self.must_look = false;
        }
        if !self.has_much_to_store() {
            return Ok(());
        }
        self.bytes = 0;
        let kept = self.link()?.snapshots_at()?;
        let newest = kept.map_or(Position::START, |(_, newest)| newest);
        if newest > self.snapshot_at {
            // Another node was first.
            self.snapshot_at = newest;
            return Ok(());
        }
        let taken = snapshot::take(&self.replica);
        match self.link()?.store(&taken) {
            Ok(true) => self.snapshot_at = taken.at,
            Ok(false) | Err(StoreFault::Full | StoreFault::Denied(_)) => {}
            Err(fault) => return Err(fault),
        }
        Ok(())
    }
}
