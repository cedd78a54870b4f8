//! Streams with `?maxRate=`: of progress the newest, so often at most, and all else.
//!
//! The rate is a low one, of one in two seconds, so that a test is mostly over before the second
//! time comes; what a slow machine makes of it is allowed for.

use std::time::Instant;

use super::sse::{EventStream, Frame};
use super::support::{TestServer, get, wait_until};

/// How often progress may have come since then.
fn times_since(began: Instant) -> usize {
    began.elapsed().as_secs() as usize / 2 + 2
}

fn count(frames: &[Frame], name: &str) -> usize {
    frames.iter().filter(|frame| frame.event == name).count()
}

fn assert_in_order(frames: &[Frame]) {
    let is_in_order = frames.windows(2).all(|pair| pair[0].id < pair[1].id);
    assert!(is_in_order, "{frames:?}");
}

#[test]
fn progress_between_is_left_out_and_nothing_else_on_every_kind_of_stream() {
    let server = TestServer::start();
    let mut streams = [
        EventStream::open(server.public(), "/api/jobs/a/events?maxRate=0.5", ""),
        EventStream::open(server.public(), "/api/events?job=a&maxRate=0.5", ""),
    ];
    server.wait_for_streams("a", 2);
    let mut of_all = [
        EventStream::open(server.publishing(), "/api/events?jobs=a*&maxRate=0.5", ""),
        EventStream::open(server.publishing(), "/api/events?maxRate=0.5", ""),
    ];
    for stream in &mut of_all {
        stream.wait_for_retries(1);
    }
    let began = Instant::now();
    let first = server.progress("a", 0);
    // A stream that has had none for long gets it at once.
    for stream in streams.iter_mut().chain(&mut of_all) {
        assert_eq!(stream.event().id, first);
    }
    for n in 1..=200 {
        server.progress("a", n);
        if n % 20 == 0 {
            server.event("a", "log", "{}");
        }
    }
    let newest = server.progress("a", 201);
    let last = server.done("a");
    for stream in &mut streams {
        let frames = stream.rest();
        assert_in_order(&frames);
        assert_eq!(count(&frames, "log"), 10);
        assert_eq!(frames.last().unwrap().id, last);
        assert_eq!(frames[frames.len() - 2].id, newest);
        assert!(
            count(&frames, "progress") <= times_since(began),
            "{frames:?}"
        );
    }
    for stream in &mut of_all {
        let mut frames = Vec::new();
        while frames.last().is_none_or(|frame: &Frame| frame.id < last) {
            frames.push(stream.event());
        }
        assert_in_order(&frames);
        assert_eq!(count(&frames, "log"), 10);
        assert!(
            count(&frames, "progress") <= times_since(began),
            "{frames:?}"
        );
    }
}

#[test]
fn each_job_of_a_stream_has_its_newest_progress() {
    let server = TestServer::start();
    let target = "/api/events?job=a&job=b&job=c&maxRate=0.5";
    let mut stream = EventStream::open(server.public(), target, "");
    server.wait_for_streams("c", 1);
    let began = Instant::now();
    server.progress("a", 0);
    assert_eq!(stream.event().n(), 0);
    for n in 1..=50 {
        for job in ["a", "b"] {
            server.progress(job, n);
        }
    }
    let ends = ["a", "b", "c"].map(|job| server.done(job));
    let frames = stream.rest();
    assert_in_order(&frames);
    for job in ["a", "b"] {
        let of_job = |frame: &&Frame| frame.event == "progress" && frame.json()["jobId"] == job;
        let of_job: Vec<_> = frames.iter().filter(of_job).collect();
        assert_eq!(of_job.last().unwrap().n(), 50, "{frames:?}");
        assert!(of_job.len() <= times_since(began), "{of_job:?}");
    }
    let seen: Vec<u64> = frames.iter().rev().take(3).map(|frame| frame.id).collect();
    assert_eq!(seen, [ends[2], ends[1], ends[0]]);
}

#[test]
fn streams_that_have_a_rate_in_common_cost_no_sends_in_between() {
    const STREAMS: usize = 50;
    let server = TestServer::start();
    let open = |_| EventStream::open(server.public(), "/api/jobs/a/events?maxRate=0.5", "");
    let mut streams: Vec<_> = (0..STREAMS).map(open).collect();
    server.wait_for_streams("a", STREAMS);
    streams.iter_mut().for_each(|stream| {
        stream.wait_for_retries(1);
    });
    let sends = || server.metric("landfall_frames_sent_total") as usize;
    let (before, began) = (sends(), Instant::now());
    for n in 0..1000 {
        server.progress("a", n);
    }
    server.done("a");
    for stream in &mut streams {
        let frames = stream.rest();
        assert_eq!(frames[frames.len() - 2].n(), 999);
    }
    wait_until("all is counted", || sends() > before);
    let most = STREAMS * (times_since(began) + 1);
    let sent = sends() - before;
    assert!(
        sent <= most,
        "{sent} frames of 1001 events to {STREAMS} streams"
    );
}

#[test]
fn a_ring_that_lets_replaced_progress_go_has_nothing_to_reset() {
    let server = TestServer::with(|config| config.hub.ring.events = 8);
    let target = "/api/jobs/a/events?maxRate=0.5";
    let mut stream = EventStream::open(server.public(), target, "");
    server.wait_for_streams("a", 1);
    let first = server.progress("a", 0);
    assert_eq!(stream.event().id, first);
    for n in 1..=100 {
        server.progress("a", n);
    }
    // Nor has one that was away meanwhile.
    let fields = format!("Last-Event-ID: {first}\r\n");
    for target in [target, "/api/events?job=a&maxRate=0.5"] {
        let mut resumed = EventStream::open(server.public(), target, &fields);
        assert_eq!(resumed.event().n(), 100);
    }
    server.done("a");
    let names: Vec<_> = stream.rest().into_iter().map(|it| it.event).collect();
    assert!(
        names.ends_with(&["progress".into(), "done".into()]),
        "{names:?}"
    );
    assert!(!names.contains(&"reset".into()), "{names:?}");
    // What isn't progress is missed.
    let ids: Vec<u64> = (0..20).map(|_| server.event("b", "log", "{}")).collect();
    let fields = format!("Last-Event-ID: {}\r\n", ids[0]);
    let mut stream = EventStream::open(server.public(), "/api/jobs/b/events?maxRate=2", &fields);
    stream
        .event()
        .assert_reset("b", "expired", &ids[0].to_string(), ids[11]);
    assert_eq!(stream.event().id, ids[12]);
}

#[test]
fn a_stream_resumes_after_whatever_it_has_had() {
    let server = TestServer::start();
    let mut all = Vec::new();
    for n in 0..30 {
        all.push(("progress", server.progress("a", n)));
        if n % 7 == 0 {
            all.push(("log", server.event("a", "log", "{}")));
        }
    }
    all.push(("done", server.done("a")));
    let newest = all.iter().rfind(|(name, _)| *name == "progress").unwrap().1;
    for target in [
        "/api/jobs/a/events?maxRate=2",
        "/api/events?job=a&maxRate=2",
    ] {
        for &(_, after) in &all[..all.len() - 1] {
            let fields = format!("Last-Event-ID: {after}\r\n");
            let mut stream = EventStream::open(server.public(), target, &fields);
            let seen: Vec<u64> = stream.rest().iter().map(|frame| frame.id).collect();
            let wanted = all
                .iter()
                .filter(|&&(name, id)| id > after && (name != "progress" || id == newest));
            assert_eq!(seen, wanted.map(|it| it.1).collect::<Vec<_>>(), "{after}");
        }
    }
}

#[test]
fn a_rate_that_is_none_is_refused_and_the_answer_says_what_is_one() {
    let server = TestServer::start();
    for value in [
        "", "0", "0.01", "101", "-1", "NaN", "inf", "1e1", "fast", "2/s", "%2B2",
    ] {
        for path in [
            "/api/jobs/a/events?",
            "/api/events?job=a&",
            "/api/events?jobs=*&",
        ] {
            let answer = server.public().get(&format!("{path}maxRate={value}"));
            assert_eq!(answer.status, 400, "{value}");
            assert_eq!(
                answer.error(),
                "maxRate: a rate is a number of events a second from 0.1 to 100, as 2 or 0.5"
            );
        }
    }
    for value in ["2", "0.1", "100", "2.5", "007"] {
        let mut client = server.public();
        client.send(get(&format!("/api/jobs/a/events?maxRate={value}"), ""));
        EventStream::begun(client);
    }
}
