//! A herd that comes back: replays at a rate, and everybody else undisturbed.

use super::sse::EventStream;
use super::support::{PATIENCE, TestServer, wait_until};

const HERD: usize = 200;

/// A server that begins 40 replays a second, and the ids that it has for `a`.
fn slow() -> (TestServer, Vec<u64>) {
    let server = TestServer::with(|config| {
        config.shards = 1;
        // Small ones, which count as 4 KiB each.
        config.shard.replay_bytes_per_second = 160 * 1024;
        config.drain = PATIENCE;
    });
    let ids = (0..5).map(|n| server.progress("a", n)).collect();
    (server, ids)
}

fn herd(server: &TestServer, after: u64) -> Vec<EventStream> {
    (0..HERD)
        .map(|_| EventStream::after(server, "a", after))
        .collect()
}

#[test]
fn who_waits_for_a_replay_has_a_head_and_a_retry_and_gets_every_event_in_its_turn() {
    let (server, ids) = slow();
    // Each has taken its head from here.
    let mut streams = herd(&server, ids[0]);
    let last = streams.last_mut().unwrap();
    assert!((5000..=7500).contains(&last.wait_for_retries(1)[0]));
    assert!(
        server.metric("landfall_replays_waiting") > 0,
        "some still wait"
    );
    let late = server.progress("a", 5);
    for stream in &mut streams {
        let seen: Vec<u64> = (0..5).map(|_| stream.event().id).collect();
        assert_eq!(seen, [ids[1], ids[2], ids[3], ids[4], late]);
        assert_eq!(stream.retries().len(), 1);
    }
    assert_eq!(server.metric("landfall_replays_waiting"), 0);
    assert_eq!(
        server.metric("landfall_connections_open"),
        0,
        "no coroutine waits"
    );
}

#[test]
fn live_streams_get_their_events_while_a_herd_waits() {
    let (server, ids) = slow();
    let mut of_same_job = EventStream::after(&server, "a", ids[4]);
    let mut of_another = EventStream::of(&server, "b");
    let mut of_all = EventStream::open(server.publishing(), "/api/events?replay=none", "");
    of_all.wait_for_retries(1);
    server.wait_for_streams("a", 2);
    let streams = herd(&server, ids[0]);
    let (a, b) = (server.progress("a", 5), server.progress("b", 0));
    assert_eq!(of_same_job.event().id, a);
    assert_eq!(of_another.event().id, b);
    assert_eq!(
        (of_all.event().event, of_all.event().event),
        ("progress".into(), "progress".into())
    );
    // Who comes with nothing to be replayed doesn't wait behind those who do.
    let mut fresh = EventStream::after(&server, "a", a);
    server.wait_for_streams("a", HERD + 3);
    let next = server.progress("a", 6);
    assert_eq!(fresh.event().id, next);
    assert!(
        server.metric("landfall_replays_waiting") > 0,
        "some still wait"
    );
    drop(streams);
    wait_until("those who left don't wait any more", || {
        server.metric("landfall_replays_waiting") == 0
    });
}

#[test]
fn a_stop_ends_those_who_wait_with_what_is_pending_for_them() {
    let (server, ids) = slow();
    let mut streams = herd(&server, ids[0]);
    assert!(server.metric("landfall_replays_waiting") > 0);
    assert!(server.stop(), "everything went out");
    for stream in &mut streams {
        let seen: Vec<u64> = stream.rest().iter().map(|frame| frame.id).collect();
        assert_eq!(seen, ids[1..]);
        assert_eq!(stream.retries().len(), 2);
    }
}
