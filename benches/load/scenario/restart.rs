//! The server is killed and started again on the same listening socket, and everyone comes
//! back at once for what they missed, while somebody new follows a job that goes on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Scale;
use crate::clients::{Clients, Connecting};
use crate::clock::now_ns;
use crate::failure::{Context, Result, fail};
use crate::field::{JOB, seen};
use crate::histogram::Histogram;
use crate::http::Connection;
use crate::measured::Measured;
use crate::peer::{self, Peer, Setup};
use crate::procfs;
use crate::server::Server;

/// About 60 KiB for each: what a ring holds by default.
const EVENTS: u32 = 200;
const EVENT_BYTES: usize = 250;
const LIVE: &str = "live";
/// Between two events of the job that goes on.
const LIVE_PAUSE: Duration = Duration::from_millis(5);
const RETURN_LIMIT: Duration = Duration::from_secs(90);

pub fn run(peer: &dyn Peer, scale: Scale) -> Result<Measured> {
    let subscribers = scale.of(15_000, 1_500);
    let socket = TcpListener::bind("127.0.0.1:0")?;
    let directory = tempfile::tempdir()?;
    let start = || peer.start_on(&Setup::default(), &socket, directory.path());
    let server = start()?;
    let mut connection = Connection::open(server.publish)?;
    for n in 0..=EVENTS {
        let data = peer::wide_data(JOB, n, now_ns(), EVENT_BYTES);
        connection.publish(&peer.publish(JOB, &data))?;
    }
    let token = token(&server, peer)?;
    server.kill();
    let begin = now_ns();
    let server = start()?;
    let ready_ms = (now_ns() - begin) as f64 / 1e6;

    let mut clients = Clients::new()?;
    let request = peer.resume(JOB, &token);
    let how = Connecting {
        address: server.public,
        request: &|_| request.clone(),
        first: 1,
        window: usize::MAX,
        receive_bytes: 0,
    };
    let wanted = subscribers as u64 * u64::from(EVENTS);
    let is_over = AtomicBool::new(false);
    let (cpu, overflows) = (server.cpu(), procfs::listen_overflows());
    let deadline = Instant::now() + RETURN_LIMIT;
    let begin = now_ns();
    let (public, publish) = (server.public, server.publish);
    let head_ns = AtomicU64::new(0);
    let (caught_up, live) = std::thread::scope(|scope| -> Result<_> {
        let publisher = scope.spawn(|| publish_live(peer, publish, &is_over));
        let follower = scope.spawn(|| follow_live(peer, public, &is_over, &head_ns));
        clients.add(subscribers);
        let caught_up = clients
            .reconnect_all(&how)
            .and_then(|()| clients.run_until(deadline, |totals| seen(totals) >= wanted));
        is_over.store(true, Ordering::Relaxed);
        publisher.join().expect("no panic")?;
        let live = follower.join().expect("no panic")?;
        Ok((caught_up, live))
    })?;
    let wall_ns = clients.totals.last_event_ns - begin;
    let cpu = server.cpu() - cpu;
    server.settle();
    let mut measured = Measured::default();
    match caught_up {
        Ok(()) => measured.set("caught_up_ms", wall_ns as f64 / 1e6),
        Err(failure) => {
            measured.faults = failure.to_string();
            &mut measured
        }
    };
    measured
        .set("ready_ms", ready_ms)
        .set(
            "cpu_us_per_client",
            cpu.total_ns as f64 / 1e3 / subscribers as f64,
        )
        .set(
            "listen_overflows",
            (procfs::listen_overflows() - overflows) as f64,
        )
        .set("refused", clients.totals.refused as f64)
        .set("live_head_ms", head_ns.load(Ordering::Relaxed) as f64 / 1e6)
        .set("live_events", live.total() as f64)
        .set("live_p50_us", live.quantile_us(0.5))
        .set("live_p99_us", live.quantile_us(0.99))
        .set("live_max_us", live.quantile_us(1.0))
        .set_faults(&clients.totals);
    clients.cut_all();
    server.kill();
    Ok(measured)
}

/// The token after the first event.
fn token(server: &Server, peer: &dyn Peer) -> Result<String> {
    let mut stream = TcpStream::connect(server.public)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(&peer.resume(JOB, "0"))?;
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).context("the first event")?;
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        match peer.token_after(&text, 0) {
            Some(token) if text.matches("\n\n").count() > 1 => return Ok(token),
            _ if length == 0 => return fail("no first event"),
            _ => {}
        }
    }
}

fn publish_live(peer: &dyn Peer, publish: SocketAddr, is_over: &AtomicBool) -> Result<()> {
    let mut connection = Connection::open(publish)?;
    let mut n = 0;
    while !is_over.load(Ordering::Relaxed) {
        let data = peer::data(LIVE, n, now_ns());
        connection.publish(&peer.publish(LIVE, &data))?;
        n += 1;
        std::thread::sleep(LIVE_PAUSE);
    }
    Ok(())
}

/// A new stream in the middle of the herd: the time to its head, and its events' latencies.
fn follow_live(
    peer: &dyn Peer,
    public: SocketAddr,
    is_over: &AtomicBool,
    head_ns: &AtomicU64,
) -> Result<Histogram> {
    std::thread::sleep(Duration::from_millis(20));
    let begin = now_ns();
    let mut stream = TcpStream::connect(public)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(&peer.subscribe(LIVE))?;
    let mut latency = Histogram::default();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !is_over.load(Ordering::Relaxed) {
        let Ok(length) = stream.read(&mut buffer) else {
            continue;
        };
        let now = now_ns();
        if length == 0 {
            return fail("the new stream ended");
        }
        if head_ns.load(Ordering::Relaxed) == 0 {
            head_ns.store(now - begin, Ordering::Relaxed);
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        while let Some(end) = text.find("\n\n") {
            let frame: String = text.drain(..end + 2).collect();
            let sent = frame.split("\"t\":").nth(1).and_then(|rest| {
                let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
                digits.parse::<u64>().ok()
            });
            if let Some(sent) = sent {
                latency.record(now.saturating_sub(sent));
            }
        }
    }
    Ok(latency)
}
