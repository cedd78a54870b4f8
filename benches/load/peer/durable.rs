//! durable-streams from crates.io, in its memory mode.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Peer, Programs, Setup};
use crate::failure::Result;
use crate::http;
use crate::server::{Server, free_address, program};

pub struct Durable(pub Programs);

impl Peer for Durable {
    fn name(&self) -> &'static str {
        "durable-streams"
    }

    fn start(&self, _: &Setup) -> Result<Server> {
        program(&self.0.durable)?;
        // It keeps a file per stream in this mode too; memory is kindest to it.
        let directory = if Path::new("/dev/shm").is_dir() {
            tempfile::tempdir_in("/dev/shm")?
        } else {
            tempfile::tempdir()?
        };
        let address = free_address()?;
        let mut command = Command::new(&self.0.durable);
        command
            .args(["--durability", "memory"])
            .args(["--port", &address.port().to_string()])
            .arg("--data-dir")
            .arg(directory.path())
            .stderr(std::process::Stdio::null());
        Server::told(&mut command, address, directory)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.0.durable.clone()]
    }

    fn prepare(&self, job: &str) -> Option<Vec<u8>> {
        Some(http::request(
            "PUT",
            &format!("/{job}"),
            "application/json",
            b"",
        ))
    }

    fn subscribe(&self, job: &str) -> Vec<u8> {
        http::get(&format!("/{job}?offset=now&live=sse"), "")
    }

    fn resume(&self, job: &str, token: &str) -> Vec<u8> {
        http::get(&format!("/{job}?offset={token}&live=sse"), "")
    }

    fn publish(&self, job: &str, data: &str) -> Vec<u8> {
        http::request(
            "POST",
            &format!("/{job}"),
            "application/json",
            data.as_bytes(),
        )
    }

    fn snapshot(&self, job: &str) -> Vec<u8> {
        http::get(&format!("/{job}?offset=now"), "")
    }

    /// Its offsets come in a control event after the data.
    fn token_after(&self, stream: &str, n: u32) -> Option<String> {
        let after = stream.split_once(&format!("\"n\":{n},"))?.1;
        let offset = after.split_once("\"streamNextOffset\":\"")?.1;
        Some(offset.split_once('"')?.0.to_owned())
    }

    /// A stream is an open file there, beside its subscriber's socket.
    fn jobs_limit(&self) -> usize {
        9_600
    }
}
