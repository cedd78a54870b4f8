//! Some subscribers stop reading: what they cost, and whom.

use std::time::{Duration, Instant};

use super::Scale;
use crate::clock::now_ns;
use crate::failure::Result;
use crate::field::{Field, JOB};
use crate::http::Connection;
use crate::measured::Measured;
use crate::peer::{self, Peer, Setup};
use crate::procfs;

/// Large, so that few events fill a socket nobody reads.
const EVENT_BYTES: usize = 8 * 1024;
/// Below the minute after which durable-streams ends a stream.
const LIMIT: Duration = Duration::from_secs(45);
/// What the sleepers take into their own socket.
const SLEEPER_RECEIVE_BYTES: usize = 4096;

pub fn run(peer: &dyn Peer, scale: Scale) -> Result<Measured> {
    let mut measured = Measured::default();
    let without = phase(peer, scale, 0, &mut measured)?;
    let with = phase(peer, scale, scale.of(1_000, 100), &mut measured)?;
    measured
        .set("p99_without_ms", without / 1e3)
        .set("p99_with_ms", with / 1e3)
        .set("p99_ratio", with / without);
    Ok(measured)
}

/// The p99 in microseconds of those that read.
fn phase(peer: &dyn Peer, scale: Scale, sleepers: usize, measured: &mut Measured) -> Result<f64> {
    let readers = scale.of(10_000, 1_000);
    let events: u32 = scale.of(60, 30);
    let period = scale.of(Duration::from_millis(300), Duration::from_millis(50));
    let mut field = Field::new(peer, &Setup::default())?;
    let request = peer.subscribe(JOB);
    field.subscribe_with(sleepers, &|_| request.clone(), SLEEPER_RECEIVE_BYTES)?;
    field.subscribe(sleepers + readers)?;
    field.burst(2, sleepers + readers)?;
    for sleeper in 0..sleepers {
        field.clients.pause(sleeper)?;
    }
    let pids = field.server.pids();
    let memory = procfs::user_bytes(&pids) as f64;
    let buffers = procfs::socket_buffer_bytes() as f64;

    field.clients.timed = true;
    let first = field.next;
    let wanted = field.seen() + u64::from(events) * readers as u64;
    let mut connection = Connection::open(field.server.publish)?;
    let clients = &mut field.clients;
    std::thread::scope(|scope| {
        let publisher = scope.spawn(move || -> Result<()> {
            let start = Instant::now();
            for n in first..first + events {
                let due = start + period * (n - first);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let data = peer::wide_data(JOB, n, now_ns(), EVENT_BYTES);
                connection.publish(&peer.publish(JOB, &data))?;
            }
            Ok(())
        });
        let received = clients.run_until(Instant::now() + LIMIT, |totals| {
            crate::field::seen(totals) >= wanted
        });
        publisher.join().expect("the publisher doesn't panic")?;
        received
    })?;
    let grown = procfs::user_bytes(&pids) as f64 - memory;
    // What is on its way to those that read is not the sleepers'.
    field.clients.run_for(Duration::from_millis(300))?;
    let buffers = procfs::socket_buffer_bytes() as f64 - buffers;
    let name = if sleepers == 0 { "without" } else { "with" };
    measured
        .set(format!("server_mib_{name}"), grown / 1048576.0)
        .set(format!("sockets_mib_{name}"), buffers / 1048576.0)
        .set_faults(&field.clients.totals);
    Ok(field.clients.latency.quantile_us(0.99))
}
