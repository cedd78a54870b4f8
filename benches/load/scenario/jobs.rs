//! Many jobs with one subscriber each, at a set rate and at the highest.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Scale, own_cpu};
use crate::clock::now_ns;
use crate::failure::{Failure, Result};
use crate::field::{Field, STEP_LIMIT, seen};
use crate::histogram::Histogram;
use crate::measured::Measured;
use crate::peer::{self, Peer, Setup};
use crate::pipeline::Pipeline;

/// Connections that publish: few with batches, more where each event is a
/// request and the server works one connection's requests off in turn.
const BATCH_LANES: usize = 2;
const SINGLE_LANES: usize = 16;
/// One turn of the paced publisher.
const TICK: Duration = Duration::from_millis(1);
/// At the highest rate: events on the way at a time, four per job, far less
/// than any server's buffer, so that none may lose one.
const IN_FLIGHT_PER_JOB: u64 = 4;
/// At the highest rate: events in one NDJSON request.
const BATCH_EVENTS: u64 = 500;

/// A rate, and what its numbers are called.
struct Rate {
    name: &'static str,
    events_per_s: Option<u64>,
}

const RATES: [Rate; 3] = [
    Rate {
        name: "10k",
        events_per_s: Some(10_000),
    },
    Rate {
        name: "50k",
        events_per_s: Some(50_000),
    },
    Rate {
        name: "max",
        events_per_s: None,
    },
];

/// What publisher and reader tell each other.
#[derive(Default)]
struct Shared {
    /// Events published.
    sent: AtomicU64,
    /// Events received.
    seen: AtomicU64,
    finished: AtomicBool,
}

pub fn run(peer: &dyn Peer, scale: Scale) -> Result<Measured> {
    // A multiple of the lanes, so that each lane owns as many jobs.
    let count = scale.of(10_000, 1_600).min(peer.jobs_limit());
    let duration = scale.of(Duration::from_secs(4), Duration::from_secs(1));
    let setup = Setup {
        ring_events: 256,
        ring_bytes: 64 * 1024,
        ..Setup::default()
    };
    let mut field = Field::new(peer, &setup)?;
    let jobs: Vec<String> = (0..count).map(|job| format!("job_{job:05}")).collect();
    field.prepare(&jobs)?;
    field.subscribe_with(count, &|index| peer.subscribe(&jobs[index]), 0)?;
    field.clients.timed = true;

    let batches = peer.batch_line(&mut Vec::new(), "", "");
    let mut progress = vec![0; if batches { BATCH_LANES } else { SINGLE_LANES }];
    let mut measured = Measured::default();
    measured.set("jobs", count as f64);
    for rate in &RATES {
        field.clients.latency = Histogram::default();
        let publisher = Publisher {
            peer,
            jobs: &jobs,
            progress: &mut progress,
            batches,
            rate: rate.events_per_s,
            duration,
        };
        let (server, own) = (field.server.cpu(), own_cpu());
        let (sent, wall_ns) = publish_and_receive(&mut field, publisher)?;
        let own = own_cpu() - own;
        field.server.settle();
        let server = field.server.cpu() - server;
        let latency = &field.clients.latency;
        let name = rate.name;
        measured
            .set(
                format!("delivered_per_s_{name}"),
                sent as f64 / (wall_ns as f64 / 1e9),
            )
            .set(format!("p50_ms_{name}"), latency.quantile_us(0.5) / 1e3)
            .set(format!("p99_ms_{name}"), latency.quantile_us(0.99) / 1e3)
            .set(format!("p999_ms_{name}"), latency.quantile_us(0.999) / 1e3)
            .set(
                format!("cpu_us_per_delivery_{name}"),
                server.total_ns as f64 / 1e3 / sent as f64,
            )
            .set(
                format!("generator_us_per_delivery_{name}"),
                own.total_ns as f64 / 1e3 / sent as f64,
            );
        // A histogram that has not seen every event would flatter.
        if latency.total() != sent {
            measured.faults = format!("{} of {sent} events timed", latency.total());
        }
    }
    measured.set_faults(&field.clients.totals);
    Ok(measured)
}

/// Returns how many events went out, and how long until all had arrived.
fn publish_and_receive(field: &mut Field, publisher: Publisher) -> Result<(u64, u64)> {
    let shared = Shared::default();
    let before = field.seen();
    let address = field.server.publish;
    let clients = &mut field.clients;
    let start = now_ns();
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let published = publisher.run(address, &shared);
            shared.finished.store(true, Ordering::Release);
            published
        });
        let limit = STEP_LIMIT;
        let received = clients.run_until(Instant::now() + limit, |totals| {
            let seen = seen(totals) - before;
            shared.seen.store(seen, Ordering::Relaxed);
            shared.finished.load(Ordering::Acquire) && seen >= shared.sent.load(Ordering::Relaxed)
        });
        // Without a reader the publisher would wait for its window for ever.
        shared.finished.store(true, Ordering::Release);
        let published: std::result::Result<(), Failure> =
            publishing.join().expect("the publisher doesn't panic");
        published?;
        received
    })?;
    Ok((
        shared.sent.load(Ordering::Relaxed),
        clients.totals.last_event_ns - start,
    ))
}

/// Publishes round and round. A job's events all go over one connection: over
/// two they could overtake each other, and no server would be to blame.
struct Publisher<'a> {
    peer: &'a dyn Peer,
    jobs: &'a [String],
    /// Events each lane has published so far; job and number follow from it.
    progress: &'a mut [u64],
    batches: bool,
    rate: Option<u64>,
    duration: Duration,
}

impl Publisher<'_> {
    fn run(mut self, address: SocketAddr, shared: &Shared) -> Result<()> {
        let mut pipeline = Pipeline::open(address, self.progress.len())?;
        let start = Instant::now();
        let mut sent = 0;
        while start.elapsed() < self.duration && !shared.finished.load(Ordering::Acquire) {
            let due = match self.rate {
                Some(rate) => (start.elapsed().as_nanos() as u64 * rate / 1_000_000_000) - sent,
                None => {
                    let window = IN_FLIGHT_PER_JOB * self.jobs.len() as u64;
                    window.saturating_sub(sent - shared.seen.load(Ordering::Relaxed))
                }
            };
            let went = self.send(&mut pipeline, due)?;
            sent += went;
            shared.sent.store(sent, Ordering::Relaxed);
            if self.rate.is_some() {
                // Answers must not shorten the tick.
                std::thread::sleep(TICK);
                pipeline.turn(Duration::ZERO)?;
            } else {
                pipeline.turn(if went == 0 { TICK } else { Duration::ZERO })?;
            }
        }
        while pipeline.unanswered() > 0 && !shared.finished.load(Ordering::Acquire) {
            pipeline.turn(TICK)?;
        }
        Ok(())
    }

    /// Sends up to `due` events; fewer if the server doesn't take them.
    fn send(&mut self, pipeline: &mut Pipeline, due: u64) -> Result<u64> {
        let share = due.div_ceil(self.progress.len() as u64);
        let at_once = share.clamp(1, if self.batches { BATCH_EVENTS } else { 64 });
        let mut went = 0;
        while went < due {
            let Some(lane) = pipeline.free_lane() else {
                break;
            };
            let count = at_once.min(due - went);
            let bytes = self.requests(lane, count);
            let requests = if self.batches { 1 } else { count as usize };
            pipeline.send(lane, &bytes, requests)?;
            went += count;
        }
        Ok(went)
    }

    /// The next `count` events of a lane's jobs.
    fn requests(&mut self, lane: usize, count: u64) -> Vec<u8> {
        let lanes = self.progress.len();
        let jobs_of_lane = (self.jobs.len() / lanes) as u64;
        let now = now_ns();
        let mut bytes = Vec::with_capacity(count as usize * 256);
        for _ in 0..count {
            let published = self.progress[lane];
            self.progress[lane] += 1;
            let job = &self.jobs[lane + lanes * (published % jobs_of_lane) as usize];
            let data = peer::data(job, (published / jobs_of_lane) as u32, now);
            if !self.peer.batch_line(&mut bytes, job, &data) {
                bytes.extend_from_slice(&self.peer.publish(job, &data));
            }
        }
        if self.batches {
            return self.peer.batch(&bytes);
        }
        bytes
    }
}
