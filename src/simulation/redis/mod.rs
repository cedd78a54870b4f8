//! Made-up fleets, each from a seed: nodes, a Redis and what lies between, held against what
//! must hold of an order over Redis.

mod alike;
mod line;
mod link;
mod server;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::trace::Trace;
use super::{each_seed, said};
use world::World;

/// How many seeds are tried, unless `LANDFALL_SEEDS` says.
const SEEDS: u64 = 300;

/// Runs the fleet of a seed. Returns its digest.
fn run(seed: u64, is_loud: bool) -> Result<u32, String> {
    let trace = Trace::new(is_loud);
    let ended = catch_unwind(AssertUnwindSafe(|| World::new(seed, &trace).run()));
    ended.map(|()| trace.digest()).map_err(|panic| {
        format!(
            "seed {seed}: {}\n\nits last steps:\n{}\n\nto see all of them: LANDFALL_SEED={seed} \
             cargo test --features redis --lib simulation::redis -- --nocapture\n",
            said(&*panic),
            trace.last()
        )
    })
}

#[test]
fn what_must_hold_of_a_fleet_holds_in_every_world() {
    each_seed(SEEDS, run);
}

#[test]
fn a_seed_is_the_same_fleet_every_time() {
    for seed in 1..=10 {
        assert_eq!(run(seed, false), run(seed, false), "seed {seed}");
    }
}
