//! `GET /api/jobs/{job}`.

use super::{Access, Answer, Plan, Request};
use crate::event::job::{JobId, LifeId};
use crate::http::{Response, Status};
use crate::hub::{Hub, Life, Refusal, Snapshot};
use crate::sequencer::{Sequencer, now_ms};

/// The field that says what whoever asks may do.
const RIGHTS: &str = "Landfall-May";

/// Where a job stands.
pub fn get(request: Request<'_>, job: JobId) -> Answer {
    let hub = request.context.jobs.hub();
    match hub.snapshot(&job) {
        Some(snapshot) => {
            let json = with_holder(&request.context.jobs, &snapshot);
            let response = Response::json(Status::Ok, json);
            let response = response.with("Cache-Control", "no-store");
            Ok(Plan::Answer(match may(&request, &job) {
                rights if rights.is_empty() => response,
                rights => exposed(response.with(RIGHTS, rights), &request),
            }))
        }
        None => Err(missing(hub, &job)),
    }
}

/// What whoever asks may do to the job, or have of it, so that a page shows no button in vain.
fn may(request: &Request<'_>, job: &JobId) -> String {
    let Request {
        context, caller, ..
    } = request;
    let (pass, access) = (&caller.pass, caller.access);
    let retries = access == Access::Publish && context.pipeline.is_some();
    let rights = [
        ("cancel", pass.cancel(job, access).is_ok()),
        ("file", context.rules().has_downloads),
        ("retry", retries && pass.publish(job).is_ok()),
    ];
    let granted = rights.iter().filter(|(_, is_granted)| *is_granted);
    granted
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The answer, of which pages of other origins may read that.
fn exposed(response: Response, request: &Request<'_>) -> Response {
    if request.caller.cors.is_some() {
        response.with("Access-Control-Expose-Headers", RIGHTS)
    } else {
        response
    }
}

/// The answer where there is no such job: whether it is gone, or was never there.
pub fn missing(hub: &Hub, job: &JobId) -> Response {
    refuse_deleted(hub, job)
        .err()
        .unwrap_or_else(|| Response::error(Status::NotFound, &Refusal::NoJob.to_string()))
}

/// Refuses what was deleted, whatever else would be to say against it.
///
/// # Errors
/// 410, for as long as the deletion is remembered.
pub fn refuse_deleted(hub: &Hub, job: &JobId) -> Result<(), Response> {
    let is_gone = |life: Life| life.is_deleted() && !life.is_forgotten_at(now_ms());
    if !hub.life(job).is_some_and(is_gone) {
        return Ok(());
    }
    let message = "the job was deleted: PUT /api/jobs/{job} on the publishing listener begins it \
                   anew";
    Err(Response::error(Status::Gone, message))
}

/// A snapshot as the API shows it. The ids are strings, as EventSource has them.
pub fn to_json(snapshot: &Snapshot) -> String {
    let id = snapshot
        .last_event_id
        .map_or("null".to_owned(), |id| format!("\"{id}\""));
    // The data is JSON already, and names need no escapes.
    let event = match &snapshot.last_event {
        Some((name, data)) => format!(r#"{{"event":"{name}","data":{data}}}"#),
        None => "null".to_owned(),
    };
    let time = humantime::format_rfc3339_millis;
    format!(
        r#"{{"jobId":"{}","state":"{}","lastEventId":{id},"lastEvent":{event},"createdAt":"{}","updatedAt":"{}","streams":{}}}"#,
        snapshot.job,
        snapshot.state.as_str(),
        time(snapshot.created_at),
        time(snapshot.updated_at),
        snapshot.streams,
    )
}

/// The same with the server of a fleet that holds the job's upload.
pub fn with_holder(jobs: &Sequencer, snapshot: &Snapshot) -> String {
    let mut json = to_json(snapshot);
    let neighbours = jobs.order().neighbours();
    let holder = neighbours.and_then(|it| it.holder(&snapshot.job, LifeId(snapshot.began)));
    if let Some(node) = holder {
        json.pop();
        // Nor do the names of servers.
        json += &format!(r#","node":"{}"}}"#, node.name);
    }
    json
}
