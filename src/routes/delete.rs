//! `DELETE /api/jobs/{job}`.

use super::{Answer, Plan, Request, refused, snapshot};
use crate::event::job::JobId;
use crate::http::{Response, Status};
use crate::hub::Refusal;
use crate::sequencer::PublishError;

/// Deletes a job: its streams are told and end, its upload is broken off, its stage is
/// stopped, and nothing of it is seen any more. Suspends its coroutine for the disk.
pub fn delete(request: Request<'_>, job: JobId) -> Answer {
    let context = request.context;
    loop {
        let hub = context.jobs.hub();
        let life = hub.life(&job).ok_or_else(|| snapshot::missing(hub, &job))?;
        match context.jobs.delete(&job, Some(life.id())) {
            Ok(_) => {
                context.clear_up_after(&job, Some(life.id()));
                return Ok(Plan::Answer(Response::empty(Status::NoContent)));
            }
            // Another life has begun since it was looked up.
            Err(PublishError::Refused(Refusal::Over)) => {}
            Err(error) => return Err(refused(&error)),
        }
    }
}
