//! `POST /api/jobs/{job}/retry`.

use super::upload::spool;
use super::{Answer, Plan, Request, elsewhere, refused, snapshot};
use crate::event::job::JobId;
use crate::http::{Response, Status};
use crate::pipeline::RetryError;

/// Tries a failed job again. Suspends its coroutine for the disk.
pub fn post(request: Request<'_>, job: JobId) -> Answer {
    let context = request.context;
    if let Some((node, life)) = elsewhere::holder(context, &job)
        && context.jobs.hub().is_current(&job, life)
    {
        return elsewhere::retry(context, &node, job, life);
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
        Err(RetryError::Running) => Err(Response::error(
            Status::Conflict,
            "the job is on its way: only one that has failed is tried again",
        )),
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

fn not_kept() -> Response {
    Response::error(
        Status::NotFound,
        "there is no failed job of this name whose upload is kept: upload the file again",
    )
}
