//! Webhooks, told of events by a real server and taken by real receivers.

#[path = "../support/binary.rs"]
mod binary;
mod broken;
mod config;
mod delivery;
#[path = "../support/http.rs"]
mod http;
#[cfg(feature = "https")]
mod https;
mod neighbours;
mod receiver;
mod restart;
mod retry;
mod services;
mod signature;
mod support;
