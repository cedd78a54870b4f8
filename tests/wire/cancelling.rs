//! Jobs that somebody wants to have an end.

use std::time::{Duration, Instant};

use super::publishing::ids;
use super::sse::EventStream;
use super::support::{Answer, PATIENCE, TestServer, get, wait_until};

const PROGRESS: &str = r#"{"event":"progress","data":{"percent":30}}"#;
const CANCELLED: &str =
    r#"{"jobId":"a","message":"the job was cancelled","reason":"cancelled","retryable":false}"#;

fn request(job: &str) -> String {
    let target = format!("/api/jobs/{job}/cancel");
    get(&target, "Content-Length: 0\r\n").replacen("GET", "POST", 1)
}

fn cancel(server: &TestServer, job: &str) -> Answer {
    server.publishing().send(request(job)).answer()
}

fn with_grace(grace: Duration) -> TestServer {
    TestServer::with(|config| config.hub.cancel_grace = grace)
}

fn state(server: &TestServer, job: &str) -> String {
    let snapshot = server.public().get(&format!("/api/jobs/{job}")).json();
    snapshot["state"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_workers_next_answers_say_that_its_job_is_cancelled_and_it_ends_when_the_worker_says() {
    let server = TestServer::start();
    let mut worker = server.publishing();
    assert_eq!(
        worker.publish("a", PROGRESS).json()["cancelled"],
        serde_json::Value::Null
    );
    let mut stream = EventStream::of(&server, "a");
    let first = stream.event();
    let answer = cancel(&server, "a");
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.body, r#"{"jobId":"a"}"#);
    assert_eq!(state(&server, "a"), "running");
    for (body, status) in [(PROGRESS, 201), (r#"{"lease":"1h"}"#, 200)] {
        let answer = worker.publish("a", body);
        assert_eq!(
            (answer.status, &answer.json()["cancelled"]),
            (status, &true.into())
        );
    }
    // Also where what it says is none.
    let wrong = worker.publish("a", r#"{"event":"progress","data":{"percent":101}}"#);
    assert_eq!(
        (wrong.status, &wrong.json()["cancelled"]),
        (400, &true.into())
    );
    wrong.error();
    let end = r#"{"event":"error","data":{"message":"stopped","reason":"cancelled"}}"#;
    let answer = worker.publish("a", end);
    assert_eq!(
        (answer.status, &answer.json()["cancelled"]),
        (201, &true.into())
    );
    // The cancellation is an entry, and no event.
    assert_eq!(stream.event().id, first.id + 2);
    let end = stream.event();
    assert_eq!(end.json()["message"], "stopped");
    stream.assert_ends();
    // A worker that hears of it only now is told why.
    let late = worker.publish("a", PROGRESS);
    assert_eq!(
        (late.status, &late.json()["cancelled"]),
        (409, &true.into())
    );
    late.error();
}

#[test]
fn a_job_whose_worker_does_not_end_it_ends_by_itself() {
    let server = with_grace(Duration::from_millis(500));
    let mut worker = server.publishing();
    worker.publish("a", PROGRESS);
    let mut stream = EventStream::of(&server, "a");
    stream.event();
    let asked = Instant::now();
    assert_eq!(cancel(&server, "a").status, 202);
    let mut last = 0;
    let status = loop {
        let answer = worker.publish("a", r#"{"event":"progress","lease":"1h"}"#);
        assert_eq!(answer.json()["cancelled"], true, "{answer:?}");
        if answer.status != 201 {
            break answer.status;
        }
        last = answer.json()["id"].as_u64().unwrap();
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status, 409);
    assert!(asked.elapsed() >= Duration::from_millis(500));
    let end = stream.rest().pop().unwrap();
    assert_eq!(
        (&*end.event, &*end.data, end.id),
        ("error", CANCELLED, last + 1)
    );
}

#[test]
fn a_worker_that_keeps_its_request_open_hears_of_it_however_that_ends() {
    let server = TestServer::with(|config| {
        config.connection.body_timeout = Duration::from_millis(500);
    });
    let line = "{\"event\":\"progress\"}\n";
    for (job, kind, sent, rest, status) in [
        ("ends", "application/x-ndjson", line, "0\r\n\r\n", 201),
        ("stalls", "application/x-ndjson", line, "", 408),
        ("alone", "application/json", "{", "", 408),
    ] {
        server.progress(job, 1);
        let mut worker = server.publishing();
        worker.send(format!(
            "POST /api/jobs/{job}/events HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{sent}\r\n",
            sent.len()
        ));
        if sent == line {
            wait_until("the line is published", || {
                let snapshot = server.public().get(&format!("/api/jobs/{job}")).json();
                snapshot["lastEvent"]["data"]["n"].is_null()
            });
        }
        assert_eq!(cancel(&server, job).status, 202);
        let answer = worker.send(rest).answer();
        let told = answer.json();
        assert_eq!((answer.status, &told["cancelled"]), (status, &true.into()));
    }
}

#[test]
fn lines_are_told_which_of_their_jobs_are_cancelled() {
    let server = TestServer::start();
    let line = |job: &str| format!("{{\"job\":\"{job}\",\"event\":\"progress\"}}\n");
    let publish = |target: &str, jobs: &[&str]| {
        let lines: String = jobs.iter().map(|job| line(job)).collect();
        server.publishing().publish_lines(target, &lines)
    };
    publish("/api/events", &["a", "b", "c"]);
    cancel(&server, "a");
    cancel(&server, "c");
    let answer = publish("/api/events", &["c", "b", "a", "a"]);
    assert_eq!(answer.json()["cancelled"], serde_json::json!(["a", "c"]));
    assert_eq!(ids(&answer).len(), 4);
    assert!(publish("/api/events", &["b"]).json()["cancelled"].is_null());
    let answer = publish("/api/jobs/a/events", &["a", "a"]);
    assert_eq!(answer.json()["cancelled"], true);
    // A line that is refused says so as well.
    server.done("c");
    let answer = publish("/api/events", &["b", "c", "a"]);
    assert_eq!(answer.status, 409);
    assert_eq!(answer.json()["cancelled"], serde_json::json!(["c"]));
    assert_eq!(ids(&answer).len(), 1);
}

#[test]
fn who_asks_again_is_answered_the_same_and_the_grace_goes_on() {
    let server = with_grace(Duration::from_millis(600));
    server.progress("a", 1);
    let asked = Instant::now();
    while state(&server, "a") == "running" {
        let status = cancel(&server, "a").status;
        let has_ended = status == 409 && state(&server, "a") == "error";
        assert!(status == 202 || has_ended, "{status}");
        assert!(asked.elapsed() < PATIENCE, "it goes on");
        std::thread::sleep(Duration::from_millis(30));
    }
    let before = landfall::internals::hub(server.jobs()).published();
    assert_eq!(cancel(&server, "a").status, 409);
    assert_eq!(landfall::internals::hub(server.jobs()).published(), before);
}

#[test]
fn only_what_is_running_is_cancelled() {
    let server = TestServer::start();
    let none = cancel(&server, "none");
    assert_eq!(none.status, 404);
    none.error();
    server.done("ended");
    let ended = cancel(&server, "ended");
    assert_eq!(ended.status, 409);
    assert!(ended.error().contains("has ended with done"), "{ended:?}");
    server.progress("gone", 1);
    let delete = get("/api/jobs/gone", "").replacen("GET", "DELETE", 1);
    assert_eq!(server.publishing().send(delete).answer().status, 204);
    assert_eq!(cancel(&server, "gone").status, 410);
    // A job of which nothing was said yet.
    let begin = get("/api/jobs/begun", "").replacen("GET", "PUT", 1);
    assert_eq!(server.publishing().send(begin).answer().status, 201);
    assert_eq!(cancel(&server, "begun").status, 202);
}

#[test]
fn the_next_life_is_not_cancelled() {
    let server = with_grace(Duration::from_millis(300));
    server.progress("a", 1);
    cancel(&server, "a");
    let begin = get("/api/jobs/a?replace=true", "").replacen("GET", "PUT", 1);
    assert_eq!(server.publishing().send(begin).answer().status, 201);
    let answer = server.publishing().publish("a", PROGRESS);
    assert!(answer.json()["cancelled"].is_null(), "{answer:?}");
    server.progress("b", 1);
    cancel(&server, "b");
    wait_until("the grace is over", || state(&server, "b") == "error");
    assert_eq!(state(&server, "a"), "running");
}

#[test]
fn on_the_public_listener_nobody_cancels_without_a_token_for_it() {
    let server = TestServer::start();
    server.progress("a", 1);
    let answer = server.public().send(request("a")).answer();
    assert_eq!(answer.status, 403);
    assert!(answer.error().contains("claim cancel"), "{answer:?}");
    assert!(server.publishing().publish("a", PROGRESS).json()["cancelled"].is_null());
}
