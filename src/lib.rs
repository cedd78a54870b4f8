//! Landfall streams the progress of jobs, as the server knows it, to browsers over
//! Server-Sent Events.
//!
//! The life of an event: a worker's request is read by a [`connection`](server::connection), a
//! coroutine, whose bytes [`http`] decodes without knowing of sockets. [`routes`] decides what
//! the request gets; a publication is an [`event`], checked once and for all. The
//! [`sequencer`] gives it its number and its place in the one order, and writes it to the
//! journal where there is one. The [`hub`] applies it: what it makes of the job's life depends
//! on the entries before it alone. Its [`frame`](event::frame) goes to the job's
//! [`ring`](event::ring), and the shards that follow the job are told. A [`shard`](stream) reads
//! what is new out of the ring once and sends it to each of its subscribers, rows of 32 bytes
//! that were parked there when their requests had been answered. Where it sleeps and few are to
//! be sent something, the publisher's thread does that in its place.
//!
//! ```
//! use landfall::{Event, HubConfig, Sequencer};
//! let jobs = Sequencer::in_memory(HubConfig::default());
//! let job = "job_8f3a".parse().unwrap();
//! jobs.publish(&job, Event::progress("scanning", 30.0)).unwrap();
//! assert_eq!(jobs.snapshot(&job).unwrap().last_event.unwrap().0, "progress");
//! ```
//!
//! A whole server is started by [`Server::start`]. [How it is built](docs::design) is a page of its
//! own.

pub mod access;
pub mod cli;
pub mod client;
pub mod command;
pub mod docs;
pub mod event;
pub mod http;
pub mod hub;
pub mod pipeline;
pub mod progress;
pub mod routes;
pub mod sequencer;
pub mod server;
#[cfg(test)]
mod simulation;
pub mod stream;
pub mod sys;
pub mod upload;

pub use event::job::{EventId, EventName, JobId, JobState, LifeId};
pub use event::{Event, EventError, Lease, Publication, Word};
pub use hub::{After, Hub, HubConfig, Owner, Refusal, Snapshot};
pub use routes::AuthConfig;
pub use sequencer::journal::JournalConfig;
pub use sequencer::{PublishError, Saying, Sequencer};
pub use server::listener::Address;
pub use server::sockets::Sockets;
pub use server::{Server, ServerConfig};
