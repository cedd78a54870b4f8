//! Landfall.

pub mod cli;
pub mod connection;
mod coroutine;
pub mod event;
pub mod frame;
pub mod http;
pub mod hub;
pub mod job;
pub mod listener;
pub mod metrics;
mod monitor;
mod random;
pub mod resume;
pub mod ring;
pub mod routes;
pub mod server;
pub mod shard;
mod socket;

pub use event::{Event, EventError, Publication};
pub use hub::{Hub, HubConfig, PublishError, Snapshot};
pub use job::{EventId, EventName, JobId, JobState, Sequence};
pub use listener::Address;
pub use server::{Server, ServerConfig};
