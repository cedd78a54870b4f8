//! The scenarios, each a function of one server.

mod broadcast;
mod burst;
mod idle;
mod jobs;
mod kept;
mod neighbours;
mod pace;
mod proxy;
mod rest;
mod restart;
mod single;
mod slow;
mod storm;

use crate::failure::Result;
use crate::measured::Measured;
use crate::peer::Peer;
use crate::procfs::{self, Cpu};

/// How large a run is.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// A tenth of everything, to see that it works.
    pub quick: bool,
}

impl Scale {
    /// `full`, or `quick` in a quick run.
    pub fn of<T>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

type Run = fn(&dyn Peer, Scale) -> Result<Measured>;

/// One scenario.
pub struct Scenario {
    pub name: &'static str,
    pub run: Run,
}

/// All of them, in the order of the tables.
pub const ALL: [Scenario; 13] = [
    scenario("idle", idle::run),
    scenario("broadcast", broadcast::run),
    scenario("burst", burst::run),
    scenario("jobs", jobs::run),
    scenario("storm", storm::run),
    scenario("restart", restart::run),
    scenario("single", single::run),
    scenario("kept", kept::run),
    scenario("neighbours", neighbours::run),
    scenario("slow", slow::run),
    scenario("pace", pace::run),
    scenario("proxy", proxy::run),
    scenario("rest", rest::run),
];

const fn scenario(name: &'static str, run: Run) -> Scenario {
    Scenario { name, run }
}

/// CPU the load generator has used.
fn own_cpu() -> Cpu {
    procfs::cpu(&[std::process::id()])
}
