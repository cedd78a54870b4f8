//! The monitoring listener: `/metrics`, `/healthz`, `/readyz` and `/jobs`.

mod conversation;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use crate::http::{Address, Method, Response, Status};
#[cfg(feature = "uploads")]
use crate::pipeline::StageCounts;
use crate::routes::snapshot_with_holder;
use crate::sequencer::Health;
use crate::server::house::House;
use crate::server::listener::{Listener, SocketOptions, remove_own};
use crate::server::sockets::GivenSocket;
use crate::sys::metrics::{gauge, head};
use crate::sys::process;
use crate::upload::spool::Spool;
use conversation::Answering;

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where monitoring is asked, until it is dropped.
pub struct Monitoring {
    address: Address,
    listening: Option<Listening>,
}

struct Listening {
    /// Another handle to the socket, for another process.
    socket: OwnedFd,
    /// Whether a unix socket's file goes with it.
    is_own: bool,
    answering: Answering,
}

/// Starts it, at the socket that it is `given` by a server whose place is taken.
///
/// # Errors
/// The address is in use, or not to be had.
pub fn start(
    address: &Address,
    given: Option<GivenSocket>,
    options: SocketOptions,
    house: Arc<House>,
) -> io::Result<Monitoring> {
    if *address == Address::Off {
        return Ok(Monitoring {
            address: Address::Off,
            listening: None,
        });
    }
    let listener = match given {
        Some(given) => Listener::given(given, options)?,
        None => Listener::bind(address, options)?,
    };
    let (socket, address, is_own) = listener.into_parts();
    let listening = Listening {
        answering: conversation::begin(socket.try_clone()?, Monitor { house })?,
        socket,
        is_own,
    };
    Ok(Monitoring {
        address,
        listening: Some(listening),
    })
}

impl Monitoring {
    /// Where.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The socket, for another process.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.listening.as_ref().map(|it| it.socket.as_fd())
    }

    /// Whether the file of a unix socket goes with it.
    pub fn has_file(&self) -> bool {
        self.file().is_some()
    }

    /// Leaves the file of a unix socket where it is: another process listens at it.
    pub fn keep_file(&mut self) {
        if let Some(listening) = &mut self.listening {
            listening.is_own = false;
        }
    }

    fn file(&self) -> Option<&Path> {
        match &self.address {
            Address::Unix(path) if self.listening.as_ref()?.is_own => Some(path),
            _ => None,
        }
    }
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        if let Some(path) = self.file() {
            remove_own(path);
        }
        if let Some(listening) = self.listening.take() {
            listening.answering.end();
        }
    }
}

#[derive(Clone)]
struct Monitor {
    house: Arc<House>,
}

impl Monitor {
    fn answer(&self, method: Method, path: &str, host: Option<&[u8]>) -> Response {
        if !matches!(method, Method::Get | Method::Head) {
            let message = "only GET is served here";
            return Response::error(Status::MethodNotAllowed, message).with("Allow", "GET, HEAD");
        }
        match path {
            "/metrics" => Response::text(Status::Ok, PROMETHEUS, self.metrics()),
            "/healthz" => Response::text(Status::Ok, TEXT, "ok\n"),
            "/readyz" => match self.why_not_ready() {
                None => Response::text(Status::Ok, TEXT, "ready\n"),
                Some(why) => Response::text(Status::Unavailable, TEXT, why),
            },
            // The names of jobs are secrets, and a page may have had its own name made to
            // resolve to this host.
            "/jobs" if !self.knows_host(host) => {
                let message = "this server doesn't go by the name in Host: use its address, \
                               or --host";
                Response::error(Status::Forbidden, message)
            }
            "/jobs" => Response::json(Status::Ok, self.jobs()),
            _ => {
                let message = "see /metrics, /healthz, /readyz or /jobs";
                Response::error(Status::NotFound, message)
            }
        }
    }

    fn why_not_ready(&self) -> Option<&'static str> {
        if self.house.is_stopping() {
            return Some("stopping\n");
        }
        match self.house.context.jobs.order().health() {
            Health::Good => None,
            Health::Away => Some("Redis can't be reached: publishing gets 503, streams go on\n"),
            Health::NoRoom => Some("Redis has no room: publishing gets 503, streams go on\n"),
            Health::Denied => {
                Some("Redis takes no writes, see the log: publishing gets 503, streams go on\n")
            }
            Health::Full => Some("the journal has no room: publishing gets 507, streams go on\n"),
            Health::Failing => {
                Some("the journal can't be written: publishing gets 503, streams go on\n")
            }
        }
    }

    fn knows_host(&self, host: Option<&[u8]>) -> bool {
        host.is_none_or(|host| self.house.context.gate().knows_host(host))
    }

    fn metrics(&self) -> String {
        use std::fmt::Write;
        let hub = self.house.context.jobs.hub();
        let mut out = String::new();
        process::write(&mut out);
        write_build_info(&mut out);
        self.write_gauges(&mut out);
        hub.metrics().write(&mut out);
        hub.metrics().write_latency(&mut out);
        self.house.answers().write(&mut out);
        gauge(
            &mut out,
            "ring_bytes",
            "Memory that all replay rings hold.",
            hub.ring_bytes(),
        );
        let limit = hub.config().memory_bytes;
        gauge(
            &mut out,
            "ring_limit_bytes",
            "The most that they are meant to hold.",
            limit,
        );
        self.house.context.jobs.order().write_metrics(&mut out);
        #[cfg(feature = "uploads")]
        if let Some(spool) = &self.house.context.spool {
            write_spool(&mut out, spool);
        }
        #[cfg(feature = "uploads")]
        if let Some(pipeline) = &self.house.context.pipeline {
            write_stages(&mut out, &pipeline.counts());
        }
        if let Some(webhooks) = self.house.webhooks() {
            webhooks.write_metrics(&mut out);
        }
        head(&mut out, "jobs", "Jobs, by state.", "gauge");
        for (state, count) in hub.jobs_by_state() {
            let _ = writeln!(out, "landfall_jobs{{state=\"{}\"}} {count}", state.as_str());
        }
        out
    }

    /// What there is now of what comes and goes.
    fn write_gauges(&self, out: &mut String) {
        let context = &self.house.context;
        for (name, help, count) in [
            (
                "streams_open",
                "Event streams that are open.",
                context.streams.get(),
            ),
            (
                "connections_open",
                "Connections that are no event streams and have asked for something.",
                self.house.census.conversations.get(),
            ),
            (
                "connections_waiting",
                "Connections whose first request isn't there yet.",
                self.house.census.waiting.get(),
            ),
            (
                "connections_unanswered",
                "Connections that wait for an answer.",
                self.house.census.unanswered.get(),
            ),
            (
                "names_awaited",
                "Names of no job that streams wait for.",
                context.jobs.hub().awaited(),
            ),
            (
                "uploads_open",
                "Uploads that are being received.",
                context.spool.as_ref().map_or(0, Spool::receiving),
            ),
        ] {
            gauge(out, name, help, count);
        }
    }

    fn jobs(&self) -> String {
        let jobs = &self.house.context.jobs;
        let snapshots = jobs.hub().snapshots();
        let snapshots = snapshots.iter().map(|it| snapshot_with_holder(jobs, it));
        let jobs: Vec<String> = snapshots.collect();
        format!("{{\"jobs\":[{}]}}", jobs.join(","))
    }
}

/// What was built, and with what in it.
fn write_build_info(out: &mut String) {
    use std::fmt::Write;
    head(out, "build_info", "What runs, as labels.", "gauge");
    let features = [
        ("https", cfg!(feature = "https")),
        ("redis", cfg!(feature = "redis")),
        ("s3", cfg!(feature = "s3")),
    ];
    let features = features.iter().filter(|(_, is_there)| *is_there);
    let features: Vec<&str> = features.map(|(name, _)| *name).collect();
    let features = features.join(",");
    let _ = writeln!(
        out,
        "landfall_build_info{{version=\"{}\",features=\"{features}\"}} 1",
        env!("CARGO_PKG_VERSION")
    );
}

#[cfg(feature = "uploads")]
fn write_spool(out: &mut String, spool: &Spool) {
    let (unfinished, bytes) = (spool.unfinished(), spool.bytes());
    let help = "Resumable uploads that have begun and aren't whole.";
    gauge(out, "uploads_unfinished", help, unfinished);
    let help = "Bytes of uploads that aren't processed yet, those to come included.";
    gauge(out, "spool_bytes", help, bytes);
    let help = "The most that they may be.";
    gauge(out, "spool_limit_bytes", help, spool.config().spool_bytes);
    let help = "Bytes that are free on the disk of the data directory.";
    gauge(out, "disk_free_bytes", help, spool.free_bytes());
    let help = "Bytes that are to stay free there: less, and uploads are refused.";
    gauge(out, "disk_reserve_bytes", help, spool.config().free_bytes);
}

/// Stages' names need no escapes.
#[cfg(feature = "uploads")]
fn write_stages(out: &mut String, stages: &[StageCounts]) {
    use std::fmt::Write;
    head(
        out,
        "stage_files",
        "Files in each stage's hands, or its queue.",
        "gauge",
    );
    for it in stages {
        let stage = &it.stage;
        for (state, count) in [("waiting", it.waiting), ("working", it.working)] {
            let _ = writeln!(
                out,
                "landfall_stage_files{{stage=\"{stage}\",state=\"{state}\"}} {count}"
            );
        }
    }
    let help = "Files that left each stage, by how.";
    head(out, "stage_outcomes_total", help, "counter");
    for it in stages {
        let stage = &it.stage;
        for (outcome, count) in [
            ("done", it.done),
            ("failed", it.failed),
            ("stopped", it.stopped),
        ] {
            let _ = writeln!(
                out,
                "landfall_stage_outcomes_total{{stage=\"{stage}\",outcome=\"{outcome}\"}} {count}"
            );
        }
    }
    let (name, help) = (
        "stage_duration_seconds",
        "Time that each stage has taken for one.",
    );
    head(out, name, help, "histogram");
    for it in stages {
        let stage = format!("stage=\"{}\",", it.stage);
        it.durations().write(out, name, &stage);
    }
}
