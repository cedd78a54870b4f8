//! The journal: every accepted event, on disk before anybody sees it.
//!
//! One thread writes. Publishers hand it their events and wait; it takes what is there,
//! gives numbers, writes everything at once, syncs as it was told to, and only then lets
//! the hub have the events and answers. So:
//!
//! - whatever a subscriber has seen survives the end of the process, and with
//!   [`Sync::Always`] the loss of power;
//! - what can't be written changes nothing: no number is taken, no event is seen;
//! - a number is never given twice, as its module `restore` says.
//!
//! Segments are files of bounded size that only grow at their end, until they are
//! compacted: written anew without what nobody needs. Its module `record` has the format.

mod compact;
mod files;
mod lock;
mod read;
mod record;
mod reply;
mod restore;
mod scan;
mod segment;
mod writer;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use crate::event::Event;
use crate::event::job::{EventId, JobId};
use crate::hub::{Hub, Job, Numbers, PublishError};
use crate::sys::metrics::Counter;
pub use files::{Directory, File, Files};
pub use lock::Lock;
pub use read::{Cursor, Jobs, Replay, Request, What};
pub use record::{NUMBER_MAX, Origin, SegmentNumber};
use reply::Reply;
pub use segment::{Place, Segments, Span};
use writer::{Command, Publishing, Writer};

/// What is handed to the writer at a time, whichever is reached first.
const PART_EVENTS: usize = 1024;
const PART_BYTES: usize = 256 * 1024;
/// Room that is kept for what is written while compaction makes more, in segments; at
/// most a quarter of all.
const RESERVE_SEGMENTS: u64 = 8;

/// How accepted events are kept.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// When an event is on the medium. Default: within 200 ms.
    pub sync: Sync,
    /// What all of it takes on disk, in bytes. Default: 256 MiB. At it the oldest events
    /// go, but each job's newest; when only those are left, publishing is refused.
    pub bytes: u64,
    /// The most jobs that have ended. Default: 10,000. Beyond it the first that ended are
    /// forgotten.
    pub ended_jobs: usize,
    /// A job that ended so long ago is forgotten, and events older than that go, but
    /// each job's newest. Default: 7 days.
    pub age: Duration,
}

impl Default for JournalConfig {
    fn default() -> JournalConfig {
        JournalConfig {
            sync: Sync::Interval(Duration::from_millis(200)),
            bytes: 256 * 1024 * 1024,
            ended_jobs: 10_000,
            age: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// When an event that is accepted is on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before it is answered, and before anybody sees it.
    Always,
    /// So long after it at most; a terminal event before it is answered.
    Interval(Duration),
}

/// Whether events can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// They can.
    Good,
    /// There is no room.
    Full,
    /// The disk fails.
    Failing,
}

/// What the journal counts.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events written.
    pub events: Counter,
    /// Bytes written for events and what belongs to them.
    pub bytes: Counter,
    /// Bytes written again, by compaction.
    pub compacted_bytes: Counter,
    /// Writes.
    pub writes: Counter,
    /// Waits for the medium.
    pub syncs: Counter,
    /// Writes and syncs that failed.
    pub errors: Counter,
    /// Pieces that were read for streams behind their rings.
    pub reads: Counter,
}

/// A journal that is open. Cloning it is cheap and gives another handle to the same one.
#[derive(Clone)]
pub struct Journal {
    commands: Sender<Command>,
    requests: Sender<Request>,
    shared: Arc<Shared>,
}

/// What the journal's threads and its handles share.
struct Shared {
    config: JournalConfig,
    files: Arc<dyn Files>,
    segments: Segments,
    counters: Counters,
    health: AtomicU8,
    /// Jobs that the hub had to forget, of which the journal has to be told. A job is in
    /// it once for each time that it began, and only until the next write.
    notes: Mutex<Vec<(JobId, Numbers)>>,
    /// What compaction has on disk besides the segments.
    spare_bytes: AtomicU64,
    is_closing: AtomicBool,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the journal in the directory `path`, which is created where it isn't there,
    /// restores into `hub` what it holds, and has the hub's events from then on. `hub`
    /// is a new one, [`Hub::with_base`] 0. Blocks.
    ///
    /// What is damaged is reported in the log and skipped. Where nothing can be written,
    /// what is there is restored, and publishing is refused until it can.
    ///
    /// # Errors
    /// The directory can't be created or listed.
    pub fn open(path: &Path, config: JournalConfig, hub: &Hub) -> io::Result<()> {
        let files = Arc::new(Directory::new(path)?);
        Journal::open_in(files, config, hub)
    }

    /// The same, on any file layer.
    ///
    /// # Errors
    /// The files can't be listed, or there is no thread to be had.
    pub fn open_in(files: Arc<dyn Files>, config: JournalConfig, hub: &Hub) -> io::Result<()> {
        let shared = Arc::new(Shared {
            config,
            files,
            segments: Segments::default(),
            counters: Counters::default(),
            health: AtomicU8::new(Health::Good as u8),
            notes: Mutex::default(),
            spare_bytes: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
            keeper: Mutex::new(None),
        });
        let (commands, received) = crossbeam_channel::unbounded();
        let (requests, asked) = crossbeam_channel::unbounded();
        read::start(&shared, &asked)?;
        hub.attach(Journal {
            commands,
            requests,
            shared: shared.clone(),
        });
        let found = restore::restore(&*shared.files, hub, &shared.segments)?;
        let (call, calls) = crossbeam_channel::bounded(1);
        Writer::start(shared.clone(), hub.downgrade(), found, received, call)?;
        let keeper = compact::start(shared.clone(), hub.downgrade(), calls)?;
        *shared.keeper.lock() = Some(keeper);
        Ok(())
    }

    /// Publishes events in turn, up to the first that is refused. Blocks its thread, or
    /// suspends its coroutine, until they are written.
    pub(crate) fn publish(
        &self,
        events: Vec<(JobId, Event)>,
    ) -> (Vec<EventId>, Option<PublishError>) {
        let mut ids = Vec::new();
        let mut events = events.into_iter().peekable();
        while events.peek().is_some() {
            let mut bytes = 0;
            let mut part = Vec::new();
            while part.len() < PART_EVENTS
                && let Some((job, event)) = events
                    .next_if(|(_, event)| bytes + event.data().len() <= PART_BYTES || bytes == 0)
            {
                bytes += event.data().len();
                part.push(Publishing::new(job, event));
            }
            let failed = || (Vec::new(), Some(PublishError::DiskFailing));
            let (more, error) = self
                .ask(|reply| Command::Publish(part, reply))
                .unwrap_or_else(failed);
            ids.extend(more);
            if error.is_some() {
                return (ids, error);
            }
        }
        (ids, None)
    }

    /// Publishes one event to this very job, if it is still there. Blocks as publishing does.
    pub(crate) fn publish_to(&self, job: &Arc<Job>, event: Event) -> Result<EventId, PublishError> {
        let publishing = Publishing {
            job: job.id().clone(),
            only: Some(job.clone()),
            event,
        };
        let (ids, error) = self
            .ask(|reply| Command::Publish(vec![publishing], reply))
            .ok_or(PublishError::DiskFailing)?;
        error.map_or_else(|| Ok(ids[0]), Err)
    }

    /// Forgets a job, and has that survive a restart. Blocks as publishing does.
    pub(crate) fn forget(&self, job: &JobId) -> Result<bool, PublishError> {
        self.ask(|reply| Command::Forget(job.clone(), reply))
            .unwrap_or(Err(PublishError::DiskFailing))
    }

    /// Returns when all that has been forgotten is on the medium. Blocks.
    fn flush(&self) -> io::Result<()> {
        let flushed = self.ask(Command::Flush);
        flushed.unwrap_or_else(|| Err(io::Error::other("the journal is closed")))
    }

    /// Compaction has made a step, or can't make more.
    fn tell_of_room(&self, is_exhausted: bool) {
        // A writer that is gone has nobody who waits for room.
        let _ = self.commands.send(Command::Room { is_exhausted });
    }

    /// The hub had to forget a job, and nobody waits for the journal to know.
    pub(crate) fn note_forgotten(&self, job: &JobId, last: Numbers) {
        self.shared.notes.lock().push((job.clone(), last));
    }

    /// What these spans hold isn't needed any more.
    pub(crate) fn release(&self, spans: &[Span]) {
        self.shared.segments.release(spans);
    }

    /// Has events read for a stream that is behind its ring. Never blocks. A stream waits
    /// for the answer, so there are no more requests than streams.
    pub fn read(&self, request: Request) {
        // The readers end with the last handle.
        let _ = self.requests.send(request);
    }

    /// Writes that this life ended as it should, and syncs. Publishing is refused from
    /// then on. Blocks.
    pub fn close(&self) {
        self.shared.is_closing.store(true, Ordering::Release);
        let _ = self.ask(Command::Close);
        let keeper = self.shared.keeper.lock().take();
        // What it was at is whole, or is as if it had never begun.
        keeper.into_iter().for_each(|keeper| drop(keeper.join()));
    }

    /// Whether events can be written.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// What it has counted.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// How many segments it has, and how many bytes they have together.
    pub fn size(&self) -> (usize, u64) {
        self.shared.segments.size()
    }

    /// Its configuration.
    pub fn config(&self) -> &JournalConfig {
        &self.shared.config
    }

    /// None where the writer is gone.
    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Option<T> {
        let (reply, answer) = reply::pair();
        // Whoever asks waits for the answer, so there are no more commands than callers,
        // but for one of the compaction for each of its steps.
        self.commands.send(command(reply)).ok()?;
        answer.wait()
    }
}

impl Shared {
    /// What all of it takes on disk.
    fn bytes(&self) -> u64 {
        self.segments.size().1 + self.spare_bytes.load(Ordering::Acquire)
    }

    /// Whether what is left up to the limit is less than the segment that is written and
    /// a compaction may need.
    fn is_short_of_room(&self) -> bool {
        let reserve = RESERVE_SEGMENTS * self.config.segment_bytes();
        let reserve = reserve.min(self.config.bytes / 4);
        self.segments.size().1 > self.config.bytes.saturating_sub(reserve)
    }

    fn health(&self) -> Health {
        match self.health.load(Ordering::Acquire) {
            0 => Health::Good,
            1 => Health::Full,
            _ => Health::Failing,
        }
    }
}

impl JournalConfig {
    /// The size at which a segment is full.
    fn segment_bytes(&self) -> u64 {
        (self.bytes / 32).clamp(1024, 8 * 1024 * 1024)
    }
}
