//! What a fleet's user in Redis has to be allowed, as the guide has it.

use super::binary::Binary;
use super::http::publish;
use super::redis::Redis;
use super::support::{snapshot, try_to_publish, wait_until};

/// The rule of the guide, with its password.
pub fn rule() -> Vec<&'static str> {
    let guide = include_str!("../../src/docs/fleet.md");
    let mut lines = guide.lines();
    let line = lines
        .find(|line| line.starts_with("user landfall "))
        .unwrap();
    let words = line.split(' ').skip(1);
    ["ACL", "SETUSER"].into_iter().chain(words).collect()
}

#[test]
fn the_rights_of_the_guide_are_enough_and_go_no_further() {
    let redis = Redis::start(&[]);
    assert_eq!(redis.ask(&rule()), "+OK");
    let url = format!("redis://landfall:SECRET@{}/1", redis.address);
    let serve = |name| {
        let flags = [
            "--redis",
            &url,
            "--node",
            name,
            "--redis-log",
            "1MiB",
            "--redis-wait",
            "0",
        ];
        Binary::serve(&flags)
    };
    let first = serve("a");
    let data = format!(r#"{{"text":"{}"}}"#, "x".repeat(60_000));
    for _ in 0..80 {
        publish(first.publish, "j", "progress", &data);
    }
    // By then snapshots are stored and the log is cut.
    let later = serve("b");
    assert_eq!(snapshot(&later, "j").body, snapshot(&first, "j").body);
    redis.ask(&["FLUSHALL"]);
    wait_until("it is put back", || {
        try_to_publish(&first, "k", "progress").status == 201
    });
    for words in [
        &["GET", "other"][..],
        &["SET", "landfall:other", "x"],
        &["XADD", "other:log", "*", "a", "b"],
        &["FLUSHALL"],
        &["KEYS", "*"],
        &["CONFIG", "GET", "*"],
        &["ACL", "LIST"],
        &["EVAL", "return 1", "0"],
    ] {
        let whether = redis.ask(&[&["ACL", "DRYRUN", "landfall"], words].concat());
        assert_ne!(whether, "+OK", "{words:?}");
    }
}
