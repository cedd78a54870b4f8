//! Events: their names and numbers, their frames, the ring that keeps them, and where a
//! stream of them begins. Nothing here knows a socket, a thread or a clock.

mod beginning;
pub mod frame;
pub mod job;
mod key;
mod lease;
mod publication;
pub mod resume;
pub mod ring;

pub use beginning::Beginning;
pub use job::{EventId, EventName, JobId, JobState, LifeId, NameError};
pub use key::{Content, IdempotencyKey, IdempotencyKeyError};
pub use lease::{Lease, LeaseError};
pub use publication::{Event, EventError, Publication, Word};
pub use ring::RingLimits;
