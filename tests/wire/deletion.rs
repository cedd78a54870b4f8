//! DELETE: what it ends, and what it must never lose quietly.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use landfall::{After, Event, Owner};

use super::consolidated::{all, many, take};
use super::sse::EventStream;
use super::support::{Answer, PATIENCE, TestServer, job_id, wait_until};

const DELETE_A: &str = "DELETE /api/jobs/a HTTP/1.1\r\nHost: h\r\n\r\n";

impl TestServer {
    fn delete(&self, job: &str) -> u64 {
        self.jobs().delete(&job_id(job), None).unwrap().0
    }

    /// Begins a job, also where one of that name has ended or was deleted.
    pub fn begin(&self, job: &str) -> u64 {
        let life = self.jobs().begin(&job_id(job), Owner::Worker, After::Ended);
        life.unwrap().0.0
    }
}

#[test]
fn delete_tells_every_stream_of_the_job_and_ends_it() {
    let server = TestServer::start();
    let id = server.progress("a", 1);
    let mut streams = [
        EventStream::of(&server, "a"),
        EventStream::after(&server, "a", id),
        EventStream::open(server.public(), "/api/events?job=a", ""),
    ];
    streams[0].event();
    streams[2].event();
    server.wait_for_streams("a", 3);
    let mut client = server.publishing();
    assert_eq!(client.send(DELETE_A).answer().status, 204);
    let mut ids = Vec::new();
    for stream in &mut streams {
        let deleted = stream.event();
        assert_eq!((&*deleted.event, deleted.id > id), ("deleted", true));
        assert_eq!(deleted.json(), serde_json::json!({ "jobId": "a" }));
        ids.push(deleted.id);
        stream.assert_ends();
    }
    assert_eq!(ids, [ids[0]; 3], "one number on every stream");
    // Who has seen it is told that there is nothing more.
    for path in ["/api/jobs/a/events", "/api/events?job=a"] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nLast-Event-ID: {}\r\n\r\n",
            ids[0]
        );
        assert_eq!(server.public().send(request).answer().status, 204, "{path}");
    }
    assert_eq!(client.send(DELETE_A).answer().status, 410);
    assert_eq!(client.get("/api/jobs/a").status, 410);
    let mut late = EventStream::of(&server, "a");
    assert_eq!(late.event().event, "deleted");
    late.assert_ends();
}

#[test]
fn delete_is_refused_on_the_public_listener() {
    let server = TestServer::start();
    server.progress("a", 1);
    let answer = server.public().send(DELETE_A).answer();
    assert_eq!(answer.status, 405);
    assert_eq!(answer.field("allow"), Some("GET, HEAD, OPTIONS"));
    assert!(answer.error().contains("--publish"), "{answer:?}");
    // Nowhere is it served there.
    let answer = server
        .public()
        .send(DELETE_A.replace("DELETE", "PATCH"))
        .answer();
    assert_eq!(
        (answer.status, &*answer.error()),
        (405, "nothing takes PATCH here: use GET, HEAD, OPTIONS")
    );
    assert!(server.jobs().snapshot(&job_id("a")).is_some());
}

#[test]
fn where_there_is_no_job_there_is_nothing_to_delete_and_who_waits_goes_on() {
    let server = TestServer::start();
    let mut stream = EventStream::of(&server, "a");
    server.wait_for_streams("a", 1);
    assert_eq!(server.publishing().send(DELETE_A).answer().status, 404);
    let id = server.progress("a", 1);
    assert_eq!(stream.event().id, id);
}

#[test]
fn a_deletion_is_remembered_for_its_time_and_then_there_is_no_job() {
    let server = TestServer::with(|config| config.hub.deleted_for = Duration::from_millis(1));
    server.progress("a", 1);
    server.delete("a");
    super::support::wait_until("the deletion is forgotten", || {
        server.public().get("/api/jobs/a").status == 404
    });
    server.progress("a", 2);
    assert_eq!(server.public().get("/api/jobs/a").status, 200);
}

#[test]
fn a_deleted_job_is_gone_also_where_there_are_no_files_to_be_had() {
    // Neither a directory nor downloads.
    let server = TestServer::start();
    server.progress("a", 1);
    server.delete("a");
    for (method, target) in [
        ("GET", "/api/jobs/a"),
        ("GET", "/api/jobs/a/file"),
        ("POST", "/api/jobs/a/retry"),
    ] {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = server.publishing().send(request).answer();
        assert_eq!(answer.status, 410, "{target}: {answer:?}");
    }
}

#[test]
fn a_deleted_job_takes_nothing_until_it_is_begun_anew() {
    let server = TestServer::start();
    server.progress("a", 1);
    let deleted = server.delete("a");
    let mut client = server.publishing();
    let answer = client.publish("a", r#"{"event":"progress"}"#);
    assert_eq!(answer.status, 410);
    let put = "PUT /api/jobs/a HTTP/1.1\r\nHost: h\r\n\r\n";
    let answer = client.send(put).answer();
    assert_eq!(answer.status, 201);
    let begun = answer.json()["id"].as_u64().unwrap();
    assert!(begun > deleted);
    assert_eq!(client.send(put).answer().status, 409);
    let id = server.progress("a", 2);
    let mut stream = EventStream::of(&server, "a");
    assert_eq!(stream.event().id, id, "the old life isn't shown");
}

#[test]
fn replacing_ends_a_running_life_and_its_streams() {
    let server = TestServer::start();
    server.progress("a", 1);
    let mut one = EventStream::of(&server, "a");
    let mut listed = many(&server, "job=a&job=b", None);
    one.event();
    listed.event();
    let put = "PUT /api/jobs/a?replace=true HTTP/1.1\r\nHost: h\r\n\r\n";
    let answer = server.publishing().send(put).answer();
    assert_eq!(answer.status, 201);
    let begun = answer.json()["id"].as_u64().unwrap();
    let deleted = one.event();
    assert_eq!((&*deleted.event, deleted.id), ("deleted", begun));
    one.assert_ends();
    let next = server.progress("a", 2);
    assert_eq!(listed.event().event, "deleted");
    assert_eq!(listed.event().id, next);
    // Who comes back from there gets the life that has begun.
    let mut back = EventStream::after(&server, "a", begun);
    assert_eq!(back.event().id, next);
    let bad = "PUT /api/jobs/a?replace=maybe HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(server.publishing().send(bad).answer().status, 400);
}

#[test]
fn a_number_from_before_the_end_of_an_earlier_life_has_expired() {
    let server = TestServer::start();
    let seen = server.progress("a", 1);
    server.progress("a", 2);
    let deleted = server.delete("a");
    server.begin("a");
    let next = server.progress("a", 3);
    let mut stream = EventStream::after(&server, "a", seen);
    let reset = stream.event();
    assert_eq!(
        (&*reset.event, &reset.json()["reason"]),
        ("reset", &"expired".into())
    );
    assert_eq!(stream.event().id, next);
    // Who had seen its end has missed nothing.
    let mut stream = EventStream::after(&server, "a", deleted);
    assert_eq!(stream.event().id, next);
}

#[test]
fn a_consolidated_stream_shows_the_end_of_one_life_and_the_whole_of_the_next() {
    let server = TestServer::start();
    let seen = server.progress("a", 1);
    server.progress("b", 1);
    let mut open = many(&server, "job=a&job=b", None);
    take(&mut open, 2);
    server.done("a");
    server.begin("a");
    server.progress("a", 5);
    // What was deleted is seen by who was there in time, and by nobody after.
    assert_eq!(open.event().event, "done");
    assert_eq!(open.event().event, "progress");
    server.delete("a");
    server.begin("a");
    server.progress("a", 6);
    server.done("a");
    server.done("b");
    let names: Vec<_> = open.rest().iter().map(|f| f.event.clone()).collect();
    assert_eq!(names, ["deleted", "progress", "done", "done"]);
    let resumed: Vec<_> = many(&server, "job=a&job=b", Some(seen + 1)).rest();
    let resumed: Vec<_> = resumed.iter().map(|f| f.event.clone()).collect();
    assert_eq!(resumed, ["done", "deleted", "progress", "done", "done"]);
}

#[test]
fn what_came_before_a_life_that_was_deleted_or_replaced_is_still_there() {
    let server = TestServer::start();
    let seen = server.progress("a", 1);
    server.done("a");
    server.begin("a");
    server.progress("a", 2);
    let replacing = server.jobs();
    let replacing = replacing.begin(&job_id("a"), Owner::Worker, After::Running);
    assert!(replacing.is_ok());
    server.progress("a", 3);
    let deleted = server.delete("a");
    for mut resumed in [many(&server, "job=a", Some(seen)), all(&server, Some(seen))] {
        let names = [0; 3].map(|_| resumed.event().event);
        assert_eq!(names, ["done", "deleted", "deleted"]);
    }
    // On its own stream all of that was another life's.
    let mut stream = EventStream::after(&server, "a", seen);
    let reset = stream.event();
    assert_eq!(reset.json()["reason"], "expired");
    let last = stream.event();
    assert_eq!((&*last.event, last.id), ("deleted", deleted));
    stream.assert_ends();
}

/// The event is published and gone before the shard has looked.
#[test]
fn delete_right_after_publish_ends_every_stream() {
    let server = TestServer::start();
    for round in 0..200 {
        let job = format!("race-{round}");
        let mut stream = EventStream::of(&server, &job);
        let mut many = EventStream::open(server.public(), &format!("/api/events?job={job}"), "");
        server.wait_for_streams(&job, 2);
        server.progress(&job, 1);
        let deleted = server.delete(&job);
        for (kind, stream) in [("one", &mut stream), ("many", &mut many)] {
            let frames = stream.rest();
            let last = frames.last().unwrap();
            assert_eq!(last.event, "deleted", "{kind}, round {round}: {frames:?}");
            assert_eq!(last.id, deleted);
            let others = &frames[..frames.len() - 1];
            assert!(others.iter().all(|f| f.event == "progress"), "{frames:?}");
        }
    }
}

#[test]
fn publishers_subscribers_and_lives_at_once_leave_no_stream_open() {
    let server = TestServer::start();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut newest = 0;
                for _ in 0..2000 {
                    let event = Event::progress("x", 1.0).unwrap();
                    if let Ok(id) = server.jobs().publish(&job_id("a"), event) {
                        assert!(id.0 > newest);
                        newest = id.0;
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..500 {
                let _ = server.jobs().delete(&job_id("a"), None);
                let _ = server
                    .jobs()
                    .begin(&job_id("a"), Owner::Worker, After::Ended);
                std::thread::yield_now();
            }
        });
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..100 {
                    // Each stream ends at a delete, or is left here.
                    let mut stream = EventStream::of(&server, "a");
                    let mut newest = 0;
                    for _ in 0..50 {
                        stream.wait_for_retries(1);
                        let Some(snapshot) = server.jobs().snapshot(&job_id("a")) else {
                            continue;
                        };
                        if snapshot.last_event_id.is_none_or(|id| id.0 <= newest) {
                            break;
                        }
                        let Some(frame) = stream.next() else { break };
                        assert!(frame.id >= newest, "{frame:?} after {newest}");
                        newest = frame.id;
                    }
                }
            });
        }
    });
    let _ = server
        .jobs()
        .begin(&job_id("a"), Owner::Worker, After::Ended);
    let mut last = EventStream::of(&server, "a");
    server.wait_for_streams("a", 1);
    server.delete("a");
    assert_eq!(last.rest().last().unwrap().event, "deleted");
    super::support::wait_until("every stream is closed", || {
        server.metric("landfall_streams_open") == 0
    });
    assert_eq!(server.metric("landfall_panics_total"), 0);
}

#[test]
fn a_stream_of_every_job_is_told_of_a_deletion_in_its_place() {
    let server = TestServer::start();
    let mut every = all(&server, None);
    every.wait_for_retries(1);
    for round in 0..100 {
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        let mut listed = many(&server, &format!("job={a}&job={b}"), None);
        server.wait_for_streams(&b, 2);
        listed.wait_for_retries(1);
        server.progress(&a, 1);
        server.delete(&a);
        server.progress(&b, 2);
        server.done(&b);
        for stream in [&mut listed, &mut every] {
            let mut first = stream.event();
            if first.event == "progress" && first.json()["jobId"] == *a {
                first = stream.event();
            }
            assert_eq!(
                (&*first.event, &first.json()["jobId"]),
                ("deleted", &a.clone().into())
            );
            assert_eq!(stream.event().event, "progress");
            assert_eq!(stream.event().event, "done");
        }
        listed.assert_ends();
    }
}

#[test]
fn jobs_that_begin_and_go_at_once_leave_ids_growing() {
    let server = TestServer::start();
    let mut stream = all(&server, None);
    let (jobs, rounds) = (4, 300);
    std::thread::scope(|scope| {
        for job in 0..jobs {
            let server = &server;
            scope.spawn(move || {
                for n in 0..rounds {
                    server.progress(&format!("j{job}"), n);
                    if n % 50 == 49 {
                        server.delete(&format!("j{job}"));
                        server.begin(&format!("j{job}"));
                    }
                }
                server.done(&format!("end{job}"));
            });
        }
        let (mut newest, mut ends, mut resets) = (0, 0, 0);
        let mut next: HashMap<String, u64> = HashMap::new();
        while ends < jobs {
            let frame = stream.event();
            let json = frame.json();
            match &*frame.event {
                "reset" => {
                    assert!(frame.id >= newest, "{frame:?} after {newest}");
                    resets += 1;
                    next.clear();
                }
                _ => {
                    assert!(frame.id > newest, "{frame:?} after {newest}");
                    if frame.event == "deleted" {
                        next.remove(json["jobId"].as_str().unwrap());
                    }
                    ends += usize::from(frame.event == "done");
                    if let Some(n) = json["n"].as_u64() {
                        let job = json["jobId"].as_str().unwrap().to_owned();
                        if let Some(expected) = next.insert(job, n + 1) {
                            assert_eq!(n, expected, "a skip without a reset: {frame:?}");
                        }
                    }
                }
            }
            newest = frame.id;
        }
        assert!(resets <= 2 * jobs * rounds as usize / 50, "{resets}");
    });
}

#[test]
fn a_stream_waits_again_when_the_deletion_is_remembered_no_more_though_nothing_else_happens() {
    let server = TestServer::with(|config| config.hub.deleted_for = Duration::from_millis(300));
    server.progress("a", 1);
    let deleted = server.delete("a");
    let deadline = Instant::now() + PATIENCE;
    let resume =
        format!("GET /api/jobs/a/events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: {deleted}\r\n\r\n");
    // Who has seen the deletion is told that there is nothing more, as long as it is remembered.
    while server
        .public()
        .send(&resume)
        .head()
        .starts_with("HTTP/1.1 204")
    {
        assert!(Instant::now() < deadline, "it is still remembered");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut streams = [
        EventStream::of(&server, "a"),
        EventStream::after(&server, "a", deleted),
        EventStream::open(server.public(), "/api/events?job=a", ""),
    ];
    server.wait_for_streams("a", 3);
    let next = server.progress("a", 2);
    for stream in &mut streams {
        let event = loop {
            let event = stream.event();
            // Who comes without a number, or with an old one, may be told of what is gone.
            if event.event != "reset" {
                break event;
            }
        };
        assert_eq!((&*event.event, event.id), ("progress", next));
    }
}

/// Sends the beginning of a body for `a`, then has `meanwhile` happen, then sends the rest.
fn interrupted(
    server: &TestServer,
    kind: &str,
    body: [&str; 2],
    meanwhile: impl FnOnce(),
) -> Answer {
    let length = body[0].len() + body[1].len();
    let mut worker = server.publishing();
    worker.send(format!(
        "POST /api/jobs/a/events HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    ));
    assert_eq!(worker.answer().status, 100);
    worker.send(body[0]);
    meanwhile();
    worker.send(body[1]);
    worker.answer()
}

#[test]
fn the_rest_of_a_body_is_not_of_the_next_life() {
    for is_there_before in [true, false] {
        let server = TestServer::start();
        if is_there_before {
            server.progress("a", 0);
        }
        let lines = [
            "{\"event\":\"x\",\"data\":{\"n\":1}}\n",
            "{\"event\":\"done\"}\n",
        ];
        let last = || server.public().get("/api/jobs/a").json()["lastEvent"]["data"]["n"].clone();
        let answer = interrupted(&server, "application/x-ndjson", lines, || {
            wait_until("the first line is published", || last() == 1);
            server.delete("a");
            server.begin("a");
        });
        assert_eq!(answer.status, 409, "{answer:?}");
        let json = answer.json();
        assert_eq!(
            (&json["line"], json["ids"].as_array().unwrap().len()),
            (&2.into(), 1)
        );
        let snapshot = server.public().get("/api/jobs/a").json();
        assert_eq!(snapshot["state"], "running", "{snapshot}");
        assert!(snapshot["lastEvent"].is_null(), "{snapshot}");
    }
}

#[test]
fn an_event_whose_body_was_on_its_way_is_not_of_the_next_life() {
    let server = TestServer::start();
    server.progress("a", 0);
    let body = ["{\"event\":", "\"done\"}"];
    let answer = interrupted(&server, "application/json", body, || {
        server.delete("a");
        server.begin("a");
    });
    assert_eq!(answer.status, 409, "{answer:?}");
    assert_eq!(
        server.public().get("/api/jobs/a").json()["state"],
        "running"
    );
}

#[test]
fn an_event_whose_body_is_on_its_way_while_a_deletion_lapses_begins_a_job() {
    let server = TestServer::with(|config| config.hub.deleted_for = Duration::from_millis(300));
    server.progress("a", 1);
    let deleted = server.delete("a");
    let body = ["{\"event\":", "\"progress\"}"];
    let answer = interrupted(&server, "application/json", body, || {
        wait_until("the deletion is forgotten", || {
            server.public().get("/api/jobs/a").status == 404
        });
    });
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.json()["id"].as_u64() > Some(deleted));
}
