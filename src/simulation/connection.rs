//! A client's end of a stream: bytes as they come, and what they say.

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long the close may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(30);

/// What a stream has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A frame.
    Frame {
        event: String,
        data: String,
        id: u64,
    },
    /// The last chunk: the stream has ended as it should.
    LastChunk,
    /// The connection is closed.
    Closed,
}

/// An open connection.
pub struct Connection {
    socket: UnixStream,
    received: Vec<u8>,
    bytes: u64,
    has_head: bool,
    has_last_chunk: bool,
}

impl Connection {
    pub fn new(socket: UnixStream) -> Connection {
        Connection {
            socket,
            received: Vec::new(),
            bytes: 0,
            has_head: false,
            has_last_chunk: false,
        }
    }

    /// Reads up to so many bytes, and says what is whole now. The second is true where
    /// nothing more is there.
    pub fn read(&mut self, most: usize) -> (Vec<Said>, bool) {
        let mut said = Vec::new();
        let mut left = most;
        let mut buffer = [0; 4096];
        while left > 0 {
            let part = &mut buffer[..left.min(4096)];
            match self.socket.read(part) {
                Ok(0) => {
                    self.parse(&mut said);
                    said.push(Said::Closed);
                    return (said, true);
                }
                Ok(read) => {
                    left -= read;
                    self.bytes += read as u64;
                    self.received.extend_from_slice(&buffer[..read]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.parse(&mut said);
                    if self.has_last_chunk && self.waits_for_close() {
                        said.push(Said::Closed);
                    }
                    return (said, true);
                }
                // What a server's end leaves behind that closes with bytes unread.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    self.parse(&mut said);
                    said.push(Said::Closed);
                    return (said, true);
                }
                Err(error) => panic!("a client can't read: {error}"),
            }
        }
        self.parse(&mut said);
        (said, false)
    }

    /// The close comes with the last chunk, but for a process that is being started beside this
    /// test: that has the server's end as well, for an instant.
    fn waits_for_close(&self) -> bool {
        let socket = &self.socket;
        let wait = || {
            socket.set_read_timeout(Some(CLOSE_PATIENCE))?;
            socket.set_nonblocking(false)?;
            let read = (&*socket).read(&mut [0; 1]);
            socket.set_nonblocking(true)?;
            read
        };
        matches!(wait(), Ok(0))
    }

    /// How many bytes have come.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is part of a frame.
    pub fn is_amid_a_frame(&self) -> bool {
        !self.received.is_empty()
    }

    fn parse(&mut self, said: &mut Vec<Said>) {
        if !self.has_head {
            let end = self
                .received
                .windows(4)
                .position(|four| four == b"\r\n\r\n");
            let Some(end) = end else { return };
            assert!(self.received.starts_with(b"HTTP/1.1 200 OK\r\n"));
            self.received.drain(..end + 4);
            self.has_head = true;
        }
        let mut at = 0;
        while let Some((payload, bytes)) = chunk(&self.received[at..]) {
            if payload.is_empty() {
                said.push(Said::LastChunk);
                self.has_last_chunk = true;
            } else if payload.starts_with(b"event: ") {
                said.push(frame(payload));
            } else {
                let is_other = payload == b":\n" || payload.starts_with(b"retry: ");
                assert!(is_other, "{:?}", String::from_utf8_lossy(payload));
            }
            at += bytes;
        }
        self.received.drain(..at);
    }
}

/// The payload of the chunk that `bytes` begin with, and how many bytes it takes.
fn chunk(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let line = bytes.windows(2).position(|two| two == b"\r\n")?;
    let digits = std::str::from_utf8(&bytes[..line]).expect("a chunk begins with digits");
    let length = usize::from_str_radix(digits, 16);
    let length = length.unwrap_or_else(|_| panic!("{digits} is no chunk's length"));
    let end = line + 2 + length;
    let closing = bytes.get(end..end + 2)?;
    assert_eq!(closing, b"\r\n", "a chunk ends with its line's end");
    Some((&bytes[line + 2..end], end + 2))
}

fn frame(payload: &[u8]) -> Said {
    let text = std::str::from_utf8(payload).expect("a frame is text");
    let read = || {
        let (event, rest) = text.strip_prefix("event: ")?.split_once('\n')?;
        let (data, rest) = rest.strip_prefix("data: ")?.split_once('\n')?;
        let id = rest.strip_prefix("id: ")?.strip_suffix("\n\n")?;
        Some(Said::Frame {
            event: event.to_owned(),
            data: data.to_owned(),
            id: id.parse().ok()?,
        })
    };
    read().unwrap_or_else(|| panic!("{text:?} is no frame"))
}
