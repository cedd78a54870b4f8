//! A stream, a frame at a time.

// Each test takes of this what it needs.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::binary::Binary;
use super::http::PATIENCE;

/// What a stream says at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub event: String,
    pub data: String,
    pub id: u64,
}

impl Frame {
    /// The whole frames in `text`.
    pub fn all(text: &str) -> Vec<Frame> {
        let field = |block: &str, name: &str| {
            let mut lines = block.lines();
            lines.find_map(|line| line.strip_prefix(name).map(str::to_owned))
        };
        let blocks = text.split("\n\n").filter(|block| block.contains("\nid: "));
        blocks
            .map(|block| Frame {
                event: field(block, "event: ").unwrap(),
                data: field(block, "data: ").unwrap(),
                id: field(block, "id: ").unwrap().parse().unwrap(),
            })
            .collect()
    }

    /// The `n` of its data.
    pub fn n(&self) -> u64 {
        let data: serde_json::Value = serde_json::from_str(&self.data).unwrap();
        data["n"].as_u64().unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// A stream that is open.
pub struct Stream(BufReader<TcpStream>);

impl Stream {
    /// Opens one, after a number.
    pub fn open(server: &Binary, target: &str, after: Option<u64>) -> Stream {
        Stream::at(server.publish, target, after)
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
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            assert!(Instant::now() < deadline, "nothing comes but comments");
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
