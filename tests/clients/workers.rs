//! The workers of the guide, as they stand there, over a network that loses answers.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use super::binary::Binary;
use super::http::{PATIENCE, get, post};
use super::{Process, data};

const GUIDE: &str = include_str!("../../src/docs/publishing.md");

#[test]
fn a_worker_in_python_says_each_thing_once_and_ends_when_it_is_cancelled() {
    says_each_thing_once_and_ends_when_it_is_cancelled("python", "py", "python3");
}

#[test]
fn a_worker_in_node_says_each_thing_once_and_ends_when_it_is_cancelled() {
    says_each_thing_once_and_ends_when_it_is_cancelled("js", "mjs", "node");
}

#[test]
fn a_worker_in_the_shell_says_each_thing_once_and_ends_when_it_is_cancelled() {
    says_each_thing_once_and_ends_when_it_is_cancelled("sh", "sh", "sh");
}

#[test]
fn a_worker_in_the_shell_goes_no_further_where_its_job_has_ended() {
    let server = Binary::serve(&[]);
    let ended = r#"{"event":"done"}"#;
    let target = "/api/jobs/job_8f3a/events";
    let answer = post(server.publish, target, "application/json", ended);
    assert_eq!(answer.status, 201);
    let source = worker("sh").replace("127.0.0.1:8081", &server.publish.to_string());
    let (said, success) = Process::start(Command::new("sh").args(["-c", &source])).rest();
    assert!(!success, "{said}");
    let metrics = get(server.ops, "/metrics").body;
    assert!(metrics.contains("code=\"409\"} 1\n"), "it tried again");
    assert_eq!(events(&server, "job_8f3a").len(), 1);
}

fn says_each_thing_once_and_ends_when_it_is_cancelled(language: &str, ending: &str, program: &str) {
    let server = Binary::serve(&["--cancel-grace", "1h"]);
    let network = losing_answers(server.publish);
    let folder = tempfile::tempdir().unwrap();
    let run = |job: &str| {
        let source = worker(language)
            .replace("127.0.0.1:8081", &network.to_string())
            .replace("job_8f3a", job);
        let file = folder.path().join(format!("worker.{ending}"));
        std::fs::write(&file, source).unwrap();
        let (said, success) = Process::start(Command::new(program).arg(&file)).rest();
        assert!(success, "{said}");
    };

    run("job_8f3a");
    let percents = [0, 20, 40, 60, 80].map(|percent| ("progress".into(), data(percent)));
    let mut expected: Vec<(String, String)> = percents.to_vec();
    expected.push(("done".into(), r#"{"jobId":"job_8f3a"}"#.into()));
    assert_eq!(events(&server, "job_8f3a"), expected);

    let begun = r#"{"event":"progress","data":{}}"#;
    let target = "/api/jobs/other/events";
    let answer = post(server.publish, target, "application/json", begun);
    assert_eq!(answer.status, 201);
    let cancelled = post(server.publish, "/api/jobs/other/cancel", "text/plain", "");
    assert_eq!(cancelled.status, 202);
    run("other");
    let names: Vec<_> = events(&server, "other");
    let end = r#"{"jobId":"other","message":"stopped","reason":"cancelled"}"#;
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[2], ("error".into(), end.into()));
}

/// The worker in this language.
fn worker(language: &str) -> String {
    let (_, section) = GUIDE.split_once("\n## Workers\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let (_, block) = section.split_once(&format!("```{language}\n")).unwrap();
    let (block, _) = block.split_once("```").unwrap();
    block.to_owned()
}

/// The events of a job that has ended.
fn events(server: &Binary, job: &str) -> Vec<(String, String)> {
    let target = format!("/api/jobs/{job}/events");
    let stream = get(server.publish, &target);
    let field = |frame: &str, name: &str| {
        let line = frame.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().to_owned()
    };
    let frames = stream.body.split("\n\n").map(str::to_owned);
    let frames = frames.filter(|frame| frame.contains("data: "));
    frames
        .map(|frame| (field(&frame, "event: "), field(&frame, "data: ")))
        .collect()
}

/// A network before the server that loses the first answer of all, and that to the last event,
/// when they come the first time.
fn losing_answers(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut seen = HashSet::new();
        for client in listener.incoming() {
            let mut client = client.unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            let Some(request) = request(&mut client) else {
                continue;
            };
            let answer = forward(server, &request);
            let ends = request.contains(r#""done""#) || request.contains(r#""error""#);
            let key = request
                .lines()
                .find(|line| line.to_lowercase().starts_with("idempotency-key"));
            let is_first = seen.is_empty();
            let is_new = seen.insert(key.unwrap().to_owned());
            if !(is_new && (is_first || ends)) {
                let _ = client.write_all(&answer);
            }
        }
    });
    address
}

/// One whole request. The next has to come on another connection.
fn request(client: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    let mut piece = [0; 4096];
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut fields = head.lines().filter_map(|line| line.split_once(": "));
            let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length = length.map_or(0, |(_, length)| length.parse().unwrap());
            if body.len() >= length {
                return Some(text);
            }
        }
        match client.read(&mut piece) {
            Ok(length @ 1..) => text += std::str::from_utf8(&piece[..length]).unwrap(),
            _ => return None,
        }
    }
}

fn forward(server: SocketAddr, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).unwrap();
    let mut lines: Vec<&str> = request.split("\r\n").collect();
    lines.retain(|line| !line.to_lowercase().starts_with("connection:"));
    lines.insert(1, "Connection: close");
    stream.write_all(lines.join("\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}
