//! Conversations that are begun as fast as the server lets them in.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::at_end::StopAtEnd;
use super::binary::Binary;
use super::sse::EventStream;
use super::support::{Client, get, wait_until};
use super::{alone, metric};

const ATTACKERS: usize = 8;
/// Connections of each.
const ON_THE_WAY: usize = 60;
const EVENTS: u64 = 50;
/// Attackers that may have their turn before a publisher has its own: a few handfuls, where
/// one after the other is hundreds.
const TURNS_MAX: u64 = 200;

#[test]
fn short_connections_without_end_keep_no_connected_publisher_waiting() {
    let _alone = alone();
    let server = Binary::serve(&[]);
    let mut stream = EventStream::open(Client::connect(server.public), "/api/jobs/a/events", "");
    let mut publisher = Client::connect(server.publish);
    let mut publish = |n: u64| {
        let body = format!(r#"{{"event":"progress","data":{{"n":{n}}}}}"#);
        assert_eq!(publisher.publish("a", &body).status, 201);
    };
    publish(0);
    assert_eq!(stream.event().n(), 0);
    let (is_over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..ATTACKERS {
            scope.spawn(|| {
                let request = get("/api/jobs/nobody", "Connection: close\r\n");
                let mut waiting = VecDeque::new();
                while !is_over.load(Ordering::Relaxed) {
                    // Many on the way at a time, and a new one for each that is answered.
                    if let Ok(mut socket) = TcpStream::connect(server.public) {
                        let _ = socket.write_all(request.as_ref());
                        waiting.push_back(socket);
                    }
                    if waiting.len() >= ON_THE_WAY
                        && let Some(mut socket) = waiting.pop_front()
                        && socket.read(&mut [0; 16]).is_ok_and(|length| length > 0)
                    {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let _stop = StopAtEnd(&is_over);
        wait_until("the attack has begun", || {
            answered.load(Ordering::Relaxed) > 1000
        });
        let before = answered.load(Ordering::Relaxed);
        for n in 1..=EVENTS {
            publish(n);
            assert_eq!(stream.event().n(), n);
        }
        let each = (answered.load(Ordering::Relaxed) - before) / EVENTS;
        println!("{each} attackers were answered before each publisher's turn");
        assert!(each < TURNS_MAX, "{each} attackers were answered before it");
    });
    assert_eq!(metric(&server, "landfall_panics_total"), 0);
}
