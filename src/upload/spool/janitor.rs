//! Removes what nobody goes on with and what is of a life that is over, and strikes off what
//! the pipeline is done with.

use std::cmp::Reverse;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use crate::sys::channel::Receiver;
use crate::sys::order::sort_by_key;
use crate::sys::thread;

use super::SpoolCore;
use super::entry::UploadPhase;

/// How often it looks, at most and at least.
const ROUND_MIN: Duration = Duration::from_millis(100);
const ROUND_MAX: Duration = Duration::from_secs(10);
/// Remains that belong to no upload are left alone for so long: one may be beginning.
const STRAY_AGE: Duration = Duration::from_secs(60);

/// Uploads that the pipeline is done with and that clients may still ask after.
const REMEMBERED_MAX: usize = 1024;

/// Starts its thread, which ends with the spool, as the channel does.
pub fn start(spool: &Arc<SpoolCore>, ends: Receiver<()>) -> io::Result<()> {
    let spool = Arc::downgrade(spool);
    let work = move || {
        while let Some(spool) = Weak::upgrade(&spool) {
            if spool.is_closed.load(Ordering::Acquire) {
                return;
            }
            spool.keep_alive();
            spool.strike_off_landed();
            spool.remove_expired();
            spool.remove_lapsed();
            spool.tell_failures();
            if let Err(error) = spool.remove_strays() {
                warn!("the uploads' directory: {error}");
            }
            let soonest = spool.config().expiry_of(0);
            drop(spool);
            let _ = ends.recv_timeout((soonest / 4).clamp(ROUND_MIN, ROUND_MAX));
        }
    };
    thread::start("janitor", work).map(drop)
}

/// What a job is told whose upload has expired.
pub fn expired(expiry: Duration) -> String {
    let expiry = humantime::format_duration(expiry);
    format!("nobody went on with the upload for {expiry}: upload the file again")
}

impl SpoolCore {
    /// Says that uploads are waited for, or are landing, where nothing else was said of
    /// them.
    fn keep_alive(&self) {
        let uploads: Vec<_> = self.ledger.lock().entries().cloned().collect();
        let waiting = uploads.iter().filter_map(|entry| {
            let is_waited_for =
                matches!(entry.phase(), UploadPhase::Receiving | UploadPhase::Landing);
            let life = entry.life().filter(|_| is_waited_for)?;
            Some((entry.job.clone(), life))
        });
        self.jobs.keep_alive(waiting);
    }

    fn remove_expired(&self) {
        let now = SystemTime::now();
        let uploads: Vec<_> = self.ledger.lock().entries().cloned().collect();
        // Bytes may come meanwhile: each is looked at once.
        let touched = uploads.into_iter().map(|entry| {
            let touched = entry.core.lock().touched;
            (Reverse(touched), entry)
        });
        let mut uploads: Vec<_> = touched.collect();
        sort_by_key(&mut uploads, |(touched, _)| *touched);
        let mut remembered = 0;
        for (_, entry) in uploads {
            let (phase, expiry) = {
                let mut core = entry.core.lock();
                let expiry = self.config().expiry_of(core.offset);
                let age = now.duration_since(core.touched).unwrap_or_default();
                let is_expired = match core.phase {
                    UploadPhase::Receiving => !core.is_held && age >= expiry,
                    UploadPhase::Done => {
                        remembered += 1;
                        remembered > REMEMBERED_MAX || age >= self.config().expiry
                    }
                    // What the pipeline still has is its own.
                    UploadPhase::Landing | UploadPhase::Landed | UploadPhase::Gone => false,
                };
                if !is_expired {
                    continue;
                }
                (
                    std::mem::replace(&mut core.phase, UploadPhase::Gone),
                    expiry,
                )
            };
            match phase {
                UploadPhase::Receiving => self.discard(&entry, Some(&(&*expired(expiry)).into())),
                _ => self.leave(&entry),
            }
        }
    }

    /// Removes what is of a life that is over, where whoever ended it didn't.
    fn remove_lapsed(&self) {
        let uploads: Vec<_> = self.ledger.lock().entries().cloned().collect();
        for entry in uploads {
            if entry.life().is_some() && self.is_over(&entry) {
                self.cancel(&entry);
            }
        }
    }

    /// Removes what a failed removal has left.
    fn remove_strays(&self) -> io::Result<()> {
        let now = SystemTime::now();
        for remains in self.store.remains()? {
            let is_known = self.ledger.lock().has(remains.id);
            let age = now.duration_since(remains.touched).unwrap_or_default();
            // What can't be read may be somebody's: that was said at the start.
            if !is_known && age > STRAY_AGE && remains.info.is_ok() {
                self.store.remove(remains.id)?;
            }
        }
        Ok(())
    }
}
