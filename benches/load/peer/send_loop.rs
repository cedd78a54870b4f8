//! The floor: one bare `send()` per subscriber, from `benches/peers`.

use std::path::PathBuf;
use std::process::Command;

use super::{Peer, Programs, Setup};
use crate::failure::Result;
use crate::http;
use crate::server::{Server, program};

pub struct SendLoop(pub Programs);

impl SendLoop {
    fn path(&self) -> PathBuf {
        self.0.peers.join("send-loop")
    }
}

impl Peer for SendLoop {
    fn name(&self) -> &'static str {
        "send-loop"
    }

    fn start(&self, _: &Setup) -> Result<Server> {
        program(&self.path())?;
        Server::announced(&mut Command::new(self.path()))
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path()]
    }

    fn cannot(&self, scenario: &str) -> Option<&'static str> {
        match scenario {
            "jobs" => Some("has one job"),
            "storm" => Some("keeps nothing to replay"),
            "neighbours" => Some("answers no other request"),
            "slow" => Some("waits for whoever doesn't read"),
            _ => super::only_landfall(scenario),
        }
    }

    fn subscribe(&self, _: &str) -> Vec<u8> {
        http::get("/", "")
    }

    fn resume(&self, job: &str, _: &str) -> Vec<u8> {
        self.subscribe(job)
    }

    /// The body is the frame's chunk, as Landfall would write it.
    fn publish(&self, _: &str, data: &str) -> Vec<u8> {
        let frame = format!("event: progress\ndata: {data}\nid: 1794000000000\n\n");
        let chunk = format!("{:x}\r\n{frame}\r\n", frame.len());
        http::request("POST", "/", "text/plain", chunk.as_bytes())
    }

    fn snapshot(&self, _: &str) -> Vec<u8> {
        Vec::new()
    }
}
