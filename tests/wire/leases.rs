//! Jobs whose workers fall silent.

use std::time::{Duration, Instant};

use super::sse::EventStream;
use super::support::{Answer, TestServer, post, wait_until};

const JSON: &str = "application/json";
const STALLED: &str = r#"{"jobId":"a","message":"no word from the worker for 1 s","reason":"stalled","retryable":true}"#;

fn begin(server: &TestServer, target: &str, kind: &str, body: &str) -> Answer {
    let request = post(&format!("/api/jobs/{target}"), kind, body);
    let request = request.replacen("POST", "PUT", 1);
    server.publishing().send(request).answer()
}

fn state(server: &TestServer, job: &str) -> String {
    let snapshot = server.public().get(&format!("/api/jobs/{job}")).json();
    snapshot["state"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_job_ends_with_an_error_when_nothing_follows_within_its_lease() {
    let server = TestServer::start();
    let asked = Instant::now();
    let body = r#"{"event":"progress","data":{"percent":30},"lease":"1s"}"#;
    let answer = server.publishing().publish("a", body);
    assert_eq!(answer.status, 201, "{answer:?}");
    let mut stream = EventStream::of(&server, "a");
    let first = stream.event();
    assert_eq!(first.data, r#"{"jobId":"a","percent":30}"#);
    let end = stream.event();
    assert!(asked.elapsed() >= Duration::from_secs(1));
    assert_eq!((&*end.event, &*end.data), ("error", STALLED));
    assert_eq!(end.id, first.id + 1);
    stream.assert_ends();
    assert_eq!(state(&server, "a"), "error");
    let late = server.publishing().publish("a", body);
    assert_eq!(late.status, 409);
}

#[test]
fn a_lease_alone_renews_it_and_is_seen_by_nobody() {
    let server = TestServer::start();
    let mut worker = server.publishing();
    worker.publish("a", r#"{"event":"progress","lease":"6s"}"#);
    let mut stream = EventStream::of(&server, "a");
    let first = stream.event();
    // Longer than it, all in all.
    let renewals = 14;
    for n in 1..=renewals {
        std::thread::sleep(Duration::from_millis(500));
        let answer = worker.publish("a", r#"{"lease":"6s"}"#);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["id"], first.id + n);
        assert_eq!(answer.json()["streams"], 1);
    }
    let before = server.public().get("/api/jobs/a").json();
    assert_eq!(before["lastEventId"], first.id.to_string());
    let answer = worker.publish("a", r#"{"event":"done"}"#);
    assert_eq!(answer.status, 201, "{answer:?}");
    let done = stream.event();
    assert_eq!((&*done.event, done.id), ("done", first.id + renewals + 1));
}

#[test]
fn an_event_without_a_lease_ends_it() {
    let server = TestServer::start();
    let mut worker = server.publishing();
    worker.publish("a", r#"{"event":"progress","lease":"4s"}"#);
    worker.publish("b", r#"{"event":"progress","lease":"4s"}"#);
    worker.publish("a", r#"{"event":"progress"}"#);
    wait_until("b has ended", || state(&server, "b") == "error");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(state(&server, "a"), "running");
}

#[test]
fn lines_have_leases_of_their_own() {
    let server = TestServer::start();
    let lines = "{\"job\":\"a\",\"event\":\"progress\",\"lease\":\"1s\"}\n\
        {\"job\":\"b\",\"event\":\"progress\",\"lease\":\"1s\"}\n\
        {\"job\":\"b\",\"lease\":\"1h\"}\n";
    let answer = server.publishing().publish_lines("/api/events", lines);
    assert_eq!(answer.status, 201, "{answer:?}");
    let ids = super::publishing::ids(&answer);
    assert_eq!(ids.len(), 3, "a renewal has a number as well");
    wait_until("a has ended", || state(&server, "a") == "error");
    assert_eq!(state(&server, "b"), "running");
}

#[test]
fn a_life_that_is_begun_may_have_a_lease_for_its_first_word() {
    let server = TestServer::start();
    let answer = begin(&server, "a", JSON, r#"{"lease":"1s"}"#);
    assert_eq!(answer.status, 201, "{answer:?}");
    let end = EventStream::of(&server, "a").event();
    assert_eq!((&*end.event, &*end.data), ("error", STALLED));
    for body in ["", " ", "{}"] {
        let answer = begin(&server, "a?replace=true", JSON, body);
        assert_eq!(answer.status, 201, "{body:?}: {answer:?}");
    }
    let status = |kind, body: &str| begin(&server, "b", kind, body).status;
    assert_eq!(status(JSON, r#"{"lease":"1s"} "#), 201);
    for body in [
        "x",
        "[]",
        "\"30s\"",
        "null",
        r#"{"lease":null}"#,
        r#"{"lease":30}"#,
        r#"{"lease":"0s"}"#,
        r#"{"lease":"1year"}"#,
        r#"{"lease":"1s","lease":"2s"}"#,
        r#"{"event":"progress"}"#,
        r#"{"lease":"30s"}{}"#,
    ] {
        let answer = begin(&server, "c", JSON, body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        answer.error();
    }
    assert_eq!(status("text/plain", r#"{"lease":"1s"}"#), 415);
    let long = format!(r#"{{"lease":"{}30s"}}"#, " ".repeat(5000));
    assert_eq!(status(JSON, &long), 413);
    assert_eq!(server.public().get("/api/jobs/c").status, 404);
}

#[test]
fn what_is_no_lease_changes_nothing_and_says_what_one_is() {
    let server = TestServer::start();
    server.progress("a", 1);
    let before = landfall::internals::hub(server.jobs()).published();
    for lease in [
        "30",
        "\"30\"",
        "\"0s\"",
        "\"999ms\"",
        "\"24h1s\"",
        "\"1year\"",
        "null",
        "{}",
    ] {
        for body in [
            format!(r#"{{"event":"progress","lease":{lease}}}"#),
            format!(r#"{{"lease":{lease}}}"#),
        ] {
            let answer = server.publishing().publish("a", &body);
            assert_eq!(answer.status, 400, "{body}");
            assert!(
                answer.error().contains("from \"1s\" to \"24h\""),
                "{answer:?}"
            );
        }
    }
    assert_eq!(landfall::internals::hub(server.jobs()).published(), before);
}

#[test]
fn nobody_renews_the_lease_of_what_is_no_running_job() {
    let server = TestServer::start();
    let renew = |job: &str| server.publishing().publish(job, r#"{"lease":"30s"}"#);
    assert_eq!(renew("none").status, 404);
    assert_eq!(server.public().get("/api/jobs/none").status, 404);
    server.done("ended");
    assert_eq!(renew("ended").status, 409);
    server.progress("gone", 1);
    let delete = "DELETE /api/jobs/gone HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(server.publishing().send(delete).answer().status, 204);
    assert_eq!(renew("gone").status, 410);
}

#[test]
fn a_lease_for_all_is_for_those_that_say_none() {
    let server = TestServer::with(|config| config.hub.lease = "1s".parse().ok());
    let mut worker = server.publishing();
    worker.publish("a", r#"{"event":"progress"}"#);
    worker.publish("b", r#"{"event":"progress","lease":"1h"}"#);
    begin(&server, "c", JSON, "");
    for job in ["a", "c"] {
        wait_until("it has ended", || state(&server, job) == "error");
    }
    assert_eq!(state(&server, "b"), "running");
}
