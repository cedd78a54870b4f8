//! Where a job stands, as the hub says it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Where a job stands.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
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
#[derive(Debug, Deserialize)]
pub struct LastEvent {
    pub event: String,
    pub data: Map<String, Value>,
}

impl Snapshot {
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
