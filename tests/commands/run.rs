use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::hub::{Hub, landfall, text, wait_until};
use super::process::{Process, Start};
use super::terminal::Terminal;

/// A command that a test talks to through its stdin and stdout.
struct Talk {
    process: Process,
    stdout: BufReader<ChildStdout>,
}

impl Talk {
    fn start(command: &mut Command) -> Talk {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.stderr(Stdio::piped()).start();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        Talk { process, stdout }
    }

    fn hear(&mut self, line: &str) {
        let mut heard = String::new();
        self.stdout.read_line(&mut heard).unwrap();
        assert_eq!(heard.trim_end(), line);
    }

    fn say(&mut self, line: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn end(mut self) -> (Option<i32>, String) {
        let mut stderr = String::new();
        self.process
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        (self.process.wait().unwrap().code(), stderr)
    }
}

/// The events of `a` without what is told of the rest once there is a pace: a slow machine has
/// taken that long.
fn untimed(hub: &Hub) -> Vec<(String, Value)> {
    let mut events = hub.events("a");
    for (_, data) in &mut events {
        data.as_object_mut().unwrap().remove("etaMs");
    }
    events
}

fn progress(job: &str, stage: &str, percent: u64) -> (String, Value) {
    let data = json!({"jobId": job, "stage": stage, "percent": percent});
    ("progress".into(), data)
}

#[test]
fn a_job_begins_at_0_percent_goes_on_and_ends_with_done() {
    let hub = Hub::start();
    let script = "read x; echo 10%; read x; printf 'half\\r50%%\\r' >&2; read x; echo 'x'";
    let mut run = hub.command(["run", "--job", "a", "--stage", "t", "--"]);
    let mut talk = Talk::start(run.args(["sh", "-c", script]));
    for percent in [0, 10, 50] {
        hub.wait_for_percent("a", percent);
        talk.say("");
    }
    talk.hear("10%");
    talk.hear("x");
    assert_eq!(talk.end(), (Some(0), "half\r50%\r".to_owned()));
    let mut events = untimed(&hub);
    let (name, data) = events.pop().unwrap();
    assert_eq!((name.as_str(), &data["jobId"]), ("done", &json!("a")));
    assert_eq!(
        events,
        [0, 10, 50, 100].map(|percent| progress("a", "t", percent))
    );
}

#[test]
fn an_error_tells_the_exit_status_and_the_last_line_on_stderr() {
    let hub = Hub::start();
    let script = "echo first >&2; echo; echo 'in.mp4: No such file' >&2; exit 3";
    let output = hub.output(["run", "--job", "a", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(3));
    let message = "sh: exit status 3: in.mp4: No such file";
    let expected = (
        "error".to_owned(),
        json!({"jobId": "a", "message": message}),
    );
    assert_eq!(hub.events("a").last(), Some(&expected));
}

#[test]
fn a_command_that_can_not_be_started_or_was_killed_ends_as_in_a_shell() {
    let hub = Hub::start();
    for (job, command, code, message) in [
        ("a", &["/no/such"][..], 127, "such: command not found"),
        ("b", &["/etc/passwd"], 126, "passwd: permission denied"),
        (
            "c",
            &["sh", "-c", "kill -9 $$"],
            137,
            "sh: killed by SIGKILL",
        ),
    ] {
        let output = hub
            .command(["run", "--job", job, "--"])
            .args(command)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{message}");
        let expected = (
            "error".to_owned(),
            json!({"jobId": job, "message": message}),
        );
        assert_eq!(hub.events(job).last(), Some(&expected));
    }
}

#[test]
fn a_command_that_does_not_exist_is_told_at_once_also_without_a_hub() {
    let directory = tempfile::tempdir().unwrap();
    let hub = format!("unix:{}", directory.path().join("none").display());
    let begin = Instant::now();
    let output = landfall(["run", "--job", "a", "--hub", &hub, "--hub-wait", "10m"])
        .args(["--", "nosuchcmd"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(127));
    let said = text(&output.stderr);
    let first = "landfall run: nosuchcmd: command not found\n";
    assert!(said.starts_with(first), "{said}");
    assert!(
        said.contains("is landfall serve running? (--hub unix:"),
        "{said}"
    );
    assert!(begin.elapsed() < Duration::from_secs(60), "it waited");
}

#[test]
fn a_flood_of_progress_is_published_ten_times_a_second_and_the_newest_wins() {
    let hub = Hub::start();
    let script = "i=0; while [ $i -lt 30000 ]; do echo $((i/300)).$((i%10))%; i=$((i+1)); done";
    let output = hub.output(["run", "--job", "a", "--", "sh", "-c", script]);
    assert_eq!(
        output.stdout.iter().filter(|b| **b == b'\n').count(),
        30_000
    );
    let events = hub.events("a");
    let elapsed_ms = events.last().unwrap().1["elapsedMs"].as_u64().unwrap();
    // Those at the start and at the end come besides.
    assert!(
        events.len() as u64 <= elapsed_ms / 100 + 4,
        "{} in {elapsed_ms}",
        events.len()
    );
    assert_eq!(events[events.len() - 2].1["percent"], 100);
}

#[test]
fn a_change_of_stage_is_never_held_back() {
    let hub = Hub::start();
    let script = r#"for s in a b c d e; do echo "{\"stage\":\"$s\",\"percent\":5,\"n\":1}"; done"#;
    hub.output(["run", "--job", "a", "--", "sh", "-c", script]);
    let events = hub.events("a");
    let stages = events.iter().filter_map(|(_, data)| data["stage"].as_str());
    let mut stages: Vec<_> = stages.collect();
    stages.dedup();
    assert_eq!(stages, ["sh", "a", "b", "c", "d", "e"]);
    assert_eq!(
        events[1].1,
        json!({"jobId": "a", "stage": "a", "percent": 5, "n": 1})
    );
}

#[test]
fn what_the_command_writes_passes_through_byte_for_byte() {
    let hub = Hub::start();
    let mut data = Vec::new();
    for i in 0..300_000_u32 {
        data.extend_from_slice(&i.wrapping_mul(2_654_435_761).to_le_bytes());
    }
    let mut command = hub.command(["run", "--job", "a", "--format", "number", "--", "cat"]);
    let mut talk = Talk::start(&mut command);
    let mut stdin = talk.process.stdin.take().unwrap();
    let sent = data.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let mut received = Vec::new();
    talk.stdout.read_to_end(&mut received).unwrap();
    writer.join().unwrap();
    assert!(received == data);
    assert_eq!(talk.end().0, Some(0));
    // Data is no progress, whatever bytes it has.
    assert_eq!(hub.events("a").len(), 2);
}

#[test]
fn a_pattern_reads_what_nothing_else_would_and_nothing_but_that() {
    let hub = Hub::start();
    let pattern = r"^(?<stage>\w+) (?<done>\d+) von (?<total>\d+)";
    let script = "read x; echo 99%; echo Bild 1 von 4; read x; echo 'Bild 2 von 4 (7%)'; read x; \
        echo Ton 3 von 4; read x";
    let mut run = hub.command(["run", "--job", "a", "--stage", "t", "--pattern", pattern]);
    let mut talk = Talk::start(run.args(["sh", "-c", script]));
    for percent in [0, 25, 50, 75] {
        hub.wait_for_percent("a", percent);
        talk.say("");
    }
    assert_eq!(talk.end().0, Some(0));
    let mut events = untimed(&hub);
    events.pop();
    let expected = [
        ("t", 0),
        ("Bild", 25),
        ("Bild", 50),
        ("Ton", 75),
        ("Ton", 100),
    ];
    assert_eq!(
        events,
        expected.map(|(stage, percent)| progress("a", stage, percent))
    );
}

#[test]
fn how_long_the_rest_will_take_is_told_once_the_pace_is_known() {
    let hub = Hub::start();
    let script = "for p in 10 20 30 40 50 60 70; do sleep 0.4; echo $p%; done; exit 3";
    let begin = Instant::now();
    hub.output(["run", "--job", "a", "--", "sh", "-c", script]);
    // Three tenths are left of it; a slow machine takes its time.
    let most = begin.elapsed().as_millis() as u64 + 1000;
    let events = hub.events("a");
    let left = |percent: u64| {
        let event = events.iter().find(|(_, data)| data["percent"] == percent);
        event.unwrap().1["etaMs"].as_u64()
    };
    assert_eq!(left(10), None, "too soon");
    let left = left(70).unwrap();
    assert!((800..most).contains(&left), "{left} of {most}");
}

#[test]
fn what_a_program_has_to_do_is_known_by_its_arguments_and_the_files_they_name() {
    let hub = Hub::start();
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in");
    std::fs::write(&input, vec![7; 400 * 10_240]).unwrap();
    let (input, archive) = (input.display(), directory.path().join("o.tar"));
    let archive = archive.display();
    for (job, command) in [
        (
            "a",
            format!("dd if={input} of=/dev/null bs=1k count=3 status=progress"),
        ),
        (
            "b",
            format!(
                "tar -cf {archive} --checkpoint=100 --checkpoint-action=echo \
                 --checkpoint-action=exec=sleep$IFS.2 {input}"
            ),
        ),
    ] {
        let words = command.split_ascii_whitespace();
        let output = hub
            .command(["run", "--stage", "t", "--job", job, "--"])
            .args(words)
            .output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let events = hub.events(job).into_iter();
        let percents: Vec<f64> = events
            .filter_map(|(_, data)| data["percent"].as_f64())
            .collect();
        // Tar adds a block to each file.
        let expected: &[f64] = if job == "a" {
            &[99.9, 100.0]
        } else {
            &[24.9, 49.9, 74.9, 99.9, 100.0]
        };
        // Where they come at once, one may give way to the next.
        let told: Vec<f64> = percents.into_iter().filter(|it| *it > 0.0).collect();
        let is_right = told.iter().all(|it| expected.contains(it)) && told.is_sorted();
        assert!(is_right && told.last() == Some(&100.0), "{job}: {told:?}");
        assert!(told.len() >= expected.len() / 2, "{job}: {told:?}");
    }
}

#[test]
fn a_program_that_looks_for_a_terminal_finds_one_where_that_is_asked_for() {
    let hub = Hub::start();
    let script = "[ -t 1 ] && [ -t 2 ] || exit 9; stty size <&1; read x; printf 'a\\n10%%\\r'; read x; \
        printf '50%%\\r' >&2; read x; echo the end >&2; exit 3";
    let mut run = hub.command(["run", "--job", "a", "--pty", "--stage", "t", "--"]);
    let mut talk = Talk::start(run.args(["sh", "-c", script]));
    for percent in [0, 10, 50] {
        hub.wait_for_percent("a", percent);
        talk.say("");
    }
    // Both are one, and no byte is changed.
    let mut said = String::new();
    talk.stdout.read_to_string(&mut said).unwrap();
    assert_eq!(said, "24 100\na\n10%\r50%\rthe end\n");
    assert_eq!(talk.end(), (Some(3), String::new()));
    let mut events = untimed(&hub);
    let message = json!({"jobId": "a", "message": "sh: exit status 3: the end"});
    assert_eq!(events.pop(), Some(("error".to_owned(), message)));
    assert_eq!(
        events,
        [0, 10, 50].map(|percent| progress("a", "t", percent))
    );
    let mut command = hub.command(["run", "--pty", "--", "sh", "-c", "[ $TERM = xterm ]"]);
    assert!(command.env("TERM", "dumb").status().unwrap().success());
    let run = ["run", "--job", "b", "--", "sh", "-c", "[ -t 1 ]"];
    assert_eq!(hub.output(run).status.code(), Some(1));
}

#[test]
fn its_terminal_has_the_size_of_this_one_and_keeps_it() {
    let hub = Hub::start();
    // Its stdin is this terminal, whose size it changes.
    let script = "exec 3>&1; stty size <&3; trap 'echo told' WINCH; stty cols 90 rows 40; \
        until [ \"$(stty size <&3)\" = '40 90' ]; do sleep 0.02; done; echo followed";
    let run = hub.command(["run", "--pty", "--", "sh", "-c", script]);
    let mut terminal = Terminal::run(&run, 120, 30);
    terminal.wait_for("the same size", |lines| {
        lines.iter().any(|line| line == "30 120")
    });
    terminal.wait_for("the new size", |lines| {
        lines.iter().any(|line| line == "followed")
    });
    assert!(terminal.written().contains("told"));
    assert!(terminal.end().success());
}

#[test]
fn a_command_that_is_not_there_needs_no_terminal() {
    let hub = Hub::start();
    let run = ["run", "--job", "a", "--pty", "--", "no-such-program"];
    assert_eq!(hub.output(run).status.code(), Some(127));
}

#[test]
fn signals_are_passed_on_and_the_end_is_still_published() {
    let hub = Hub::start();
    for (job, signal, name) in [
        ("a", Signal::TERM, "TERM"),
        ("b", Signal::INT, "INT"),
        ("c", Signal::HUP, "HUP"),
        ("d", Signal::QUIT, "QUIT"),
        ("e", Signal::USR1, "USR1"),
        ("f", Signal::USR2, "USR2"),
    ] {
        let script = format!("trap 'echo caught; exit 7' {name}; echo ready; read x; read y");
        let mut talk =
            Talk::start(&mut hub.command(["run", "--job", job, "--", "sh", "-c", &script]));
        talk.hear("ready");
        talk.signal(signal);
        talk.hear("caught");
        assert_eq!(talk.end().0, Some(7));
        let expected = (
            "error".to_owned(),
            json!({"jobId": job, "message": "sh: exit status 7"}),
        );
        assert_eq!(hub.events(job).last(), Some(&expected));
    }
}

#[test]
fn a_key_that_ends_what_runs_in_a_terminal_reaches_the_command_once() {
    let hub = Hub::start();
    // What asks run for a signal is behind the one that the key was.
    let script = "trap 'echo caught; kill -USR1 $PPID' INT; trap 'exit 7' USR1; echo ready; \
        while :; do sleep 0.05; done";
    for (job, flag) in [("a", "--begin"), ("b", "--pty")] {
        let run = hub.command(["run", "--job", job, flag, "--", "sh", "-c", script]);
        let mut terminal = Terminal::run(&run, 80, 24);
        terminal.wait_for("word", |lines| lines.iter().any(|line| line == "ready"));
        terminal.press(b"\x03");
        assert_eq!(terminal.end().code(), Some(7));
        let written = terminal.written();
        assert_eq!(written.matches("caught").count(), 1, "{flag}: {written:?}");
        assert_eq!(hub.events(job).last().unwrap().0, "error");
    }
}

#[test]
fn a_command_whose_job_is_deleted_is_ended_and_what_it_says_then_is_its_exit_code() {
    let hub = Hub::start();
    let script = "trap 'exit 7' TERM; i=0; \
        while :; do i=$((i % 90 + 1)); echo $i%; sleep 0.02; done";
    let run = ["run", "--job", "a", "--", "sh", "-c", script];
    let mut run = hub.command(run);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::piped()).start();
    wait_until("progress", || {
        let snapshot = hub.client().snapshot(&"a".parse().unwrap());
        String::from_utf8_lossy(&snapshot.unwrap_or_default()).contains("percent")
    });
    hub.ask("DELETE", "a");
    assert_eq!(run.wait().unwrap().code(), Some(7));
    let mut said = String::new();
    run.stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(
        said.contains("was deleted: the command gets SIGTERM"),
        "{said}"
    );
    assert!(!said.contains("not published"), "{said}");
}

#[test]
fn a_job_that_was_deleted_before_costs_a_warning_and_not_the_command() {
    let hub = Hub::start();
    hub.output(["publish", "a", "progress", "{}"]);
    hub.ask("DELETE", "a");
    let run = ["run", "--job", "a", "--", "sh", "-c", "sleep 0.3; echo 50%"];
    let output = hub.output(run);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stderr);
    assert!(
        said.contains("the job was deleted: --begin begins it"),
        "{said}"
    );
}

#[test]
fn a_job_of_a_fixed_name_begins_anew_each_night() {
    let hub = Hub::start();
    for (script, end) in [("echo 10%", "done"), ("exit 3", "error"), ("true", "done")] {
        let run = ["run", "--begin", "--job", "a", "--", "sh", "-c", script];
        let output = hub.output(run);
        assert_eq!(text(&output.stderr), "");
        assert_eq!(hub.events("a").last().unwrap().0, end);
    }
    // Without it, what has ended stays as it is.
    let output = hub.output(["run", "--job", "a", "--", "sh", "-c", "exit 3"]);
    assert!(text(&output.stderr).contains("refused"));
    assert_eq!(hub.events("a").last().unwrap().0, "done");
}

#[test]
fn where_the_job_has_ended_before_what_would_be_right_is_a_flag() {
    let hub = Hub::start();
    assert!(hub.output(["publish", "a", "done"]).status.success());
    let output = hub.output(["run", "--job", "a", "--", "echo", "50%"]);
    let said = text(&output.stderr);
    let right = "the job has ended with done: --begin begins it anew, and --job gives another name";
    assert!(said.contains(right) && !said.contains("PUT"), "{said}");
    // What the command did stands.
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_job_begins_anew_before_the_command_starts() {
    let hub = Hub::start();
    hub.output(["publish", "a", "done"]);
    let mut command = hub.command(["run", "--begin", "--job", "a", "--", "sh", "-c"]);
    let mut talk = Talk::start(command.arg("echo up; read x"));
    talk.hear("up");
    let snapshot = hub.client().snapshot(&"a".parse().unwrap()).unwrap();
    assert!(text(&snapshot).contains(r#""state":"running""#));
    talk.say("");
    assert_eq!(talk.end().0, Some(0));
}

#[test]
fn a_job_begins_anew_as_soon_as_the_hub_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.sock");
    let script = "echo 10%; read x; echo 20%";
    let mut talk = Talk::start(
        landfall(["run", "--begin", "--job", "a", "--stage", "t", "--hub"])
            .arg(format!("unix:{}", path.display()))
            .args(["--", "sh", "-c", script]),
    );
    talk.hear("10%");
    let hub = Hub::start_at(&path);
    hub.wait_for_percent("a", 10);
    talk.say("");
    assert_eq!(talk.end().0, Some(0));
    assert_eq!(hub.events("a").last().unwrap().0, "done");
}

#[test]
fn a_command_that_is_not_there_is_told_of_at_once_whatever_the_hub_does() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hub = silent.local_addr().unwrap().to_string();
    let mut command = landfall(["run", "--begin", "--job", "a", "--hub", &hub]);
    let mut talk = Talk::start(command.args(["--", "no-such-program"]));
    let mut said = String::new();
    BufReader::new(talk.process.stderr.as_mut().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert_eq!(said, "landfall run: no-such-program: command not found\n");
    assert_eq!(talk.end().0, Some(127));
}

#[test]
fn a_silent_command_hears_that_its_job_is_deleted_or_begun_anew_by_another() {
    let hub = Hub::start();
    for (job, again) in [("a", false), ("b", true)] {
        let script = "echo 1%; exec sleep 600";
        let mut run = hub.command(["run", "--job", job, "--", "sh", "-c", script]);
        let run = run.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut run = run.start();
        // Before this it has looked which life is its own.
        hub.wait_for_percent(job, 1);
        if again {
            let next = ["run", "--begin", "--job", job, "--", "sh", "-c", "echo 50%"];
            hub.output(next);
        } else {
            hub.ask("DELETE", job);
        }
        assert_eq!(run.wait().unwrap().code(), Some(128 + 15));
        let mut said = String::new();
        let stderr = run.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert!(said.contains("the job was"), "{said}");
    }
    // The old one said nothing of the new.
    let events = hub.events("b");
    let last: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(last.last(), Some(&"done"));
    assert_eq!(last.iter().filter(|name| **name == "error").count(), 0);
}

#[test]
fn while_the_hub_is_away_the_command_goes_on_and_then_the_newest_is_published() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.sock");
    let script = "for p in 10 20 30; do echo $p%; read x; done; echo end; read x";
    let mut talk = Talk::start(
        landfall(["run", "--job", "a", "--stage", "t", "--hub"])
            .arg(format!("unix:{}", path.display()))
            .args(["--", "sh", "-c", script]),
    );
    talk.hear("10%");
    talk.say("");
    talk.hear("20%");
    let hub = Hub::start_at(&path);
    hub.wait_for_percent("a", 20);
    talk.say("");
    talk.hear("30%");
    hub.wait_for_percent("a", 30);
    talk.say("");
    talk.hear("end");
    drop(hub);
    // This hub knows nothing of the one before.
    std::fs::remove_file(&path).unwrap_or_default();
    let hub = Hub::start_at(&path);
    talk.say("");
    assert_eq!(talk.end().0, Some(0));
    let events = hub.events("a");
    assert_eq!(events[0], progress("a", "t", 100));
    assert_eq!(events[1].0, "done");
}

#[test]
fn a_hub_that_stays_away_costs_a_warning_and_not_the_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let hub = format!("unix:{}", directory.path().join("none").display());
    let output = landfall(["run", "--job", "a", "--hub-wait", "50ms", "--hub", &hub])
        .args(["--", "sh", "-c", "echo out; exit 5"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(text(&output.stdout), "out\n");
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("landfall run: the event `error` is not published: "),
        "{stderr}"
    );
}

#[test]
fn a_hub_that_never_answers_does_not_hold_the_command_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hub = silent.local_addr().unwrap().to_string();
    let script = "i=0; while [ $i -lt 20000 ]; do echo $((i/200))% $i; i=$((i+1)); done";
    let output = landfall(["run", "--job", "a", "--hub-wait", "1ms", "--hub", &hub])
        .args(["--", "sh", "-c", script])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).ends_with("99% 19999\n"));
}

#[test]
fn a_second_signal_ends_the_wait_for_the_hub() {
    let directory = tempfile::tempdir().unwrap();
    let hub = format!("unix:{}", directory.path().join("none").display());
    let mut command = landfall(["run", "--job", "a", "--hub-wait", "1h", "--hub", &hub]);
    let mut talk = Talk::start(command.args(["--", "sh", "-c", "echo ready; read x"]));
    talk.hear("ready");
    talk.signal(Signal::TERM);
    wait_until("end", || {
        // Until the command has ended, signals are its own.
        talk.signal(Signal::TERM);
        talk.process.try_wait().unwrap().is_some()
    });
    assert_eq!(talk.end().0, Some(128 + 15));
}

#[test]
fn a_reader_who_leaves_does_not_end_the_command() {
    let hub = Hub::start();
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo end >&2";
    let mut talk = Talk::start(&mut hub.command(["run", "--job", "a", "--", "sh", "-c", script]));
    talk.hear("line 0");
    let Talk { process, stdout } = talk;
    drop(stdout);
    let output = process.wait_with_output();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "end\n");
}

#[test]
fn what_can_not_be_written_where_it_was_to_go_fails_the_command_and_its_job() {
    let hub = Hub::start();
    for (job, script) in [
        ("a", "echo all of it"),
        ("b", "while :; do echo line; done"),
    ] {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let mut run = hub.command(["run", "--job", job, "--", "sh", "-c", script]);
        let output = run
            .stdout(full)
            .stderr(Stdio::piped())
            .start()
            .wait_with_output();
        assert!(!output.status.success(), "{job}");
        let why = "its output can't be written: No space left on device";
        assert!(
            text(&output.stderr).contains(why),
            "{}",
            text(&output.stderr)
        );
        let (event, data) = hub.events(job).pop().unwrap();
        assert_eq!(event, "error");
        assert!(data["message"].as_str().unwrap().contains(why), "{data}");
    }
}

#[test]
fn a_child_of_the_command_that_lives_on_does_not_hold_it_up() {
    let hub = Hub::start();
    let mut talk = Talk::start(&mut hub.command([
        "run",
        "--job",
        "a",
        "--",
        "sh",
        "-c",
        "sleep 600 & echo $!",
    ]));
    let mut pid = String::new();
    talk.stdout.read_line(&mut pid).unwrap();
    let stdout = Stdio::null();
    assert_eq!(talk.process.wait().unwrap().code(), Some(0));
    Command::new("kill")
        .arg(pid.trim())
        .stdout(stdout)
        .status()
        .unwrap();
    assert_eq!(hub.events("a").last().unwrap().0, "done");
}

#[test]
fn without_a_name_a_job_gets_one_and_tells_it() {
    let hub = Hub::start();
    let output = hub.output(["run", "true"]);
    let job = text(&output.stderr)
        .trim()
        .strip_prefix("landfall: job ")
        .unwrap()
        .to_owned();
    assert_eq!(hub.events(&job).last().unwrap().0, "done");
}

#[test]
fn flags_have_twins_in_the_environment_and_wrong_ones_are_refused() {
    let hub = Hub::start();
    let mut command = hub.command(["run", "--", "sh", "-c", "echo 20"]);
    command
        .env("LANDFALL_JOB", "a")
        .env("LANDFALL_STAGE", "t")
        .env("LANDFALL_FORMAT", "number");
    assert!(command.status().unwrap().success());
    // Only a number that was read makes it whole; those before it may give way to that.
    assert!(hub.events("a").contains(&progress("a", "t", 100)));
    for args in [
        &["run"][..],
        &["run", "--job", "a b", "true"],
        &["run", "--stage", "", "true"],
        &["run", "--format", "x", "true"],
        &["run", "--hub", "ftp://x", "true"],
        &["run", "--hub-wait", "soon", "true"],
        &["run", "--nonsense", "true"],
    ] {
        let output = landfall(["--help"; 0]).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            text(&output.stderr).starts_with("landfall run: "),
            "{args:?}"
        );
    }
}

#[test]
fn the_arguments_of_a_script_are_read_and_what_it_runs_is_told_of_as_one() {
    let hub = Hub::start();
    let folder = tempfile::tempdir().unwrap();
    // At the pace of its pictures, so that the fastest machine has as much to tell.
    let script = "exec 2>&1\n\
        ffmpeg -v error -f lavfi -i testsrc=s=320x240:d=4 -f lavfi -i sine=d=4 -c:v mpeg4 in.mkv\n\
        ffmpeg -stats_period 0.1 -re -ss 2 -i in.mkv -s 640x480 -f null - | cat &&\n\
        ffmpeg -stats_period 0.1 -re -i 'in.mkv' -t 2 -s 640x480 -f null -";
    let mut run = hub.command(["run", "--job", "a", "--", "sh", "-c", script]);
    assert!(run.current_dir(&folder).output().unwrap().status.success());
    let events = hub.events("a").into_iter();
    let percents: Vec<f64> = events
        .filter_map(|(_, data)| data["percent"].as_f64())
        .collect();
    assert!(percents.is_sorted(), "{percents:?}");
    let halves = [(34.0, 66.0), (67.0, 99.0)];
    for (from, to) in halves {
        let is_within = percents.iter().any(|it| from < *it && *it < to);
        assert!(is_within, "{from} to {to}: {percents:?}");
    }
}

#[test]
fn ffmpeg_is_understood_with_and_without_its_progress_flag() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("in.mp4");
    let ffmpeg = ["ffmpeg", "-nostdin", "-y"];
    let generated = Command::new(ffmpeg[0])
        .args(&ffmpeg[1..])
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc=duration=3:size=320x240:rate=25",
        ])
        .args(["-c:v", "mpeg4"])
        .arg(&source)
        .status();
    assert!(generated.unwrap().success());
    let hub = Hub::start();
    for (job, flags) in [("a", &["-progress", "pipe:1", "-nostats"][..]), ("b", &[])] {
        let mut command = hub.command(["run", "--job", job, "--stage", "transcoding", "--"]);
        command
            .args(ffmpeg)
            .args(flags)
            .args(["-stats_period", "0.02", "-re", "-i"])
            .arg(&source);
        command
            .args(["-c:v", "mpeg4"])
            .arg(directory.path().join("out.mkv"));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let events = hub.events(job);
        let percents: Vec<_> = events
            .iter()
            .filter_map(|(_, data)| data["percent"].as_f64())
            .collect();
        assert!(percents.len() >= 3 && percents.is_sorted(), "{events:?}");
        assert!(
            percents.iter().any(|p| (90.0..100.0).contains(p)),
            "{events:?}"
        );
        assert_eq!(events.last().unwrap().0, "done");
    }
}
