//! What a hub keeps, and how much of it.

use std::time::Duration;

use crate::event::ring::RingLimits;

/// What a hub keeps, and how much of it.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// What each job's ring keeps for replay. Default: 256 events, 64 KiB.
    pub ring: RingLimits,
    /// Memory of all rings together, in bytes. Default: 64 MiB. When it is reached,
    /// finished jobs are forgotten, oldest first; when only running ones are left,
    /// an event for a new job is refused.
    pub memory_bytes: usize,
    /// The most jobs. Default: 20,000. At it the same happens as at `memory_bytes`.
    pub jobs: usize,
    /// The largest `data` of an event, in bytes. Default: 64 KiB.
    pub event_bytes: usize,
    /// A running job without an event for so long counts as finished when room is
    /// needed: its worker is gone. Default: 24 hours.
    pub abandoned_after: Duration,
}

impl Default for HubConfig {
    fn default() -> HubConfig {
        HubConfig {
            ring: RingLimits {
                events: 256,
                bytes: 64 * 1024,
            },
            memory_bytes: 64 * 1024 * 1024,
            jobs: 20_000,
            event_bytes: 64 * 1024,
            abandoned_after: Duration::from_secs(24 * 60 * 60),
        }
    }
}
