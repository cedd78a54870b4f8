//! An event stream as the standard reads it (WHATWG HTML 9.2), and stricter than that
//! about what the contract says on top.

use super::support::{Client, TestServer, get};

pub const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\n\
    Content-Type: text/event-stream\r\n\
    Cache-Control: no-store, no-transform\r\n\
    X-Accel-Buffering: no\r\n\
    Transfer-Encoding: chunked\r\n\
    Connection: close\r\n\r\n";

/// An event that was dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub event: String,
    pub data: String,
    pub id: u64,
}

impl Frame {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).unwrap()
    }

    /// The number that [`TestServer::progress`] publishes.
    pub fn n(&self) -> u64 {
        assert_eq!(self.event, "progress", "{self:?}");
        self.json()["n"].as_u64().unwrap()
    }

    pub fn assert_reset(&self, job: &str, reason: &str, last_event_id: &str, id: u64) {
        let last = serde_json::Value::from(last_event_id);
        let data = format!(r#"{{"jobId":"{job}","reason":"{reason}","lastEventId":{last}}}"#);
        let expected = Frame {
            event: "reset".into(),
            data,
            id,
        };
        assert_eq!(*self, expected);
    }
}

/// Turns bytes into events.
#[derive(Default, Debug)]
pub struct Parser {
    line: Vec<u8>,
    event: Option<String>,
    data: Option<String>,
    /// The id of the event whose blank line hasn't come.
    pub pending_id: Option<u64>,
    pub retries: Vec<u64>,
    pub comments: usize,
}

impl Parser {
    /// Takes a byte. An event that ends with it is returned.
    pub fn push(&mut self, byte: u8) -> Option<Frame> {
        assert!(byte != b'\r' && byte != 0, "after {:?}", self.line);
        if byte != b'\n' {
            self.line.push(byte);
            return None;
        }
        let line = String::from_utf8(std::mem::take(&mut self.line)).expect("UTF-8");
        if line.is_empty() {
            // A block without data makes several clients fire an empty event, and one
            // without an id loses the id of the one before.
            return Some(Frame {
                event: self.event.take().expect("a block has an event name"),
                data: self.data.take().expect("a block has data"),
                id: self.pending_id.take().expect("a block has an id"),
            });
        }
        if line == ":" {
            let is_between = self.event.is_none() && self.data.is_none();
            assert!(is_between, "a comment inside a frame");
            self.comments += 1;
            return None;
        }
        assert!(self.pending_id.is_none(), "the id comes last: {line:?}");
        let (name, value) = line.split_once(": ").expect(&line);
        match name {
            "retry" => self.retries.push(value.parse().unwrap()),
            "event" => assert!(self.event.replace(value.into()).is_none(), "{line}"),
            "data" => assert!(self.data.replace(value.into()).is_none(), "{line}"),
            "id" => self.pending_id = Some(value.parse().unwrap()),
            _ => panic!("no field of the contract: {line:?}"),
        }
        None
    }

    /// Whether nothing is begun that isn't whole.
    pub fn is_between_frames(&self) -> bool {
        self.line.is_empty() && self.event.is_none() && self.data.is_none()
    }
}

/// Takes the lines of chunks off (RFC 9112, 7.1), and nothing but what the contract writes.
#[derive(Debug, Default)]
pub struct Chunks {
    line: Vec<u8>,
    /// Bytes of the chunk that haven't been read.
    left: usize,
    is_behind_a_chunk: bool,
    /// Whether the last chunk has come.
    pub is_whole: bool,
}

impl Chunks {
    /// Takes a byte. One of the body is returned.
    pub fn push(&mut self, byte: u8) -> Option<u8> {
        assert!(!self.is_whole, "behind the last chunk");
        if self.left > 0 {
            self.left -= 1;
            self.is_behind_a_chunk = self.left == 0;
            return Some(byte);
        }
        self.line.push(byte);
        if !self.line.ends_with(b"\r\n") {
            return None;
        }
        let line = std::mem::take(&mut self.line);
        let digits = std::str::from_utf8(&line[..line.len() - 2]).unwrap();
        match digits {
            "" => assert!(std::mem::take(&mut self.is_behind_a_chunk)),
            "0" => self.line = line,
            "0\r\n" => self.is_whole = true,
            _ => {
                assert!(!self.is_behind_a_chunk, "{digits}");
                self.left = usize::from_str_radix(digits, 16).expect(digits);
            }
        }
        None
    }
}

/// A stream that is being read.
pub struct EventStream {
    client: Client,
    parser: Parser,
    /// None where the body has no chunks, as in HTTP/1.0.
    chunks: Option<Chunks>,
    /// How many bytes of the body have been read, chunks' lines not among them.
    pub bytes: usize,
}

impl EventStream {
    /// Asks for a stream, and takes its head, which must be the contract's.
    pub fn open(mut client: Client, target: &str, fields: &str) -> EventStream {
        client.send(get(target, fields));
        EventStream::begun(client)
    }

    /// A stream that has been asked for.
    pub fn begun(mut client: Client) -> EventStream {
        assert_eq!(client.head(), STREAM_HEAD);
        EventStream {
            client,
            parser: Parser::default(),
            chunks: Some(Chunks::default()),
            bytes: 0,
        }
    }

    /// A stream that has been asked for in HTTP/1.0.
    pub fn begun_plain(mut client: Client) -> EventStream {
        let head = STREAM_HEAD.replace("Transfer-Encoding: chunked\r\n", "");
        assert_eq!(client.head(), head);
        EventStream {
            client,
            parser: Parser::default(),
            chunks: None,
            bytes: 0,
        }
    }

    pub fn of(server: &TestServer, job: &str) -> EventStream {
        EventStream::open(server.public(), &format!("/api/jobs/{job}/events"), "")
    }

    pub fn after(server: &TestServer, job: &str, last_event_id: impl ToString) -> EventStream {
        let fields = format!("Last-Event-ID: {}\r\n", last_event_id.to_string());
        let target = format!("/api/jobs/{job}/events");
        EventStream::open(server.public(), &target, &fields)
    }

    /// The next byte of the body; none where the server has closed.
    fn byte(&mut self) -> Option<u8> {
        loop {
            let byte = self.client.byte()?;
            let byte = match &mut self.chunks {
                Some(chunks) => chunks.push(byte),
                None => Some(byte),
            };
            if byte.is_some() {
                self.bytes += 1;
                return byte;
            }
        }
    }

    /// The next event; none where the stream ended, which it does between frames only.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            let Some(byte) = self.byte() else {
                assert!(self.parser.is_between_frames(), "{:?}", self.parser);
                return None;
            };
            if let Some(frame) = self.parser.push(byte) {
                return Some(frame);
            }
        }
    }

    pub fn event(&mut self) -> Frame {
        self.next().expect("the stream goes on")
    }

    /// Every event up to the end.
    pub fn rest(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// It ends as it should: with the last chunk, and nothing before that.
    pub fn assert_ends(&mut self) {
        assert_eq!(self.rest(), []);
        if let Some(chunks) = &self.chunks {
            assert!(chunks.is_whole, "the stream was cut off: {chunks:?}");
        }
    }

    /// Reads until `count` comments have come.
    pub fn wait_for_comments(&mut self, count: usize) {
        while self.parser.comments < count {
            let byte = self.byte().expect("the stream goes on");
            assert_eq!(self.parser.push(byte), None);
        }
    }

    /// Reads until `count` retry lines have come.
    pub fn wait_for_retries(&mut self, count: usize) -> &[u64] {
        while self.parser.retries.len() < count {
            let byte = self.byte().expect("the stream goes on");
            assert_eq!(self.parser.push(byte), None);
        }
        self.retries()
    }

    pub fn retries(&self) -> &[u64] {
        &self.parser.retries
    }

    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }
}
