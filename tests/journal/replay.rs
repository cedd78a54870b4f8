//! What is older than a job's ring is still there.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::support::{Frame, Process};

const SMALL_RING: [&str; 2] = ["--ring-events", "16"];

fn start(flags: &[&str]) -> (tempfile::TempDir, Process) {
    let data = tempfile::tempdir().unwrap();
    let flags = [&SMALL_RING, flags].concat();
    let process = Process::start(data.path(), &flags);
    (data, process)
}

fn assert_numbered(frames: &[Frame], ids: std::ops::RangeInclusive<u64>) {
    let seen: Vec<_> = frames.iter().map(|frame| (frame.id, frame.n())).collect();
    assert_eq!(seen, ids.map(|n| (n, n)).collect::<Vec<_>>());
}

#[test]
fn a_stream_begins_at_the_oldest_event_that_the_journal_has_and_misses_none() {
    let (_data, server) = start(&[]);
    (1..=20).for_each(|part| server.progress_all("j", part * 100 - 99..=part * 100));
    let frames = server.follow("/api/jobs/j/events", None, 2000);
    assert_numbered(&frames, 1..=2000);
    let frames = server.follow("/api/jobs/j/events", Some(700), 1300);
    assert_numbered(&frames, 701..=2000);
    let frames = server.follow("/api/jobs/j/events?replay=latest", None, 1);
    assert_numbered(&frames, 2000..=2000);
    let frames = server.follow("/api/events", Some(1), 1999);
    assert_numbered(&frames, 2..=2000);
    let frames = server.follow("/api/events?job=j", None, 2000);
    assert_numbered(&frames, 1..=2000);
}

#[test]
fn a_restart_changes_nothing_of_that() {
    let (data, first) = start(&[]);
    (1..=10).for_each(|part| publish_part(&first, part));
    first.kill();
    let second = Process::start(data.path(), &SMALL_RING);
    (11..=20).for_each(|part| publish_part(&second, part));
    for (place, job) in ["a", "b"].into_iter().enumerate() {
        let target = format!("/api/jobs/{job}/events");
        let after = Some(number(place as u64, 3));
        let frames = second.follow(&target, after, 1997);
        let seen: Vec<_> = frames.iter().map(|frame| (frame.id, frame.n())).collect();
        let all = (4..=2000).map(|n| (number(place as u64, n), n));
        assert_eq!(seen, all.collect::<Vec<_>>());
    }
    let frames = second.follow("/api/events", Some(0), 4000);
    let ids: Vec<u64> = frames.iter().map(|frame| frame.id).collect();
    assert_eq!(ids, (1..=4000).collect::<Vec<_>>());
    // A job that has ended is replayed to its end, and then the stream ends.
    second.publish("a", "done", r#"{"n":2001}"#);
    let frames = second.follow("/api/jobs/a/events", Some(1), usize::MAX);
    let seen: Vec<_> = frames.iter().map(|frame| frame.n()).collect();
    assert_eq!(seen, (2..=2001).collect::<Vec<_>>());
    assert_eq!(frames.last().unwrap().id, 4001);
}

/// Publishes a hundred events of the one job, and a hundred of the other.
fn publish_part(server: &Process, part: u64) {
    for job in ["a", "b"] {
        server.progress_all(job, part * 100 - 99..=part * 100);
    }
}

/// The number of the `n`th event of the first (0) or the second job (1).
fn number(place: u64, n: u64) -> u64 {
    let part = (n - 1) / 100;
    (part * 2 + place) * 100 + (n - 1) % 100 + 1
}

#[test]
fn a_stream_that_is_far_behind_gets_what_comes_meanwhile_too() {
    let (_data, server) = start(&[]);
    (1..=20).for_each(|part| server.progress_all("j", part * 100 - 99..=part * 100));
    std::thread::scope(|scope| {
        let followers: Vec<_> = (0..20)
            .map(|n| {
                let server = &server;
                scope.spawn(move || {
                    let frames = server.follow("/api/jobs/j/events", Some(n), 4000 - n as usize);
                    assert_numbered(&frames, n + 1..=4000);
                    let frames = server.follow("/api/events", Some(n), 4000 - n as usize);
                    assert_numbered(&frames, n + 1..=4000);
                })
            })
            .collect();
        (21..=40).for_each(|part| server.progress_all("j", part * 100 - 99..=part * 100));
        for follower in followers {
            follower.join().unwrap();
        }
    });
}

#[test]
fn a_slow_reader_far_behind_gets_every_event_once() {
    let (_data, server) = start(&["--send-buffer", "16KiB"]);
    let padding = "x".repeat(1000);
    let lines: String = (1..=500)
        .map(|n| format!("{{\"event\":\"progress\",\"data\":{{\"n\":{n},\"p\":\"{padding}\"}}}}\n"))
        .collect();
    let kind = "application/x-ndjson";
    super::http::post(server.publish, "/api/jobs/j/events", kind, &lines);
    for target in ["/api/jobs/j/events", "/api/events?job=j"] {
        let mut stream = TcpStream::connect(server.public).unwrap();
        stream
            .set_read_timeout(Some(super::http::PATIENCE))
            .unwrap();
        let buffer = rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 32 * 1024);
        buffer.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        let mut piece = [0; 3000];
        while text.matches("\nid: ").count() < 500 || !ends_whole(&text) {
            let length = stream.read(&mut piece).unwrap();
            assert!(length > 0, "it ended after {}", text.len());
            text.push_str(std::str::from_utf8(&piece[..length]).unwrap());
            // A slow reader takes its time.
            std::thread::sleep(Duration::from_micros(500));
        }
        assert_numbered(&Frame::all(&text), 1..=500);
    }
}

/// Whether the last frame has come whole, with the end of its chunk or without.
fn ends_whole(text: &str) -> bool {
    text.trim_end_matches("\r\n").ends_with("\n\n")
}

#[test]
fn a_job_begun_again_shows_nothing_of_the_one_before_it() {
    let (data, first) = start(&[]);
    first.progress_all("j", 1..=100);
    assert_eq!(first.delete("j").status, 204);
    assert_eq!(first.begin("j").json()["id"], 102);
    (103..=202).for_each(|n| assert_eq!(first.progress("j", n), n));
    let frames = first.follow("/api/jobs/j/events", None, 100);
    assert_numbered(&frames, 103..=202);
    let frames = first.follow("/api/events?job=j", None, 100);
    assert_numbered(&frames, 103..=202);
    first.kill();
    let second = Process::start(data.path(), &SMALL_RING);
    let frames = second.follow("/api/jobs/j/events", None, 100);
    assert_numbered(&frames, 103..=202);
    let frames = second.follow("/api/events?replay=all", None, 100);
    assert_numbered(&frames, 103..=202);
}

#[test]
fn a_stream_of_several_jobs_far_behind_is_shown_the_deletion_between_two_lives() {
    let (data, first) = start(&[]);
    first.progress_all("j", 1..=5);
    assert_eq!(first.delete("j").status, 204);
    assert_eq!(first.begin("j").json()["id"], 7);
    first.progress_all("j", 8..=100);
    let check = |server: &Process| {
        for target in ["/api/events?job=j", "/api/events?jobs=j*", "/api/events"] {
            let frames = server.follow(target, Some(2), 94);
            let (deletion, rest) = frames.split_first().unwrap();
            assert_eq!((&*deletion.event, deletion.id), ("deleted", 6), "{target}");
            assert_eq!(deletion.data, r#"{"jobId":"j"}"#);
            assert_numbered(rest, 8..=100);
        }
    };
    check(&first);
    first.kill();
    let second = Process::start(data.path(), &SMALL_RING);
    check(&second);
}

#[test]
fn what_came_before_a_life_that_was_deleted_is_read_back_and_nothing_of_that_life() {
    let (data, first) = start(&[]);
    first.progress_all("j", 1..=40);
    assert_eq!(first.publish("j", "done", "{\"n\":41}").status, 201);
    assert_eq!(first.begin("j").json()["id"], 42);
    first.progress_all("j", 43..=100);
    assert_eq!(first.delete("j").status, 204);
    let check = |server: &Process, count: usize, last: &str| {
        for target in ["/api/events?job=j", "/api/events?jobs=j*", "/api/events"] {
            let frames = server.follow(target, Some(2), count);
            assert_numbered(&frames[..39], 3..=41);
            let rest: Vec<_> = frames[39..].iter().map(|it| (it.id, &*it.event)).collect();
            let expected = [(101, "deleted"), (103, "progress"), (104, last)];
            assert_eq!(rest, expected[..count - 39], "{target}");
        }
    };
    check(&first, 40, "");
    first.kill();
    let second = Process::start(data.path(), &SMALL_RING);
    check(&second, 40, "");
    assert_eq!(second.begin("j").json()["id"], 102);
    second.progress_all("j", 103..=103);
    assert_eq!(second.publish("j", "done", "{}").status, 201);
    check(&second, 42, "done");
    // Of a stream of its own all but the last is another life's.
    let frames = second.follow("/api/jobs/j/events", Some(2), 3);
    let names: Vec<_> = frames.iter().map(|it| &*it.event).collect();
    assert_eq!(names, ["reset", "progress", "done"]);
}

#[test]
fn memory_that_is_short_takes_rings_and_no_events() {
    // Of 40 jobs with some 4 KB each, the rings of a few fit.
    let (_data, server) = start(&["--memory", "32KiB"]);
    for job in 0..40 {
        let name = format!("job{job}");
        server.progress_all(&name, job * 31 + 1..=job * 31 + 30);
        let last = format!("{{\"n\":{}}}", job * 31 + 31);
        assert_eq!(server.publish(&name, "done", &last).status, 201);
    }
    for job in 0..40 {
        let target = format!("/api/jobs/job{job}/events");
        let frames = server.follow(&target, Some(job * 31 + 1), usize::MAX);
        assert_numbered(&frames, job * 31 + 2..=job * 31 + 31);
        let snapshot = server.snapshot(&format!("job{job}")).json();
        assert_eq!(snapshot["state"], "done");
        assert_eq!(snapshot["lastEvent"]["data"]["n"], job * 31 + 31);
    }
}

#[test]
fn of_progress_that_is_read_back_a_stream_with_a_rate_gets_the_newest_and_all_else() {
    let (_data, server) = start(&[]);
    for part in 1..=40 {
        server.progress_all("j", part * 100 - 99..=part * 100);
        server.publish("j", "log", &format!(r#"{{"n":{part}}}"#));
    }
    server.publish("j", "done", r#"{"n":0}"#);
    for target in [
        "/api/jobs/j/events?maxRate=2",
        "/api/events?job=j&maxRate=2",
    ] {
        for after in [None, Some(2), Some(1000)] {
            let frames = server.follow(target, after, usize::MAX);
            let of = |name: &str| {
                let named = frames.iter().filter(|frame| frame.event == name);
                named.map(|frame| frame.n()).collect::<Vec<_>>()
            };
            let first = after.unwrap_or(0) / 101 + 1;
            assert_eq!(of("log"), (first..=40).collect::<Vec<_>>(), "{target}");
            assert_eq!(of("progress"), [4000], "{target}");
            assert_eq!(frames.last().unwrap().event, "done");
            assert!(frames.windows(2).all(|pair| pair[0].id < pair[1].id));
        }
    }
}
