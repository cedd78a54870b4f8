//! What is measured of a fleet.

use rustix::process::Signal;

use super::http::publish;
use super::promtool::{folder, promtool};
use super::redis::Redis;
use super::support::{get, is_ready, metric, node, wait_until};

const LAG: &str = "landfall_fleet_lag_seconds";

#[test]
fn a_node_is_behind_for_as_long_as_redis_says_nothing() {
    let redis = Redis::start(&[]);
    let node = node(&redis.url(), "a");
    publish(node.publish, "j", "progress", "{}");
    wait_until("it has everything", || metric(&node, LAG) == 0.0);
    assert_eq!(metric(&node, "landfall_fleet_lag_entries"), 0.0);
    redis.signal(Signal::STOP);
    wait_until("it is behind", || metric(&node, LAG) > 1.0);
    redis.signal(Signal::CONT);
    wait_until("it is ready again", || is_ready(&node));
    wait_until("it has everything again", || metric(&node, LAG) == 0.0);
}

#[test]
fn alerts_and_the_dashboard_ask_for_what_a_fleet_measures_and_promtool_reads_it() {
    let redis = Redis::start(&[]);
    let node = node(&redis.url(), "a");
    let metrics = get(node.ops, "/metrics").body;
    for file in ["alerts.yml", "dashboard.json"] {
        let text = std::fs::read_to_string(folder().join(file)).unwrap();
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        let names = text.split(|c| !is_name(c));
        let asked: Vec<&str> = names
            .filter(|name| name.starts_with("landfall_fleet_"))
            .collect();
        assert!(asked.len() > 3, "{asked:?}");
        for name in asked {
            assert!(metrics.contains(&format!("\n{name} ")), "{name}");
        }
    }
    let output = promtool(&["check", "metrics"], &metrics);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}
