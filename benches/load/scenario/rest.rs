//! What a server takes when nothing happens.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::Scale;
use crate::failure::{Context, Result};
use crate::measured::Measured;
use crate::peer::{Peer, Setup};
use crate::procfs;

pub fn run(peer: &dyn Peer, scale: Scale) -> Result<Measured> {
    let watched = scale.of(Duration::from_secs(10), Duration::from_secs(3));
    let setup = Setup {
        ring_events: 256,
        ring_bytes: 64 * 1024,
        ..Setup::default()
    };
    let server = peer.start(&setup)?;
    std::thread::sleep(Duration::from_secs(1));
    let pids = server.pids();
    let resident = procfs::resident_bytes(&pids) as f64;
    let private = procfs::user_bytes(&pids) as f64;
    let before = procfs::sleeps(&pids);
    std::thread::sleep(watched);
    let sleeps = (procfs::sleeps(&pids) - before) as f64;
    let mut measured = Measured::default();
    measured
        .set("resident_mib", resident / 1048576.0)
        .set("user_mib", private / 1048576.0)
        .set("wakeups_per_s", sleeps / watched.as_secs_f64())
        .set("binary_mib", stripped_bytes(peer)? as f64 / 1048576.0);
    Ok(measured)
}

/// The size of the program's files without symbols.
fn stripped_bytes(peer: &dyn Peer) -> Result<u64> {
    let directory = tempfile::tempdir()?;
    let copy = directory.path().join("copy");
    let mut bytes = 0;
    for file in peer.files() {
        fs::copy(&file, &copy).context("copy the program")?;
        // Without `strip` the size is what it is.
        let _ = Command::new("strip").arg(&copy).status();
        bytes += fs::metadata(&copy)?.len();
    }
    Ok(bytes)
}
