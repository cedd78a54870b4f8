//! Landfall.

pub mod job;

pub use job::{EventId, EventName, JobId, JobState, Sequence};
