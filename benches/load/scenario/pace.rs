//! A job that publishes more than its subscribers want to see.

use std::time::{Duration, Instant};

use super::Scale;
use crate::clock::now_ns;
use crate::failure::{Result, fail};
use crate::field::{Field, JOB};
use crate::http::Connection;
use crate::measured::Measured;
use crate::peer::{self, Peer, Setup};

/// Events in a second, and of them those that a paced subscriber wants.
const EVENTS: u32 = 100;
const WANTED: u32 = 2;

pub fn run(peer: &dyn Peer, scale: Scale) -> Result<Measured> {
    let Some(paced) = peer.subscribe_paced(JOB, WANTED) else {
        return fail("it leaves nothing out");
    };
    let mut measured = Measured::default();
    let all = phase(peer, scale, "all", peer.subscribe(JOB), &mut measured)?;
    let some = phase(peer, scale, "paced", paced, &mut measured)?;
    measured.set("frames_ratio", all / some);
    Ok(measured)
}

/// The frames that each subscriber gets in a second.
fn phase(
    peer: &dyn Peer,
    scale: Scale,
    name: &str,
    request: Vec<u8>,
    measured: &mut Measured,
) -> Result<f64> {
    let subscribers = scale.of(10_000, 1_000);
    let seconds: u32 = scale.of(10, 3);
    let mut field = Field::new(peer, &Setup::default())?;
    field.subscribe_with(subscribers, &|_| request.clone(), 0)?;
    field.server.settle();
    let cpu = field.server.cpu();
    let before = field.clients.totals.tally.in_order;
    let reads = field.clients.totals.reads;
    let mut connection = Connection::open(field.server.publish)?;
    let (first, period) = (field.next, Duration::from_secs(1) / EVENTS);
    let newest = first + EVENTS * seconds;
    let clients = &mut field.clients;
    std::thread::scope(|scope| {
        let publisher = scope.spawn(move || -> Result<()> {
            let start = Instant::now();
            for n in first..newest {
                let due = start + period * (n - first);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let data = peer::data(JOB, n, now_ns());
                connection.publish(&peer.publish(JOB, &data))?;
            }
            Ok(())
        });
        let deadline = Instant::now() + Duration::from_secs(2 * u64::from(seconds) + 10);
        // What was left out counts as seen as soon as what replaced it has come.
        let wanted = u64::from(newest - first) * subscribers as u64;
        let received = clients.run_until(deadline, |totals| crate::field::seen(totals) >= wanted);
        publisher.join().expect("the publisher doesn't panic")?;
        received
    })?;
    field.server.settle();
    let each = f64::from(seconds) * subscribers as f64;
    let frames = (field.clients.totals.tally.in_order - before) as f64 / each;
    let used = (field.server.cpu() - cpu).total_ns as f64;
    measured
        .set(format!("frames_per_s_{name}"), frames)
        .set(
            format!("reads_per_s_{name}"),
            (field.clients.totals.reads - reads) as f64 / each,
        )
        .set(
            format!("cpu_percent_{name}"),
            used / 1e7 / f64::from(seconds),
        );
    Ok(frames)
}
