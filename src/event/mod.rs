//! Events: their names and numbers, their frames, the ring that keeps them, and where a
//! stream of them begins. Nothing here knows a socket, a thread or a clock.

#[cfg(feature = "server")]
mod beginning;
pub mod frame;
pub mod job;
#[cfg(any(feature = "client", feature = "server"))]
pub(crate) mod json;
mod key;
mod lease;
#[cfg(feature = "server")]
mod line;
mod malformed;
mod pace;
mod past;
mod publication;
pub mod resume;
pub mod ring;

#[cfg(feature = "server")]
pub use beginning::Beginning;
pub use job::{EventId, EventName, JobId, JobState, LifeId};
pub use key::{Content, IdempotencyKey};
pub use lease::Lease;
#[cfg(feature = "server")]
pub use line::Publication;
pub use malformed::Malformed;
pub use pace::Pace;
pub use past::PastEvent;
pub use publication::{Event, EventError, Word};
pub use ring::RingLimits;
