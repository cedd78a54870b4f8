//! Minutes of streams that come and go while events are published: nothing is lost,
//! repeated or out of order, and nothing leaks. `scripts/test --soak` runs it.

#[path = "support/binary.rs"]
mod binary;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use binary::Binary;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::os::fd::AsRawFd;

const STREAMS: usize = 5000;
const JOBS: usize = 2500;
const EVENTS_A_SECOND: u64 = 5000;
const CONNECTS_A_SECOND: u64 = 200;
/// What the resident memory may differ by after the warm-up.
const FLAT: f64 = 0.02;

/// A follower, and what it has seen.
struct Follower {
    socket: TcpStream,
    received: Vec<u8>,
    /// The number of the next event.
    next: u64,
    /// The number in the event that isn't whole yet.
    pending: Option<u64>,
    last_id: u64,
}

impl Follower {
    fn connect(address: SocketAddr, place: usize, next: u64, last_id: u64) -> Follower {
        let mut socket = TcpStream::connect(address).unwrap();
        let resume = match last_id {
            0 => String::new(),
            id => format!("Last-Event-ID: {id}\r\n"),
        };
        let job = place % JOBS;
        let request = format!("GET /api/jobs/j{job}/events HTTP/1.1\r\nHost: a\r\n{resume}\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        // Closing resets: no port waits.
        let reset = Some(Duration::ZERO);
        socket2::SockRef::from(&socket).set_linger(reset).unwrap();
        socket.set_nonblocking(true).unwrap();
        Follower {
            socket,
            received: Vec::new(),
            next,
            pending: None,
            last_id,
        }
    }

    /// Reads what there is.
    fn read(&mut self, piece: &mut [u8], place: usize) {
        loop {
            match self.socket.read(piece) {
                Ok(0) => panic!("stream {place} ended"),
                Ok(length) => self.take(&piece[..length], place),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("stream {place}: {error}"),
            }
        }
    }

    fn take(&mut self, bytes: &[u8], place: usize) {
        self.received.extend_from_slice(bytes);
        let mut begin = 0;
        while let Some(length) = self.received[begin..]
            .iter()
            .position(|&byte| byte == b'\n')
        {
            let line = std::str::from_utf8(&self.received[begin..begin + length]).unwrap();
            begin += length + 1;
            if let Some(data) = line.strip_prefix("data: ") {
                let (_, number) = data.split_once("\"n\":").expect(line);
                self.pending = number.trim_end_matches('}').parse().ok();
            } else if let Some(id) = line.strip_prefix("id: ") {
                let number = self.pending.take().expect("an event comes before its id");
                assert_eq!(
                    number, self.next,
                    "stream {place}: lost, repeated or reordered"
                );
                self.next += 1;
                self.last_id = id.parse().unwrap();
            } else {
                assert!(!line.starts_with("event: reset"), "stream {place}");
            }
        }
        self.received.drain(..begin);
    }
}

/// Publishes at the rate until it is told to stop. `published` counts.
fn publish(address: SocketAddr, published: &AtomicU64, is_over: &AtomicBool) {
    const LINES: u64 = 100;
    let mut socket = TcpStream::connect(address).unwrap();
    // A request is written in pieces.
    socket.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(socket.try_clone().unwrap());
    let begin = Instant::now();
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        let body: String = (count..count + LINES)
            .map(|at| {
                let (job, n) = (at % JOBS as u64, at / JOBS as u64);
                format!("{{\"job\":\"j{job}\",\"event\":\"progress\",\"data\":{{\"n\":{n}}}}}\n")
            })
            .collect();
        let length = body.len();
        let head = "POST /api/events HTTP/1.1\r\nHost: localhost\r\n\
            Content-Type: application/x-ndjson\r\n";
        write!(socket, "{head}Content-Length: {length}\r\n\r\n{body}").unwrap();
        let (mut status, mut line, mut length) = (String::new(), String::new(), 0);
        answers.read_line(&mut status).unwrap();
        assert!(status.contains(" 201 "), "{status}");
        while line != "\r\n" {
            line.clear();
            answers.read_line(&mut line).unwrap();
            if let Some(digits) = line.strip_prefix("Content-Length: ") {
                length = digits.trim().parse().unwrap();
            }
        }
        answers.read_exact(&mut vec![0; length]).unwrap();
        count += LINES;
        published.store(count, Ordering::Release);
        let due = begin + Duration::from_nanos(count * 1_000_000_000 / EVENTS_A_SECOND);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn resident_bytes(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib * 1024.0
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count()
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
#[ignore = "it takes minutes: scripts/test --soak"]
fn streams_that_come_and_go_for_minutes_lose_nothing_and_leak_nothing() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap())
    };
    let duration = Duration::from_secs(number("LANDFALL_SOAK_SECONDS", 600));
    let program = std::env::var("LANDFALL_SOAK_PROGRAM")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_landfall").to_owned());
    // Rings that are full after seconds, so that their memory is there before the warm-up
    // is over.
    let flags = ["--memory-only", "--ring-events", "16"];
    let server = Binary::started_by(Command::new(program), &flags);
    let pid = server.pid();
    // One of each comes and goes first, and leaves what it needs once.
    drop(Follower::connect(server.public, 0, 0, 0));
    std::thread::sleep(Duration::from_secs(1));
    let files = open_files(pid);

    let mut poll = Poll::new().unwrap();
    let register = |poll: &Poll, follower: &Follower, place: usize| {
        let fd = follower.socket.as_raw_fd();
        let mut source = SourceFd(&fd);
        let registry = poll.registry();
        registry
            .register(&mut source, Token(place), Interest::READABLE)
            .unwrap();
    };
    let mut followers: Vec<Follower> = (0..STREAMS)
        .map(|place| Follower::connect(server.public, place, 0, 0))
        .collect();
    for (place, follower) in followers.iter().enumerate() {
        register(&poll, follower, place);
    }
    let (published, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (mut memory, mut churned) = (Vec::new(), 0_u64);
    std::thread::scope(|scope| {
        scope.spawn(|| publish(server.publish, &published, &is_over));
        let begin = Instant::now();
        let mut next_sample = Duration::ZERO;
        let mut events = Events::with_capacity(1024);
        let mut piece = vec![0; 64 * 1024];
        let mut ended = None;
        loop {
            poll.poll(&mut events, Some(Duration::from_millis(5)))
                .unwrap();
            for event in &events {
                let place = event.token().0;
                followers[place].read(&mut piece, place);
            }
            let now = begin.elapsed();
            if now < duration {
                while churned < now.as_millis() as u64 * CONNECTS_A_SECOND / 1000 {
                    let place = churned as usize % STREAMS;
                    let old = &followers[place];
                    let new = Follower::connect(server.public, place, old.next, old.last_id);
                    register(&poll, &new, place);
                    followers[place] = new;
                    churned += 1;
                }
                if now >= next_sample {
                    next_sample += Duration::from_secs(1);
                    memory.push(resident_bytes(pid));
                }
                continue;
            }
            is_over.store(true, Ordering::Relaxed);
            let ended = ended.get_or_insert(now);
            assert!(
                now < *ended + Duration::from_secs(60),
                "not all events came"
            );
            // The last batch may still be on its way when this is first looked at.
            if now < *ended + Duration::from_secs(1) {
                continue;
            }
            let total = published.load(Ordering::Acquire);
            let of_job = |job: u64| (total + JOBS as u64 - 1 - job) / JOBS as u64;
            let is_whole = |(place, follower): (usize, &Follower)| {
                follower.next == of_job((place % JOBS) as u64)
            };
            if followers.iter().enumerate().all(is_whole) {
                break;
            }
        }
    });
    let seen: u64 = followers.iter().map(|follower| follower.next).sum();
    drop(followers);
    let warm = &memory[memory.len() / 5..];
    let tenth = (warm.len() / 5).max(1);
    let (first, last) = (median(&warm[..tenth]), median(&warm[warm.len() - tenth..]));
    println!(
        "{} events published, {seen} received in order, {churned} reconnects; resident {:.2} MiB \
         after the warm-up, {:.2} MiB at the end: {:+.2} %",
        published.load(Ordering::Relaxed),
        first / 1048576.0,
        last / 1048576.0,
        (last / first - 1.0) * 100.0
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    while open_files(pid) > files {
        assert!(
            Instant::now() < deadline,
            "{} files, {files} before",
            open_files(pid)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(
        (last / first - 1.0).abs() <= FLAT,
        "{first} bytes, and then {last}"
    );
}
