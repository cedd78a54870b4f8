//! What jobs are told of their uploads.
//!
//! All of it goes to the one life of the job that the upload began. Where that is refused
//! for what has become of the job meanwhile, the upload is over as well.

use serde_json::json;

use super::entry::{UploadEntry, UploadPhase};
use super::{STAGE, SpoolCore, SpoolError};
use crate::access::places::Occupant;
use crate::event::Event;
use crate::event::job::{JobId, LifeId};
use crate::hub::{After, Life, LifeState, Owner};
use crate::sequencer::PublishError;

/// That an upload failed, as its job is still to be told.
pub struct UploadFailure {
    job: JobId,
    life: LifeId,
    event: Event,
}

/// Why an upload failed, as its job is told.
#[derive(Clone, Debug)]
pub struct Reason {
    message: String,
    /// Whether the same file may come through another time.
    retryable: bool,
}

impl From<&str> for Reason {
    fn from(message: &str) -> Reason {
        Reason {
            message: message.to_owned(),
            retryable: true,
        }
    }
}

impl From<&SpoolError> for Reason {
    fn from(error: &SpoolError) -> Reason {
        Reason {
            message: error.to_string(),
            retryable: !matches!(
                error,
                SpoolError::TooLarge { .. } | SpoolError::LongerThanSaid
            ),
        }
    }
}

impl SpoolCore {
    /// Begins the life of a job that an upload is. Blocks.
    pub(super) fn begin_life(
        &self,
        job: &JobId,
        after: After,
        client: Occupant,
    ) -> Result<LifeId, PublishError> {
        let begin = || self.jobs.begin_upload(job, after, client);
        match self.jobs.hub().life(job) {
            None => begin(),
            Some(_) => self.landing.take_over(job, &begin),
        }
    }

    /// Whether the life that an upload is of is over for it: its job was deleted, begun anew
    /// or forgotten, or, where bytes are missing, has ended.
    pub(super) fn is_over(&self, entry: &UploadEntry) -> bool {
        let now = self.jobs.hub().life(&entry.job);
        let is_same = |life: &Life| Some(life.id()) == entry.life() && !life.is_deleted();
        match now.filter(is_same) {
            Some(life) => life.is_over() && entry.phase() == UploadPhase::Receiving,
            None => true,
        }
    }

    /// Tells an upload's job how far it has come, if it is time to. Blocks.
    pub(super) fn report(&self, entry: &UploadEntry, is_due: bool) -> Result<(), SpoolError> {
        let Some(data) = entry.report(is_due, self.landing.stages()) else {
            return Ok(());
        };
        let life = entry.life().ok_or(SpoolError::Cancelled)?;
        let event = Event::new("progress", &data).expect("a percent is from 0 to 100");
        self.jobs.publish_in(&entry.job, life, event)?;
        Ok(())
    }

    /// Ends an upload's job with an error, if the life goes on that the upload is of. What
    /// can't be told now is told later. Blocks.
    pub(super) fn tell_failure(&self, job: &JobId, life: LifeId, name: &str, reason: &Reason) {
        let Reason { message, retryable } = reason;
        let mut data = json!({ "message": message, "stage": STAGE, "retryable": retryable });
        if !name.is_empty() {
            data["name"] = name.into();
        }
        let event = Event::new("error", &data.to_string()).expect("an object");
        let failure = UploadFailure {
            job: job.clone(),
            life,
            event,
        };
        self.tell(failure);
    }

    /// Tells what couldn't be told. Blocks.
    pub(super) fn tell_failures(&self) {
        let failures = std::mem::take(&mut *self.untold.lock());
        failures.into_iter().for_each(|failure| self.tell(failure));
    }

    /// Ends the jobs of uploads of which nothing is left. Blocks.
    pub(super) fn end_lost(&self, message: &str) {
        let mut lost = Vec::new();
        let neighbours = self.jobs.order().neighbours();
        self.jobs.hub().each_life(|job, life, _, _| {
            let is_upload = life.owner == Owner::Upload && life.state == LifeState::Running;
            let is_elsewhere =
                || neighbours.is_some_and(|it| it.elsewhere(job, life.id()).is_some());
            if is_upload && !is_elsewhere() && self.ledger.lock().of(life.id()).is_none() {
                lost.push((job.clone(), life.id()));
            }
        });
        for (job, life) in lost {
            // Its name is lost with it.
            self.tell_failure(&job, life, "", &message.into());
        }
    }

    fn tell(&self, failure: UploadFailure) {
        let UploadFailure { job, life, event } = &failure;
        match self.jobs.publish_in(job, *life, event.clone()) {
            Ok(_) | Err(PublishError::Refused(_)) => {}
            Err(error) => {
                warn!("{job}: it can't be told yet that its upload failed: {error}");
                self.untold.lock().push(failure);
            }
        }
    }
}
