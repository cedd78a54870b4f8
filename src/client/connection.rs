//! One connection to a hub, with a deadline on everything it does.

use std::io::{self, Read, Write};
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::response::{self, AnswerHead, BodyDecoder};
use super::{ANSWER_MAX_BYTES, ClientError};
use crate::http::Address;

const READ_BYTES: usize = 16 * 1024;

/// A socket, and what was read from it and not yet used.
pub struct Connection {
    socket: Socket,
    input: Vec<u8>,
}

impl Connection {
    /// Connects, to whichever of a name's addresses answers first in order.
    pub fn open(address: &Address, deadline: Instant) -> Result<Connection, ClientError> {
        let candidates: Vec<SockAddr> = match address {
            Address::Tcp(address) => vec![SockAddr::from(*address)],
            Address::Host(name) => name.to_socket_addrs()?.map(SockAddr::from).collect(),
            Address::Unix(path) => vec![SockAddr::unix(path)?],
            Address::Off => Vec::new(),
        };
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for candidate in candidates {
            match connect(&candidate, remaining(deadline)?) {
                Ok(socket) => {
                    return Ok(Connection {
                        socket,
                        input: Vec::new(),
                    });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure.into())
    }

    /// Whether the connection is still open with nothing to read, and so fit for
    /// another request: a hub says nothing unasked but that it closes.
    pub(super) fn is_idle(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let quiet = self.socket.set_nonblocking(true).is_ok()
            && self
                .socket
                .peek(&mut byte)
                .is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
        self.input.is_empty() && self.socket.set_nonblocking(false).is_ok() && quiet
    }

    pub fn send(&mut self, mut bytes: &[u8], deadline: Instant) -> Result<(), ClientError> {
        while !bytes.is_empty() {
            self.socket.set_write_timeout(Some(remaining(deadline)?))?;
            match self.socket.write(bytes) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Sends a request, and reads the answer.
    pub fn exchange(
        &mut self,
        request: &[u8],
        deadline: Instant,
    ) -> Result<(AnswerHead, Vec<u8>), ClientError> {
        // Who refuses early may close before everything is read; what is said is worth more than
        // the broken pipe.
        let sent = self.send(request, deadline);
        let mut head = match (self.head(deadline), sent) {
            (Ok(head), _) => head,
            (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(error),
        };
        if request.starts_with(b"HEAD ") {
            head = head.without_body();
        }
        let body = self.body(&head, deadline)?;
        Ok((head, body))
    }

    /// Reads the head of the final answer, past any `100 Continue`.
    pub fn head(&mut self, deadline: Instant) -> Result<AnswerHead, ClientError> {
        loop {
            match response::head(&self.input)? {
                Some((head, length)) => {
                    self.input.drain(..length);
                    if head.status >= 200 {
                        return Ok(head);
                    }
                }
                None => {
                    if self.fill(deadline)? == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                }
            }
        }
    }

    /// Reads the whole body of an answer.
    pub fn body(&mut self, head: &AnswerHead, deadline: Instant) -> Result<Vec<u8>, ClientError> {
        let mut body = BodyDecoder::new(head);
        let mut decoded = Vec::new();
        while !self.read_body(&mut body, &mut decoded, deadline)? {
            if decoded.len() > ANSWER_MAX_BYTES {
                return Err(ClientError::Malformed("the answer is too long"));
            }
        }
        Ok(decoded)
    }

    /// Adds what there is of the body to `decoded`, waiting for some where there is
    /// none. True: that was the end of it.
    pub(super) fn read_body(
        &mut self,
        body: &mut BodyDecoder,
        decoded: &mut Vec<u8>,
        deadline: Instant,
    ) -> Result<bool, ClientError> {
        let before = decoded.len();
        loop {
            let used = body.decode(&self.input, decoded)?;
            self.input.drain(..used);
            if body.is_finished() || decoded.len() > before {
                return Ok(body.is_finished());
            }
            if self.fill(deadline)? == 0 {
                body.closed()?;
                return Ok(true);
            }
        }
    }

    /// Reads once; 0 is the end of the stream.
    fn fill(&mut self, deadline: Instant) -> Result<usize, ClientError> {
        let end = self.input.len();
        self.input.resize(end + READ_BYTES, 0);
        let result = loop {
            self.socket.set_read_timeout(Some(remaining(deadline)?))?;
            match self.socket.read(&mut self.input[end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.input
            .truncate(end + result.as_ref().copied().unwrap_or(0));
        Ok(result?)
    }
}

fn connect(address: &SockAddr, timeout: Duration) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::STREAM, None)?;
    socket.connect_timeout(address, timeout)?;
    if address.domain() != Domain::UNIX {
        // A request is one write, and its answer is waited for.
        socket.set_tcp_nodelay(true)?;
    }
    Ok(socket)
}

fn remaining(deadline: Instant) -> Result<Duration, ClientError> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    if remaining.is_zero() {
        Err(ClientError::TimedOut)
    } else {
        Ok(remaining)
    }
}
