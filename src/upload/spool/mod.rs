//! Where uploads arrive: what is received, what may go on after it was cut off, and the
//! limits on all of it.
//!
//! Two invariants:
//! - Bytes that were acknowledged are on disk, and what was never acknowledged is either
//!   where it can go on or gone. An upload's writes are in order, one at a time, so the
//!   length of its file is how far it has come.
//! - An upload is of one life of its job. Who ends that life has the upload removed
//!   afterwards; who makes something for it looks afterwards whether the life goes on, and
//!   removes it if not. So whichever comes first, nothing is left.

mod allowance;
mod config;
mod entry;
mod error;
mod files;
mod janitor;
mod ledger;
mod receiver;
mod recovery;
mod report;
mod seat;
mod store;
mod trouble;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Mutex, RwLock};

use crate::access::places::Occupant;
use crate::access::quota::Rates;
use crate::event::job::{JobId, LifeId};
use crate::http::tus::Checksum;
use crate::hub::After;
use crate::sequencer::Sequencer;
use crate::sys::channel::{self, Sender};
use crate::sys::limit::Limit;
use crate::sys::metrics::Metrics;
use crate::upload::disk::Disk;
use crate::upload::{Landing, UploadId};
use allowance::Allowance;
pub use config::SpoolConfig;
use entry::{UploadEntry, UploadPhase};
pub use error::SpoolError;
use ledger::UploadLedger;
pub use receiver::{Finished, UploadReceiver};
use report::UploadFailure;
use seat::{Seat, Seats};
use store::SpoolStore;
use trouble::Trouble;

/// The stage that an upload is, to its job.
const STAGE: &str = "uploading";
/// How long one who wants to go on waits for who holds the upload, and how often it looks.
const HOLD_WAIT: Duration = Duration::from_secs(5);
const HOLD_POLL: Duration = Duration::from_millis(50);

const MINUTE: Duration = Duration::from_secs(60);

/// The uploads of a server. A clone is another handle to the same.
#[derive(Clone)]
pub struct Spool(Arc<SpoolCore>);

struct SpoolCore {
    config: RwLock<Arc<SpoolConfig>>,
    jobs: Sequencer,
    disk: Disk,
    store: SpoolStore,
    trouble: Trouble,
    landing: Arc<dyn Landing>,
    ledger: Mutex<UploadLedger>,
    /// Failures that jobs couldn't be told.
    untold: Mutex<Vec<UploadFailure>>,
    seats: Seats,
    /// The directory is another process's now.
    is_closed: AtomicBool,
    starts: Allowance,
    starts_of_each: Rates,
    bytes: Allowance,
    /// What was free on the disk, not long ago.
    free: AtomicU64,
    /// The janitor hears when this is gone.
    _alive: Sender<()>,
}

/// An upload that is about to begin.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Whom it is counted for.
    pub client: Occupant,
    /// The job that it begins.
    pub job: JobId,
    /// What the life may come after that it begins.
    pub after: After,
    /// The file's name, as the client says.
    pub name: String,
    /// The media type that the client says it has.
    pub declared_type: Option<String>,
    /// Its bytes, where that is known.
    pub size: Option<u64>,
    /// A little more than its bytes, where only that is known.
    pub estimate: Option<u64>,
    /// It may go on after it was cut off, and this was its `Upload-Metadata`.
    pub metadata: Option<String>,
}

/// What comes next of an upload.
pub struct NextPiece {
    /// Where the upload has come to.
    pub offset: u64,
    /// All of its bytes, where they weren't known.
    pub size: Option<u64>,
    /// What the piece's bytes are to make.
    pub checksum: Option<Checksum>,
}

/// Where a resumable upload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its job.
    pub job: JobId,
    /// The bytes that are there.
    pub offset: u64,
    /// The bytes that there will be, where that is known.
    pub size: Option<u64>,
    /// Its `Upload-Metadata`.
    pub metadata: String,
    /// When it is removed if nobody goes on with it. None when it is whole.
    pub expires: Option<SystemTime>,
}

impl Spool {
    /// Takes up what lies below `data`: what can go on waits, what is whole goes to
    /// `landing`, and the rest is removed. Blocks.
    ///
    /// # Errors
    /// The directory can't be made or read, or there are no threads to be had.
    pub fn open(
        data: &Path,
        config: SpoolConfig,
        jobs: Sequencer,
        disk: Disk,
        landing: Arc<dyn Landing>,
    ) -> io::Result<Spool> {
        let (alive, ends) = channel::bounded(0);
        let spool = Spool(Arc::new(SpoolCore {
            store: SpoolStore::open(data)?,
            trouble: Trouble::default(),
            starts: Allowance::new(starts_a_second(&config), MINUTE),
            starts_of_each: Rates::a_minute(config.starts_a_minute_per_address),
            bytes: Allowance::new(bytes_a_second(&config), Duration::ZERO),
            seats: Seats::new(&config),
            config: RwLock::new(Arc::new(config)),
            jobs,
            disk,
            landing,
            ledger: Mutex::default(),
            untold: Mutex::default(),
            is_closed: AtomicBool::new(false),
            free: AtomicU64::new(0),
            _alive: alive,
        }));
        spool.look_at_disk();
        spool.recover()?;
        janitor::start(&spool.0, ends)?;
        Ok(spool)
    }

    /// What it takes.
    pub fn config(&self) -> Arc<SpoolConfig> {
        self.0.config()
    }

    /// These limits hold from now on, and what is there already stays.
    pub fn limit(&self, config: SpoolConfig) {
        let inner = &self.0;
        inner.starts.set(starts_a_second(&config));
        inner.bytes.set(bytes_a_second(&config));
        let each = config.starts_a_minute_per_address;
        inner.starts_of_each.limit(each, MINUTE);
        inner.seats.limit(&config);
        *inner.config.write() = Arc::new(config);
    }

    /// How many stages an upload goes through that has landed.
    pub fn stages(&self) -> usize {
        self.0.landing.stages()
    }

    /// The threads that read and write its files.
    pub fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// Begins an upload; `checksum` is that of the bytes that come with it. Suspends a
    /// coroutine, blocks a thread.
    ///
    /// # Errors
    /// A limit is reached, or the job has a life that no upload may follow, and nothing has
    /// begun. Or the disk fails, or the job was deleted meanwhile, and what has begun has
    /// ended.
    pub fn begin(
        &self,
        order: NewUpload,
        checksum: Option<Checksum>,
    ) -> Result<UploadReceiver, SpoolError> {
        let begun = self.begin_within_limits(order, checksum);
        begun.inspect_err(|error| self.0.count(error))
    }

    fn begin_within_limits(
        &self,
        order: NewUpload,
        checksum: Option<Checksum>,
    ) -> Result<UploadReceiver, SpoolError> {
        let (inner, config) = (&self.0, self.config());
        config.check_size(order.size)?;
        let seat = inner.seat(order.client)?;
        let is_resumable = order.metadata.is_some();
        let unfinished = is_resumable.then(|| inner.seats.unfinished(order.client));
        let unfinished = unfinished.transpose()?;
        inner.start(order.client)?;
        let (mut id, after) = (UploadId::random()?, order.after);
        if let Some(neighbours) = inner.jobs.order().neighbours() {
            id = id.marked(&neighbours.here().name);
        }
        let entry = UploadEntry::new(id, order, unfinished, checksum.is_some());
        let entry = Arc::new(entry);
        inner.ledger.lock().enter(&entry, &config)?;
        let (this, it) = (self.clone(), entry.clone());
        match inner.disk.run(move || this.0.create(&it, after)) {
            Ok(file) => Ok(UploadReceiver::new(
                self.clone(),
                entry,
                seat,
                file,
                0,
                checksum,
                false,
            )),
            Err(error) => {
                inner.leave(&entry);
                Err(error)
            }
        }
    }

    /// Where a resumable upload stands. One of which all bytes are there has landed then:
    /// this waits for it, which suspends a coroutine and blocks a thread.
    ///
    /// # Errors
    /// There is none of this name, or it should land and doesn't.
    pub fn find(&self, id: UploadId) -> Result<Standing, SpoolError> {
        let deadline = Instant::now() + HOLD_WAIT;
        loop {
            let entry = self.0.resumable(id)?;
            let client = entry.client;
            let (is_held, standing) = {
                let core = entry.core.lock();
                let is_landed = matches!(core.phase, UploadPhase::Landed | UploadPhase::Done);
                let expiry = self.0.config().expiry_of(core.offset);
                let expires = (!is_landed).then(|| core.touched + expiry);
                let standing = Standing {
                    job: entry.job.clone(),
                    offset: core.offset,
                    size: core.size,
                    metadata: entry.metadata.clone().unwrap_or_default(),
                    expires,
                };
                (core.is_held, standing)
            };
            if standing.size != Some(standing.offset) || standing.expires.is_none() {
                return Ok(standing);
            }
            // To the client this would say that it has landed.
            if !is_held {
                let piece = NextPiece {
                    offset: standing.offset,
                    size: None,
                    checksum: None,
                };
                let receiver = self.resume(id, client, piece)?;
                drop(receiver.finish()?);
            } else if Instant::now() > deadline {
                return Err(SpoolError::Locked);
            } else {
                crate::sys::coroutine::pause(HOLD_POLL);
            }
        }
    }

    /// Goes on with an upload, for this client. Suspends a coroutine, blocks a thread; where
    /// another request holds the upload, up to 5 s.
    ///
    /// # Errors
    /// There is none, it isn't where it should be, another holds it, a limit is reached,
    /// or the disk fails. The upload stays what it was.
    pub fn resume(
        &self,
        id: UploadId,
        client: Occupant,
        piece: NextPiece,
    ) -> Result<UploadReceiver, SpoolError> {
        let resumed = self.resume_within_limits(id, client, piece);
        resumed.inspect_err(|error| self.0.count(error))
    }

    fn resume_within_limits(
        &self,
        id: UploadId,
        client: Occupant,
        piece: NextPiece,
    ) -> Result<UploadReceiver, SpoolError> {
        let (inner, config) = (&self.0, self.config());
        let entry = inner.resumable(id)?;
        config.check_size(piece.size)?;
        // Who waits for it has no place meanwhile: that one of the others may need.
        entry.hold()?;
        let reopen = || {
            let known = entry.core.lock().size;
            // It may have begun when more were allowed.
            config.check_size(known.filter(|&size| size > piece.offset))?;
            let seat = inner.seat(client)?;
            let ledger = inner.ledger.lock();
            ledger.reserve(&entry, piece.offset, piece.size, &config)?;
            drop(ledger);
            let (this, it) = (self.clone(), entry.clone());
            let (size, is_checked) = (piece.size, piece.checksum.is_some());
            let reopened = inner.disk.run(move || this.0.reopen(&it, size, is_checked));
            Ok((seat, reopened?))
        };
        match reopen() {
            Ok((seat, file)) => Ok(UploadReceiver::new(
                self.clone(),
                entry,
                seat,
                file,
                piece.offset,
                piece.checksum,
                true,
            )),
            Err(error) => {
                entry.release();
                Err(error)
            }
        }
    }

    /// Removes a resumable upload that isn't whole, and ends its job. Suspends a coroutine,
    /// blocks a thread.
    ///
    /// # Errors
    /// There is none of this name, or it has landed.
    pub fn terminate(&self, id: UploadId) -> Result<(), SpoolError> {
        let entry = self.0.resumable(id)?;
        match entry.end() {
            UploadPhase::Receiving => {}
            UploadPhase::Landing | UploadPhase::Landed | UploadPhase::Done => {
                return Err(SpoolError::Landed);
            }
            UploadPhase::Gone => return Err(SpoolError::NotFound),
        }
        let this = self.clone();
        self.0.disk.run(move || {
            this.0
                .discard(&entry, Some(&"the upload was cancelled".into()))
        });
        Ok(())
    }

    /// Removes the upload of a life that is over, as long as it is received. Blocks.
    pub fn cancel(&self, life: LifeId) {
        let entry = self.0.ledger.lock().of(life);
        if let Some(entry) = entry {
            self.0.cancel(&entry);
        }
    }

    /// The job of an upload that has landed goes on in another life: it is tried again.
    pub fn follow(&self, id: UploadId, life: LifeId) {
        let mut ledger = self.0.ledger.lock();
        if let Some(entry) = ledger.resumable(id) {
            ledger.set_life(&entry, life);
        }
    }

    /// How many uploads are being received.
    pub fn receiving(&self) -> usize {
        self.0.seats.receiving()
    }

    /// The bytes of all uploads that aren't processed yet, those to come included.
    pub fn bytes(&self) -> u64 {
        let ledger = self.0.ledger.lock();
        ledger.entries().map(|entry| entry.reserved()).sum()
    }

    /// What was free on its disk when that was last looked at.
    pub fn free_bytes(&self) -> u64 {
        self.0.free.load(Ordering::Relaxed)
    }

    /// Looks how much is free on its disk. Blocks for that.
    pub fn look_at_disk(&self) {
        if let Ok(free) = self.0.store.free_bytes() {
            self.0.free.store(free, Ordering::Relaxed);
        }
    }

    /// How many resumable uploads aren't whole.
    pub fn unfinished(&self) -> usize {
        self.0.seats.taken_unfinished()
    }

    /// Leaves the directory to another process: nothing begins, lands or is removed any
    /// more. What is on its way fails.
    pub fn close(&self) {
        self.0.is_closed.store(true, Ordering::Release);
    }
}

fn starts_a_second(config: &SpoolConfig) -> Option<f64> {
    Some(config.starts_a_minute as f64 / 60.0)
}

fn bytes_a_second(config: &SpoolConfig) -> Option<f64> {
    config.bytes_a_second.map(|rate| rate as f64)
}

impl SpoolCore {
    fn config(&self) -> Arc<SpoolConfig> {
        self.config.read().clone()
    }

    /// A place among the uploads that are being received.
    ///
    /// # Errors
    /// They are all taken, or the spool is closed.
    fn seat(&self, client: Occupant) -> Result<Seat, SpoolError> {
        if self.is_closed.load(Ordering::Acquire) {
            Err(SpoolError::Closed)
        } else {
            self.seats.take(client)
        }
    }

    /// One more upload begins.
    ///
    /// # Errors
    /// Too many have lately.
    fn start(&self, client: Occupant) -> Result<(), SpoolError> {
        let too_often = |limit| move |retry_after| SpoolError::TooOften { limit, retry_after };
        for key in client.keys() {
            let taken = self.starts_of_each.take(key, Instant::now());
            taken.map_err(too_often(Limit::UploadRatePerAddress))?;
        }
        self.starts.take(1).map_err(too_often(Limit::UploadRate))
    }

    /// Counts what was refused at a limit.
    fn count(&self, error: &SpoolError) {
        if let Some(limit) = error.limit() {
            self.metrics().refused(limit);
        }
    }

    /// Strikes an upload off: it is gone.
    fn leave(&self, entry: &UploadEntry) {
        entry.end();
        self.ledger.lock().remove(entry);
    }

    fn resumable(&self, id: UploadId) -> Result<Arc<UploadEntry>, SpoolError> {
        let entry = self.ledger.lock().resumable(id);
        let entry = entry.ok_or(SpoolError::NotFound)?;
        if self.is_over(&entry) {
            Err(SpoolError::Cancelled)
        } else {
            Ok(entry)
        }
    }

    fn metrics(&self) -> &Metrics {
        self.jobs.hub().metrics()
    }
}
