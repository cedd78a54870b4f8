//! Jobs that have failed and are tried again: a life ends, and the next begins with the same
//! upload.

use std::io;
use std::sync::Arc;

use super::attempt::Attempt;
use super::line::{Ticket, Work};
use super::state::FileState;
use super::{Pipeline, UploadLife};
use crate::event::job::{JobId, LifeId};
use crate::hub::{After, Life, Refusal};
use crate::sequencer::{PublishError, now_ms};
use crate::upload::{Info, Landed, UploadId};

/// A job that is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retried {
    /// The attempt's number; the first was 1.
    pub attempt: u32,
    /// The upload.
    pub upload: UploadId,
    /// The life that has begun.
    pub life: LifeId,
}

/// Why a job isn't tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryError {
    /// It is on its way.
    Running,
    /// There is no failed job of this name whose upload is kept.
    NotKept,
    /// It was deleted.
    Deleted,
    /// Its new life can't be begun.
    Publish(PublishError),
    /// That it is tried again can't be kept.
    Disk(io::ErrorKind),
}

impl Pipeline {
    /// Tries a failed job again, from its first stage and in a new life. Blocks for the disk.
    ///
    /// # Errors
    /// See [`RetryError`]. The job stays what it was.
    pub fn retry(&self, job: &JobId) -> Result<Retried, RetryError> {
        let inner = &self.0;
        let _turn = inner.turn.lock();
        let hub = inner.jobs.hub();
        let before = hub.life(job).filter(|life| !life.is_forgotten_at(now_ms()));
        let before = before.ok_or(RetryError::NotKept)?;
        if before.is_deleted() {
            return Err(RetryError::Deleted);
        }
        if !before.is_over() {
            return Err(RetryError::Running);
        }
        let (old, at) = self.take_kept(before.id()).ok_or(RetryError::NotKept)?;
        let begun = self.begin_again(&old, &before);
        let (attempt, state, ticket) = begun.inspect_err(|_| {
            let kept = UploadLife::Kept(old, at);
            inner.lives.lock().insert(before.id(), kept);
            self.cancel_unless_current(job, before.id());
        })?;
        let Landed { life, upload, .. } = *attempt.landed;
        let active = UploadLife::Active {
            attempt: attempt.clone(),
            // Whoever may ask for it is trusted.
            _place: None,
        };
        inner.lives.lock().insert(life, active);
        self.cancel_unless_current(job, life);
        let retried = Retried {
            attempt: attempt.number,
            upload,
            life,
        };
        self.enqueue(Work::new(attempt, state, ticket));
        Ok(retried)
    }

    /// Takes a failed attempt out, so that nobody else does anything about it.
    fn take_kept(&self, life: LifeId) -> Option<(Arc<Attempt>, u64)> {
        let mut lives = self.0.lives.lock();
        match lives.remove(&life)? {
            UploadLife::Kept(attempt, at) => Some((attempt, at)),
            active => {
                lives.insert(life, active);
                None
            }
        }
    }

    /// Begins the life after `before` with the upload of that. Whatever ends the process
    /// meanwhile, the next one finds the upload to be of one of the two.
    fn begin_again(
        &self,
        old: &Attempt,
        before: &Life,
    ) -> Result<(Arc<Attempt>, FileState, Ticket), RetryError> {
        let inner = &self.0;
        let (job, folder) = (&old.landed.job, old.landed.folder());
        let disk = |error: io::Error| {
            error!("{job}: it isn't tried again: {error}");
            RetryError::Disk(error.kind())
        };
        let mut info = Info::read(folder).map_err(disk)?;
        info.retried_after = Some(before.last);
        info.write(folder, true).map_err(disk)?;
        let begun = inner
            .jobs
            .begin_upload(job, After::Failed(before.id()), before.client);
        info.retried_after = None;
        let life = begun.map_err(|error| {
            if let Err(error) = info.write(folder, true) {
                error!("{job}: that it isn't tried again can't be kept: {error}");
            }
            match error {
                PublishError::Refused(Refusal::Running) => RetryError::Running,
                PublishError::Refused(Refusal::Deleted) => RetryError::Deleted,
                PublishError::Refused(_) => RetryError::NotKept,
                error => RetryError::Publish(error),
            }
        })?;
        info.life = Some(life);
        let landed = Arc::new(Landed {
            life,
            ..Landed::clone(&old.landed)
        });
        let state = FileState::new(old.number.saturating_add(1), &landed);
        let kept = state.save(folder).and_then(|()| info.write(folder, true));
        if let Err(error) = kept {
            error!("{job}: its new attempt can't be kept yet: {error}");
        }
        let ticket = inner.ticket();
        let attempt = inner.attempt(landed, state.attempt, ticket.line());
        Ok((attempt, state, ticket))
    }
}
