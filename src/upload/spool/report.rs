//! What jobs are told of their uploads.

use super::entry::Entry;
use super::{Inner, STAGE, SpoolError};
use crate::event::Event;
use crate::event::job::{JobId, JobState};

impl Inner {
    /// Whether a job can begin with an upload. One whose upload failed begins again.
    pub(super) fn check_job(&self, job: &JobId) -> Result<(), SpoolError> {
        let Some(snapshot) = self.hub.snapshot(job) else {
            return Ok(());
        };
        let failed_here = || {
            let (_, data) = snapshot.last_event.as_ref()?;
            let data: serde_json::Value = serde_json::from_str(data).ok()?;
            Some(data["stage"] == STAGE)
        };
        match snapshot.state {
            JobState::Running => Ok(()),
            JobState::Failed if failed_here() == Some(true) => {
                self.hub.forget(job);
                Ok(())
            }
            state => Err(SpoolError::JobEnded(state)),
        }
    }

    /// Tells an upload's job how far it has come, if it is time to. Blocks.
    pub(super) fn report(&self, entry: &Entry, is_due: bool) -> Result<(), SpoolError> {
        let Some(data) = entry.report(is_due, self.landing.stages()) else {
            return Ok(());
        };
        let event = Event::new("progress", &data).expect("a percent is from 0 to 100");
        self.hub.publish(&entry.job, event)?;
        Ok(())
    }

    /// Ends a job with an error, if it hasn't ended or been forgotten.
    pub(super) fn tell_if_running(&self, job: &JobId, message: &str) {
        if self
            .hub
            .snapshot(job)
            .is_some_and(|job| job.state == JobState::Running)
        {
            let data = serde_json::json!({ "message": message, "stage": STAGE });
            let event = Event::new("error", &data.to_string()).expect("an object");
            if let Err(error) = self.hub.publish(job, event) {
                log::warn!("the job of an upload can't be told that it failed: {error}");
            }
        }
    }
}
