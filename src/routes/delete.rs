//! `DELETE /api/jobs/{job}`.

use crate::http::{Response, Status};
use crate::hub::Hub;
use crate::job::JobId;

/// Forgets a job; its streams end.
pub fn delete(hub: &Hub, job: &JobId) -> Result<Response, Response> {
    match hub.forget(job) {
        true => Ok(Response::empty(Status::NoContent)),
        false => Err(Response::error(
            Status::NotFound,
            "there is no job of this name",
        )),
    }
}
