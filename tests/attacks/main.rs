//! The real binary under attack: each test is named after what is done to it.

#[path = "../support/at_end.rs"]
mod at_end;
#[path = "../support/binary.rs"]
mod binary;
mod descriptors;
mod flood;
mod panics;
mod pipelines;
mod procfs;
mod slow;
#[path = "../wire/sse.rs"]
#[allow(dead_code)]
mod sse;
#[path = "../wire/support.rs"]
#[allow(dead_code)]
mod support;
mod vanished;
mod zero_window;

use std::sync::{Mutex, MutexGuard};

use binary::Binary;
use support::Client;

/// Thousands of connections are for one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    // One that failed has nothing to do with the next.
    ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A number that the server counts.
fn metric(server: &Binary, name: &str) -> i64 {
    let text = Client::connect(server.ops).get("/metrics").body;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .parse()
        .unwrap()
}
