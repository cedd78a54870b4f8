//! The server this is all about, as its contract says.

use std::path::PathBuf;
use std::process::Command;

use super::{Peer, Programs, Setup, progress};
use crate::failure::Result;
use crate::http;
use crate::server::{Server, program};

pub struct Landfall(pub Programs);

impl Peer for Landfall {
    fn name(&self) -> &'static str {
        "landfall"
    }

    fn start(&self, setup: &Setup) -> Result<Server> {
        program(&self.0.landfall)?;
        Server::announced(
            Command::new(&self.0.landfall)
                .args(["serve", "--memory-only"])
                .args(["--listen", "127.0.0.1:0"])
                .args(["--publish", "127.0.0.1:0"])
                .args(["--ops", "127.0.0.1:0"])
                // Of 20,000 files it keeps some back for other connections; the
                // largest count here needs a few of those.
                .args(["--max-streams", "19200"])
                // A run waits for its end.
                .args(["--drain-spread", "10ms"])
                .args(["--ring-events", &setup.ring_events.to_string()])
                .args(["--ring-bytes", &setup.ring_bytes.to_string()])
                .args(&self.0.landfall_args),
        )
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.0.landfall.clone()]
    }

    fn subscribe(&self, job: &str) -> Vec<u8> {
        http::get(&format!("/api/jobs/{job}/events?replay=none"), "")
    }

    fn resume(&self, job: &str, token: &str) -> Vec<u8> {
        http::get(
            &format!("/api/jobs/{job}/events"),
            &format!("Last-Event-ID: {token}\r\n"),
        )
    }

    fn publish(&self, job: &str, data: &str) -> Vec<u8> {
        progress(job, data)
    }

    fn batch_line(&self, lines: &mut Vec<u8>, job: &str, data: &str) -> bool {
        lines.extend_from_slice(b"{\"job\":\"");
        lines.extend_from_slice(job.as_bytes());
        lines.extend_from_slice(b"\",\"event\":\"progress\",\"data\":");
        lines.extend_from_slice(data.as_bytes());
        lines.extend_from_slice(b"}\n");
        true
    }

    fn batch(&self, lines: &[u8]) -> Vec<u8> {
        http::request("POST", "/api/events", "application/x-ndjson", lines)
    }

    fn snapshot(&self, job: &str) -> Vec<u8> {
        http::get(&format!("/api/jobs/{job}"), "")
    }
}
