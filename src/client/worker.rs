//! What a worker says of its job, and what it hears.

use std::time::Instant;

use serde_json::value::RawValue;

use super::{Client, ClientError, refusal};
use crate::event::Lease;
use crate::event::job::{EventName, JobId};
use crate::event::json::Object;

/// What became of something that a worker said.
pub struct Heard {
    /// Whether it was taken.
    pub result: Result<(), ClientError>,
    /// The hub asks the worker to end its job, whether it was taken or not.
    pub is_cancelled: bool,
}

impl Client {
    /// Publishes one event of a worker; `lease` is how long the job may be without another
    /// word. The whole call ends by `deadline`, where one is given.
    pub(crate) fn say(
        &mut self,
        job: &JobId,
        event: &EventName,
        data: &RawValue,
        lease: Option<Lease>,
        deadline: Option<Instant>,
    ) -> Heard {
        let lease = lease.map_or(String::new(), |lease| format!(r#","lease":"{lease}""#));
        let body = format!(r#"{{"event":"{event}","data":{data}{lease}}}"#);
        self.hear(job, "", &body, deadline)
    }

    /// Has the job's lease begin again. What is said twice with the same key counts once,
    /// and is answered each time.
    pub(crate) fn renew(&mut self, job: &JobId, lease: Lease, key: &str) -> Heard {
        let key = format!("Idempotency-Key: {key}\r\n");
        self.hear(job, &key, &format!(r#"{{"lease":"{lease}"}}"#), None)
    }

    fn hear(&mut self, job: &JobId, fields: &str, body: &str, deadline: Option<Instant>) -> Heard {
        let path = format!("/api/jobs/{job}/events");
        let request = self.post_request(&path, "application/json", fields, body.as_bytes());
        let answer = self.answer(&request, deadline);
        let is_cancelled = answer.as_ref().is_ok_and(|(_, body)| says_cancelled(body));
        let result = answer.and_then(|(head, body)| match head.status {
            200..300 => Ok(()),
            _ => Err(refusal(&head, &body)),
        });
        Heard {
            result,
            is_cancelled,
        }
    }
}

fn says_cancelled(answer: &[u8]) -> bool {
    Object::read(answer).is_ok_and(|mut told| told.flag("cancelled").unwrap_or_default())
}
