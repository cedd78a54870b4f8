//! The graceful stop.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::sse::EventStream;
use super::support::{PATIENCE, TestServer, get, post};

/// Those who say nothing are given a second by a server that stops. A machine that is busy elsewhere
/// may have a test come too late for that.
const GOODBYE: Duration = Duration::from_millis(900);

#[test]
fn a_stop_ends_every_stream_with_what_is_pending_and_a_last_retry() {
    let server = TestServer::with(|config| config.drain = PATIENCE);
    let mut streams = [
        EventStream::of(&server, "a"),
        EventStream::of(&server, "a"),
        EventStream::of(&server, "never"),
        EventStream::open(server.public(), "/api/events?job=a&job=b", ""),
        EventStream::open(server.publishing(), "/api/events", ""),
    ];
    for stream in &mut streams {
        stream.wait_for_retries(1);
    }
    let ids: Vec<u64> = (0..100).map(|n| server.progress("a", n)).collect();
    assert!(server.stop(), "everything went out");
    let mut waits = Vec::new();
    for (at, stream) in streams.iter_mut().enumerate() {
        let frames = stream.rest();
        let count = if at == 2 { 0 } else { ids.len() };
        assert_eq!(frames.len(), count, "stream {at}");
        let &[first, last] = stream.retries() else {
            panic!("stream {at}: {:?}", stream.retries());
        };
        assert!((5000..=7500).contains(&last), "{last}");
        waits.extend([first, last]);
    }
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 2, "they differ: {waits:?}");
}

#[test]
fn a_slow_reader_gets_what_is_pending_before_the_close() {
    let server = TestServer::with(|config| {
        config.hub.ring.bytes = 64 << 20;
        config.hub.ring.events = 100_000;
        config.drain = PATIENCE;
    });
    let data = format!("{{\"t\":\"{}\"}}", "x".repeat(20_000));
    let mut stream = EventStream::of(&server, "a");
    server.wait_for_streams("a", 1);
    for _ in 0..800 {
        server.event("a", "progress", &data);
    }
    let stopping = std::thread::spawn(move || server.stop());
    assert_eq!(stream.rest().len(), 800);
    assert_eq!(stream.retries().len(), 2);
    assert!(stopping.join().unwrap());
}

#[test]
fn a_stop_waits_no_longer_than_the_drain_limit() {
    let server = TestServer::with(|config| {
        config.hub.ring.bytes = 64 << 20;
        config.hub.ring.events = 100_000;
        config.drain = Duration::from_millis(300);
    });
    let data = format!("{{\"t\":\"{}\"}}", "x".repeat(20_000));
    let mut client = server.public();
    client.send(get("/api/jobs/a/events", ""));
    server.wait_for_streams("a", 1);
    for _ in 0..800 {
        server.event("a", "progress", &data);
    }
    let begin = std::time::Instant::now();
    assert!(!server.stop(), "not everything went out");
    assert!(begin.elapsed() < PATIENCE);
}

#[test]
fn a_request_that_has_begun_is_answered_during_a_stop() {
    let server = TestServer::with(|config| config.drain = PATIENCE);
    let request = post(
        "/api/jobs/a/events",
        "application/json",
        r#"{"event":"progress"}"#,
    );
    let (front, back) = request.split_at(request.len() - 5);
    let mut client = server.publishing();
    client.send(front);
    super::support::wait_until("the request has begun", || {
        server.metric("landfall_connections_unanswered") == 1
    });
    let address = server.publish_address();
    let stopping = std::thread::spawn(move || server.stop());
    super::support::wait_until("nobody is let in any more", || {
        TcpStream::connect(address).is_err()
    });
    let answer = client.send(back).answer();
    assert_eq!(answer.status, 201);
    assert_eq!(answer.field("connection"), Some("close"));
    assert!(stopping.join().unwrap());
}

#[test]
fn a_stream_asked_for_during_a_stop_gets_a_retry_and_no_5xx() {
    let server = TestServer::with(|config| config.drain = PATIENCE);
    // A conversation that is kept alive, and another that keeps the stop waiting.
    let mut client = server.public();
    assert_eq!(client.get("/nothing").status, 404);
    let mut holding = server.publishing();
    let request = post("/api/jobs/a/events", "application/json", "{}");
    holding.send(&request[..request.len() - 1]);
    super::support::wait_until("the request has begun", || {
        server.metric("landfall_connections_unanswered") == 1
    });
    let address = server.public_address();
    let begin = Instant::now();
    let stopping = std::thread::spawn(move || server.stop());
    super::support::wait_until("nobody is let in any more", || {
        TcpStream::connect(address).is_err()
    });
    client.send_what_it_takes(get("/api/jobs/a/events", ""));
    if begin.elapsed() < GOODBYE {
        let mut stream = EventStream::begun(client);
        stream.assert_ends();
        assert_eq!(stream.retries().len(), 1);
    }
    assert_eq!(holding.send("}").answer().status, 400);
    stopping.join().unwrap();
}

#[test]
fn a_stop_ends_the_streams_one_after_the_other_and_those_that_wait_stay_live() {
    const STREAMS: usize = 20;
    let server = TestServer::with(|config| {
        config.drain = PATIENCE;
        config.drain_spread = Duration::from_secs(6);
    });
    let streams: Vec<_> = (0..STREAMS)
        .map(|_| EventStream::of(&server, "a"))
        .collect();
    server.wait_for_streams("a", STREAMS);
    server.progress("a", 0);
    let jobs = server.jobs().clone();
    let begin = Instant::now();
    let ops = server.ops_address();
    let stopping = std::thread::spawn(move || server.stop());
    let readers: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            std::thread::spawn(move || {
                let events = stream.rest().len();
                (begin.elapsed(), events, stream.retries()[1])
            })
        })
        .collect();
    super::support::wait_until("the first streams have ended", || {
        super::support::metric(ops, "landfall_streams_open") < STREAMS as i64
    });
    let event = landfall::Event::progress("late", 1.0).unwrap();
    jobs.publish(&"a".parse().unwrap(), event).unwrap();
    let mut ends: Vec<_> = readers.into_iter().map(|r| r.join().unwrap()).collect();
    assert!(stopping.join().unwrap(), "everything went out");
    ends.sort();
    let (first, last) = (ends[0].0, ends[STREAMS - 1].0);
    assert!(last - first >= Duration::from_secs(1), "{first:?} {last:?}");
    assert_eq!(ends[STREAMS - 1].1, 2, "what came during the stop came too");
    let mut waits: Vec<_> = ends.iter().map(|end| end.2).collect();
    waits.sort();
    waits.dedup();
    assert!(waits.len() > STREAMS / 2, "they differ: {waits:?}");
}

#[test]
fn whoever_has_connected_before_a_stop_can_still_ask() {
    let server = TestServer::with(|config| config.drain = PATIENCE);
    let (mut early, mut stream) = (server.public(), server.public());
    super::support::wait_until("they are let in", || {
        server.metric("landfall_connections_accepted_total") == 2
    });
    // The one has begun, so it is waited for longer than those who are silent.
    let request = get("/api/jobs/none", "");
    let (front, back) = request.split_at(10);
    early.send(front);
    let address = server.public_address();
    let begin = Instant::now();
    let stopping = std::thread::spawn(move || server.stop());
    super::support::wait_until("nobody else is let in", || {
        TcpStream::connect(address).is_err()
    });
    stream.send_what_it_takes(get("/api/jobs/a/events", ""));
    let is_in_time = begin.elapsed() < GOODBYE;
    let answer = early.send(back).answer();
    assert_eq!(
        (answer.status, answer.field("connection")),
        (404, Some("close"))
    );
    if is_in_time {
        let mut stream = EventStream::begun(stream);
        stream.assert_ends();
        assert!((5000..=7500).contains(&stream.retries()[0]));
    }
    assert!(stopping.join().unwrap());
}

#[test]
fn a_connection_that_has_never_said_anything_holds_up_a_stop_for_a_moment_only() {
    let server = TestServer::with(|config| {
        config.drain = Duration::from_secs(60);
        config.connection.head_timeout = Duration::from_secs(60);
    });
    // As browsers open them, for what may be asked for next.
    let silent = [server.public(), server.publishing()];
    super::support::wait_until("they are let in", || {
        server.metric("landfall_connections_accepted_total") == 2
    });
    let begin = Instant::now();
    assert!(server.stop());
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    drop(silent);
}
