//! Leases outlive the process that granted them.

use std::time::{Duration, Instant};

use super::http::{Answer, ask, post, wait_until};
use super::retention::publish_until_checkpoint;
use super::support::Process;

fn say(server: &Process, job: &str, body: &str) -> Answer {
    let target = format!("/api/jobs/{job}/events");
    post(server.publish, &target, "application/json", body)
}

fn begin(server: &Process, job: &str, lease: &str) -> Answer {
    let body = format!(r#"{{"lease":"{lease}"}}"#);
    let length = format!("Content-Length: {}", body.len());
    let target = format!("/api/jobs/{job}");
    ask(server.publish, "PUT", &target, &[&length], &body)
}

fn state(server: &Process, job: &str) -> String {
    let state = server.snapshot(job).json()["state"].clone();
    state.as_str().unwrap_or_default().to_owned()
}

/// Jobs whose leases were granted in each of the ways there are.
fn grant(server: &Process, lease: &str) {
    let event = format!(r#"{{"event":"progress","data":{{}},"lease":"{lease}"}}"#);
    assert_eq!(say(server, "event", &event).status, 201);
    assert_eq!(begin(server, "begun", lease).status, 201);
    server.progress("renewed", 1);
    let renewal = format!(r#"{{"lease":"{lease}"}}"#);
    assert_eq!(say(server, "renewed", &renewal).status, 200);
    assert_eq!(say(server, "ended", &event).status, 201);
    server.progress("ended", 1);
}

const GRANTED: [&str; 3] = ["event", "begun", "renewed"];

#[test]
fn a_lease_that_ran_out_while_the_server_was_down_ends_its_job_a_lease_after_the_start() {
    let ended = |is_killed: bool| {
        let data = tempfile::tempdir().unwrap();
        let first = Process::start(data.path(), &[]);
        grant(&first, "5s");
        if is_killed {
            first.kill();
        } else {
            first.stop();
        }
        std::thread::sleep(Duration::from_millis(5200));
        let started = Instant::now();
        let second = Process::start(data.path(), &[]);
        for job in GRANTED {
            assert_eq!(state(&second, job), "running", "{job}");
        }
        // Who can be heard again is heard.
        assert_eq!(say(&second, "renewed", r#"{"lease":"1h"}"#).status, 200);
        for job in ["event", "begun"] {
            wait_until("it has ended", || state(&second, job) == "error");
            assert!(started.elapsed() >= Duration::from_secs(5));
            let end = second.snapshot(job).json()["lastEvent"].clone();
            assert_eq!(end["data"]["reason"], "stalled", "{end}");
            assert_eq!(end["data"]["message"], "no word from the worker for 5 s");
        }
        assert_eq!(state(&second, "renewed"), "running");
        assert_eq!(state(&second, "ended"), "running");
        let ended = second.snapshot("event").json();
        let after = ended["lastEventId"].as_str().unwrap().parse().unwrap();
        second.kill();
        // What a lease has ended stays so, and is there to be read.
        let third = Process::start(data.path(), &[]);
        assert_eq!(third.snapshot("event").json(), ended);
        let frames = third.follow("/api/jobs/event/events", Some(after - 1), 1);
        assert_eq!((&*frames[0].event, frames[0].id), ("error", after));
    };
    std::thread::scope(|scope| {
        for is_killed in [true, false] {
            scope.spawn(move || ended(is_killed));
        }
    });
}

#[test]
fn a_lease_survives_the_loss_of_the_segments_that_it_stood_in() {
    let data = tempfile::tempdir().unwrap();
    let flags = ["--journal-bytes", "4MiB"];
    let first = Process::start(data.path(), &flags);
    grant(&first, "15s");
    let renewals = "{\"job\":\"event\",\"lease\":\"15s\"}\n{\"job\":\"begun\",\"lease\":\"15s\"}\n\
        {\"job\":\"renewed\",\"lease\":\"15s\"}\n";
    publish_until_checkpoint(data.path(), &first, renewals);
    first.kill();
    let second = Process::start(data.path(), &flags);
    let states = GRANTED.map(|job| state(&second, job));
    assert_eq!(states, ["running"; 3]);
    for job in GRANTED {
        wait_until("it has ended", || state(&second, job) == "error");
    }
    assert_eq!(state(&second, "ended"), "running");
    assert_eq!(state(&second, "other"), "running");
}
