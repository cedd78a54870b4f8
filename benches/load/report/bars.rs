//! What has to be reached, and whether it was.

use std::fmt::Write;

use super::{LANDFALL, number};
use crate::results::Results;

const PEERS: [&str; 3] = ["durable-streams", "nchan", "axum"];

/// A measured value beside the most, or the least, that it may be.
struct Verdict {
    measured: f64,
    allowed: f64,
    /// Whether more is better.
    least: bool,
}

struct Bar {
    scenario: &'static str,
    says: &'static str,
    unit: &'static str,
    decimals: usize,
    verdict: fn(&Results) -> Option<Verdict>,
}

const BARS: [Bar; 19] = [
    bar(
        "idle",
        "at most 64 bytes per subscriber at 19,000",
        "B",
        1,
        |r| at_most(ours(r, "idle", "bytes_each_19000")?, 64.0),
    ),
    bar(
        "idle",
        "flat: at 1,000 no more than that either",
        "B",
        1,
        |r| at_most(ours(r, "idle", "bytes_each_1000")?, 64.0),
    ),
    bar(
        "broadcast",
        "at most 1.10 of the bare send() loop",
        "us",
        2,
        |r| {
            let floor = r.median("broadcast", "send-loop", "cpu_us_per_delivery")?;
            at_most(ours(r, "broadcast", "cpu_us_per_delivery")?, 1.1 * floor)
        },
    ),
    bar("broadcast", "below every peer", "us", 2, |r| {
        let metric = "cpu_us_per_delivery";
        at_most(
            ours(r, "broadcast", metric)?,
            lowest(r, "broadcast", metric)?,
        )
    }),
    bar("burst", "at least 10 times axum", "/s", 0, |r| {
        let axum = r.median("burst", "axum", "deliveries_per_s")?;
        at_least(ours(r, "burst", "deliveries_per_s")?, 10.0 * axum)
    }),
    bar(
        "burst",
        "at least 1.5 times durable-streams",
        "/s",
        0,
        |r| {
            let durable = r.median("burst", "durable-streams", "deliveries_per_s")?;
            at_least(ours(r, "burst", "deliveries_per_s")?, 1.5 * durable)
        },
    ),
    bar("jobs", "at least 1.5 times the best peer", "/s", 0, |r| {
        let metric = "delivered_per_s_max";
        at_least(ours(r, "jobs", metric)?, 1.5 * highest(r, "jobs", metric)?)
    }),
    bar("jobs", "p99 below 10 ms at 50,000 a second", "ms", 2, |r| {
        at_most(ours(r, "jobs", "p99_ms_50k")?, 10.0)
    }),
    bar("jobs", "and 50,000 a second delivered", "/s", 0, |r| {
        at_least(ours(r, "jobs", "delivered_per_s_50k")?, 49_000.0)
    }),
    bar("storm", "twice as fast as the fastest peer", "ms", 0, |r| {
        let metric = "caught_up_ms";
        at_most(ours(r, "storm", metric)?, lowest(r, "storm", metric)? / 2.0)
    }),
    bar("single", "p50 no worse than the best peer", "us", 0, |r| {
        at_most(ours(r, "single", "p50_us")?, lowest(r, "single", "p50_us")?)
    }),
    bar("single", "p99 no worse than the best peer", "us", 0, |r| {
        at_most(ours(r, "single", "p99_us")?, lowest(r, "single", "p99_us")?)
    }),
    bar("neighbours", "p99 below 20 ms", "ms", 2, |r| {
        at_most(ours(r, "neighbours", "p99_ms")?, 20.0)
    }),
    bar(
        "slow",
        "p99 of the others at most 1.2 of without",
        "",
        2,
        |r| at_most(ours(r, "slow", "p99_ratio")?, 1.2),
    ),
    bar(
        "slow",
        "memory within --stall-memory, 4 MiB a shard, and the ring",
        "MiB",
        1,
        |r| {
            let shards = std::thread::available_parallelism().map_or(1, usize::from);
            at_most(
                ours(r, "slow", "server_mib_with")?,
                4.0 * shards as f64 + 1.0,
            )
        },
    ),
    bar("rest", "at most 4 MiB resident", "MiB", 2, |r| {
        at_most(ours(r, "rest", "resident_mib")?, 4.0)
    }),
    bar("rest", "at most 5 wake-ups a second", "/s", 1, |r| {
        at_most(ours(r, "rest", "wakeups_per_s")?, 5.0)
    }),
    bar("rest", "a program of at most 2 MiB", "MiB", 2, |r| {
        at_most(ours(r, "rest", "binary_mib")?, 2.0)
    }),
    bar(
        "all",
        "rounds in which an event was lost, doubled or late",
        "",
        0,
        |r| {
            let bad = |row: &&crate::results::Row| {
                row.server == LANDFALL && !(row.faults.is_empty() && row.failed.is_empty())
            };
            at_most(r.rows.iter().filter(bad).count() as f64, 0.0)
        },
    ),
];

/// The bars as a table: what was asked, what was reached.
pub fn summary(results: &Results) -> String {
    let mut text = String::from(
        "\n## What had to be reached\n\n| | bar | allowed | measured | |\n\
         | --- | --- | ---: | ---: | --- |\n",
    );
    for bar in &BARS {
        let Some(verdict) = (bar.verdict)(results) else {
            continue;
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} {} | {} {} | {} |",
            bar.scenario,
            bar.says,
            number(verdict.allowed, bar.decimals),
            bar.unit,
            number(verdict.measured, bar.decimals),
            bar.unit,
            if verdict.is_met() {
                "met"
            } else {
                "**missed**"
            },
        );
    }
    text
}

impl Verdict {
    fn is_met(&self) -> bool {
        if self.least {
            self.measured >= self.allowed
        } else {
            self.measured <= self.allowed
        }
    }
}

const fn bar(
    scenario: &'static str,
    says: &'static str,
    unit: &'static str,
    decimals: usize,
    verdict: fn(&Results) -> Option<Verdict>,
) -> Bar {
    Bar {
        scenario,
        says,
        unit,
        decimals,
        verdict,
    }
}

fn at_most(measured: f64, allowed: f64) -> Option<Verdict> {
    Some(Verdict {
        measured,
        allowed,
        least: false,
    })
}

fn at_least(measured: f64, allowed: f64) -> Option<Verdict> {
    Some(Verdict {
        measured,
        allowed,
        least: true,
    })
}

fn ours(results: &Results, scenario: &str, metric: &str) -> Option<f64> {
    results.median(scenario, LANDFALL, metric)
}

fn of_peers(results: &Results, scenario: &str, metric: &str) -> Vec<f64> {
    PEERS
        .iter()
        .filter_map(|peer| results.median(scenario, peer, metric))
        .collect()
}

fn lowest(results: &Results, scenario: &str, metric: &str) -> Option<f64> {
    of_peers(results, scenario, metric)
        .into_iter()
        .min_by(f64::total_cmp)
}

fn highest(results: &Results, scenario: &str, metric: &str) -> Option<f64> {
    of_peers(results, scenario, metric)
        .into_iter()
        .max_by(f64::total_cmp)
}
