//! What survives: the end of a process, a full disk, a torn file.

#[path = "../support/at_end.rs"]
mod at_end;
mod backup;
#[path = "../support/binary.rs"]
mod binary;
mod cancelling;
mod crash;
mod disk;
#[path = "../support/http.rs"]
mod http;
mod keys;
mod leases;
mod library;
mod model;
mod replay;
mod restart;
mod retention;
#[path = "../support/stream.rs"]
mod stream;
mod support;
