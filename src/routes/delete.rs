//! `DELETE /api/jobs/{job}`.

use super::gate::{Pass, forbidden};
use super::{Plan, publish_status};
use crate::http::{Response, Status};
use crate::hub::Hub;
use crate::job::JobId;

/// Forgets a job; its streams end.
pub fn delete(hub: &Hub, job: &JobId, pass: &Pass) -> Result<Plan, Response> {
    pass.publish(job).map_err(|why| forbidden(&why))?;
    match hub.delete(job) {
        Ok(true) => Ok(Plan::Answer(Response::empty(Status::NoContent))),
        Ok(false) => Err(Response::error(
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
