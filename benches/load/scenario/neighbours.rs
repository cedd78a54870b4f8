//! Short requests while a burst runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Scale;
use crate::failure::Result;
use crate::field::{Field, JOB};
use crate::histogram::Histogram;
use crate::http::Connection;
use crate::measured::Measured;
use crate::peer::{Peer, Setup};

const PERIOD: Duration = Duration::from_millis(1);

pub fn run(peer: &dyn Peer, scale: Scale) -> Result<Measured> {
    let subscribers = scale.of(2_000, 500);
    let duration = scale.of(Duration::from_secs(5), Duration::from_secs(1));
    let mut field = Field::new(peer, &Setup::default())?;
    field.subscribe(subscribers)?;
    field.burst(20, subscribers)?;
    let mut connection = Connection::open(field.server.public)?;
    let request = peer.snapshot(JOB);
    let stop = AtomicBool::new(false);
    let (events, wall, histogram) = std::thread::scope(|scope| {
        let neighbour = scope.spawn(|| ask_until(&stop, &mut connection, &request));
        let start = Instant::now();
        let mut events = 0;
        let mut bursts = || -> Result<()> {
            while start.elapsed() < duration || events == 0 {
                field.burst(500, subscribers)?;
                events += 500;
            }
            Ok(())
        };
        let ran = bursts();
        let wall = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        let histogram = neighbour.join().expect("the neighbour doesn't panic")?;
        ran.map(|()| (events, wall, histogram))
    })?;
    let mut measured = Measured::default();
    measured
        .set("p50_ms", histogram.quantile_us(0.5) / 1e3)
        .set("p99_ms", histogram.quantile_us(0.99) / 1e3)
        .set(
            "answers_per_s",
            histogram.total() as f64 / wall.as_secs_f64(),
        )
        .set(
            "deliveries_per_s",
            (events * subscribers) as f64 / wall.as_secs_f64(),
        )
        .set_faults(&field.clients.totals);
    Ok(measured)
}

/// Asks once a period. What is late because the one before was slow counts from
/// when it was due, so that a stall is not seen as one slow answer.
fn ask_until(stop: &AtomicBool, connection: &mut Connection, request: &[u8]) -> Result<Histogram> {
    let mut histogram = Histogram::default();
    let start = Instant::now();
    for number in 0.. {
        let due = start + PERIOD * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Relaxed) {
            break;
        }
        connection.publish(request)?;
        histogram.record(due.elapsed().as_nanos() as u64);
    }
    Ok(histogram)
}
