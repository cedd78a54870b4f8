//! `PUT /api/jobs/{job}`.

use super::{Answer, Plan, Request, publish_status};
use crate::event::job::JobId;
use crate::http::{Head, Response, Status};
use crate::hub::{After, Life, Owner};

/// Begins a life of a job, and ends one that is running where that is asked for. Suspends
/// its coroutine for the disk.
pub fn put(request: Request<'_>, job: JobId) -> Answer {
    let context = request.context;
    let after = if replaces(request.head)? {
        After::Running
    } else {
        After::Ended
    };
    let before = context.jobs.hub().life(&job);
    let life = context.jobs.begin(&job, Owner::Worker, after);
    let life = life.map_err(|error| {
        let response = Response::error(publish_status(&error), &error.to_string());
        super::publish::retriable(response, &error)
    })?;
    context.clear_up_after(&job, before.as_ref().map(Life::id));
    // A job's name needs no escapes.
    let json = format!(r#"{{"jobId":"{job}","id":{}}}"#, life.0);
    Ok(Plan::Answer(Response::json(Status::Created, json)))
}

fn replaces(head: &Head<'_>) -> Result<bool, Response> {
    let mut replaces = false;
    for pair in head.target.query() {
        let (name, value) = pair.ok_or_else(super::stream::bad_query)?;
        match (&*name, &*value) {
            ("replace", "true") => replaces = true,
            ("replace", "false") => replaces = false,
            ("replace", _) => {
                let message = "replace is true or false";
                return Err(Response::error(Status::BadRequest, message));
            }
            _ => {}
        }
    }
    Ok(replaces)
}
