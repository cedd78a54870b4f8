//! The binary as a supervisor sees it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use super::sse::EventStream;
use super::support::{Client, wait_until};

/// A `landfall serve` that is killed when the test is over.
pub struct Program {
    child: Child,
    pub addresses: HashMap<String, String>,
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    // The environment of whoever runs the tests is none of theirs.
    let twins = std::env::vars().filter(|(name, _)| name.starts_with("LANDFALL_"));
    for (name, _) in twins {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

impl Program {
    /// Starts it on free ports, with more flags, and waits for `ready`.
    pub fn serve(flags: &[&str]) -> Program {
        let ports = [
            "serve",
            "--memory-only",
            "--listen=127.0.0.1:0",
            "--publish=127.0.0.1:0",
            "--drain-spread=20ms",
        ];
        let mut serve = command(&ports);
        serve.arg("--ops=127.0.0.1:0").args(flags);
        Program::start(serve.stderr(Stdio::null()))
    }

    pub fn start(command: &mut Command) -> Program {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut program = Program {
            child,
            addresses: HashMap::new(),
        };
        for line in stdout.lines() {
            let line = line.unwrap();
            if line == "ready" {
                return program;
            }
            let (name, address) = line.split_once(' ').unwrap();
            program.addresses.insert(name.into(), address.into());
        }
        panic!("it ended before it was ready");
    }

    pub fn address(&self, name: &str) -> SocketAddr {
        let address = self.addresses[name].strip_prefix("http://").unwrap();
        address.parse().unwrap()
    }

    pub fn client(&self, name: &str) -> Client {
        Client::connect(self.address(name))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    pub fn wait(mut self) -> Option<i32> {
        wait_until("the program has ended", || {
            self.child.try_wait().unwrap().is_some()
        });
        self.child.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(arguments: &[&str]) -> Output {
    run_command(&mut command(arguments))
}

/// Runs what is to end by itself.
pub fn run_command(command: &mut Command) -> Output {
    command.output().unwrap()
}

#[test]
fn it_prints_where_it_listens_and_then_ready() {
    let program = Program::serve(&[]);
    let mut names: Vec<_> = program.addresses.keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["ops", "public", "publish"]);
    for (name, target) in [
        ("public", "/api/jobs/none"),
        ("publish", "/openapi.json"),
        ("ops", "/readyz"),
    ] {
        let answer = program.client(name).get(target);
        assert!([200, 404].contains(&answer.status));
    }
}

#[test]
fn sigterm_and_sigint_end_streams_with_a_retry_and_it_exits_0() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let program = Program::serve(&["--retry", "3s"]);
        let mut stream = EventStream::open(program.client("public"), "/api/jobs/a/events", "");
        stream.wait_for_retries(1);
        let answer = program
            .client("publish")
            .publish("a", r#"{"event":"progress"}"#);
        assert_eq!(answer.status, 201);
        program.signal(signal);
        assert_eq!(stream.rest().len(), 1);
        let &[_, last] = stream.retries() else {
            panic!("{:?}", stream.retries());
        };
        assert!((3000..=4500).contains(&last), "{last}");
        assert_eq!(program.wait(), Some(0));
    }
}

#[test]
fn a_ring_that_may_have_more_than_there_is_keeps_what_comes_and_replays_it() {
    let program = Program::serve(&[
        "--ring-bytes=4GiB",
        "--ring-events=10000000",
        "--memory=64GiB",
        "--max-event=1MiB",
        "--max-body=4MiB",
    ]);
    let data = "x".repeat(1_000_000);
    let body = format!("{{\"event\":\"progress\",\"data\":{{\"t\":\"{data}\"}}}}");
    for _ in 0..20 {
        assert_eq!(program.client("publish").publish("a", &body).status, 201);
    }
    let mut stream = EventStream::open(program.client("public"), "/api/jobs/a/events", "");
    for _ in 0..20 {
        let frame = stream.event();
        assert_eq!(frame.event, "progress");
        assert!(frame.data.len() > data.len());
    }
}

#[test]
fn sigusr1_ends_nothing() {
    let program = Program::serve(&["--drain", "5s"]);
    program.signal(rustix::process::Signal::USR1);
    // A signal behind it is seen by the same thread, so this one has been by then.
    program.signal(rustix::process::Signal::HUP);
    let mut client = program.client("public");
    assert_eq!(client.get("/api/jobs/a").status, 404);
    program.signal(rustix::process::Signal::TERM);
    assert_eq!(program.wait(), Some(0));
}

#[test]
fn it_exits_0_at_the_drain_limit_though_a_client_takes_nothing() {
    let program = Program::serve(&["--drain", "300ms", "--ring-bytes", "8MiB"]);
    let mut stalled = program.client("public");
    stalled.send(super::support::get("/api/jobs/a/events", ""));
    stalled.head();
    let data = "x".repeat(60_000);
    let mut client = program.client("publish");
    for _ in 0..200 {
        let body = format!("{{\"event\":\"progress\",\"data\":{{\"t\":\"{data}\"}}}}");
        assert_eq!(client.publish("a", &body).status, 201);
    }
    program.signal(rustix::process::Signal::TERM);
    assert_eq!(program.wait(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let program = Program::serve(&["--drain", "120s", "--drain-spread", "120s"]);
    let mut streams: Vec<_> = (0..8)
        .map(|_| EventStream::open(program.client("public"), "/api/jobs/a/events", ""))
        .collect();
    for stream in &mut streams {
        stream.wait_for_retries(1);
    }
    let begin = std::time::Instant::now();
    program.signal(rustix::process::Signal::TERM);
    // Each has a connection of its own: that is what monitoring gives.
    wait_until("it stops", || {
        program.client("ops").get("/readyz").status == 503
    });
    program.signal(rustix::process::Signal::INT);
    assert_eq!(program.wait(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(45), "it waited");
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--publish", "--ops"] {
        let mut flags = vec!["serve", "--memory-only"];
        for other in ["--listen", "--publish", "--ops"] {
            let value = if other == flag {
                &*address
            } else {
                "127.0.0.1:0"
            };
            flags.extend([other, value]);
        }
        let output = run(&flags);
        assert_eq!(output.status.code(), Some(1), "{flag}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(&address), "{flag}: {message}");
        let end = format!("in use (os error 98): give another with {flag}\n");
        assert!(message.ends_with(&end), "{flag}: {message}");
        assert!(output.stdout.is_empty(), "nothing is ready");
    }
}

#[test]
fn help_lists_every_flag_with_its_default() {
    let output = run(&["serve", "--help"]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for (flag, default) in [
        ("--listen ADDR", "127.0.0.1:8080"),
        ("--publish ADDR", "127.0.0.1:8081"),
        ("--ops ADDR", "127.0.0.1:8082"),
        ("--ring-events N", "256"),
        ("--ring-bytes SIZE", "64KiB"),
        ("--retry DUR", "5s"),
        ("--heartbeat DUR", "15s"),
        ("--drain DUR", "10s"),
        ("--drain-spread DUR", "5s"),
        ("--max-stream-age DUR", "off"),
        ("--max-streams N", ""),
        ("--memory SIZE", ""),
        ("--max-head SIZE", "8KiB"),
        ("--memory-only", ""),
    ] {
        let line = help.lines().find(|line| line.trim().starts_with(flag));
        let line = line.unwrap_or_else(|| panic!("{flag} is missing from {help}"));
        assert!(line.contains(default), "{line}");
    }
    for arguments in [&["--help"][..], &["-h"], &["help"]] {
        let output = run(arguments);
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains("serve"));
    }
}

#[test]
fn the_environment_twins_work_and_a_flag_wins() {
    let mut serve = command(&["--retry", "40s"]);
    serve
        .env("LANDFALL_MEMORY_ONLY", "1")
        .env("LANDFALL_LISTEN", "127.0.0.1:0")
        .env("LANDFALL_PUBLISH", "127.0.0.1:0")
        .env("LANDFALL_OPS", "127.0.0.1:0")
        .env("LANDFALL_RETRY", "20s")
        .env("LANDFALL_HEARTBEAT", "300ms")
        .env("LANDFALL_RING_EVENTS", "2");
    let program = Program::start(&mut serve);
    let mut stream = EventStream::open(program.client("public"), "/api/jobs/a/events", "");
    let retry = stream.wait_for_retries(1)[0];
    assert!((40_000..=60_000).contains(&retry), "{retry}");
    stream.wait_for_comments(1);
    // One at a time: a stream that falls behind by more than the ring gets a reset.
    let ids: Vec<u64> = (0..4)
        .map(|_| {
            let mut client = program.client("publish");
            assert_eq!(client.publish("a", r#"{"event":"progress"}"#).status, 201);
            stream.event().id
        })
        .collect();
    let mut late = EventStream::open(program.client("public"), "/api/jobs/a/events", "");
    assert_eq!(late.event().id, ids[2]);
}

#[test]
fn a_bad_value_is_an_error_that_names_flag_and_value() {
    for (arguments, parts) in [
        (&["--retry", "5"][..], &["--retry", "5s"][..]),
        (&["serve", "--listen", "8080"], &["--listen", "IP:PORT"]),
        (&["serve", "--ring-events", "0"], &["--ring-events"]),
        (&["serve", "--nonsense"], &["--nonsense", "--help"]),
        (&["nonsense"], &["nonsense", "--help"]),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        for part in parts {
            assert!(message.contains(part), "{arguments:?}: {message}");
        }
    }
    let output = command(&["serve"])
        .env("LANDFALL_MAX_HEAD", "lots")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("LANDFALL_MAX_HEAD=lots"), "{message}");
}

#[test]
fn it_serves_on_though_nobody_reads_what_it_prints() {
    let mut serve = command(&[
        "--listen=127.0.0.1:0",
        "--publish=127.0.0.1:0",
        "--memory-only",
    ]);
    let mut child = serve
        .arg("--ops=127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The first line, and then the pipe is closed.
    let mut first = [0; 7];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let id = rustix::process::Pid::from_child(&child);
    std::thread::sleep(Duration::from_millis(50));
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
