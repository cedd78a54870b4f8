//! The protocol that Redis speaks, RESP2, on one connection, which is never made again by
//! itself: what became of a command whose connection broke is for the caller to find out.
//! Commands are written, and what answers consist of is read, by the crate `redis-protocol`.

use std::io::{self, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::encode::encode_borrowed;
use redis_protocol::resp2::types::BorrowedFrame;
/// What Redis answers, and what is asked of it.
pub use redis_protocol::resp2::types::{OwnedFrame as Value, Resp2Frame};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags};

use crate::sequencer::fleet::url::Endpoint;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(1);
/// The longest string that is taken, in bytes: Redis's own limit. Its length alone reserves no
/// memory.
const TEXT_MAX_BYTES: usize = 512 << 20;
/// The longest line: an error's, in bytes.
const LINE_MAX_BYTES: usize = 64 * 1024;
/// The longest array.
const ARRAY_MAX: i64 = 1 << 22;
/// How deep arrays may lie in each other.
const DEPTH_MAX: usize = 8;
/// The longest command whose memory is kept for the next, in bytes.
const COMMAND_KEPT_BYTES: usize = 1 << 20;
/// What is read at a time, at least.
const READ_BYTES: usize = 16 * 1024;
/// The longest answer, or part of one, that is gone into without waiting, in bytes.
const LOOK_MAX_BYTES: usize = 4 * READ_BYTES;

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
    /// Arrays that lie in each other, the innermost last, and how many values each has yet to
    /// get: what is there of an answer is read once, however the rest arrives.
    open: Vec<(Vec<Value>, usize)>,
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
        write(&mut self.output, second)?;
        self.send_now().map(drop)
    }

    fn prepare<A: AsRef<[u8]>>(&mut self, words: &[A], patience: Duration) -> io::Result<()> {
        self.output.clear();
        // A large one isn't kept.
        self.output.shrink_to(COMMAND_KEPT_BYTES);
        self.sent = 0;
        write(&mut self.output, words)?;
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
        let mut is_at_end = false;
        loop {
            if let Some(value) = self.input.value(is_at_end)? {
                return Ok(value);
            }
            is_at_end = self.input.receive(&self.socket, usize::MAX, true)?;
        }
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
        let is_at_end = self.input.receive(&self.socket, most, false)?;
        self.look(is_at_end, most)
    }

    /// What is received of the answer, of which nothing more will come if it `is_at_end`.
    fn look(&mut self, is_at_end: bool, most: usize) -> io::Result<AnswerHeard> {
        let is_much = self.input.rest().len() >= most;
        Ok(match self.input.value(is_at_end)? {
            Some(value) => AnswerHeard::All(value),
            None if is_much => AnswerHeard::Much,
            None => AnswerHeard::NotYet,
        })
    }
}

impl Input {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..self.filled]
    }

    /// Takes what is there; where there is nothing, and it `waits`, what comes. Says whether
    /// nothing more will come.
    fn receive(&mut self, socket: &OwnedFd, enough: usize, waits: bool) -> io::Result<bool> {
        let mut flags = if waits {
            RecvFlags::empty()
        } else {
            RecvFlags::DONTWAIT
        };
        while self.rest().len() < enough {
            let room = self.room();
            let most = room.len();
            match rustix::net::recv(socket, room, flags) {
                Ok((0, _)) => return Ok(true),
                Ok((received, _)) => {
                    flags = RecvFlags::DONTWAIT;
                    self.filled += received;
                    // Whoever waits hears of more than was there.
                    if received < most {
                        return Ok(false);
                    }
                }
                Err(Errno::AGAIN) if flags == RecvFlags::DONTWAIT => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// The answer, if all of it was received, and nothing more will come if it `is_at_end`.
    fn value(&mut self, is_at_end: bool) -> io::Result<Option<Value>> {
        while let Some((mut value, following, used)) = read(self.rest())? {
            self.consume(used);
            if following > 0 {
                if self.open.len() == DEPTH_MAX {
                    return Err(malformed());
                }
                self.open.push((Vec::new(), following));
                continue;
            }
            // An array that has all of its values is one of the next.
            loop {
                let Some((all, left)) = self.open.last_mut() else {
                    return Ok(Some(value));
                };
                all.push(value);
                *left -= 1;
                if *left > 0 {
                    break;
                }
                value = Value::Array(std::mem::take(all));
                self.open.pop();
            }
        }
        if is_at_end {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(None)
    }

    /// Where the next read goes. It is cleared once, and not for every read.
    fn room(&mut self) -> &mut [u8] {
        if self.bytes.len() < self.filled + READ_BYTES {
            self.bytes.copy_within(self.taken..self.filled, 0);
            self.filled -= self.taken;
            self.taken = 0;
            if self.bytes.len() < self.filled + READ_BYTES {
                let more = READ_BYTES.max(self.filled);
                self.bytes.resize(self.filled + more, 0);
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

/// Writes a command.
fn write<A: AsRef<[u8]>>(out: &mut Vec<u8>, words: &[A]) -> io::Result<()> {
    let words = words
        .iter()
        .map(|it| BorrowedFrame::BulkString(it.as_ref()));
    let words: Vec<_> = words.collect();
    let command = BorrowedFrame::Array(&words);
    let begin = out.len();
    out.resize(begin + command.encode_len(false), 0);
    encode_borrowed(&mut out[begin..], &command, false).map_err(io::Error::other)?;
    Ok(())
}

/// Reads the value that comes first, if all of it is there. Says how many follow that are an
/// array's, and how long it is.
fn read(bytes: &[u8]) -> io::Result<Option<(Value, usize, usize)>> {
    let found = match bytes {
        [] => return Ok(None),
        // The crate goes as deep as arrays lie, and reads all of them anew with each piece.
        [b'*', line @ ..] => read_array(line)?,
        [b'+' | b'-' | b':' | b'$', ..] => {
            let found = decode(bytes).map_err(|_| malformed())?;
            found.map(|(value, used)| (value, 0, used))
        }
        // Whoever begins so speaks something else.
        _ => return Err(io::Error::new(ErrorKind::Unsupported, "it is no Redis")),
    };
    let most = if bytes[0] == b'$' {
        TEXT_MAX_BYTES
    } else {
        LINE_MAX_BYTES
    };
    match &found {
        // The crate takes any two bytes for the end of a string.
        Some((_, _, used)) if !bytes[..*used].ends_with(b"\r\n") => Err(malformed()),
        Some((_, _, used)) if *used > most => Err(malformed()),
        None if bytes.len() > most => Err(malformed()),
        _ => Ok(found),
    }
}

fn read_array(line: &[u8]) -> io::Result<Option<(Value, usize, usize)>> {
    let Some(end) = memchr::memchr(b'\n', line) else {
        return Ok(None);
    };
    let digits = line[..end].strip_suffix(b"\r").ok_or_else(malformed)?;
    let digits = std::str::from_utf8(digits).map_err(|_| malformed())?;
    let (value, following) = match digits.parse() {
        Ok(-1) => (Value::Null, 0),
        Ok(length @ 0..=ARRAY_MAX) => (Value::Array(Vec::new()), length as usize),
        _ => return Err(malformed()),
    };
    Ok(Some((value, following, 1 + end + 1)))
}

fn malformed() -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        "what answers doesn't speak Redis's protocol",
    )
}

/// The values of an array.
pub fn values(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
