//! DELETE: what it ends, and what it must never lose quietly.

use std::collections::HashMap;

use super::consolidated::{all, many, take};
use super::sse::EventStream;
use super::support::{TestServer, job_id};

const DELETE_A: &str = "DELETE /api/jobs/a HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn delete_ends_the_streams_of_a_job_and_forgets_it() {
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
    for stream in &mut streams {
        stream.assert_ends();
    }
    assert_eq!(client.send(DELETE_A).answer().status, 404);
    assert_eq!(client.get("/api/jobs/a").status, 404);
}

#[test]
fn delete_is_refused_on_the_public_listener() {
    let server = TestServer::start();
    server.progress("a", 1);
    let answer = server.public().send(DELETE_A).answer();
    assert_eq!(answer.status, 405);
    assert_eq!(answer.field("allow"), Some("GET, HEAD, OPTIONS"));
    assert!(server.hub().snapshot(&job_id("a")).is_some());
}

#[test]
fn delete_ends_a_stream_that_has_never_had_an_event() {
    let server = TestServer::start();
    let mut stream = EventStream::of(&server, "a");
    server.wait_for_streams("a", 1);
    assert_eq!(server.publishing().send(DELETE_A).answer().status, 204);
    stream.assert_ends();
}

#[test]
fn a_job_that_begins_again_never_uses_an_id_twice() {
    let server = TestServer::start();
    let mut newest = 0;
    for round in 0..20 {
        for n in 0..3 {
            let id = server.progress("a", n);
            assert!(id > newest, "round {round}: {id} after {newest}");
            newest = id;
        }
        assert!(server.hub().forget(&job_id("a")));
    }
}

#[test]
fn a_client_of_a_deleted_job_that_missed_events_gets_a_reset_from_its_successor() {
    let server = TestServer::start();
    let seen = server.progress("a", 1);
    let missed = server.progress("a", 2);
    server.hub().forget(&job_id("a"));
    let next = server.progress("a", 3);
    let mut stream = EventStream::after(&server, "a", seen);
    let reset = stream.event();
    assert_eq!(reset.event, "reset");
    assert_eq!(reset.id, next - 1);
    assert_eq!(stream.event().id, next);
    // Who had seen all of it has missed nothing.
    let mut stream = EventStream::after(&server, "a", missed);
    assert_eq!(stream.event().id, next);
}

/// The event is published and gone before the shard has looked.
#[test]
fn delete_right_after_publish_ends_every_stream_and_skips_nothing_quietly() {
    let server = TestServer::start();
    for round in 0..200 {
        let job = format!("race-{round}");
        let mut stream = EventStream::of(&server, &job);
        let mut many = EventStream::open(server.public(), &format!("/api/events?job={job}"), "");
        server.wait_for_streams(&job, 2);
        let id = server.progress(&job, 1);
        assert!(server.hub().forget(&job_id(&job)));
        for (kind, stream) in [("one", &mut stream), ("many", &mut many)] {
            let frames = stream.rest();
            assert_eq!(frames.len(), 1, "{kind}, round {round}: {frames:?}");
            let is_told = frames[0].event == "reset" || frames[0].event == "progress";
            assert!(is_told, "{kind}: {frames:?}");
        }
        // A successor goes on above.
        assert!(server.progress(&job, 2) > id);
    }
}

#[test]
fn publishers_subscribers_and_deletes_at_once_leave_no_stream_open() {
    let server = TestServer::start();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut newest = 0;
                for n in 0..2000 {
                    let id = server.progress("a", n);
                    assert!(id > newest);
                    newest = id;
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..500 {
                server.hub().forget(&job_id("a"));
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
                        let Some(snapshot) = server.hub().snapshot(&job_id("a")) else {
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
    let mut last = EventStream::of(&server, "a");
    server.hub().forget(&job_id("a"));
    last.rest();
    server.wait_for_streams("a", 0);
    super::support::wait_until("every stream is closed", || {
        server.hub().metrics().streams_open.get() == 0
    });
    assert_eq!(server.hub().metrics().panics.get(), 0);
}

#[test]
fn events_that_went_with_a_forgotten_job_are_a_reset_and_no_silent_skip() {
    let server = TestServer::start();
    server.progress("a", 0);
    server.progress("b", 1);
    let seen = take(&mut many(&server, "job=a&job=b", None), 2)[1].id;
    server.progress("a", 2);
    server.hub().forget(&job_id("a"));
    server.progress("b", 3);
    for begins_again in [false, true] {
        if begins_again {
            server.progress("a", 4);
        }
        let mut stream = many(&server, "job=a&job=b", Some(seen));
        let reset = stream.event();
        assert_eq!(
            (&*reset.event, &reset.json()["jobId"]),
            ("reset", &"a".into())
        );
        assert_eq!(stream.event().n(), 3);
        if begins_again {
            assert_eq!(stream.event().n(), 4);
        }
        let mut stream = all(&server, Some(seen));
        assert_eq!(stream.event().event, "reset");
        // A stream that begins anew has missed nothing.
        for query in ["job=a&job=b", "job=a&job=b&replay=latest"] {
            assert_eq!(many(&server, query, None).event().event, "progress");
        }
    }
    // Nor has one that had seen all of the forgotten job.
    let mut stream = many(&server, "job=a&job=b", Some(seen + 1));
    assert_eq!(stream.event().n(), 3);
}

/// The event is gone before the shard has looked, and the next one's id is above it.
#[test]
fn delete_right_after_publish_is_no_silent_skip_on_a_stream_that_goes_on() {
    let server = TestServer::start();
    let mut every = all(&server, None);
    every.wait_for_retries(1);
    for round in 0..100 {
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        let mut listed = many(&server, &format!("job={a}&job={b}"), None);
        server.wait_for_streams(&b, 1);
        listed.wait_for_retries(1);
        server.progress(&a, 1);
        server.hub().forget(&job_id(&a));
        server.progress(&b, 2);
        server.done(&b);
        for stream in [&mut listed, &mut every] {
            let first = stream.event();
            assert!(first.json()["jobId"] != *b, "a skip: {first:?}");
            if stream.event().event != "progress" {
                panic!("the other job goes on");
            }
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
                        server.hub().forget(&job_id(&format!("j{job}")));
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
