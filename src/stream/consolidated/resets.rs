//! What a stream has to say of events that are gone.

use std::sync::Arc;

use crate::event::frame;
use crate::event::job::EventId;
use crate::event::resume::ResetReason;
use crate::hub::Job;

/// The name that a `reset` has on a stream of every job, where no one job is meant.
const EVERY_JOB: &str = "*";

/// Resets that are due.
#[derive(Default)]
pub(super) struct Resets(Vec<Reset>);

struct Reset {
    /// None where no one job is meant.
    job: Option<Arc<Job>>,
    reason: ResetReason,
    last: Last,
}

/// What the client had last.
pub(super) enum Last {
    Number(EventId),
    Text(Arc<str>),
}

impl Resets {
    pub fn add(&mut self, job: Option<&Arc<Job>>, reason: ResetReason, last: Last) {
        self.0.push(Reset {
            job: job.cloned(),
            reason,
            last,
        });
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes them as frames, the last of which moves the client on from `after` to `last`.
    pub fn take(&mut self, after: EventId, last: EventId) -> Vec<u8> {
        let mut frames = Vec::new();
        let due = self.0.len();
        for (index, reset) in self.0.drain(..).enumerate() {
            // Cut off between two, the client is told of the second again.
            let number = if index + 1 == due { last } else { after };
            let job = reset
                .job
                .as_ref()
                .map_or(EVERY_JOB, |job| job.id().as_str());
            let seen = match reset.last {
                Last::Number(number) => number.to_string(),
                Last::Text(text) => text.to_string(),
            };
            frame::write_reset(&mut frames, job, reset.reason, &seen, number);
        }
        frames
    }
}
