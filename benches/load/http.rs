//! As much of an HTTP client as publishing needs.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::failure::{Context, Result, fail};

/// How long a publisher waits for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A request with a body, on a connection that stays open.
pub fn request(method: &str, path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A request without a body; `headers` are whole lines.
pub fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{headers}\r\n").into_bytes()
}

/// Takes whole answers off a stream of bytes.
#[derive(Default)]
pub struct Answers {
    pending: Vec<u8>,
}

/// One whole answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
}

impl Answers {
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next answer, if all of it is there.
    pub fn take(&mut self) -> Result<Option<Answer>> {
        let Some(end) = memchr::memmem::find(&self.pending, b"\r\n\r\n") else {
            return Ok(None);
        };
        let end = end + 4;
        let head = String::from_utf8_lossy(&self.pending[..end]).into_owned();
        let status = head
            .get(9..12)
            .and_then(|digits| digits.parse().ok())
            .context_none("no status in an answer")?;
        let length: usize = match header(&head, "content-length") {
            Some(value) => value.parse().context("content-length")?,
            None if status == 204 || status == 304 => 0,
            None => return fail(format!("an answer without a length: {head}")),
        };
        if self.pending.len() < end + length {
            return Ok(None);
        }
        self.pending.drain(..end + length);
        Ok(Some(Answer { status, head }))
    }
}

/// A header's value.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// One connection, one request at a time.
pub struct Connection {
    stream: TcpStream,
    answers: Answers,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).context("connect to publish")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(Connection {
            stream,
            answers: Answers::default(),
            buffer: vec![0; 65536],
        })
    }

    /// Sends a request and waits for its answer, whatever that is.
    pub fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).context("send a request")?;
        loop {
            if let Some(answer) = self.answers.take()? {
                return Ok(answer);
            }
            let count = match self.stream.read(&mut self.buffer) {
                Ok(0) => return fail("the server closed the publishing connection"),
                Ok(count) => count,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e).context("wait for an answer"),
            };
            self.answers.push(&self.buffer[..count]);
        }
    }

    /// The same, and any answer but 2xx is a failure.
    pub fn publish(&mut self, request: &[u8]) -> Result<()> {
        let answer = self.ask(request)?;
        if answer.status / 100 != 2 {
            return fail(format!("publish was answered {}", answer.head));
        }
        Ok(())
    }
}

trait ContextNone<T> {
    fn context_none(self, doing: &str) -> Result<T>;
}

impl<T> ContextNone<T> for Option<T> {
    fn context_none(self, doing: &str) -> Result<T> {
        self.map_or_else(|| fail(doing), Ok)
    }
}
