//! `POST /api/jobs/{job}/cancel`.

use super::{Answer, Plan, Request, refused, snapshot};
use crate::event::JobId;
use crate::http::{Response, Status};
use crate::hub::{Owner, Refusal};
use crate::sequencer::PublishError;

/// Has a job end: an upload is broken off at once, a worker is told with its next answer.
/// Suspends its coroutine for the disk.
pub fn post(request: Request<'_>, job: JobId) -> Answer {
    let context = request.context;
    match context.jobs.cancel(&job) {
        Ok((life, owner)) => {
            if owner == Owner::Upload {
                context.break_off(&job, life);
            }
            // A job's name needs no escapes.
            let json = format!(r#"{{"jobId":"{job}"}}"#);
            Ok(Plan::Answer(Response::json(Status::Accepted, json)))
        }
        Err(PublishError::Refused(Refusal::NoJob | Refusal::Deleted)) => {
            Err(snapshot::missing(context.jobs.hub(), &job))
        }
        Err(PublishError::Refused(Refusal::Ended(state))) => {
            let message = format!(
                "the job has ended with {}: there is nothing to cancel",
                state.as_str()
            );
            Err(Response::error(Status::Conflict, &message))
        }
        Err(error) => Err(refused(&error)),
    }
}
