//! Requests that break RFC 9112: each gets an answer and a close, never a hang, never a
//! silent close.

use super::broken::broken;
use super::support::{Answer, Client, TestServer, get, post};

pub fn assert_refused(client: &mut Client, status: u16, what: &str, request: &[u8]) -> Answer {
    let answer = client.answer();
    let text = String::from_utf8_lossy(&request[..request.len().min(200)]);
    assert_eq!(answer.status, status, "{what}: {text:?}: {}", answer.body);
    assert_eq!(
        answer.field("connection"),
        Some("close"),
        "{what}: {text:?}"
    );
    let error = answer.error();
    assert!(error.contains(": "), "it says what would be right: {error}");
    client.assert_closed();
    answer
}

#[test]
fn a_broken_request_gets_its_answer_and_a_close() {
    let server = TestServer::start();
    for (status, what, request) in broken() {
        for mut client in [server.public(), server.publishing()] {
            // A public listener takes no body: what is wrong with it isn't looked at.
            let is_public = client.socket().peer_addr().unwrap() == server.public_address();
            let is_body = status == 400 && what.starts_with("chunk");
            let status = if is_public && is_body && !what.contains(' ') {
                405
            } else {
                status
            };
            if is_public && what == "chunk extensions without end" {
                continue;
            }
            client.send_what_it_takes(&request);
            assert_refused(&mut client, status, what, &request);
        }
    }
    assert_eq!(server.metric("landfall_events_published_total"), 0);
    assert_eq!(server.metric("landfall_panics_total"), 0);
}

#[test]
fn a_broken_request_gets_the_same_one_byte_at_a_time() {
    let server = TestServer::start();
    for (status, what, request) in broken() {
        if request.len() > 1000 {
            continue;
        }
        let mut client = server.publishing();
        for byte in &request {
            client.send_what_it_takes([*byte]);
            // The server reads on for a second only: what comes later resets the answer.
            if client.has_answer() {
                break;
            }
        }
        assert_refused(&mut client, status, what, &request);
    }
}

#[test]
fn the_answer_arrives_though_the_client_goes_on_sending() {
    let server = TestServer::start();
    let more = vec![b'x'; 300_000];
    for (status, what, request) in broken() {
        if ["chunks", "Content-Length"].contains(&what) {
            continue;
        }
        let mut client = server.publishing();
        client.send_what_it_takes([&request[..], &more].concat());
        let answer = client.answer();
        assert_eq!(answer.status, status, "{what}");
        client.assert_closed();
    }
    for request in [
        post("/api/jobs/a/events", "text/plain", "").replace("th: 0", "th: 300000"),
        post("/api/jobs/a/events", "application/json", "").replace("th: 0", "th: 9000000"),
        post("/nowhere", "application/json", "").replace("th: 0", "th: 300000"),
        post("/api/jobs/a/events", "application/x-ndjson", "nonsense\n")
            .replace("th: 9", "th: 300009"),
    ] {
        let mut client = server.publishing();
        client.send(&request);
        client.send_what_it_takes(&more);
        let answer = client.answer();
        assert!((400..500).contains(&answer.status), "{request}");
        client.assert_closed();
    }
}

#[test]
fn a_broken_request_behind_a_good_one_is_answered_after_it() {
    let server = TestServer::start();
    server.progress("a", 1);
    for (status, what, request) in broken() {
        let mut client = server.publishing();
        client.send_what_it_takes([get("/api/jobs/a", "").as_bytes(), &request].concat());
        assert_eq!(client.answer().status, 200, "{what}");
        assert_refused(&mut client, status, what, &request);
    }
}

#[test]
fn a_smuggled_request_is_never_served() {
    let server = TestServer::start();
    server.progress("a", 1);
    let inner = "DELETE /api/jobs/a HTTP/1.1\r\nHost: h\r\n\r\n";
    for fields in [
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\nContent-Length: 44\r\n",
        "Content-Length: 0, 44\r\n",
        "Content-Length : 0\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: chunked\r\n obs: fold\r\n",
        "X: a\rContent-Length: 0\r\n",
    ] {
        let mut client = server.publishing();
        client.send_what_it_takes(format!(
            "POST /api/jobs/a/events HTTP/1.1\r\nHost: h\r\n{fields}\r\n0\r\n\r\n{inner}"
        ));
        assert_eq!(client.answer().status, 400, "{fields}");
        client.assert_closed();
    }
    assert!(
        server
            .jobs()
            .snapshot(&super::support::job_id("a"))
            .is_some()
    );
}

#[test]
fn garbage_without_a_line_end_is_not_waited_on() {
    let server = TestServer::start();
    // What a TLS client says first, and a NUL.
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET /\0",
        b"\0",
    ] {
        let mut client = server.public();
        client.send(garbage);
        // Whoever waits for more of it says 408.
        assert_refused(&mut client, 400, "garbage", garbage);
    }
}
