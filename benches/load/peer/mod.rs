//! What a server must be able to be told to be measured.

mod axum;
mod durable;
mod landfall;
mod nchan;
mod send_loop;

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::failure::{Result, fail};
use crate::http;
use crate::server::Server;

/// Where the servers' programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    pub landfall: PathBuf,
    pub landfall_args: Vec<String>,
    /// Holds `axum-broadcast` and `send-loop`.
    pub peers: PathBuf,
    pub durable: PathBuf,
    pub nginx: PathBuf,
    pub nchan_module: PathBuf,
    pub nginx_workers: u32,
}

/// What a server is started for.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Events each job keeps for replay; a server may keep more.
    pub ring_events: usize,
    /// The same in bytes.
    pub ring_bytes: usize,
    /// Whether events are kept on disk, by a server that can do that.
    pub is_kept: bool,
}

impl Default for Setup {
    /// Enough that no burst outruns any server's buffer.
    fn default() -> Self {
        Setup {
            ring_events: 1024,
            ring_bytes: 1024 * 1024,
            is_kept: false,
        }
    }
}

/// How a proxy reaches a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Tcp,
    Unix,
}

/// Why another server isn't measured in a scenario, if it isn't.
fn only_landfall(scenario: &str) -> Option<&'static str> {
    match scenario {
        "pace" => Some("it leaves nothing out"),
        "proxy" => Some("only Landfall's two ways are compared"),
        _ => None,
    }
}

/// One kind of server.
pub trait Peer: Sync {
    fn name(&self) -> &'static str;

    fn start(&self, setup: &Setup) -> Result<Server>;

    /// The same, on a public socket that listens already, with a directory for its data.
    fn start_on(&self, _: &Setup, _: &TcpListener, _: &Path) -> Result<Server> {
        fail("it can't be given a socket")
    }

    /// The files its program consists of, for its size.
    fn files(&self) -> Vec<PathBuf>;

    /// The same behind nginx on this host, which is the second.
    fn start_behind(&self, _: &Setup, _: Way) -> Result<(Server, Server)> {
        fail("it isn't put behind a proxy")
    }

    /// Why it can't take part in a scenario, if it can't.
    fn cannot(&self, scenario: &str) -> Option<&'static str> {
        only_landfall(scenario)
    }

    /// A request without which a job doesn't exist.
    fn prepare(&self, _job: &str) -> Option<Vec<u8>> {
        None
    }

    /// A stream that begins with the next event.
    fn subscribe(&self, job: &str) -> Vec<u8>;

    /// The same, with so many events a second at most, always the newest.
    fn subscribe_paced(&self, _job: &str, _rate: u32) -> Option<Vec<u8>> {
        None
    }

    /// A stream that begins after the event whose token this is.
    fn resume(&self, job: &str, token: &str) -> Vec<u8>;

    fn publish(&self, job: &str, data: &str) -> Vec<u8>;

    /// Appends a line of a request that publishes many events to many jobs;
    /// false where there is no such request.
    fn batch_line(&self, _lines: &mut Vec<u8>, _job: &str, _data: &str) -> bool {
        false
    }

    /// The request those lines make.
    fn batch(&self, _lines: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    /// A short read of a job's state.
    fn snapshot(&self, job: &str) -> Vec<u8>;

    /// The token to resume after event `n`, from a stream in which it came.
    fn token_after(&self, stream: &str, n: u32) -> Option<String> {
        let needle = format!("\"n\":{n},");
        let frame = stream.split("\n\n").find(|frame| frame.contains(&needle))?;
        let id = frame
            .lines()
            .find_map(|line| line.strip_prefix("id:"))?
            .trim();
        Some(id.to_owned())
    }

    /// How many jobs with a subscriber each one process can have within
    /// 20,000 open files.
    fn jobs_limit(&self) -> usize {
        10_000
    }
}

/// Every server, in the order of the tables.
pub fn all(programs: &Programs) -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(landfall::Landfall(programs.clone())),
        Box::new(durable::Durable(programs.clone())),
        Box::new(nchan::Nchan(programs.clone())),
        Box::new(axum::Axum(programs.clone())),
        Box::new(send_loop::SendLoop(programs.clone())),
    ]
}

/// The data of an event, the same bytes for every server.
pub fn data(job: &str, n: u32, sent_ns: u64) -> String {
    format!(
        "{{\"jobId\":\"{job}\",\"n\":{n},\"t\":{sent_ns},\"stage\":\"scanning\",\"percent\":30}}"
    )
}

/// The same, grown to about `bytes`.
pub fn wide_data(job: &str, n: u32, sent_ns: u64, bytes: usize) -> String {
    let mut data = data(job, n, sent_ns);
    data.truncate(data.len() - 1);
    data.push_str(",\"pad\":\"");
    data.extend(std::iter::repeat_n('x', bytes.saturating_sub(data.len())));
    data.push_str("\"}");
    data
}

fn progress(job: &str, data: &str) -> Vec<u8> {
    http::request(
        "POST",
        &format!("/api/jobs/{job}/events"),
        "application/json",
        format!("{{\"event\":\"progress\",\"data\":{data}}}").as_bytes(),
    )
}
