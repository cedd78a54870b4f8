//! The server as its clients see it: real sockets, and bytes compared with the contract.

mod activation;
mod admission;
mod age;
mod bad_requests;
mod broken;
mod consolidated;
mod conversations;
mod deletion;
mod handover;
mod herd;
mod lists;
mod memory;
mod monitoring;
mod pressure;
mod program;
mod publishing;
mod reconnect;
mod refusals;
mod resume;
mod smuggling;
mod sse;
mod stop;
mod streams;
mod support;
mod timeouts;
mod web;
