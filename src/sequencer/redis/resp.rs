//! The protocol that Redis speaks, RESP2, on one connection, which is never made again by
//! itself: what became of a command whose connection broke is for the caller to find out.

use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags};

use crate::sequencer::fleet::url::Endpoint;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(1);
/// The longest bulk string that is taken, in bytes: Redis's own limit.
const BULK_MAX_BYTES: usize = 512 << 20;
/// The longest array.
const ARRAY_MAX: usize = 1 << 22;
/// The longest line: an error's, in bytes.
const LINE_MAX_BYTES: usize = 64 * 1024;
/// How deep arrays may lie in each other.
const DEPTH_MAX: usize = 8;
/// What is taken of a bulk string at a time: its length alone reserves no memory.
const PART_BYTES: usize = 1 << 20;
/// What is read at a time.
const READ_BYTES: usize = 16 * 1024;
/// The longest answer of which it is found out without waiting whether it is whole, in bytes:
/// each look begins at its beginning.
const LOOK_MAX_BYTES: usize = 4 * READ_BYTES;

/// What Redis answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// A number.
    Number(i64),
    /// A status, or a string.
    Text(Vec<u8>),
    /// Several.
    Array(Vec<Value>),
    /// It refuses: its words.
    Error(String),
}

/// A connection.
pub struct RedisConnection {
    socket: Arc<OwnedFd>,
    input: Input,
    /// The command, of which so many bytes are sent.
    output: Vec<u8>,
    sent: usize,
    /// What the socket's time limits are.
    patience: Duration,
}

/// What was received, of which what lies between `taken` and `filled` isn't used. Behind it is
/// room.
#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
    taken: usize,
    filled: usize,
}

/// An answer that isn't waited for.
pub enum AnswerHeard {
    /// It is all there.
    All(Value),
    /// More of it has yet to come.
    NotYet,
    /// There is much of it: whoever may wait is to read it.
    Much,
}

/// What waits for more than there is.
struct PartialAnswer<'a> {
    socket: &'a OwnedFd,
    input: &'a mut Input,
}

impl RedisConnection {
    /// Makes one. Blocks, for a second at most for each address.
    ///
    /// # Errors
    /// Nobody is there.
    pub fn open(place: &Endpoint) -> io::Result<RedisConnection> {
        let socket: OwnedFd = match place {
            Endpoint::Unix(path) => UnixStream::connect(path)?.into(),
            Endpoint::Tcp(address) => {
                let mut failure = io::Error::new(ErrorKind::NotFound, "the name has no address");
                let mut made = None;
                for address in address.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, CONNECT) {
                        Ok(socket) => {
                            made = Some(socket);
                            break;
                        }
                        Err(error) => failure = error,
                    }
                }
                let socket = made.ok_or(failure)?;
                socket.set_nodelay(true)?;
                socket.into()
            }
        };
        Ok(RedisConnection {
            socket: Arc::new(socket),
            input: Input::default(),
            output: Vec::new(),
            sent: 0,
            patience: Duration::ZERO,
        })
    }

    /// What can be polled for an answer.
    pub fn socket(&self) -> Arc<OwnedFd> {
        self.socket.clone()
    }

    /// Sends a command and waits for its answer, `patience` at most between two parts of it.
    ///
    /// # Errors
    /// The connection is of no use any more. What became of the command nobody knows.
    pub fn call<A: AsRef<[u8]>>(&mut self, words: &[A], patience: Duration) -> io::Result<Value> {
        self.ask(words, patience)?;
        self.answer()
    }

    /// Sends a command, whose answer is waited for by [`RedisConnection::answer`].
    ///
    /// # Errors
    /// As of [`RedisConnection::call`].
    pub fn ask<A: AsRef<[u8]>>(&mut self, words: &[A], patience: Duration) -> io::Result<()> {
        self.prepare(words, patience)?;
        self.send(SendFlags::empty())
    }

    /// Sends of a command what is taken at once. The rest goes when the answer is asked for.
    /// Says whether all of it is sent.
    ///
    /// # Errors
    /// As of [`RedisConnection::call`].
    pub fn ask_now<A: AsRef<[u8]>>(&mut self, words: &[A], patience: Duration) -> io::Result<bool> {
        self.prepare(words, patience)?;
        self.send_now()
    }

    /// The same of two commands in one piece.
    ///
    /// # Errors
    /// As of [`RedisConnection::call`].
    pub fn ask_both_now<A: AsRef<[u8]>>(&mut self, first: &[A], second: &[A]) -> io::Result<()> {
        self.prepare(first, self.patience)?;
        write(&mut self.output, second);
        self.send_now().map(drop)
    }

    fn prepare<A: AsRef<[u8]>>(&mut self, words: &[A], patience: Duration) -> io::Result<()> {
        self.output.clear();
        // A large one isn't kept.
        self.output.shrink_to(PART_BYTES);
        self.sent = 0;
        write(&mut self.output, words);
        if self.patience != patience {
            for which in [Timeout::Recv, Timeout::Send] {
                set_socket_timeout(&self.socket, which, Some(patience))?;
            }
            self.patience = patience;
        }
        Ok(())
    }

    fn send_now(&mut self) -> io::Result<bool> {
        match self.send(SendFlags::DONTWAIT) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            sent => sent.map(|()| true),
        }
    }

    /// Sends what isn't sent yet.
    fn send(&mut self, flags: SendFlags) -> io::Result<()> {
        while self.sent < self.output.len() {
            let flags = flags.union(SendFlags::NOSIGNAL);
            match rustix::net::send(&self.socket, &self.output[self.sent..], flags) {
                Ok(sent) => self.sent += sent,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits for the answer, with the patience of the command.
    ///
    /// # Errors
    /// As of [`RedisConnection::call`].
    pub fn answer(&mut self) -> io::Result<Value> {
        self.send(SendFlags::empty())?;
        let RedisConnection { socket, input, .. } = self;
        read(&mut PartialAnswer { socket, input }, 0)
    }

    /// The answer, if all of it is there. Never waits.
    ///
    /// # Errors
    /// As of [`RedisConnection::call`].
    pub fn answer_now(&mut self) -> io::Result<AnswerHeard> {
        self.answer_of(LOOK_MAX_BYTES)
    }

    /// The second answer to what was asked for in one piece, when the first is there. So is it, as
    /// a rule.
    ///
    /// # Errors
    /// As of [`RedisConnection::call`].
    pub fn second_now(&mut self, most: usize) -> io::Result<AnswerHeard> {
        match self.look(false, most) {
            Ok(AnswerHeard::NotYet) => self.answer_of(most),
            other => other,
        }
    }

    fn answer_of(&mut self, most: usize) -> io::Result<AnswerHeard> {
        if !self.send_now()? {
            return Ok(AnswerHeard::NotYet);
        }
        let is_at_end = self.input.receive(&self.socket, most)?;
        self.look(is_at_end, most)
    }

    /// What is received of the answer, of which nothing more will come if it `is_at_end`.
    fn look(&mut self, is_at_end: bool, most: usize) -> io::Result<AnswerHeard> {
        let there = self.input.rest();
        let mut rest = there;
        match read(&mut rest, 0) {
            Ok(value) => {
                let used = there.len() - rest.len();
                self.input.consume(used);
                Ok(AnswerHeard::All(value))
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && !is_at_end => {
                let is_much = there.len() >= most;
                Ok(if is_much {
                    AnswerHeard::Much
                } else {
                    AnswerHeard::NotYet
                })
            }
            Err(error) => Err(error),
        }
    }
}

impl Input {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..self.filled]
    }

    /// Takes what is there, without waiting. Says whether nothing more will come.
    fn receive(&mut self, socket: &OwnedFd, enough: usize) -> io::Result<bool> {
        while self.rest().len() < enough {
            let room = self.room();
            let most = room.len();
            match rustix::net::recv(socket, room, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Ok(true),
                Ok((received, _)) => {
                    self.filled += received;
                    // Whoever waits hears of more than was there.
                    if received < most {
                        return Ok(false);
                    }
                }
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// Where the next read goes. It is cleared once, and not for every read.
    fn room(&mut self) -> &mut [u8] {
        if self.bytes.len() < self.filled + READ_BYTES {
            self.bytes.copy_within(self.taken..self.filled, 0);
            self.filled -= self.taken;
            self.taken = 0;
            if self.bytes.len() < self.filled + READ_BYTES {
                self.bytes.resize(self.filled + READ_BYTES, 0);
            }
        }
        &mut self.bytes[self.filled..]
    }

    fn consume(&mut self, used: usize) {
        self.taken += used;
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
            // Large room isn't kept.
            self.bytes.truncate(LOOK_MAX_BYTES);
            self.bytes.shrink_to(LOOK_MAX_BYTES);
        }
    }
}

impl Read for PartialAnswer<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = self.fill_buf()?;
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for PartialAnswer<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.input.rest().is_empty() {
            let flags = RecvFlags::empty();
            let (read, _) = rustix::net::recv(self.socket, self.input.room(), flags)?;
            self.input.filled += read;
        }
        Ok(self.input.rest())
    }

    fn consume(&mut self, used: usize) {
        self.input.consume(used);
    }
}

/// Writes a command.
fn write<A: AsRef<[u8]>>(out: &mut Vec<u8>, words: &[A]) {
    let head = |out: &mut Vec<u8>, kind: u8, length: usize| {
        out.push(kind);
        out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    head(out, b'*', words.len());
    for word in words {
        let word = word.as_ref();
        head(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// What an answer begins with.
enum RespHead {
    /// That was all.
    Whole(Value),
    /// So many bytes follow.
    Bulk(i64),
    /// So many answers do.
    Array(i64),
}

/// Reads an answer.
fn read(input: &mut impl BufRead, depth: usize) -> io::Result<Value> {
    match head(input)? {
        RespHead::Whole(value) => Ok(value),
        RespHead::Bulk(-1) | RespHead::Array(-1) => Ok(Value::Nil),
        RespHead::Bulk(length) => Ok(Value::Text(bulk(input, length)?)),
        RespHead::Array(length) if depth < DEPTH_MAX => {
            let length = usize::try_from(length).map_err(|_| malformed())?;
            if length > ARRAY_MAX {
                return Err(malformed());
            }
            let all = (0..length).map(|_| read(input, depth + 1));
            all.collect::<io::Result<_>>().map(Value::Array)
        }
        RespHead::Array(_) => Err(malformed()),
    }
}

fn head(input: &mut impl BufRead) -> io::Result<RespHead> {
    // Most lines are there as a whole, and aren't copied.
    let there = input.fill_buf()?;
    let there = &there[..there.len().min(LINE_MAX_BYTES)];
    if let Some(end) = memchr::memchr(b'\n', there) {
        let head = head_of(&there[..=end]);
        input.consume(end + 1);
        return head;
    }
    let mut line = Vec::new();
    input
        .take(LINE_MAX_BYTES as u64)
        .read_until(b'\n', &mut line)?;
    if !line.ends_with(b"\n") && line.len() < LINE_MAX_BYTES {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    head_of(&line)
}

fn head_of(line: &[u8]) -> io::Result<RespHead> {
    let line = line.strip_suffix(b"\r\n").ok_or_else(malformed)?;
    let (kind, rest) = line.split_first().ok_or_else(malformed)?;
    Ok(match kind {
        b'+' => RespHead::Whole(Value::Text(rest.to_vec())),
        b'-' => RespHead::Whole(Value::Error(String::from_utf8_lossy(rest).into_owned())),
        b':' => RespHead::Whole(Value::Number(number(rest)?)),
        b'$' => RespHead::Bulk(number(rest)?),
        b'*' => RespHead::Array(number(rest)?),
        // Whoever begins so speaks something else.
        _ => return Err(io::Error::new(ErrorKind::Unsupported, "it is no Redis")),
    })
}

fn bulk(input: &mut impl BufRead, length: i64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).map_err(|_| malformed())?;
    if length > BULK_MAX_BYTES {
        return Err(malformed());
    }
    if let Some((bytes, end)) = input.fill_buf()?.split_at_checked(length)
        && end.starts_with(b"\r\n")
    {
        let bytes = bytes.to_vec();
        input.consume(length + 2);
        return Ok(bytes);
    }
    let mut bytes = Vec::with_capacity(length.min(PART_BYTES));
    let read = input.take(length as u64).read_to_end(&mut bytes)?;
    let mut end = [0; 2];
    input.read_exact(&mut end)?;
    if read < length || end != *b"\r\n" {
        return Err(malformed());
    }
    Ok(bytes)
}

fn number(text: &[u8]) -> io::Result<i64> {
    let text = std::str::from_utf8(text).map_err(|_| malformed())?;
    text.parse().map_err(|_| malformed())
}

fn malformed() -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        "what answers doesn't speak Redis's protocol",
    )
}

impl Value {
    /// The text.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text, where it is one that can be read.
    pub fn word(&self) -> Option<&str> {
        std::str::from_utf8(self.text()?).ok()
    }

    /// Those in an array.
    pub fn array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(all) => Some(all),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("nothing"),
            Value::Number(number) => number.fmt(f),
            Value::Text(text) => String::from_utf8_lossy(text).fmt(f),
            Value::Array(all) => write!(f, "{} values", all.len()),
            Value::Error(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
