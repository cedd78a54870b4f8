//! `DELETE /api/jobs/{job}`.

use super::Plan;
use super::gate::{Pass, forbidden};
use crate::http::{Response, Status};
use crate::hub::Hub;
use crate::job::JobId;

/// Forgets a job; its streams end.
pub fn delete(hub: &Hub, job: &JobId, pass: &Pass) -> Result<Plan, Response> {
    pass.publish(job).map_err(|why| forbidden(&why))?;
    match hub.forget(job) {
        true => Ok(Plan::Answer(Response::empty(Status::NoContent))),
        false => Err(Response::error(
            Status::NotFound,
            "there is no job of this name",
        )),
    }
}
