//! What survives: the end of a process, a full disk, a torn file.

#[path = "../support/http.rs"]
mod http;
mod restart;
mod support;
