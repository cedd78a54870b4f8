//! A herd of clients behind a proxy that cuts their connections at random bytes. One
//! thread serves them all, so that a seed says nearly everything about a run.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::sse::{Chunks, Frame, Parser, STREAM_HEAD};
use super::support::{PATIENCE, get};

/// How long the whole herd may take.
const HERD_PATIENCE: Duration = Duration::from_secs(600);

/// SplitMix64, by its published constants: a test's numbers are its own.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// The seed of a run: a new one each time, or the one of a run that failed, from the
/// environment. What is printed shows when the test fails.
pub fn seed() -> u64 {
    let given = std::env::var("LANDFALL_TEST_SEED").ok();
    let seed = given.map_or_else(
        || {
            let now = std::time::SystemTime::now();
            let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
            since.as_nanos() as u64
        },
        |seed| seed.parse().unwrap(),
    );
    println!("LANDFALL_TEST_SEED={seed} runs this again");
    seed
}

/// When a client takes an event's id for its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// At the blank line, as the standard has it.
    AtBlankLine,
    /// As soon as the id's line is whole, as popular clients do.
    AtIdLine,
}

/// How far the herd has come, for publishers that keep pace with it: else most of what
/// they publish would be replayed, and little seen live.
#[derive(Default)]
pub struct Pace {
    delivered: Mutex<u64>,
    moved: Condvar,
}

impl Pace {
    /// Blocks until so many events have been delivered, to all clients together.
    pub fn wait_for(&self, delivered: u64) {
        let so_far = self.delivered.lock().unwrap();
        let behind = |so_far: &mut u64| *so_far < delivered;
        let (so_far, timeout) = self
            .moved
            .wait_timeout_while(so_far, HERD_PATIENCE, behind)
            .unwrap();
        assert!(!timeout.timed_out(), "only {so_far} were delivered");
    }

    fn add(&self, count: u64) {
        *self.delivered.lock().unwrap() += count;
        self.moved.notify_all();
    }
}

/// A client that resumes until it is told that there is no more.
pub struct Member {
    address: SocketAddr,
    target: String,
    commit: Commit,
    last_event_id: Option<u64>,
    /// Every event that it has had.
    pub frames: Vec<Frame>,
    pub connections: usize,
    connection: Option<Connection>,
}

struct Connection {
    socket: TcpStream,
    /// What the proxy lets through before it cuts.
    budget: u64,
    head: Vec<u8>,
    chunks: Chunks,
    parser: Parser,
}

enum Outcome {
    Open,
    Cut,
    Seen204,
}

impl Member {
    pub fn new(address: SocketAddr, target: &str, commit: Commit) -> Member {
        Member {
            address,
            target: target.into(),
            commit,
            last_event_id: None,
            frames: Vec::new(),
            connections: 0,
            connection: None,
        }
    }

    fn connect(&mut self, poll: &Poll, token: Token, numbers: &mut Numbers) {
        let mut socket = TcpStream::connect(self.address).unwrap();
        let field = self
            .last_event_id
            .map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        socket
            .write_all(get(&self.target, &field).as_bytes())
            .unwrap();
        socket.set_nonblocking(true).unwrap();
        let fd = socket.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&fd), token, Interest::READABLE)
            .unwrap();
        // Most cuts hit a frame soon; some let much through; some hit the head.
        let span = [500, 8_000, 60_000][numbers.below(3) as usize];
        self.connections += 1;
        self.connection = Some(Connection {
            socket,
            budget: 1 + numbers.below(span),
            head: Vec::new(),
            chunks: Chunks::default(),
            parser: Parser::default(),
        });
    }

    /// Reads until there is nothing to read.
    fn read(&mut self, numbers: &mut Numbers) -> Outcome {
        let Some(mut connection) = self.connection.take() else {
            return Outcome::Open;
        };
        let mut piece = vec![0; 1 + numbers.below(8192) as usize];
        loop {
            let length = match connection.socket.read(&mut piece) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.connection = Some(connection);
                    return Outcome::Open;
                }
                Err(error) => panic!("only the proxy cuts: {error}"),
            };
            if length == 0 {
                return self.ended(&connection);
            }
            for &byte in &piece[..length] {
                self.take(byte, &mut connection);
                let parser = &connection.parser;
                // A client that commits an id at its line loses an event that is cut
                // right there, before its blank line: no server can help that.
                let is_lost = self.commit == Commit::AtIdLine && parser.pending_id.is_some();
                connection.budget = connection.budget.saturating_sub(1);
                if connection.budget == 0 && !is_lost {
                    if numbers.below(2) == 0 {
                        let linger = Some(Duration::ZERO);
                        let socket = socket2::SockRef::from(&connection.socket);
                        socket.set_linger(linger).unwrap();
                    }
                    return Outcome::Cut;
                }
            }
            // It isn't a stream, so its connection may stay.
            let head = &connection.head;
            if head.starts_with(b"HTTP/1.1 204 ") && head.ends_with(b"\r\n\r\n") {
                return Outcome::Seen204;
            }
        }
    }

    fn take(&mut self, byte: u8, connection: &mut Connection) {
        if !connection.head.ends_with(b"\r\n\r\n") {
            connection.head.push(byte);
            return;
        }
        let byte = connection.chunks.push(byte);
        let frame = byte.and_then(|byte| connection.parser.push(byte));
        if let (Commit::AtIdLine, Some(id)) = (self.commit, connection.parser.pending_id) {
            self.last_event_id = Some(id);
        }
        if let Some(frame) = frame {
            self.last_event_id = Some(frame.id);
            self.frames.push(frame);
        }
    }

    /// The server has closed.
    fn ended(&self, connection: &Connection) -> Outcome {
        assert_eq!(String::from_utf8_lossy(&connection.head), STREAM_HEAD);
        assert!(connection.parser.is_between_frames());
        let last = self.frames.last();
        assert!(connection.chunks.is_whole, "cut off after {last:?}");
        let last = last.map(|frame| &*frame.event);
        assert_eq!(
            last,
            Some("done"),
            "the server closed a stream that goes on"
        );
        Outcome::Cut
    }
}

/// Runs the herd until every member has seen the end. Returns how many connections
/// that took.
pub fn run(members: &mut [Member], numbers: &mut Numbers, pace: &Pace) -> usize {
    let deadline = Instant::now() + HERD_PATIENCE;
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(256);
    for (at, member) in members.iter_mut().enumerate() {
        member.connect(&poll, Token(at), numbers);
    }
    let mut left = members.len();
    while left > 0 {
        poll.poll(&mut events, Some(PATIENCE)).unwrap();
        assert!(
            !events.is_empty(),
            "nothing happens, {left} have seen no end"
        );
        assert!(Instant::now() < deadline, "{left} have seen no end");
        let mut delivered = 0;
        for event in &events {
            let member = &mut members[event.token().0];
            let before = member.frames.len();
            match member.read(numbers) {
                Outcome::Open => {}
                Outcome::Cut => member.connect(&poll, event.token(), numbers),
                Outcome::Seen204 => left -= 1,
            }
            delivered += member.frames.len() - before;
        }
        pace.add(delivered as u64);
    }
    let connections: usize = members.iter().map(|member| member.connections).sum();
    let mut modes = HashMap::new();
    for member in members.iter() {
        *modes.entry(member.commit == Commit::AtIdLine).or_insert(0) += 1;
    }
    println!("{connections} connections, by commit at the id line: {modes:?}");
    connections
}
