//! What is counted of a webhook.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sys::metrics::Counter;

/// The counts of a webhook.
#[derive(Debug, Default)]
pub struct HookCounts {
    /// Events that its receiver has taken.
    pub delivered: Counter,
    /// Tries that failed.
    pub failed: Counter,
    /// Events that were tried as long as they may be.
    pub given_up: Counter,
    /// Events, or jobs' stretches of them, that were no longer kept when it was their turn.
    pub lost: Counter,
    /// Events that waited, and whose life was deleted.
    pub deleted: Counter,
    waiting: AtomicUsize,
}

impl HookCounts {
    /// So many events wait.
    pub fn set_waiting(&self, waiting: usize) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// How many events wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}
