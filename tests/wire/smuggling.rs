//! Request smuggling: a request whose length two parties could read differently hides
//! another in its body from one of them. None is served, however its lengths are spelled.

use landfall::JobState;

use super::support::{Client, TestServer, job_id};

/// What is hidden: it would forget the job.
const HIDDEN: &str = "DELETE /api/jobs/a HTTP/1.1\r\nHost: h\r\n\r\n";

/// How a client may write a length that is right by itself.
const RIGHT: [&str; 10] = [
    "Content-Length: 5",
    "content-length:5",
    "CONTENT-LENGTH:\t5\t",
    "Content-Length: 0",
    "Content-Length: 0005",
    "Transfer-Encoding: chunked",
    "transfer-encoding:chunked",
    "TRANSFER-ENCODING: CHUNKED",
    "Transfer-Encoding:\tchunked \t",
    "tRANSFER-eNCODING: cHUNKED",
];

/// Lengths that are wrong by themselves: some server somewhere takes each of them.
const WRONG: [&str; 44] = [
    "Content-Length:",
    "Content-Length: +5",
    "Content-Length: -5",
    "Content-Length: -0",
    "Content-Length: 5,5",
    "Content-Length: 5, 6",
    "Content-Length: 5,",
    "Content-Length: ,5",
    "Content-Length: 5 5",
    "Content-Length: 5;x",
    "Content-Length: 0x5",
    "Content-Length: 5.0",
    "Content-Length: 5e0",
    "Content-Length: 5_0",
    "Content-Length: \"5\"",
    "Content-Length: 5\u{a0}",
    "Content-Length: \u{665}",
    "Content-Length: 5\x0b",
    "Content-Length: 5\x0c",
    "Content-Length: 5\0",
    "Content-Length: 18446744073709551621",
    "Content-Length : 5",
    "Content-Length\t: 5",
    "Content-Length\x0b: 5",
    "Content-Length\0: 5",
    " Content-Length: 5",
    "Content-Length\r\n: 5",
    "Content-Length: 5\r\n ",
    "Content-Length:\r\n 5",
    "X: y\rContent-Length: 5",
    "X: y\nContent-Length: 5",
    "Transfer-Encoding:",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: chunked\x0b",
    "Transfer-Encoding : chunked",
    "\tTransfer-Encoding: chunked",
    "Transfer-Encoding:\r\n chunked",
    "X: y\nTransfer-Encoding: chunked",
];

/// A POST that its `fields` delimit: of no bytes by chunks, of five by length.
fn post(version: &str, fields: &str) -> String {
    format!(
        "POST /api/jobs/a/events HTTP/{version}\r\nHost: h\r\nConnection: keep-alive\r\n\
         Content-Type: application/json\r\n{fields}\r\n\r\n0\r\n\r\n{HIDDEN}"
    )
}

fn assert_refused(server: &TestServer, mut client: Client, request: &str) {
    client.send_what_it_takes(request);
    let answer = client.answer();
    assert!(
        [400, 501].contains(&answer.status),
        "{request:?}: {answer:?}"
    );
    assert_eq!(answer.field("connection"), Some("close"), "{request:?}");
    client.assert_closed();
    let snapshot = server.jobs().snapshot(&job_id("a"));
    assert!(
        snapshot.is_some_and(|job| job.state == JobState::Running),
        "the hidden request was served: {request:?}"
    );
}

#[test]
fn every_pair_of_lengths_in_every_spelling_is_refused() {
    let server = TestServer::start();
    server.progress("a", 1);
    let all = || RIGHT.iter().chain(&WRONG);
    for first in all() {
        for second in all() {
            let request = post("1.1", &format!("{first}\r\n{second}"));
            assert_refused(&server, server.publishing(), &request);
        }
    }
    assert_eq!(server.metric("landfall_events_published_total"), 1);
}

#[test]
fn two_lengths_far_from_each_other_are_refused() {
    let server = TestServer::start();
    server.progress("a", 1);
    let between = "Xxxxxxxx: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(50);
    for first in RIGHT {
        for second in RIGHT {
            for (version, client) in [("1.1", server.public()), ("1.0", server.publishing())] {
                let request = post(version, &format!("{first}\r\n{between}{second}"));
                assert_refused(&server, client, &request);
            }
        }
    }
}

#[test]
fn a_wrong_length_is_refused_though_it_is_the_only_one() {
    let server = TestServer::start();
    server.progress("a", 1);
    for fields in WRONG {
        assert_refused(&server, server.publishing(), &post("1.1", fields));
    }
    for fields in &RIGHT[5..] {
        assert_refused(&server, server.publishing(), &post("1.0", fields));
    }
}

#[test]
fn a_right_length_in_any_spelling_delimits_the_body() {
    let server = TestServer::start();
    for fields in RIGHT {
        server.begin("a");
        let request = match fields {
            "Content-Length: 0" => post("1.1", fields).replace("0\r\n\r\nDELETE", "DELETE"),
            _ => post("1.1", fields),
        };
        let mut client = server.publishing();
        client.send(request);
        // No body here is an event; what matters is where it ends.
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{fields:?}: {answer:?}");
        assert_eq!(answer.field("connection"), Some("keep-alive"), "{fields:?}");
        assert_eq!(client.answer().status, 204, "{fields:?}");
    }
}

#[test]
fn fields_that_only_look_like_lengths_are_none() {
    let server = TestServer::start();
    for field in [
        "Content_Length: 5",
        "Content-Lengths: 5",
        "X-Content-Length: 5",
        "Transfer_Encoding: chunked",
        "X: Content-Length: 5",
    ] {
        server.begin("a");
        let mut client = server.publishing();
        let request = post("1.1", field).replace("0\r\n\r\nDELETE", "DELETE");
        client.send(request);
        assert_eq!(client.answer().status, 411, "{field}");
        assert_eq!(client.answer().status, 204, "{field}");
    }
}

#[test]
fn a_length_in_a_trailer_changes_nothing() {
    let server = TestServer::start();
    server.progress("a", 1);
    let request = post("1.1", "Transfer-Encoding: chunked")
        .replace("0\r\n\r\n", "0\r\nContent-Length: 43\r\n\r\n");
    let mut client = server.publishing();
    client.send(request);
    assert_eq!(client.answer().status, 400);
    assert_eq!(client.answer().status, 204);
}
