//! Where a job's stream begins, for clients that come back.

use landfall::ServerConfig;

use super::sse::{EventStream, Frame};
use super::support::{TestServer, get};

fn small_ring(config: &mut ServerConfig) {
    config.hub.ring.events = 4;
}

/// What comes first on a stream; then the stream is ended from this side.
fn first(server: &TestServer, target: &str, fields: &str) -> Frame {
    EventStream::open(server.public(), target, fields).event()
}

#[test]
fn last_event_id_resumes_after_that_event() {
    let server = TestServer::start();
    let ids: Vec<u64> = (0..5).map(|n| server.progress("a", n)).collect();
    for (at, id) in ids.iter().enumerate().take(4) {
        let header = format!("Last-Event-ID: {id}\r\n");
        assert_eq!(
            first(&server, "/api/jobs/a/events", &header).id,
            ids[at + 1]
        );
        let target = format!("/api/jobs/a/events?lastEventId={id}");
        assert_eq!(first(&server, &target, "").id, ids[at + 1]);
        let lower = format!("last-event-id:{id}\r\n");
        assert_eq!(first(&server, "/api/jobs/a/events", &lower).id, ids[at + 1]);
    }
}

#[test]
fn the_header_wins_over_the_query_and_an_empty_one_says_nothing() {
    let server = TestServer::start();
    let ids: Vec<u64> = (0..5).map(|n| server.progress("a", n)).collect();
    let target = format!("/api/jobs/a/events?lastEventId={}", ids[0]);
    let header = format!("Last-Event-ID: {}\r\n", ids[2]);
    assert_eq!(first(&server, &target, &header).id, ids[3]);
    assert_eq!(first(&server, &target, "Last-Event-ID: \r\n").id, ids[1]);
    let empty = "/api/jobs/a/events?lastEventId=";
    assert_eq!(first(&server, empty, "").id, ids[0]);
    // It wins over `replay` as well: the client has seen something.
    let target = "/api/jobs/a/events?replay=none";
    assert_eq!(first(&server, target, &header).id, ids[3]);
}

#[test]
fn a_client_that_has_seen_the_newest_waits_for_the_next() {
    let server = TestServer::start();
    let newest = server.progress("a", 1);
    let mut stream = EventStream::after(&server, "a", newest);
    stream.wait_for_retries(1);
    assert_eq!(server.progress("a", 2), stream.event().id);
}

#[test]
fn replay_latest_begins_with_the_newest_and_none_with_the_next() {
    let server = TestServer::start();
    let ids: Vec<u64> = (0..3).map(|n| server.progress("a", n)).collect();
    assert_eq!(
        first(&server, "/api/jobs/a/events?replay=latest", "").id,
        ids[2]
    );
    assert_eq!(
        first(&server, "/api/jobs/a/events?replay=all", "").id,
        ids[0]
    );
    let mut none = EventStream::open(server.public(), "/api/jobs/a/events?replay=none", "");
    none.wait_for_retries(1);
    let next = server.progress("a", 3);
    assert_eq!(none.event().id, next);
    let answer = server.public().get("/api/jobs/a/events?replay=some");
    assert_eq!(answer.status, 400);
    assert!(answer.error().contains("latest"));
}

#[test]
fn replay_of_a_job_without_events_waits_for_the_first() {
    let server = TestServer::start();
    for (job, replay) in [("a", "latest"), ("b", "none")] {
        let target = format!("/api/jobs/{job}/events?replay={replay}");
        let mut stream = EventStream::open(server.public(), &target, "");
        stream.wait_for_retries(1);
        let id = server.progress(job, 1);
        assert_eq!(stream.event().id, id);
    }
}

#[test]
fn a_reconnect_that_has_seen_the_end_gets_204() {
    let server = TestServer::start();
    server.progress("a", 1);
    let end = server.done("a");
    let mut client = server.public();
    client.send(get(
        "/api/jobs/a/events",
        &format!("Last-Event-ID: {end}\r\n"),
    ));
    let answer = client.answer();
    assert_eq!((answer.status, &*answer.body), (204, ""));
    let answer = client.get(&format!("/api/jobs/a/events?lastEventId={end}"));
    assert_eq!(answer.status, 204);
    let answer = client.get("/api/jobs/a/events?replay=none");
    assert_eq!(answer.status, 204);
    server.wait_for_streams("a", 0);
}

#[test]
fn events_that_are_no_longer_kept_are_a_reset_and_the_stream_goes_on_from_the_oldest() {
    let server = TestServer::with(small_ring);
    let ids: Vec<u64> = (0..10).map(|n| server.progress("a", n)).collect();
    for seen in 0..5 {
        let mut stream = EventStream::after(&server, "a", ids[seen]);
        // The reset's id is the one before the oldest event kept.
        let reset = stream.event();
        reset.assert_reset("a", "expired", &ids[seen].to_string(), ids[5]);
        let rest: Vec<u64> = (0..4).map(|_| stream.event().id).collect();
        assert_eq!(rest, ids[6..]);
    }
    for seen in 5..9 {
        let mut stream = EventStream::after(&server, "a", ids[seen]);
        assert_eq!(stream.event().id, ids[seen + 1], "nothing is missing");
    }
    // Who was cut off right after a reset is told nothing twice.
    assert_eq!(first_after(&server, ids[5]), ids[6]);
}

fn first_after(server: &TestServer, id: u64) -> u64 {
    EventStream::after(server, "a", id).event().id
}

#[test]
fn a_new_client_begins_at_the_oldest_kept_without_a_reset() {
    let server = TestServer::with(small_ring);
    let ids: Vec<u64> = (0..10).map(|n| server.progress("a", n)).collect();
    let mut stream = EventStream::of(&server, "a");
    let seen: Vec<u64> = (0..4).map(|_| stream.event().id).collect();
    assert_eq!(seen, ids[6..]);
}

#[test]
fn an_id_from_elsewhere_is_a_reset_however_it_is_malformed() {
    let server = TestServer::with(small_ring);
    let ids: Vec<u64> = (0..6).map(|n| server.progress("a", n)).collect();
    let ahead = (ids[5] + 1).to_string();
    let old_life = (ids[0] - 100).to_string();
    let digits = "9".repeat(40);
    let long = "x".repeat(64);
    for id in [
        &*ahead,
        &*old_life,
        "0",
        "1",
        "18446744073709551615",
        "18446744073709551616",
        &*digits,
        "abc",
        "-1",
        "+1",
        "1.5",
        "1 2",
        "0x10",
        "\"1\"",
        "\\",
        "ü",
        "日本",
        &*long,
    ] {
        let mut stream = EventStream::after(&server, "a", id);
        stream.event().assert_reset("a", "unknown", id, ids[1]);
        let rest: Vec<u64> = (0..4).map(|_| stream.event().id).collect();
        assert_eq!(rest, ids[2..], "{id}");
    }
    assert_eq!(server.metric("landfall_panics_total"), 0);
}

#[test]
fn an_id_attack_through_the_query_cannot_inject_a_line() {
    let server = TestServer::start();
    let id = server.progress("a", 1);
    for (escaped, plain) in [
        ("%00", "\0"),
        (
            "1%0A%0Aevent:%20done%0Adata:%20x%0A%0A",
            "1\n\nevent: done\ndata: x\n\n",
        ),
        ("%0D%0Adata", "\r\ndata"),
        ("%E2%80%A8", "\u{2028}"),
        ("%22}", "\"}"),
        ("%FF", "\u{fffd}"),
    ] {
        let target = format!("/api/jobs/a/events?lastEventId={escaped}");
        let mut stream = EventStream::open(server.public(), &target, "");
        stream.event().assert_reset("a", "unknown", plain, id - 1);
        assert_eq!(stream.event().id, id);
    }
}

#[test]
fn an_id_that_is_not_utf_8_is_a_reset_and_no_broken_stream() {
    let server = TestServer::start();
    let id = server.progress("a", 1);
    let mut client = server.public();
    client.send(b"GET /api/jobs/a/events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: \xff\xfe\r\n\r\n");
    let mut stream = EventStream::begun(client);
    let lossy = "\u{fffd}\u{fffd}";
    stream.event().assert_reset("a", "unknown", lossy, id - 1);
    assert_eq!(stream.event().id, id);
}

#[test]
fn an_overlong_id_is_repeated_in_part_only() {
    let server = TestServer::start();
    let id = server.progress("a", 1);
    let mut stream = EventStream::after(&server, "a", "é".repeat(2000));
    let part = "é".repeat(64);
    stream.event().assert_reset("a", "unknown", &part, id - 1);
}

#[test]
fn a_reset_on_a_job_that_has_ended_is_followed_by_its_events_and_the_end() {
    let server = TestServer::with(small_ring);
    let ids: Vec<u64> = (0..6).map(|n| server.progress("a", n)).collect();
    let end = server.done("a");
    let mut stream = EventStream::after(&server, "a", ids[0]);
    let first = ids[0].to_string();
    stream.event().assert_reset("a", "expired", &first, ids[2]);
    let seen: Vec<u64> = stream.rest().iter().map(|frame| frame.id).collect();
    assert_eq!(seen, [ids[3], ids[4], ids[5], end]);
    let mut stream = EventStream::after(&server, "a", end + 1);
    let ahead = (end + 1).to_string();
    stream.event().assert_reset("a", "unknown", &ahead, ids[2]);
    assert_eq!(stream.rest().len(), 4);
}

#[test]
fn a_job_without_events_answers_a_strange_id_with_a_reset_and_waits() {
    let server = TestServer::start();
    let mut stream = EventStream::after(&server, "new", "5");
    let reset = stream.event();
    assert_eq!(reset.json()["reason"], "unknown");
    let id = server.progress("new", 1);
    assert!(reset.id < id, "{} is not before {id}", reset.id);
    assert_eq!(stream.event().id, id);
    // Its number is one that the server gave: who comes back with it isn't told again.
    assert_eq!(EventStream::after(&server, "new", reset.id).event().id, id);
}

#[test]
fn an_id_from_an_earlier_life_of_the_server_is_below_every_id_of_this_one() {
    let first = TestServer::start();
    let old = first.progress("a", 1);
    first.stop();
    let second = TestServer::start();
    let new = second.progress("a", 1);
    assert!(new > old);
    let mut stream = EventStream::after(&second, "a", old);
    let old = old.to_string();
    stream.event().assert_reset("a", "unknown", &old, new - 1);
    assert_eq!(stream.event().id, new);
}
