//! Jobs listed, deleted and tried again.

use std::process::{Output, Stdio};

use serde_json::Value;

use super::hub::{Hub, landfall, text};

fn publish(hub: &Hub, job: &str, event: &str, data: &str) {
    let output = hub.output(["publish", job, event, data]);
    assert!(output.status.success(), "{output:?}");
}

fn listed(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

#[test]
fn a_list_is_a_table_with_the_newest_job_first() {
    let hub = Hub::start();
    let title = "JOB  STATE  STREAMS  AGO  NEWEST EVENT\n";
    assert_eq!(listed(&hub.output(["list"])), title);
    publish(
        &hub,
        "user1.a",
        "progress",
        r#"{"stage":"scanning","percent":43}"#,
    );
    publish(&hub, "user1.long-name", "done", "{}");
    publish(
        &hub,
        "user2.a",
        "error",
        r#"{"message":"disk\u001b[2J full"}"#,
    );
    let output = hub.output(["list"]);
    // Both digits of the age's seconds may be there.
    let rows: Vec<Vec<&str>> = listed(&output)
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    assert_eq!(rows[0], ["JOB", "STATE", "STREAMS", "AGO", "NEWEST EVENT"]);
    let without_age = |row: &[&str]| [row[0], row[1], row[2], row[4]].join("|");
    assert_eq!(
        without_age(&rows[1]),
        "user2.a|error|0|error: disk [2J full"
    );
    assert_eq!(without_age(&rows[2]), "user1.long-name|done|0|done");
    assert_eq!(without_age(&rows[3]), "user1.a|running|0|scanning 43%");
    assert!(rows[1][3].ends_with('s'), "{rows:?}");

    let names = |arguments: &[&str]| {
        let output = hub.command(["list"]).args(arguments).output().unwrap();
        let names = listed(&output).lines().skip(1);
        let names = names.map(|line| line.split(' ').next().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        names(&["--prefix", "user1."]),
        ["user1.long-name", "user1.a"]
    );
    assert_eq!(
        names(&["--prefix=user1.*", "--state", "running"]),
        ["user1.a"]
    );
    assert_eq!(names(&["--state=error"]), ["user2.a"]);
}

#[test]
fn a_list_as_json_has_the_jobs_of_all_pages() {
    let hub = Hub::start();
    let empty: Value = serde_json::from_str(listed(&hub.output(["list", "--json"]))).unwrap();
    assert_eq!(
        (&empty["jobs"], &empty["next"]),
        (&Value::Array(vec![]), &Value::Null)
    );
    let lines: String = (0..1234)
        .map(|n| format!("{{\"job\":\"job-{n}\",\"event\":\"progress\",\"data\":{{}}}}\n"))
        .collect();
    hub.post("/api/events", "application/x-ndjson", &lines);
    let output = hub.output(["list", "--json"]);
    let list: Value = serde_json::from_str(listed(&output)).unwrap();
    let names = list["jobs"].as_array().unwrap().iter();
    let names: Vec<&str> = names.map(|job| job["jobId"].as_str().unwrap()).collect();
    let expected: Vec<String> = (0..1234).rev().map(|n| format!("job-{n}")).collect();
    assert_eq!(names, expected);
    assert!(list["at"].as_u64().unwrap() > 0);
    // A line each, for tools that read lines.
    assert_eq!(listed(&output).lines().count(), 1236);
}

#[test]
fn jobs_are_deleted_and_one_that_can_not_be_is_told_and_the_others_are() {
    let hub = Hub::start();
    for job in ["a", "b", "c"] {
        publish(&hub, job, "progress", "{}");
    }
    let output = hub.output(["delete", "a"]);
    assert_eq!((output.status.code(), listed(&output)), (Some(0), ""));
    let output = hub.output(["delete", "b", "none", "a", "c", "b"]);
    assert_eq!(output.status.code(), Some(1));
    let said: Vec<&str> = text(&output.stderr).lines().collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("landfall delete: none: there is no job"),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("landfall delete: a: the job was deleted"),
        "{said:?}"
    );
    assert_eq!(listed(&hub.output(["list"])).lines().count(), 1);
}

#[test]
fn jobs_are_cancelled_and_one_that_can_not_be_is_told_and_the_others_are() {
    let hub = Hub::with(&["--cancel-grace", "1ms"]);
    for job in ["a", "b", "gone"] {
        publish(&hub, job, "progress", "{}");
    }
    publish(&hub, "ended", "done", "{}");
    hub.ask("DELETE", "gone");
    let output = hub.output(["cancel", "a", "none", "gone", "ended", "b", "a"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    let said: Vec<&str> = text(&output.stderr).lines().collect();
    for (said, begin) in said.iter().zip([
        "none: there is no job",
        "gone: the job was deleted",
        "ended: the job has ended with done",
    ]) {
        let begin = format!("landfall cancel: {begin}");
        assert!(said.starts_with(&begin), "{said}");
    }
    assert_eq!(said.len(), 3, "{said:?}");
    for job in ["a", "b"] {
        let (event, data) = hub.events(job).pop().unwrap();
        assert_eq!((&*event, &data["reason"]), ("error", &"cancelled".into()));
    }
    assert_eq!(hub.output(["cancel", "a"]).status.code(), Some(1));
}

#[test]
fn a_failed_upload_is_tried_again_and_its_attempt_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("stages.toml");
    let stage = "[[stage]]\nname = 'mine'\nrun = ['sh', '-c', 'exit 1']\n";
    std::fs::write(&config, stage).unwrap();
    let data = directory.path().join("data");
    let config = format!("--config={}", config.display());
    let hub = Hub::keeping(&data, &[&config]);
    hub.post("/api/uploads?job=a", "application/octet-stream", "x");
    assert_eq!(hub.events("a").last().unwrap().0, "error");
    let output = hub.output(["retry", "a"]);
    assert_eq!(listed(&output), "a attempt 2\n");
    let output = hub.output(["retry", "none"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.starts_with("landfall retry: none: there is no failed job"),
        "{said}"
    );
}

#[test]
fn a_hub_on_a_unix_socket_is_named_by_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.sock");
    let hub = Hub::start_at(&path);
    let unix = format!("unix:{}", path.display());
    assert_eq!(hub.address, unix);
    let run = |arguments: &[&str]| {
        let mut command = landfall([""; 0]);
        command.args(arguments).env("LANDFALL_HUB", &unix);
        command.stdin(Stdio::null()).output().unwrap()
    };
    assert!(run(&["publish", "a", "progress"]).status.success());
    assert!(listed(&run(&["list"])).contains("a    running"));
    assert!(run(&["delete", "a"]).status.success());
    assert_eq!(listed(&run(&["list"])).lines().count(), 1);
}

#[test]
fn a_wrong_call_and_a_hub_that_is_away_are_told_in_the_same_way_by_all() {
    for (arguments, part) in [
        (&["cancel"][..], "no job: name one or more"),
        (&["delete"], "no job: name one or more"),
        (&["retry", "a/b"], "JOB a/b: the job name may only hold"),
        (&["list", "x"], "x is one word too many"),
        (&["list", "--state", "failed"], "use running, done or error"),
        (
            &["list", "--prefix", "a b"],
            "--prefix a b: the job name may only hold",
        ),
    ] {
        let output = landfall([""; 0]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = text(&output.stderr);
        let begin = format!("landfall {}: ", arguments[0]);
        assert!(said.starts_with(&begin) && said.contains(part), "{said}");
    }
    for arguments in [&["list"][..], &["delete", "a", "b"], &["cancel", "a"]] {
        let mut command = landfall([""; 0]);
        let output = command
            .args(arguments)
            .env("LANDFALL_HUB", "unix:/nowhere")
            .output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = text(&output.stderr);
        assert!(
            said.contains("is landfall serve running? (--hub unix:/nowhere)"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn commands_find_a_hub_that_serves_below_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("stages.toml");
    let stage = "base-path = '/tools/'\n[[stage]]\nname = 'storing'\nto = 'files'\n";
    std::fs::write(&config, stage).unwrap();
    let config = format!("--config={}", config.display());
    let hub = Hub::keeping(&folder.path().join("data"), &[&config]);
    let file = folder.path().join("clip.mp4");
    std::fs::write(&file, "x".repeat(100_000)).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = hub.command([arguments[0]]);
        command.args(&arguments[1..]).stdin(Stdio::null());
        command
            .env("LANDFALL_BASE_PATH", "/tools")
            .env("XDG_STATE_HOME", folder.path().join("state"));
        command.output().unwrap()
    };
    assert!(run(&["publish", "a", "progress"]).status.success());
    let uploaded = run(&["upload", "--job=b", file.to_str().unwrap()]);
    assert_eq!(listed(&uploaded), "b\n");
    assert!(listed(&run(&["watch", "b"])).ends_with("b done\n"));
    let listed_now = run(&["list"]);
    assert_eq!(listed(&listed_now).lines().count(), 3);
    assert!(run(&["delete", "a", "b"]).status.success());
    // Without it, the hub says where it serves.
    let output = hub.output(["list"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("everything is below /tools/ (--base-path)"),
        "{said}"
    );
    assert_eq!(
        run(&["list", "--base-path", "tools"]).status.code(),
        Some(2)
    );
}

#[test]
fn whatever_a_worker_says_its_job_and_all_others_are_listed_and_watched() {
    let hub = Hub::start();
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    for (job, other) in [
        ("deep", format!(r#""a":{deep}"#)),
        ("huge", r#""a":1e999"#.to_owned()),
        ("half", r#""a":"cut off\ud83d""#.to_owned()),
    ] {
        publish(
            &hub,
            job,
            "progress",
            &format!(r#"{{"percent":43,{other}}}"#),
        );
    }
    let output = hub.output(["list"]);
    let rows = listed(&output).lines().skip(1);
    let told: Vec<_> = rows
        .map(|row| (row.split(' ').next(), row.ends_with("43%")))
        .collect();
    assert_eq!(told, ["half", "huge", "deep"].map(|job| (Some(job), true)));
    for job in ["deep", "huge", "half"] {
        publish(&hub, job, "error", r#"{"message":"cut off\ud83d"}"#);
        let output = hub.output(["watch", job]);
        let said = text(&output.stdout);
        assert!(said.contains("error: cut off\u{fffd}"), "{output:?}");
    }
}
