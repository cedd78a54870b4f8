//! Landfall streams the progress of jobs, as the server knows it, to browsers over
//! Server-Sent Events.
//!
//! ```
//! use landfall::{Event, HubConfig, Sequencer};
//! let jobs = Sequencer::in_memory(HubConfig::default());
//! let job = "job_8f3a".parse().unwrap();
//! jobs.publish(&job, Event::progress("scanning", 30.0)).unwrap();
//! assert_eq!(jobs.snapshot(&job).unwrap().last_event.unwrap().0, "progress");
//! ```
//!
//! [`Subscribers`] follow jobs within the process, for a program that has a framework of its own. A
//! whole server is started by [`Server::start`]; [`Client`] talks to one; [`Claims`] make the
//! tokens that it lets browsers in with. The life of an event: `server` reads a worker's request
//! with what `http` knows of them, `routes` decides what it gets, and `event` checks what is
//! published. `sequencer` gives it its number and its place in the one order, and `hub` applies
//! it to its job. The shards of `stream` read what is new out of the job's ring once, and send
//! it to each subscriber, a row of 32 bytes. [How it is built](docs::design) is a page of its own.
#![cfg_attr(not(feature = "internals"), warn(unnameable_types))]

mod access;
pub mod cli;
mod client;
mod command;
pub mod docs;
mod event;
mod http;
mod hub;
#[cfg(feature = "internals")]
pub mod internals;
mod pipeline;
mod progress;
mod routes;
mod sequencer;
mod server;
#[cfg(test)]
mod simulation;
mod stream;
mod sys;
mod upload;
mod webhook;

pub use access::{Allowed, Block, CookieName, HostName, Malformed, Origin};
pub use access::{Claims, Key, KeyError, Keys, Scope, TokenError};
pub use client::{AddressError, Client, ClientError, HubAddress, ServerEvent, Subscription};
pub use event::resume::{LastEventId, Start};
pub use event::{Event, EventError, EventId, EventName, JobId, JobState, Lease, LifeId, NameError};
pub use event::{IdempotencyKey, IdempotencyKeyError, LeaseError, RingLimits, Word};
pub use http::{BasePath, BasePathError, HeadLimits};
pub use hub::{After, HubConfig, Owner, Refusal, Snapshot};
pub use pipeline::{ClamdAddress, PipelineConfig};
pub use routes::{AuthConfig, QuotaConfig};
pub use sequencer::{FleetConfig, FleetName, FleetNameError, RedisUrl, RedisUrlError};
pub use sequencer::{JournalConfig, PublishError, Saying, Sequencer, SyncPolicy};
pub use server::{Address, ConnectionConfig, OpsAddress, Server, ServerConfig, Sockets};
pub use stream::ShardConfig;
pub use stream::subscribers::{EventStream, Follow, SentEvent, Subscribers};
pub use upload::SpoolConfig;
