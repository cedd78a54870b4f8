//! What one client may have of what there is, and what becomes of those that want more.

mod addresses;
mod bodies;
mod crowds;
mod events;
#[path = "../wire/sse.rs"]
#[allow(dead_code)]
mod sse;
mod streams;
#[path = "../wire/support.rs"]
#[allow(dead_code)]
mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};
use sse::EventStream;
use support::{Answer, Client};

/// A client whose address is 127.0.0.`host`.
fn from(host: u8, address: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let source = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0));
    socket.bind(&source.into()).unwrap();
    socket.connect(&address.into()).unwrap();
    Client::on(TcpStream::from(socket))
}

/// A stream that there is no room for: 200, a long retry, and a close.
fn assert_busy(client: Client, target: &str, fields: &str) {
    let mut stream = EventStream::open(client, target, fields);
    let retry = stream.wait_for_retries(1)[0];
    assert!((30_000..=45_000).contains(&retry), "{retry}");
    stream.assert_ends();
}

/// An answer that asks to come back later.
fn assert_later(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    let seconds: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 0);
    assert!(!answer.error().is_empty());
}
