//! Connections at one listener leave room at the other, and streams have their own.

use super::sse::EventStream;
use super::support::{TestServer, get};
use super::{assert_busy, assert_later};

#[test]
fn conversations_of_the_public_listener_leave_room_to_publish() {
    let server = TestServer::with(|config| config.connections = 8);
    let mut holders: Vec<_> = (0..6).map(|_| server.public()).collect();
    for holder in &mut holders {
        assert_eq!(holder.get("/nowhere").status, 404);
    }
    assert_later(&server.public().get("/nowhere"), 503);
    let event = r#"{"event":"progress"}"#;
    let mut publishers = [server.publishing(), server.publishing()];
    for publisher in &mut publishers {
        assert_eq!(publisher.publish("a", event).status, 201);
    }
    assert_later(&server.publishing().publish("a", event), 503);
}

#[test]
fn a_stream_gets_no_5xx_however_full_it_is() {
    let server = TestServer::with(|config| {
        config.connections = 4;
        config.streams = 2;
    });
    let mut holders: Vec<_> = (0..3).map(|_| server.public()).collect();
    for holder in &mut holders {
        assert_eq!(holder.get("/nowhere").status, 404);
    }
    let mut streams = [(); 2].map(|()| EventStream::of(&server, "a"));
    streams.iter_mut().for_each(|stream| {
        stream.wait_for_retries(1);
    });
    assert_busy(server.public(), "/api/jobs/a/events", "");
    assert_busy(server.public(), "/api/events?job=a&job=b", "");
    // And what isn't for want of room is said as ever.
    server.done("over");
    let mut client = server.public();
    client.send(get("/api/jobs/over/events?replay=none", ""));
    let status = client.answer().status;
    // No stream is left for it to be, so it is asked to come back.
    assert!(status == 204 || status == 200, "{status}");
    let answer = server.public().get("/api/jobs/a/events?replay=x");
    assert_eq!(answer.status, 400);
    assert_later(&server.public().get("/api/jobs/a"), 503);
}
