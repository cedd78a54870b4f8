//! Nodes, and what they are asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use super::binary::Binary;
use super::http::{Answer, PATIENCE, post};
pub use super::http::{get, wait_until};

/// A node of a fleet.
pub fn node(url: &str, name: &str) -> Binary {
    Binary::serve(&["--redis", url, "--node", name, "--retry", "50ms"])
}

/// What a node says of a job, and the status.
pub fn snapshot(node: &Binary, job: &str) -> Answer {
    get(node.public, &format!("/api/jobs/{job}"))
}

/// One event, whatever comes of it.
pub fn try_to_publish(node: &Binary, job: &str, event: &str) -> Answer {
    let body = format!(r#"{{"event":"{event}","data":{{}}}}"#);
    let target = format!("/api/jobs/{job}/events");
    post(node.publish, &target, "application/json", &body)
}

pub fn is_ready(node: &Binary) -> bool {
    get(node.ops, "/readyz").status == 200
}

/// A value of a metric.
pub fn metric(node: &Binary, name: &str) -> f64 {
    super::http::metric(node.ops, name)
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
