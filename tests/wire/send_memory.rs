//! What the kernel holds of streams is bounded for all of them together.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::sse::EventStream;
use super::support::{Client, TestServer, get, wait_until};

const HELD: &str = "landfall_send_memory_bytes";
const REFUSED: &str = "landfall_refusals_total{limit=\"send-memory\"}";

/// What a full small buffer counts for, and a large one of 128 KiB.
const SMALL: i64 = 48 * 1024;
const LARGE: i64 = (2 * 128 + 16) * 1024;

/// A stream that nobody reads.
fn unread(server: &TestServer) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.public_address().into()).unwrap();
    let mut socket = TcpStream::from(socket);
    let request = get("/api/jobs/a/events", "");
    socket.write_all(request.as_bytes()).unwrap();
    socket
}

fn start(most: usize) -> TestServer {
    TestServer::with(|config| {
        config.send_memory_bytes = most;
        config.shard.heartbeat = Duration::from_millis(400);
        config.hub.ring.events = 100_000;
        config.hub.ring.bytes = 64 << 20;
    })
}

fn publish(server: &TestServer, n: u64, bytes: usize) -> u64 {
    let text = "x".repeat(bytes);
    server.event("a", "progress", &format!(r#"{{"n":{n},"t":"{text}"}}"#))
}

#[test]
fn who_reads_nothing_has_a_small_buffer_and_nothing_of_it_is_left_when_it_goes() {
    let server = start(64 << 20);
    let sockets: Vec<_> = (0..20).map(|_| unread(&server)).collect();
    server.wait_for_streams("a", 20);
    for n in 0..20 {
        publish(&server, n, 50_000);
    }
    wait_until("they are full", || server.metric(HELD) >= 20 * SMALL);
    assert_eq!(server.metric(HELD), 20 * SMALL);
    drop(sockets);
    wait_until("nothing is held", || server.metric(HELD) == 0);
}

#[test]
fn who_reads_has_a_large_buffer_until_there_is_nothing_more_to_read() {
    let server = start(64 << 20);
    let mut stream = EventStream::begun(Client::on(unread(&server)));
    server.wait_for_streams("a", 1);
    for n in 0..40 {
        publish(&server, n, 50_000);
    }
    wait_until("it is full", || server.metric(HELD) == SMALL);
    let mut most = 0;
    for n in 0..40 {
        assert_eq!(stream.event().n(), n);
        most = most.max(server.metric(HELD));
    }
    assert_eq!(most, LARGE);
    wait_until("it is idle", || server.metric(HELD) == 0);
    publish(&server, 40, 50_000);
    assert_eq!(stream.event().n(), 40);
}

#[test]
fn where_there_is_no_room_those_that_take_nothing_are_closed_and_resume() {
    let server = start(10 * SMALL as usize);
    let mut quick = EventStream::of(&server, "a");
    quick.wait_for_retries(1);
    let mut sockets: Vec<_> = (0..20).map(|_| unread(&server)).collect();
    server.wait_for_streams("a", 21);
    let mut n = 0;
    wait_until("some are closed", || {
        publish(&server, n, 5000);
        assert_eq!(quick.event().n(), n);
        n += 1;
        server.metric(REFUSED) > 0
    });
    wait_until("what is held is within the limit", || {
        server.metric(HELD) <= 10 * SMALL
    });
    assert!(server.metric(REFUSED) < 20, "others stay");
    // Whoever was closed has whole events up to one, and goes on behind it.
    let mut cut = EventStream::begun(Client::on(sockets.remove(0)));
    let mut last = 0;
    for _ in 0..2 {
        last = cut.event().id;
    }
    let mut resumed = EventStream::after(&server, "a", last);
    assert_eq!(resumed.event().id, last + 1);
}
