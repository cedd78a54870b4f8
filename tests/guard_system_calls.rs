//! System calls of the real server, counted by strace.

#[path = "guard/support.rs"]
mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};

use support::{Publisher, Subscriber};

const SUBSCRIBERS: usize = 200;
const EVENTS: usize = 50;

#[test]
fn a_delivery_is_one_system_call_and_little_else() {
    let mut server = Server::start();
    let mut publisher = Publisher::connect(server.publish, "job");
    publisher.publish();
    let mut subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| Subscriber::connect(server.public, "job", 1))
        .collect();
    let trace = server.trace();
    for _ in 0..EVENTS {
        publisher.publish();
        subscribers
            .iter_mut()
            .for_each(|subscriber| subscriber.wait(1));
    }
    let calls = trace.finish();
    server.stop();

    let deliveries = SUBSCRIBERS * EVENTS;
    let sends = calls.of("sendto") + calls.of("sendmsg");
    assert!(sends >= deliveries, "strace missed some: {sends} sends");
    // The publisher's answers are sends too, by another name; nothing is sent twice.
    assert!(
        sends <= deliveries + EVENTS,
        "{sends} sends for {deliveries} deliveries"
    );
    // All the rest: a look at the poller for each slice of 64, and the requests.
    let total = calls.total();
    println!("{total} calls for {deliveries} deliveries");
    assert!(
        total * 10 <= deliveries * 12,
        "{total} calls for {deliveries} deliveries"
    );
}

#[test]
fn an_event_for_a_few_subscribers_is_sent_without_waking_another_thread() {
    let mut server = Server::start();
    let mut publisher = Publisher::connect(server.publish, "job");
    publisher.publish();
    let mut subscribers = [
        Subscriber::connect(server.public, "job", 1),
        Subscriber::follow(server.public, "/api/events?job=job&job=other", 1),
    ];
    let trace = server.trace();
    for _ in 0..EVENTS {
        publisher.publish();
        subscribers
            .iter_mut()
            .for_each(|subscriber| subscriber.wait(1));
    }
    let calls = trace.finish();
    server.stop();

    let deliveries = subscribers.len() * EVENTS;
    let sends = calls.of("sendto") + calls.of("sendmsg");
    assert!(sends >= deliveries, "strace missed some: {sends} sends");
    // A shard that hasn't gone back to sleep yet is woken; the publisher comes too soon.
    let wakes = calls.of("write");
    assert!(wakes * 5 <= EVENTS, "{wakes} wakes for {EVENTS} events");
}

struct Server {
    child: Child,
    public: SocketAddr,
    publish: SocketAddr,
}

impl Server {
    fn start() -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["serve", "--memory-only", "--listen", "127.0.0.1:0"])
            .args(["--publish", "127.0.0.1:0", "--ops", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let mut address = || {
            let line = lines.next().unwrap();
            line.split_once("http://").unwrap().1.parse().unwrap()
        };
        let (public, publish) = (address(), address());
        assert!(lines.any(|line| line == "ready"));
        Server {
            child,
            public,
            publish,
        }
    }

    fn trace(&self) -> Trace {
        let pid = self.child.id().to_string();
        let output = tempfile::NamedTempFile::new().unwrap();
        let mut strace = Command::new("strace")
            .args(["-f", "-c", "-S", "calls", "-o"])
            .arg(output.path())
            .args(["-p", &pid])
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is missing: scripts/test installs it");
        // It says so when it has attached to every thread. What it says when it lets go
        // must find a reader too, or it dies of it before it has written its table.
        let mut stderr = BufReader::new(strace.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("attached") {
            line.clear();
            let length = stderr.read_line(&mut line).unwrap();
            assert!(
                length > 0,
                "strace can't attach: it needs the right to trace"
            );
        }
        Trace {
            strace,
            stderr,
            output,
        }
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

struct Trace {
    strace: Child,
    stderr: BufReader<ChildStderr>,
    output: tempfile::NamedTempFile,
}

impl Trace {
    fn finish(mut self) -> Calls {
        let pid = rustix::process::Pid::from_child(&self.strace);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        self.strace.wait().unwrap();
        let table = std::fs::read_to_string(self.output.path()).unwrap();
        let rows = table.lines().filter_map(|line| {
            let columns: Vec<_> = line.split_whitespace().collect();
            let calls = columns.get(3)?.parse().ok()?;
            Some((columns.last()?.to_string(), calls))
        });
        Calls(rows.collect())
    }
}

struct Calls(Vec<(String, usize)>);

impl Calls {
    fn of(&self, name: &str) -> usize {
        self.0
            .iter()
            .filter(|(call, _)| call == name)
            .map(|&(_, calls)| calls)
            .sum()
    }

    fn total(&self) -> usize {
        self.of("total")
    }
}
