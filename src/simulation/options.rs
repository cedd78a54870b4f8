//! What a world is like, as its seed has it.

use std::time::Duration;

use super::random::Random;
use crate::event::job::JobId;
use crate::event::ring::RingLimits;
use crate::hub::HubConfig;

/// What a world is like.
#[derive(Clone, Debug)]
pub struct Options {
    pub names: Vec<JobId>,
    pub steps: u64,
    pub readers: usize,
    pub hub: HubConfig,
    /// One in so many steps is a restart.
    pub restarts: u64,
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
                deleted_for: random.pick(&[
                    Duration::from_millis(500),
                    Duration::from_secs(10),
                    Duration::from_secs(3600),
                ]),
                abandoned_after: random
                    .pick(&[Duration::from_secs(10), Duration::from_secs(24 * 3600)]),
                ..HubConfig::default()
            },
            restarts: random.pick(&[100, 1000]),
        }
    }
}
