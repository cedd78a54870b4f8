//! axum 0.8 with a tokio broadcast channel, from `benches/peers`.

use std::path::PathBuf;
use std::process::Command;

use super::{Peer, Programs, Setup, progress};
use crate::failure::Result;
use crate::http;
use crate::server::{Server, program};

pub struct Axum(pub Programs);

impl Axum {
    fn path(&self) -> PathBuf {
        self.0.peers.join("axum-broadcast")
    }
}

impl Peer for Axum {
    fn name(&self) -> &'static str {
        "axum"
    }

    fn start(&self, setup: &Setup) -> Result<Server> {
        program(&self.path())?;
        Server::announced(Command::new(self.path()).arg(setup.ring_events.to_string()))
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path()]
    }

    fn subscribe(&self, job: &str) -> Vec<u8> {
        http::get(&format!("/api/jobs/{job}/events"), "")
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

    fn snapshot(&self, job: &str) -> Vec<u8> {
        http::get(&format!("/api/jobs/{job}"), "")
    }
}
