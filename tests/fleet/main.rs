//! Several servers, one order, over a real Redis.
#![cfg(feature = "redis")]

#[path = "../support/binary.rs"]
mod binary;
mod cuts;
mod denials;
mod guide;
#[path = "../support/http.rs"]
mod http;
mod losses;
mod metrics;
mod order;
mod outages;
#[path = "../support/promtool.rs"]
mod promtool;
mod redis;
mod refusals;
mod replicas;
mod rights;
mod script;
#[path = "../support/stream.rs"]
mod stream;
mod support;
mod uploads;
