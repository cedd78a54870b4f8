//! What an idle subscriber costs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Type};

use super::program::Program;
use super::sse::EventStream;
use super::support::{PATIENCE, get, metric, wait_until};

const SUBSCRIBERS: usize = 15_000;
/// Files of this process beside the subscribers', the other tests' among them.
const SPARE_FILES: u64 = 2_000;
const LIMIT_BYTES: usize = 200;

fn resident_anonymous_bytes(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() * 1024
}

#[test]
fn fifteen_thousand_idle_subscribers_cost_less_than_200_bytes_each() {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
    let allowed = files.maximum.unwrap_or(u64::MAX);
    assert!(
        allowed >= SUBSCRIBERS as u64 + SPARE_FILES,
        "this test needs {SUBSCRIBERS} open files: raise `ulimit -Hn`, which is {allowed}"
    );
    let program = Program::serve(&["--heartbeat", "10m"]);
    let address = program.address("public");
    let request = get("/api/jobs/idle/events", "");
    let publish = |event: &str| {
        let body = format!("{{\"event\":\"{event}\"}}");
        let answer = program.client("publish").publish("idle", &body);
        assert_eq!(answer.status, 201);
    };
    publish("progress");
    // The first is there before it is measured: what is set up once isn't theirs.
    let connect = || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        socket
    };
    let head_arrives = |mut socket: &TcpStream| {
        let (mut head, mut piece) = (Vec::new(), [0; 512]);
        while !head.windows(7).any(|window| window == b"retry: ") {
            let length = socket.read(&mut piece).unwrap();
            assert!(length > 0, "{}", String::from_utf8_lossy(&head));
            head.extend_from_slice(&piece[..length]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"));
    };
    let mut sockets = vec![connect()];
    head_arrives(&sockets[0]);
    let before = resident_anonymous_bytes(program.id());
    let begin = Instant::now();
    while sockets.len() <= SUBSCRIBERS {
        let from = sockets.len();
        sockets.extend((0..500).map(|_| connect()));
        sockets[from..].iter().for_each(head_arrives);
    }
    let count = sockets.len() - 1;
    let jobs = || program.client("ops").get("/jobs").json();
    wait_until("all of them are parked", || {
        jobs()["jobs"][0]["streams"] == count + 1
    });
    let grown = resident_anonymous_bytes(program.id()).saturating_sub(before);
    let each = grown as f64 / count as f64;
    println!(
        "{count} subscribers in {:?}: {each:.1} bytes each",
        begin.elapsed()
    );
    assert!(grown < LIMIT_BYTES * count, "{each:.1} bytes each");
    // They are subscribers indeed: one event reaches the first and the last.
    publish("done");
    for mut socket in [&sockets[0], &sockets[count]] {
        let mut rest = String::new();
        socket.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("event: done\n"), "{rest}");
    }
}

#[test]
fn resets_that_nobody_takes_are_held_within_the_memory_for_slow_readers_and_others_are_served() {
    let program = Program::serve(&["--stall-memory", "512KiB", "--send-buffer", "8KiB"]);
    let publish = |job: &str| {
        let body = r#"{"event":"progress"}"#;
        assert_eq!(program.client("publish").publish(job, body).status, 201);
    };
    let names: Vec<_> = (0..600).map(|n| format!("job={n:x}")).collect();
    // Nobody gave this number, and each of its characters is six in JSON.
    let target = format!(
        "/api/events?{}&lastEventId={}",
        names.join("&"),
        "%01".repeat(64)
    );
    publish("1");
    let before = resident_anonymous_bytes(program.id());
    let greedy: Vec<_> = (0..100)
        .map(|_| {
            let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(2048).unwrap();
            socket.connect(&program.address("public").into()).unwrap();
            let mut socket = TcpStream::from(socket);
            socket.write_all(get(&target, "").as_bytes()).unwrap();
            socket
        })
        .collect();
    let ops = program.address("ops");
    let sent = || metric(ops, "landfall_resets_sent_total");
    wait_until("all have been told", || sent() == 600 * 100);
    // What all of them would hold is 27 MiB.
    let held = resident_anonymous_bytes(program.id()) - before;
    assert!(held < 12 << 20, "{held}");
    let closed = "landfall_stream_closes_total{reason=\"stalled\"}";
    assert!(metric(ops, closed) > 80);
    let mut other = EventStream::open(program.client("public"), "/api/jobs/1/events", "");
    other.event();
    publish("1");
    other.event();
    drop(greedy);
}
