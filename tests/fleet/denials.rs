//! A Redis that answers and takes no writes, or not those of a fleet.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::binary::Binary;
use super::http::publish;
use super::redis::Redis;
use super::support::{Stream, get, is_ready, metric, snapshot, try_to_publish, wait_until};

/// A node, and what it writes into its log.
fn logged(redis: &Redis) -> (Binary, NamedTempFile) {
    logged_at(&redis.url())
}

fn logged_at(url: &str) -> (Binary, NamedTempFile) {
    let log = NamedTempFile::new().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_landfall"));
    program.stderr(File::create(log.path()).unwrap());
    let flags = ["--memory-only", "--node", "a", "--redis", url];
    (Binary::started_by(program, &flags), log)
}

fn says(log: &NamedTempFile, what: &str) -> bool {
    std::fs::read_to_string(log.path()).unwrap().contains(what)
}

/// Publishes until it is refused, which is soon, and takes down what was taken.
fn refused(node: &Binary, ids: &mut Vec<u64>, why: &str) {
    wait_until("publishing is refused", || {
        let answer = try_to_publish(node, "j", "progress");
        ids.extend(answer.json()["id"].as_u64());
        if answer.status == 503 {
            assert!(answer.field("Retry-After").is_some(), "{answer:?}");
        }
        // Where it takes long, it may first be one that can't be reached.
        answer.status == 503 && answer.body.contains(why)
    });
}

#[test]
fn a_redis_that_takes_no_writes_for_want_of_replicas_is_said_to_until_it_does() {
    let redis = Redis::start(&[]);
    let (node, log) = logged(&redis);
    let mut stream = Stream::open(&node, "/api/events", None);
    let mut ids = vec![publish(node.publish, "j", "progress", "{}")];
    redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    refused(&node, &mut ids, "takes no writes");
    wait_until("the log says so", || {
        says(&log, "min-replicas-to-write: start them, or set it lower")
    });
    // It stays so, also where nobody publishes and reading goes on.
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        let told = get(node.ops, "/readyz");
        assert_eq!(told.status, 503);
        let why = ["Redis takes no writes", "Redis can't be reached"];
        assert!(why.iter().any(|why| told.body.contains(why)), "{told:?}");
        assert_eq!(metric(&node, "landfall_fleet_redis_up"), 0.0);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(snapshot(&node, "j").status, 200);
    redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    wait_until("it is ready again by itself", || is_ready(&node));
    let ends = "min-replicas-to-write";
    let read = || std::fs::read_to_string(log.path()).unwrap();
    let since = || read().split_once(ends).unwrap().1.to_owned();
    wait_until("the log says that it is over", || {
        since().contains("events are put in order there")
    });
    assert!(!since().contains(ends), "it is said once: {}", read());
    ids.push(publish(node.publish, "j", "progress", "{}"));
    // What was refused is nowhere.
    assert_eq!(stream.ids(ids.len()), ids);
}

#[test]
fn who_publishes_when_the_master_becomes_a_replica_is_answered_soon() {
    let redis = Redis::start(&[]);
    let (node, log) = logged(&redis);
    let mut ids = vec![publish(node.publish, "j", "progress", "{}")];
    redis.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    refused(&node, &mut ids, "takes no writes");
    wait_until("it isn't ready", || {
        get(node.ops, "/readyz").body.contains("takes no writes")
    });
    wait_until("the log says so", || says(&log, "it is a replica"));
    redis.ask(&["REPLICAOF", "NO", "ONE"]);
    wait_until("it is ready again", || is_ready(&node));
    let mut stream = Stream::open(&node, "/api/jobs/j/events", None);
    ids.push(publish(node.publish, "j", "progress", "{}"));
    assert_eq!(stream.ids(ids.len()), ids);
}

#[test]
fn a_log_in_whose_place_another_program_puts_something_is_left_alone_until_that_is_gone() {
    let redis = Redis::start(&[]);
    let (node, log) = logged(&redis);
    let mut ids = vec![publish(node.publish, "j", "progress", "{}")];
    let mut stream = Stream::open(&node, "/api/jobs/j/events", None);
    redis.ask(&["SET", "landfall:log", "mine"]);
    wait_until("it isn't ready", || !is_ready(&node));
    refused(&node, &mut ids, "the server's log says why");
    wait_until("the log says so", || {
        says(&log, "the key landfall:log is another program's, a string")
    });
    assert_eq!(snapshot(&node, "j").status, 200);
    assert_eq!(redis.ask(&["TYPE", "landfall:log"]), "+string");
    redis.ask(&["DEL", "landfall:log"]);
    wait_until("it is ready again", || is_ready(&node));
    ids.push(publish(node.publish, "j", "progress", "{}"));
    // What it had is what the new log begins with.
    assert_eq!(stream.ids(ids.len()), ids);
}

#[test]
fn a_redis_that_cannot_write_to_its_disk_is_said_to_until_it_can() {
    let save = ["--save", "3600 1", "--dbfilename", "dump.rdb"];
    let redis = Redis::start(&save);
    let (node, log) = logged(&redis);
    let mut stream = Stream::open(&node, "/api/events", None);
    let mut ids = vec![publish(node.publish, "j", "progress", "{}")];
    // No file can take the place of a directory.
    let place = redis.directory().join("dump.rdb");
    std::fs::create_dir_all(place.join("in-the-way")).unwrap();
    redis.ask(&["BGSAVE"]);
    refused(&node, &mut ids, "takes no writes");
    wait_until("the log says so", || {
        says(
            &log,
            "it couldn't write to its disk: see its log, and make room",
        )
    });
    wait_until("it isn't ready", || {
        get(node.ops, "/readyz").body.contains("takes no writes")
    });
    assert_eq!(snapshot(&node, "j").status, 200);
    std::fs::remove_dir_all(&place).unwrap();
    redis.ask(&["BGSAVE"]);
    wait_until("it is ready again by itself", || is_ready(&node));
    ids.push(publish(node.publish, "j", "progress", "{}"));
    assert_eq!(stream.ids(ids.len()), ids);
}

#[test]
fn a_password_that_is_another_by_now_is_said_to_be_until_it_is_right() {
    let redis = Redis::start(&[]);
    assert_eq!(redis.ask(&super::rights::rule()), "+OK");
    let (node, log) = logged_at(&format!("redis://landfall:SECRET@{}", redis.address));
    let mut ids = vec![publish(node.publish, "j", "progress", "{}")];
    let mut stream = Stream::open(&node, "/api/jobs/j/events", None);
    redis.ask(&["ACL", "SETUSER", "landfall", "resetpass", ">another"]);
    // Connections that there are go on.
    redis.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    // What is sent on one that is gone may have been taken, for all that is known.
    wait_until("it isn't ready", || !is_ready(&node));
    refused(&node, &mut ids, "the server's log says why");
    wait_until("the log says so", || {
        says(&log, "it knows no such user and password: see the URL")
    });
    wait_until("it isn't ready", || {
        get(node.ops, "/readyz").body.contains("see the log")
    });
    assert!(!says(&log, "SECRET"));
    redis.ask(&["ACL", "SETUSER", "landfall", "resetpass", ">SECRET"]);
    wait_until("it is ready again by itself", || is_ready(&node));
    ids.push(publish(node.publish, "j", "progress", "{}"));
    assert_eq!(stream.ids(ids.len()), ids);
}

#[test]
fn a_node_that_reads_what_a_newer_version_has_written_ends_with_a_message() {
    let redis = Redis::start(&[]);
    let (mut node, log) = logged(&redis);
    publish(node.publish, "j", "progress", "{}");
    let epoch = metric(&node, "landfall_fleet_epoch");
    let next = format!("{epoch}-*");
    let words = ["n", "00000000000000aa/1", "p", "\u{7f}"];
    redis.ask(&[&["XADD", "landfall:log", &next], &words[..]].concat());
    assert_eq!(node.ends().code(), Some(70));
    assert!(says(
        &log,
        "a newer server writes in this fleet: start that version here, too"
    ));
}
