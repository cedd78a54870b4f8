//! An upload while its bytes come: buffers are filled here, in a coroutine, and written by
//! the disk's threads, one behind the other.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::entry::{UploadEntry, UploadPhase};
use super::report::Reason;
use super::seat::Seat;
use super::store;
use super::{Spool, SpoolCore, SpoolError};
use crate::access::places::Place;
use crate::event::job::JobId;
use crate::http::tus::Checksum;
use crate::upload::disk::DiskResult;
use crate::upload::{UploadId, UploadState};

/// What is written at a time. One buffer is filled while another is written.
const BUFFER_BYTES: usize = 256 * 1024;
/// A buffer that fills slowly is written after so long all the same.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// After so many bytes the disk is asked whether it still has room, and told to begin
/// with what will have to be there in the end.
const SPACE_STEP: u64 = 16 << 20;

/// An upload that is being received. Dropped without an end it is as if it had never been.
pub struct UploadReceiver {
    spool: Spool,
    entry: Arc<UploadEntry>,
    /// What it holds until it has ended.
    seat: Option<Seat>,
    file: Arc<File>,
    /// Where the buffer belongs.
    offset: u64,
    limit: u64,
    buffer: Vec<u8>,
    filled: usize,
    handed_over: Instant,
    spare: Vec<u8>,
    pending: Option<DiskResult<PieceWritten>>,
    is_syncing: Arc<AtomicBool>,
    checksum: Option<Checksum>,
    is_checked: bool,
    /// Whether its client can go on with it in another request: it is resumable, and has been
    /// told where it is.
    is_resumable: bool,
}

struct PieceWritten {
    buffer: Vec<u8>,
    checksum: Option<Checksum>,
    result: Result<(), SpoolError>,
}

/// What a piece of an upload has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The upload.
    pub id: UploadId,
    /// Its job.
    pub job: JobId,
    /// The bytes that are there.
    pub offset: u64,
    /// When it is removed if nobody goes on with it. None when it has landed.
    pub expires: Option<SystemTime>,
    /// How many stages come after it.
    pub stages: usize,
}

impl UploadReceiver {
    pub(super) fn new(
        spool: Spool,
        entry: Arc<UploadEntry>,
        seat: Seat,
        file: File,
        offset: u64,
        checksum: Option<Checksum>,
        is_resumable: bool,
    ) -> UploadReceiver {
        let size = entry.core.lock().size;
        UploadReceiver {
            limit: size.unwrap_or(spool.config().upload_bytes),
            is_checked: checksum.is_some(),
            spool,
            entry,
            seat: Some(seat),
            file: Arc::new(file),
            offset,
            buffer: Vec::new(),
            filled: 0,
            handed_over: Instant::now(),
            spare: Vec::new(),
            pending: None,
            is_syncing: Arc::default(),
            checksum,
            is_resumable,
        }
    }

    /// Whether what it has isn't lost if it breaks off.
    pub fn is_resumable(&self) -> bool {
        self.is_resumable
    }

    /// How many bytes more it takes. None where it began when more were allowed.
    pub fn left(&self) -> u64 {
        self.limit
            .saturating_sub(self.offset)
            .saturating_sub(self.filled as u64)
    }

    /// Why it should be broken off, where another request would go on with it, or it was
    /// cancelled.
    pub fn unwanted(&self) -> Option<SpoolError> {
        if self.is_over() {
            return Some(SpoolError::Cancelled);
        }
        let is_wanted = self.entry.core.lock().is_wanted;
        is_wanted.then_some(SpoolError::TakenOver)
    }

    /// Where the next bytes belong; empty where no more are taken. What has been put there
    /// counts when [`advance`](UploadReceiver::advance) says so.
    pub fn space(&mut self) -> &mut [u8] {
        let left = self.left();
        if self.buffer.is_empty() {
            self.buffer = std::mem::take(&mut self.spare);
            if self.buffer.is_empty() {
                let length = left.min(BUFFER_BYTES as u64) as usize;
                self.buffer = vec![0; length];
            }
        }
        let room = (self.buffer.len() - self.filled) as u64;
        let end = self.filled + room.min(left) as usize;
        &mut self.buffer[self.filled..end]
    }

    /// Takes so many bytes that were put into the [`space`](UploadReceiver::space). Waits where
    /// the disk doesn't keep up: suspends a coroutine, blocks a thread.
    ///
    /// # Errors
    /// The disk is full or fails, or the upload was cancelled.
    pub fn advance(&mut self, count: usize) -> Result<(), SpoolError> {
        self.filled += count;
        self.entry.core.lock().heard = Instant::now();
        let is_full = self.filled == self.buffer.len();
        if is_full || self.handed_over.elapsed() >= FLUSH_INTERVAL {
            self.hand_over()?;
        }
        Ok(())
    }

    /// Takes a copy of more bytes. Waits as [`advance`](UploadReceiver::advance) does.
    ///
    /// # Errors
    /// As there, or the bytes are too many.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), SpoolError> {
        if bytes.len() as u64 > self.left() {
            return Err(self.too_long());
        }
        while !bytes.is_empty() {
            let space = self.space();
            let (now, later) = bytes.split_at(bytes.len().min(space.len()));
            space[..now.len()].copy_from_slice(now);
            bytes = later;
            self.advance(now.len())?;
        }
        Ok(())
    }

    /// All bytes of this request have come. Waits until they are on disk; where they were
    /// the upload's last it has landed then.
    ///
    /// # Errors
    /// The disk is full or fails, the bytes don't match their checksum, or the upload was
    /// cancelled. One that can't go on is gone.
    pub fn finish(mut self) -> Result<Finished, SpoolError> {
        match self.conclude(true) {
            Ok(finished) => Ok(finished),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// No more bytes come, though they should: what can go on keeps what it has, and what
    /// can't is gone; its job is told why. Waits for the disk.
    pub fn break_off(mut self, why: &str) {
        if !self.is_resumable || self.is_over() {
            self.discard(Some(why.into()));
        } else if let Err(error) = self.conclude(false) {
            self.fail(error);
        }
    }

    /// Ends with `error`, which its job is told where it can't go on. Waits for the disk.
    pub fn fail(mut self, error: SpoolError) -> SpoolError {
        let error = self.spool.0.cause(&self.entry, error);
        self.spool.0.count(&error);
        match (self.is_resumable, &error) {
            (_, SpoolError::Cancelled) => self.discard(None),
            (false, _) => self.discard(Some(Reason::from(&error))),
            (true, _) => {
                let _ = self.settle();
                if self.is_checked {
                    let (spool, entry, file) =
                        (self.spool.clone(), self.entry.clone(), self.file.clone());
                    let disk = self.spool.disk();
                    disk.run(move || spool.0.take_back(&entry, &file));
                }
                // First this, so that who goes on with it finds a place.
                self.seat = None;
                self.entry.release();
            }
        }
        error
    }

    /// Why it takes no more than that.
    pub fn too_long(&self) -> SpoolError {
        match self.entry.core.lock().size {
            Some(_) => SpoolError::LongerThanSaid,
            None => SpoolError::TooLarge {
                max_bytes: self.limit,
            },
        }
    }

    /// Whether nobody will go on with it.
    fn is_over(&self) -> bool {
        self.entry.phase() == UploadPhase::Gone || self.spool.0.is_over(&self.entry)
    }

    /// Has the buffer written, when the one before is.
    fn hand_over(&mut self) -> Result<(), SpoolError> {
        self.settle()?;
        if self.is_over() {
            return Err(SpoolError::Cancelled);
        }
        let count = std::mem::take(&mut self.filled);
        let wait = self.spool.0.bytes.owe(count as u64);
        if !wait.is_zero() {
            crate::sys::coroutine::pause(wait);
        }
        let buffer = std::mem::take(&mut self.buffer);
        let mut checksum = self.checksum.take();
        let (spool, entry, file) = (self.spool.clone(), self.entry.clone(), self.file.clone());
        let at = self.offset;
        self.offset += count as u64;
        self.handed_over = Instant::now();
        let disk = self.spool.disk();
        self.pending = Some(disk.begin(move || {
            if let Some(checksum) = &mut checksum {
                checksum.update(&buffer[..count]);
            }
            let result = spool.0.write(&entry, &file, &buffer[..count], at);
            PieceWritten {
                buffer,
                checksum,
                result,
            }
        }));
        // So that not everything is left for the end.
        if at / SPACE_STEP != self.offset / SPACE_STEP
            && !self.is_syncing.swap(true, Ordering::AcqRel)
        {
            let (file, is_syncing) = (self.file.clone(), self.is_syncing.clone());
            let sync = move || {
                let _ = file.sync_data();
                is_syncing.store(false, Ordering::Release);
            };
            if self.spool.disk().try_begin(sync).is_none() {
                self.is_syncing.store(false, Ordering::Release);
            }
        }
        Ok(())
    }

    /// Waits until what was handed over is written.
    fn settle(&mut self) -> Result<(), SpoolError> {
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        let written = pending.wait();
        self.spare = written.buffer;
        self.checksum = written.checksum;
        written.result
    }

    /// Has everything written and synced, and the upload land if it is whole. `is_whole`
    /// says whether the request was.
    fn conclude(&mut self, is_whole: bool) -> Result<Finished, SpoolError> {
        self.settle()?;
        let buffer = std::mem::take(&mut self.buffer);
        let count = std::mem::take(&mut self.filled);
        let mut checksum = self.checksum.take();
        let (spool, entry, file) = (self.spool.clone(), self.entry.clone(), self.file.clone());
        let (at, is_checked) = (self.offset, self.is_checked);
        let place = self.seat.as_mut().and_then(Seat::wait);
        self.spool.disk().run(move || {
            let inner = &spool.0;
            if let Some(checksum) = &mut checksum {
                checksum.update(&buffer[..count]);
            }
            inner.write(&entry, &file, &buffer[..count], at)?;
            if is_checked && !is_whole {
                inner.take_back(&entry, &file);
                return Ok(());
            }
            if is_checked && !checksum.is_some_and(Checksum::matches) {
                return Err(SpoolError::Checksum);
            }
            inner.keep(&entry, &file, is_whole, place)
        })?;
        // From here on nothing is taken back.
        self.seat = None;
        self.entry.release();
        let core = self.entry.core.lock();
        let expires = core.touched + self.spool.config().expiry_of(core.offset);
        Ok(Finished {
            id: self.entry.id,
            job: self.entry.job.clone(),
            offset: core.offset,
            expires: (core.phase == UploadPhase::Receiving).then_some(expires),
            stages: self.spool.stages(),
        })
    }

    fn discard(&mut self, reason: Option<Reason>) {
        let _ = self.settle();
        let (spool, entry) = (self.spool.clone(), self.entry.clone());
        self.spool
            .disk()
            .run(move || spool.0.discard(&entry, reason.as_ref()));
        self.seat = None;
    }
}

impl Drop for UploadReceiver {
    fn drop(&mut self) {
        // It panicked on the way: nobody knows what is in the file.
        if self.seat.is_some() {
            self.spool.0.leave(&self.entry);
            let (spool, entry) = (self.spool.clone(), self.entry.clone());
            let message = "the upload failed in the server: see its log";
            let _ = self
                .spool
                .disk()
                .try_begin(move || spool.0.discard(&entry, Some(&message.into())));
        }
    }
}

impl SpoolCore {
    /// Writes bytes that came, and tells the job. Blocks.
    fn write(
        &self,
        entry: &UploadEntry,
        file: &File,
        bytes: &[u8],
        at: u64,
    ) -> Result<(), SpoolError> {
        let end = at + bytes.len() as u64;
        if bytes.is_empty() {
            return Ok(());
        }
        if entry.reserved() < end {
            self.ledger.lock().grow(entry, end, &self.config())?;
        }
        if at / SPACE_STEP != end / SPACE_STEP || at == 0 {
            self.check_space(0)?;
        }
        self.trouble.note(store::write_at(file, bytes, at))?;
        let metrics = self.metrics();
        metrics.upload_bytes_received.add(bytes.len() as u64);
        {
            let mut core = entry.core.lock();
            if core.phase == UploadPhase::Gone {
                return Err(SpoolError::Cancelled);
            }
            core.written = end;
            if core.unverified_from.is_none() {
                core.offset = end;
            }
            core.touched = SystemTime::now();
        }
        self.report(entry, false)
    }

    /// Drops what has been written of a piece whose checksum didn't match, or can't be
    /// compared. Blocks.
    fn take_back(&self, entry: &UploadEntry, file: &File) {
        let mut core = entry.core.lock();
        core.written = core.offset;
        // Where this fails it is done as soon as somebody goes on: see `SpoolStore::reopen`.
        if let Err(error) = file.set_len(core.offset) {
            warn!(
                "{}: an upload's file can't be shortened: {error}",
                entry.job
            );
        }
    }

    /// Makes sure that what has been written is there after a power cut, and hands an
    /// upload that is whole to the pipeline. Its checksum, if there is one, has matched.
    /// Blocks.
    fn keep(
        &self,
        entry: &UploadEntry,
        file: &File,
        is_whole: bool,
        place: Option<Place>,
    ) -> Result<(), SpoolError> {
        let info = {
            let mut core = entry.core.lock();
            if core.phase != UploadPhase::Receiving {
                return Err(SpoolError::Cancelled);
            }
            if self.is_closed.load(Ordering::Acquire) {
                return Err(SpoolError::Closed);
            }
            core.offset = core.written;
            core.is_info_due |= core.unverified_from.take().is_some();
            if is_whole && entry.metadata.is_none() {
                core.size = Some(core.offset);
            }
            if core.size == Some(core.offset) {
                // It can't be cancelled any more, but by the pipeline.
                core.phase = UploadPhase::Landing;
                core.is_info_due = true;
                Some(entry.info(UploadState::Landed, &core))
            } else {
                let is_due = core.is_info_due;
                is_due.then(|| entry.info(UploadState::Receiving, &core))
            }
        };
        match info {
            None => {
                self.trouble.note(file.sync_data())?;
                self.trouble.works();
                Ok(())
            }
            Some(info) if info.state == UploadState::Receiving => {
                let directory = self.store.directory(entry.id);
                let synced = file.sync_data();
                self.trouble
                    .note(synced.and_then(|()| info.write(&directory, true)))?;
                self.trouble.works();
                entry.core.lock().is_info_due = false;
                Ok(())
            }
            Some(info) => {
                let landed = self.land(entry, file, &info, place);
                if landed.is_err() {
                    entry.core.lock().phase = UploadPhase::Receiving;
                }
                landed
            }
        }
    }

    fn land(
        &self,
        entry: &UploadEntry,
        file: &File,
        info: &crate::upload::Info,
        place: Option<Place>,
    ) -> Result<(), SpoolError> {
        self.report(entry, true)?;
        self.trouble.note(self.store.land(entry.id, info, file))?;
        self.trouble.works();
        {
            let mut core = entry.core.lock();
            core.phase = UploadPhase::Landed;
            core.unfinished = None;
        }
        self.metrics().uploads_landed.add(1);
        let bytes = entry.core.lock().offset;
        info!(
            "job {}: {:?} has landed, {bytes} bytes",
            entry.job, info.name
        );
        if let Some(landed) = info.landed(entry.id, &self.store.directory(entry.id)) {
            self.landing.land(landed, place);
        }
        Ok(())
    }
}
