//! The journal: every accepted entry, on disk before anybody sees what it changes.
//!
//! One thread writes. Publishers hand it their changes and wait; it takes what is there,
//! gives numbers, writes everything at once, syncs as it was told to, and only then has the
//! hub apply the entries, and answers. So:
//!
//! - whatever a subscriber has seen survives the end of the process, and with
//!   [`SyncPolicy::Always`] the loss of power;
//! - what can't be written changes nothing: no number is taken, no event is seen;
//! - a number is never given twice, as its module `restore` says.
//!
//! Segments are files of bounded size that only grow at their end. When there are too many,
//! what all jobs have come to is written as a checkpoint, and the oldest segments go. The
//! modules `record` and `checkpoint` have the formats.

#[cfg(test)]
pub(crate) mod by_hand;
pub(super) mod checkpoint;
pub(super) mod codec;
mod desk;
mod files;
mod index;
mod keeper;
mod lock;
mod read;
pub(super) mod record;
pub(super) mod reply;
mod restore;
mod scan;
mod segment;
mod writer;

use std::fmt::Write;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::history::ReplayRequest;
use super::{Health, Order, Proposal, PublishError};
use crate::event::job::{EventId, JobId};
use crate::hub::{Change, Hub};
use crate::sys::blocker::let_ready_go_first;
use crate::sys::channel;
use crate::sys::metrics::{Counter, gauge, head};
use desk::ask;
pub use files::{Directory, File, Files};
use index::Index;
#[cfg(feature = "server")]
pub use lock::{Lock, is_held};
use reply::Reply;
use segment::Segments;
use writer::{EventRoom, JournalCommand, JournalWriter};

/// What is handed to the writer at a time, whichever is reached first.
const PART_ENTRIES: usize = 1024;
const PART_BYTES: usize = 256 * 1024;
/// Room that is kept for what is written while the keeper makes more, in segments; at
/// most a quarter of all.
const RESERVE_SEGMENTS: u64 = 8;
/// What has to be left of the limit for a batch, in segments; at most an eighth of all.
const BATCH_SEGMENTS: u64 = 4;
/// What an entry takes besides an event's data is about this, or less.
const ENTRY_BYTES: u64 = 256;

crate::sys::config::config! {
    /// How accepted entries are kept.
    ///
    /// ```
    /// use std::time::Duration;
    /// use landfall::config::SyncPolicy;
    /// use landfall::{HubConfig, JournalConfig, Sequencer};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("journal");
    /// let config = JournalConfig::with(|config| {
    ///     config.sync = SyncPolicy::Always;
    ///     config.age = Duration::from_secs(24 * 60 * 60);
    /// });
    /// let jobs = Sequencer::with_journal(&path, config, HubConfig::default())?;
    /// jobs.close();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub struct JournalConfig {
        /// When an event is on the medium. Default: within 200 ms.
        pub sync: SyncPolicy = SyncPolicy::Interval(Duration::from_millis(200)),
        /// What all of it takes on disk, in bytes. Default: 256 MiB. At it the oldest events
        /// go, but each job's newest; when only those are left, the jobs that ended first are
        /// forgotten, and when there are none publishing is refused.
        pub bytes: u64 = 256 * 1024 * 1024,
        /// The most jobs that have ended. Default: 10,000. Beyond it the first that ended are
        /// forgotten.
        pub ended_jobs: usize = 10_000,
        /// A job that ended so long ago is forgotten, and events older than that go, but
        /// each job's newest. Default: 7 days.
        pub age: Duration = Duration::from_secs(7 * 24 * 60 * 60),
    }
}

/// When an entry that is accepted is on the medium.
///
/// See [`JournalConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncPolicy {
    /// Before it is answered, and before anybody sees it.
    Always,
    /// So long after it at most; a terminal event, a begin and a deletion before they are
    /// answered.
    Interval(Duration),
}

/// What the journal counts.
#[derive(Debug, Default)]
struct JournalCounters {
    events: Counter,
    bytes: Counter,
    checkpoint_bytes: Counter,
    writes: Counter,
    syncs: Counter,
    errors: Counter,
    reads: Counter,
}

/// A journal that is open. It ends with this, or when it is closed.
pub struct Journal {
    commands: channel::Sender<JournalCommand>,
    requests: channel::Sender<ReplayRequest>,
    shared: Arc<JournalShared>,
    open: Mutex<Open>,
    /// How many publishers are about to be answered.
    publishing: AtomicUsize,
}

/// What ends when it is closed.
#[derive(Default)]
struct Open {
    threads: Vec<JoinHandle<()>>,
    /// The directory, which is nobody else's as long.
    directory: Option<std::fs::File>,
}

/// What the journal's threads share.
struct JournalShared {
    config: JournalConfig,
    files: Arc<dyn Files>,
    segments: Segments,
    index: Index,
    counters: JournalCounters,
    health: AtomicU8,
    /// The checkpoint's size.
    checkpoint_bytes: AtomicU64,
    /// What the next one has on disk already, and what is about to be removed.
    spare_bytes: AtomicU64,
    /// Keys that are remembered.
    keys: AtomicUsize,
    is_closing: AtomicBool,
    /// One of the threads has ended as it never should.
    is_dead: AtomicBool,
}

/// Raises the alarm when the thread that has it panics.
struct Alarm(Arc<JournalShared>);

impl Journal {
    /// Opens the journal in the directory `path`, which is created where it isn't there,
    /// and restores into `hub` what it holds. `hub` is a new one, above the number 0. Blocks.
    ///
    /// What is damaged is reported in the log and skipped. Where nothing can be written,
    /// what is there is restored, and publishing is refused until it can.
    ///
    /// # Errors
    /// The directory can't be created or listed, or another journal is open there; a newer
    /// version has written in it, or what has a segment's name is no file: then nothing in it has
    /// been touched.
    pub fn open(path: &Path, config: JournalConfig, hub: &Hub) -> io::Result<Journal> {
        let files = Arc::new(Directory::new(path)?);
        let directory = lock::take_journal(path)?;
        let journal = Journal::open_in(files, config, hub)?;
        journal.open.lock().directory = Some(directory);
        Ok(journal)
    }

    /// The same, on any file layer.
    ///
    /// # Errors
    /// As [`Journal::open`], or there is no thread to be had.
    pub fn open_in(files: Arc<dyn Files>, config: JournalConfig, hub: &Hub) -> io::Result<Journal> {
        let shared = Arc::new(JournalShared::new(config, files));
        let found = restore::restore(&shared, hub)?;
        shared.keys.store(hub.keys(), Ordering::Release);
        let (commands, received) = channel::unbounded();
        let (requests, asked) = channel::unbounded();
        let (call, calls) = channel::bounded(1);
        let next_checkpoint = found.next_checkpoint;
        // Whatever has begun ends with this, should another not begin.
        let journal = Journal {
            commands: commands.clone(),
            requests,
            shared: shared.clone(),
            open: Mutex::default(),
            publishing: AtomicUsize::new(0),
        };
        read::start(&shared, &asked)?;
        let writer = JournalWriter::start(shared.clone(), hub.clone(), found, received, call)?;
        journal.open.lock().threads.push(writer);
        let keeper = keeper::start(shared, hub.clone(), commands, next_checkpoint, calls)?;
        journal.open.lock().threads.push(keeper);
        Ok(journal)
    }

    /// How many segments it has, and how many bytes all of it has.
    pub fn size(&self) -> (usize, u64) {
        (self.shared.segments.size().0, self.shared.bytes())
    }

    /// Its configuration.
    pub fn config(&self) -> &JournalConfig {
        &self.shared.config
    }

    /// None where the writer is gone.
    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> JournalCommand) -> Option<T> {
        ask(&self.commands, command)
    }

    fn put_part(&self, part: Vec<Proposal>) -> (Vec<EventId>, Option<PublishError>) {
        let failed = || (Vec::new(), Some(PublishError::DiskFailing));
        // To wake the writer takes longer than to write another event, and may push the thread of
        // the coroutines aside. So who isn't alone asks behind those that are about to.
        if self.publishing.fetch_add(1, Ordering::Relaxed) > 0 {
            let_ready_go_first();
        }
        let put = self.ask(|reply| JournalCommand::Put(part, reply));
        self.publishing.fetch_sub(1, Ordering::Relaxed);
        put.unwrap_or_else(failed)
    }
}

impl Order for Journal {
    fn put(&self, proposals: Vec<Proposal>) -> (Vec<EventId>, Option<PublishError>) {
        if proposals.len() <= PART_ENTRIES && bytes_of(&proposals) <= PART_BYTES {
            return if proposals.is_empty() {
                (Vec::new(), None)
            } else {
                self.put_part(proposals)
            };
        }
        let mut ids = Vec::with_capacity(proposals.len());
        let mut proposals = proposals.into_iter().peekable();
        while proposals.peek().is_some() {
            let mut bytes = 0;
            let mut part = Vec::new();
            while part.len() < PART_ENTRIES
                && let Some(proposal) = proposals
                    .next_if(|proposal| bytes == 0 || bytes + data_bytes(proposal) <= PART_BYTES)
            {
                bytes += data_bytes(&proposal);
                part.push(proposal);
            }
            let (more, error) = self.put_part(part);
            ids.extend(more);
            if error.is_some() {
                return (ids, error);
            }
        }
        (ids, None)
    }

    fn history(&self, job: &JobId) -> Option<EventId> {
        self.shared.history(job)
    }

    fn kept_from(&self) -> EventId {
        self.shared.segments.kept_from()
    }

    fn is_current(&self, sources: &[(JobId, EventId)]) -> bool {
        self.shared.index.lock().are_current(sources)
    }

    fn read(&self, request: ReplayRequest) {
        // The readers end with this.
        let _ = self.requests.send(request);
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn write_metrics(&self, out: &mut String) {
        let counters = &self.shared.counters;
        for (name, help, counter) in [
            ("events", "Events written.", &counters.events),
            (
                "written_bytes",
                "Bytes written for events and what belongs to them.",
                &counters.bytes,
            ),
            (
                "compacted_bytes",
                "Bytes written again, so that older ones can go.",
                &counters.checkpoint_bytes,
            ),
            ("writes", "Writes.", &counters.writes),
            ("syncs", "Waits for the medium.", &counters.syncs),
            ("errors", "Writes and syncs that failed.", &counters.errors),
            (
                "reads",
                "Pieces read for streams behind their rings.",
                &counters.reads,
            ),
        ] {
            head(out, &format!("journal_{name}_total"), help, "counter");
            let _ = writeln!(out, "landfall_journal_{name}_total {}", counter.get());
        }
        let (segments, bytes) = self.size();
        gauge(out, "journal_segments", "Segments there are.", segments);
        gauge(out, "journal_bytes", "Bytes all of it has.", bytes);
        let limit = self.config().bytes;
        gauge(out, "journal_limit_bytes", "The most it may have.", limit);
        let health = u8::from(self.health() == Health::Good);
        gauge(out, "journal_up", "Whether it can be written.", health);
    }

    fn close(&self) {
        self.shared.is_closing.store(true, Ordering::Release);
        self.ask(JournalCommand::Close);
        // What the keeper is at is whole, or is as if it had never begun.
        let mut open = self.open.lock();
        let threads = open.threads.drain(..);
        threads.for_each(|thread| drop(thread.join()));
        open.directory = None;
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl JournalShared {
    fn new(config: JournalConfig, files: Arc<dyn Files>) -> JournalShared {
        JournalShared {
            config,
            files,
            segments: Segments::default(),
            index: Index::default(),
            counters: JournalCounters::default(),
            health: AtomicU8::new(Health::Good as u8),
            checkpoint_bytes: AtomicU64::new(0),
            spare_bytes: AtomicU64::new(0),
            keys: AtomicUsize::new(0),
            is_closing: AtomicBool::new(false),
            is_dead: AtomicBool::new(false),
        }
    }

    /// The number before the oldest event of a job that can be read.
    fn history(&self, job: &JobId) -> Option<EventId> {
        self.index.lock().get(job)?.before_oldest()
    }

    /// What all of it takes on disk.
    fn bytes(&self) -> u64 {
        self.kept_bytes() + self.spare_bytes.load(Ordering::Acquire)
    }

    fn kept_bytes(&self) -> u64 {
        self.segments.size().1 + self.checkpoint_bytes.load(Ordering::Acquire)
    }

    /// The next checkpoint has so many bytes on disk, and nothing is about to be removed.
    fn set_spare(&self, bytes: u64) {
        self.spare_bytes.store(bytes, Ordering::Release);
    }

    /// The checkpoint has so many bytes.
    fn set_checkpoint(&self, bytes: u64) {
        self.checkpoint_bytes.store(bytes, Ordering::Release);
    }

    /// About what a checkpoint would take in which no job's newest event is left out.
    fn next_checkpoint_bytes(&self) -> u64 {
        let keys = self.keys.load(Ordering::Acquire) as u64;
        self.index.lock().newest_bytes() + keys * checkpoint::KEYED_BYTES
    }

    /// What is kept free for the segment that is written, and for the next checkpoint.
    fn reserve_bytes(&self) -> u64 {
        let segment = self.config.segment_bytes();
        let next_checkpoint = self.next_checkpoint_bytes();
        let least = (RESERVE_SEGMENTS * segment).min(self.config.bytes / 4);
        least
            .max(next_checkpoint + 4 * segment)
            .min(self.config.bytes / 2)
    }

    /// Whether another batch would leave too little room, or none for the next checkpoint,
    /// without which nothing could ever go.
    fn is_over_limit(&self) -> bool {
        let segment = self.config.segment_bytes();
        let batch = (BATCH_SEGMENTS * segment).min(self.config.bytes / 8);
        let next_checkpoint = self.next_checkpoint_bytes();
        self.bytes() + batch > self.config.bytes
            || self.kept_bytes() + next_checkpoint + segment > self.config.bytes
    }

    /// Whether these changes, beyond that, would leave room for the next checkpoint. It is awaited
    /// where that is being written, or what it stands for is being removed.
    fn room_for(&self, proposals: &[Proposal]) -> EventRoom {
        let bytes = bytes_of(proposals) as u64 + ENTRY_BYTES * proposals.len() as u64;
        let next_checkpoint = self.next_checkpoint_bytes() + bytes;
        if self.kept_bytes() + next_checkpoint + bytes > self.config.bytes {
            EventRoom::None
        } else if self.bytes() + bytes > self.config.bytes {
            EventRoom::Awaited
        } else {
            EventRoom::There
        }
    }

    /// Whether what is left up to the limit is less than the reserve, or soon too little for the
    /// next checkpoint: there the writer stops, so it mustn't come to that while anything can go.
    fn is_short_of_room(&self) -> bool {
        let needed = self.next_checkpoint_bytes() + 2 * self.config.segment_bytes();
        let reserve = self.reserve_bytes().max(needed);
        self.kept_bytes() > self.config.bytes.saturating_sub(reserve)
    }

    fn health(&self) -> Health {
        if self.is_dead.load(Ordering::Acquire) {
            return Health::Failing;
        }
        match self.health.load(Ordering::Acquire) {
            0 => Health::Good,
            1 => Health::Full,
            _ => Health::Failing,
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.is_dead.store(true, Ordering::Release);
        }
    }
}

impl JournalConfig {
    /// The size at which a segment is full.
    fn segment_bytes(&self) -> u64 {
        (self.bytes / 32).clamp(1024, 8 * 1024 * 1024)
    }
}

fn bytes_of(proposals: &[Proposal]) -> usize {
    proposals.iter().map(data_bytes).sum()
}

fn data_bytes(proposal: &Proposal) -> usize {
    match &proposal.change {
        Change::Event { event, .. } => event.data().len(),
        Change::Begin { .. }
        | Change::Renew { .. }
        | Change::Cancel { .. }
        | Change::Delete { .. }
        | Change::Forget { .. } => 0,
    }
}
