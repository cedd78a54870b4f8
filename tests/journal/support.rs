//! The real binary on a data directory.

// Each test takes of this what it needs.
#![allow(dead_code)]

use std::io::Read;
use std::ops::Deref;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::binary::Binary;
use super::http::{Answer, ask, get, post, wait_until};
pub use super::stream::Frame;
use super::stream::Stream;

/// How long the server has publishers wait while it makes room.
const ROOM_PATIENCE: Duration = Duration::from_secs(5);

/// A `landfall serve` that ends with its owner.
pub struct Process(Binary);

/// A `landfall serve` on free ports, which keeps its data in `data`.
pub fn command(data: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    command
        .args(["serve", "--listen=127.0.0.1:0", "--publish=127.0.0.1:0"])
        .args(["--ops=127.0.0.1:0", "--drain-spread=10ms", "--data"])
        .arg(data)
        .args(flags)
        .env("RUST_LOG", "landfall=info")
        .stdin(Stdio::null());
    command
}

impl Process {
    pub fn start(data: &Path, flags: &[&str]) -> Process {
        Process::start_with(&mut command(data, flags), Stdio::null())
    }

    pub fn start_with(command: &mut Command, stderr: impl Into<Stdio>) -> Process {
        Process(Binary::of(command.stderr(stderr)))
    }

    /// Ends it as a crash does.
    pub fn kill(mut self) {
        self.0.kill();
    }

    /// Ends it as a supervisor does. Returns what it said to a piped stderr.
    pub fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.0.child), Signal::TERM).unwrap();
        let mut log = String::new();
        if let Some(mut stderr) = self.0.child.stderr.take() {
            stderr.read_to_string(&mut log).unwrap();
        }
        assert!(self.0.child.wait().unwrap().success());
        log
    }

    pub fn publish(&self, job: &str, event: &str, data: &str) -> Answer {
        let body = format!(r#"{{"event":"{event}","data":{data}}}"#);
        let target = format!("/api/jobs/{job}/events");
        post(self.publish, &target, "application/json", &body)
    }

    /// Publishes `{"n":n}`, and returns its id.
    pub fn progress(&self, job: &str, n: u64) -> u64 {
        let answer = self.publish(job, "progress", &format!("{{\"n\":{n}}}"));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_u64().unwrap()
    }

    /// Publishes `{"n":n}` for each of `numbers` at once.
    pub fn progress_all(&self, job: &str, numbers: impl Iterator<Item = u64>) {
        let lines: String = numbers
            .map(|n| format!("{{\"event\":\"progress\",\"data\":{{\"n\":{n}}}}}\n"))
            .collect();
        let target = format!("/api/jobs/{job}/events");
        let answer = post(self.publish, &target, "application/x-ndjson", &lines);
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// Publishes lines for which room may have to be made. On a busy disk that may take longer than
    /// the server waits for it; who is refused before that is refused too early.
    pub fn publish_where_room_is_made(&self, target: &str, lines: &str) {
        let mut left: Vec<&str> = lines.lines().collect();
        wait_until("there is room", || {
            let began = Instant::now();
            let body = left.join("\n");
            let answer = post(self.publish, target, "application/x-ndjson", &body);
            let taken = answer.json()["ids"].as_array().map_or(0, Vec::len);
            left.drain(..taken);
            is_taken(&answer, began)
        });
    }

    pub fn snapshot(&self, job: &str) -> Answer {
        let target = format!("/api/jobs/{job}");
        get(self.publish, &target)
    }

    /// Begins a life of the job.
    pub fn begin(&self, job: &str) -> Answer {
        let target = format!("/api/jobs/{job}");
        ask(self.publish, "PUT", &target, &[], "")
    }

    pub fn delete(&self, job: &str) -> Answer {
        let target = format!("/api/jobs/{job}");
        ask(self.publish, "DELETE", &target, &[], "")
    }

    pub fn ops(&self, target: &str) -> Answer {
        get(self.ops, target)
    }

    /// Follows `target` until `events` have come, resets among them, or to its end.
    pub fn follow(&self, target: &str, after: Option<u64>, events: usize) -> Vec<Frame> {
        self.follow_until(target, after, |frames| frames.len() >= events)
    }

    /// Follows `target` until `is_enough`, or to its end.
    pub fn follow_until(
        &self,
        target: &str,
        after: Option<u64>,
        is_enough: impl Fn(&[Frame]) -> bool,
    ) -> Vec<Frame> {
        let mut stream = Stream::open(self, target, after);
        let mut frames = Vec::new();
        while !is_enough(&frames)
            && let Some(frame) = stream.next()
        {
            frames.push(frame);
        }
        frames
    }
}

/// Whether what was sent then is taken. If not, the server has waited for room first.
pub fn is_taken(answer: &Answer, began: Instant) -> bool {
    let has_waited = answer.status == 507 && began.elapsed() >= ROOM_PATIENCE;
    assert!(answer.status == 201 || has_waited, "{answer:?}");
    answer.status == 201
}

impl Deref for Process {
    type Target = Binary;

    fn deref(&self) -> &Binary {
        &self.0
    }
}
