//! A job's stream from its head to its end.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::sse::{EventStream, STREAM_HEAD};
use super::support::{TestServer, get};

#[test]
fn the_head_and_the_frames_are_the_contracts_to_the_byte() {
    let server = TestServer::start();
    let one = server.event(
        "job_8f3a",
        "progress",
        r#"{"stage":"scanning","percent":30}"#,
    );
    let mut client = server.public();
    client.send(get("/api/jobs/job_8f3a/events", ""));
    assert_eq!(client.head(), STREAM_HEAD);
    server.wait_for_streams("job_8f3a", 1);
    let two = server.event("job_8f3a", "done", r#"{"jobId":"job_8f3a","size":1}"#);
    let body = client.rest();
    let (retry, frames) = body.strip_prefix("c\r\nretry: ").unwrap().split_at(4);
    let retry: u64 = retry.parse().unwrap();
    assert!((5000..=7500).contains(&retry), "{retry}");
    let chunk = |frame: String| format!("{:x}\r\n{frame}\r\n", frame.len());
    let one = chunk(format!(
        "event: progress\n\
         data: {{\"jobId\":\"job_8f3a\",\"stage\":\"scanning\",\"percent\":30}}\n\
         id: {one}\n\n"
    ));
    let two = chunk(format!(
        "event: done\n\
         data: {{\"jobId\":\"job_8f3a\",\"size\":1}}\n\
         id: {two}\n\n"
    ));
    assert_eq!(frames, format!("\n\r\n{one}{two}0\r\n\r\n"));
}

#[test]
fn retry_is_the_flag_plus_up_to_half_and_differs_between_connections() {
    let server = TestServer::with(|config| config.shard.retry = Duration::from_secs(2));
    server.progress("a", 1);
    let mut waits = HashSet::new();
    for _ in 0..30 {
        let mut stream = EventStream::of(&server, "a");
        stream.event();
        let &[retry] = stream.retries() else {
            panic!("{:?}", stream.retries());
        };
        assert!((2000..=3000).contains(&retry), "{retry}");
        waits.insert(retry);
    }
    assert!(waits.len() > 10, "{waits:?}");
}

#[test]
fn ids_follow_each_other_and_every_subscriber_has_the_same() {
    let server = TestServer::start();
    let mut early = EventStream::of(&server, "a");
    let ids: Vec<u64> = (0..10).map(|n| server.progress("a", n)).collect();
    let mut late = EventStream::of(&server, "a");
    for stream in [&mut early, &mut late] {
        let seen: Vec<u64> = (0..10).map(|_| stream.event().id).collect();
        assert_eq!(seen, ids);
    }
    assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn a_stream_for_a_job_nobody_has_published_waits() {
    let server = TestServer::start();
    let mut stream = EventStream::of(&server, "later");
    // The head is there, so the stream is open; the first event comes to it.
    stream.wait_for_retries(1);
    let id = server.progress("later", 7);
    let frame = stream.event();
    assert_eq!((frame.id, frame.n()), (id, 7));
}

#[test]
fn a_stream_ends_after_done_and_after_error() {
    let server = TestServer::start();
    for (job, end) in [("a", "done"), ("b", "error")] {
        let mut live = EventStream::of(&server, job);
        live.wait_for_retries(1);
        server.event(job, end, "{}");
        for stream in [&mut live, &mut EventStream::of(&server, job)] {
            assert_eq!(stream.event().event, end);
            stream.assert_ends();
        }
    }
}

#[test]
fn one_event_of_the_largest_size_arrives_whole() {
    let server = TestServer::start();
    let mut stream = EventStream::of(&server, "a");
    let text = "x".repeat(64 * 1024 - 10);
    server.event("a", "progress", &format!("{{\"t\":\"{text}\"}}"));
    // What follows at once doesn't take its place, though the ring holds no more by default.
    server.done("a");
    assert!(stream.event().json()["t"] == text);
    assert_eq!(stream.event().event, "done");
    stream.assert_ends();
    let replayed = EventStream::of(&server, "a").rest();
    assert_eq!(replayed.len(), 2);
}

/// A ring may hold more than is read out of it at a time.
#[test]
fn a_burst_larger_than_a_send_arrives_whole_without_another_event() {
    let server = TestServer::with(|config| config.hub.ring.bytes = 16 * 1024 * 1024);
    let data = format!("{{\"t\":\"{}\"}}", "x".repeat(50_000));
    for round in 0..20 {
        let job = format!("burst-{round}");
        let mut streams: Vec<_> = (0..3).map(|_| EventStream::of(&server, &job)).collect();
        server.wait_for_streams(&job, 3);
        for stream in &mut streams {
            stream.wait_for_retries(1);
        }
        let ids: Vec<u64> = (0..20)
            .map(|_| server.event(&job, "progress", &data))
            .collect();
        for stream in &mut streams {
            let seen: Vec<u64> = (0..20).map(|_| stream.event().id).collect();
            assert_eq!(seen, ids);
        }
    }
}

#[test]
fn an_idle_stream_gets_a_comment_without_a_blank_line() {
    let server = TestServer::with(|config| config.shard.heartbeat = Duration::from_millis(200));
    let mut client = server.public();
    client.send(get("/api/jobs/a/events", ""));
    assert_eq!(client.head(), STREAM_HEAD);
    assert!(client.take(17).starts_with(b"c\r\nretry: "));
    let comment = "2\r\n:\n\r\n";
    assert_eq!(client.take(21), comment.repeat(3).as_bytes());
    // What comes after a comment is a frame like any other.
    let id = server.progress("a", 1);
    let frame = format!("event: progress\ndata: {{\"jobId\":\"a\",\"n\":1}}\nid: {id}\n\n");
    let expected = format!("{:x}\r\n{frame}\r\n{comment}", frame.len());
    loop {
        let text = client.text();
        let behind = text.trim_start_matches(comment);
        if behind.starts_with(&expected) {
            break;
        }
        assert!(expected.starts_with(behind), "{text}");
        assert!(client.read_more());
    }
}

#[test]
fn comments_do_not_go_out_all_at_once() {
    let heartbeat = Duration::from_millis(800);
    let server = TestServer::with(|config| config.shard.heartbeat = heartbeat);
    let begin = Instant::now();
    let wait = || {
        EventStream::of(&server, "a").wait_for_comments(1);
        begin.elapsed()
    };
    let mut waits: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..40).map(|_| scope.spawn(wait)).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    waits.sort();
    assert!(waits[30] - waits[10] > heartbeat / 16, "{waits:?}");
}

#[test]
fn head_on_a_stream_has_its_head_and_ends() {
    let server = TestServer::start();
    server.progress("a", 1);
    for target in ["/api/jobs/a/events", "/api/events?job=a"] {
        let mut client = server.public();
        client.send(get(target, "").replace("GET", "HEAD"));
        assert_eq!(client.rest(), STREAM_HEAD);
    }
    server.wait_for_streams("a", 0);
}

#[test]
fn what_a_subscriber_says_after_its_request_is_dropped() {
    let server = TestServer::start();
    let mut stream = EventStream::of(&server, "a");
    stream.wait_for_retries(1);
    stream.client().send(get("/api/jobs/b/events", ""));
    stream.client().send(vec![b'x'; 100_000]);
    let id = server.progress("a", 1);
    assert_eq!(stream.event().id, id);
    server.done("a");
    assert_eq!(stream.event().event, "done");
    stream.assert_ends();
}

#[test]
fn a_client_that_half_closes_gets_what_is_there_and_the_close() {
    let server = TestServer::start();
    let ids = [server.progress("a", 1), server.progress("a", 2)];
    let mut client = server.public();
    client.send(get("/api/jobs/a/events", "")).half_close();
    let mut stream = EventStream::begun(client);
    let seen: Vec<u64> = stream.rest().iter().map(|frame| frame.id).collect();
    assert_eq!(seen, ids);
    server.wait_for_streams("a", 0);
}

#[test]
fn a_stream_asked_for_after_answers_on_the_same_connection_follows_them() {
    let server = TestServer::start();
    let id = server.done("a");
    let mut client = server.public();
    client.send(get("/api/jobs/a", "") + &get("/api/jobs/a/events", ""));
    assert_eq!(client.answer().status, 200);
    let mut stream = EventStream::begun(client);
    assert_eq!(stream.event().id, id);
    stream.assert_ends();
}

#[test]
fn a_stream_asked_for_in_http_1_0_is_the_same_stream_without_chunks() {
    let server = TestServer::start();
    let id = server.done("a");
    let mut client = server.public();
    client.send("GET /api/jobs/a/events HTTP/1.0\r\n\r\n");
    let mut stream = EventStream::begun_plain(client);
    assert_eq!(stream.event().id, id);
    stream.assert_ends();
}

#[test]
fn streams_are_to_be_had_on_the_publishing_listener_as_well() {
    let server = TestServer::start();
    let id = server.done("a");
    let mut stream = EventStream::open(server.publishing(), "/api/jobs/a/events", "");
    assert_eq!(stream.event().id, id);
    stream.assert_ends();
}
