//! `POST /api/jobs/{job}/retry`.

use super::gate::{Pass, forbidden};
use super::upload::spool;
use super::{Context, Plan};
use crate::event::job::JobId;
use crate::http::{Response, Status};
use crate::pipeline::RetryError;

/// Tries a failed job again. Suspends its coroutine for the disk.
pub fn retry(context: &Context, job: &JobId, pass: &Pass) -> Result<Plan, Response> {
    pass.publish(job).map_err(|why| forbidden(&why))?;
    let disk = spool(context)?.disk();
    let Some(pipeline) = context.pipeline.clone() else {
        return Err(not_kept());
    };
    let name = job.clone();
    match disk.run(move || pipeline.retry(&name)) {
        Ok(attempt) => {
            // A job's name needs no escapes.
            let json = format!(r#"{{"jobId":"{job}","attempt":{attempt}}}"#);
            Ok(Plan::Answer(Response::json(Status::Accepted, json)))
        }
        Err(RetryError::Running) => Err(Response::error(
            Status::Conflict,
            "the job is on its way: only one that has failed is tried again",
        )),
        Err(RetryError::NotKept) => Err(not_kept()),
    }
}

fn not_kept() -> Response {
    Response::error(
        Status::NotFound,
        "there is no failed job of this name whose upload is kept: upload the file again",
    )
}
