//! A whole server within another program.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use landfall::{Address, Event, Server, ServerConfig};

use super::job;

/// Nobody else listens at this address: what is free there stays so.
const HOST: &str = "127.77.0.1:0";

fn config() -> ServerConfig {
    let mut config = ServerConfig::default();
    config.listen = Address::Off;
    config.publish = Address::Off;
    config.ops = Address::Off;
    config
}

/// Opens a stream, and reads the beginning of the answer.
fn follow(address: &Address) -> TcpStream {
    let mut stream = TcpStream::connect(address.tcp().unwrap()).unwrap();
    let request = "GET /api/jobs/a/events HTTP/1.1\r\nHost: 127.77.0.1\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut status = [0; 15];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
    stream
}

fn nothing_listens_after(end: impl Fn(Server)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("publish");
    let mut config = config();
    config.listen = HOST.parse().unwrap();
    config.publish = Address::Unix(path.clone());
    config.ops = HOST.parse().unwrap();
    let server = Server::start(config).unwrap();
    let (public, ops) = (server.public().clone(), server.ops().clone());
    server
        .jobs()
        .publish(&job("a"), Event::new("progress", "{}").unwrap())
        .unwrap();
    let mut stream = follow(&public);
    drop(UnixStream::connect(&path).unwrap());
    drop(TcpStream::connect(ops.tcp().unwrap()).unwrap());
    end(server);
    for address in [public, ops] {
        let connected = TcpStream::connect(address.tcp().unwrap());
        assert!(connected.is_err(), "somebody listens at {address}");
    }
    assert!(!path.exists());
    // The stream is at its end.
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn a_server_that_has_stopped_listens_nowhere() {
    nothing_listens_after(|server| assert!(server.stop()));
}

#[test]
fn a_server_that_is_dropped_stops() {
    nothing_listens_after(drop);
}

#[test]
fn a_server_may_have_one_listener_or_none() {
    let mut config = config();
    config.listen = HOST.parse().unwrap();
    let server = Server::start(config.clone()).unwrap();
    assert_eq!(server.publish(), &Address::Off);
    assert_eq!(server.ops(), &Address::Off);
    server.jobs().publish(&job("a"), Event::done()).unwrap();
    let mut all = String::new();
    follow(server.public()).read_to_string(&mut all).unwrap();
    assert!(all.contains("event: done"), "{all}");
    // Others can't reach what isn't there, so it needs no key.
    config.listen = Address::Off;
    let server = Server::start(config).unwrap();
    server.jobs().publish(&job("a"), Event::done()).unwrap();
    assert!(server.stop());
}
