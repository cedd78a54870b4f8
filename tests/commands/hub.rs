//! A hub for a test, and what the tests ask it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use landfall::{Client, ServerEvent};
use serde_json::Value;

pub use crate::http::{PATIENCE, wait_until};

/// A `landfall serve`, ended with the test.
pub struct Hub {
    process: Child,
    /// Held open, as the hub may have more to say.
    stdout: BufReader<ChildStdout>,
    pub address: String,
    /// Where browsers connect.
    pub public: String,
}

impl Hub {
    /// One on a port of its own.
    pub fn start() -> Hub {
        Hub::publishing_at("127.0.0.1:0", &[])
    }

    /// One with more flags.
    pub fn with(flags: &[&str]) -> Hub {
        Hub::publishing_at("127.0.0.1:0", flags)
    }

    /// One on a unix socket, so that it can come later than its clients.
    pub fn start_at(path: &Path) -> Hub {
        Hub::publishing_at(&format!("unix:{}", path.display()), &[])
    }

    /// One that keeps its data in a directory, and so takes uploads.
    pub fn keeping(data: &Path, flags: &[&str]) -> Hub {
        let data = format!("--data={}", data.display());
        Hub::launch("127.0.0.1:0", &data, flags)
    }

    fn publishing_at(publish: &str, flags: &[&str]) -> Hub {
        Hub::launch(publish, "--memory-only", flags)
    }

    fn launch(publish: &str, data: &str, flags: &[&str]) -> Hub {
        let mut command = landfall(["serve", data, "--listen", "127.0.0.1:0"]);
        command
            .args([
                "--ops",
                "127.0.0.1:0",
                "--publish",
                publish,
                "--retry",
                "100ms",
            ])
            .args(flags);
        Hub::started_by(command)
    }

    /// One by a whole command.
    pub fn started_by(mut command: Command) -> Hub {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let mut hub = Hub {
            process,
            stdout,
            address: String::new(),
            public: String::new(),
        };
        loop {
            let mut line = String::new();
            assert!(
                hub.stdout.read_line(&mut line).unwrap() > 0,
                "the hub ended"
            );
            if let Some(told) = line.strip_prefix("publish ") {
                told.trim().clone_into(&mut hub.address);
            }
            if let Some(told) = line.strip_prefix("public ") {
                told.trim().clone_into(&mut hub.public);
            }
            if line == "ready\n" {
                return hub;
            }
        }
    }

    /// A `landfall` command that talks to this hub.
    pub fn command<const N: usize>(&self, args: [&str; N]) -> Command {
        let mut command = landfall(args);
        command.env("LANDFALL_HUB", &self.address);
        command
    }

    /// Runs one and returns how it ended and what it printed.
    pub fn output<const N: usize>(&self, args: [&str; N]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    /// Ends it as a supervisor does.
    pub fn stop(&mut self) {
        self.signal(rustix::process::Signal::TERM);
        assert!(self.process.wait().unwrap().success());
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(id, signal).unwrap();
    }

    pub fn client(&self) -> Client {
        Client::new(self.address.parse().unwrap())
    }

    /// Sends a request without a body about a job. It must succeed.
    pub fn ask(&self, method: &str, job: &str) {
        self.request(method, &format!("/api/jobs/{job}"), "", "");
    }

    /// Posts a body. It must be taken.
    pub fn post(&self, target: &str, kind: &str, body: &str) {
        let fields = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        self.request("POST", target, &fields, body);
    }

    fn request(&self, method: &str, target: &str, fields: &str, body: &str) {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}");
        let answer = self.raw(&format!("{head}Connection: close\r\n\r\n{body}"));
        assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
    }

    /// Sends what it is given, and returns what comes until the connection is closed.
    pub fn raw(&self, request: &str) -> String {
        let address = self.address.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// All events of a job that has ended or soon will, as their names and data.
    pub fn events(&self, job: &str) -> Vec<(String, Value)> {
        let jobs = [job.parse().unwrap()];
        let mut stream = self.client().events(&jobs, "").unwrap().expect("a stream");
        let mut seen = Vec::new();
        let keep = |seen: &mut Vec<_>, event: ServerEvent| {
            seen.push((event.event, serde_json::from_str(&event.data).unwrap()));
        };
        while stream.wait(|event| keep(&mut seen, event)).unwrap() {}
        seen
    }

    /// Waits until the job's newest event has this percentage at least.
    pub fn wait_for_percent(&self, job: &str, percent: u64) {
        let job = job.parse().unwrap();
        wait_until(&format!("{percent} %"), || {
            let snapshot = self.client().snapshot(&job).unwrap_or_default();
            let snapshot: Value = serde_json::from_slice(&snapshot).unwrap_or_default();
            let reached = &snapshot["lastEvent"]["data"]["percent"];
            reached
                .as_f64()
                .is_some_and(|reached| reached >= percent as f64)
        });
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The binary under test, away from what the environment says.
pub fn landfall<S: AsRef<OsStr>, const N: usize>(args: [S; N]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LANDFALL_") {
            command.env_remove(name);
        }
    }
    command.args(args);
    command
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
