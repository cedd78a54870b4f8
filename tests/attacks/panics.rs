//! A panic in a handler, brought about by what a user of the crate may give it: a logger
//! that panics.

use super::sse::EventStream;
use super::support::{PATIENCE, TestServer, get, post, wait_until};

/// What stands in a line at which the logger panics.
const FATAL: &str = "job-of-panics";

/// Where the content `hello` is stored.
const HELLO: &str = "files/2c/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

struct Touchy;

impl log::Log for Touchy {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        assert!(
            !record.args().to_string().contains(FATAL),
            "a touchy logger"
        );
    }

    fn flush(&self) {}
}

#[test]
fn a_panic_in_a_handler_closes_its_connection_with_500_and_leaves_the_rest_alone() {
    log::set_logger(&Touchy).unwrap();
    log::set_max_level(log::LevelFilter::Error);
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::with(|config| {
        config.data = Some(data.path().into());
        config.downloads = true;
        config.drain = PATIENCE;
    });

    // Something has happened to the file that a job has come to, which is logged.
    let mut uploader = server.public();
    let target = format!("/api/uploads?job={FATAL}");
    uploader.send(post(&target, "text/plain", "hello"));
    assert_eq!(uploader.answer().status, 201);
    let mut told = EventStream::of(&server, FATAL);
    while told.event().event != "done" {}
    std::fs::write(data.path().join(HELLO), "hell").unwrap();

    let mut stream = EventStream::of(&server, "a");
    let mut other = server.public();
    assert_eq!(other.get("/nowhere").status, 404);
    for mut client in [server.public(), server.publishing()] {
        // What follows is not answered.
        client.send(get(&format!("/api/jobs/{FATAL}/file"), "") + &get("/nowhere", ""));
        let answer = client.answer();
        assert_eq!(answer.status, 500);
        assert_eq!(answer.field("connection"), Some("close"));
        assert!(answer.error().contains("log"));
        client.assert_closed();
    }
    assert_eq!(other.get("/nowhere").status, 404);
    let mut publisher = server.publishing();
    let event = r#"{"event":"progress","data":{"n":1}}"#;
    assert_eq!(publisher.publish("a", event).status, 201);
    assert_eq!(stream.event().n(), 1);
    assert_eq!(server.metric("landfall_panics_total"), 2);
    wait_until("one stream is open", || {
        server.metric("landfall_streams_open") == 1
    });
    drop((stream, publisher, other));
    assert!(server.stop());
}
