//! An upload's files: how they are made, opened again, and removed.

use std::fs::File;
use std::io;
use std::sync::atomic::Ordering;

use super::entry::{UploadEntry, UploadPhase};
use super::report::Reason;
use super::{SpoolCore, SpoolError};
use crate::hub::After;
use crate::upload::UploadState;

impl SpoolCore {
    /// Begins the life of an upload's job, and makes its files. Blocks.
    pub(super) fn create(&self, entry: &UploadEntry, after: After) -> Result<File, SpoolError> {
        self.check_space(entry.reserved())?;
        let life = self.begin_life(&entry.job, after, entry.client);
        let life = life.map_err(SpoolError::Publish)?;
        self.ledger.lock().set_life(entry, life);
        let created = self.create_files(entry);
        let created = created.map_err(|error| self.cause(entry, error));
        if let Err(error) = &created {
            self.discard(entry, Some(&Reason::from(error)));
        }
        created
    }

    fn create_files(&self, entry: &UploadEntry) -> Result<File, SpoolError> {
        let info = entry.info(UploadState::Receiving, &entry.core.lock());
        let is_kept = entry.metadata.is_some();
        let created = self.store.create(entry.id, &info, is_kept);
        let file = self.trouble.note(created)?;
        // Where the job was deleted meanwhile, this is refused. Where it is from now on,
        // whoever does it finds the upload.
        self.report(entry, true)?;
        Ok(file)
    }

    /// Why an upload fails: its files may be gone since its life is over.
    pub(super) fn cause(&self, entry: &UploadEntry, error: SpoolError) -> SpoolError {
        match error {
            SpoolError::Io(_) if self.is_over(entry) => SpoolError::Cancelled,
            SpoolError::Io(io::ErrorKind::NotFound) => {
                error!(
                    "{}: the files of its upload {} are gone",
                    entry.job, entry.id
                );
                error
            }
            error => error,
        }
    }

    /// Removes an upload whose life is over, if it is being received. Blocks.
    pub(super) fn cancel(&self, entry: &UploadEntry) {
        if entry.end() == UploadPhase::Receiving {
            self.discard(entry, None);
        }
    }

    /// Opens an upload's file to go on. Blocks.
    pub(super) fn reopen(
        &self,
        entry: &UploadEntry,
        size: Option<u64>,
        is_checked: bool,
    ) -> Result<File, SpoolError> {
        let reopened = self.reopen_file(entry, size, is_checked);
        reopened.map_err(|error| self.cause(entry, error))
    }

    fn reopen_file(
        &self,
        entry: &UploadEntry,
        size: Option<u64>,
        is_checked: bool,
    ) -> Result<File, SpoolError> {
        let (offset, missing) = {
            let core = entry.core.lock();
            (core.offset, core.reserved.saturating_sub(core.offset))
        };
        self.check_space(missing)?;
        let file = self.trouble.note(self.store.reopen(entry.id, offset))?;
        let info = {
            let mut core = entry.core.lock();
            let before = (core.size, core.unverified_from);
            core.size = core.size.or(size);
            core.unverified_from = is_checked.then_some(offset);
            core.written = offset;
            core.is_info_due |= before != (core.size, core.unverified_from);
            core.is_info_due
                .then(|| entry.info(UploadState::Receiving, &core))
        };
        if let Some(info) = info {
            let written = info.write(&self.store.directory(entry.id), true);
            self.trouble.note(written)?;
            entry.core.lock().is_info_due = false;
        }
        Ok(file)
    }

    /// Whether so many bytes more leave enough free, with all that is promised already.
    pub(super) fn check_space(&self, bytes: u64) -> Result<(), SpoolError> {
        let promised = self.ledger.lock().promised();
        // What is asked for is among what is promised: its entry is there.
        let needed = promised.max(bytes).saturating_add(self.config().free_bytes);
        if self.trouble.note(self.store.free_bytes())? >= needed {
            Ok(())
        } else {
            Err(SpoolError::DiskFull)
        }
    }

    /// Removes an upload's files and ends its job with an error, if the life goes on that it
    /// is of, and there is something to say. Blocks.
    pub(super) fn discard(&self, entry: &UploadEntry, reason: Option<&Reason>) {
        self.leave(entry);
        self.metrics().uploads_failed.add(1);
        if self.is_closed.load(Ordering::Acquire) {
            return;
        }
        match self.store.remove(entry.id) {
            // A last piece is being written: the janitor comes by again.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                debug!("an upload's remains can't be removed yet: {error}");
            }
            Err(error) => error!("an upload's remains can't be removed yet: {error}"),
            Ok(()) => {}
        }
        if let (Some(reason), Some(life)) = (reason, entry.life()) {
            self.tell_failure(&entry.job, life, &entry.name, reason);
        }
    }

    /// Strikes off uploads whose directories the pipeline has removed. Blocks.
    pub(super) fn strike_off_landed(&self) {
        let landed: Vec<_> = {
            let ledger = self.ledger.lock();
            let landed = ledger.entries();
            landed
                .filter(|entry| entry.phase() == UploadPhase::Landed)
                .cloned()
                .collect()
        };
        for entry in landed.iter().filter(|entry| !self.store.has(entry.id)) {
            self.ledger.lock().remove_landed(entry);
        }
    }
}
