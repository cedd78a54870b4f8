//! Numbers that are lost while streams are open: what stood for them is gone, and streams that
//! have had it are to hear of that before they get anything else.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Hub;

/// Losses, and which shards have seen to them.
#[derive(Default)]
pub(super) struct Losses {
    /// How many there were.
    count: AtomicU64,
    /// The shards that see to them, as bits.
    attending: AtomicU64,
    /// Those of them that haven't seen to the newest.
    pending: AtomicU64,
}

impl Hub {
    /// A shard sees to losses from now on.
    pub fn attend_losses(&self, shard: usize) {
        self.0
            .losses
            .attending
            .fetch_or(1 << shard, Ordering::AcqRel);
    }

    /// How many losses there were.
    pub fn losses(&self) -> u64 {
        self.0.losses.count.load(Ordering::Acquire)
    }

    /// A shard has ended its streams whose numbers are lost.
    pub fn see_to_losses(&self, shard: usize) {
        self.0
            .losses
            .pending
            .fetch_and(!(1 << shard), Ordering::AcqRel);
    }

    /// Whether a number is lost that may have been given.
    pub fn is_lost(&self, number: u64) -> bool {
        let lost = self.0.lost.lock();
        lost.iter().any(|range| range.contains(&number))
    }

    /// Numbers are lost, some of which were sent. Streams that have them are ended, and their
    /// clients come back.
    pub fn lose(&self, lost: Vec<Range<u64>>) {
        let mut all = self.0.lost.lock();
        let new = lost.into_iter().filter(|range| !range.is_empty());
        let new: Vec<_> = new.filter(|range| !all.contains(range)).collect();
        all.extend(new);
        drop(all);
        let losses = &self.0.losses;
        let attending = losses.attending.load(Ordering::Acquire);
        losses.pending.store(attending, Ordering::Release);
        losses.count.fetch_add(1, Ordering::AcqRel);
        for mailbox in self.0.mailboxes.read().iter() {
            mailbox.post_any();
            mailbox.wake();
        }
    }

    /// Whether every shard has seen to it.
    pub fn has_seen_to_losses(&self) -> bool {
        self.0.losses.pending.load(Ordering::Acquire) == 0
    }
}
