//! DELETE: what it ends, and what it must never lose quietly.

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
