//! Landfall.

pub mod event;
pub mod frame;
pub mod job;
pub mod resume;
pub mod ring;

pub use event::{Event, EventError, Publication};
pub use job::{EventId, EventName, JobId, JobState, Sequence};
