//! What a hub keeps, and how much of it.

use std::time::Duration;

use crate::event::Lease;
use crate::event::ring::RingLimits;

/// What a hub keeps, and how much of it.
///
/// ```
/// use landfall::{HubConfig, Sequencer};
/// let jobs = Sequencer::in_memory(HubConfig::with(|config| {
///     config.ring.events = 16;
///     config.jobs = 100;
/// }));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HubConfig {
    /// What each job's ring keeps for replay. Default: 256 events, 64 KiB.
    pub ring: RingLimits,
    /// Memory of all rings together, in bytes. Default: 64 MiB. When it is reached,
    /// finished jobs are forgotten, oldest first; when only running ones are left,
    /// an event for a new job is refused.
    pub memory_bytes: usize,
    /// The most jobs. Default: 20,000. At it the same happens as at `memory_bytes`.
    pub jobs: usize,
    /// Those that uploads of one address, and of one token, have begun, deleted ones that are
    /// remembered included; none is no limit. Default: 1,000. At it the first of them that
    /// ended is forgotten for the next; when only running ones are left, that is refused.
    pub jobs_per_address: Option<u32>,
    /// The most names that streams wait for and that are no jobs'. Default: 100,000; each
    /// costs some 300 bytes. At it a stream that names another is asked to come back later.
    pub awaited: usize,
    /// Those that one address, and one token, was the first to wait for; none is no limit.
    /// Default: 10,000. At it the same happens.
    pub awaited_per_address: Option<u16>,
    /// How long a deletion is remembered: until then the job is said to be gone. Default:
    /// 1 hour.
    pub deleted_for: Duration,
    /// The largest `data` of an event, in bytes. Default: 64 KiB.
    pub event_bytes: usize,
    /// A running job without an event for so long counts as finished when room is
    /// needed: its worker is gone. Default: 24 hours.
    pub abandoned_after: Duration,
    /// The lease of a worker's job whose events and `PUT` say none. Default:
    /// none, and then such a job may be without a word as long as it likes.
    pub lease: Option<Lease>,
    /// How long a key is remembered, as long as its job is, and of a job 1,024 of them at
    /// most. Default: 10 min.
    pub idempotency_window: Duration,
    /// How long a worker may take to end a job that is cancelled, from when it is. Default:
    /// 30 s. After it the job ends by itself.
    pub cancel_grace: Duration,
}

crate::sys::with::with!(HubConfig);

impl Default for HubConfig {
    fn default() -> HubConfig {
        HubConfig {
            ring: RingLimits {
                events: 256,
                bytes: 64 * 1024,
            },
            memory_bytes: 64 * 1024 * 1024,
            jobs: 20_000,
            jobs_per_address: Some(1000),
            awaited: 100_000,
            awaited_per_address: Some(10_000),
            deleted_for: Duration::from_secs(60 * 60),
            event_bytes: 64 * 1024,
            abandoned_after: Duration::from_secs(24 * 60 * 60),
            lease: None,
            idempotency_window: Duration::from_secs(10 * 60),
            cancel_grace: Duration::from_secs(30),
        }
    }
}
