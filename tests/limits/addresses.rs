//! An address has its share of connections, and a rate for new streams.

use std::time::Instant;

use super::sse::EventStream;
use super::support::{PATIENCE, TestServer, get, wait_until};
use super::{assert_busy, assert_later, from};

const EVENTS: &str = "/api/jobs/a/events";

fn with_share(connections: u16) -> TestServer {
    TestServer::with(|config| {
        config.quotas.connections_per_address = Some(connections);
        config.quotas.trusted_proxies = Vec::new();
    })
}

#[test]
fn an_address_has_its_share_of_connections_and_others_have_theirs() {
    let server = with_share(3);
    let address = server.public_address();
    let mut conversation = from(2, address);
    assert_eq!(conversation.get("/nowhere").status, 404);
    let mut streams: Vec<_> = (0..2)
        .map(|_| EventStream::open(from(2, address), EVENTS, ""))
        .collect();
    server.wait_for_streams("a", 2);
    // One more of either.
    assert_busy(from(2, address), EVENTS, "");
    assert_busy(from(2, address), "/api/events?job=a", "");
    assert_later(&from(2, address).get("/api/jobs/a"), 429);
    // The ones it has go on, and so does everybody else.
    assert_eq!(conversation.get("/nowhere").status, 404);
    let mut other = EventStream::open(from(3, address), EVENTS, "");
    server.wait_for_streams("a", 3);
    let id = server.progress("a", 1);
    for stream in streams.iter_mut().chain([&mut other]) {
        assert_eq!(stream.event().id, id);
    }
    // What it closes it may have again.
    streams.pop();
    server.wait_for_streams("a", 2);
    let mut again = EventStream::open(from(2, address), EVENTS, "");
    assert_eq!(again.event().id, id);
    drop(again);
    server.wait_for_streams("a", 2);
    drop(conversation);
    wait_until("the conversation's place is free", || {
        from(2, address).get("/nowhere").status == 404
    });
}

#[test]
fn a_stream_that_a_conversation_becomes_keeps_its_place() {
    let server = with_share(1);
    let address = server.public_address();
    let mut client = from(2, address);
    assert_eq!(client.get("/nowhere").status, 404);
    let mut stream = EventStream::open(client, EVENTS, "");
    server.wait_for_streams("a", 1);
    assert_busy(from(2, address), EVENTS, "");
    server.done("a");
    assert_eq!(stream.rest().len(), 1);
    wait_until("its place is free", || {
        from(2, address).get("/nowhere").status == 404
    });
}

#[test]
fn connections_above_their_address_s_share_make_room_before_others_do() {
    let server = TestServer::with(|config| {
        config.quotas.connections_per_address = Some(2);
        config.quotas.trusted_proxies = Vec::new();
        config.connections = 40;
        config.connection.head_timeout = PATIENCE;
    });
    let address = server.public_address();
    let mut early = from(3, address);
    wait_until("it waits", || {
        server.metric("landfall_connections_waiting") == 1
    });
    // A crowd of one address, most of it above its share, fills the lobby over and over.
    let crowd: Vec<_> = (0..200).map(|_| from(2, address)).collect();
    wait_until("they have come", || {
        server.metric("landfall_connections_accepted_total") == 201
    });
    assert!(server.metric("landfall_connections_waiting") <= 40);
    // Whoever was there before has not been sent away for it.
    assert_eq!(early.get("/nowhere").status, 404);
    drop(crowd);
}

#[test]
fn what_comes_through_a_trusted_proxy_is_not_counted() {
    let server = TestServer::with(|config| {
        config.quotas.connections_per_address = Some(2);
        config.quotas.stream_rate = Some(1);
    });
    // Loopback is one by default.
    let address = server.public_address();
    let streams: Vec<_> = (0..40)
        .map(|_| EventStream::open(from(2, address), EVENTS, ""))
        .collect();
    server.wait_for_streams("a", 40);
    drop(streams);
}

#[test]
fn a_client_that_reconnects_again_and_again_is_asked_to_wait() {
    let server = TestServer::with(|config| {
        config.quotas.stream_rate = Some(1);
        config.quotas.trusted_proxies = Vec::new();
    });
    let address = server.public_address();
    let began = Instant::now();
    // Ten may come at once: those of a household whose connection was away.
    for n in 0..10 {
        let mut client = from(2, address);
        client.send(get(EVENTS, ""));
        let mut stream = EventStream::begun(client);
        let retry = stream.wait_for_retries(1)[0];
        assert!(retry < 10_000, "{n}: {retry}");
    }
    let refused = (0..10)
        .filter(|_| {
            let mut stream = EventStream::open(from(2, address), EVENTS, "");
            stream.wait_for_retries(1)[0] >= 30_000
        })
        .count();
    // One more may come with each second.
    let more = began.elapsed().as_secs() as usize + 1;
    assert!(refused + more >= 10, "{refused}, {more} more");
    let mut other = EventStream::open(from(3, address), EVENTS, "");
    assert!(other.wait_for_retries(1)[0] < 10_000);
}
