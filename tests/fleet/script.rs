//! `scripts/fleet`, as somebody tries it who has just heard of it.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::http::publish;
use super::support::{Stream, wait_until};

/// It ends with its owner, and all that it has started.
struct Script(Child);

impl Script {
    fn end(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
        let _ = self.0.wait();
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn one_command_starts_a_fleet_that_can_be_tried_and_ends_all_of_it() {
    let child = Command::new("scripts/fleet")
        .env("LANDFALL", env!("CARGO_BIN_EXE_landfall"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut script = Script(child);
    let out = BufReader::new(script.0.stdout.take().unwrap());
    let lines = out.lines().map(Result::unwrap);
    let said: Vec<String> = lines.take_while(|line| !line.starts_with("^C")).collect();
    let addresses = |word: &str| -> Vec<SocketAddr> {
        let line = said.iter().find(|line| line.starts_with(word));
        let words = line
            .unwrap_or_else(|| panic!("{said:?}"))
            .split_whitespace();
        let url = words.filter_map(|word| word.split_once("://"));
        url.map(|(_, rest)| rest.split('/').next().unwrap().parse().unwrap())
            .collect()
    };
    let [balancer] = addresses("nginx")[..] else {
        panic!("{said:?}")
    };
    let node = |name| -> [SocketAddr; 3] { addresses(name).try_into().unwrap() };
    let [a, b, c] = ["node a", "node b", "node c"].map(node);
    let mut stream = Stream::at(balancer, "/api/jobs/job1/events", None);
    let ids = [a, b, c].map(|[_, at, _]| publish(at, "job1", "progress", "{}"));
    assert_eq!(stream.ids(3), ids);
    // What it says to try, in words of its own.
    let command = said.iter().find(|line| line.contains(" publish --hub "));
    let tried = Command::new("sh").args(["-c", command.unwrap()]).status();
    assert!(tried.unwrap().success());
    assert!(stream.ids(1)[0] > ids[2]);
    let command = said.iter().find(|line| line.contains("  kill ")).unwrap();
    assert!(
        Command::new("sh")
            .args(["-c", command])
            .status()
            .unwrap()
            .success()
    );
    wait_until("node b has ended", || TcpStream::connect(b[1]).is_err());
    let end = publish(c[1], "job1", "done", "{}");
    let mut resumed = Stream::at(balancer, "/api/jobs/job1/events", Some(ids[2]));
    resumed.ids(1);
    assert_eq!(resumed.ids(1), [end]);
    script.end();
    let all = [addresses("redis"), vec![balancer], a.into(), c.into()].concat();
    for address in all {
        wait_until("nothing is left", || TcpStream::connect(address).is_err());
    }
}
