//! What a hub keeps, and how much of it.

use std::time::Duration;

use crate::event::Lease;
use crate::event::ring::RingLimits;

crate::sys::config::config! {
    /// What a hub keeps, and how much of it.
    ///
    /// ```
    /// use landfall::{HubConfig, Sequencer};
    /// let jobs = Sequencer::in_memory(HubConfig::with(|config| {
    ///     config.ring.events = 16;
    ///     config.jobs = 100;
    /// }));
    /// ```
    pub struct HubConfig {
        /// What each job's ring keeps for replay. Default: 256 events, 64 KiB.
        pub ring: RingLimits = RingLimits {
            events: 256,
            bytes: 64 * 1024,
        },
        /// Memory of all rings together, in bytes. Default: 64 MiB. When it is reached,
        /// finished jobs are forgotten, oldest first; when only running ones are left,
        /// an event for a new job is refused.
        pub memory_bytes: usize = 64 * 1024 * 1024,
        /// The most jobs. Default: 20,000. At it the same happens as at `memory_bytes`.
        pub jobs: usize = 20_000,
        /// Those that uploads of one address, and of one token, have begun, deleted ones that are
        /// remembered included; none is no limit. Default: 1,000. At it the first of them that
        /// ended is forgotten for the next; when only running ones are left, that is refused.
        pub jobs_per_address: Option<u32> = Some(1000),
        /// The most names that streams wait for and that are no jobs'. Default: 100,000; each
        /// costs some 300 bytes. At it a stream that names another is asked to come back later.
        pub awaited: usize = 100_000,
        /// Those that one address, and one token, was the first to wait for; none is no limit.
        /// Default: 10,000. At it the same happens.
        pub awaited_per_address: Option<u16> = Some(10_000),
        /// How long a deletion is remembered: until then the job is said to be gone. Default:
        /// 1 hour.
        pub deleted_for: Duration = Duration::from_secs(60 * 60),
        /// The largest `data` of an event, in bytes. Default: 64 KiB.
        pub event_bytes: usize = 64 * 1024,
        /// A running job without an event for so long counts as finished when room is
        /// needed: its worker is gone. Default: 24 hours.
        pub abandoned_after: Duration = Duration::from_secs(24 * 60 * 60),
        /// The lease of a worker's job whose events and `PUT` say none. Default:
        /// none, and then such a job may be without a word as long as it likes.
        pub lease: Option<Lease> = None,
        /// How long a key is remembered, as long as its job is, and of a job 1,024 of them at
        /// most. Default: 10 min.
        pub idempotency_window: Duration = Duration::from_secs(10 * 60),
        /// How long a worker may take to end a job that is cancelled, from when it is. Default:
        /// 30 s. After it the job ends by itself.
        pub cancel_grace: Duration = Duration::from_secs(30),
    }
}
