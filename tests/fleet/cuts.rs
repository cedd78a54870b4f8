//! Connections to Redis that break in the middle of something.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::redis::{Proxy, Redis};
use super::support::{Stream, is_ready, metric, node, try_to_publish, wait_until};

#[test]
fn what_is_appended_when_a_connection_breaks_is_there_once() {
    let redis = Redis::start(&[]);
    let mut state = 7_u64;
    // The scripts are some 4,000 bytes, and the commands some 200 each.
    let proxy = Proxy::start(redis.address, move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        Some(4000 + (state >> 33) as usize % 4000)
    });
    let (cut, whole) = (node(&proxy.url(), "a"), node(&redis.url(), "b"));
    let mut stream = Stream::open(&whole, "/api/events", None);
    let mut ids = Vec::new();
    for job in 0..300 {
        let job = format!("j{job}");
        wait_until("it is published", || {
            let answer = try_to_publish(&cut, &job, "progress");
            ids.extend(answer.json()["id"].as_u64());
            answer.status == 201
        });
    }
    assert_eq!(stream.ids(300), ids);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 300);
    assert!(proxy.cuts.load(Ordering::Acquire) > 10);
    assert!(metric(&cut, "landfall_fleet_resends_total") > 0.0);
    wait_until("it is ready", || is_ready(&cut));
}
