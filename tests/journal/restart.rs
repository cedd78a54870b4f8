//! A restart loses nothing.

use std::process::Stdio;

use super::http::wait_until;
use super::support::{Process, command};

fn data() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn ids_go_on_where_they_were_and_begin_at_1() {
    for sync in ["always", "interval=200ms", "interval=1h"] {
        let data = data();
        let flags = ["--sync", sync];
        let first = Process::start(data.path(), &flags);
        assert_eq!(first.progress("a", 10), 1);
        assert_eq!(first.progress("a", 20), 2);
        assert_eq!(first.progress("b", 30), 3);
        first.kill();
        let second = Process::start(data.path(), &flags);
        assert_eq!(second.progress("a", 40), 4);
        assert_eq!(second.progress("c", 50), 5);
        second.stop();
        let third = Process::start(data.path(), &flags);
        assert_eq!(third.progress("b", 60), 6);
        let frames = third.follow("/api/jobs/a/events", None, 3);
        let seen: Vec<_> = frames.iter().map(|frame| (frame.id, frame.n())).collect();
        assert_eq!(seen, [(1, 10), (2, 20), (4, 40)], "{sync}");
        let frames = third.follow("/api/events", Some(2), 4);
        let seen: Vec<_> = frames.iter().map(|frame| (frame.id, frame.n())).collect();
        assert_eq!(seen, [(3, 30), (4, 40), (5, 50), (6, 60)], "{sync}");
    }
}

#[test]
fn states_and_snapshots_are_restored() {
    let data = data();
    let first = Process::start(data.path(), &[]);
    first.progress("running", 1);
    first.progress("done", 1);
    first.publish("done", "done", r#"{"url":"/x"}"#);
    first.publish("failed", "error", r#"{"message":"no"}"#);
    let jobs = ["running", "done", "failed"];
    let before = jobs.map(|job| first.snapshot(job).json());
    first.kill();
    let second = Process::start(data.path(), &[]);
    let after = jobs.map(|job| second.snapshot(job).json());
    // When a job began and when it changed, to the millisecond the journal keeps.
    assert_eq!(before, after);
    assert_eq!(second.publish("done", "progress", "{}").status, 409);
    let answer = second.snapshot("no-such-job");
    assert_eq!(answer.status, 404);
    // A client that has seen the end is told so.
    let target = "/api/jobs/done/events?lastEventId=3";
    let answer = super::http::get(second.public, target);
    assert_eq!(answer.status, 204);
}

#[test]
fn a_deleted_job_stays_deleted_and_its_ids_are_not_given_again() {
    let data = data();
    let first = Process::start(data.path(), &[]);
    (1..=3).for_each(|n| assert_eq!(first.progress("a", n), n));
    assert_eq!(first.delete("a").status, 204);
    assert_eq!(first.delete("a").status, 410);
    first.kill();
    let second = Process::start(data.path(), &[]);
    assert_eq!(second.snapshot("a").status, 410);
    assert_eq!(second.publish("a", "progress", "{}").status, 410);
    // The deletion was the fourth entry.
    assert_eq!(second.begin("a").json()["id"], 5);
    assert_eq!(second.progress("a", 6), 6);
    second.kill();
    let third = Process::start(data.path(), &[]);
    let frames = third.follow("/api/jobs/a/events", Some(2), 2);
    assert_eq!(frames[0].event, "reset");
    assert!(frames[0].data.contains("expired"), "{frames:?}");
    assert_eq!((frames[1].id, frames[1].n()), (6, 6));
    // Who has seen the deletion has missed nothing.
    let frames = third.follow("/api/jobs/a/events", Some(4), 1);
    assert_eq!((frames[0].id, frames[0].n()), (6, 6));
}

#[test]
fn a_deletion_is_remembered_for_as_long_as_was_said_when_it_was_made() {
    let data = data();
    let first = Process::start(data.path(), &["--deleted-for", "1h"]);
    first.progress("a", 1);
    assert_eq!(first.delete("a").status, 204);
    first.kill();
    let second = Process::start(data.path(), &["--deleted-for", "1ms"]);
    assert_eq!(second.snapshot("a").status, 410);
    second.progress("b", 1);
    assert_eq!(second.delete("b").status, 204);
    wait_until("b is forgotten", || second.snapshot("b").status == 404);
    second.kill();
    let third = Process::start(data.path(), &["--deleted-for", "1h"]);
    assert_eq!(third.snapshot("a").status, 410);
    assert_eq!(third.snapshot("b").status, 404);
    third.progress("b", 2);
}

#[test]
fn segments_that_were_emptied_restart_no_numbers() {
    for is_killed in [false, true] {
        let data = data();
        let server = Process::start(data.path(), &[]);
        (1..=10).for_each(|id| assert_eq!(server.progress("a", id), id));
        if is_killed {
            server.kill();
        } else {
            server.stop();
        }
        for entry in std::fs::read_dir(data.path().join("journal")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "journal") {
                std::fs::write(path, "").unwrap();
            }
        }
        let server = Process::start(data.path(), &[]);
        let next = server.progress("b", 1);
        assert!(next > 10, "{next}");
        server.kill();
        let server = Process::start(data.path(), &[]);
        assert_eq!(server.progress("b", 2), next + 1);
    }
}

#[test]
fn an_id_from_the_future_is_unknown_after_a_restart_too() {
    let data = data();
    let first = Process::start(data.path(), &[]);
    first.progress("a", 1);
    first.kill();
    let second = Process::start(data.path(), &[]);
    let frames = second.follow("/api/jobs/a/events", Some(9), 2);
    assert_eq!(frames[0].event, "reset");
    assert!(frames[0].data.contains("unknown"), "{frames:?}");
    assert_eq!(frames[1].id, 1);
}

#[test]
fn a_bad_line_leaves_what_came_before_it_published_and_numbered() {
    let data = data();
    let server = Process::start(data.path(), &[]);
    let lines =
        "{\"event\":\"a\"}\n{\"event\":\"b\"}\n\n{\"event\":\"c\",\"x\":1}\n{\"event\":\"d\"}\n";
    let target = "/api/jobs/j/events";
    let kind = "application/x-ndjson";
    let answer = super::http::post(server.publish, target, kind, lines);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["line"], 4);
    assert_eq!(answer.json()["ids"], serde_json::json!([1, 2]));
    let lines =
        "{\"event\":\"a\"}\n{\"event\":\"done\"}\n{\"event\":\"late\"}\n{\"event\":\"x\"}\n";
    let answer = super::http::post(server.publish, target, kind, lines);
    assert_eq!(answer.status, 409);
    assert_eq!(answer.json()["line"], 3);
    assert_eq!(answer.json()["ids"], serde_json::json!([3, 4]));
}

#[test]
fn a_second_server_on_the_same_directory_refuses_to_start_and_says_why() {
    let data = data();
    let first = Process::start(data.path(), &[]);
    let second = command(data.path(), &[]).output().unwrap();
    assert!(!second.status.success());
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(message.contains("another server"), "{message}");
    assert!(message.contains(&first.pid().to_string()), "{message}");
    first.kill();
    Process::start(data.path(), &[]).stop();
}

#[test]
fn memory_only_touches_no_disk_and_begins_its_ids_at_the_clock() {
    let data = data();
    let inside = data.path().join("landfall-data");
    let mut command = command(&inside, &["--memory-only"]);
    let server = Process::start_with(command.current_dir(data.path()), Stdio::null());
    assert!(server.progress("a", 1) > 1_000_000_000_000_000);
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
}

#[test]
fn a_torn_end_is_cut_off_with_a_warning_and_damage_before_it_is_skipped() {
    let data = data();
    let first = Process::start(data.path(), &[]);
    (1..=20).for_each(|n| assert_eq!(first.progress("a", n), n));
    first.kill();
    let segment = data.path().join("journal/0000000001.journal");
    let mut bytes = std::fs::read(&segment).unwrap();
    let position = |n: u64| {
        let data = format!("{{\"n\":{n}}}").into_bytes();
        bytes.windows(data.len()).position(|w| w == data).unwrap()
    };
    let (tenth, last) = (position(10), position(20));
    bytes[tenth + 5] ^= 1;
    bytes.truncate(last + 3);
    std::fs::write(&segment, &bytes).unwrap();

    let mut command = command(data.path(), &[]);
    let second = Process::start_with(&mut command, Stdio::piped());
    let frames = second.follow("/api/jobs/a/events", Some(11), 8);
    let seen: Vec<_> = frames.iter().map(|frame| (frame.id, frame.n())).collect();
    assert_eq!(seen[..], (12..20).map(|n| (n, n)).collect::<Vec<_>>()[..]);
    // Who had the ninth misses the tenth, and is told.
    let frames = second.follow("/api/jobs/a/events", Some(9), 2);
    assert_eq!(frames[0].event, "reset");
    assert_eq!((frames[1].id, frames[1].n()), (11, 11));
    // Nobody knows which ids stood in what is lost.
    assert!(second.progress("a", 21) > 20);
    let log = second.stop();
    assert!(log.contains("are damaged and skipped"), "{log}");
    assert!(log.contains("its end is torn"), "{log}");
}

#[test]
fn no_id_is_given_twice_by_a_copy_that_is_older_than_what_was_given() {
    let (data, copies) = (data(), data());
    let first = Process::start(data.path(), &[]);
    (1..=20).for_each(|n| assert_eq!(first.progress("a", n), n));
    let copy = copies.path().join("copy");
    let mut cp = std::process::Command::new("cp");
    assert!(
        cp.arg("-a")
            .arg(data.path())
            .arg(&copy)
            .status()
            .unwrap()
            .success()
    );
    (21..=40).for_each(|n| assert_eq!(first.progress("a", n), n));
    first.kill();
    let second = Process::start(&copy, &[]);
    assert_eq!(second.follow("/api/jobs/a/events", None, 20)[19].n(), 20);
    let next = second.progress("a", 21);
    assert!(next > 40, "{next} has been given before");
    // The copy goes on from there as any does, also where it is moved.
    second.kill();
    let moved = copies.path().join("moved");
    std::fs::rename(&copy, &moved).unwrap();
    let third = Process::start(&moved, &[]);
    assert_eq!(third.progress("a", 22), next + 1);
}

#[test]
fn no_id_is_given_twice_where_the_end_is_lost_though_the_host_went_on() {
    for (lost_bytes, ends_by_itself) in [(500, false), (1500, true)] {
        let data = data();
        let first = Process::start(data.path(), &[]);
        (1..=100).for_each(|n| assert_eq!(first.progress("a", n), n));
        if ends_by_itself {
            first.stop();
        } else {
            first.kill();
        }
        let segment = data.path().join("journal/0000000001.journal");
        let mut bytes = std::fs::read(&segment).unwrap();
        bytes.truncate(bytes.len() - lost_bytes);
        std::fs::write(&segment, &bytes).unwrap();

        let second = Process::start(data.path(), &[]);
        let next = second.progress("a", 101);
        assert!(next > 100, "{next} has been given before");
        // Whoever had what is lost is told, also when as many have come since.
        (102..=200).for_each(|n| assert!(second.progress("a", n) > next));
        let reset = &second.follow("/api/jobs/a/events", Some(100), 1)[0];
        assert_eq!(reset.event, "reset");
        assert!(reset.data.contains(r#""reason":"unknown""#), "{reset:?}");
    }
}
