//! Threads, each with a name.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread. All work goes through one kind of it: what starts a thread would be code of
/// its own for each, some 1.5 KB.
///
/// # Errors
/// There is no thread to be had.
pub fn start(
    name: impl Into<String>,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    start_boxed(name.into(), Box::new(work))
}

fn start_boxed(name: String, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name).spawn(work)
}
