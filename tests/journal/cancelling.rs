//! What was cancelled stays cancelled over a restart.

use std::time::{Duration, Instant};

use super::http::{ask, wait_until};
use super::support::Process;

fn cancel(server: &Process, job: &str) -> u16 {
    let target = format!("/api/jobs/{job}/cancel");
    let length = ["Content-Length: 0"];
    ask(server.publish, "POST", &target, &length, "").status
}

fn state(server: &Process, job: &str) -> String {
    let state = server.snapshot(job).json()["state"].clone();
    state.as_str().unwrap_or_default().to_owned()
}

fn is_told(server: &Process, job: &str) -> bool {
    let answer = server.publish(job, "progress", "{}");
    answer.json()["cancelled"] == true
}

#[test]
fn a_grace_that_ran_out_while_the_server_was_down_is_given_again() {
    let ended = |is_killed: bool| {
        let data = tempfile::tempdir().unwrap();
        let flags = ["--cancel-grace", "4s"];
        let first = Process::start(data.path(), &flags);
        first.progress("a", 1);
        first.progress("b", 1);
        assert_eq!(cancel(&first, "a"), 202);
        if is_killed {
            first.kill();
        } else {
            first.stop();
        }
        std::thread::sleep(Duration::from_millis(4200));
        let started = Instant::now();
        // The grace is what it was when the job was cancelled.
        let second = Process::start(data.path(), &["--cancel-grace", "1h"]);
        assert!(is_told(&second, "a"));
        assert!(!is_told(&second, "b"));
        wait_until("a has ended", || state(&second, "a") == "error");
        assert!(started.elapsed() >= Duration::from_secs(4));
        let end = second.snapshot("a").json()["lastEvent"].clone();
        assert_eq!(end["data"]["reason"], "cancelled", "{end}");
        assert!(is_told(&second, "a"), "also when it has ended");
        second.kill();
        let third = Process::start(data.path(), &flags);
        assert_eq!(third.snapshot("a").json()["lastEvent"], end);
        assert_eq!(cancel(&third, "a"), 409);
        assert_eq!(state(&third, "b"), "running");
    };
    std::thread::scope(|scope| {
        for is_killed in [true, false] {
            scope.spawn(move || ended(is_killed));
        }
    });
}

#[test]
fn a_cancellation_survives_the_loss_of_the_segments_that_it_stood_in() {
    let data = tempfile::tempdir().unwrap();
    let flags = ["--journal-bytes", "4MiB", "--cancel-grace", "1h"];
    let first = Process::start(data.path(), &flags);
    first.progress("a", 1);
    assert_eq!(cancel(&first, "a"), 202);
    let checkpoint = || {
        let files = std::fs::read_dir(data.path().join("journal")).unwrap();
        let mut names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.any(|name| name.ends_with(".checkpoint"))
    };
    let padding = "x".repeat(1000);
    let line = format!("{{\"job\":\"other\",\"event\":\"p\",\"data\":{{\"p\":\"{padding}\"}}}}\n");
    let many = line.repeat(500);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !checkpoint() {
        assert!(Instant::now() < deadline, "there is no checkpoint");
        first.publish_where_room_is_made("/api/events", &many);
    }
    first.kill();
    let second = Process::start(data.path(), &flags);
    assert!(is_told(&second, "a"));
    assert!(!is_told(&second, "other"));
}
