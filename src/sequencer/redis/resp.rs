//! The protocol that Redis speaks, RESP2, on one connection, which is never made again by
//! itself: what became of a command whose connection broke is for the caller to find out.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::sequencer::fleet::url::Place;

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
pub struct Connection {
    input: BufReader<Socket>,
    output: Vec<u8>,
    /// What the socket's time limits are.
    patience: Duration,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    /// Makes one. Blocks, for a second at most for each address.
    ///
    /// # Errors
    /// Nobody is there.
    pub fn open(place: &Place) -> io::Result<Connection> {
        let socket = match place {
            Place::Unix(path) => Socket::Unix(UnixStream::connect(path)?),
            Place::Tcp(address) => {
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
                Socket::Tcp(socket)
            }
        };
        Ok(Connection {
            input: BufReader::with_capacity(64 * 1024, socket),
            output: Vec::new(),
            patience: Duration::ZERO,
        })
    }

    /// Sends a command and waits for its answer, `patience` at most between two parts of it.
    ///
    /// # Errors
    /// The connection is of no use any more. What became of the command nobody knows.
    pub fn call<A: AsRef<[u8]>>(&mut self, words: &[A], patience: Duration) -> io::Result<Value> {
        self.ask(words, patience)?;
        self.answer()
    }

    /// Sends a command, whose answer is waited for by [`Connection::answer`].
    ///
    /// # Errors
    /// As of [`Connection::call`].
    pub fn ask<A: AsRef<[u8]>>(&mut self, words: &[A], patience: Duration) -> io::Result<()> {
        self.output.clear();
        write(&mut self.output, words);
        let socket = self.input.get_mut();
        if self.patience != patience {
            socket.set_timeout(patience)?;
            self.patience = patience;
        }
        socket.write_all(&self.output)?;
        // A large one isn't kept.
        self.output.shrink_to(PART_BYTES);
        Ok(())
    }

    /// Waits for the answer, with the patience of the command.
    ///
    /// # Errors
    /// As of [`Connection::call`].
    pub fn answer(&mut self) -> io::Result<Value> {
        read(&mut self.input, 0)
    }
}

/// Writes a command.
fn write<A: AsRef<[u8]>>(out: &mut Vec<u8>, words: &[A]) {
    let _ = write!(out, "*{}\r\n", words.len());
    for word in words {
        let word = word.as_ref();
        let _ = write!(out, "${}\r\n", word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// Reads an answer.
fn read(input: &mut impl BufRead, depth: usize) -> io::Result<Value> {
    let line = line(input)?;
    let (kind, rest) = line.split_first().ok_or_else(malformed)?;
    match kind {
        b'+' => Ok(Value::Text(rest.to_vec())),
        b'-' => Ok(Value::Error(String::from_utf8_lossy(rest).into_owned())),
        b':' => Ok(Value::Number(number(rest)?)),
        b'$' => match number(rest)? {
            -1 => Ok(Value::Nil),
            length => Ok(Value::Text(bulk(input, length)?)),
        },
        b'*' => match number(rest)? {
            -1 => Ok(Value::Nil),
            length if depth < DEPTH_MAX => {
                let length = usize::try_from(length).map_err(|_| malformed())?;
                if length > ARRAY_MAX {
                    return Err(malformed());
                }
                let all = (0..length).map(|_| read(input, depth + 1));
                all.collect::<io::Result<_>>().map(Value::Array)
            }
            _ => Err(malformed()),
        },
        // Whoever begins so speaks something else.
        _ => Err(io::Error::new(ErrorKind::Unsupported, "it is no Redis")),
    }
}

fn line(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    input
        .take(LINE_MAX_BYTES as u64)
        .read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    match line.strip_suffix(b"\r\n") {
        Some(text) => Ok(text.to_vec()),
        None => Err(malformed()),
    }
}

fn bulk(input: &mut impl Read, length: i64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).map_err(|_| malformed())?;
    if length > BULK_MAX_BYTES {
        return Err(malformed());
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

impl Socket {
    fn set_timeout(&self, patience: Duration) -> io::Result<()> {
        match self {
            Socket::Tcp(socket) => {
                socket.set_read_timeout(Some(patience))?;
                socket.set_write_timeout(Some(patience))
            }
            Socket::Unix(socket) => {
                socket.set_read_timeout(Some(patience))?;
                socket.set_write_timeout(Some(patience))
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.read(into),
            Socket::Unix(socket) => socket.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.write(bytes),
            Socket::Unix(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is there so far, and then nothing more.
    struct Cut<'a>(&'a [u8], usize);

    impl Read for Cut<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let step = self.1.min(self.0.len()).min(into.len());
            let (now, rest) = self.0.split_at(step);
            into[..step].copy_from_slice(now);
            self.0 = rest;
            Ok(step)
        }
    }

    fn all(bytes: &[u8], step: usize) -> io::Result<Value> {
        read(&mut BufReader::with_capacity(step, Cut(bytes, step)), 0)
    }

    #[test]
    fn an_answer_is_the_same_however_it_arrives_and_half_of_one_is_none() {
        let bytes = b"*4\r\n$5\r\na\r\nbc\r\n:-7\r\n*2\r\n$-1\r\n+OK\r\n-ERR no\r\n";
        let whole = Value::Array(vec![
            Value::Text(b"a\r\nbc".to_vec()),
            Value::Number(-7),
            Value::Array(vec![Value::Nil, Value::Text(b"OK".to_vec())]),
            Value::Error("ERR no".into()),
        ]);
        for step in 1..=bytes.len() {
            assert_eq!(all(bytes, step).unwrap(), whole);
        }
        for end in 0..bytes.len() {
            assert!(all(&bytes[..end], 3).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error_and_reserves_no_memory() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"$-2\r\n",
            b"$99999999999999999999\r\n",
            b"$600000000\r\n",
            b"*4194305\r\n",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
            b"$1\r\nabc\r\n",
            b":x\r\n",
            b"+OK\n",
        ] {
            assert!(all(bytes, 5).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_command_is_written_as_counted_words() {
        let mut out = Vec::new();
        write(&mut out, &["XADD", "a b"]);
        assert_eq!(out, b"*2\r\n$4\r\nXADD\r\n$3\r\na b\r\n");
    }
}
