//! The monitoring listener: `/metrics`, `/healthz`, `/readyz` and `/jobs`, short
//! answers to requests without bodies, which is what may_minihttp is at its best with.

mod address;
mod unix;

use std::borrow::Cow;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use may_minihttp::{HttpServer, HttpService, Request, Response};
use socket2::{Domain, Type};

use crate::http::{self, Status};
use crate::pipeline::StageCounts;
use crate::routes::snapshot_json;
use crate::sequencer::Health;
use crate::server::house::House;
use crate::server::listener::{Address, Listener, SocketOptions, remove_own};
use crate::server::sockets::GivenOps;
use crate::sys::metrics::{gauge, head};
use crate::sys::process;
use crate::upload::spool::Spool;
pub use address::OpsAddress;

const JSON: &str = "Content-Type: application/json";
const TEXT: &str = "Content-Type: text/plain; charset=utf-8";
const PROMETHEUS: &str = "Content-Type: text/plain; version=0.0.4; charset=utf-8";

/// Where monitoring is asked, for as long as the process lives.
pub struct Monitoring {
    address: OpsAddress,
    /// The unix socket, for another process.
    socket: Option<OwnedFd>,
    /// Whether the unix socket's file goes with it.
    is_own: bool,
}

/// Starts it. A server that is taken the place of listens at the port or at the socket that it
/// has `given` as well, until it ends.
///
/// # Errors
/// The address is in use, or not to be had.
pub fn start(
    address: &OpsAddress,
    given: Option<GivenOps>,
    options: SocketOptions,
    house: Arc<House>,
) -> io::Result<Monitoring> {
    let monitor = Monitor { house };
    let (address, socket, is_own) = match (address, given) {
        (OpsAddress::Off, _) => (OpsAddress::Off, None, false),
        (OpsAddress::At(Address::Tcp(address)), given) => {
            let port = start_tcp(*address, given, monitor)?;
            (OpsAddress::At(Address::Tcp(port)), None, false)
        }
        (OpsAddress::At(wanted), given) => {
            let listener = match given {
                Some(GivenOps::Socket(given)) => Listener::given(given, options)?,
                _ => Listener::bind(wanted, options)?,
            };
            let (fd, address, is_own) = listener.into_parts();
            unix::serve(fd.try_clone()?, monitor)?;
            (OpsAddress::At(address), Some(fd), is_own)
        }
    };
    Ok(Monitoring {
        address,
        socket,
        is_own,
    })
}

fn start_tcp(
    address: SocketAddr,
    given: Option<GivenOps>,
    monitor: Monitor,
) -> io::Result<SocketAddr> {
    // may_minihttp shares its port with whoever asks and doesn't say which it got. So
    // the port is asked for alone first, and kept by a socket that doesn't listen.
    let address = match given {
        Some(GivenOps::Port(shared)) if address == shared || address.port() == 0 => shared,
        _ => TcpListener::bind(address)?.local_addr()?,
    };
    let keeper = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    keeper.set_reuse_address(true)?;
    keeper.set_reuse_port(true)?;
    keeper.bind(&address.into())?;
    HttpServer(monitor).start(address)?;
    Ok(address)
}

impl Monitoring {
    /// Where.
    pub fn address(&self) -> &OpsAddress {
        &self.address
    }

    /// The unix socket, for another process.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(OwnedFd::as_fd)
    }

    /// Whether the file of a unix socket goes with it.
    pub fn has_file(&self) -> bool {
        self.is_own
    }

    /// Leaves the file of a unix socket where it is: another process listens at it.
    pub fn keep_file(&mut self) {
        self.is_own = false;
    }
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        if let (OpsAddress::At(Address::Unix(path)), true) = (&self.address, self.is_own) {
            remove_own(path);
        }
    }
}

#[derive(Clone)]
struct Monitor {
    house: Arc<House>,
}

/// What is answered.
struct Answer {
    status: Status,
    /// The header line that says of which type it is.
    kind: &'static str,
    body: Cow<'static, str>,
}

impl Answer {
    fn new(status: Status, kind: &'static str, body: impl Into<Cow<'static, str>>) -> Answer {
        let body = body.into();
        Answer { status, kind, body }
    }

    fn into_response(self) -> http::Response {
        let (_, media_type) = self.kind.split_once(": ").unwrap_or_default();
        let response = http::Response::text(self.status, media_type, self.body);
        match self.status {
            Status::MethodNotAllowed => response.with("Allow", "GET"),
            _ => response,
        }
    }
}

impl HttpService for Monitor {
    fn call(&mut self, request: Request, response: &mut Response) -> io::Result<()> {
        let mut fields = request.headers().iter();
        let host = fields.find(|field| field.name.eq_ignore_ascii_case("host"));
        let path = request.path().split('?').next().unwrap_or_default();
        let answer = self.answer(request.method(), path, host.map(|host| host.value));
        response
            .status_code(answer.status.code().into(), answer.status.reason())
            .header("X-Content-Type-Options: nosniff")
            .header("Referrer-Policy: no-referrer")
            .header(answer.kind);
        if answer.status == Status::MethodNotAllowed {
            response.header("Allow: GET");
        }
        // may_minihttp writes a body whatever the method is, and the client would take it for
        // the next answer.
        if request.method() != "HEAD" {
            response.body_vec(answer.body.into_owned().into_bytes());
        }
        Ok(())
    }
}

impl Monitor {
    fn answer(&self, method: &str, path: &str, host: Option<&[u8]>) -> Answer {
        if !matches!(method, "GET" | "HEAD") {
            let message = r#"{"error":"only GET is served here"}"#;
            return Answer::new(Status::MethodNotAllowed, JSON, message);
        }
        match path {
            "/metrics" => Answer::new(Status::Ok, PROMETHEUS, self.metrics()),
            "/healthz" => Answer::new(Status::Ok, TEXT, "ok\n"),
            "/readyz" if self.house.is_stopping() => {
                Answer::new(Status::Unavailable, TEXT, "stopping\n")
            }
            "/readyz" => match self.health() {
                Health::Good => Answer::new(Status::Ok, TEXT, "ready\n"),
                Health::Away => {
                    let why = "Redis can't be reached: publishing gets 503, streams go on\n";
                    Answer::new(Status::Unavailable, TEXT, why)
                }
                Health::NoRoom => {
                    let why = "Redis has no room: publishing gets 503, streams go on\n";
                    Answer::new(Status::Unavailable, TEXT, why)
                }
                Health::Full => {
                    let why = "the journal has no room: publishing gets 507, streams go on\n";
                    Answer::new(Status::Unavailable, TEXT, why)
                }
                Health::Failing => {
                    let why = "the journal can't be written: publishing gets 503, streams go on\n";
                    Answer::new(Status::Unavailable, TEXT, why)
                }
            },
            // The names of jobs are secrets, and a page may have had its own name made to
            // resolve to this host.
            "/jobs" if !self.knows_host(host) => {
                let message = r#"{"error":"this server doesn't go by the name in Host: use its address, or --host"}"#;
                Answer::new(Status::Forbidden, JSON, message)
            }
            "/jobs" => Answer::new(Status::Ok, JSON, self.jobs()),
            _ => {
                let message = r#"{"error":"see /metrics, /healthz, /readyz or /jobs"}"#;
                Answer::new(Status::NotFound, JSON, message)
            }
        }
    }

    fn knows_host(&self, host: Option<&[u8]>) -> bool {
        host.is_none_or(|host| self.house.context.gate().knows_host(host))
    }

    fn health(&self) -> Health {
        self.house.context.jobs.order().health()
    }

    fn metrics(&self) -> String {
        use std::fmt::Write;
        let hub = self.house.context.jobs.hub();
        let mut out = String::new();
        process::write(&mut out);
        head(&mut out, "build_info", "What runs, as labels.", "gauge");
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
        for (name, help, count) in [
            (
                "streams_open",
                "Event streams that are open.",
                self.house.context.streams.get(),
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
                hub.awaited(),
            ),
            (
                "uploads_open",
                "Uploads that are being received.",
                self.house
                    .context
                    .spool
                    .as_ref()
                    .map_or(0, Spool::receiving),
            ),
        ] {
            gauge(&mut out, name, help, count);
        }
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
        if let Some(spool) = &self.house.context.spool {
            write_spool(&mut out, spool);
        }
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

    fn jobs(&self) -> String {
        let snapshots = self.house.context.jobs.hub().snapshots();
        let jobs: Vec<String> = snapshots.iter().map(snapshot_json).collect();
        format!("{{\"jobs\":[{}]}}", jobs.join(","))
    }
}

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
