//! What stages are at and have done, for whoever watches the server.

use std::sync::Arc;
#[cfg(feature = "internals")]
use std::time::Duration;

use super::Pipeline;
use crate::sys::histogram::{Histogram, SLOW};
use crate::sys::metrics::{Counter, Gauge};

/// What one stage has done.
#[derive(Debug)]
pub struct Tally {
    pub working: Gauge,
    pub done: Counter,
    pub failed: Counter,
    pub stopped: Counter,
    pub durations: Histogram,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            working: Gauge::default(),
            done: Counter::default(),
            failed: Counter::default(),
            stopped: Counter::default(),
            durations: Histogram::new(SLOW),
        }
    }
}

/// How a stage stands.
pub struct StageCounts {
    /// Its name.
    pub stage: String,
    /// Files that wait for it.
    pub waiting: usize,
    /// Files that it is at.
    pub working: usize,
    /// Files that it was done with, skipped ones too.
    pub done: u64,
    /// Files that failed in it.
    pub failed: u64,
    /// Files that it was stopped at: they were cancelled, or the server ended.
    pub stopped: u64,
    tally: Arc<Tally>,
}

impl StageCounts {
    /// The time that it has taken for all of them.
    #[cfg(feature = "internals")]
    pub fn took(&self) -> Duration {
        self.tally.durations.sum()
    }

    /// How long it has taken for each of them.
    pub(crate) fn durations(&self) -> &Histogram {
        &self.tally.durations
    }
}

impl Pipeline {
    /// How its stages stand, in their order.
    pub fn counts(&self) -> Vec<StageCounts> {
        let lines = self.0.lines();
        let waiting = |name: &str| {
            let of_all = lines
                .iter()
                .flat_map(|line| line.stages.iter().zip(&line.queues));
            let of_name = of_all.filter(|(stage, _)| stage.name == name);
            of_name.map(|(_, queue)| queue.len()).sum()
        };
        let now = self.0.line();
        let stages = now.stages.iter().zip(&now.tallies);
        stages
            .map(|(stage, tally)| StageCounts {
                stage: stage.name.clone(),
                waiting: waiting(&stage.name),
                working: usize::try_from(tally.working.get()).unwrap_or(0),
                done: tally.done.get(),
                failed: tally.failed.get(),
                stopped: tally.stopped.get(),
                tally: tally.clone(),
            })
            .collect()
    }
}
