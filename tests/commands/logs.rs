//! The log, as an operator reads it.

use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use super::hub::wait_until;
use super::served::Served;

const CONFIG: &str = "max-body = '1KiB'\nmax-streams = 77\n[[stage]]\nname = 'broken'\n\
                      run = ['sh', '-c', 'echo no luck >&2; exit 3']\n";

/// Has something of everything happen, stops the server, and returns the log's lines.
fn story(mut served: Served) -> Vec<String> {
    let failed = served.upload("clip");
    assert_eq!(failed["stage"], "broken", "{failed}");
    served.hub.output(["publish", "own", "done"]);
    served.hub.output([
        "publish",
        "other",
        "error",
        "{\"message\":\"out of\\npaper\"}",
    ]);
    assert!((0..3).all(|_| !served.takes(2000)));
    let request = "POST /api/jobs/a/events HTTP/1.1\r\nHost: localhost\r\n\
                   Origin: http://elsewhere.example\r\nContent-Length: 0\r\n\
                   Connection: close\r\n\r\n";
    assert!(served.hub.raw(request).starts_with("HTTP/1.1 403"));
    served.hub.stop();
    served.log().lines().map(str::to_owned).collect()
}

fn find<'a>(lines: &'a [String], part: &str) -> &'a str {
    let found: Vec<&String> = lines.iter().filter(|line| line.contains(part)).collect();
    assert_eq!(found.len(), 1, "{part}: {lines:#?}");
    found[0]
}

/// Whether a line begins with a time and a level.
fn is_dated(line: &str) -> bool {
    let (time, rest) = line.split_at_checked(25).unwrap_or_default();
    let is_time = time.ends_with("Z ") && time.as_bytes()[10] == b'T' && time.starts_with("20");
    is_time
        && ["INFO  ", "WARN  ", "ERROR "]
            .iter()
            .any(|level| rest.starts_with(level))
}

#[test]
fn everything_that_an_operator_wants_to_know_is_one_line() {
    let served = Served::start(CONFIG);
    let address = served.hub.address.clone();
    let lines = story(served);
    assert!(lines.iter().all(|line| is_dated(line)), "{lines:#?}");
    assert!(
        !lines.iter().any(|line| line.contains("landfall::")),
        "{lines:#?}"
    );
    let started = find(&lines, "has started");
    let version = format!("landfall {}", env!("CARGO_PKG_VERSION"));
    for part in [
        version.as_str(),
        &format!("publish {address}"),
        "data had 0 jobs",
        "at most 77 streams",
    ] {
        assert!(started.contains(part), "{part}: {started}");
    }
    find(&lines, "INFO  job clip: \"file\" has landed, 4 bytes");
    find(
        &lines,
        "WARN  job clip: stage broken failed: sh: exit status 3: no luck",
    );
    find(
        &lines,
        "INFO  job clip ended: error: sh: exit status 3: no luck",
    );
    assert!(find(&lines, "job own ended").ends_with("ended: done"));
    find(&lines, "job other ended: error: out of\\npaper");
    let refused: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split_once("WARN  refused by --max-body, "))
        .map(|(_, rest)| rest.split_once(": a body is too large").unwrap().0)
        .collect();
    let counts: u32 = refused
        .iter()
        .map(|count| match count.split_once(" times") {
            Some((count, _)) => count.parse::<u32>().unwrap(),
            None => u32::from(*count == "once"),
        })
        .sum();
    assert_eq!(
        (counts, (1..=2).contains(&refused.len())),
        (3, true),
        "{refused:?}"
    );
    let refused = find(&lines, "refused with 401 or 403");
    assert!(refused.contains(
        "once, first from a trusted proxy or a unix socket: pages of this origin may not change anything"
    ));
    find(&lines, "INFO  SIGTERM: stopping");
    assert!(lines.last().unwrap().ends_with("INFO  stopped"));
}

#[test]
fn the_journal_gets_priorities_and_has_a_clock_of_its_own() {
    let served = Served::start_with(CONFIG, |serve, log| {
        let log = log.metadata().unwrap();
        serve.env("JOURNAL_STREAM", format!("{}:{}", log.dev(), log.ino()));
    });
    let lines = story(served);
    assert!(find(&lines, "has started").starts_with("<6>landfall "));
    assert!(find(&lines, "stage broken failed").starts_with("<4>job clip: "));
    assert!(lines.iter().all(|line| line.starts_with('<')), "{lines:#?}");
    // Its stderr may be another than the journal's.
    let mut served = Served::start_with(CONFIG, |serve, _| {
        serve.env("JOURNAL_STREAM", "8:1");
    });
    served.hub.stop();
    assert!(served.log().lines().all(is_dated), "{}", served.log());
}

#[test]
fn json_is_an_object_a_line() {
    let lines = story(Served::start(&format!("log-format = 'json'\n{CONFIG}")));
    let read = |line: &String| serde_json::from_str::<Value>(line).unwrap();
    let lines: Vec<Value> = lines.iter().map(read).collect();
    let failed = lines
        .iter()
        .find(|line| line["message"].as_str().unwrap().contains("stage broken"));
    assert_eq!(failed.unwrap()["level"], "warn");
    for line in &lines {
        assert_eq!(line.as_object().unwrap().len(), 3, "{line}");
        assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    }
}

#[test]
fn a_level_is_said_by_its_flag_or_else_by_the_variable_and_changes_while_the_server_runs() {
    let info = |level: &str, variable: &str| {
        let config = match level {
            "" => String::new(),
            level => format!("log-level = '{level}'\n"),
        };
        let mut served = Served::start_with(&config, |serve, _| {
            if !variable.is_empty() {
                serve.env("RUST_LOG", variable);
            }
        });
        served.hub.stop();
        served.log().contains("has started")
    };
    assert!(info("", "") && info("", "info") && info("info", "error"));
    assert!(!info("", "warn") && !info("warn", "") && !info("warn", "debug"));
    assert!(info("", "landfall=info") && !info("", "landfall=error,mio=trace"));

    let served = Served::start("log-level = 'warn'\n");
    served.reload("log-level = 'info'\n", "changed: log-level");
    served.hub.output(["publish", "a", "done"]);
    wait_until("the end of a job", || {
        served.log().contains("job a ended: done")
    });
    assert!(!served.log().contains("has started"));
}

#[test]
fn the_log_has_the_paths_that_a_stages_error_keeps_from_browsers() {
    let mut served = Served::start(
        "[[stage]]\nname = 'broken'\nrun = ['sh', '-c', 'echo no room in /srv/videos >&2; exit 3']\n",
    );
    let failed = served.upload("clip");
    let shown = failed["message"].as_str().unwrap();
    assert!(!shown.contains("/srv"), "{shown}");
    // A thread writes the log; at the end all of it is there.
    served.hub.stop();
    let log = served.log();
    assert!(
        log.contains(
            "job clip: stage broken says in full: sh: exit status 3: no room in /srv/videos"
        ),
        "{log}"
    );
}

#[test]
fn a_data_directory_that_a_stage_may_write_over_is_told_of() {
    let stage = "[[stage]]\nname = 'mine'\nrun = ['true']\n";
    let told = |config: &str| {
        let log = Served::start(config).log();
        log.contains("what stage mine runs may write over files in /")
    };
    assert!(told(stage));
    assert!(!told(&format!("{stage}write = []\n")));
}
