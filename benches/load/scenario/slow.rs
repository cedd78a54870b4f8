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

/// Runs without and with sleepers, in turn. A few hundred milliseconds in which the machine is
/// busy otherwise are more than 1 % of a run, and so are its p99: it takes several runs to tell
/// what the sleepers do.
const PAIRS: usize = 3;

pub fn run(peer: &dyn Peer, scale: Scale) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut runs = Vec::new();
    let mut ratios = Vec::new();
    for pair in 0..scale.of(PAIRS, 1) {
        let mut p99s = [0.0; 2];
        // Who comes first changes, too.
        for turn in [pair % 2, 1 - pair % 2] {
            let sleepers = [0, scale.of(1_000, 100)][turn];
            let run = phase(peer, scale, sleepers, &mut measured)?;
            p99s[turn] = run.p99_ms;
            runs.push((turn, run));
        }
        ratios.push(p99s[1] / p99s[0]);
    }
    for (turn, name) in ["without", "with"].into_iter().enumerate() {
        let median_of = |number: fn(&Run) -> f64| {
            let of_turn = runs.iter().filter(|run| run.0 == turn);
            median(of_turn.map(|(_, run)| number(run)).collect())
        };
        measured
            .set(format!("p99_{name}_ms"), median_of(|run| run.p99_ms))
            .set(
                format!("server_mib_{name}"),
                median_of(|run| run.server_mib),
            )
            .set(
                format!("sockets_mib_{name}"),
                median_of(|run| run.sockets_mib),
            );
    }
    measured.set("p99_ratio", median(ratios));
    Ok(measured)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What one run has found.
struct Run {
    /// Of those that read.
    p99_ms: f64,
    server_mib: f64,
    sockets_mib: f64,
}

fn phase(peer: &dyn Peer, scale: Scale, sleepers: usize, measured: &mut Measured) -> Result<Run> {
    let readers = scale.of(10_000, 1_000);
    let events: u32 = scale.of(48, 30);
    let period = scale.of(Duration::from_millis(250), Duration::from_millis(50));
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
    measured.set_faults(&field.clients.totals);
    Ok(Run {
        p99_ms: field.clients.latency.quantile_us(0.99) / 1e3,
        server_mib: grown / 1048576.0,
        sockets_mib: buffers / 1048576.0,
    })
}
