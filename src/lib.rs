//! Landfall streams the progress of jobs to browsers over Server-Sent Events.
//!
//! ```
//! use landfall::{Event, HubConfig, Sequencer};
//! let jobs = Sequencer::in_memory(HubConfig::default());
//! let job = "job_8f3a".parse().unwrap();
//! jobs.publish(&job, Event::progress("scanning", 30.0).unwrap()).unwrap();
//! assert_eq!(jobs.snapshot(&job).unwrap().last_event.unwrap().0, "progress");
//! ```
//!
//! | for | there is |
//! | --- | --- |
//! | keeping jobs in your program | [`Sequencer`], in memory or with a journal |
//! | streaming them from a server of yours | [`Subscribers`] |
//! | a whole server in your program | [`Server`] |
//! | publishing to a server elsewhere, and following it | [`Client`] |
//! | the tokens that a server lets browsers in with | [`Claims`] |
//!
//! The guides are in [`docs`]: begin with [Landfall in your own program](docs::embedding).
//!
//! The life of an event: `server` and `http` read a worker's request, `routes` decides what it gets, and `event`
//! checks what is published. `sequencer` gives it its number and its place in the one order, and `hub` applies it
//! to its job. The shards of `stream` read it out of the job's ring once, and send it to each subscriber, a row
//! of 32 bytes. [How it is built](docs::design) says why.
//!
//! Each part is a feature. Without any there are `Sequencer` and `Subscribers`:
//! `landfall = { version = "0.1", default-features = false }`.
//!
//! | feature | adds | by default |
//! | --- | --- | --- |
//! | `server` | `Server`, and tokens | yes |
//! | `uploads` | uploads, the stages that process them, and webhooks | yes |
//! | `client` | `Client` | yes |
//! | `cli` | the program | yes |
//! | `serve` | the program with the commands `serve`, `check` and `token` only | yes |
//! | `futures` | `EventStream` is a `Stream` of futures-core | no |
//! | `redis` | several servers with one order | no |
//! | `https` | webhooks with https URLs | no |
//! | `s3` | stages that store in S3-compatible stores | no |
#![cfg_attr(not(feature = "internals"), warn(unnameable_types))]
// Where something is left out of the build, what only that calls or names is no mistake.
#![cfg_attr(
    not(feature = "default"),
    allow(dead_code, rustdoc::broken_intra_doc_links)
)]

#[macro_use]
mod sys;

mod access;
#[cfg(feature = "serve")]
pub mod cli;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "uploads")]
mod command;
pub mod docs;
mod event;
mod http;
mod hub;
#[cfg(feature = "internals")]
pub mod internals;
#[cfg(feature = "uploads")]
mod pipeline;
#[cfg(all(feature = "server", not(feature = "uploads")))]
#[path = "pipeline/none.rs"]
mod pipeline;
#[cfg(feature = "uploads")]
mod progress;
#[cfg(feature = "server")]
mod routes;
mod sequencer;
#[cfg(feature = "server")]
mod server;
#[cfg(test)]
mod simulation;
mod stream;
#[cfg(feature = "uploads")]
mod upload;
#[cfg(all(feature = "server", not(feature = "uploads")))]
#[path = "upload/none.rs"]
mod upload;
#[cfg(feature = "uploads")]
mod webhook;
#[cfg(all(feature = "server", not(feature = "uploads")))]
#[path = "webhook/none.rs"]
mod webhook;

#[cfg(feature = "server")]
pub use access::{Claims, Key, Keys, Scope, TokenError};
#[cfg(feature = "client")]
pub use client::{Client, ClientError, ServerEvent, Subscription};
pub use event::resume::{LastEventId, Start};
pub use event::{Event, EventError, EventId, EventName, IdempotencyKey, JobId, JobState};
pub use event::{Lease, LifeId, Malformed, Word};
#[cfg(any(feature = "server", feature = "client"))]
pub use http::Address;
pub use hub::{After, HubConfig, Owner, Refusal, Snapshot};
pub use sequencer::{JournalConfig, LeaseWatch, PublishError, Saying, Sequencer};
#[cfg(feature = "server")]
pub use server::{Server, ServerConfig};
pub use stream::subscribers::{EventStream, Follow, SentEvent, Subscribers};

/// The types of configurations' fields. Few programs name them: most are made by `parse`, or set field by field.
///
/// ```
/// use landfall::{Server, ServerConfig};
/// let config = ServerConfig::with(|config| {
///     config.hub.ring.events = 64;
///     config.auth.cors_origins = vec!["https://app.example".parse().unwrap()];
///     config.base_path = "/landfall".parse().unwrap();
/// });
/// ```
pub mod config {
    #[cfg(feature = "server")]
    pub use crate::access::{Allowed, Block, CookieName, HostName, Origin};
    pub use crate::event::RingLimits;
    #[cfg(any(feature = "server", feature = "client"))]
    pub use crate::http::BasePath;
    #[cfg(feature = "server")]
    pub use crate::http::HeadLimits;
    #[cfg(feature = "uploads")]
    pub use crate::pipeline::PipelineConfig;
    #[cfg(feature = "server")]
    pub use crate::routes::{AuthConfig, QuotaConfig};
    pub use crate::sequencer::{FleetConfig, FleetName, NodeUrl, RedisUrl, SyncPolicy};
    #[cfg(feature = "server")]
    pub use crate::server::ConnectionConfig;
    #[cfg(feature = "server")]
    pub use crate::stream::ShardConfig;
    #[cfg(feature = "uploads")]
    pub use crate::upload::SpoolConfig;
}
