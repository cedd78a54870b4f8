//! Jobs that are watched in a terminal.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::hub::{Hub, wait_until};
use super::terminal::Terminal;

fn publish(hub: &Hub, job: &str, event: &str, data: &str) {
    assert!(hub.output(["publish", job, event, data]).status.success());
}

/// Events of many jobs at once, as job, event and data.
fn publish_all(hub: &Hub, events: &[(String, &str, String)]) {
    let lines: String = events
        .iter()
        .map(|(job, event, data)| {
            format!("{{\"job\":\"{job}\",\"event\":\"{event}\",\"data\":{data}}}\n")
        })
        .collect();
    hub.post("/api/events", "application/x-ndjson", &lines);
}

fn watch(hub: &Hub, arguments: &[&str]) -> Command {
    let mut command = hub.command(["watch"]);
    command.args(arguments);
    command
}

fn has(lines: &[String], parts: &[&str]) -> bool {
    let mut lines = lines.iter();
    lines.any(|line| parts.iter().all(|part| line.contains(part)))
}

#[test]
fn what_is_seen_is_what_came_last_also_where_nothing_follows() {
    let hub = Hub::start();
    let names: Vec<String> = (0..6).map(|n| format!("job-{n}")).collect();
    let jobs: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut terminal = Terminal::run(&watch(&hub, &jobs), 80, 24);
    terminal.wait_for("six bars", |lines| {
        lines.len() == 6 && lines.iter().all(|line| line.ends_with("waiting"))
    });
    let events: Vec<_> = (1..=60)
        .flat_map(|percent| {
            let data = format!("{{\"stage\":\"encoding\",\"percent\":{percent}}}");
            names
                .iter()
                .map(move |job| (job.clone(), "progress", data.clone()))
        })
        .collect();
    publish_all(&hub, &events);
    terminal.wait_for("the newest of all", |lines| {
        lines.len() == 6 && lines.iter().all(|line| line.contains("]  60%  "))
    });
    // Time passes where nothing comes.
    terminal.wait_for("a second that has passed", |lines| {
        let of = |time: &str| has(lines, &["job-0 ", &format!("  60%    {time}")]);
        of("0:") && !of("0:00") && !of("0:01")
    });
    let ends: Vec<_> = names
        .iter()
        .map(|job| (job.clone(), "done", "{}".to_owned()))
        .collect();
    publish_all(&hub, &ends);
    assert_eq!(terminal.end().code(), Some(0));
    let lines = terminal.lines();
    assert_eq!(lines.len(), 6, "{lines:#?}");
    for (line, name) in lines.iter().zip(&names) {
        assert!(
            line.starts_with(name) && line.contains("] 100%  "),
            "{line}"
        );
        assert!(line.ends_with("✓ done"), "{line}");
    }
}

#[test]
fn a_job_that_ended_before_shows_how_long_it_took() {
    let hub = Hub::start();
    let begun = Instant::now();
    publish(&hub, "a", "progress", r#"{"percent":5}"#);
    thread::sleep(Duration::from_millis(1100));
    publish(&hub, "a", "error", r#"{"message":"disk full"}"#);
    let most = begun.elapsed().as_secs();
    // What has passed since then is not its time.
    thread::sleep(Duration::from_millis(1100));
    let mut terminal = Terminal::run(&watch(&hub, &["a"]), 80, 24);
    assert_eq!(terminal.end().code(), Some(1));
    let lines = terminal.lines();
    let is_told = |seconds| {
        let end = format!("   5%    0:{seconds:02} ✗ error: disk full");
        lines[0].ends_with(&end)
    };
    assert!((1..=most).any(is_told), "{most} at most: {lines:?}");
}

#[test]
fn lines_are_cut_off_at_the_width_and_never_wrap() {
    let hub = Hub::start();
    let long = "x".repeat(100);
    let data = format!(r#"{{"stage":"{}","percent":40}}"#, "é日".repeat(40));
    for job in ["a", &long] {
        publish(&hub, job, "progress", &data);
    }
    let mut terminal = Terminal::run(&watch(&hub, &["a", &long]), 40, 10);
    terminal.wait_for("both", |lines| {
        lines.len() == 2 && lines.iter().all(|line| line.contains(" 40% "))
    });
    for job in ["a", &long] {
        publish(&hub, job, "done", "{}");
    }
    assert!(terminal.end().success());
    let lines = terminal.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].starts_with("xxxxxxxxxxxx… "), "{lines:?}");
}

#[test]
fn where_rows_end_the_rest_is_counted_and_the_end_shows_all() {
    let hub = Hub::start();
    let names: Vec<String> = (0..20).map(|n| format!("job-{n}")).collect();
    let jobs: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut terminal = Terminal::run(&watch(&hub, &jobs), 80, 7);
    terminal.wait_for("the rest", |lines| {
        lines.len() == 6 && lines[5] == "and 15 more: 15 waiting"
    });
    publish(&hub, "job-19", "progress", r#"{"percent":9}"#);
    terminal.wait_for("the one that runs", |lines| {
        lines.len() == 6 && lines[0].starts_with("job-19 ") && lines[5] == "and 15 more: 15 waiting"
    });
    let ends: Vec<_> = names
        .iter()
        .map(|job| (job.clone(), "done", "{}".to_owned()))
        .collect();
    publish_all(&hub, &ends);
    assert!(terminal.end().success());
    assert!(has(&terminal.lines(), &["job-19 ", "✓ done"]));
    let written = terminal.written();
    let end = written.rfind("\u{1b}[?7l").unwrap();
    assert_eq!(written[end..].matches("✓ done").count(), 20);
}

#[test]
fn all_jobs_are_those_that_run_and_those_that_come_and_what_has_ended_stays_above() {
    let hub = Hub::start();
    publish(&hub, "old", "done", "{}");
    publish(&hub, "user1.a", "progress", r#"{"percent":10}"#);
    publish(&hub, "user2.a", "progress", r#"{"percent":20}"#);
    let all = Terminal::run(&watch(&hub, &["--all"]), 80, 24);
    let some = Terminal::run(&watch(&hub, &["--prefix", "user1."]), 80, 24);
    all.wait_for("both", |lines| {
        lines.len() == 2 && has(lines, &["user1.a", " 10%"]) && has(lines, &["user2.a", " 20%"])
    });
    some.wait_for("one", |lines| {
        lines.len() == 1 && has(lines, &["user1.a", " 10%"])
    });
    publish(&hub, "user1.b", "progress", r#"{"percent":30}"#);
    publish(&hub, "user1.a", "done", "{}");
    all.wait_for("the end above the others", |lines| {
        lines.len() == 3
            && has(&lines[..1], &["user1.a", "✓ done"])
            && has(&lines[1..], &["user2.a", " 20%"])
            && has(&lines[1..], &["user1.b", " 30%"])
    });
    some.wait_for("the same", |lines| {
        lines.len() == 2 && lines[0].ends_with("✓ done") && has(&lines[1..], &["user1.b", " 30%"])
    });
    hub.ask("DELETE", "user1.b");
    some.wait_for("the deletion", |lines| {
        has(lines, &["user1.b", "✗ deleted"])
    });
    hub.ask("PUT", "user1.a");
    publish(&hub, "user1.a", "progress", r#"{"percent":40}"#);
    some.wait_for("its next life", |lines| {
        has(lines.get(2..).unwrap_or_default(), &["user1.a", " 40%"])
    });
}

#[test]
fn there_are_colours_unless_they_are_unwanted_and_lines_where_there_is_no_drawing() {
    let hub = Hub::start();
    publish(&hub, "a", "done", "{}");
    let written = |variable: (&str, &str)| {
        let mut command = watch(&hub, &["a"]);
        command.env(variable.0, variable.1);
        let mut terminal = Terminal::run(&command, 80, 24);
        assert!(terminal.end().success());
        terminal.written()
    };
    assert!(written(("NO_COLOR", "")).contains("\u{1b}[32m✓ done\u{1b}[0m"));
    let plain = written(("NO_COLOR", "1"));
    assert!(
        plain.contains("✓ done") && !plain.contains("\u{1b}[32m"),
        "{plain:?}"
    );
    assert_eq!(written(("TERM", "dumb")), "a done\r\n");
}

#[test]
fn a_hub_that_goes_away_is_told_above_the_bars_and_the_next_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.sock");
    let hub = Hub::start_at(&path);
    publish(&hub, "a", "progress", r#"{"percent":10}"#);
    let mut command = watch(&hub, &["--all"]);
    command.env("LANDFALL_HUB", &hub.address);
    let terminal = Terminal::run(&command, 80, 24);
    terminal.wait_for("the job", |lines| has(lines, &["a ", " 10%"]));
    drop(hub);
    let hub = Hub::start_at(&path);
    publish(&hub, "b", "progress", r#"{"percent":20}"#);
    // The new hub knows nothing of the first job, so that it isn't shown as if it went on.
    terminal.wait_for("the next hub", |lines| {
        has(lines, &["connecting again in "])
            && has(lines, &["a has ended unseen"])
            && has(&lines[lines.len() - 1..], &["b ", " 20%"])
    });
    wait_until("no bar of it", || {
        !terminal.lines().iter().any(|line| line.contains(" 10%"))
    });
}
