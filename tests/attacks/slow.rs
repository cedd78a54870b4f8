//! Five thousand connections that are slow, or silent, or half closed: a stream and a
//! publisher go on as they did.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::at_end::StopAtEnd;
use super::binary::Binary;
use super::sse::EventStream;
use super::support::{Client, wait_until};
use super::{alone, metric};

const ATTACKERS: usize = 5000;
/// Attackers that come again at a time, fifty times a second: what a server can't accept
/// any more its kernel drops, and that is another attack.
const RECONNECTS_PER_ROUND: usize = 20;
/// Events published before, and during an attack.
const EVENTS: u64 = 300;
/// How much longer an event may take than without an attack. Other programs run on the
/// same cores, so that it says little; what a queue behind 5,000 would do is more.
const SLOWER: u32 = 50;
const AT_LEAST: Duration = Duration::from_millis(20);

/// One of many connections.
struct Attacker {
    socket: TcpStream,
    written: usize,
}

impl Attacker {
    fn connect(address: SocketAddr, number: usize) -> Option<Attacker> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
        // Of several addresses, so that their ports suffice.
        let source = SocketAddr::from(([127, 0, 1, 1 + (number % 16) as u8], 0));
        socket.bind(&source.into()).ok()?;
        socket.set_linger(Some(Duration::ZERO)).ok()?;
        socket
            .connect_timeout(&address.into(), Duration::from_secs(5))
            .ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Attacker {
            socket: socket.into(),
            written: 0,
        })
    }

    /// Writes the next byte of `text`, over and over. False when the server has closed.
    fn drip(&mut self, text: &[u8]) -> bool {
        let at = self.written % text.len();
        match self.socket.write(&text[at..=at]) {
            Ok(written) => self.written += written,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
        self.is_open()
    }

    fn is_open(&mut self) -> bool {
        match self.socket.read(&mut [0; 512]) {
            Ok(read) => read > 0,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

/// What an attacker does when it has connected, and what it does then, again and again:
/// false when it has to connect anew.
struct Attack {
    begin: fn(&mut Attacker),
    go_on: fn(&mut Attacker) -> bool,
    to_publish: bool,
}

/// Keeps all attackers connected and busy until it is told to stop.
fn attack(server: &Binary, attack: &Attack, is_full: &AtomicUsize, is_over: &AtomicBool) {
    let address = match attack.to_publish {
        true => server.publish,
        false => server.public,
    };
    let mut attackers: Vec<Option<Attacker>> = (0..ATTACKERS).map(|_| None).collect();
    while !is_over.load(Ordering::Relaxed) {
        let is_new = is_full.load(Ordering::Relaxed) == 0;
        let mut reconnects = RECONNECTS_PER_ROUND;
        for (number, place) in attackers.iter_mut().enumerate() {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            let goes_on = place.as_mut().is_some_and(attack.go_on);
            if !goes_on && (is_new || reconnects > 0) {
                reconnects = reconnects.saturating_sub(1);
                *place = Attacker::connect(address, number);
                place.as_mut().into_iter().for_each(attack.begin);
            }
        }
        is_full.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Publishes, and follows what it published: the median time from the one to the other.
fn publish_and_follow(publisher: &mut Client, stream: &mut EventStream, from: u64) -> Duration {
    let mut times: Vec<Duration> = (from..from + EVENTS)
        .map(|n| {
            let begin = Instant::now();
            let body = format!(r#"{{"event":"progress","data":{{"n":{n}}}}}"#);
            assert_eq!(publisher.publish("a", &body).status, 201);
            assert_eq!(stream.event().n(), n, "exactly once and in order");
            begin.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

fn withstand(name: &str, what: Attack) {
    let _alone = alone();
    let server = Binary::serve(&["--head-timeout", "5s"]);
    let mut publisher = Client::connect(server.publish);
    let open = || EventStream::open(Client::connect(server.public), "/api/jobs/a/events", "");
    let mut stream = open();
    stream.wait_for_retries(1);
    let before = publish_and_follow(&mut publisher, &mut stream, 0);
    let (rounds, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let during = std::thread::scope(|scope| {
        scope.spawn(|| attack(&server, &what, &rounds, &is_over));
        let stop = StopAtEnd(&is_over);
        wait_until("all attackers have come", || {
            rounds.load(Ordering::Relaxed) >= 2
        });
        let during = publish_and_follow(&mut publisher, &mut stream, EVENTS);
        // Whoever comes now is served as well.
        let mut late = open();
        assert_eq!(late.event().n(), EVENTS * 2 - 256, "what the ring keeps");
        if !what.to_publish {
            assert_eq!(
                Client::connect(server.publish)
                    .publish("b", "{\"event\":\"x\"}")
                    .status,
                201
            );
        }
        drop(stop);
        during
    });
    let ratio = during.as_secs_f64() / before.as_secs_f64();
    println!("{name}: {during:?} during, {before:?} before: {ratio:.2}");
    let most = (before * SLOWER).max(AT_LEAST);
    assert!(during < most, "{during:?} during, {before:?} before");
    assert_eq!(metric(&server, "landfall_panics_total"), 0);
}

#[test]
fn slow_heads() {
    let attack = Attack {
        begin: |attacker| {
            drop(
                attacker
                    .socket
                    .write(b"GET /api/jobs/a/events HTTP/1.1\r\n"),
            )
        },
        go_on: |attacker| attacker.drip(b"X-Slow: 1\r\n"),
        to_publish: false,
    };
    withstand("slow heads", attack);
}

#[test]
fn slow_bodies() {
    let attack = Attack {
        begin: |attacker| {
            let head = b"POST /api/jobs/slow/events HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n";
            drop(attacker.socket.write(head));
        },
        go_on: |attacker| attacker.drip(b" "),
        to_publish: true,
    };
    withstand("slow bodies", attack);
}

#[test]
fn one_byte_writes() {
    let attack = Attack {
        begin: |_| {},
        go_on: |attacker| attacker.drip(b"GET /api/jobs/a HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        to_publish: false,
    };
    withstand("one-byte writes", attack);
}

#[test]
fn half_closed_sockets() {
    let attack = Attack {
        begin: |attacker| {
            // Some before a request, some in its middle, some behind it.
            let texts = [
                "",
                "GET /api/jobs/a/ev",
                "GET /api/jobs/a HTTP/1.1\r\nHost: a\r\n\r\n",
            ];
            let port = attacker
                .socket
                .local_addr()
                .map_or(0, |address| address.port());
            let text = texts[usize::from(port) % texts.len()];
            let _ = attacker.socket.write(text.as_bytes());
            let _ = attacker.socket.shutdown(Shutdown::Write);
        },
        go_on: Attacker::is_open,
        to_publish: false,
    };
    withstand("half-closed sockets", attack);
}

#[test]
fn connections_that_never_send() {
    let attack = Attack {
        begin: |_| {},
        go_on: Attacker::is_open,
        to_publish: false,
    };
    withstand("connections that never send", attack);
}
