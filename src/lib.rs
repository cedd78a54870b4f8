//! Landfall.

pub mod event;
pub mod frame;
pub mod http;
pub mod hub;
pub mod job;
pub mod metrics;
pub mod random;
pub mod resume;
pub mod ring;
pub mod shard;
pub mod socket;

pub use event::{Event, EventError, Publication};
pub use hub::{Hub, HubConfig, PublishError, Snapshot};
pub use job::{EventId, EventName, JobId, JobState, Sequence};
