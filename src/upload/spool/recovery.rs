//! What an earlier process left: each upload is of one life of its job, and goes where that
//! is over.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use super::entry::UploadEntry;
use super::store::Remains;
use super::{Spool, SpoolCore, janitor};
use crate::upload::{Info, UploadState};

/// What a job is told whose upload didn't survive the process.
const CUT_OFF: &str = "the upload was cut off: upload the file again";

impl Spool {
    /// Takes up what an earlier process left, and ends the jobs of which it left nothing.
    pub(super) fn recover(&self) -> io::Result<()> {
        let inner = &self.0;
        for mut remains in inner.store.remains()? {
            match std::mem::replace(&mut remains.info, Ok(None)) {
                Ok(Some(info)) => self.take_up(info, &remains),
                Ok(None) => {
                    if let Err(error) = inner.store.remove(remains.id) {
                        error!("an upload's remains can't be removed: {error}");
                    }
                }
                // It may be a newer version's, or the disk may fail today alone.
                Err(error) => error!(
                    "what is known of the upload {} can't be read, so it stays where it is, below \
                     uploads, until somebody removes it: {error}",
                    remains.id
                ),
            }
        }
        inner.end_lost(CUT_OFF);
        Ok(())
    }

    fn take_up(&self, info: Info, remains: &Remains) {
        let inner = &self.0;
        let (id, touched) = (remains.id, remains.touched);
        let Some(info) = inner.settle_life(info, remains) else {
            return inner.landing.discard(id);
        };
        let is_unfinished = info.state == UploadState::Receiving && info.resumable.is_some();
        let unfinished = is_unfinished.then(|| inner.seats.left_unfinished(info.client));
        let entry = UploadEntry::recovered(id, &info, unfinished, remains.length, touched);
        let entry = Arc::new(entry);
        let age = SystemTime::now().duration_since(touched);
        let expiry = inner.config().expiry_of(entry.core.lock().offset);
        match info.state {
            UploadState::Landed => {
                inner.ledger.lock().insert(&entry);
                let landed = info.landed(id, &inner.store.directory(id));
                if let Some(landed) = landed {
                    let place = inner.seats.left_waiting(entry.client);
                    inner.landing.land(landed, Some(place));
                }
            }
            UploadState::Receiving if info.resumable.is_none() => {
                inner.discard(&entry, Some(&CUT_OFF.into()));
            }
            UploadState::Receiving if age.unwrap_or_default() < expiry => {
                inner.ledger.lock().insert(&entry);
                // It has, or it goes on to say that it hasn't.
                let _ = self.find(id);
            }
            UploadState::Receiving => {
                inner.discard(&entry, Some(&(&*janitor::expired(expiry)).into()));
            }
        }
    }
}

impl SpoolCore {
    /// Makes sure of the life that an upload is of. None where that is over.
    fn settle_life(&self, mut info: Info, remains: &Remains) -> Option<Info> {
        let (job, id) = (&info.job, remains.id);
        let life = info.life_in(self.jobs.hub());
        if life.is_none() {
            warn!("{job}: its upload {id} goes: the life that it was of is over");
        }
        let life = life?;
        if (info.life, info.retried_after) != (Some(life), None) {
            info.life = Some(life);
            info.retried_after = None;
            if let Err(error) = info.write(&self.store.directory(id), true) {
                let job = &info.job;
                error!("{job}: whose the upload {id} is can't be kept: {error}");
            }
        }
        Some(info)
    }
}
