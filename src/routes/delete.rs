//! `DELETE /api/jobs/{job}`.

use super::gate::{Pass, forbidden};
use super::{Context, Plan, publish_status};
use crate::event::job::JobId;
use crate::http::{Response, Status};

/// Forgets a job; its upload is broken off, its stage is stopped, and its streams end.
/// Suspends its coroutine for the disk.
pub fn delete(context: &Context, job: &JobId, pass: &Pass) -> Result<Plan, Response> {
    pass.publish(job).map_err(|why| forbidden(&why))?;
    let spool = context.spool.as_ref();
    let was_uploading = spool.is_some_and(|spool| spool.cancel(job));
    let was_worked_on = match (spool, context.pipeline.clone()) {
        (Some(spool), Some(pipeline)) => {
            let job = job.clone();
            spool.disk().run(move || pipeline.cancel(&job))
        }
        _ => false,
    };
    match context.hub.delete(job) {
        Ok(was_there) if was_there || was_uploading || was_worked_on => {
            Ok(Plan::Answer(Response::empty(Status::NoContent)))
        }
        Ok(_) => Err(Response::error(
            Status::NotFound,
            "there is no job of this name",
        )),
        Err(error) => Err(Response::error(
            publish_status(&error),
            "the job is forgotten, but that can't be written to disk, see the server's log: \
             unless it is deleted again later, a restart may bring it back",
        )),
    }
}
