//! Real clients against the real binary, each through connect, named events, a drop in
//! the middle of a frame, resume, and stop at 204.

mod proxy;
mod server;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use proxy::Proxy;
use serde_json::Value;
use server::Server;

#[test]
fn eventsource_from_npm_resumes_after_a_cut_and_stops_at_204() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/follow.mjs");
    assert_follows(Command::new("node").arg(script));
}

#[test]
fn httpx_sse_from_pypi_resumes_after_a_cut_and_stops_at_204() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/follow.py");
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/target/venv/bin/python3");
    assert_follows(Command::new(python).arg(script));
}

#[test]
fn curl_prints_the_frames_byte_for_byte_and_resumes_by_header() {
    let server = Server::start(&[]);
    let first = server.publish("job_8f3a", r#"{"stage":"scanning","percent":30}"#);
    server.publish("job_8f3a", r#"{"stage":"scanning","percent":60}"#);
    server.end("job_8f3a");
    let url = format!("http://{}/api/jobs/job_8f3a/events", server.public);
    let frame = |name: &str, id: u64, data: &str| {
        format!("event: {name}\ndata: {{\"jobId\":\"job_8f3a\"{data}}}\nid: {id}\n\n")
    };
    let printed = curl(&["-N", &url]);
    let (retry, frames) = printed.split_once('\n').unwrap();
    let wait: u64 = retry.strip_prefix("retry: ").unwrap().parse().unwrap();
    assert!((5000..7500).contains(&wait), "{wait}");
    let rest = frame("progress", first + 1, r#","stage":"scanning","percent":60"#)
        + &frame("done", first + 2, "");
    let whole = frame("progress", first, r#","stage":"scanning","percent":30"#) + &rest;
    assert_eq!(frames, whole);

    let resumed = curl(&["-N", "-H", &format!("Last-Event-ID: {first}"), &url]);
    assert_eq!(resumed.split_once('\n').unwrap().1, rest);
    let last = format!("Last-Event-ID: {}", first + 2);
    assert_eq!(
        curl(&["-o", "/dev/null", "-w", "%{http_code}", "-H", &last, &url]),
        "204"
    );
}

/// A client that follows through a proxy which cuts its first connection within the third
/// frame sees every event once, in order, and comes back until it is told to stop.
fn assert_follows(command: &mut Command) {
    let server = Server::start(&["--retry", "100ms"]);
    let first = server.publish("job", r#"{"percent":1}"#);
    let proxy = Proxy::start(server.public);
    let url = format!("http://{}/api/jobs/job/events", proxy.address);
    let mut client = Client::start(command.arg(&url));
    client.wait(|line| line["id"].as_str() == Some(&first.to_string()));
    server.publish("job", r#"{"percent":2}"#);
    client.wait(|line| line["data"]["percent"] == 2);
    proxy.cut_after("data: {\"jobId\":\"job\",\"perc");
    server.publish("job", r#"{"percent":3}"#);
    client.wait(|line| line["data"]["percent"] == 3);
    server.publish("job", r#"{"percent":4}"#);
    server.end("job");
    client.wait(|line| line["state"] == "closed");

    let events: Vec<_> = client
        .lines
        .iter()
        .filter(|line| line["event"].is_string())
        .collect();
    let names: Vec<_> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["progress", "progress", "progress", "progress", "done"]
    );
    let ids: Vec<_> = events
        .iter()
        .map(|event| event["id"].as_str().unwrap())
        .collect();
    let expected: Vec<_> = (first..first + 5).map(|id| id.to_string()).collect();
    assert_eq!(ids, expected);
    let requests = proxy.requests();
    assert_eq!(requests.len(), 3, "{requests:?}");
    assert!(!requests[0].to_lowercase().contains("last-event-id"));
    let resumes = |id: u64| format!("last-event-id: {id}\r\n");
    assert!(
        requests[1].to_lowercase().contains(&resumes(first + 1)),
        "{}",
        requests[1]
    );
    assert!(
        requests[2].to_lowercase().contains(&resumes(first + 4)),
        "{}",
        requests[2]
    );
}

/// A running script that prints JSON lines.
struct Client {
    child: Child,
    output: std::io::Lines<BufReader<std::process::ChildStdout>>,
    lines: Vec<Value>,
}

impl Client {
    fn start(command: &mut Command) -> Client {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("a client is missing: scripts/test installs it");
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Client {
            child,
            output,
            lines: Vec::new(),
        }
    }

    /// Reads until a line fits.
    fn wait(&mut self, fits: impl Fn(&Value) -> bool) {
        loop {
            let line = self.output.next().expect("the client ended").unwrap();
            let line: Value = serde_json::from_str(&line).unwrap();
            let is_it = fits(&line);
            self.lines.push(line);
            if is_it {
                return;
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "30"])
        .args(arguments)
        .output();
    let output = output.expect("curl is missing: scripts/test installs it");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
