//! The thread that writes.
//!
//! The invariants:
//! - An event is in the file, and under [`Sync::Always`] on the medium, before the hub has
//!   it and before it is answered. A terminal one is answered when it is on the medium.
//! - After a failed write or sync nothing is written behind what may be half there: the
//!   file is first brought back to what the hub knows of.

mod batch;
mod segment;
mod sync;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, select};

use super::record::{Record, encode};
use super::reply::Reply;
use super::restore::{Found, milliseconds, time};
use super::segment::Place;
use super::{Health, Shared, Sync};
use crate::event::Event;
use crate::event::job::{EventId, JobId};
use crate::hub::{Hub, Job, Journaled, PublishError, WeakHub};
use batch::{Answer, Batch, Entry, Need};
use segment::Active;
use sync::Syncer;

/// Numbers that are reserved at a time: what a loss of power may cost of them.
pub const RESERVED: u64 = 1 << 17;
/// What is written at a time, whichever is reached first.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_EVENTS: usize = 4096;
/// A reservation is renewed when so many numbers are left of it: more than a batch has.
const RESERVE_AHEAD: u64 = 2 * BATCH_EVENTS as u64;
/// What may be written and not synced. At it the writer waits for the medium.
const UNSYNCED_MAX_BYTES: usize = 8 << 20;
/// What has to be left of the journal's limit for a batch, in segments.
const ROOM_SEGMENTS: u64 = 4;
/// How long a publisher waits for compaction to make room.
const ROOM_PATIENCE: Duration = Duration::from_secs(5);
/// How often a journal that can't write tries to.
const PROBE: Duration = Duration::from_secs(1);
/// How long a thread without work sleeps.
const IDLE: Duration = Duration::from_secs(3600);

/// What the writer is asked for.
pub enum Command {
    /// To publish these in turn, up to the first that is refused.
    Publish(Vec<Publishing>, Reply<(Vec<EventId>, Option<PublishError>)>),
    /// To forget a job. The answer is whether it was there.
    Forget(JobId, Reply<Result<bool, PublishError>>),
    /// To have all that was forgotten on the medium.
    Flush(Reply<io::Result<()>>),
    /// To look for room again: compaction has made some, or can't make more.
    Room {
        /// It can't.
        is_exhausted: bool,
    },
    /// To end.
    Close(Reply<()>),
}

/// An event to publish.
pub struct Publishing {
    pub job: JobId,
    /// The very job that it is meant for, where it is for no other of its name.
    pub only: Option<Arc<Job>>,
    pub event: Event,
}

impl Publishing {
    /// One for whatever job has the name.
    pub fn new(job: JobId, event: Event) -> Publishing {
        Publishing {
            job,
            only: None,
            event,
        }
    }
}

pub struct Writer {
    shared: Arc<Shared>,
    hub: WeakHub,
    boot: [u8; 16],
    next: u32,
    /// Skipped numbers that the journal has to be told of.
    gap: u64,
    active: Option<Active>,
    /// The last number that may be given.
    reserved: u64,
    /// What was written and isn't synced: the end of the active segment.
    unsynced: Vec<u8>,
    unsynced_since: Instant,
    /// The file may differ from what is known to be in it.
    is_broken: bool,
    next_probe: Instant,
    buffer: Vec<u8>,
    syncer: Syncer,
    /// Calls for compaction.
    call: Sender<()>,
    /// Compaction can't make room.
    is_exhausted: bool,
    /// Events that wait for room, and since when the first of them does.
    waiting: VecDeque<Command>,
    waiting_since: Instant,
    /// Answers that wait until so many bytes of the active segment are synced.
    awaiting: Vec<(u64, Answer)>,
}

/// Whether there is room for events.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    There,
    /// Compaction may make some.
    Awaited,
    None,
}

impl Writer {
    /// Starts it, with a segment to write to if that can be had.
    pub fn start(
        shared: Arc<Shared>,
        hub: WeakHub,
        found: Found,
        commands: Receiver<Command>,
        call: Sender<()>,
    ) -> io::Result<()> {
        let mut writer = Writer {
            call,
            is_exhausted: false,
            waiting: VecDeque::new(),
            waiting_since: Instant::now(),

            syncer: Syncer::start(shared.clone())?,
            shared,
            hub,
            boot: found.boot,
            next: found.next,
            gap: found.gap,
            active: None,
            reserved: 0,
            unsynced: Vec::new(),
            unsynced_since: Instant::now(),
            is_broken: false,
            next_probe: Instant::now(),
            buffer: Vec::new(),
            awaiting: Vec::new(),
        };
        // What is skipped has to be known before what it is told by is cut off.
        match writer.ready() {
            Ok(()) => writer.cut_off(&found.torn),
            Err(error) => drop(writer.failed(&error)),
        }
        std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(&commands))?;
        Ok(())
    }

    fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let timeout = self.until_tick();
            let command = select! {
                recv(commands) -> command => command,
                recv(self.syncer.results) -> result => {
                    if let Ok((segment, upto, result)) = result {
                        self.synced(segment, upto, result);
                    }
                    continue;
                }
                default(timeout) => {
                    self.tick();
                    continue;
                }
            };
            let Ok(command) = command else {
                self.close();
                return;
            };
            if let Some(reply) = self.turn(command, commands) {
                self.close();
                reply.answer(());
                return;
            }
        }
    }

    /// Carries out `command` and what else is there, in one batch. The reply where it is
    /// time to end.
    fn turn(&mut self, command: Command, commands: &Receiver<Command>) -> Option<Reply<()>> {
        let mut batch = Batch::default();
        // Who has waited for room comes first.
        let mut early = std::mem::take(&mut self.waiting);
        early.push_back(command);
        let mut next = early.pop_front();
        let hub = self.hub.upgrade();
        let mut has_begun = false;
        let mut last = None;
        while let Some(command) = next.take() {
            match (command, &hub) {
                (Command::Publish(events, reply), Some(hub)) => {
                    let room = match has_begun {
                        true => Room::There,
                        false => self.room(),
                    };
                    if room == Room::Awaited {
                        if self.waiting.is_empty() && early.is_empty() {
                            self.waiting_since = Instant::now();
                        }
                        self.waiting.push_back(Command::Publish(events, reply));
                    } else if room == Room::None {
                        let error = self.failed(&ErrorKind::StorageFull.into());
                        reply.answer((Vec::new(), Some(error)));
                    } else if has_begun {
                        self.add(hub, &mut batch, events, reply);
                    } else if let Err(error) = self.begin(hub, &mut batch, false) {
                        reply.answer((Vec::new(), Some(error)));
                    } else {
                        has_begun = true;
                        self.add(hub, &mut batch, events, reply);
                    }
                }
                (other, _) => {
                    last = Some(other);
                    break;
                }
            }
            if self.buffer.len() < BATCH_BYTES && batch.entries.len() < BATCH_EVENTS {
                next = early.pop_front().or_else(|| commands.try_recv().ok());
            }
        }
        self.waiting.extend(early);
        if let Some(hub) = &hub
            && has_begun
        {
            self.finish(hub, batch);
        }
        match (last, hub) {
            (Some(Command::Forget(job, reply)), Some(hub)) => self.forget(&hub, job, reply),
            (Some(Command::Flush(reply)), Some(hub)) => reply.answer(self.flush(&hub)),
            (Some(Command::Room { is_exhausted }), _) => {
                self.is_exhausted = is_exhausted;
                if is_exhausted && self.is_over_limit() {
                    self.refuse_waiting();
                }
            }
            (Some(Command::Close(reply)), _) => return Some(reply),
            _ => {}
        }
        None
    }

    /// Begins a batch, with what the journal has to be told besides. A `probe` writes
    /// something in any case.
    fn begin(&mut self, hub: &Hub, batch: &mut Batch, probe: bool) -> Result<(), PublishError> {
        if !probe && self.shared.health() == Health::Failing && Instant::now() < self.next_probe {
            return Err(PublishError::DiskFailing);
        }
        self.ready().map_err(|error| self.failed(&error))?;
        batch.sequence = hub.newest_given().0;
        self.buffer.clear();
        let segment = self.segment();
        let notes = self.shared.notes.lock();
        for (job, last) in notes.iter() {
            let job = job.as_str();
            let record = Record::Forget { job, last: *last };
            encode(&mut self.buffer, segment, &record);
        }
        batch.notes = notes.len();
        if probe || batch.sequence + RESERVE_AHEAD > self.reserved {
            batch.reserves = self.reservation(batch.sequence);
            let record = Record::Open {
                boot: self.boot,
                reserved: batch.reserves.unwrap_or(0),
            };
            encode(&mut self.buffer, segment, &record);
        }
        Ok(())
    }

    /// Whether the limit leaves room for a batch.
    fn room(&self) -> Room {
        if !self.is_over_limit() {
            Room::There
        } else if self.is_exhausted
            || !self.waiting.is_empty() && self.waiting_since.elapsed() >= ROOM_PATIENCE
        {
            let _ = self.call.try_send(());
            Room::None
        } else {
            let _ = self.call.try_send(());
            Room::Awaited
        }
    }

    fn refuse_waiting(&mut self) {
        for command in std::mem::take(&mut self.waiting) {
            let error = self.failed(&ErrorKind::StorageFull.into());
            if let Command::Publish(_, reply) = command {
                reply.answer((Vec::new(), Some(error)));
            }
        }
    }

    fn is_over_limit(&self) -> bool {
        let config = &self.shared.config;
        let room = (ROOM_SEGMENTS * config.segment_bytes()).min(config.bytes / 8);
        self.shared.bytes() + room > config.bytes
    }

    /// Numbers events and encodes them.
    fn add(
        &mut self,
        hub: &Hub,
        batch: &mut Batch,
        events: Vec<Publishing>,
        reply: Reply<(Vec<EventId>, Option<PublishError>)>,
    ) {
        let now_ms = milliseconds(SystemTime::now());
        let (mut ids, mut failure, mut need) = (Vec::new(), None, Need::Nothing);
        for publishing in events {
            match batch.number(hub, publishing, now_ms) {
                Ok(mut entry) => {
                    entry.offset = self.buffer.len();
                    let segment = self.segment();
                    let record = Record::Event(entry.record());
                    encode(&mut self.buffer, segment, &record);
                    entry.bytes = self.buffer.len() - entry.offset;
                    need = need.max(match entry.event.name().is_terminal() {
                        true => Need::Medium,
                        false => Need::Write,
                    });
                    ids.push(entry.numbers.id);
                    batch.entries.push(entry);
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let answer = Answer {
            reply,
            ids,
            error: failure,
        };
        batch.answers.push((answer, need));
    }

    /// Writes a batch, lets the hub have it, and answers.
    fn finish(&mut self, hub: &Hub, batch: Batch) {
        let needs_medium = self.needs_medium(&batch);
        let start = self.active.as_ref().map_or(0, |active| active.bytes);
        if let Err(error) = self.write_batch(&batch) {
            for pending in batch.jobs.into_values() {
                hub.close_if_empty(&pending.job);
            }
            for (answer, need) in batch.answers {
                match need {
                    Need::Nothing => answer.give(),
                    _ => answer.refuse(error),
                }
            }
            return;
        }
        self.apply(hub, &batch, start);
        let end = self.active.as_ref().map_or(0, |active| active.bytes);
        for (answer, need) in batch.answers {
            match need {
                Need::Medium if !needs_medium => self.awaiting.push((end, answer)),
                _ => answer.give(),
            }
        }
        if !self.awaiting.is_empty() {
            self.start_sync();
        }
    }

    fn apply(&mut self, hub: &Hub, batch: &Batch, start: u64) {
        let segment = self.segment();
        let mut live_bytes = 0;
        let is_alone = batch.entries.len() == 1;
        for entry in &batch.entries {
            live_bytes += entry.bytes as u64;
            let place = Place {
                segment,
                offset: (start + entry.offset as u64) as u32,
                bytes: entry.bytes as u32,
            };
            let journaled = Journaled {
                previous: entry.previous,
                origin: entry.origin,
                place,
            };
            let accepted = time(entry.time_ms);
            let Entry {
                job,
                event,
                numbers,
                ..
            } = entry;
            if !hub.restore(job, event, *numbers, accepted, journaled, is_alone) {
                let id = entry.numbers.id;
                log::error!("journal: {} {id} is written and not taken", entry.job);
            }
        }
        self.shared.counters.events.add(batch.entries.len() as u64);
        let newest_ms = batch.entries.last().map_or(0, |entry| entry.time_ms);
        if let Some(segment) = self.shared.segments.lock().get_mut(&segment) {
            segment.live_bytes += live_bytes;
            segment.newest_ms = newest_ms;
            segment.newest_sequence = batch.sequence;
        }
    }

    fn forget(&mut self, hub: &Hub, job: JobId, reply: Reply<Result<bool, PublishError>>) {
        let Some(last) = hub.forget_now(&job) else {
            reply.answer(Ok(false));
            return;
        };
        self.shared.notes.lock().push((job, last));
        reply.answer(self.write_notes(hub, false).map(|()| true));
        if self.is_over_limit() {
            let _ = self.call.try_send(());
        }
    }

    fn flush(&mut self, hub: &Hub) -> io::Result<()> {
        self.write_notes(hub, false)
            .map_err(io::Error::other)
            .and_then(|()| self.sync())
    }

    /// Writes what the journal has to be told, and no event.
    fn write_notes(&mut self, hub: &Hub, probe: bool) -> Result<(), PublishError> {
        let mut batch = Batch::default();
        self.begin(hub, &mut batch, probe)?;
        self.write_batch(&batch)
    }

    fn write_batch(&mut self, batch: &Batch) -> Result<(), PublishError> {
        let needs_medium = self.needs_medium(batch);
        self.write(needs_medium)
            .map_err(|error| self.failed(&error))?;
        self.works();
        if let Some(reserved) = batch.reserves {
            self.reserved = reserved;
        }
        self.shared.notes.lock().drain(..batch.notes);
        Ok(())
    }

    fn needs_medium(&self, batch: &Batch) -> bool {
        batch.reserves.is_some() || self.shared.config.sync == Sync::Always
    }

    fn until_tick(&self) -> Duration {
        if !self.waiting.is_empty() {
            return ROOM_PATIENCE.saturating_sub(self.waiting_since.elapsed());
        }
        if self.shared.health() != Health::Good {
            return self.next_probe.saturating_duration_since(Instant::now());
        }
        match self.shared.config.sync {
            Sync::Interval(interval) if !self.unsynced.is_empty() && !self.syncer.is_busy => {
                interval.saturating_sub(self.unsynced_since.elapsed())
            }
            _ => IDLE,
        }
    }

    fn tick(&mut self) {
        if self.waiting_since.elapsed() >= ROOM_PATIENCE {
            self.refuse_waiting();
        }
        if self.shared.health() == Health::Good {
            self.start_sync();
        } else if let Some(hub) = self.hub.upgrade() {
            self.next_probe = Instant::now() + PROBE;
            if self.is_over_limit() {
                let _ = self.call.try_send(());
                return;
            }
            let _ = self.write_notes(&hub, true);
        }
    }

    /// Notes a failure, in the log where it is the first, and says how it is answered.
    fn failed(&mut self, error: &io::Error) -> PublishError {
        self.shared.counters.errors.add(1);
        let (health, answer, status) = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                (Health::Full, PublishError::DiskFull, 507)
            }
            _ => (Health::Failing, PublishError::DiskFailing, 503),
        };
        let before = self.shared.health.swap(health as u8, Ordering::AcqRel);
        if before != health as u8 {
            log::error!("journal: {error}: publishing is answered with {status} until it works");
        }
        self.next_probe = Instant::now() + PROBE;
        answer
    }

    fn works(&self) {
        if self.is_exhausted && self.is_over_limit() {
            return;
        }
        let before = self
            .shared
            .health
            .swap(Health::Good as u8, Ordering::AcqRel);
        if before != Health::Good as u8 {
            log::info!("journal: it can be written again");
        }
    }
}
