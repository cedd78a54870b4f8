//! Made-up worlds, each from a seed, held against what must hold.

mod connection;
mod disk;
mod found;
mod front;
mod model;
mod options;
mod puts;
mod random;
mod reader;
#[cfg(feature = "redis")]
mod redis;
mod restart;
mod rules;
mod server;
mod trace;
mod world;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use trace::Trace;
use world::World;

/// How many seeds are tried, unless `LANDFALL_SEEDS` says.
const SEEDS: u64 = 300;

/// Runs the world of a seed. Returns its digest.
fn run(seed: u64, is_loud: bool) -> Result<u32, String> {
    traced(seed, is_loud, "--lib simulation", |trace| {
        World::new(seed, trace).run();
    })
}

/// Runs what is made of a seed, by a test that `arguments` choose. Returns the digest of its
/// trace.
fn traced(
    seed: u64,
    is_loud: bool,
    arguments: &str,
    world: impl FnOnce(&Trace),
) -> Result<u32, String> {
    let trace = Trace::new(is_loud);
    let ended = catch_unwind(AssertUnwindSafe(|| world(&trace)));
    ended.map(|()| trace.digest()).map_err(|panic| {
        format!(
            "seed {seed}: {}\n\nits last steps:\n{}\n\nto see all of them: LANDFALL_SEED={seed} \
             cargo test {arguments} -- --nocapture\n",
            said(&*panic),
            trace.last()
        )
    })
}

/// What a panic has said.
fn said(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().cloned();
    let said = said.or_else(|| panic.downcast_ref::<&str>().map(|&it| it.to_owned()));
    said.unwrap_or_default()
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().expect("the variable is a number"))
}

/// Runs so many seeds, or those that the environment names.
fn each_seed(seeds: u64, run: impl Fn(u64, bool) -> Result<u32, String> + Sync) {
    if let Some(seed) = number("LANDFALL_SEED") {
        run(seed, true).unwrap_or_else(|failure| panic!("{failure}"));
        return;
    }
    let seeds = number("LANDFALL_SEEDS").unwrap_or(seeds);
    let first = number("LANDFALL_FIRST_SEED").unwrap_or(1);
    let next = AtomicU64::new(first);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return Ok(());
            }
            run(seed, false)?;
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ends = threads
            .into_iter()
            .map(|thread| thread.join().expect("it ends"));
        ends.filter_map(Result::err).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_must_hold_holds_in_every_world() {
    each_seed(SEEDS, run);
}

#[test]
fn a_seed_is_the_same_world_every_time() {
    for seed in 1..=10 {
        assert_eq!(run(seed, false), run(seed, false), "seed {seed}");
    }
}
