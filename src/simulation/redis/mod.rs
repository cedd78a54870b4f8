//! Made-up fleets, each from a seed: nodes, a Redis and what lies between, held against what
//! must hold of an order over Redis.

mod alike;
mod found;
mod line;
mod link;
mod server;
mod world;

use super::{each_seed, traced};
use world::World;

/// How many seeds are tried, unless `LANDFALL_SEEDS` says.
const SEEDS: u64 = 300;

/// Runs the fleet of a seed. Returns its digest.
fn run(seed: u64, is_loud: bool) -> Result<u32, String> {
    let arguments = "--features redis --lib simulation::redis";
    traced(seed, is_loud, arguments, |trace| {
        World::new(seed, trace).run()
    })
}

#[test]
fn what_must_hold_of_a_fleet_holds_in_every_world() {
    each_seed(SEEDS, run);
}

#[test]
fn no_number_is_given_twice_in_the_world_where_one_was() {
    run(7902, false).expect("it holds");
}

#[test]
fn nodes_without_a_state_get_one_in_the_world_where_they_got_none() {
    run(9137, false).expect("it holds");
}

#[test]
fn a_seed_is_the_same_fleet_every_time() {
    for seed in 1..=10 {
        assert_eq!(run(seed, false), run(seed, false), "seed {seed}");
    }
}
