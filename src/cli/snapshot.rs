//! Where a job stands, as the hub says it.

use std::io;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::event::json::Object;

/// Where a job stands.
#[derive(Debug)]
pub struct JobSnapshot {
    pub job_id: String,
    pub state: String,
    pub last_event_id: Option<String>,
    pub last_event: Option<LastEvent>,
    pub created_at: String,
    /// When its newest event came.
    pub updated_at: String,
    pub streams: u64,
}

/// A job's newest event.
#[derive(Debug)]
pub struct LastEvent {
    pub event: String,
    pub data: Map<String, Value>,
}

impl JobSnapshot {
    /// Reads one.
    ///
    /// # Errors
    /// It is something else.
    pub fn of_json(mut json: Object) -> io::Result<JobSnapshot> {
        let last_event = json.object("lastEvent")?.map(LastEvent::of_json);
        Ok(JobSnapshot {
            job_id: json.needed_text("jobId")?,
            state: json.needed_text("state")?,
            last_event_id: json.text("lastEventId")?,
            last_event: last_event.transpose()?,
            created_at: json.needed_text("createdAt")?,
            updated_at: json.needed_text("updatedAt")?,
            streams: json.needed_number("streams")?,
        })
    }

    /// The number of its newest event.
    pub fn id(&self) -> u64 {
        let id = self.last_event_id.as_deref();
        id.and_then(|id| id.parse().ok()).unwrap_or(0)
    }

    /// From its begin to its newest event.
    pub fn took(&self) -> Option<Duration> {
        let at = |text: &str| humantime::parse_rfc3339(text).ok();
        let (begin, end) = (at(&self.created_at)?, at(&self.updated_at)?);
        Some(end.duration_since(begin).unwrap_or_default())
    }
}

impl LastEvent {
    fn of_json(mut json: Object) -> io::Result<LastEvent> {
        // Whatever a worker says there, the job is one.
        let data = json.object("data").unwrap_or_default();
        Ok(LastEvent {
            event: json.needed_text("event")?,
            data: data.map(Object::rest).unwrap_or_default(),
        })
    }
}
