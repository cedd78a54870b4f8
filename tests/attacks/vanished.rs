//! Zombies: peers that vanish without a word, as when a cable is pulled. Two network
//! namespaces, and a cable between them.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::binary::Binary;

const HEARTBEAT: Duration = Duration::from_secs(1);
const STALL: Duration = Duration::from_secs(3);
/// What the walk over the rows, the kernel's timers and a busy machine add.
const SLACK: Duration = Duration::from_secs(60);
const ZOMBIES: usize = 5;

/// Two hosts with a cable, which go with the test.
struct Cable {
    hosts: [String; 2],
}

impl Cable {
    fn lay() -> Result<Cable, String> {
        let pid = std::process::id();
        let cable = Cable {
            hosts: [format!("landfall-s-{pid}"), format!("landfall-c-{pid}")],
        };
        let [server, client] = &cable.hosts;
        for command in [
            format!("netns add {server}"),
            format!("netns add {client}"),
            format!("-n {server} link add cable type veth peer name cable netns {client}"),
            format!("-n {server} address add 10.77.0.1/24 dev cable"),
            format!("-n {client} address add 10.77.0.2/24 dev cable"),
            format!("-n {server} link set cable up"),
            format!("-n {client} link set cable up"),
            format!("-n {server} link set lo up"),
        ] {
            ip(&command)?;
        }
        Ok(cable)
    }

    fn pull(&self) {
        ip(&format!("-n {} link set cable down", self.hosts[1])).unwrap();
    }

    fn run(&self, host: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.hosts[host], program]);
        command
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for host in &self.hosts {
            let _ = ip(&format!("netns del {host}"));
        }
    }
}

fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "ip {arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// A client that ends with the test.
struct Zombie(Child);

impl Drop for Zombie {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn peers_that_vanish_without_a_word_are_gone_within_the_heartbeat_and_stall_limits() {
    let cable = match Cable::lay() {
        Ok(cable) => cable,
        Err(why) => {
            eprintln!("skipped: network namespaces can't be made here: {why}");
            return;
        }
    };
    let flags = [
        "--memory-only",
        "--listen",
        "10.77.0.1:0",
        "--heartbeat",
        "1s",
        "--stall",
        "3s",
    ];
    let server = Binary::started_by(cable.run(0, env!("CARGO_BIN_EXE_landfall")), &flags);
    let streams = || -> usize {
        let url = format!("http://{}/metrics", server.ops);
        let output = cable.run(0, "curl").args(["-s", &url]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("landfall_streams_open "));
        line.expect(&text).parse().unwrap()
    };
    let wait_for = |count: usize, limit: Duration| {
        let begin = Instant::now();
        while streams() != count {
            assert!(
                begin.elapsed() < limit,
                "{} streams after {limit:?}",
                streams()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        begin.elapsed()
    };
    let url = format!("http://{}/api/jobs/a/events", server.public);
    let zombies: Vec<_> = (0..ZOMBIES)
        .map(|_| {
            let mut command = cable.run(1, "curl");
            command.args(["-sN", &url]).stdout(Stdio::null());
            Zombie(command.spawn().unwrap())
        })
        .collect();
    wait_for(ZOMBIES, SLACK);
    // As long as the cable is there they stay: heartbeats are acknowledged.
    std::thread::sleep(HEARTBEAT + STALL);
    assert_eq!(streams(), ZOMBIES);
    cable.pull();
    let took = wait_for(0, HEARTBEAT + STALL + SLACK);
    println!("{ZOMBIES} zombies were gone after {took:?}");
    drop(zombies);
}
