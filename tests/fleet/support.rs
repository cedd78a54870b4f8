//! Nodes, and what they are asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::binary::Binary;
use super::http::{Answer, PATIENCE, ask_until};

/// A node of a fleet.
pub fn node(url: &str, name: &str) -> Binary {
    Binary::serve(&["--redis", url, "--node", name, "--retry", "50ms"])
}

/// What a node says of a job, and the status.
pub fn snapshot(node: &Binary, job: &str) -> Answer {
    get(node.public, &format!("/api/jobs/{job}"))
}

pub fn get(address: SocketAddr, target: &str) -> Answer {
    // The monitoring listener keeps the connection.
    let is_whole = |text: &str| {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let head = head.to_ascii_lowercase();
        let (_, length) = head.split_once("content-length: ")?;
        let digits: String = length.chars().take_while(char::is_ascii_digit).collect();
        Some(body.len() >= digits.parse().ok()?)
    };
    let is_enough = |text: &str| is_whole(text).unwrap_or(false);
    ask_until(address, "GET", target, &[], "", is_enough)
}

/// One event, whatever comes of it.
pub fn try_to_publish(node: &Binary, job: &str, event: &str) -> Answer {
    let body = format!(r#"{{"event":"{event}","data":{{}}}}"#);
    let target = format!("/api/jobs/{job}/events");
    super::http::post(node.publish, &target, "application/json", &body)
}

/// Waits until something is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never so: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

pub fn is_ready(node: &Binary) -> bool {
    get(node.ops, "/readyz").status == 200
}

/// A value of a metric.
pub fn metric(node: &Binary, name: &str) -> f64 {
    let text = get(node.ops, "/metrics").body;
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .expect(name)
}

/// A frame of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub event: String,
    pub data: String,
    pub id: u64,
}

/// A stream that is open.
pub struct Stream(BufReader<TcpStream>);

impl Stream {
    /// Opens one, after a number.
    pub fn open(node: &Binary, target: &str, after: Option<u64>) -> Stream {
        Stream::at(node.publish, target, after)
    }

    /// The same, wherever it is.
    pub fn at(address: SocketAddr, target: &str, after: Option<u64>) -> Stream {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let last = after.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let head = format!("GET {target} HTTP/1.0\r\nHost: a\r\n{last}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.contains(" 200 "), "{line}");
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        Stream(reader)
    }

    /// The next frame. None where it has ended.
    pub fn next(&mut self) -> Option<Frame> {
        let (mut event, mut data, mut id) = (String::new(), String::new(), 0);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            assert_ne!(line, ":\n", "nothing comes but comments");
            match line.trim_end().split_once(": ") {
                Some(("event", value)) => value.clone_into(&mut event),
                Some(("data", value)) => value.clone_into(&mut data),
                Some(("id", value)) => id = value.parse().unwrap(),
                _ if line == "\n" && !event.is_empty() => {
                    return Some(Frame { event, data, id });
                }
                _ => {}
            }
        }
    }

    /// The numbers of the next frames.
    pub fn ids(&mut self, count: usize) -> Vec<u64> {
        (0..count)
            .map(|_| self.next().expect("it has ended").id)
            .collect()
    }
}
