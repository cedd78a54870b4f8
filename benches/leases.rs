//! What 100,000 leases cost a server that has nothing else to do: CPU, of one core.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use landfall::internals;
use landfall::{Event, HubConfig, JobState, Saying, Sequencer, Server, ServerConfig, Word};

const JOBS: usize = 100_000;
/// How long it is watched at rest.
const REST: Duration = Duration::from_secs(10);

fn main() {
    // `cargo test --all-targets` runs benches too, once and for nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let config = ServerConfig::with(|config| {
        config.listen = "127.0.0.1:0".parse().unwrap();
        config.publish = "127.0.0.1:0".parse().unwrap();
        config.ops = "127.0.0.1:0".parse().unwrap();
        config.hub = HubConfig::with(|config| {
            config.jobs = 2 * JOBS;
            config.memory_bytes = 1 << 30;
        });
    });
    let server = Server::start(config).unwrap();
    let jobs = server.jobs();
    grant(jobs, "1h");
    thread::sleep(Duration::from_millis(200));
    let (began, before) = (Instant::now(), cpu());
    thread::sleep(REST);
    let share = (cpu() - before).as_secs_f64() / began.elapsed().as_secs_f64();
    println!("{JOBS} leases at rest: {:.3} % of a core", share * 100.0);

    // All of them run out within a second or two.
    grant(jobs, "2s");
    let before = cpu();
    let deadline = Instant::now() + Duration::from_secs(60);
    while failed(jobs) < JOBS {
        assert!(Instant::now() < deadline, "{} have ended", failed(jobs));
        thread::sleep(Duration::from_millis(200));
    }
    let each = (cpu() - before).as_secs_f64() * 1e6 / JOBS as f64;
    println!("{JOBS} leases that run out: {each:.1} us of CPU each, with the looking");
    server.stop();
}

/// Gives every job a lease.
fn grant(jobs: &Sequencer, lease: &str) {
    for first in (0..JOBS).step_by(1000) {
        let sayings = (first..first + 1000).map(|number| Saying {
            job: format!("job{number}").parse().unwrap(),
            word: Word::Event(Event::progress("x", 1.0).unwrap(), lease.parse().ok()),
            key: None,
            life: None,
        });
        let (ids, error) = jobs.say_all(sayings.collect());
        assert_eq!((ids.len(), error), (1000, None));
    }
}

fn failed(jobs: &Sequencer) -> usize {
    let by_state = internals::hub(jobs).jobs_by_state();
    let failed = by_state
        .iter()
        .find(|(state, _)| *state == JobState::Failed);
    failed.map_or(0, |(_, count)| *count)
}

/// The time that all threads have run.
fn cpu() -> Duration {
    let mut total = 0;
    for thread in fs::read_dir("/proc/self/task").unwrap() {
        // One may have ended meanwhile.
        let text = fs::read_to_string(thread.unwrap().path().join("schedstat"));
        let text = text.unwrap_or_default();
        let ran = text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok());
        total += ran.unwrap_or(0);
    }
    Duration::from_nanos(total)
}
