use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::json;

use super::hub::{Hub, landfall, text};
use super::process::Start;

fn publish<const N: usize>(hub: &Hub, args: [&str; N], input: &str) -> Output {
    let mut command = hub.command(args);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.start();
    process
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    process.wait_with_output()
}

#[test]
fn one_event_from_the_command_line() {
    let hub = Hub::start();
    let data = r#"{"stage": "scanning", "percent": 30}"#;
    assert!(
        hub.output(["publish", "a", "progress", data])
            .status
            .success()
    );
    assert!(hub.output(["publish", "a", "done", "{}"]).status.success());
    let progress = json!({"jobId": "a", "stage": "scanning", "percent": 30});
    let done = json!({"jobId": "a"});
    assert_eq!(
        hub.events("a"),
        [("progress".into(), progress), ("done".into(), done)]
    );
}

#[test]
fn each_line_of_stdin_is_the_data_of_an_event_or_a_whole_event() {
    let hub = Hub::start();
    let many: String = (0..1000).map(|i| format!("{{\"i\":{i}}}\n")).collect();
    assert!(
        publish(&hub, ["publish", "a", "note", "-"], &many)
            .status
            .success()
    );
    let end = "{\"event\":\"note\",\"data\":{\"i\":1000}}\n{\"event\":\"done\",\"data\":{}}";
    assert!(publish(&hub, ["publish", "a", "-"], end).status.success());
    let events = hub.events("a");
    let numbers: Vec<_> = events
        .iter()
        .filter_map(|(_, data)| data["i"].as_u64())
        .collect();
    // The hub keeps 256 events.
    assert_eq!(numbers, (746..=1000).collect::<Vec<_>>());
    assert_eq!(events.last().unwrap().0, "done");
}

#[test]
fn whole_events_are_what_the_hub_takes_in_a_line() {
    let hub = Hub::start();
    let lines = "{\"event\":\"note\",\"lease\":\"30s\"}\n{\"lease\":\"30s\"}\n\
                 {\"event\":\"note\",\"key\":\"k\"}\n{\"event\":\"note\",\"key\":\"k\"}\n\
                 {\"event\":\"done\"}\n";
    let output = publish(&hub, ["publish", "a", "-"], lines);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let events = hub.events("a").into_iter();
    let names: Vec<_> = events.map(|(name, _)| name).collect();
    assert_eq!(names, ["note", "note", "done"]);
}

#[test]
fn a_refusal_is_told_in_the_words_of_the_hub() {
    let hub = Hub::start();
    hub.output(["publish", "a", "done", "{}"]);
    let output = hub.output(["publish", "a", "progress", "{}"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("(status 409)"),
        "{}",
        text(&output.stderr)
    );
    let output = publish(&hub, ["publish", "a", "progress", "-"], "{}\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("(status 409)"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn what_comes_before_a_wrong_line_is_published_and_its_number_is_told() {
    let hub = Hub::start();
    let output = publish(
        &hub,
        ["publish", "a", "note", "-"],
        "{\"n\":1}\n\n[]\n{\"n\":2}\n",
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("stdin, line 3: "),
        "{}",
        text(&output.stderr)
    );
    hub.output(["publish", "a", "done", "{}"]);
    assert_eq!(hub.events("a")[0].1, json!({"jobId": "a", "n": 1}));
    assert_eq!(hub.events("a").len(), 2);
}

#[test]
fn a_wrong_call_is_refused_before_anything_is_sent() {
    for (args, wrong) in [
        (["publish", "a/b", "x", "{}"], "JOB a/b: "),
        (["publish", "a", "x y", "{}"], "EVENT x y: "),
        (["publish", "a", "reset", "{}"], "EVENT reset: "),
        (["publish", "a", "deleted", "-"], "EVENT deleted: "),
        (["publish", "a", "x", "5"], "JSON 5: "),
        (["publish", "a", "x", "{"], "JSON {: "),
    ] {
        let output = landfall(args).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let told = text(&output.stderr);
        assert!(told.contains(wrong), "{args:?}: {told}");
    }
}

#[test]
fn without_json_the_data_is_empty_and_stdin_is_left_alone() {
    let hub = Hub::start();
    // Nothing comes, and nothing ends.
    let mut publish = hub.command(["publish", "a", "note"]);
    let mut publish = publish.stdin(Stdio::piped()).start();
    assert!(publish.wait().unwrap().success());
    assert!(hub.output(["publish", "a", "done"]).status.success());
    let data = json!({"jobId": "a"});
    assert_eq!(
        hub.events("a"),
        [("note".into(), data.clone()), ("done".into(), data)]
    );
}

#[test]
fn without_an_event_whole_ones_come_from_stdin() {
    let hub = Hub::start();
    let line = r#"{"event":"done","data":{}}"#;
    assert!(publish(&hub, ["publish", "a"], line).status.success());
    assert_eq!(hub.events("a").len(), 1);
}
