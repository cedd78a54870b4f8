//! A panic in a handler, at a path that only builds for tests have.

use super::binary::Binary;
use super::metric;
use super::sse::EventStream;
use super::support::{Client, get};

#[test]
fn a_panic_in_a_handler_closes_its_connection_with_500_and_leaves_the_rest_alone() {
    if !cfg!(debug_assertions) {
        eprintln!("skipped: a release build has no handler that panics");
        return;
    }
    let server = Binary::serve(&[]);
    let mut stream = EventStream::open(Client::connect(server.public), "/api/jobs/a/events", "");
    let mut other = Client::connect(server.public);
    assert_eq!(other.get("/nowhere").status, 404);
    for address in [server.public, server.publish] {
        // What asks for a stream is decided on by the thread that accepts, all else in
        // a coroutine.
        for target in ["/panic", "/panic/events"] {
            let mut client = Client::connect(address);
            // What follows is not answered.
            client.send(get(target, "") + &get("/nowhere", ""));
            let answer = client.answer();
            assert_eq!(answer.status, 500);
            assert_eq!(answer.field("connection"), Some("close"));
            assert!(answer.error().contains("log"));
            client.assert_closed();
        }
    }
    assert_eq!(other.get("/nowhere").status, 404);
    let mut publisher = Client::connect(server.publish);
    let event = r#"{"event":"progress","data":{"n":1}}"#;
    assert_eq!(publisher.publish("a", event).status, 201);
    assert_eq!(stream.event().n(), 1);
    assert!(metric(&server, "landfall_panics_total") >= 4);
    assert_eq!(metric(&server, "landfall_streams_open"), 1);
}
