//! Streams that end of age.

use std::time::{Duration, Instant};

use super::sse::EventStream;
use super::support::{TestServer, wait_until};

fn aging(seconds: u64) -> TestServer {
    TestServer::with(|config| config.shard.max_stream_age = Some(Duration::from_secs(seconds)))
}

#[test]
fn a_stream_ends_with_a_retry_when_it_is_old_and_resumes_without_a_gap() {
    let server = aging(6);
    let begin = Instant::now();
    let mut stream = EventStream::of(&server, "a");
    let first = server.progress("a", 1);
    let frames = stream.rest();
    assert!(begin.elapsed() >= Duration::from_millis(2900));
    assert_eq!(frames.iter().map(|f| f.id).collect::<Vec<_>>(), [first]);
    let &[_, last] = stream.retries() else {
        panic!("{:?}", stream.retries());
    };
    assert!((5000..=7500).contains(&last), "{last}");

    let second = server.progress("a", 2);
    server.done("a");
    let mut resumed = EventStream::after(&server, "a", first);
    assert_eq!(resumed.event().id, second);
    assert_eq!(resumed.event().event, "done");
    wait_until("it is counted", || {
        server.metric("landfall_stream_closes_total{reason=\"aged\"}") == 1
    });
}

#[test]
fn streams_that_came_together_age_apart() {
    let server = aging(8);
    let begin = Instant::now();
    let streams: Vec<_> = (0..40).map(|_| EventStream::of(&server, "a")).collect();
    let mut many = EventStream::open(server.public(), "/api/events?job=a&job=b", "");
    let readers: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            std::thread::spawn(move || {
                stream.assert_ends();
                begin.elapsed()
            })
        })
        .collect();
    let mut ends: Vec<_> = readers.into_iter().map(|r| r.join().unwrap()).collect();
    ends.sort();
    assert!(ends[0] >= Duration::from_millis(3500), "{ends:?}");
    assert!(ends[39] - ends[0] >= Duration::from_millis(900), "{ends:?}");
    many.assert_ends();
    assert_eq!(many.retries().len(), 2);
}
