//! `DELETE /api/jobs/{job}`.

use super::gate::{Pass, forbidden};
use super::{Context, Plan};
use crate::http::{Response, Status};
use crate::job::JobId;

/// Forgets a job; its upload is broken off, and its streams end.
pub fn delete(context: &Context, job: &JobId, pass: &Pass) -> Result<Plan, Response> {
    pass.publish(job).map_err(|why| forbidden(&why))?;
    let spool = context.spool.as_ref();
    let was_uploading = spool.is_some_and(|spool| spool.cancel(job));
    match context.hub.forget(job) || was_uploading {
        true => Ok(Plan::Answer(Response::empty(Status::NoContent))),
        false => Err(Response::error(
            Status::NotFound,
            "there is no job of this name",
        )),
    }
}
