//! A request, and its answer, on a connection of its own.

// Each test takes of this what it needs.
#![allow(dead_code)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An answer: its status, its head and its body.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }
}

/// Sends a request with `fields`, lines without their ends, and reads the whole answer.
pub fn ask(address: SocketAddr, method: &str, target: &str, fields: &[&str], body: &str) -> Answer {
    ask_until(address, method, target, fields, body, |_| false)
}

/// The same, of a plain GET.
pub fn get(address: SocketAddr, target: &str) -> Answer {
    ask(address, "GET", target, &[], "")
}

/// What is counted under this name, where the server is monitored.
pub fn metric(ops: SocketAddr, sample: &str) -> f64 {
    let text = get(ops, "/metrics").body;
    let of_sample = |line: &str| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok();
    let number = text.lines().find_map(of_sample);
    number.unwrap_or_else(|| panic!("no {sample} in {text}"))
}

/// Sends a request as [`ask`] does, and reads until `is_enough`
/// says so of the text so far, or to the end.
pub fn ask_until(
    address: SocketAddr,
    method: &str,
    target: &str,
    fields: &[&str],
    body: &str,
    is_enough: impl Fn(&str) -> bool,
) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Heartbeats would keep a read from timing out.
        assert!(
            Instant::now() < deadline,
            "{method} {target} goes on and on"
        );
        let length = match stream.read(&mut piece) {
            // The tests were stopped, and go on.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            length => length.unwrap(),
        };
        text.extend_from_slice(&piece[..length]);
        if length == 0 || is_enough(&String::from_utf8_lossy(&text)) {
            break;
        }
    }
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect(&text);
    let mut answer = Answer {
        status: head.split(' ').nth(1).expect(head).parse().expect(head),
        head: head.to_owned(),
        body: body.to_owned(),
    };
    if answer.field("Transfer-Encoding") == Some("chunked") {
        answer.body = unchunked(body);
    }
    answer
}

/// What the chunks of a body hold, as far as they are whole.
pub fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((digits, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(digits, 16).expect(digits);
        let Some(chunk) = rest.get(..length) else {
            break;
        };
        whole += chunk;
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

/// Sends a request with a body of a known type and length, and reads the whole answer.
pub fn post(address: SocketAddr, target: &str, kind: &str, body: &str) -> Answer {
    let kind = format!("Content-Type: {kind}");
    let length = format!("Content-Length: {}", body.len());
    ask(address, "POST", target, &[&kind, &length], body)
}

/// Publishes one event, and returns its id.
pub fn publish(address: SocketAddr, job: &str, event: &str, data: &str) -> u64 {
    let body = format!(r#"{{"event":"{event}","data":{data}}}"#);
    let target = format!("/api/jobs/{job}/events");
    let answer = post(address, &target, "application/json", &body);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_u64().unwrap()
}

/// Blocks until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
