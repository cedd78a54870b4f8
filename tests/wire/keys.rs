//! What is asked for again is done once.

use std::time::Duration;

use super::publishing::ids;
use super::support::{Answer, TestServer, get, wait_until};

const PROGRESS: &str = r#"{"event":"progress","data":{"percent":30}}"#;

fn ask(server: &TestServer, method: &str, target: &str, key: &str, body: &str) -> Answer {
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/json\r\n"
    };
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: h\r\nIdempotency-Key: {key}\r\n{kind}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    server.publishing().send(request).answer()
}

fn publish(server: &TestServer, job: &str, key: &str, body: &str) -> Answer {
    ask(
        server,
        "POST",
        &format!("/api/jobs/{job}/events"),
        key,
        body,
    )
}

fn begin(server: &TestServer, target: &str, key: &str, body: &str) -> Answer {
    ask(server, "PUT", &format!("/api/jobs/{target}"), key, body)
}

fn delete(server: &TestServer, job: &str) {
    let target = format!("/api/jobs/{job}");
    let request = get(&target, "").replacen("GET", "DELETE", 1);
    assert_eq!(server.publishing().send(request).answer().status, 204);
}

fn published(server: &TestServer) -> u64 {
    landfall::internals::hub(server.jobs()).published().0
}

#[test]
fn the_same_key_gets_the_first_answer_again_and_publishes_once() {
    let server = TestServer::start();
    let first = publish(&server, "a", "k1", PROGRESS);
    assert_eq!(first.status, 201, "{first:?}");
    let before = published(&server);
    for same in [
        PROGRESS,
        r#"{ "data" : {"percent":30}, "event":"progress" }"#,
    ] {
        let again = publish(&server, "a", "k1", same);
        assert_eq!((again.status, again.json()), (201, first.json()), "{same}");
    }
    assert_eq!(published(&server), before);
    // What was never accepted has no answer to be given again.
    assert_eq!(publish(&server, "b", "k", r#"{"lease":"5s"}"#).status, 404);
    assert_eq!(publish(&server, "b", "k", PROGRESS).status, 201);
}

#[test]
fn the_same_key_with_another_body_is_refused() {
    let server = TestServer::start();
    publish(&server, "a", "k", PROGRESS);
    let before = published(&server);
    for other in [
        r#"{"event":"progress","data":{"percent":31}}"#,
        r#"{"event":"progress","data":{"percent":30},"lease":"30s"}"#,
        r#"{"event":"log","data":{"percent":30}}"#,
        r#"{"lease":"30s"}"#,
    ] {
        let answer = publish(&server, "a", "k", other);
        assert_eq!(answer.status, 422, "{other}: {answer:?}");
        assert!(answer.error().contains("choose a new one"), "{answer:?}");
    }
    assert_eq!(begin(&server, "a?replace=true", "k", "").status, 422);
    assert_eq!(published(&server), before);
    // Another job's keys are its own.
    assert_eq!(publish(&server, "b", "k", r#"{"event":"log"}"#).status, 201);
}

#[test]
fn what_has_ended_its_job_is_answered_again_and_not_refused() {
    let server = TestServer::start();
    let done = r#"{"event":"done"}"#;
    let first = publish(&server, "a", "k", done);
    assert_eq!(first.status, 201);
    assert_eq!(publish(&server, "a", "k", done).json(), first.json());
    assert_eq!(publish(&server, "a", "other", done).status, 409);
    delete(&server, "a");
    assert_eq!(publish(&server, "a", "k", done).json(), first.json());
    assert_eq!(publish(&server, "a", "other", done).status, 410);
    // Also in the next life.
    assert_eq!(begin(&server, "a", "begin", "").status, 201);
    assert_eq!(publish(&server, "a", "k", done).json(), first.json());
    let snapshot = server.public().get("/api/jobs/a").json();
    assert_eq!(snapshot["state"], "running");
}

#[test]
fn a_life_that_is_begun_again_with_its_key_is_the_same_life() {
    let server = TestServer::start();
    let first = begin(&server, "a", "k", "");
    assert_eq!(first.status, 201);
    let again = begin(&server, "a", "k", "");
    assert_eq!((again.status, again.json()), (201, first.json()));
    let again = begin(&server, "a", "k", "{}");
    assert_eq!((again.status, again.json()), (201, first.json()));
    assert_eq!(begin(&server, "a", "other", "").status, 409);
    assert_eq!(begin(&server, "a", "k", r#"{"lease":"30s"}"#).status, 422);
    assert_eq!(begin(&server, "a?replace=true", "k", "").status, 422);
    let second = begin(&server, "a?replace=true", "l", r#"{"lease":"1h"}"#);
    server.progress("a", 1);
    let again = begin(&server, "a?replace=true", "l", r#"{"lease":"1h"}"#);
    assert_eq!((again.status, again.json()), (201, second.json()));
    // It has ended nothing this time.
    let snapshot = server.public().get("/api/jobs/a").json();
    assert_eq!(snapshot["lastEvent"]["data"]["n"], 1);
    // That is over, and is what this key means.
    let first_again = begin(&server, "a", "k", "");
    assert_eq!(
        (first_again.status, first_again.json()),
        (201, first.json())
    );
}

#[test]
fn a_renewal_with_a_key_is_one_renewal() {
    let server = TestServer::start();
    server.progress("a", 1);
    let renew = r#"{"lease":"1h"}"#;
    let first = publish(&server, "a", "k", renew);
    assert_eq!(first.status, 200);
    let again = publish(&server, "a", "k", renew);
    assert_eq!((again.status, again.json()), (200, first.json()));
}

#[test]
fn each_line_has_a_key_of_its_own() {
    let server = TestServer::start();
    let line = |key: &str, n: u64| {
        format!(
            "{{\"job\":\"a\",\"event\":\"progress\",\"data\":{{\"n\":{n}}},\"key\":\"{key}\"}}\n"
        )
    };
    let send = |lines: &[String]| {
        let mut client = server.publishing();
        client.publish_lines("/api/events", &lines.concat())
    };
    let first = ids(&send(&[line("1", 1), line("2", 2)]));
    // The answer was lost, and all of it is sent again, with more.
    let again = ids(&send(&[
        line("1", 1),
        line("2", 2),
        line("3", 3),
        line("3", 3),
    ]));
    assert_eq!(again[..2], first[..]);
    assert_eq!(again[2], first[1] + 1);
    assert_eq!(again[3], again[2]);
    assert_eq!(published(&server), again[2]);
    let wrong = send(&[line("4", 4), line("1", 9), line("5", 5)]);
    assert_eq!((wrong.status, &wrong.json()["line"]), (422, &2.into()));
    assert_eq!(ids(&wrong).len(), 1);
    let mut client = server.publishing();
    let single = r#"{"event":"progress","data":{"n":1},"key":"1"}"#;
    assert_eq!(client.publish("a", single).json()["id"], first[0]);
}

#[test]
fn a_key_is_forgotten_with_its_window_and_so_is_one_of_too_many() {
    let server = TestServer::with(|config| {
        config.hub.idempotency_window = Duration::from_millis(300);
    });
    let first = publish(&server, "a", "k", PROGRESS).json();
    wait_until("the key is free", || {
        publish(&server, "a", "k", PROGRESS).json() != first
    });

    let server = TestServer::start();
    let lines = |range: std::ops::Range<u64>| {
        let line = |n| format!("{{\"event\":\"log\",\"data\":{{\"n\":{n}}},\"key\":\"{n}\"}}\n");
        range.map(line).collect::<String>()
    };
    let send = |range| {
        let mut client = server.publishing();
        ids(&client.publish_lines("/api/jobs/a/events", &lines(range)))
    };
    let first = send(0..1024);
    assert_eq!(send(0..1024), first);
    send(1024..1025);
    assert_eq!(send(1..2), first[1..2], "the newest 1,024 are remembered");
    assert_ne!(send(0..1), first[..1], "the first is one too many");
    assert_eq!(landfall::internals::hub(server.jobs()).keys(), 1024);
}

#[test]
fn what_is_no_key_is_refused_and_changes_nothing() {
    let server = TestServer::start();
    let long = "x".repeat(256);
    for key in ["", "a b", "\u{e9}", &long] {
        let answer = publish(&server, "a", key, PROGRESS);
        assert_eq!(answer.status, 400, "{key:?}: {answer:?}");
        assert!(answer.error().contains("1 to 255 visible"), "{answer:?}");
        let answer = begin(&server, "a", key, "");
        assert_eq!(answer.status, 400, "{key:?}: {answer:?}");
        let line = format!(r#"{{"event":"progress","key":"{key}"}}"#);
        let answer = server
            .publishing()
            .publish_lines("/api/jobs/a/events", &line);
        assert_eq!(answer.status, 400, "{key:?}: {answer:?}");
    }
    let huge = "x".repeat(10_000);
    assert_eq!(publish(&server, "a", &huge, PROGRESS).status, 431);
    let twice = format!(
        "POST /api/jobs/a/events HTTP/1.1\r\nHost: h\r\nIdempotency-Key: a\r\n\
         Idempotency-Key: b\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{PROGRESS}",
        PROGRESS.len()
    );
    assert_eq!(server.publishing().send(twice).answer().status, 400);
    let both = r#"{"event":"progress","key":"l"}"#;
    assert_eq!(publish(&server, "a", "k", both).status, 400);
    let lines = format!(
        "POST /api/jobs/a/events HTTP/1.1\r\nHost: h\r\nIdempotency-Key: a\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{PROGRESS}",
        PROGRESS.len()
    );
    let answer = server.publishing().send(lines).answer();
    assert_eq!(answer.status, 400);
    assert!(answer.error().contains("each line"), "{answer:?}");
    assert_eq!(server.public().get("/api/jobs/a").status, 404);
}
