//! A Redis that a fleet can't use is refused at the start, with what would be right.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;

use super::redis::Redis;
use super::support::{metric, node};

/// What a server says that doesn't start.
fn refusal(url: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["serve", "--memory-only", "--node=a", "--redis", url])
        .args([
            "--listen=127.0.0.1:0",
            "--publish=127.0.0.1:0",
            "--ops=127.0.0.1:0",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_redis_that_asks_for_a_password_gets_it_from_the_url_or_is_refused() {
    let redis = Redis::start(&["--requirepass", "secret"]);
    assert!(refusal(&redis.url()).contains("put it into the URL"));
    let wrong = refusal(&format!("redis://:wr0ng@{}", redis.address));
    assert!(
        wrong.contains("no such user and password") && !wrong.contains("wr0ng"),
        "{wrong}"
    );
    node(&format!("redis://:secret@{}/1", redis.address), "a");
}

#[test]
fn a_replica_is_refused() {
    let master = Redis::start(&[]);
    let port = master.address.port().to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]);
    assert!(refusal(&replica.url()).contains("name the master"));
}

#[test]
fn a_redis_that_may_drop_the_log_is_refused() {
    let redis = Redis::start(&["--maxmemory-policy", "allkeys-lru"]);
    assert!(refusal(&redis.url()).contains("set maxmemory-policy noeviction"));
}

#[test]
fn a_cluster_is_refused() {
    let redis = Redis::start(&["--cluster-enabled", "yes"]);
    assert!(refusal(&redis.url()).contains("it is a cluster"));
}

#[test]
fn keys_of_another_program_or_version_are_refused_and_left_alone() {
    let redis = Redis::start(&[]);
    redis.ask(&["SET", "landfall:log", "mine"]);
    assert!(refusal(&redis.url()).contains("another program's"));
    assert_eq!(redis.ask(&["STRLEN", "landfall:log"]), ":4");
    redis.ask(&["DEL", "landfall:log"]);
    redis.ask(&["XADD", "landfall:log", "1-0", "field", "value"]);
    let said = refusal(&redis.url());
    assert!(said.contains("another"), "{said}");
    redis.ask(&["FLUSHALL"]);
    let node = node(&redis.url(), "a");
    let epoch = metric(&node, "landfall_fleet_epoch") as u64;
    drop(node);
    // What a version to come may write.
    let next = format!("{epoch}-*");
    let words = ["n", "00000000000000aa/1", "p", "\u{7f}"];
    redis.ask(&[&["XADD", "landfall:log", &next], &words[..]].concat());
    let said = refusal(&redis.url());
    assert!(said.contains("start that version here, too"), "{said}");
}

#[test]
fn what_is_no_redis_or_an_old_one_is_refused() {
    let serve = |answer: &'static str| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        format!("redis://{address}")
    };
    let old = serve("$37\r\nredis_version:6.0.16\r\nrole:master\r\n\r\n\r\n");
    let said = refusal(&old);
    assert!(said.contains("too old: run 6.2 or later"), "{said}");
    let other = serve("HTTP/1.1 400 Bad Request\r\n\r\n");
    let said = refusal(&other);
    assert!(said.contains("is no Redis: see the URL"), "{said}");
}

#[test]
fn a_database_that_there_is_none_of_is_refused() {
    let redis = Redis::start(&[]);
    let said = refusal(&format!("redis://{}/99", redis.address));
    assert!(said.contains("it has no such database"), "{said}");
}

#[test]
fn a_user_that_may_too_little_is_refused() {
    let redis = Redis::start(&[]);
    let url = format!("redis://landfall:SECRET@{}", redis.address);
    let rule = super::rights::rule();
    for missing in ["+xadd", "+xread", "+info", "+hset"] {
        redis.ask(&["FLUSHALL"]);
        redis.ask(&["ACL", "DELUSER", "landfall"]);
        let rights: Vec<&str> = rule
            .iter()
            .filter(|word| **word != missing)
            .copied()
            .collect();
        assert_eq!(rights.len(), rule.len() - 1, "{missing}");
        assert_eq!(redis.ask(&rights), "+OK");
        let said = refusal(&url);
        assert!(
            said.contains("its user may not do what a fleet needs"),
            "{missing}: {said}"
        );
    }
}

#[test]
fn a_snapshot_of_another_program_or_version_is_refused_and_left_alone() {
    let redis = Redis::start(&[]);
    redis.ask(&["SET", "landfall:snapshot", "mine"]);
    assert!(refusal(&redis.url()).contains("another program's"));
    redis.ask(&["FLUSHALL"]);
    drop(node(&redis.url(), "a"));
    for (state, why) in [
        ("LANDFS9\nwhat is to come", "start that version here, too"),
        ("mine", "snapshot is damaged"),
    ] {
        redis.ask(&["HSET", "landfall:snapshot", "state", state]);
        let said = refusal(&redis.url());
        assert!(said.contains(why), "{said}");
        assert_eq!(
            redis.ask(&["HSTRLEN", "landfall:snapshot", "state"]),
            format!(":{}", state.len())
        );
    }
}
