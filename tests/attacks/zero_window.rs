//! Subscribers that take nothing: their windows are zero as soon as their buffers are full.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::binary::Binary;
use super::sse::EventStream;
use super::support::{Client, get, wait_until};
use super::{alone, metric, procfs};

const SUBSCRIBERS: usize = 300;
/// What the kernel may hold for one: it has a small buffer, since it has never read. Linux
/// doubles what it is given, and a send that begins below the limit may end above it.
const KERNEL_BYTES: u64 = 2 * 16 * 1024 + 64 * 1024;
/// What the server may hold for all.
const USER_BYTES: u64 = 48 << 20;

/// A client that has asked for a stream, with a small buffer, and reads nothing.
fn subscriber(server: &Binary) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.public.into()).unwrap();
    let mut socket = TcpStream::from(socket);
    std::io::Write::write_all(&mut socket, get("/api/jobs/a/events", "").as_bytes()).unwrap();
    socket
}

/// What the kernel holds to be sent from a port, socket by socket.
fn held_bytes(port: u16) -> Vec<u64> {
    let filter = format!("sport = :{port}");
    let output = Command::new("ss")
        .args(["-tnmH", &filter])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // skmem:(r0,rb131072,t2304,tb262144,f1792,w14592,...): w is what is queued.
    let of_socket = |part: &str| -> Option<u64> {
        let numbers = part.split(')').next()?;
        let queued = numbers
            .split(',')
            .find_map(|field| field.strip_prefix('w'))?;
        queued.parse().ok()
    };
    text.split("skmem:(")
        .skip(1)
        .filter_map(of_socket)
        .collect()
}

#[test]
fn zero_windows() {
    let _alone = alone();
    let flags = [
        "--stall",
        "4s",
        "--heartbeat",
        "1s",
        "--send-buffer",
        "64KiB",
    ];
    let server = Binary::serve(&flags);
    let mut quick = EventStream::open(Client::connect(server.public), "/api/jobs/a/events", "");
    quick.wait_for_retries(1);
    let stalled: Vec<_> = (0..SUBSCRIBERS).map(|_| subscriber(&server)).collect();
    wait_until("they follow", || {
        metric(&server, "landfall_streams_open") == SUBSCRIBERS as i64 + 1
    });
    let before = procfs::resident_bytes(server.pid());
    let mut publisher = Client::connect(server.publish);
    let text = "x".repeat(20_000);
    let (mut most_user, mut most_kernel) = (0, 0);
    let begin = Instant::now();
    for n in 0..200 {
        let body = format!(r#"{{"event":"progress","data":{{"n":{n},"t":"{text}"}}}}"#);
        assert_eq!(publisher.publish("a", &body).status, 201);
        // Nobody else is delayed, and nobody else loses anything.
        assert_eq!(quick.event().n(), n);
        if n % 20 == 19 {
            most_user = most_user.max(procfs::resident_bytes(server.pid()));
            let held = held_bytes(server.public.port());
            most_kernel = most_kernel.max(held.into_iter().max().unwrap_or(0));
        }
    }
    println!(
        "user {} KiB before, {} KiB at most; kernel {} KiB at most a socket; {:?}",
        before / 1024,
        most_user / 1024,
        most_kernel / 1024,
        begin.elapsed()
    );
    assert!(
        most_user < before + USER_BYTES,
        "{most_user}, {before} before"
    );
    assert!(most_kernel <= KERNEL_BYTES, "{most_kernel}");
    assert!(most_kernel > 0, "they have stalled");
    wait_until("they are closed at the stall limit", || {
        metric(&server, "landfall_streams_open") == 1
    });
    let closed = metric(&server, "landfall_stream_closes_total{reason=\"stalled\"}")
        + metric(
            &server,
            "landfall_stream_closes_total{reason=\"client_gone\"}",
        );
    assert_eq!(closed, SUBSCRIBERS as i64);
    drop(stalled);
    assert_eq!(publisher.publish("a", r#"{"event":"done"}"#).status, 201);
    assert_eq!(quick.rest().len(), 1);
    assert!(
        begin.elapsed() > Duration::from_secs(3),
        "not before the stall limit"
    );
}
