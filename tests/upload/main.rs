//! Uploads, against the real binary.

mod access;
#[path = "../support/at_end.rs"]
mod at_end;
#[path = "../support/binary.rs"]
mod binary;
mod cancelling;
mod clients;
mod crash;
mod disk_full;
mod downloads;
mod greedy;
#[path = "../support/http.rs"]
mod http;
mod limits;
mod lives;
mod posted;
mod resumable;
mod support;
