//! Which uploads there are, by name and by their jobs' lives, and what they take of the
//! limits.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::{UploadEntry, UploadPhase};
use super::{SpoolConfig, SpoolError};
use crate::event::job::LifeId;
use crate::sys::limit::Limit;
use crate::upload::UploadId;

/// The uploads of a spool. A life has one at most.
#[derive(Default)]
pub struct UploadLedger {
    uploads: HashMap<UploadId, Arc<UploadEntry>>,
    lives: HashMap<LifeId, UploadId>,
}

impl UploadLedger {
    /// All of them.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<UploadEntry>> {
        self.uploads.values()
    }

    /// Whether there is one of this name.
    pub fn has(&self, id: UploadId) -> bool {
        self.uploads.contains_key(&id)
    }

    /// One that may go on after it was cut off.
    pub fn resumable(&self, id: UploadId) -> Option<Arc<UploadEntry>> {
        let entry = self.uploads.get(&id)?;
        let is_there = entry.metadata.is_some() && entry.phase() != UploadPhase::Gone;
        is_there.then(|| entry.clone())
    }

    /// The one of a life.
    pub fn of(&self, life: LifeId) -> Option<Arc<UploadEntry>> {
        self.uploads.get(self.lives.get(&life)?).cloned()
    }

    /// Puts a new upload among the others.
    ///
    /// # Errors
    /// A limit is reached.
    pub fn enter(
        &mut self,
        entry: &Arc<UploadEntry>,
        limits: &SpoolConfig,
    ) -> Result<(), SpoolError> {
        self.check_room(entry, entry.reserved(), limits)?;
        self.insert(entry);
        Ok(())
    }

    /// Puts an upload that an earlier process left among the others, whatever the limits are
    /// now.
    pub fn insert(&mut self, entry: &Arc<UploadEntry>) {
        if let Some(life) = entry.life() {
            self.lives.insert(life, entry.id);
        }
        self.uploads.insert(entry.id, entry.clone());
    }

    /// An upload is of this life from now on.
    pub fn set_life(&mut self, entry: &UploadEntry, life: LifeId) {
        self.free_life(entry);
        entry.core.lock().life = Some(life);
        self.lives.insert(life, entry.id);
    }

    /// Sets aside what an upload that goes on at `offset` will need.
    ///
    /// # Errors
    /// It isn't there, or it is otherwise than is said, or there is no room.
    pub fn reserve(
        &self,
        entry: &UploadEntry,
        offset: u64,
        size: Option<u64>,
        limits: &SpoolConfig,
    ) -> Result<(), SpoolError> {
        let core = entry.core.lock();
        match core.phase {
            UploadPhase::Gone => return Err(SpoolError::NotFound),
            _ if core.offset != offset => {
                return Err(SpoolError::Offset {
                    offset: core.offset,
                });
            }
            UploadPhase::Receiving => {}
            UploadPhase::Landing | UploadPhase::Landed | UploadPhase::Done => {
                return Err(SpoolError::Landed);
            }
        }
        match (core.size, size) {
            (Some(known), Some(size)) if known != size => return Err(SpoolError::SizeKnown),
            (None, Some(size)) if size < core.offset => return Err(SpoolError::SizeKnown),
            _ => {}
        }
        let needed = core.size.or(size).unwrap_or(core.offset);
        drop(core);
        self.check_room(entry, needed, limits)?;
        entry.core.lock().reserved = needed;
        Ok(())
    }

    /// Sets aside what an upload of unknown length needs that grows to `end`.
    ///
    /// # Errors
    /// There is no room.
    pub fn grow(
        &self,
        entry: &UploadEntry,
        end: u64,
        limits: &SpoolConfig,
    ) -> Result<(), SpoolError> {
        self.check_room(entry, end, limits)?;
        entry.core.lock().reserved = end;
        Ok(())
    }

    /// What all of them will still take of the disk.
    pub fn promised(&self) -> u64 {
        self.entries().map(|entry| entry.promised()).sum()
    }

    /// Strikes an upload off: it is gone.
    pub fn remove(&mut self, entry: &UploadEntry) {
        self.uploads.remove(&entry.id);
        self.free_life(entry);
    }

    /// Strikes off an upload of which the pipeline has everything.
    pub fn remove_landed(&mut self, entry: &UploadEntry) {
        self.free_life(entry);
        // A client that lost the last answer may still ask how far it has come.
        let mut core = entry.core.lock();
        core.phase = UploadPhase::Done;
        core.reserved = 0;
        if entry.metadata.is_none() {
            self.uploads.remove(&entry.id);
        }
    }

    /// Whether there is room for so many bytes of an upload, in all and among those of its
    /// client.
    fn check_room(
        &self,
        entry: &UploadEntry,
        bytes: u64,
        limits: &SpoolConfig,
    ) -> Result<(), SpoolError> {
        let (mut all, mut of_client) = (bytes, bytes);
        for other in self.entries().filter(|other| other.id != entry.id) {
            let reserved = other.reserved();
            all = all.saturating_add(reserved);
            if other.client.is_counted_with(&entry.client) {
                of_client = of_client.saturating_add(reserved);
            }
        }
        let is_over_its_share = |most| of_client > most;
        if limits
            .spool_bytes_per_address
            .is_some_and(is_over_its_share)
        {
            return Err(SpoolError::Full(Limit::SpoolPerAddress));
        }
        if all > limits.spool_bytes {
            return Err(SpoolError::Full(Limit::Spool));
        }
        Ok(())
    }

    fn free_life(&mut self, entry: &UploadEntry) {
        if let Some(life) = entry.life() {
            self.lives.remove(&life);
        }
    }
}
