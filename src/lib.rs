//! Landfall.

pub mod cli;
pub mod client;
pub mod job;
pub mod progress;

pub use job::{EventId, EventName, JobId, JobState, Sequence};
