//! Which jobs were forgotten lately: streams that haven't had all of their events have to say
//! so.

use std::collections::VecDeque;

use super::Hub;
use crate::event::job::{EventId, JobId};

/// The most that are remembered. Of a stream that was served last before the first of them, it
/// is taken that it has missed something.
const KEPT: usize = 1024;

/// Jobs that were forgotten lately, with their newest numbers.
#[derive(Default)]
pub(super) struct Forgotten {
    /// How many there were in all.
    count: u64,
    last: VecDeque<(JobId, EventId)>,
}

impl Forgotten {
    pub fn note(&mut self, job: &JobId, newest: EventId) {
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back((job.clone(), newest));
        self.count += 1;
    }
}

impl Hub {
    /// How many jobs were forgotten.
    pub fn forgettings(&self) -> u64 {
        self.0.forgettings.lock().count
    }

    /// Whether one of those that a stream follows was forgotten since there were so many, and
    /// had events behind `after`.
    pub fn has_forgotten(
        &self,
        since: u64,
        after: EventId,
        is_followed: impl Fn(&JobId) -> bool,
    ) -> bool {
        let forgotten = self.0.forgettings.lock();
        let new = forgotten.count.saturating_sub(since);
        let is_missed = |(job, newest): &(JobId, EventId)| *newest > after && is_followed(job);
        let kept = forgotten.last.len() as u64;
        let mut last = forgotten.last.iter().rev().take(new.min(kept) as usize);
        new > kept || last.any(is_missed)
    }
}
