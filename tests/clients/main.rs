//! Clients that people use, against the real binary.

#[path = "../support/binary.rs"]
mod binary;
#[path = "../support/http.rs"]
mod http;
mod proxy;
mod snippets;
mod workers;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use binary::Binary;
use http::{PATIENCE, post, publish};
use proxy::{Cut, Proxy};
use serde_json::{Value, json};

const JOB: &str = "job_8f3a";
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// Reconnects are part of these tests, so they are asked for soon.
const SOON: [&str; 2] = ["--retry", "20ms"];

#[test]
fn eventsource_misses_and_repeats_nothing_across_cuts_and_stops_at_204() {
    resumes_across_cuts_and_stops(eventsource);
}

#[test]
fn httpx_sse_misses_and_repeats_nothing_across_cuts_and_stops_at_204() {
    resumes_across_cuts_and_stops(httpx_sse);
}

#[test]
fn eventsource_is_told_of_a_gap_and_of_an_error() {
    is_told_of_a_gap_and_of_an_error(eventsource);
}

#[test]
fn httpx_sse_is_told_of_a_gap_and_of_an_error() {
    is_told_of_a_gap_and_of_an_error(httpx_sse);
}

#[test]
fn curl_prints_the_stream_as_the_contract_writes_it() {
    let server = Binary::serve(&[]);
    let first = progress(&server, 30);
    let second = progress(&server, 60);
    let done = publish(server.publish, JOB, "done", "{}");
    let text = curl(&["-i", &url(server.public)]);
    let (head, body) = text.split_once("\n\r\n").unwrap();
    assert_eq!(
        head,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
         Cache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r"
    );
    let (retry, frames) = body.split_once('\n').unwrap();
    let wait: u32 = retry.strip_prefix("retry: ").unwrap().parse().unwrap();
    assert!((5000..=7500).contains(&wait), "{wait}");
    let expected = [
        format!(
            "event: progress\ndata: {{\"jobId\":\"job_8f3a\",\"stage\":\"scanning\",\
             \"percent\":30}}\nid: {first}\n\n"
        ),
        format!(
            "event: progress\ndata: {{\"jobId\":\"job_8f3a\",\"stage\":\"scanning\",\
             \"percent\":60}}\nid: {second}\n\n"
        ),
        format!("event: done\ndata: {{\"jobId\":\"job_8f3a\"}}\nid: {done}\n\n"),
    ];
    assert_eq!(frames, expected.concat());
}

#[test]
fn curl_prints_a_frame_the_moment_it_is_published() {
    let server = Binary::serve(&[]);
    let mut curl = Process::start(Command::new("curl").args(["-sSN", &url(server.public)]));
    assert!(curl.line().starts_with("retry: "));
    for percent in [30, 60] {
        let id = progress(&server, percent);
        assert_eq!(curl.line(), "event: progress");
        assert_eq!(curl.line(), format!("data: {}", data(percent)));
        assert_eq!(curl.line(), format!("id: {id}"));
        assert_eq!(curl.line(), "");
    }
    publish(server.publish, JOB, "done", "{}");
    assert_eq!(curl.line(), "event: done");
    assert!(curl.rest().1, "curl failed");
}

#[test]
fn curl_resumes_by_hand_without_loss_or_repeat_and_gets_204_at_the_end() {
    let server = Binary::serve(&[]);
    let cuts = [Cut::InData(1), Cut::BeforeId(0), Cut::BeforeBlankLine(1)];
    let proxy = Proxy::start(server.public, &cuts);
    let url = url(proxy.address);
    let mut ids = vec![progress(&server, 30), progress(&server, 60)];
    ids.push(progress(&server, 90));
    ids.push(publish(server.publish, JOB, "done", "{}"));
    let mut seen = Vec::new();
    for _ in 0..=cuts.len() {
        let resume = seen.last().map(|id| format!("Last-Event-ID: {id}"));
        // A cut that is a reset is a failure to curl: it still prints what had come.
        let text = match &resume {
            None => read("curl", &["-sN", &url]).0,
            Some(field) => read("curl", &["-sN", "-H", field, &url]).0,
        };
        let (whole, _cut) = text.rsplit_once("\n\n").unwrap_or_default();
        let frames = whole.split("\n\n").filter(|frame| !frame.is_empty());
        let id = |frame: &str| frame.rsplit_once("\nid: ").unwrap().1.parse().unwrap();
        seen.extend(frames.map(id).collect::<Vec<u64>>());
    }
    assert_eq!(seen, ids);
    let after = format!("Last-Event-ID: {}", ids[3]);
    let answer = curl(&["-w", "%{http_code} %{size_download}", "-H", &after, &url]);
    assert_eq!(answer, "204 0");
    assert_eq!(proxy.exchanges().len(), cuts.len() + 2);
}

#[test]
fn curl_publishes_one_event_and_many() {
    let server = Binary::serve(&[]);
    let url = url(server.publish);
    let event = r#"{"event":"progress","data":{"stage":"scanning","percent":30}}"#;
    let one = curl(&["-H", "Content-Type: application/json", "-d", event, &url]);
    let one: Value = serde_json::from_str(&one).unwrap();
    let kind = "Content-Type: application/x-ndjson";
    // Without a length known in advance, so curl sends chunks.
    let lines = format!("{event}\n{event}\n{{\"event\":\"done\"}}\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines).unwrap();
    let upload = ["-X", "POST", "-H", kind, "-H", "Transfer-Encoding: chunked"];
    let path = file.path().to_str().unwrap();
    let many = curl(&[&upload[..], &["-T", path, &url]].concat());
    let many: Value = serde_json::from_str(&many).unwrap();
    let ids = many["ids"].as_array().unwrap();
    assert_eq!(ids.len(), 3);
    assert!(one["id"].as_u64() < ids[0].as_u64());
}

/// A client goes through every cut that a frame can have, each on a connection of its
/// own, then sees the end, asks once more, and is told to stop.
fn resumes_across_cuts_and_stops(client: fn(&str) -> Process) {
    let server = Binary::serve(&SOON);
    let cuts = [Cut::InData(1), Cut::BeforeId(0), Cut::BeforeBlankLine(1)];
    let proxy = Proxy::start(server.public, &cuts);
    let first = progress(&server, 30);
    let mut client = client(&url(proxy.address));
    assert_eq!(client.event(), event("progress", data(30), first));
    let second = progress(&server, 60);
    assert_eq!(client.event(), event("progress", data(60), second));
    let third = progress(&server, 90);
    assert_eq!(client.event(), event("progress", data(90), third));
    let last = publish(server.publish, JOB, "done", "{}");
    let end = r#"{"jobId":"job_8f3a"}"#.to_owned();
    assert_eq!(client.event(), event("done", end, last));
    assert_eq!(client.event(), json!({"closed": true, "status": 204}));
    let (rest, success) = client.rest();
    assert!(success, "the client failed");
    assert_eq!(rest, "", "an event was fired twice, or an empty one");

    let exchanges = proxy.exchanges();
    let asked: Vec<_> = exchanges.iter().map(|e| e.last_event_id()).collect();
    assert_eq!(
        asked,
        [None, Some(first), Some(first), Some(second), Some(last)]
    );
    let statuses: Vec<_> = exchanges.iter().map(|e| e.status()).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 204]);
}

/// A client that asks for what is no longer kept gets `reset`, like any other event, and
/// what is kept; and `error` ends a job as `done` does.
fn is_told_of_a_gap_and_of_an_error(client: fn(&str) -> Process) {
    let server = Binary::serve(&[&SOON[..], &["--ring-events", "2"]].concat());
    let proxy = Proxy::start(server.public, &[]);
    let ids: Vec<_> = [10, 20, 30, 40].map(|p| progress(&server, p)).to_vec();
    let mut client = client(&format!("{}?lastEventId={}", url(proxy.address), ids[0]));
    let lost = format!(
        r#"{{"jobId":"job_8f3a","reason":"expired","lastEventId":"{}"}}"#,
        ids[0]
    );
    assert_eq!(client.event(), event("reset", lost, ids[1]));
    assert_eq!(client.event(), event("progress", data(30), ids[2]));
    assert_eq!(client.event(), event("progress", data(40), ids[3]));
    let failed = r#"{"message":"ffmpeg: exit status 1: no such file"}"#;
    let last = publish(server.publish, JOB, "error", failed);
    let failed = failed.replace('{', r#"{"jobId":"job_8f3a","#);
    assert_eq!(client.event(), event("error", failed, last));
    assert_eq!(client.event(), json!({"closed": true, "status": 204}));
    assert_eq!(client.rest(), (String::new(), true));
    assert_eq!(proxy.exchanges().len(), 2);
    // The job has ended: nothing more is taken.
    let target = format!("/api/jobs/{JOB}/events");
    let more = post(
        server.publish,
        &target,
        "application/json",
        r#"{"event":"x"}"#,
    );
    assert_eq!(more.status, 409);
}

fn eventsource(url: &str) -> Process {
    let script = format!("{HERE}/eventsource.mjs");
    let module = format!("{HERE}/node_modules/eventsource");
    assert!(Path::new(&module).exists(), "{module}: run scripts/test");
    Process::start(Command::new("node").args([&script, url, "progress", "done", "reset"]))
}

fn httpx_sse(url: &str) -> Process {
    // scripts/test makes the environment in the target directory.
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients-venv/bin/python");
    Process::start(
        Command::new(python)
            .arg(format!("{HERE}/httpx_sse_client.py"))
            .arg(url),
    )
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/api/jobs/{JOB}/events")
}

fn progress(server: &Binary, percent: u32) -> u64 {
    let data = format!(r#"{{"stage":"scanning","percent":{percent}}}"#);
    publish(server.publish, JOB, "progress", &data)
}

fn data(percent: u32) -> String {
    format!(r#"{{"jobId":"job_8f3a","stage":"scanning","percent":{percent}}}"#)
}

fn event(name: &str, data: String, id: u64) -> Value {
    json!({"event": name, "data": data, "id": id.to_string()})
}

fn curl(arguments: &[&str]) -> String {
    let (text, success) = read("curl", &[&["-sSN"], arguments].concat());
    assert!(success, "curl failed: {text}");
    text
}

fn read(program: &str, arguments: &[&str]) -> (String, bool) {
    Process::start(Command::new(program).args(arguments)).rest()
}

/// A client that runs: what it prints, line by line.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(command: &mut Command) -> Process {
        let program = command.get_program().to_owned();
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program:?}: {error}: run scripts/test"));
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut line = String::new();
            while out.read_line(&mut line).is_ok_and(|length| length > 0) {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    break;
                }
            }
        });
        Process { child, lines }
    }

    /// The next line, without its end.
    fn line(&mut self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.expect("the client says nothing").replace('\n', "")
    }

    /// The next line that tells of more than a connection, as JSON.
    fn event(&mut self) -> Value {
        loop {
            let said: Value = serde_json::from_str(&self.line()).unwrap();
            if said != json!({"open": true}) {
                return said;
            }
        }
    }

    /// Waits until it has ended by itself. Returns what it printed, and whether it
    /// succeeded.
    fn rest(mut self) -> (String, bool) {
        let mut text = String::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => text.push_str(&line),
                Err(RecvTimeoutError::Timeout) => panic!("it goes on: {text}"),
                Err(RecvTimeoutError::Disconnected) => {
                    return (text, self.child.wait().unwrap().success());
                }
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
