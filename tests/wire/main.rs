//! The server as its clients see it: real sockets, and bytes compared with the contract.

mod activation;
mod admission;
mod age;
#[path = "../support/at_end.rs"]
mod at_end;
mod bad_requests;
mod base_path;
mod broken;
mod cancelling;
mod consolidated;
mod conversations;
mod deletion;
mod handover;
mod herd;
mod keys;
mod leases;
mod lists;
mod max_rate;
mod memory;
mod monitoring;
mod ops;
mod pressure;
mod program;
mod prometheus;
#[path = "../support/promtool.rs"]
mod promtool;
mod publishing;
mod reconnect;
mod refusals;
mod resume;
mod send_memory;
mod smuggling;
mod sse;
mod stop;
mod streams;
mod support;
mod timeouts;
mod web;
