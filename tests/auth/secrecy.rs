//! The real binary: what it prints, the files it reads, the tokens it mints.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall::Claims;
use rustix::process::{Pid, Signal, kill_process};

use super::support::*;

const EVENTS: &str = "/api/jobs/a/events";

struct Program {
    child: Child,
    printed: Arc<Mutex<String>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Program {
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Program {
        let local = "127.0.0.1:0";
        let mut child = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["serve", "--memory-only", "--listen", local, "--ops", local])
            .args(["--publish", local, "--drain", "100ms"])
            .args(arguments)
            .env("RUST_LOG", "trace")
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = Arc::new(Mutex::new(String::new()));
        let pipes: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        let readers = pipes.map(|mut pipe| {
            let printed = printed.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                    let text = String::from_utf8_lossy(&buffer[..length]);
                    printed.lock().unwrap().push_str(&text);
                }
            })
        });
        let program = Program {
            child,
            printed,
            readers: readers.into(),
        };
        program.wait_for("ready\n");
        program
    }

    fn wait_for(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.printed().contains(text) {
            assert!(
                Instant::now() < deadline,
                "no {text:?} in {}",
                self.printed()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    fn address(&self, listener: &str) -> SocketAddr {
        let printed = self.printed();
        let line = printed.lines().find(|line| line.starts_with(listener));
        line.unwrap()
            .split_once("http://")
            .unwrap()
            .1
            .parse()
            .unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops it, and returns all that it has printed.
    fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        assert!(self.child.wait().unwrap().success());
        self.readers
            .drain(..)
            .for_each(|reader| reader.join().unwrap());
        self.printed()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(arguments)
        .output()
        .unwrap()
}

fn mint(arguments: &[&str]) -> String {
    let output = run(&[&["token"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_token_is_nowhere_in_what_the_server_prints_answers_or_counts() {
    let files = KeyFiles::new();
    let (token_key, publish_key) = (files.path("token"), files.path("publish"));
    let program = Program::start(
        &[
            "--token-key",
            token_key.to_str().unwrap(),
            "--publish-key",
            publish_key.to_str().unwrap(),
            "--cors-origin",
            "https://app.example",
        ],
        &[],
    );
    let (public, publish) = (program.address("public"), program.address("publish"));
    let good = token(&["a"], &["a"]);
    let expired = sign(&Claims {
        exp: now() - 1,
        ..Claims::default()
    });
    let forged = format!("{good}A");
    let mut answers = String::new();
    for shown in [
        &good,
        &expired,
        &forged,
        PUBLISH_KEY,
        "planted-canary-token",
    ] {
        for target in [
            EVENTS,
            "/api/events?job=a",
            "/api/jobs/a",
            "/api/jobs/b",
            "/%zz",
        ] {
            let joint = if target.contains('?') { '&' } else { '?' };
            let in_query = format!("{target}{joint}token={shown}");
            for mut answer in [
                get(public, &in_query, ""),
                get(public, target, &bearer(shown)),
                get(publish, target, &cookie(shown)),
                post(publish, &in_query, &bearer(shown), EVENT),
                raw(publish, &format!("BREW {in_query}"), "Host: a\r\n", ""),
                raw(publish, &format!("GET {in_query} x"), &bearer(shown), ""),
                raw(public, &format!("GET {in_query}"), "", ""),
            ] {
                answers.push_str(&answer.head);
                let is_stream = answer.head.contains("text/event-stream");
                if !is_stream {
                    answers.push_str(&answer.body());
                }
            }
        }
    }
    let mut metrics = get(program.address("ops"), "/metrics", "");
    let mut jobs = get(program.address("ops"), "/jobs", "");
    let counted = metrics.body() + &jobs.body();
    assert!(answers.contains("401 Unauthorized") && counted.contains("landfall_"));
    let printed = program.stop();
    for (what, text) in [
        ("printed", printed),
        ("answers", answers),
        ("counted", counted),
    ] {
        for secret in [
            &good,
            &expired,
            &forged,
            TOKEN_KEY,
            PUBLISH_KEY,
            "planted-canary-token",
        ] {
            // Also of a part nothing is said.
            let tail = &secret[secret.len() - secret.len().min(16)..];
            assert!(!text.contains(tail), "{what}: {tail} in {text}");
        }
    }
}

#[test]
fn keys_are_rotated_by_sighup_without_cutting_anyone_off() {
    let files = KeyFiles::new();
    files.write("old", &"o".repeat(32));
    files.write("new", &"n".repeat(32));
    let path = |name: &str| files.path(name).to_str().unwrap().to_owned();
    files.write("first", &"o".repeat(32));
    files.write("second", &"s".repeat(32));
    let list = format!("{},{}", path("first"), path("second"));
    let program = Program::start(&[], &[("LANDFALL_TOKEN_KEY", &list)]);
    let public = program.address("public");
    let status = |token: &str| get(public, EVENTS, &bearer(token)).status;
    let old = mint(&["--jobs", "a", "--token-key", &path("old")]);
    let new = mint(&["--jobs", "a", "--token-key", &path("new")]);
    assert_eq!((status(&old), status(&new)), (200, 401));
    let mut open = get(public, EVENTS, &bearer(&old));

    files.write("first", &"n".repeat(32));
    files.write("second", &"o".repeat(32));
    program.signal(Signal::HUP);
    program.wait_for("read again");
    assert_eq!((status(&old), status(&new)), (200, 200));

    // What is no key changes nothing, and is told.
    files.write("second", "short");
    program.signal(Signal::HUP);
    program.wait_for("at least 32 bytes");
    assert_eq!((status(&old), status(&new)), (200, 200));

    files.write("second", &"t".repeat(32));
    let before = program.printed().matches("read again").count();
    program.signal(Signal::HUP);
    let deadline = Instant::now() + PATIENCE;
    while program.printed().matches("read again").count() == before {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((status(&old), status(&new)), (401, 200));
    assert_eq!(
        post(program.address("publish"), EVENTS, "", EVENT).status,
        201
    );
    open.wait_for("percent");
    program.stop();
}

#[test]
fn a_minted_token_opens_what_it_was_minted_for() {
    let files = KeyFiles::new();
    let key = files.path("token");
    let key = key.to_str().unwrap();
    let program = Program::start(&["--token-key", key], &[]);
    let token = mint(&[
        "--jobs",
        "a,b*",
        "--ttl",
        "5m",
        "--sub",
        "me",
        "--token-key",
        key,
    ]);
    assert_eq!(token.matches('.').count(), 2);
    let status = |target: &str| get(program.address("public"), target, "").status;
    assert_eq!(status(&format!("{EVENTS}?token={token}")), 200);
    assert_eq!(status(&format!("/api/jobs/b7/events?token={token}")), 200);
    assert_eq!(status(&format!("/api/jobs/c/events?token={token}")), 403);
    let long = mint(&["--jobs", "a", "--ttl", "1h", "--token-key", key]);
    assert_eq!(status(&format!("{EVENTS}?token={long}")), 401);
    program.stop();
    let output = run(&["token", "--jobs", "a"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--token-key"));
}

#[test]
fn the_commands_show_the_key_that_they_are_given() {
    let files = KeyFiles::new();
    let key = files.path("publish");
    let key = key.to_str().unwrap();
    let program = Program::start(&["--publish-key", key], &[]);
    let hub = format!("http://{}", program.address("publish"));
    let publish = ["publish", "--hub", &hub, "a", "done", "{}"];
    assert_eq!(run(&publish).status.code(), Some(1));
    let with_key =
        |arguments: &[&str]| run(&[&arguments[..1], &["--key", key], &arguments[1..]].concat());
    assert!(with_key(&publish).status.success());
    assert!(with_key(&["watch", "--hub", &hub, "a"]).status.success());
    assert!(
        with_key(&["run", "--hub", &hub, "--job", "b", "--", "true"])
            .status
            .success()
    );
    let mut state = get(program.address("public"), "/api/jobs/b", "");
    assert!(state.body().contains("\"state\":\"done\""));
    let printed = program.stop();
    assert!(!printed.contains(PUBLISH_KEY));
}

#[test]
fn a_key_that_is_too_short_or_missing_stops_the_start_and_says_why() {
    let files = KeyFiles::new();
    let short = files.write("short", "short");
    for (flag, path, part) in [
        ("--token-key", short.clone(), "at least 32 bytes"),
        ("--publish-key", short, "at least 16 bytes"),
        ("--token-key", files.path("none"), "No such file"),
    ] {
        let output = run(&["serve", "--memory-only", flag, path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(printed.contains(part), "{printed}");
        assert!(printed.contains(path.to_str().unwrap()), "{printed}");
    }
    let output = run(&["serve", "--memory-only", "--publish", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--insecure"));
}

#[test]
fn a_key_file_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let files = KeyFiles::new();
    let key = files.path("token");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let program = Program::start(&["--token-key", key.to_str().unwrap()], &[]);
    let printed = program.stop();
    assert!(printed.contains("chmod 600"), "{printed}");
}
