//! `POST /api/jobs/{job}/retry`.

use super::upload::spool;
use super::{Answer, Plan, Request, elsewhere, refused, snapshot};
use crate::event::job::{JobId, JobState};
use crate::http::{Response, Status};
use crate::pipeline::RetryError;

/// Tries a failed job again. Suspends its coroutine for the disk.
pub fn post(request: Request<'_>, job: JobId) -> Answer {
    let context = request.context;
    snapshot::refuse_deleted(context.jobs.hub(), &job)?;
    if let Some((node, life)) = elsewhere::holder(context, &job)
        && context.jobs.hub().is_current(&job, life)
    {
        // What that server would refuse for certain needn't be waited for.
        return match context.jobs.hub().snapshot(&job).map(|it| it.state) {
            Some(JobState::Running) => Err(running()),
            Some(JobState::Failed) if elsewhere::may_be_kept(context, &job) => {
                elsewhere::retry(context, &node, job, life)
            }
            _ => Err(not_kept()),
        };
    }
    let uploads = spool(context)?;
    let Some(pipeline) = context.pipeline.clone() else {
        return Err(not_kept());
    };
    let name = job.clone();
    match uploads.disk().run(move || pipeline.retry(&name)) {
        Ok(retried) => {
            uploads.follow(retried.upload, retried.life);
            let (attempt, id) = (retried.attempt, retried.life.0);
            // A job's name needs no escapes.
            let json = format!(r#"{{"jobId":"{job}","attempt":{attempt},"id":{id}}}"#);
            Ok(Plan::Answer(Response::json(Status::Accepted, json)))
        }
        Err(RetryError::Running) => Err(running()),
        Err(RetryError::NotKept) => Err(not_kept()),
        Err(RetryError::Deleted) => Err(snapshot::missing(context.jobs.hub(), &job)),
        Err(RetryError::Publish(error)) => Err(refused(&error)),
        Err(RetryError::Disk(_)) => Err(Response::error(
            Status::Unavailable,
            "that the job is tried again can't be written to disk, see the server's log: try it \
             later",
        )
        .with("Retry-After", "5")),
    }
}

/// The answer where it goes on.
fn running() -> Response {
    Response::error(
        Status::Conflict,
        "the job is on its way: only one that has failed is tried again",
    )
}

/// The answer where there is nothing to try again with.
fn not_kept() -> Response {
    Response::error(
        Status::NotFound,
        "there is no failed job of this name whose upload is kept: upload the file again",
    )
}
