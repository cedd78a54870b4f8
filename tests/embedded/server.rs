//! A whole server within another program.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use landfall::{Address, Client, Event, LeaseWatch, Server, ServerConfig};

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

#[test]
fn a_server_whose_times_are_the_longest_there_are_serves_and_stops() {
    let mut config = config();
    config.listen = HOST.parse().unwrap();
    config.ops = HOST.parse().unwrap();
    config.hub.deleted_for = Duration::MAX;
    config.hub.abandoned_after = Duration::MAX;
    config.hub.idempotency_window = Duration::MAX;
    config.hub.cancel_grace = Duration::MAX;
    config.shard.heartbeat = Duration::MAX;
    config.shard.stall = Duration::MAX;
    config.shard.retry = Duration::MAX;
    config.shard.max_stream_age = Some(Duration::MAX);
    config.connection.head_timeout = Duration::MAX;
    config.connection.body_timeout = Duration::MAX;
    config.connection.body_time = Duration::MAX;
    config.connection.idle_timeout = Duration::MAX;
    config.busy_retry = Duration::MAX;
    config.handover = Duration::MAX;
    config.drain = Duration::MAX;
    config.drain_spread = Duration::from_millis(1);
    let server = Server::start(config).unwrap();
    let mut stream = follow(server.public());
    server.jobs().publish(&job("a"), Event::done()).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert!(all.contains("event: done"), "{all}");
    assert!(server.stop());
}

#[test]
fn what_a_program_holds_can_be_shown_and_tells_no_secret() {
    let shows = |shown: &dyn std::fmt::Debug, what: &str| {
        let shown = format!("{shown:?}");
        assert!(shown.contains(what) && !shown.contains("secret"), "{shown}");
    };
    let server = Server::start(config()).unwrap();
    shows(&server, "Server");
    shows(server.jobs(), "Sequencer");
    shows(&LeaseWatch::start(server.jobs()).unwrap(), "LeaseWatch");
    let client = Client::new(server.public().clone());
    shows(&client.with_token(Some("secret".to_owned())), "Client");
}

#[test]
fn a_server_that_has_stopped_leaves_no_thread_behind_for_uploads() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.data = Some(folder.path().to_owned());
    for _ in 0..3 {
        drop(Server::start(config.clone()).unwrap());
    }
    let is_left = || {
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        let names = threads.map(|it| std::fs::read_to_string(it.unwrap().path().join("comm")));
        names.flatten().any(|name| name.trim() == "janitor")
    };
    let began = Instant::now();
    while is_left() {
        assert!(began.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(5));
    }
}
