use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::hub::{Hub, text, wait_until};
use super::process::Start;

#[test]
fn a_job_is_told_a_line_per_change_until_its_end() {
    let hub = Hub::start();
    let progress = r#"{"stage":"transcoding","percent":43}"#;
    for _ in 0..2 {
        hub.output(["publish", "a", "progress", progress]);
    }
    hub.output(["publish", "a", "note", r#"{"n":1}"#]);
    hub.output(["publish", "a", "done", "{}"]);
    let output = hub.output(["watch", "a"]);
    assert_eq!(output.status.code(), Some(0));
    let expected = "a transcoding 43%\na note {\"jobId\":\"a\",\"n\":1}\na done\n";
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn many_jobs_are_followed_on_one_stream_and_one_error_is_the_exit_code() {
    let hub = Hub::start();
    hub.output(["publish", "a", "done", "{}"]);
    hub.output(["publish", "b", "error", r#"{"message":"disk full"}"#]);
    let output = hub.output(["watch", "a", "b"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "a done\nb error: disk full\n");
}

#[test]
fn a_deletion_is_an_end_and_what_begins_anew_is_followed_while_others_go_on() {
    let hub = Hub::start();
    for job in ["a", "b"] {
        hub.output(["publish", job, "progress", r#"{"percent":1}"#]);
    }
    let mut watch = hub.command(["watch", "a", "b"]);
    let mut watch = watch.stdout(Stdio::piped()).start();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert_eq!([line(), line()], ["a 1%", "b 1%"]);
    hub.ask("DELETE", "a");
    assert_eq!(line(), "a deleted");
    hub.ask("PUT", "a");
    hub.output(["publish", "a", "progress", r#"{"percent":2}"#]);
    assert_eq!(line(), "a 2%");
    hub.output(["publish", "a", "done", "{}"]);
    assert_eq!(line(), "a done");
    hub.ask("DELETE", "b");
    assert_eq!(line(), "b deleted");
    assert_eq!(watch.wait().unwrap().code(), Some(1));
    // Also where it had been deleted before.
    let output = hub.output(["watch", "b"]);
    assert_eq!(text(&output.stdout), "b deleted\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_is_lost_of_the_past_is_told() {
    let hub = Hub::start();
    let mut publish = hub.command(["publish", "a", "note", "-"]);
    let lines: String = (0..300).map(|i| format!("{{\"i\":{i}}}\n")).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lines");
    std::fs::write(&path, lines).unwrap();
    assert!(
        publish
            .stdin(std::fs::File::open(path).unwrap())
            .status()
            .unwrap()
            .success()
    );
    hub.output(["publish", "a", "done", "{}"]);
    assert!(text(&hub.output(["watch", "a"]).stdout).ends_with("\na done\n"));
}

#[test]
fn a_watch_outlives_its_hub_and_goes_on_with_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.sock");
    let hub = Hub::start_at(&path);
    let mut watch = hub.command(["watch", "a"]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).start();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    hub.output(["publish", "a", "progress", r#"{"percent":1}"#]);
    assert_eq!(lines.next().unwrap().unwrap(), "a 1%");
    drop(hub);
    std::fs::remove_file(&path).unwrap_or_default();
    let hub = Hub::start_at(&path);
    hub.output(["publish", "a", "done", "{}"]);
    // The new hub knows that the id is of another life, and says so.
    assert_eq!(
        lines.next().unwrap().unwrap(),
        "a reset: events before this are no longer kept (unknown)"
    );
    assert_eq!(lines.next().unwrap().unwrap(), "a done");
    wait_until("end of the watch", || watch.try_wait().unwrap().is_some());
}

#[test]
fn a_watch_ends_when_its_reader_goes_though_nothing_happens() {
    let hub = Hub::start();
    hub.output(["publish", "a", "progress", r#"{"percent":1}"#]);
    let mut watch = hub.command(["watch", "a"]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).start();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "a 1%");
    drop(lines);
    let output = watch.wait_with_output();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_wrong_call_is_refused() {
    let hub = Hub::start();
    assert_eq!(hub.output(["watch"]).status.code(), Some(2));
    assert_eq!(hub.output(["watch", "a/b"]).status.code(), Some(2));
    assert_eq!(hub.output(["watch", "a", "--all"]).status.code(), Some(2));
    assert_eq!(
        hub.output(["watch", "--all", "--prefix=a"]).status.code(),
        Some(2)
    );
    // On the public listener, nobody is told which jobs there are.
    let mut public = hub.command(["watch", "--all"]);
    let output = public.env("LANDFALL_HUB", &hub.public).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("(status 403)"), "{output:?}");
}

#[test]
fn all_jobs_are_told_a_line_per_change_from_now_on() {
    let hub = Hub::start();
    hub.output(["publish", "old", "done", "{}"]);
    hub.output(["publish", "user1.a", "progress", r#"{"percent":1}"#]);
    hub.output(["publish", "user2.a", "progress", r#"{"percent":2}"#]);
    let follow = |arguments: &[&str]| {
        let mut watch = hub.command(["watch"]);
        let mut watch = watch.args(arguments).stdout(Stdio::piped()).start();
        (BufReader::new(watch.stdout.take().unwrap()).lines(), watch)
    };
    let (mut all, mut first) = follow(&["--all"]);
    let (mut some, mut second) = follow(&["--prefix", "user1."]);
    let mut line = || all.next().unwrap().unwrap();
    let mut line_of_some = || some.next().unwrap().unwrap();
    assert_eq!([line(), line()], ["user1.a 1%", "user2.a 2%"]);
    assert_eq!(line_of_some(), "user1.a 1%");
    hub.output(["publish", "user2.b", "done", "{}"]);
    hub.output(["publish", "user1.b", "progress", r#"{"percent":3}"#]);
    hub.ask("DELETE", "user1.a");
    assert_eq!(
        [line(), line(), line()],
        ["user2.b done", "user1.b 3%", "user1.a deleted"]
    );
    assert_eq!(
        [line_of_some(), line_of_some()],
        ["user1.b 3%", "user1.a deleted"]
    );
    for watch in [&mut first, &mut second] {
        watch.kill().unwrap();
        watch.wait().unwrap();
    }
}
