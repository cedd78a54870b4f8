//! `GET /api/jobs/{job}`.

use super::{Pass, Plan};
use crate::event::job::JobId;
use crate::http::{Response, Status};
use crate::hub::{Hub, Snapshot};

/// Where a job stands.
pub fn get(hub: &Hub, job: &JobId, pass: &Pass) -> Result<Plan, Response> {
    pass.follow(job)?;
    match hub.snapshot(job) {
        Some(snapshot) => {
            let response = Response::json(Status::Ok, to_json(&snapshot));
            Ok(Plan::Answer(response.with("Cache-Control", "no-store")))
        }
        None => Err(Response::error(
            Status::NotFound,
            "there is no job of this name: it begins with its first event or subscriber",
        )),
    }
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
        r#"{{"jobId":"{}","state":"{}","lastEventId":{id},"lastEvent":{event},"createdAt":"{}","updatedAt":"{}"}}"#,
        snapshot.job,
        snapshot.state.as_str(),
        time(snapshot.created_at),
        time(snapshot.updated_at),
    )
}
