//! Memory per subscriber that has nothing to receive.

use std::time::Duration;

use super::Scale;
use crate::failure::Result;
use crate::field::Field;
use crate::measured::Measured;
use crate::peer::{Peer, Setup};
use crate::procfs;

/// For allocations that follow a connect, and for the kernel's deferred frees.
const SETTLE: Duration = Duration::from_millis(1000);

struct Memory {
    server: f64,
    machine: f64,
    slab: f64,
}

impl Memory {
    /// The machine's use is what is no longer available, less what the load
    /// generator itself has grown to.
    fn now(field: &Field) -> Memory {
        let own = procfs::user_bytes(&[std::process::id()]) as f64;
        let (available, slab) = procfs::machine_available_and_slab_bytes();
        Memory {
            server: procfs::user_bytes(&field.server.pids()) as f64,
            machine: -(available as f64) - own,
            slab: slab as f64,
        }
    }
}

pub fn run(peer: &dyn Peer, scale: Scale) -> Result<Measured> {
    let levels: &[usize] = scale.of(&[1_000, 5_000, 10_000, 19_000], &[1_000, 2_000]);
    let mut field = Field::new(peer, &Setup::default())?;
    field.subscribe(1)?;
    field.clients.run_for(SETTLE)?;
    let base = Memory::now(&field);
    let mut measured = Measured::default();
    let mut earlier: Option<(usize, f64)> = None;
    for &level in levels {
        field.subscribe(level)?;
        field.clients.run_for(SETTLE)?;
        let memory = Memory::now(&field);
        let added = (level - 1) as f64;
        measured
            .set(
                format!("bytes_each_{level}"),
                (memory.server - base.server) / added,
            )
            .set(
                format!("machine_bytes_each_{level}"),
                (memory.machine - base.machine) / added,
            )
            .set(
                format!("slab_bytes_each_{level}"),
                (memory.slab - base.slab) / added,
            );
        if let Some((count, bytes)) = earlier {
            let slope = (memory.server - bytes) / (level - count) as f64;
            measured.set("slope_bytes", slope);
        }
        earlier = Some((level, memory.server));
    }
    // Everyone is still there: one event reaches all.
    let everyone = field.clients.len();
    field.burst(1, everyone)?;
    measured.set_faults(&field.clients.totals);
    Ok(measured)
}
