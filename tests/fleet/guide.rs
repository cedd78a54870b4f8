//! What the guide on fleets shows is tried here.

use std::process::Command;

use super::binary::Binary;
use super::http::publish;
use super::redis::{Redis, Sentinel};
use super::support::{node, snapshot};

const GUIDE: &str = include_str!("../../src/docs/fleet.md");

/// The block of the guide that has this in it.
fn block(part: &str) -> &'static str {
    let mut blocks = GUIDE.split("```").skip(1).step_by(2);
    let block = blocks.find(|block| block.contains(part)).expect(part);
    block.split_once('\n').unwrap().1
}

/// Lines of a file as flags of a server, without those that are of the machine.
fn flags(lines: &str) -> Vec<&str> {
    let lines = lines.lines().filter(|line| !line.starts_with("bind "));
    lines
        .flat_map(|line| {
            let (name, value) = line.split_once(' ').unwrap();
            let name: &'static str = Box::leak(format!("--{name}").into_boxed_str());
            std::iter::once(name).chain(value.split(' '))
        })
        .collect()
}

#[test]
fn redis_takes_the_guides_settings_and_a_node_that_redis() {
    let redis = Redis::start(&flags(block("appendonly yes")));
    let url = format!("redis://landfall:SECRET@{}", redis.address);
    let node = node(&url, "a");
    publish(node.publish, "j", "progress", "{}");
}

#[test]
fn sentinel_takes_the_guides_settings() {
    let redis = Redis::start(&["--requirepass", "ADMIN"]);
    let place = format!(" {} {} ", redis.address.ip(), redis.address.port());
    let settings = block("sentinel monitor").replace(" 10.0.0.1 6379 ", &place);
    let mut lines = settings.lines();
    let lines = lines.by_ref().filter(|line| line.starts_with("sentinel "));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 4);
    let sentinel = Sentinel::start_with(&lines);
    let master = ["SENTINEL", "get-master-addr-by-name", "main"];
    assert_eq!(sentinel.ask(&master), "*2");
}

#[test]
fn the_guides_file_and_commands_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("landfall.toml");
    let key = folder.path().join("token.key");
    std::fs::write(&key, "61".repeat(32)).unwrap();
    let settings =
        block("redis-wait = 1").replace("/etc/landfall/token.key", key.to_str().unwrap());
    let settings = settings.replace("10.0.0.1:8080", "127.0.0.1:0");
    std::fs::write(&file, settings).unwrap();
    let check = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .arg("check")
            .args([
                "--publish=127.0.0.1:0",
                "--ops=127.0.0.1:0",
                "--memory-only",
            ])
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    check(&["--config", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    let commands = GUIDE
        .lines()
        .filter_map(|line| line.strip_prefix("landfall serve "));
    let mut count = 0;
    for command in commands {
        let flags: Vec<&str> = command.split(' ').collect();
        check(&[&flags[..], &["--listen=127.0.0.1:0"]].concat());
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn a_fleet_comes_back_from_the_guides_backup() {
    let redis = Redis::start(&["--appendonly", "yes"]);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("landfall.rdb");
    let run = |redis: &Redis, commands: &str| {
        let client = format!("redis-cli -p {} ", redis.address.port());
        let script = format!("set -e\n{}", commands.replace("redis-cli ", &client));
        let script = script.replace("/var/backups/landfall.rdb", copy.to_str().unwrap());
        let script = script.replace("/var/lib/redis", redis.directory().to_str().unwrap());
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    };
    let first = node(&redis.url(), "a");
    publish(first.publish, "j", "progress", "{}");
    run(&redis, block("redis-cli --rdb"));
    let kept = snapshot(&first, "j").body;
    publish(first.publish, "j", "done", "{}");
    drop(first);
    let mut redis = redis;
    redis.kill();
    let commands = block("redis-server /etc/redis/redis.conf");
    let (before, after) = commands.split_once("redis-server ").unwrap();
    run(&redis, before);
    let flags = after.lines().next().unwrap();
    assert!(flags.contains("--appendonly no"), "{flags}");
    redis.start_again_with(&["--appendonly", "no"]);
    run(&redis, after.split_once('\n').unwrap().1);
    let node: Binary = node(&redis.url(), "a");
    assert_eq!(snapshot(&node, "j").body, kept);
    publish(node.publish, "j", "done", "{}");
}
