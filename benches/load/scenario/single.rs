//! One subscriber, one publisher: how long an event takes.

use std::time::{Duration, Instant};

use super::Scale;
use crate::clock::now_ns;
use crate::failure::Result;
use crate::field::{Field, JOB, STEP_LIMIT};
use crate::http::Connection;
use crate::measured::Measured;
use crate::peer::{self, Peer, Setup};

const PERIOD: Duration = Duration::from_millis(1);

pub fn run(peer: &dyn Peer, scale: Scale) -> Result<Measured> {
    run_with(peer, &Setup::default(), scale.of(10_000, 1_000), peer::data)
}

/// The same on a server that is set up otherwise, with so many events of other data.
pub fn run_with(
    peer: &dyn Peer,
    setup: &Setup,
    events: u32,
    data: fn(&str, u32, u64) -> String,
) -> Result<Measured> {
    let mut field = Field::new(peer, setup)?;
    field.subscribe(1)?;
    field.burst(100, 1)?;
    field.clients.timed = true;
    let first = field.next;
    let wanted = field.seen() + u64::from(events);
    let mut connection = Connection::open(field.server.publish)?;
    let clients = &mut field.clients;
    std::thread::scope(|scope| {
        let publisher = scope.spawn(move || -> Result<()> {
            let start = Instant::now();
            for n in first..first + events {
                let due = start + PERIOD * (n - first);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                connection.publish(&peer.publish(JOB, &data(JOB, n, now_ns())))?;
            }
            Ok(())
        });
        let received = clients.run_until(Instant::now() + STEP_LIMIT, |totals| {
            crate::field::seen(totals) >= wanted
        });
        publisher.join().expect("the publisher doesn't panic")?;
        received
    })?;
    let mut measured = Measured::default();
    measured
        .set("p50_us", field.clients.latency.quantile_us(0.5))
        .set("p99_us", field.clients.latency.quantile_us(0.99))
        .set("p999_us", field.clients.latency.quantile_us(0.999))
        .set_faults(&field.clients.totals);
    Ok(measured)
}
