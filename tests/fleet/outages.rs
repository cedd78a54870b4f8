//! Redis is away for a while, and has everything when it is back.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::http::publish;
use super::redis::Redis;
use super::support::{Stream, get, is_ready, metric, node, snapshot, try_to_publish, wait_until};

#[test]
fn while_redis_says_nothing_publishing_is_refused_and_everything_else_goes_on() {
    let redis = Redis::start(&[]);
    let node = node(&redis.url(), "a");
    let first = publish(node.publish, "j", "progress", "{}");
    redis.signal(Signal::STOP);
    wait_until("it isn't ready", || !is_ready(&node));
    let told = get(node.ops, "/readyz");
    assert!(told.body.contains("Redis can't be reached"), "{told:?}");
    let mut refused = None;
    wait_until("publishing is refused at once", || {
        let answer = try_to_publish(&node, "other", "progress");
        let is_refused = answer.status == 503;
        refused = Some(answer);
        is_refused
    });
    let refused = refused.unwrap();
    assert!(refused.field("Retry-After").is_some(), "{refused:?}");
    assert!(refused.body.contains("Redis"), "{refused:?}");
    assert_eq!(metric(&node, "landfall_fleet_redis_up"), 0.0);
    assert_eq!(
        snapshot(&node, "j").json()["lastEventId"],
        first.to_string()
    );
    let mut stream = Stream::open(&node, "/api/jobs/j/events", None);
    assert_eq!(stream.ids(1), [first]);
    redis.signal(Signal::CONT);
    wait_until("it is ready again", || is_ready(&node));
    let next = publish(node.publish, "j", "progress", "{}");
    assert_eq!(stream.ids(1), [next]);
    assert_eq!(metric(&node, "landfall_fleet_redis_up"), 1.0);
}

#[test]
fn who_publishes_when_redis_falls_silent_is_answered_before_a_client_gives_up() {
    let redis = Redis::start(&[]);
    let node = node(&redis.url(), "a");
    publish(node.publish, "j", "progress", "{}");
    // By then it has answered the node as well, which sends the next at once.
    redis.ask(&["PING"]);
    redis.signal(Signal::STOP);
    let began = Instant::now();
    let answer = try_to_publish(&node, "j", "progress");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.field("Retry-After").is_some(), "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(30));
    redis.signal(Signal::CONT);
    wait_until("it is ready again", || is_ready(&node));
    // What was on its way then is taken, once.
    let mut stream = Stream::open(&node, "/api/jobs/j/events", None);
    let last = publish(node.publish, "j", "progress", "{}");
    assert_eq!(stream.ids(3)[2], last);
}

#[test]
fn a_redis_that_is_started_again_with_its_data_goes_on_without_a_reset() {
    let mut redis = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let nodes = ["a", "b"].map(|name| node(&redis.url(), name));
    let mut stream = Stream::open(&nodes[1], "/api/events", None);
    let mut ids: Vec<u64> = Vec::new();
    for round in 0..3 {
        ids.push(publish(nodes[round % 2].publish, "j", "progress", "{}"));
        redis.kill();
        redis.start_again();
        wait_until("both are ready again", || nodes.iter().all(is_ready));
        // Either may have been, and have yet to hear of it.
        for node in &nodes {
            wait_until("it is published again", || {
                let answer = try_to_publish(node, "k", "progress");
                ids.extend(answer.json()["id"].as_u64());
                answer.status == 201
            });
        }
    }
    assert!(ids.is_sorted());
    assert_eq!(stream.ids(ids.len()), ids);
}

#[test]
fn a_redis_that_is_full_is_said_to_be_and_all_goes_on_when_it_has_room() {
    let redis = Redis::start(&[]);
    let node = node(&redis.url(), "a");
    let mut stream = Stream::open(&node, "/api/events", None);
    let mut ids = vec![publish(node.publish, "j", "progress", "{}")];
    redis.ask(&["CONFIG", "SET", "maxmemory", "500kb"]);
    let mut refused = None;
    wait_until("publishing is refused with what to do", || {
        let answer = try_to_publish(&node, "j", "progress");
        ids.extend(answer.json()["id"].as_u64());
        let is_refused = answer.status == 503 && answer.body.contains("raise its maxmemory");
        refused = Some(answer);
        is_refused
    });
    let refused = refused.unwrap();
    assert!(refused.field("Retry-After").is_some(), "{refused:?}");
    let told = get(node.ops, "/readyz");
    assert_eq!(told.status, 503);
    assert!(told.body.contains("Redis has no room"), "{told:?}");
    assert_eq!(snapshot(&node, "j").status, 200);
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    wait_until("it is ready again", || is_ready(&node));
    ids.push(publish(node.publish, "j", "progress", "{}"));
    // What was refused is nowhere.
    assert_eq!(stream.ids(ids.len()), ids);
}

#[test]
fn a_master_that_is_a_replica_for_a_while_is_waited_for() {
    let redis = Redis::start(&[]);
    let node = node(&redis.url(), "a");
    let mut last = publish(node.publish, "j", "progress", "{}");
    redis.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    wait_until("it isn't ready", || !is_ready(&node));
    wait_until("publishing is refused", || {
        let answer = try_to_publish(&node, "k", "progress");
        last = answer.json()["id"].as_u64().unwrap_or(last);
        answer.status == 503
    });
    assert_eq!(snapshot(&node, "j").status, 200);
    redis.ask(&["REPLICAOF", "NO", "ONE"]);
    wait_until("it is ready again", || is_ready(&node));
    wait_until("it is published again", || {
        let answer = try_to_publish(&node, "j", "progress");
        let id = answer.json()["id"].as_u64();
        assert!(id.is_none_or(|id| id > last));
        answer.status == 201
    });
}

#[test]
fn a_node_that_is_started_before_redis_waits_for_it() {
    let mut redis = Redis::start(&[]);
    let url = redis.url();
    redis.kill();
    let starting = std::thread::spawn(move || node(&url, "a"));
    redis.start_again();
    let node = starting.join().unwrap();
    publish(node.publish, "j", "progress", "{}");
}
