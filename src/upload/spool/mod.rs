//! Where uploads arrive: what is received, what may go on after it was cut off, and the
//! limits on all of it.
//!
//! The invariant: bytes that were acknowledged are on disk, and what was never
//! acknowledged is either where it can go on or gone. An upload's writes are in order, one
//! at a time, so the length of its file is how far it has come.

mod config;
mod entry;
mod error;
mod janitor;
mod ledger;
mod pace;
mod place;
mod receiver;
mod report;
mod store;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::event::job::JobId;
use crate::http::tus::Checksum;
use crate::hub::Hub;
use crate::upload::disk::Disk;
use crate::upload::{Landing, State, UploadId};
pub use config::SpoolConfig;
use entry::{Entry, Phase};
pub use error::SpoolError;
use ledger::Ledger;
use pace::Pace;
use place::Place;
pub use receiver::{Finished, Receiver};
use store::Store;

/// The stage that an upload is, to its job.
const STAGE: &str = "uploading";
/// How long one who wants to go on waits for who holds the upload, and how often it looks.
const HOLD_WAIT: Duration = Duration::from_secs(5);
const HOLD_POLL: Duration = Duration::from_millis(20);

/// The uploads of a server. A clone is another handle to the same.
#[derive(Clone)]
pub struct Spool(Arc<Inner>);

struct Inner {
    config: SpoolConfig,
    hub: Hub,
    disk: Disk,
    store: Store,
    landing: Arc<dyn Landing>,
    ledger: Mutex<Ledger>,
    /// Uploads that are being received.
    receiving: AtomicUsize,
    /// The directory is another process's now.
    is_closed: AtomicBool,
    starts: Pace,
    bytes: Option<Pace>,
}

/// An upload that is about to begin.
#[derive(Clone, Debug)]
pub struct Order {
    /// The job that it begins.
    pub job: JobId,
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
        hub: Hub,
        disk: Disk,
        landing: Arc<dyn Landing>,
    ) -> io::Result<Spool> {
        let spool = Spool(Arc::new(Inner {
            store: Store::open(data)?,
            starts: Pace::new(
                config.starts_a_minute as f64 / 60.0,
                Duration::from_secs(60),
            ),
            bytes: config
                .bytes_a_second
                .map(|rate| Pace::new(rate as f64, Duration::ZERO)),
            config,
            hub,
            disk,
            landing,
            ledger: Mutex::default(),
            receiving: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
        }));
        spool.recover()?;
        janitor::start(&spool.0)?;
        Ok(spool)
    }

    /// What it takes.
    pub fn config(&self) -> &SpoolConfig {
        &self.0.config
    }

    /// The threads that read and write its files.
    pub fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// Begins an upload; `checksum` is that of the bytes that come with it. Suspends a
    /// coroutine, blocks a thread.
    ///
    /// # Errors
    /// A limit is reached, the job has ended or has an upload, or the disk fails. Nothing
    /// has begun then.
    pub fn begin(&self, order: Order, checksum: Option<Checksum>) -> Result<Receiver, SpoolError> {
        let inner = &self.0;
        if order.size.unwrap_or(0) > inner.config.upload_bytes {
            return Err(SpoolError::TooLarge {
                max_bytes: inner.config.upload_bytes,
            });
        }
        let place = Place::take(inner)?;
        inner
            .starts
            .take(1)
            .map_err(|retry_after| SpoolError::TooOften { retry_after })?;
        let id = UploadId::random()?;
        let entry = Arc::new(Entry::new(id, order, checksum.is_some()));
        match inner.enter(&entry) {
            Err(SpoolError::JobTaken) => {
                // What the pipeline is done with may not have been struck off yet.
                let this = self.clone();
                inner.disk.run(move || this.0.strike_off_landed());
                inner.enter(&entry)?;
            }
            other => other?,
        }
        let (this, it) = (self.clone(), entry.clone());
        match inner.disk.run(move || this.0.create(&it)) {
            Ok(file) => Ok(Receiver::new(self.clone(), entry, place, file, 0, checksum)),
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
            let (is_held, standing) = {
                let core = entry.core.lock();
                let is_landed = matches!(core.phase, Phase::Landed | Phase::Done);
                let expires = (!is_landed).then(|| core.touched + self.0.config.expiry);
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
            match is_held {
                false => drop(self.resume(id, standing.offset, None, None)?.finish()?),
                true if Instant::now() > deadline => return Err(SpoolError::Locked),
                true => crate::sys::coroutine::pause(HOLD_POLL),
            }
        }
    }

    /// Goes on with an upload that has come to `offset`; `size` says its bytes where they
    /// weren't known, and `checksum` those of the piece that comes. Suspends a coroutine,
    /// blocks a thread; where another request holds the upload, up to 5 s.
    ///
    /// # Errors
    /// There is none, it isn't where it should be, another holds it, a limit is reached,
    /// or the disk fails. The upload stays what it was.
    pub fn resume(
        &self,
        id: UploadId,
        offset: u64,
        size: Option<u64>,
        checksum: Option<Checksum>,
    ) -> Result<Receiver, SpoolError> {
        let inner = &self.0;
        let entry = inner.resumable(id)?;
        if size.is_some_and(|size| size > inner.config.upload_bytes) {
            return Err(SpoolError::TooLarge {
                max_bytes: inner.config.upload_bytes,
            });
        }
        let place = Place::take(inner)?;
        entry.hold()?;
        let (this, it) = (self.clone(), entry.clone());
        let is_checked = checksum.is_some();
        let reserved = inner
            .ledger
            .lock()
            .reserve(&entry, offset, size, &inner.config);
        let reopened =
            reserved.and_then(|()| inner.disk.run(move || this.0.reopen(&it, size, is_checked)));
        match reopened {
            Ok(file) => Ok(Receiver::new(
                self.clone(),
                entry,
                place,
                file,
                offset,
                checksum,
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
            Phase::Receiving => {}
            Phase::Landing | Phase::Landed | Phase::Done => return Err(SpoolError::Landed),
            Phase::Gone => return Err(SpoolError::NotFound),
        }
        let this = self.clone();
        self.0
            .disk
            .run(move || this.0.discard(&entry, Some("the upload was cancelled")));
        Ok(())
    }

    /// Removes the upload that a job has as long as it is received, without a word to the
    /// job. Never waits: it is gone a moment later. Returns whether there was one.
    pub fn cancel(&self, job: &JobId) -> bool {
        let entry = self.0.ledger.lock().of(job);
        let Some(entry) = entry.filter(|entry| entry.end() == Phase::Receiving) else {
            return false;
        };
        self.0.leave(&entry);
        let this = self.clone();
        // Where there is no place in the queue, the janitor finds it.
        let _ = self.0.disk.try_begin(move || this.0.discard(&entry, None));
        true
    }

    /// Leaves the directory to another process: nothing begins, lands or is removed any
    /// more. What is on its way fails.
    pub fn close(&self) {
        self.0.is_closed.store(true, Ordering::Release);
    }

    /// Takes up what an earlier life left.
    fn recover(&self) -> io::Result<()> {
        let inner = &self.0;
        for remains in inner.store.remains()? {
            let Some(info) = remains.info else {
                if let Err(error) = inner.store.remove(remains.id) {
                    log::error!("an upload's remains can't be removed: {error}");
                }
                continue;
            };
            let (id, length, touched) = (remains.id, remains.length, remains.touched);
            let entry = Arc::new(Entry::recovered(id, &info, length, touched));
            let age = SystemTime::now().duration_since(touched);
            match info.state {
                State::Landed => {
                    inner.ledger.lock().insert(&entry);
                    let landed = info.landed(id, &inner.store.directory(id));
                    landed.into_iter().for_each(|it| inner.landing.land(it));
                }
                State::Receiving if info.resumable.is_none() => {
                    inner.discard(
                        &entry,
                        Some("the upload was cut off: upload the file again"),
                    );
                }
                State::Receiving if age.unwrap_or_default() < inner.config.expiry => {
                    inner.ledger.lock().insert(&entry);
                    // It has, or it goes on to say that it hasn't.
                    let _ = self.find(id);
                }
                State::Receiving => {
                    inner.discard(&entry, Some(&janitor::expired(inner.config.expiry)));
                }
            }
        }
        Ok(())
    }
}

impl Inner {
    fn enter(&self, entry: &Arc<Entry>) -> Result<(), SpoolError> {
        self.ledger.lock().enter(entry, &self.config)
    }

    /// Strikes an upload off: it is gone.
    fn leave(&self, entry: &Entry) {
        entry.end();
        self.ledger.lock().remove(entry);
    }

    fn resumable(&self, id: UploadId) -> Result<Arc<Entry>, SpoolError> {
        let entry = self.ledger.lock().resumable(id);
        entry.ok_or(SpoolError::NotFound)
    }

    /// Makes an upload's files and tells its job. Blocks.
    fn create(&self, entry: &Entry) -> Result<File, SpoolError> {
        self.check_job(&entry.job)?;
        self.check_space(entry.reserved())?;
        let info = entry.info(State::Receiving, &entry.core.lock());
        let file = self
            .store
            .create(entry.id, &info, entry.metadata.is_some())?;
        if let Err(error) = self.report(entry, true) {
            let _ = self.store.remove(entry.id);
            return Err(error);
        }
        Ok(file)
    }

    /// Opens an upload's file to go on. Blocks.
    fn reopen(
        &self,
        entry: &Entry,
        size: Option<u64>,
        is_checked: bool,
    ) -> Result<File, SpoolError> {
        let (offset, missing) = {
            let core = entry.core.lock();
            (core.offset, core.reserved.saturating_sub(core.offset))
        };
        self.check_space(missing)?;
        let file = self.store.reopen(entry.id, offset)?;
        let info = {
            let mut core = entry.core.lock();
            let before = (core.size, core.unverified_from);
            core.size = core.size.or(size);
            core.unverified_from = is_checked.then_some(offset);
            (before != (core.size, core.unverified_from))
                .then(|| entry.info(State::Receiving, &core))
        };
        if let Some(info) = info {
            info.write(&self.store.directory(entry.id), true)?;
        }
        Ok(file)
    }

    /// Whether so many bytes more leave enough free, with all that is promised already.
    fn check_space(&self, bytes: u64) -> Result<(), SpoolError> {
        let promised = self.ledger.lock().promised();
        // What is asked for is among what is promised: its entry is there.
        let needed = promised.max(bytes).saturating_add(self.config.free_bytes);
        match self.store.free_bytes()? >= needed {
            true => Ok(()),
            false => Err(SpoolError::DiskFull),
        }
    }

    /// Removes an upload's files and ends its job with an error, unless there is nothing
    /// to say. Blocks.
    fn discard(&self, entry: &Entry, message: Option<&str>) {
        self.leave(entry);
        self.hub.metrics().uploads_failed.add(1);
        if self.is_closed.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = self.store.remove(entry.id) {
            log::error!("an upload's remains can't be removed yet: {error}");
        }
        if let Some(message) = message {
            self.tell_if_running(&entry.job, message);
        }
    }

    /// Strikes off uploads whose directories the pipeline has removed. Blocks.
    fn strike_off_landed(&self) {
        let landed: Vec<_> = {
            let ledger = self.ledger.lock();
            let landed = ledger.entries();
            landed
                .filter(|entry| entry.phase() == Phase::Landed)
                .cloned()
                .collect()
        };
        for entry in landed.iter().filter(|entry| !self.store.has(entry.id)) {
            self.ledger.lock().remove_landed(entry);
        }
    }
}
