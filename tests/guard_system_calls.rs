//! System calls of the real server, counted by strace.

#[path = "support/binary.rs"]
mod binary;
#[path = "guard/support.rs"]
mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

use binary::Binary;
use support::{Publisher, Subscriber};

const SUBSCRIBERS: usize = 200;
const EVENTS: usize = 50;
const EVENTS_FOR_FEW: usize = 300;

#[test]
fn a_delivery_is_one_system_call_and_little_else() {
    let server = Binary::serve(&[]);
    let calls = calls_of_a_broadcast(&server);
    drop(server);

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
fn where_the_kernel_has_io_uring_many_deliveries_are_one_call() {
    let server = Binary::serve(&["--io-uring"]);
    let links = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let has_ring = links
        .filter_map(|link| std::fs::read_link(link.unwrap().path()).ok())
        .any(|file| file.to_string_lossy().contains("io_uring"));
    if !has_ring {
        println!("this kernel has none");
        return;
    }
    let calls = calls_of_a_broadcast(&server);
    drop(server);

    let deliveries = SUBSCRIBERS * EVENTS;
    let total = calls.total();
    println!("{total} calls for {deliveries} deliveries");
    assert!(
        total * 4 <= deliveries,
        "{total} calls for {deliveries} deliveries"
    );
}

#[test]
fn an_event_for_a_few_subscribers_is_sent_without_waking_another_thread() {
    let server = Binary::serve(&[]);
    let mut publisher = Publisher::connect(server.publish, "job");
    publisher.publish();
    let mut subscribers = [
        Subscriber::connect(server.public, "job", 1),
        Subscriber::follow(server.public, "/api/events?job=job&job=other", 1),
    ];
    let trace = Trace::of(&server);
    deliver(EVENTS_FOR_FEW, &mut publisher, &mut subscribers);
    let calls = trace.finish();
    drop(server);

    let deliveries = subscribers.len() * EVENTS_FOR_FEW;
    let sends = calls.of("sendto") + calls.of("sendmsg");
    assert!(sends >= deliveries, "strace missed some: {sends} sends");
    // One each, were the shard woken. Some are: other threads write too, and on a busy
    // machine a shard may be on its way to sleep.
    let wakes = calls.of("write");
    assert!(
        wakes * 2 <= EVENTS_FOR_FEW,
        "{wakes} wakes for {EVENTS_FOR_FEW} events"
    );
}

/// What it takes the server to send each event to all subscribers.
fn calls_of_a_broadcast(server: &Binary) -> Calls {
    let mut publisher = Publisher::connect(server.publish, "job");
    publisher.publish();
    let mut subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| Subscriber::connect(server.public, "job", 1))
        .collect();
    let trace = Trace::of(server);
    deliver(EVENTS, &mut publisher, &mut subscribers);
    trace.finish()
}

/// Publishes one event after the other, each when all have the one before.
fn deliver(events: usize, publisher: &mut Publisher, subscribers: &mut [Subscriber]) {
    for _ in 0..events {
        publisher.publish();
        subscribers.iter_mut().for_each(|one| one.wait(1));
    }
}

struct Trace {
    strace: Child,
    stderr: BufReader<ChildStderr>,
    output: tempfile::NamedTempFile,
}

impl Trace {
    fn of(server: &Binary) -> Trace {
        let pid = server.pid().to_string();
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
