//! Clients that stall, stop in the middle, or come when there is no room.

use std::time::{Duration, Instant};

use super::bad_requests::assert_refused;
use super::support::{TestServer, get, post};

#[test]
fn a_head_that_stalls_is_408() {
    let server = TestServer::with(|config| {
        config.connection.head_timeout = Duration::from_millis(300);
    });
    for part in [
        "G",
        "GET /api/jobs/a/events HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: y",
        "\r\n",
    ] {
        let mut client = server.public();
        client.send(part);
        assert_refused(&mut client, 408, "a stalled head", part.as_bytes());
        // And behind an answer, where a conversation has begun.
        let mut client = server.public();
        client.send(get("/nowhere", "") + part);
        assert_eq!(client.answer().status, 404);
        assert_refused(&mut client, 408, "a stalled second head", part.as_bytes());
    }
}

#[test]
fn a_head_that_comes_in_drips_is_408_all_the_same() {
    let server = TestServer::with(|config| {
        config.connection.head_timeout = Duration::from_millis(400);
    });
    let mut client = server.public();
    let begin = Instant::now();
    let mut sending = client.socket().try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // The pause is what is tested: each drip is in time, the head isn't.
            while std::io::Write::write_all(&mut sending, b"x").is_ok()
                && begin.elapsed() < Duration::from_secs(60)
            {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        assert_eq!(client.answer().status, 408);
        assert!(begin.elapsed() < Duration::from_secs(55));
        // Where the drips have been answered with a reset, it is down already.
        let _ = client.socket().shutdown(std::net::Shutdown::Both);
    });
}

#[test]
fn a_body_that_stalls_is_408() {
    let server = TestServer::with(|config| {
        config.connection.body_timeout = Duration::from_millis(300);
    });
    let target = "/api/jobs/a/events";
    let chunked = format!(
        "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-ndjson\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    for request in [
        post(target, "application/json", "").replace("th: 0", "th: 5"),
        post(target, "application/json", "{").replace("th: 1", "th: 5"),
        chunked.clone(),
        format!("{chunked}5\r\n{{\"e"),
        format!("{chunked}0\r\n"),
    ] {
        let mut client = server.publishing();
        client.send(&request);
        assert_refused(&mut client, 408, "a stalled body", request.as_bytes());
    }
}

#[test]
fn a_request_that_ends_in_its_middle_is_400() {
    let server = TestServer::start();
    for part in [
        "GET / HT".to_owned(),
        "GET / HTTP/1.1\r\nHost: h\r\n".to_owned(),
        post("/api/jobs/a/events", "application/json", "{").replace("th: 1", "th: 9"),
    ] {
        let mut client = server.publishing();
        client.send(&part).half_close();
        assert_refused(&mut client, 400, "cut off", part.as_bytes());
    }
}

#[test]
fn a_connection_that_says_nothing_is_closed_without_an_answer() {
    let server = TestServer::with(|config| {
        config.connection.head_timeout = Duration::from_secs(1);
        config.connection.idle_timeout = Duration::from_secs(1);
    });
    server.public().assert_closed();
    let mut client = server.public();
    assert_eq!(client.get("/nowhere").status, 404);
    client.assert_closed();
}

#[test]
fn empty_lines_before_a_request_are_passed_by() {
    let server = TestServer::start();
    let request = format!("\r\n\r\n{}\r\n{}", get("/x", ""), get("/y", ""));
    let mut client = server.public();
    client.send(request);
    assert_eq!(client.answer().status, 404);
    assert_eq!(client.answer().status, 404);
}

#[test]
fn the_last_request_of_a_connection_is_answered_with_a_close() {
    let server = TestServer::with(|config| config.connection.requests = 3);
    let mut client = server.public();
    for expected in ["keep-alive", "keep-alive", "close"] {
        let answer = client.get("/nowhere");
        assert_eq!(answer.field("connection"), Some(expected));
    }
    client.assert_closed();
}

#[test]
fn a_conversation_there_is_no_room_for_is_503_with_retry_after() {
    let server = TestServer::with(|config| config.connections = 2);
    let mut holders: Vec<_> = (0..2).map(|_| server.public()).collect();
    for holder in &mut holders {
        assert_eq!(holder.get("/nowhere").status, 404);
    }
    let answer = server.public().get("/nowhere");
    assert_eq!(answer.status, 503);
    assert!(answer.field("retry-after").is_some());
    // Streams have room of their own: they never get a 5xx.
    let mut stream = super::sse::EventStream::of(&server, "a");
    let id = server.progress("a", 1);
    assert_eq!(stream.event().id, id);
}
