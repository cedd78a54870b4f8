//! Commands whose jobs somebody wants to have an end, or whose host died.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::hub::{Hub, landfall, text};
use super::process::{Process, Start};

fn spawn(hub: &Hub, arguments: &[&str]) -> Process {
    let mut command = hub.command(["run", "--job"]);
    let command = command.args(arguments).stdin(Stdio::null());
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.start()
}

/// The exit code and what was said.
fn end(mut run: Process) -> (Option<i32>, String) {
    let mut said = String::new();
    let stderr = run.stderr.as_mut().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    (run.wait().unwrap().code(), said)
}

fn last(hub: &Hub, job: &str) -> (String, Value) {
    hub.events(job).pop().unwrap()
}

fn assert_cancelled(hub: &Hub, job: &str) {
    let (event, data) = last(hub, job);
    assert_eq!((&*event, &data["reason"]), ("error", &"cancelled".into()));
    assert_eq!(data["message"], "the job was cancelled");
}

#[test]
fn a_command_whose_job_is_cancelled_is_ended_and_so_is_its_job() {
    let hub = Hub::start();
    let talks = "i=0; while :; do i=$((i % 90 + 1)); echo $i%; sleep 0.02; done";
    let polite = format!("trap 'exit 0' TERM; {talks}");
    for (job, script, code) in [
        ("talks", talks, 128 + 15),
        ("silent", "echo 1%; exec sleep 600", 128 + 15),
        // Its work isn't done, whatever its exit code says.
        ("polite", &polite, 0),
    ] {
        let run = spawn(&hub, &[job, "--", "sh", "-c", script]);
        hub.wait_for_percent(job, 1);
        assert!(hub.output(["cancel", job]).status.success());
        let (ended, said) = end(run);
        assert_eq!(ended, Some(code), "{said}");
        assert_eq!(
            said.trim_end(),
            "landfall run: the job was cancelled: the command gets SIGTERM"
        );
        assert_cancelled(&hub, job);
    }
}

#[test]
fn what_the_command_has_started_ends_with_it_and_a_daemon_lives_on() {
    let hub = Hub::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let script = "
        (sh -c 'echo $$ > child; sleep 600; exit 1'; echo next > next) &
        (sh -c 'trap \"echo told > told; exit\" TERM; echo $$ > polite; while :; do sleep 0.02; done') &
        (setsid sh -c 'echo $$ > daemon; exec sleep 600' >/dev/null 2>&1 &)
        while [ ! -s child ] || [ ! -s polite ] || [ ! -s daemon ]; do sleep 0.02; done
        echo 1%; wait";
    for end in ["cancel", "delete"] {
        let mut command = hub.command(["run", "--begin", "--job", "a", "--", "sh", "-c", script]);
        let command = command.current_dir(folder.path()).stdin(Stdio::null());
        let run = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .start();
        hub.wait_for_percent("a", 1);
        let pid = |name: &str| {
            let pid = std::fs::read_to_string(path(name)).unwrap();
            Pid::from_raw(pid.trim().parse().unwrap()).unwrap()
        };
        let lives = |name: &str| {
            let stat = format!("/proc/{}/stat", pid(name).as_raw_nonzero());
            std::fs::read_to_string(stat).is_ok_and(|stat| !stat.contains(") Z "))
        };
        assert!(hub.output([end, "a"]).status.success());
        let (ended, said) = self::end(run);
        assert_eq!(ended, Some(128 + 15), "{said}");
        assert!(!lives("child") && !lives("polite"), "{end}: they live on");
        assert!(path("told").exists(), "it wasn't asked first");
        assert!(!path("next").exists(), "the shell went on");
        let is_daemon_there = lives("daemon");
        kill_process(pid("daemon"), Signal::KILL).unwrap();
        assert!(is_daemon_there, "the daemon was ended");
        for name in ["child", "polite", "told", "daemon"] {
            std::fs::remove_file(path(name)).unwrap();
        }
    }
}

#[test]
fn a_command_that_ignores_sigterm_is_killed_with_what_it_has_started_after_one_grace() {
    let hub = Hub::start();
    let script = "trap '' TERM; (sleep 600) & echo 1%; sleep 600; sleep 600";
    let run = spawn(&hub, &["a", "--", "sh", "-c", script]);
    hub.wait_for_percent("a", 1);
    let began = Instant::now();
    assert!(hub.output(["delete", "a"]).status.success());
    assert_eq!(end(run).0, Some(128 + 9));
    let took = began.elapsed();
    assert!(took > Duration::from_secs(8), "{took:?}");
    assert!(took < Duration::from_secs(19), "{took:?}");
}

#[test]
fn a_job_that_was_cancelled_before_ends_no_command_that_is_started_after_that() {
    let hub = Hub::start();
    hub.output(["publish", "a", "progress"]);
    hub.output(["cancel", "a"]);
    let reason = r#"{"reason":"cancelled","message":"the job was cancelled"}"#;
    hub.output(["publish", "a", "error", reason]);
    let (code, said) = end(spawn(&hub, &["a", "--", "sh", "-c", "sleep 3; exit 9"]));
    assert_eq!(code, Some(9), "{said}");
    assert!(said.contains("--begin begins it anew"), "{said}");
    let run = spawn(&hub, &["a", "--begin", "--", "sh", "-c", "exit 8"]);
    assert_eq!(end(run).0, Some(8));
    assert_eq!(last(&hub, "a").1["message"], "sh: exit status 8");
}

#[test]
fn a_job_that_the_hub_has_ended_before_its_command_costs_no_warning() {
    let hub = Hub::with(&["--cancel-grace", "1ms"]);
    let script = "trap 'sleep 0.5; exit 3' TERM; echo 1%; while :; do sleep 0.05; done";
    let run = spawn(&hub, &["a", "--", "sh", "-c", script]);
    hub.wait_for_percent("a", 1);
    hub.output(["cancel", "a"]);
    let (code, said) = end(run);
    assert_eq!(code, Some(3));
    assert!(!said.contains("not published"), "{said}");
    assert_cancelled(&hub, "a");
}

#[test]
fn the_lease_of_a_silent_command_is_kept_and_ends_its_job_when_nobody_does() {
    let hub = Hub::start();
    let mut killed = spawn(
        &hub,
        &[
            "b",
            "--lease=4s",
            "--",
            "sh",
            "-c",
            "echo $$; exec sleep 600",
        ],
    );
    let mut pid = String::new();
    let mut stdout = BufReader::new(killed.stdout.as_mut().unwrap());
    stdout.read_line(&mut pid).unwrap();
    hub.wait_for_percent("b", 0);
    let output = hub.output(["run", "--job", "a", "--lease=4s", "--", "sleep", "8.5"]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(last(&hub, "a").0, "done");
    // The other was silent for just as long.
    killed.kill().unwrap();
    killed.wait().unwrap();
    let (event, data) = last(&hub, "b");
    assert_eq!((&*event, &data["reason"]), ("error", &"stalled".into()));
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

#[test]
fn a_job_that_begins_anew_has_its_lease_from_the_first() {
    let hub = Hub::start();
    let begun = hub.output(["run", "--begin", "--job", "a", "--lease", "1m 30s", "true"]);
    assert!(begun.status.success());
    assert_eq!(last(&hub, "a").0, "done");
}

#[test]
fn a_lease_that_is_none_is_refused_before_anything_is_run() {
    for (lease, part) in [
        ("0s", "give 1s at least"),
        ("365d", "give 24h at most"),
        ("30", "and a unit, as 500ms"),
    ] {
        let output = landfall(["run", "--lease", lease, "--", "echo", "x"]).output();
        let output = output.unwrap();
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
        let said = text(&output.stderr);
        assert!(said.contains(part), "{said}");
    }
}
