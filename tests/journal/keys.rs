//! What was done once stays done, also after a restart.

use std::time::Duration;

use super::http::{self, Answer, post, wait_until};
use super::retention::publish_until_checkpoint;
use super::support::Process;

fn ask(server: &Process, method: &str, target: &str, key: &str, body: &str) -> Answer {
    let key = format!("Idempotency-Key: {key}");
    let length = format!("Content-Length: {}", body.len());
    let kind = "Content-Type: application/json";
    let fields = [&*key, &*length, kind];
    http::ask(server.publish, method, target, &fields, body)
}

/// A change in each of the ways there are that may have a key; the second is what it says.
fn changes(server: &Process) -> Vec<(u16, serde_json::Value)> {
    let event = |job: &str, key: &str, event: &str| {
        let body = format!(r#"{{"event":"{event}","data":{{"key":"{key}"}}}}"#);
        ask(
            server,
            "POST",
            &format!("/api/jobs/{job}/events"),
            key,
            &body,
        )
    };
    let answers = [
        ask(server, "PUT", "/api/jobs/a", "begin", r#"{"lease":"1h"}"#),
        event("a", "first", "progress"),
        ask(
            server,
            "POST",
            "/api/jobs/a/events",
            "renew",
            r#"{"lease":"2h"}"#,
        ),
        event("a", "end", "done"),
        ask(server, "PUT", "/api/jobs/a", "anew", ""),
        event("a", "second", "progress"),
        event("b", "first", "error"),
    ];
    let lines = "{\"job\":\"c\",\"event\":\"x\",\"key\":\"1\"}\n\
        {\"job\":\"c\",\"event\":\"x\",\"key\":\"1\"}\n{\"job\":\"c\",\"event\":\"y\",\"key\":\"2\"}\n";
    let lines = post(server.publish, "/api/events", "application/x-ndjson", lines);
    let answers = answers.into_iter().chain([lines]);
    answers
        .map(|answer| (answer.status, answer.json()))
        .collect()
}

#[test]
fn a_key_is_remembered_across_a_kill_and_a_stop() {
    for sync in ["always", "interval=200ms"] {
        let data = tempfile::tempdir().unwrap();
        let flags = ["--sync", sync];
        let mut server = Process::start(data.path(), &flags);
        let first = changes(&server);
        let statuses: Vec<u16> = first.iter().map(|(status, _)| *status).collect();
        assert_eq!(
            statuses,
            [201, 201, 200, 201, 201, 201, 201, 201],
            "{first:?}"
        );
        assert_eq!(first[7].1["ids"][0], first[7].1["ids"][1]);
        for is_killed in [false, true, true] {
            assert_eq!(changes(&server), first);
            if is_killed {
                server.kill();
            } else {
                server.stop();
            }
            server = Process::start(data.path(), &flags);
        }
        assert_eq!(changes(&server), first);
        let other = r#"{"event":"other"}"#;
        let refused = ask(&server, "POST", "/api/jobs/a/events", "first", other);
        assert_eq!(refused.status, 422);
        // Nothing was published but what was said once.
        let next = first[7].1["ids"][2].as_u64().unwrap() + 1;
        assert_eq!(server.progress("d", 1), next);
    }
}

#[test]
fn a_key_survives_the_loss_of_the_segments_that_it_stood_in() {
    let data = tempfile::tempdir().unwrap();
    let flags = ["--journal-bytes", "4MiB"];
    let server = Process::start(data.path(), &flags);
    let first = changes(&server);
    publish_until_checkpoint(data.path(), &server, "");
    assert_eq!(changes(&server), first);
    server.kill();
    let server = Process::start(data.path(), &flags);
    assert_eq!(changes(&server), first);
}

#[test]
fn the_window_is_what_it_was_when_the_change_was_made() {
    let data = tempfile::tempdir().unwrap();
    let short = ["--idempotency-window", "300ms"];
    let long = ["--idempotency-window", "1h"];
    let publish = |server: &Process, key: &str| {
        let answer = ask(
            server,
            "POST",
            "/api/jobs/a/events",
            key,
            r#"{"event":"x"}"#,
        );
        answer.json()["id"].as_u64().unwrap()
    };
    let server = Process::start(data.path(), &short);
    let brief = publish(&server, "brief");
    server.kill();
    let server = Process::start(data.path(), &long);
    let lasting = publish(&server, "lasting");
    wait_until("the brief one is free", || {
        publish(&server, "brief") != brief
    });
    server.kill();
    let server = Process::start(data.path(), &short);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(publish(&server, "lasting"), lasting);
}
