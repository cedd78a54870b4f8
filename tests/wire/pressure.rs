//! Too many streams, readers that are too slow, and more jobs than there is room for.

use std::io::Read;
use std::time::{Duration, Instant};

use landfall::ServerConfig;

use super::sse::EventStream;
use super::support::{TestServer, get, job_id, wait_until};

fn large_ring(config: &mut ServerConfig) {
    config.hub.ring.events = 100_000;
    config.hub.ring.bytes = 256 << 20;
    config.hub.memory_bytes = 1 << 30;
}

#[test]
fn a_stream_there_is_no_room_for_gets_200_and_a_long_retry_and_a_close() {
    let server = TestServer::with(|config| {
        config.streams = 1;
        config.busy_retry = Duration::from_secs(40);
    });
    server.progress("a", 1);
    let mut first = EventStream::of(&server, "a");
    first.event();
    for target in [
        "/api/jobs/a/events",
        "/api/jobs/new/events",
        "/api/events?job=a",
    ] {
        let mut busy = EventStream::open(server.public(), target, "");
        busy.assert_ends();
        let &[retry] = busy.retries() else {
            panic!("{:?}", busy.retries());
        };
        assert!((40_000..=60_000).contains(&retry), "{retry}");
    }
    // What was turned away has begun nothing, and what has room again is served.
    assert!(server.jobs().snapshot(&job_id("new")).is_none());
    drop(first);
    wait_until("the first stream has left", || {
        server.metric("landfall_streams_open") == 0
    });
    assert_eq!(EventStream::of(&server, "a").event().n(), 1);
}

#[test]
fn a_reader_that_comes_late_to_a_large_ring_gets_every_event_once_and_in_order() {
    let server = TestServer::with(large_ring);
    let data = format!("{{\"t\":\"{}\"}}", "x".repeat(2000));
    let mut slow = EventStream::of(&server, "a");
    let mut many = EventStream::open(server.public(), "/api/events?job=a", "");
    server.wait_for_streams("a", 2);
    // Far more than the sockets' buffers hold; nobody reads meanwhile.
    let ids: Vec<u64> = (0..8000)
        .map(|_| server.event("a", "progress", &data))
        .collect();
    server.done("a");
    for id in &ids {
        assert_eq!(slow.event().id, *id);
    }
    assert_eq!(slow.rest().len(), 1);
    let frames = many.rest();
    assert_eq!(frames.len(), ids.len() + 1);
    assert!(frames.windows(2).all(|pair| pair[0].id + 1 == pair[1].id));
}

#[test]
fn a_reader_that_falls_off_the_ring_gets_a_reset_and_goes_on_in_order() {
    let server = TestServer::with(|config| config.hub.ring.bytes = 128 * 1024);
    let data = format!("{{\"t\":\"{}\"}}", "x".repeat(3000));
    let mut slow = EventStream::of(&server, "a");
    let mut many = EventStream::open(server.public(), "/api/events?job=a", "");
    server.wait_for_streams("a", 2);
    for _ in 0..8000 {
        server.event("a", "progress", &data);
    }
    let end = server.done("a");
    for stream in [&mut slow, &mut many] {
        let frames = stream.rest();
        let resets = frames.iter().filter(|frame| frame.event == "reset");
        assert!(resets.count() > 0, "{} frames", frames.len());
        for pair in frames.windows(2) {
            // An event follows the one before it, or a reset that says it doesn't; and
            // the reset's id is the one before what follows.
            match &*pair[1].event {
                "reset" => {
                    assert!(pair[1].id > pair[0].id);
                    let json = pair[1].json();
                    assert_eq!(json["lastEventId"], pair[0].id.to_string());
                    assert_eq!(json["reason"], "expired");
                }
                _ => assert_eq!(pair[1].id, pair[0].id + 1),
            }
        }
        assert_eq!(frames.last().unwrap().event, "done");
    }
    assert!(end > 0);
}

#[test]
fn slow_readers_that_read_in_drips_get_every_event_once_and_in_order() {
    let server = TestServer::with(large_ring);
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let mut client = server.public();
            let target = ["/api/jobs/a/events", "/api/events?job=a&job=b"][n % 2];
            client.send(get(target, ""));
            socket2::SockRef::from(client.socket())
                .set_recv_buffer_size(128 * 1024)
                .unwrap();
            EventStream::begun(client)
        })
        .collect();
    server.wait_for_streams("a", 8);
    std::thread::scope(|scope| {
        let server = &server;
        let readers: Vec<_> = clients
            .into_iter()
            .map(|mut stream| {
                scope.spawn(move || {
                    let frames = stream.rest();
                    let seen: Vec<u64> = frames[..frames.len() - 2].iter().map(|f| f.n()).collect();
                    seen == (0..3000).collect::<Vec<_>>()
                })
            })
            .collect();
        for n in 0..3000 {
            let length = n as usize * 37 % 1500;
            let data = format!("{{\"n\":{n},\"t\":\"{}\"}}", "x".repeat(length));
            server.event("a", "progress", &data);
        }
        // Job streams end with the first, consolidated ones with the second.
        server.event("a", "progress", "{\"n\":3000}");
        server.done("a");
        server.done("b");
        for (at, reader) in readers.into_iter().enumerate() {
            let is_right = reader.join().unwrap();
            // A consolidated stream has one more frame: b's end.
            assert!(is_right || at % 2 == 1, "reader {at}");
        }
    });
}

#[test]
fn a_client_that_takes_nothing_is_closed_at_the_stall_limit() {
    let server = TestServer::with(|config| {
        large_ring(config);
        config.shard.stall = Duration::from_millis(500);
        config.shard.heartbeat = Duration::from_millis(200);
    });
    let data = format!("{{\"t\":\"{}\"}}", "x".repeat(20_000));
    let targets = ["/api/jobs/a/events", "/api/events?job=a"];
    let stalled: Vec<_> = targets
        .iter()
        .map(|target| {
            let mut client = server.public();
            client.send(get(target, ""));
            client
        })
        .collect();
    server.wait_for_streams("a", 2);
    for _ in 0..1000 {
        server.event("a", "progress", &data);
    }
    server.wait_for_streams("a", 0);
    let stalled_ones = "landfall_stream_closes_total{reason=\"stalled\"}";
    wait_until("both are counted", || server.metric(stalled_ones) == 2);
    drop(stalled);
}

#[test]
fn a_slow_reader_that_takes_a_little_now_and_then_is_not_closed() {
    let stall = Duration::from_secs(3);
    let server = TestServer::with(|config| {
        large_ring(config);
        config.shard.stall = stall;
        config.shard.heartbeat = Duration::from_millis(200);
    });
    let data = format!("{{\"t\":\"{}\"}}", "x".repeat(20_000));
    let mut client = server.public();
    client.send(get("/api/jobs/a/events", ""));
    server.wait_for_streams("a", 1);
    let mut received = Vec::new();
    let end = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            for _ in 0..1000 {
                server.event("a", "progress", &data);
            }
            server.done("a")
        });
        let begin = Instant::now();
        let mut piece = vec![0; 256 * 1024];
        while begin.elapsed() < stall * 2 {
            let length = client.socket().read(&mut piece).unwrap();
            assert!(length > 0, "closed after {} bytes", received.len());
            received.extend_from_slice(&piece[..length]);
            // Not in place of a condition: the pause is what is tested.
            std::thread::sleep(stall / 10);
        }
        client.socket().read_to_end(&mut received).unwrap();
        publishing.join().unwrap()
    });
    let tail = format!("id: {end}\n\n\r\n0\r\n\r\n");
    assert!(received.ends_with(tail.as_bytes()));
    let frames = received.windows(2).filter(|pair| pair == b"\n\n").count();
    assert_eq!(frames, 1001);
}

#[test]
fn a_slow_reader_delays_nobody() {
    let server = TestServer::with(|config| {
        large_ring(config);
        config.shards = 1;
    });
    let data = format!("{{\"t\":\"{}\"}}", "x".repeat(20_000));
    let _slow: Vec<_> = (0..5)
        .map(|_| {
            let mut client = server.public();
            client.send(get("/api/jobs/a/events", ""));
            client
        })
        .collect();
    server.wait_for_streams("a", 5);
    let mut quick = EventStream::of(&server, "a");
    quick.wait_for_retries(1);
    for _ in 0..300 {
        let id = server.event("a", "progress", &data);
        assert_eq!(quick.event().id, id);
    }
}

#[test]
fn finished_jobs_are_forgotten_oldest_first_when_jobs_are_too_many() {
    let server = TestServer::with(|config| config.hub.jobs = 4);
    for job in ["a", "b", "c", "d"] {
        server.progress(job, 1);
    }
    for job in ["c", "a", "d"] {
        server.done(job);
    }
    let exists = |job: &str| server.jobs().snapshot(&job_id(job)).is_some();
    for (new, gone) in [("e", "c"), ("f", "a"), ("g", "d")] {
        assert!(exists(gone));
        server.progress(new, 1);
        assert!(!exists(gone) && exists("b"));
    }
    // Only running ones are left.
    let mut client = server.publishing();
    let answer = client.publish("h", r#"{"event":"progress"}"#);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.field("retry-after"), Some("5"));
    assert!(answer.error().contains("--max-jobs"));
    assert!(!exists("h"));
    // Streams may wait for it all the same: they are no job.
    let mut waiting = EventStream::of(&server, "h");
    let mut both = EventStream::open(server.public(), "/api/events?job=b&job=h", "");
    server.wait_for_streams("h", 2);
    // What there is goes on, and everything that was accepted replays.
    assert_eq!(client.publish("b", r#"{"event":"done"}"#).status, 201);
    for job in ["e", "f", "g"] {
        assert_eq!(EventStream::of(&server, job).event().n(), 1);
    }
    assert_eq!(EventStream::of(&server, "b").rest().len(), 2);
    assert_eq!(client.publish("h", r#"{"event":"progress"}"#).status, 201);
    assert!(!exists("b"));
    assert_eq!(waiting.event().event, "progress");
    let all: Vec<_> = (0..3).map(|_| both.event().event).collect();
    assert_eq!(all, ["progress", "done", "progress"]);
}

#[test]
fn the_memory_of_all_rings_has_a_limit() {
    let server = TestServer::with(|config| config.hub.memory_bytes = 1 << 20);
    let data = format!("{{\"t\":\"{}\"}}", "x".repeat(10_000));
    let fill = |job: &str, end: bool| {
        for _ in 0..6 {
            server.event(job, "progress", &data);
        }
        if end {
            server.done(job);
        }
    };
    for n in 0..100 {
        fill(&format!("ended{n}"), true);
    }
    let bytes = landfall::internals::hub(server.jobs()).ring_bytes();
    assert!(bytes <= (1 << 20) + 256 * 1024, "{bytes}");
    assert!(server.jobs().snapshot(&job_id("ended99")).is_some());
    assert!(server.jobs().snapshot(&job_id("ended0")).is_none());
    let mut running = Vec::new();
    let refused = loop {
        let job = format!("running{}", running.len());
        let mut client = server.publishing();
        let answer = client.publish(&job, &format!("{{\"event\":\"progress\",\"data\":{data}}}"));
        if answer.status != 201 {
            break answer;
        }
        for _ in 0..5 {
            server.event(&job, "progress", &data);
        }
        running.push(job);
        assert!(running.len() < 100);
    };
    assert_eq!(refused.status, 503);
    assert!(refused.field("retry-after").is_some());
    assert!(running.len() > 5, "{}", running.len());
    for job in &running {
        server.done(job);
        let frames = EventStream::of(&server, job).rest();
        assert_eq!(frames.len(), 7, "{job}: what was accepted replays");
    }
}

#[test]
fn streams_that_vanish_leave_no_job_behind() {
    let server = TestServer::start();
    for n in 0..50 {
        let mut stream = EventStream::of(&server, &format!("nobody{n}"));
        stream.wait_for_retries(1);
    }
    wait_until("every empty job is forgotten", || {
        server.jobs().snapshots().is_empty()
    });
    wait_until("no stream is open", || {
        server.metric("landfall_streams_open") == 0
    });
}
