//! What the reader, the writer and whoever asks a node all know.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::sys::channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use super::flight::Flight;
use super::holders::Holders;
use super::position::Position;
use super::store::Fence;
use crate::hub::Hub;
use crate::sequencer::{Errand, FleetConfig, Health, Neighbour, NodeUrl, PublishError};
use crate::sys::clock;
use crate::sys::metrics::{Counter, gauge, head};

/// How long Redis may be away before publishers hear of it at once.
pub const GRACE: Duration = Duration::from_secs(2);
/// What isn't worth a line in the log.
const BRIEF: Duration = Duration::from_secs(1);
/// How long it is said that Redis has no room after it had none. At its limit something can be
/// written now and then.
const FULL: Duration = Duration::from_secs(5);
/// Errands that this node is asked to do and hasn't begun: beyond it others wait in vain.
const ERRANDS_MAX: usize = 256;

/// What reader and writer both know.
pub struct NodeShared {
    pub hub: Hub,
    /// What others know of this node.
    pub here: Neighbour,
    /// Who holds uploads.
    pub holders: Holders,
    /// What others ask of this node, and whoever does that.
    errands: Sender<Errand>,
    pub asked: Receiver<Errand>,
    /// Where Redis is, for the log.
    pub redis: String,
    /// What tells this process from every other.
    pub boot: u64,
    pub wait: u32,
    pub log_bytes: u64,
    pub flight: Mutex<Flight>,
    /// Where may be appended. None: nowhere.
    pub fence: Mutex<Option<Fence>>,
    state: Mutex<NodeState>,
    /// When Redis has answered last.
    heard_at: Mutex<Instant>,
    /// The reader is to see who keeps the log.
    pub looks_again: AtomicBool,
    wants_to_be_known: AtomicBool,
    /// All streams that this node has are to be told.
    tells_streams: AtomicBool,
    is_over: AtomicBool,
    /// What was applied last.
    at: Mutex<Position>,
    lag: Mutex<Lag>,
    pub counters: FleetCounters,
}

/// Whether changes can be put in order, as reader and writer have found.
struct NodeState {
    reading: Health,
    writing: Health,
    /// Since when they can't.
    since: Option<Instant>,
    /// When Redis had no room last.
    full_at: Option<Instant>,
    /// Whether the log has said so.
    is_told: bool,
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
pub struct FleetCounters {
    pub appends: Counter,
    pub resends: Counter,
    pub duplicates: Counter,
    pub rebuilds: Counter,
}

impl NodeState {
    /// What was found last.
    fn found(&self) -> Health {
        match self.reading {
            Health::Good => self.writing,
            trouble => trouble,
        }
    }

    /// What is said.
    fn health(&self) -> Health {
        let was_full = || self.full_at.is_some_and(|at| clock::now() - at < FULL);
        match self.found() {
            Health::Good if was_full() => Health::NoRoom,
            found => found,
        }
    }
}

impl NodeShared {
    pub fn new(config: &FleetConfig, redis: String, boot: u64, hub: &Hub) -> NodeShared {
        let (errands, asked) = bounded(ERRANDS_MAX);
        NodeShared {
            hub: hub.clone(),
            here: Neighbour {
                name: config.node.to_string(),
                url: config
                    .url
                    .as_ref()
                    .map_or_else(String::new, NodeUrl::to_string),
            },
            holders: Holders::default(),
            errands,
            asked,
            redis,
            boot,
            wait: config.wait,
            log_bytes: config.log_bytes,
            flight: Mutex::default(),
            fence: Mutex::default(),
            state: Mutex::new(NodeState {
                reading: Health::Away,
                writing: Health::Good,
                since: Some(clock::now()),
                full_at: None,
                is_told: true,
            }),
            heard_at: Mutex::new(clock::now()),
            looks_again: AtomicBool::new(false),
            wants_to_be_known: AtomicBool::new(false),
            tells_streams: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            at: Mutex::default(),
            lag: Mutex::new(Lag {
                since: Some(clock::now()),
                ..Lag::default()
            }),
            counters: FleetCounters::default(),
        }
    }

    /// Something that a node asks of another: of this one, where that has the upload.
    pub fn take_errand(&self, errand: &Errand) {
        let holder = self.holders.of(&errand.job, errand.life);
        let is_here = holder.is_some_and(|holder| holder.name == self.here.name);
        if is_here && self.errands.try_send(errand.clone()).is_err() {
            warn!("{}: too much is asked of this node at once", errand.job);
        }
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    pub fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Something is in the reader's way, which is said in the log where it lasts.
    pub fn cannot_read(&self, health: Health, why: &str) {
        self.trouble(|state| state.reading = health, why);
    }

    /// Something is in the writer's way.
    pub fn cannot_write(&self, health: Health, why: &str) {
        self.trouble(|state| state.writing = health, why);
    }

    fn trouble(&self, note: impl FnOnce(&mut NodeState), why: &str) {
        let mut state = self.state.lock();
        note(&mut state);
        let now = clock::now();
        let since = *state.since.get_or_insert(now);
        if state.found() == Health::NoRoom {
            state.full_at = Some(now);
        }
        let lasts = match state.health() {
            Health::NoRoom => true,
            Health::Away => now - *self.heard_at.lock() >= BRIEF,
            _ => now - since >= BRIEF,
        };
        if lasts && !std::mem::replace(&mut state.is_told, true) {
            // Some that is wrong says where, too.
            let why = why
                .trim_start_matches(&*self.redis)
                .trim_start_matches(": ");
            error!(
                "fleet: {}: {why}: publishing is answered with 503 until it is back, streams go on",
                self.redis
            );
        }
    }

    /// All that there is was read.
    pub fn reads(&self) {
        self.go_on(|state| state.reading = Health::Good);
    }

    /// Something was written.
    pub fn writes(&self) {
        self.go_on(|state| state.writing = Health::Good);
    }

    fn go_on(&self, note: impl FnOnce(&mut NodeState)) {
        let mut state = self.state.lock();
        note(&mut state);
        if state.found() != Health::Good {
            return;
        }
        state.since = None;
        if state.health() == Health::Good && std::mem::take(&mut state.is_told) {
            info!("fleet: {}: events are put in order there", self.redis);
        }
    }

    /// Whether the last that was to be written was, as far as that is known.
    pub fn takes_writes(&self) -> bool {
        self.state.lock().writing == Health::Good
    }

    /// Whether publishers are to hear at once that nothing can be appended.
    pub fn is_away(&self) -> bool {
        let since = self.state.lock().since;
        since.is_some_and(|since| clock::now() - since > GRACE)
    }

    pub fn refusal(&self) -> PublishError {
        match self.health() {
            Health::NoRoom => PublishError::NoRoom,
            Health::Denied => PublishError::Denied,
            _ => PublishError::Away,
        }
    }

    /// Whether changes can be put in order now.
    pub fn health(&self) -> Health {
        self.state.lock().health()
    }

    pub fn touch(&self) {
        *self.heard_at.lock() = clock::now();
    }

    pub fn note_position(&self, at: Position) {
        *self.at.lock() = at;
    }

    /// What was applied last.
    pub fn position(&self) -> Position {
        *self.at.lock()
    }

    /// The log goes so far.
    pub fn note_end(&self, end: Position) {
        self.lag.lock().end = end;
    }

    /// Whether more is in the log than is applied, or may be.
    pub fn note_lag(&self, is_behind: bool) {
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

    pub fn wish_to_be_known(&self) {
        self.wants_to_be_known.store(true, Ordering::Release);
    }

    pub fn have_streams_told(&self) {
        self.tells_streams.store(true, Ordering::Release);
    }

    pub fn take_wish_for_streams(&self) -> bool {
        self.tells_streams.swap(false, Ordering::AcqRel)
    }

    pub fn take_wish_to_be_known(&self) -> bool {
        self.wants_to_be_known.swap(false, Ordering::AcqRel)
    }

    pub fn write_metrics(&self, out: &mut String) {
        use std::fmt::Write;
        let is_up = self.health() == Health::Good;
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
    use crate::event::job::EventId;
    use crate::hub::HubConfig;
    use crate::sys::clock::simulated::Simulated;

    #[test]
    fn a_redis_that_is_full_now_and_then_is_said_to_be_for_as_long_as_that_goes_on() {
        let time = Simulated::beginning(Duration::from_secs(1_800_000_000));
        let hub = Hub::new(HubConfig::default(), EventId(0));
        let shared = NodeShared::new(&FleetConfig::default(), String::new(), 1, &hub);
        shared.reads();
        assert_eq!(shared.health(), Health::Good);
        for _ in 0..3 {
            shared.cannot_write(Health::NoRoom, "it is full");
            assert_eq!(shared.health(), Health::NoRoom);
            shared.writes();
            time.pass(FULL - Duration::from_millis(1));
            assert_eq!(shared.health(), Health::NoRoom);
            assert!(!shared.is_away(), "what comes meanwhile is tried");
        }
        time.pass(Duration::from_millis(1));
        assert_eq!(shared.health(), Health::Good);
    }

    #[test]
    fn a_node_knows_by_how_much_it_is_behind() {
        let hub = Hub::new(HubConfig::default(), EventId(0));
        let shared = NodeShared::new(&FleetConfig::default(), String::new(), 1, &hub);
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
