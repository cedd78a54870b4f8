//! Appends what publishers propose: a batch at a time, each all or none, and again until it
//! is read back.
//!
//! Redis's answer to a batch is heard before the next is sent, and not waited for: whoever
//! waits for an entry hears of it from the reader, and where that is all, the thread sleeps.
//!
//! Waking that thread for one event costs more than sending it. So whoever publishes, or reads
//! back, does what the thread would do, where nothing is to be waited for, and leaves the rest to it.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::sys::channel::{Receiver, unbounded};

use super::crowd::{self, Statement};
use super::entry;
use super::flight::{Group, Put, Sent};
use super::position::Position;
use super::replica::nonce;
use super::shared::{GRACE, NodeShared};
use super::store::{Dial, Fence, Heard, Item, Store, StoreFault};
use crate::sequencer::journal::reply::Reply;
use crate::sequencer::{Health, Proposal, PublishError, now_ms};
use crate::sys::blocker::is_coroutine;
use crate::sys::clock;

/// Entries that are appended by one call.
const BATCH: usize = 64;
/// Their bytes, from which on no more are added.
const BATCH_BYTES: usize = 1 << 20;
/// Entries that are sent and not read back. At it publishers wait.
const FLIGHT_MAX: usize = 4096;
/// Items that are read behind an append beyond what that appends.
const BESIDE: usize = if cfg!(test) { 3 } else { 8 };
/// What is appended at most with a read behind it, in bytes.
const BROUGHT_BYTES: usize = 64 << 10;
/// What such an append may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is seen to what nobody calls for.
const TICK: Duration = Duration::from_millis(100);
/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_millis(50);
/// How long it is after one that lasts.
const LONG_PAUSE: Duration = Duration::from_millis(500);

/// What the writer is asked for.
pub enum NodeCommand {
    /// To put these in order in turn, up to the first that is refused.
    Put(Vec<Proposal>, Reply<Put>),
    /// To put this payload in order.
    Say(Vec<u8>, Reply<Put>),
}

/// How far it was done without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// All of it.
    Done,
    /// As soon as what is under way is read back, it can be.
    Soon,
    /// It is the thread's to do it.
    Later,
}

/// The writer, and its thread, for whoever has something for it.
pub struct Pen {
    pub writer: Arc<Mutex<LogWriter>>,
    pub thread: Thread,
    /// Whether a coroutine reads.
    pub is_ridden: AtomicBool,
}

impl Pen {
    /// Has what was commanded done: at once; by whoever reads back what is under way, if that is
    /// a coroutine of the same thread; or by the writer's thread. Never waits.
    pub fn move_on(&self) {
        let done = self.writer.try_lock().map(|mut writer| writer.step_now());
        let is_left = match done {
            Some(Now::Done) => false,
            Some(Now::Soon) => !(self.is_ridden.load(Ordering::Acquire) && is_coroutine()),
            Some(Now::Later) | None => true,
        };
        if is_left {
            self.thread.unpark();
        }
    }
}

/// A batch whose answer isn't heard yet.
struct Asked {
    fence: Fence,
    counts: RangeInclusive<u64>,
    entries: u64,
    /// On the reader's connection, with a read behind it: until when the answer has to be there.
    brings_until: Option<Instant>,
}

/// The reader's connection, on which what is appended brings what is to be read.
struct Lent {
    link: Box<dyn Store>,
    /// What was read last.
    at: Position,
}

/// What the reader gets with its connection.
pub type Brought = Option<Result<Vec<Item>, StoreFault>>;

pub struct LogWriter {
    shared: Arc<NodeShared>,
    dial: Arc<dyn Dial>,
    link: Option<Box<dyn Store>>,
    lent: Option<Lent>,
    /// The thread has something to do first that the reader's connection isn't for.
    is_recalled: bool,
    commands: Receiver<NodeCommand>,
    /// What has no count yet.
    queue: VecDeque<Sent>,
    /// Everything up to this count was sent.
    sent: u64,
    asked: Option<Asked>,
    /// What came of that, where the thread has yet to see to it.
    heard: Option<Result<(), StoreFault>>,
    /// Since when nothing could be appended that was to be.
    failing_since: Option<Instant>,
    /// When streams are told of next, and when that was done last.
    tells_at: Instant,
    told_at: Instant,
}

impl LogWriter {
    pub fn new(
        shared: Arc<NodeShared>,
        dial: Arc<dyn Dial>,
        commands: Receiver<NodeCommand>,
    ) -> LogWriter {
        LogWriter {
            shared,
            dial,
            link: None,
            lent: None,
            is_recalled: false,
            commands,
            queue: VecDeque::new(),
            sent: 0,
            asked: None,
            heard: None,
            failing_since: None,
            tells_at: clock::now(),
            told_at: clock::now(),
        }
    }

    /// Goes on until the fleet is left.
    pub fn run(writer: &Mutex<LogWriter>, shared: &NodeShared) {
        while !shared.is_over() {
            let goes_on = writer.lock().step();
            if !goes_on {
                // Whoever has a command for this thread calls it. A channel that waits spins
                // first, and costs more than the command.
                thread::park_timeout(TICK);
            }
        }
        writer.lock().close();
    }

    /// Nothing more is appended, and who sends a command hears so.
    fn close(&mut self) {
        self.refuse_queue(PublishError::Away);
        let (_, closed) = unbounded();
        // Those who wait in it hear it by that.
        drop(std::mem::replace(&mut self.commands, closed));
        self.shared.flight.lock().close();
    }

    /// What a step does, where nothing is to be waited for.
    pub fn step_now(&mut self) -> Now {
        if self.is_recalled && self.lent.is_none() || self.heard.is_some() {
            return Now::Later;
        }
        if self.queue.is_empty() && self.commands.is_empty() {
            return Now::Done;
        }
        let fence = self.shared.fence.lock().clone();
        let is_ready = self.link.is_some() && self.shared.wait == 0 && !self.shared.is_over();
        let Some(fence) = fence.filter(|_| is_ready) else {
            return Now::Later;
        };
        match self.hear_now() {
            Now::Done => {}
            other => return other,
        }
        if !self.queue.is_empty() || self.shared.flight.lock().has_more(self.sent) {
            return Now::Later;
        }
        while self.queue.len() < BATCH
            && let Ok(command) = self.commands.try_recv()
        {
            self.take(command);
        }
        let bytes = self.queue.iter().map(|sent| sent.payload.len());
        if self.lent.is_some() && bytes.sum::<usize>() > BROUGHT_BYTES {
            return Now::Later;
        }
        match self.send(fence, false) {
            Some(true) | None if !self.has_more() => Now::Done,
            _ => Now::Later,
        }
    }

    /// Hears what came of the batch before, if that is known and good.
    fn hear_now(&mut self) -> Now {
        let Some(asked) = &self.asked else {
            return match self.failing_since {
                None => Now::Done,
                Some(_) => Now::Later,
            };
        };
        let last = *asked.counts.end();
        if asked.brings_until.is_some() && self.heard.is_none() {
            // The reader hears it.
            return Now::Soon;
        }
        let link = self.link.as_mut().filter(|_| self.heard.is_none());
        match link.map(|link| link.appended_now()) {
            Some(Heard::All(appended)) => {
                let is_good = appended.is_ok() && self.failing_since.is_none();
                self.heard = Some(appended);
                match is_good && self.hear() {
                    true => Now::Done,
                    false => Now::Later,
                }
            }
            // Whoever reads it back goes on.
            Some(_) if self.shared.flight.lock().waits_for(last) => Now::Soon,
            _ => Now::Later,
        }
    }

    /// Hears what came of the batch before, and sends one. False where there is nothing to do
    /// now.
    pub fn step(&mut self) -> bool {
        self.is_recalled = self.lent.is_some();
        if self.is_recalled {
            // Whoever publishes may have found the writer taken.
            self.step_now();
            return false;
        }
        if !self.hear() {
            return false;
        }
        while self.queue.len() < FLIGHT_MAX
            && let Ok(command) = self.commands.try_recv()
        {
            self.take(command);
        }
        if self.shared.take_wish_to_be_known() {
            let node = entry::encode_node(&self.shared.here.name, &self.shared.here.url);
            self.queue.push_front(Sent::new(node, None));
        }
        self.shared.flight.lock().refuse_late();
        let fence = self.shared.fence.lock().clone();
        let Some(fence) = fence else {
            self.refuse_where_away();
            return false;
        };
        self.tell_streams();
        match self.send(fence, true) {
            Some(goes_on) => goes_on && (self.shared.wait == 0 || self.hear()) && self.has_more(),
            None => {
                // The connection has failed on which replicas were waited for, which can be done
                // only behind something that was written. Or nothing could be written, and whether
                // it can again is found out by something that is.
                if self.shared.flight.lock().needs_replicas() || !self.shared.takes_writes() {
                    self.shared.wish_to_be_known();
                }
                false
            }
        }
    }

    /// Sends a batch. False where that has failed, or isn't at its end; None where there is none.
    fn send(&mut self, fence: Fence, waits: bool) -> Option<bool> {
        let batch = self.batch();
        let (&(first, _), &(last, _)) = (batch.first()?, batch.last()?);
        let boot = self.shared.boot;
        let entries = batch
            .iter()
            .map(|(count, payload)| (nonce(boot, *count), &**payload));
        let entries: Vec<_> = entries.collect();
        let asked = Asked {
            fence,
            counts: first..=last,
            entries: entries.len() as u64,
            brings_until: self.lent.as_ref().map(|_| clock::now() + PATIENCE),
        };
        if let Some(Lent { link, at }) = &mut self.lent {
            let sent = link.append_and_ask(&asked.fence, &entries, *at, entries.len() + BESIDE);
            self.sent = last;
            self.asked = Some(asked);
            self.heard = sent.err().map(Err);
            return Some(self.heard.is_none());
        }
        if let Err(fault) = self.linked().map(drop) {
            // What wasn't sent wasn't taken.
            self.shared.flight.lock().take_back(asked.counts);
            self.fail(fault, &asked.fence);
            return Some(false);
        }
        let sent = self
            .linked()
            .and_then(|link| link.append(&asked.fence, &entries, waits));
        self.sent = last;
        self.asked = Some(asked);
        Some(match sent {
            Ok(is_whole) => is_whole,
            Err(fault) => {
                self.heard = Some(Err(fault));
                // Whoever can't wait leaves it to who can.
                waits && self.hear()
            }
        })
    }

    /// Takes the reader's connection, of which everything up to `at` was read, where nothing is
    /// under way on the writer's.
    pub fn borrow(&mut self, link: &mut Option<Box<dyn Store>>, at: Position) -> bool {
        let is_ready = self.link.is_some() && self.shared.wait == 0 && !self.is_recalled;
        let is_idle = || {
            let flight = self.shared.flight.lock();
            flight.len() == 0 && !flight.has_more(self.sent)
        };
        let is_free =
            is_ready && self.queue.is_empty() && is_idle() && self.hear_now() == Now::Done;
        if is_free && let Some(link) = link.take() {
            self.lent = Some(Lent { link, at });
        }
        self.lent.is_some()
    }

    /// Gives it back, with what an append has brought; where none is under way, if that `is_due`.
    /// None where it isn't yet to be given back. Never waits.
    pub fn give_back(&mut self, is_due: bool) -> Option<(Box<dyn Store>, Brought)> {
        let lent = self.lent.as_mut()?;
        let until = self.asked.as_ref().and_then(|asked| asked.brings_until);
        let Some(until) = until else {
            return (is_due || self.is_recalled)
                .then(|| self.lent.take())?
                .map(|lent| (lent.link, None));
        };
        let brought = match self.heard.take() {
            Some(sent) => sent.map(|()| Vec::new()),
            None => match lent.link.appended_items_now() {
                Heard::All(brought) => brought,
                Heard::NotYet if clock::now() < until => return None,
                Heard::NotYet | Heard::Much => Err(StoreFault::Broken(format!(
                    "it says nothing of use within {PATIENCE:?}"
                ))),
            },
        };
        let is_good = brought.is_ok() && self.failing_since.is_none();
        self.heard = Some(brought.as_ref().map(drop).map_err(StoreFault::clone));
        if is_good {
            self.hear();
        }
        self.lent.take().map(|lent| (lent.link, Some(brought)))
    }

    fn has_more(&self) -> bool {
        !self.queue.is_empty()
            || !self.commands.is_empty()
            || self.shared.flight.lock().has_more(self.sent)
    }

    /// Hears what came of what was sent last. False where it has failed.
    fn hear(&mut self) -> bool {
        let Some(asked) = self.asked.take() else {
            return true;
        };
        let link = self.link.as_mut();
        let appended = match self.heard.take() {
            Some(heard) => heard,
            None => link.map_or(Err(StoreFault::Fenced), |link| link.appended()),
        };
        if !matches!(appended, Ok(()) | Err(StoreFault::Broken(_))) {
            // What was refused wasn't taken.
            self.shared.flight.lock().take_back(asked.counts.clone());
        }
        match appended.and_then(|()| self.confirm(*asked.counts.end())) {
            Ok(()) => {
                self.failing_since = None;
                self.shared.counters.appends.add(asked.entries);
                self.shared.writes();
                true
            }
            Err(fault) => {
                self.fail(fault, &asked.fence);
                false
            }
        }
    }

    /// What goes into the next batch: what is sent again first.
    fn batch(&mut self) -> Vec<(u64, Arc<[u8]>)> {
        let mut flight = self.shared.flight.lock();
        if std::mem::take(&mut flight.resend) {
            self.shared.counters.resends.add(flight.len() as u64);
            self.sent = 0;
        }
        let mut batch = flight.send_behind(self.sent, BATCH);
        let mut bytes = 0;
        while batch.len() < BATCH && bytes < BATCH_BYTES && flight.len() < FLIGHT_MAX {
            let Some(next) = flight.take_dead().or_else(|| self.queue.pop_front()) else {
                break;
            };
            bytes += next.payload.len();
            let count = flight.add(next);
            batch.extend(flight.send_behind(count - 1, 1));
        }
        batch
    }

    /// Has replicas confirm what was appended. It isn't answered before they have.
    fn confirm(&mut self, last: u64) -> Result<(), StoreFault> {
        if self.shared.wait == 0 {
            return Ok(());
        }
        let mut is_told = false;
        loop {
            let replicas = self.shared.wait;
            if self.linked()?.confirm(replicas)? {
                self.shared.flight.lock().confirm(last);
                return Ok(());
            }
            if !std::mem::replace(&mut is_told, true) {
                warn!("fleet: {replicas} replicas of Redis have yet to confirm what was published");
            }
            self.shared.flight.lock().refuse_late();
            if self.shared.is_over() {
                return Err(StoreFault::Broken("it ends".to_owned()));
            }
        }
    }

    /// Says what streams are here, where that has changed; and now and then that they are.
    fn tell_streams(&mut self) {
        let now = clock::now();
        if now < self.tells_at {
            return;
        }
        self.tells_at = now + crowd::TURN;
        let hub = &self.shared.hub;
        let mut is_anew = self.shared.take_wish_for_streams();
        let is_due = now >= self.told_at + crowd::WORD;
        let mut everything = is_anew;
        loop {
            let counts = hub.take_followed(everything, crowd::STATEMENT_MAX);
            everything = false;
            if counts.is_empty() && !is_anew && !(is_due && self.told_at < now && hub.is_followed())
            {
                return;
            }
            self.told_at = now;
            let is_last = counts.len() < crowd::STATEMENT_MAX;
            let statement = Statement { is_anew, counts };
            let payload = entry::encode_statement(&statement);
            self.queue.push_back(Sent::new(payload, None));
            is_anew = false;
            if is_last {
                return;
            }
        }
    }

    fn linked(&mut self) -> Result<&mut Box<dyn Store>, StoreFault> {
        if self.link.is_none() {
            self.link = Some(self.dial.dial()?);
        }
        self.link.as_mut().ok_or(StoreFault::Fenced)
    }

    fn fail(&mut self, fault: StoreFault, fence: &Fence) {
        let since = *self.failing_since.get_or_insert_with(clock::now);
        let lasts = clock::now() - since > GRACE;
        self.shared.flight.lock().resend = true;
        match fault {
            StoreFault::Full => {
                // Whoever hears of it can see it, too.
                let why = "Redis has no room (maxmemory)";
                self.shared.cannot_write(Health::NoRoom, why);
                self.refuse_untaken(PublishError::NoRoom);
                // Where something of it can go, it is enough for the next.
                let trimmed = self.linked().and_then(|link| link.trim());
                if trimmed.is_err() {
                    self.link = None;
                }
            }
            StoreFault::Fenced => {
                // It may lead to a master of before, which answers as a replica now.
                self.link = None;
                let mut now = self.shared.fence.lock();
                if now.as_ref() == Some(fence) {
                    *now = None;
                }
                drop(now);
                self.shared.looks_again.store(true, Ordering::Release);
                return;
            }
            StoreFault::Denied(why) | StoreFault::Refused(why) => {
                // There may be another master.
                self.link = None;
                self.shared.cannot_write(Health::Denied, &why);
                self.shared.looks_again.store(true, Ordering::Release);
            }
            StoreFault::Broken(why) => {
                self.link = None;
                debug!("fleet: appending has failed: {why}");
                // Whether it is away, the reader will find, unless it is of writing alone.
                if lasts {
                    self.shared.cannot_write(Health::Away, &why);
                }
                self.shared.looks_again.store(true, Ordering::Release);
            }
        }
        self.refuse_where_away();
        clock::sleep(if lasts { LONG_PAUSE } else { PAUSE });
    }

    /// Where nothing can be written for longer, nobody waits for what can't have been taken.
    fn refuse_where_away(&mut self) {
        if self.shared.is_away() {
            self.refuse_untaken(self.shared.refusal());
        }
    }

    fn refuse_untaken(&mut self, error: PublishError) {
        self.shared.flight.lock().refuse_untaken(error);
        self.refuse_queue(error);
    }

    fn take(&mut self, command: NodeCommand) {
        let (proposals, reply) = match command {
            NodeCommand::Put(proposals, reply) => (proposals, reply),
            NodeCommand::Say(payload, reply) => {
                let group = Arc::new(Group::new(1, reply));
                return self.queue.push_back(Sent::new(payload, Some(group)));
            }
        };
        let group = Arc::new(Group::new(proposals.len(), reply));
        let time_ms = now_ms();
        for (index, proposal) in proposals.iter().enumerate() {
            let payload = entry::encode(proposal, time_ms, index > 0);
            self.queue
                .push_back(Sent::new(payload, Some(group.clone())));
        }
    }

    fn refuse_queue(&mut self, error: PublishError) {
        // What nobody waits for is said when it can be.
        let is_unheard = |sent: &Sent| sent.group.is_none();
        let (kept, refused) = self.queue.drain(..).partition(is_unheard);
        self.queue = kept;
        let refused: VecDeque<Sent> = refused;
        self.shared.flight.lock().refuse(refused, error);
    }
}
