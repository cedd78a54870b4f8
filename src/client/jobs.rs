//! What there is to be asked about jobs, besides events.

use std::time::Instant;

use super::{Client, ClientError};
use crate::event::Lease;
use crate::event::job::JobId;

impl Client {
    /// The job's snapshot, a JSON object.
    pub fn snapshot(&mut self, job: &JobId) -> Result<Vec<u8>, ClientError> {
        let request = self.request("GET", &format!("/api/jobs/{job}"), "");
        self.exchange(request.as_bytes(), None)
    }

    /// Begins a job anew: one of that name that is running is ended first. `lease` is how
    /// long it may be without a word. The whole call ends by `deadline`, where one is given.
    pub fn begin_anew(
        &mut self,
        job: &JobId,
        lease: Option<Lease>,
        deadline: Option<Instant>,
    ) -> Result<(), ClientError> {
        let path = format!("/api/jobs/{job}?replace=true");
        let body = lease.map_or(String::new(), |lease| format!(r#"{{"lease":"{lease}"}}"#));
        let length = body.len();
        let fields = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        let request = self.request("PUT", &path, &fields) + &body;
        self.exchange(request.as_bytes(), deadline).map(drop)
    }

    /// A page of the list of jobs, a JSON object. The query is as it stands in the address.
    pub fn list(&mut self, query: &str) -> Result<Vec<u8>, ClientError> {
        let request = self.request("GET", &format!("/api/jobs?{query}"), "");
        self.exchange(request.as_bytes(), None)
    }

    /// Has a job end with an error: an upload's at once, a worker's when its worker says so,
    /// or after a while.
    pub fn cancel(&mut self, job: &JobId) -> Result<(), ClientError> {
        let path = format!("/api/jobs/{job}/cancel");
        let request = self.request("POST", &path, "Content-Length: 0\r\n");
        self.exchange(request.as_bytes(), None).map(drop)
    }

    /// Deletes a job.
    pub fn delete(&mut self, job: &JobId) -> Result<(), ClientError> {
        let request = self.request("DELETE", &format!("/api/jobs/{job}"), "");
        self.exchange(request.as_bytes(), None).map(drop)
    }

    /// Has a failed job of an upload tried again. Returns which attempt that is, in a JSON
    /// object.
    pub fn retry(&mut self, job: &JobId) -> Result<Vec<u8>, ClientError> {
        let path = format!("/api/jobs/{job}/retry");
        let request = self.request("POST", &path, "Content-Length: 0\r\n");
        self.exchange(request.as_bytes(), None)
    }
}
