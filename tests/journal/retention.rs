//! The journal stays within its limits, and says what it let go.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use super::http::{post, wait_until};
use super::support::{Frame, Process, is_taken};

const LIMIT: u64 = 4 << 20;

fn size(data: &Path) -> u64 {
    // What goes and what comes while it is looked at would both count.
    let mut before = lengths(data);
    loop {
        let after = lengths(data);
        if after == before {
            return after.values().sum();
        }
        before = after;
    }
}

fn lengths(data: &Path) -> BTreeMap<OsString, u64> {
    let files = std::fs::read_dir(data.join("journal")).unwrap();
    let files = files.map(|file| file.unwrap());
    files
        .filter_map(|file| Some((file.file_name(), file.metadata().ok()?.len())))
        .collect()
}

/// Publishes `lines`, and half a megabyte of another job with it, until there is a checkpoint,
/// which stands for segments that have gone.
pub fn publish_until_checkpoint(data: &Path, server: &Process, lines: &str) {
    let padding = "x".repeat(1000);
    let line = format!("{{\"job\":\"other\",\"event\":\"p\",\"data\":{{\"p\":\"{padding}\"}}}}\n");
    let lines = format!("{lines}{}", line.repeat(500));
    wait_until("there is a checkpoint", || {
        server.publish_where_room_is_made("/api/events", &lines);
        let mut files = std::fs::read_dir(data.join("journal")).unwrap();
        files.any(|file| file.unwrap().path().extension() == Some("checkpoint".as_ref()))
    });
}

/// Publishes `events` of about a kilobyte.
fn fill(server: &Process, job: &str, events: u64) {
    let padding = "x".repeat(1000);
    let line = format!("{{\"event\":\"progress\",\"data\":{{\"p\":\"{padding}\"}}}}\n");
    for _ in 0..events / 100 {
        let target = format!("/api/jobs/{job}/events");
        server.publish_where_room_is_made(&target, &line.repeat(100));
    }
}

#[test]
fn the_oldest_events_go_at_the_limit_but_no_jobs_newest_and_no_id_comes_twice() {
    let data = tempfile::tempdir().unwrap();
    let flags = ["--journal-bytes", "4MiB", "--ring-events", "8"];
    let first = Process::start(data.path(), &flags);
    // A job that has nothing to say while others fill the journal three times over.
    first.progress("silent", 1);
    first.progress("silent", 2);
    for _ in 0..12 {
        fill(&first, "loud", 1000);
        assert!(size(data.path()) <= LIMIT, "{}", size(data.path()));
    }
    let oldest = |server: &Process| {
        let target = "/api/jobs/loud/events";
        let is_event = |frames: &[Frame]| frames.last().is_some_and(|f| f.event != "reset");
        let frames = server.follow_until(target, Some(1), is_event);
        // There may be a second one, if more goes meanwhile.
        let (first, resets) = frames.split_last().unwrap();
        assert!(!resets.is_empty());
        let is_expired = |frame: &Frame| frame.data.contains("expired");
        assert!(resets.iter().all(is_expired), "{frames:?}");
        assert_eq!(first.id, resets.last().unwrap().id + 1);
        first.id
    };
    let frames = first.follow("/api/jobs/silent/events", Some(1), 1);
    assert_eq!((frames[0].id, frames[0].n()), (2, 2));
    // All that is kept is there, in one piece.
    let is_newest = |frames: &[Frame]| frames.last().is_some_and(|frame| frame.id == 12_002);
    let replay = || first.follow_until("/api/jobs/loud/events", None, is_newest);
    let mut frames = replay();
    // What went while it was read is said, too: then it is read again.
    let said = |frames: &[Frame]| frames.iter().any(|frame| frame.event == "reset");
    wait_until("nothing goes any more", || {
        let went = said(&frames);
        if went {
            frames = replay();
        }
        !went
    });
    let kept = frames.len() as u64;
    assert!((1000..4000).contains(&kept), "{kept}");
    let ids: Vec<u64> = frames.iter().map(|frame| frame.id).collect();
    assert_eq!(ids, (12_003 - kept..=12_002).collect::<Vec<_>>());
    let before = first.snapshot("silent").json();
    first.kill();

    let second = Process::start(data.path(), &flags);
    assert_eq!(second.snapshot("silent").json(), before);
    // What was just going when it was killed may be there once more.
    assert!(oldest(&second) > 8000);
    let newest = second.progress("silent", 3);
    assert!(newest > 12_002, "{newest}");
    assert!(second.progress("loud", 1) > newest);
    let frames = second.follow("/api/events", Some(0), 2);
    assert_eq!(frames[0].event, "reset");
}

#[test]
fn jobs_that_ended_first_are_forgotten_beyond_their_limit_and_take_their_events_along() {
    let data = tempfile::tempdir().unwrap();
    let flags = ["--journal-bytes", "4MiB", "--journal-jobs", "5"];
    let first = Process::start(data.path(), &flags);
    for job in 0..20 {
        let job = format!("job{job}");
        fill(&first, &job, 100);
        first.publish(&job, "done", "{}");
    }
    wait_until("the first 15 are forgotten", || {
        first.snapshot("job14").status == 404
    });
    assert_eq!(first.snapshot("job15").status, 200);
    wait_until("their events are gone from disk", || {
        size(data.path()) < 1 << 20
    });
    first.kill();
    let second = Process::start(data.path(), &flags);
    assert_eq!(second.snapshot("job14").status, 404);
    assert_eq!(second.snapshot("job15").status, 200);
    // Begun again, they go on above every number there was.
    for job in 0..15 {
        assert!(second.progress(&format!("job{job}"), 1) > 20 * 101);
    }
}

#[test]
fn jobs_that_ended_long_ago_are_forgotten() {
    let data = tempfile::tempdir().unwrap();
    let server = Process::start(data.path(), &["--journal-age", "1s"]);
    server.progress("running", 1);
    server.progress("ended", 1);
    server.publish("ended", "done", "{}");
    assert_eq!(server.snapshot("ended").status, 200);
    wait_until("it is forgotten", || server.snapshot("ended").status == 404);
    assert_eq!(server.snapshot("running").status, 200);
}

#[test]
fn jobs_that_have_ended_go_before_anything_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = Process::start(data.path(), &["--journal-bytes", "4MiB"]);
    // All that is kept is each job's newest event.
    let padding = format!("{{\"p\":\"{}\"}}", "x".repeat(60_000));
    for job in 0..150 {
        wait_until("there is room", || {
            let began = Instant::now();
            let answer = server.publish(&format!("job{job}"), "done", &padding);
            is_taken(&answer, began)
        });
    }
    assert_eq!(server.snapshot("job149").status, 200);
    wait_until("the first are forgotten", || {
        server.snapshot("job0").status == 404
    });
    assert!(size(data.path()) <= LIMIT);
}

#[test]
fn running_jobs_alone_can_fill_the_journal_and_their_ends_and_deletions_make_room() {
    let data = tempfile::tempdir().unwrap();
    let flags = ["--journal-bytes", "4MiB"];
    let server = Process::start(data.path(), &flags);
    // Each keeps its newest event, and those fill the half of it: the next checkpoint has
    // to fit beside what there is.
    let padding = "x".repeat(60_000);
    let publish = |job: u32| {
        server.publish(
            &format!("job{job}"),
            "a",
            &format!("{{\"p\":\"{padding}\"}}"),
        )
    };
    let full = (0..200).find(|&job| publish(job).status != 201).unwrap();
    assert!(full > 25, "{full}");
    let answer = publish(full);
    assert_eq!(answer.status, 507, "{answer:?}");
    assert_eq!(answer.field("Retry-After"), Some("5"));
    assert!(answer.body.contains("--journal-bytes"), "{answer:?}");
    // It is known that no room can be made, so nobody waits five seconds for it.
    let began = Instant::now();
    (0..10).for_each(|_| assert_eq!(publish(full).status, 507));
    assert!(began.elapsed() < Duration::from_secs(25));
    assert!(size(data.path()) <= LIMIT);
    let ready = server.ops("/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("no room"), "{ready:?}");
    // Streams and snapshots go on.
    assert_eq!(server.follow("/api/jobs/job1/events", None, 1).len(), 1);

    // Nothing that adds to it is let in, and nobody new: that would not be room made.
    assert_eq!(server.publish("job1", "progress", "{}").status, 507);
    assert_eq!(server.publish("new", "done", "{}").status, 507);

    // A job that has ended can go for others.
    for job in 0..10 {
        let answer = server.publish(&format!("job{job}"), "done", "{}");
        assert_eq!(answer.status, 201, "{job}: {answer:?}");
    }
    let publish_with_room = |job| {
        wait_until("there is room", || {
            let began = Instant::now();
            is_taken(&publish(job), began)
        });
    };
    publish_with_room(full);
    wait_until("it says so", || server.ops("/readyz").status == 200);
    (10..20).for_each(|job| assert_eq!(server.delete(&format!("job{job}")).status, 204));
    (full + 1..full + 8).for_each(publish_with_room);
    assert!(size(data.path()) <= LIMIT);
}

#[test]
fn a_lease_runs_out_where_the_journal_is_full() {
    let data = tempfile::tempdir().unwrap();
    let server = Process::start(data.path(), &["--journal-bytes", "4MiB"]);
    let padding = "x".repeat(60_000);
    let body = format!(r#"{{"event":"a","data":{{"p":"{padding}"}},"lease":"2s"}}"#);
    // Their workers go. Nobody has to delete what they leave: it ends, and makes room.
    for job in 0..80 {
        let target = format!("/api/jobs/job{job}/events");
        wait_until("there is room", || {
            post(server.publish, &target, "application/json", &body).status == 201
        });
    }
    assert!(size(data.path()) <= LIMIT);
}

#[test]
fn restarts_leave_no_heap_of_small_segments() {
    let data = tempfile::tempdir().unwrap();
    for n in 1..=12 {
        let server = Process::start(data.path(), &[]);
        assert_eq!(server.progress("a", n), n);
        server.kill();
    }
    let server = Process::start(data.path(), &[]);
    let segments = || {
        std::fs::read_dir(data.path().join("journal"))
            .unwrap()
            .count()
    };
    assert_eq!(server.follow("/api/jobs/a/events", None, 12).len(), 12);
    wait_until("they are merged", || segments() <= 3);
    server.progress("a", 13);
    server.kill();
    let server = Process::start(data.path(), &["--ring-events", "2"]);
    let frames = server.follow("/api/jobs/a/events", Some(1), 12);
    let seen: Vec<_> = frames.iter().map(|frame| (frame.id, frame.n())).collect();
    assert_eq!(seen, (2..=13).map(|n| (n, n)).collect::<Vec<_>>());
}
