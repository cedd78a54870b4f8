//! The server this is all about, as its contract says.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Peer, Programs, Setup, progress};
use crate::failure::Result;
use crate::http;
use crate::server::{Server, program};

pub struct Landfall(pub Programs);

impl Landfall {
    fn flags<'a>(&self, serve: &'a mut Command, setup: &Setup) -> &'a mut Command {
        serve
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
            .args(&self.0.landfall_args)
    }
}

impl Peer for Landfall {
    fn name(&self) -> &'static str {
        "landfall"
    }

    fn start(&self, setup: &Setup) -> Result<Server> {
        program(&self.0.landfall)?;
        let mut serve = Command::new(&self.0.landfall);
        if !setup.is_kept {
            serve.args(["serve", "--memory-only"]);
            return Server::announced(self.flags(&mut serve, setup));
        }
        let directory = tempfile::tempdir()?;
        serve.args(["serve", "--data"]).arg(directory.path());
        let server = Server::announced(self.flags(&mut serve, setup))?;
        Ok(server.keeping(directory))
    }

    fn start_on(&self, setup: &Setup, socket: &TcpListener, data: &Path) -> Result<Server> {
        program(&self.0.landfall)?;
        // As systemd does it.
        let script = r#"exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@""#;
        let mut serve = Command::new("sh");
        serve.args(["-c", script]).arg(&self.0.landfall);
        serve.args(["serve", "--data"]).arg(data);
        let socket = OwnedFd::from(socket.try_clone()?);
        Server::announced_on(self.flags(&mut serve, setup), socket.into())
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
