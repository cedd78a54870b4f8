//! The thread that writes.
//!
//! The invariants:
//! - An entry is in the file, and under [`SyncPolicy::Always`] on the medium, before the hub
//!   applies it and before it is answered. What ends a life or begins one is answered when
//!   it is on the medium.
//! - Whether an entry is accepted is decided once, by [`crate::hub::Life::after`], before
//!   it is written. Refused ones are neither written nor numbered.
//! - After a failed write or sync nothing is written behind what may be half there: the
//!   file is first brought back to what the hub knows of.

mod apply;
mod batch;
mod room;
mod segment;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::select;

use super::record::{RESERVED, Record, SegmentNumber, encode};
use super::reply::Reply;
use super::restore::{Restored, Unsettled};
use super::{Alarm, Health, JournalShared, SyncPolicy};
use crate::event::job::EventId;
use crate::hub::{Hub, Refusal};
use crate::sequencer::{Proposal, PublishError, now_ms};
use crate::sys::channel::{self, Receiver, Sender};
use crate::sys::clock;
use crate::sys::vital;
use batch::{AnswerNeed, DueAnswer, WriteBatch};
pub(super) use room::EventRoom;
use room::ROOM_PATIENCE;
use segment::{Active, Sealed};
pub(super) use sync::Syncer;
use sync::{Mark, Reserving, SyncWaiter};
#[cfg(test)]
pub(super) use sync::{SyncJob, Synced};

/// What is written at a time, whichever is reached first.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_ENTRIES: usize = 4096;
/// A reservation is renewed when so many numbers are left of it: enough for what is given
/// until the next one is on the medium.
const RESERVE_AHEAD: u64 = RESERVED / 2;
/// What may be written and not synced. At it the writer waits for the medium.
const UNSYNCED_MAX_BYTES: usize = 8 << 20;
/// How often a journal that can't write tries to.
const PROBE: Duration = Duration::from_secs(1);
/// How long a thread without work sleeps.
const IDLE: Duration = Duration::from_secs(3600);

/// What a publisher is answered.
pub(super) type Put = (Vec<EventId>, Option<PublishError>);

/// What the writer is asked for.
pub enum JournalCommand {
    /// To put these in order in turn, up to the first that is refused.
    Put(Vec<Proposal>, Reply<Put>),
    /// To forget jobs, those of them to which nothing has come since. That takes little room
    /// and makes more.
    Forget(Vec<Proposal>, Reply<Put>),
    /// To have all that was written on the medium.
    Flush(Reply<io::Result<()>>),
    /// To look for room again: the keeper has made some, or can't make more.
    Room {
        /// It can't, of what there was up to this number.
        exhausted_at: Option<EventId>,
    },
    /// To end.
    Close(Reply<()>),
}

pub struct JournalWriter {
    shared: Arc<JournalShared>,
    hub: Hub,
    boot: [u8; 16],
    next: u32,
    /// Where the life before has ended, and this one can go on.
    resumable: Option<SegmentNumber>,
    /// That segment, or another that is the last, until it is on the medium; and the one
    /// before it, where it has no name yet.
    unsettled: Vec<Unsettled>,
    /// Lost numbers that the journal has to be told of.
    gap: Option<Range<u64>>,
    active: Option<Active>,
    /// The segment before it, where the medium may lack the end of that: the active one has
    /// no name then.
    sealed: Option<Sealed>,
    /// The last number that may be given, and the next such.
    reserved: EventId,
    reserving: Option<Reserving>,
    /// What was written and isn't synced: the end of the active segment.
    unsynced: Vec<u8>,
    unsynced_since: Instant,
    /// The file may differ from what is known to be in it.
    is_broken: bool,
    next_probe: Instant,
    buffer: Vec<u8>,
    pub(super) syncer: Syncer,
    /// Calls for the keeper.
    call: Sender<()>,
    /// The keeper can't make room of what there was up to this number: what has come since, the
    /// end of a job as a rule, may be or replace what can go.
    exhausted_at: Option<EventId>,
    /// What waits for room, and since when each does: the first for the longest.
    waiting: VecDeque<(JournalCommand, Instant)>,
    /// Who waits until the medium has what is written so far.
    awaiting: Vec<(Mark, SyncWaiter)>,
}

impl JournalWriter {
    /// Starts it, with a segment to write to if that can be had.
    pub fn start(
        shared: Arc<JournalShared>,
        hub: Hub,
        found: Restored,
        commands: Receiver<JournalCommand>,
        call: Sender<()>,
    ) -> io::Result<JoinHandle<()>> {
        let syncer = Syncer::start(shared.clone())?;
        let writer = JournalWriter::new(shared, hub, found, call, syncer);
        vital::spawn("journal", move || {
            let alarm = Alarm(writer.shared.clone());
            writer.run(&commands);
            drop(alarm);
        })
    }

    /// It, without its thread.
    pub fn new(
        shared: Arc<JournalShared>,
        hub: Hub,
        found: Restored,
        call: Sender<()>,
        syncer: Syncer,
    ) -> JournalWriter {
        let mut writer = JournalWriter {
            call,
            exhausted_at: None,
            waiting: VecDeque::new(),
            syncer,
            shared,
            hub,
            boot: found.boot,
            next: found.next,
            resumable: found.resumable,
            unsettled: found.unsettled,
            gap: found.gap,
            active: None,
            sealed: None,
            reserved: EventId(0),
            reserving: None,
            unsynced: Vec::new(),
            unsynced_since: clock::now(),
            is_broken: false,
            next_probe: clock::now(),
            buffer: Vec::new(),
            awaiting: Vec::new(),
        };
        // What is lost has to be known before what it is told by is cut off.
        match writer.ready() {
            Ok(()) => writer.cut_off(&found.torn),
            Err(error) => drop(writer.failed(&error)),
        }
        writer
    }

    fn run(mut self, commands: &Receiver<JournalCommand>) {
        loop {
            let timeout = self.until_tick();
            let command = select! {
                recv(commands.parcels()) -> command => command.map(channel::Receiver::open),
                recv(self.syncer.results.parcels()) -> result => {
                    let Ok(synced) = result.map(channel::Receiver::open) else {
                        error!("journal: what waits for the medium has ended");
                        return;
                    };
                    self.synced(synced);
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

    /// Carries out `command` and what else is there. The reply where it is time to end.
    pub(super) fn turn(
        &mut self,
        command: JournalCommand,
        commands: &Receiver<JournalCommand>,
    ) -> Option<Reply<()>> {
        // Who has waited for room comes first.
        let mut early = std::mem::take(&mut self.waiting);
        early.push_back((command, clock::now()));
        let mut closed = None;
        while !early.is_empty() {
            closed = self.carry_out(&mut early, commands);
        }
        closed
    }

    /// Carries out the first of these and what else is there, in one batch.
    fn carry_out(
        &mut self,
        early: &mut VecDeque<(JournalCommand, Instant)>,
        commands: &Receiver<JournalCommand>,
    ) -> Option<Reply<()>> {
        let is_over_limit = self.shared.is_over_limit();
        let now = clock::now();
        let mut batch = None;
        let mut last = None;
        let mut next = early.pop_front();
        while let Some((command, since)) = next.take() {
            let (proposals, reply) = match command {
                JournalCommand::Put(proposals, reply) => (proposals, reply),
                other => {
                    last = Some(other);
                    break;
                }
            };
            let room = if is_over_limit {
                self.room_beyond(&proposals)
            } else {
                EventRoom::There
            };
            match room {
                EventRoom::There => self.take_in(&mut batch, proposals, reply),
                EventRoom::Awaited if now - since < ROOM_PATIENCE => {
                    let put = JournalCommand::Put(proposals, reply);
                    self.waiting.push_back((put, since));
                }
                EventRoom::Awaited | EventRoom::None => self.refuse(reply),
            }
            let entries = batch.as_ref().map_or(0, |batch| batch.entries.len());
            // Beyond the limit each has to find the room that is left by those before it.
            let is_full = self.buffer.len() >= BATCH_BYTES || entries >= BATCH_ENTRIES;
            let is_enough = is_full || is_over_limit;
            // Where memory is short, what a batch frees is known when it is applied.
            if entries == 0 || !is_enough && !self.hub.is_short_of_memory() {
                let newest = || commands.try_recv().ok().map(|command| (command, now));
                next = early.pop_front().or_else(newest);
            }
        }
        if let Some(batch) = batch {
            // Whom it concerns has been answered.
            let _ = self.finish(batch);
        }
        match last {
            Some(JournalCommand::Forget(proposals, reply)) => self.forget(proposals, reply),
            Some(JournalCommand::Flush(reply)) => self.flush(reply),
            Some(JournalCommand::Room { exhausted_at }) => {
                self.exhausted_at = exhausted_at;
                if self.is_exhausted() && self.shared.is_over_limit() {
                    self.refuse_waiting(Duration::ZERO);
                }
            }
            Some(JournalCommand::Close(reply)) => return Some(reply),
            Some(JournalCommand::Put(..)) | None => {}
        }
        None
    }

    /// Takes changes into the batch, which begins with them where it hasn't.
    fn take_in(
        &mut self,
        batch: &mut Option<WriteBatch>,
        proposals: Vec<Proposal>,
        reply: Reply<Put>,
    ) {
        if batch.is_none() {
            let begun = self
                .make_memory(&proposals)
                .and_then(|()| self.begin(false));
            match begun {
                Ok(begun) => *batch = Some(begun),
                Err(error) => return reply.answer((Vec::new(), Some(error))),
            }
        }
        if let Some(batch) = batch {
            self.add(batch, proposals, Some(reply));
        }
    }

    /// Begins a batch, with what the journal has to be told besides. A `probe` writes
    /// something in any case.
    fn begin(&mut self, probe: bool) -> Result<WriteBatch, PublishError> {
        if !probe && self.shared.health() == Health::Failing && clock::now() < self.next_probe {
            return Err(PublishError::DiskFailing);
        }
        self.ready().map_err(|error| self.failed(&error))?;
        let time_ms = now_ms().max(self.hub.time_ms());
        let mut batch = WriteBatch::after(self.hub.published(), time_ms);
        batch.is_probe = probe;
        self.buffer.clear();
        let is_due = batch.newest.0 + RESERVE_AHEAD > self.reserved.0;
        if probe || is_due && self.reserving.is_none() {
            batch.reserves = self.reservation(batch.newest);
            let record = self.open_record(batch.newest, batch.reserves);
            let segment = self.segment();
            encode(&mut self.buffer, segment, &record);
        }
        Ok(batch)
    }

    /// Numbers changes and encodes them, up to the first that is refused.
    fn add(&mut self, batch: &mut WriteBatch, proposals: Vec<Proposal>, reply: Option<Reply<Put>>) {
        let (mut ids, mut failure, mut need) = (Vec::new(), None, AnswerNeed::Nothing);
        ids.reserve_exact(proposals.len());
        for proposal in proposals {
            let from = batch.entries.len();
            let needed = AnswerNeed::of(&proposal.change);
            let taken = batch.take(&self.hub, &self.shared.index, proposal);
            self.encode_from(batch, from);
            match taken {
                // What is asked for again is answered as it was, which may not be on the
                // medium yet.
                Ok(id) | Err(PublishError::Refused(Refusal::Again(id))) => ids.push(id),
                // Nobody waits to hear of a job that isn't forgotten.
                Err(_) if reply.is_none() => continue,
                Err(error) => {
                    failure = Some(error);
                    if !batch.entries.is_empty() {
                        // It may be for what comes to nothing if that can't be written.
                        need = need.max(AnswerNeed::Write);
                    }
                    break;
                }
            }
            need = need.max(needed);
        }
        let error = failure;
        if let Some(reply) = reply {
            batch.answers.push((DueAnswer { reply, ids, error }, need));
        }
    }

    fn encode_from(&mut self, batch: &mut WriteBatch, from: usize) {
        let segment = self.segment();
        for entry in &mut batch.entries[from..] {
            entry.offset = self.buffer.len();
            encode(&mut self.buffer, segment, &Record::Entry(entry.record()));
            entry.bytes = self.buffer.len() - entry.offset;
        }
    }

    /// Writes a batch, has the hub apply it, and answers.
    fn finish(&mut self, batch: WriteBatch) -> Result<(), PublishError> {
        let needs_medium = self.needs_medium(&batch);
        let start = self.active.as_ref().map_or(0, |active| active.bytes);
        if let Err(error) = self.write_batch(&batch) {
            for (answer, need) in batch.answers {
                match need {
                    AnswerNeed::Nothing => answer.give(),
                    _ => answer.refuse(error),
                }
            }
            return Err(error);
        }
        self.apply(&batch, start);
        let end = self.end();
        for (answer, need) in batch.answers {
            match need {
                AnswerNeed::Medium if !needs_medium && !self.unsynced.is_empty() => {
                    self.awaiting.push((end, SyncWaiter::Publisher(answer)));
                }
                _ => answer.give(),
            }
        }
        self.sync_for_waiters();
        Ok(())
    }

    fn forget(&mut self, proposals: Vec<Proposal>, reply: Reply<Put>) {
        let mut batch = match self.begin(false) {
            Ok(batch) => batch,
            Err(error) => return reply.answer((Vec::new(), Some(error))),
        };
        self.add(&mut batch, proposals, None);
        let ids = batch.entries.iter().map(|entry| entry.id).collect();
        let error = self.finish(batch).err();
        reply.answer((ids, error));
    }

    fn flush(&mut self, reply: Reply<io::Result<()>>) {
        let is_ready = self.settle().and_then(|()| {
            if self.is_broken {
                self.repair()
            } else {
                Ok(())
            }
        });
        match is_ready {
            Ok(()) if self.unsynced.is_empty() => reply.answer(Ok(())),
            Ok(()) => {
                self.awaiting.push((self.end(), SyncWaiter::Keeper(reply)));
                self.sync_for_waiters();
            }
            Err(error) => {
                // From here on it is tried again.
                self.failed(&error);
                reply.answer(Err(error));
            }
        }
    }

    /// Tries whether it can write again.
    fn probe(&mut self) -> Result<(), PublishError> {
        let batch = self.begin(true)?;
        self.write_batch(&batch)
    }

    fn write_batch(&mut self, batch: &WriteBatch) -> Result<(), PublishError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let needs_medium = self.needs_medium(batch);
        self.write(needs_medium)
            .map_err(|error| self.failed(&error))?;
        self.works();
        if let Some(last) = batch.reserves {
            let at = self.end();
            self.reserving = Some(Reserving { at, last });
            if needs_medium {
                self.reserved = last;
                self.reserving = None;
            }
        }
        Ok(())
    }

    /// Whether nobody may see it before it is on the medium: numbers above the reserved ones
    /// would be given again after a loss of power.
    fn needs_medium(&self, batch: &WriteBatch) -> bool {
        batch.is_probe
            || batch.newest > self.reserved
            || self.shared.config.sync == SyncPolicy::Always
    }

    pub(super) fn until_tick(&self) -> Duration {
        if let Some(&(_, since)) = self.waiting.front() {
            return ROOM_PATIENCE.saturating_sub(clock::now() - since);
        }
        if self.shared.health() != Health::Good {
            return self.next_probe.saturating_duration_since(clock::now());
        }
        match self.shared.config.sync {
            SyncPolicy::Interval(interval) if !self.unsynced.is_empty() && !self.syncer.is_busy => {
                interval.saturating_sub(clock::now() - self.unsynced_since)
            }
            _ => IDLE,
        }
    }

    pub(super) fn tick(&mut self) {
        self.refuse_waiting(ROOM_PATIENCE);
        if self.shared.health() == Health::Good {
            self.start_sync();
        } else {
            self.next_probe = clock::now() + PROBE;
            if self.shared.is_over_limit() {
                let _ = self.call.try_send(());
                return;
            }
            let _ = self.probe();
        }
    }

    /// Notes a failure, in the log where it is the first, and says how it is answered.
    fn failed(&mut self, error: &io::Error) -> PublishError {
        self.shared.counters.errors.add(1);
        let (health, answer, status) = judge(error);
        let before = self.shared.health.swap(health as u8, Ordering::AcqRel);
        if before != health as u8 {
            error!("journal: {error}: publishing is answered with {status} until it works");
        }
        self.next_probe = clock::now() + PROBE;
        answer
    }

    fn works(&self) {
        // Ends of jobs are written beyond the limit, where there is no room for others yet.
        if self.shared.health() == Health::Full && self.shared.is_over_limit() {
            return;
        }
        let before = self
            .shared
            .health
            .swap(Health::Good as u8, Ordering::AcqRel);
        if before != Health::Good as u8 {
            info!("journal: it can be written again");
        }
    }
}

/// What a failure makes of the journal's health, and how publishing is answered.
fn judge(error: &io::Error) -> (Health, PublishError, u16) {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            (Health::Full, PublishError::DiskFull, 507)
        }
        _ => (Health::Failing, PublishError::DiskFailing, 503),
    }
}
