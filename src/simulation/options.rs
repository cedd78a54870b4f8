//! What a world is like, as its seed has it.

use std::time::Duration;

use super::random::Random;
use crate::event::job::JobId;
use crate::event::ring::RingLimits;
use crate::hub::HubConfig;
use crate::sequencer::journal::{JournalConfig, SyncPolicy};

/// What a world is like.
#[derive(Clone, Debug)]
pub struct Options {
    pub names: Vec<JobId>,
    pub steps: u64,
    pub readers: usize,
    pub hub: HubConfig,
    /// None where nothing is kept on disk.
    pub journal: Option<JournalConfig>,
    /// One in so many steps is a restart; one in so many has the disk fail, or work again;
    /// one in so many ends the process amid an operation. Zero is none.
    pub restarts: u64,
    pub faults: u64,
    pub crashes: u64,
}

impl Options {
    pub fn of(random: &mut Random) -> Options {
        let count = random.between(1, 6);
        let name = |number: u64| {
            let family = if number.is_multiple_of(2) { "a" } else { "b" };
            format!("{family}.{number}").parse().expect("it is a name")
        };
        let names: Vec<JobId> = (0..count).map(name).collect();
        let is_tight = random.one_in(3);
        let jobs = if is_tight {
            random.between(1, count)
        } else {
            20_000
        };
        let journal = (!random.one_in(4)).then(|| journal(random, count));
        let rate = |random: &mut Random| random.pick(&[0, 0, 30, 100, 300]);
        Options {
            names,
            steps: random.between(100, 600),
            readers: random.between(2, 8) as usize,
            hub: HubConfig {
                ring: RingLimits {
                    events: random.pick(&[1, 2, 5, 20, 256]),
                    bytes: random.pick(&[100, 1000, 64 * 1024]),
                },
                jobs: jobs as usize,
                jobs_per_address: random.one_in(3).then(|| random.between(1, 5) as u32),
                deleted_for: random.pick(&[
                    Duration::from_millis(500),
                    Duration::from_secs(10),
                    Duration::from_secs(3600),
                ]),
                abandoned_after: random
                    .pick(&[Duration::from_secs(10), Duration::from_secs(24 * 3600)]),
                ..HubConfig::default()
            },
            journal,
            restarts: random.pick(&[0, 50, 200]),
            faults: rate(random),
            crashes: rate(random),
        }
    }

    /// Whether there may be no room for a job, or for an event.
    pub fn is_tight(&self) -> bool {
        let is_small = |journal: &JournalConfig| journal.bytes < 1 << 20;
        self.hub.jobs < 1000
            || self.hub.jobs_per_address.is_some()
            || self.journal.as_ref().is_some_and(is_small)
    }
}

fn journal(random: &mut Random, jobs: u64) -> JournalConfig {
    JournalConfig {
        sync: random.pick(&[
            SyncPolicy::Always,
            SyncPolicy::Interval(Duration::from_millis(1)),
            SyncPolicy::Interval(Duration::from_millis(200)),
            SyncPolicy::Interval(Duration::from_secs(3600)),
        ]),
        // Segments are a thirty-second of it, and 1 KiB at least.
        bytes: random.pick(&[32 << 10, 64 << 10, 256 << 10, 16 << 20]),
        ended_jobs: if random.one_in(3) {
            random.below(jobs) as usize
        } else {
            10_000
        },
        age: random.pick(&[
            Duration::from_secs(10),
            Duration::from_secs(3600),
            Duration::from_secs(7 * 24 * 3600),
        ]),
    }
}
