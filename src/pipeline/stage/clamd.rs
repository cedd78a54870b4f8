//! A scan by clamd: its INSTREAM command (clamd(8)), over TCP or a unix socket.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::http::Address;
use crate::sys::channel::{Receiver, TryRecvError};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a wait looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(200);
/// The longest answer: a name and a verdict.
const ANSWER_MAX_BYTES: usize = 4096;

/// What clamd makes of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It knows nothing bad of it.
    Clean,
    /// It found what has this name.
    Found(String),
}

/// Why there is no verdict.
#[derive(Debug)]
pub enum ClamdError {
    /// The file is larger than clamd's StreamMaxLength.
    TooLarge,
    /// Clamd answers that it can't.
    Refused(String),
    /// It can't be reached, goes away, or says nothing in time.
    Io(io::Error),
    /// The scan was told to stop.
    Stopped,
}

/// A file that is being scanned.
pub struct Clamd<'a> {
    socket: Box<dyn ClamdSocket>,
    stop: &'a Receiver<()>,
}

trait ClamdSocket: Read + Write {}
impl ClamdSocket for TcpStream {}
impl ClamdSocket for UnixStream {}

impl<'a> Clamd<'a> {
    /// Connects, and begins a scan. Everything ends when `stop` is closed.
    pub fn begin(address: &Address, stop: &'a Receiver<()>) -> Result<Clamd<'a>, ClamdError> {
        let socket: Box<dyn ClamdSocket> = match address {
            Address::Unix(path) => {
                let socket = UnixStream::connect(path)?;
                socket.set_read_timeout(Some(LOOK))?;
                socket.set_write_timeout(Some(LOOK))?;
                Box::new(socket)
            }
            address => {
                let mut last = io::Error::from(io::ErrorKind::NotFound);
                let mut addresses = address.authority().to_socket_addrs()?;
                let socket = addresses.find_map(|address| {
                    let socket = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT);
                    socket.map_err(|error| last = error).ok()
                });
                let socket = socket.ok_or(last)?;
                socket.set_read_timeout(Some(LOOK))?;
                socket.set_write_timeout(Some(LOOK))?;
                socket.set_nodelay(true)?;
                Box::new(socket)
            }
        };
        let mut clamd = Clamd { socket, stop };
        clamd.write(b"zINSTREAM\0", Instant::now() + CONNECT_TIMEOUT)?;
        Ok(clamd)
    }

    /// Sends the next piece of the file. Blocks for clamd, until `deadline`.
    pub fn send(&mut self, piece: &[u8], deadline: Instant) -> Result<(), ClamdError> {
        if piece.is_empty() {
            // An empty chunk would end the stream.
            return Ok(());
        }
        let length = u32::try_from(piece.len()).map_err(io::Error::other)?;
        let sent = self
            .write(&length.to_be_bytes(), deadline)
            .and_then(|()| self.write(piece, deadline));
        match sent {
            // It has answered before the end, and closed: the answer tells why.
            Err(ClamdError::Io(error)) if error.kind() != io::ErrorKind::TimedOut => {
                match self.answer(deadline) {
                    Err(ClamdError::Io(_)) | Ok(_) => Err(ClamdError::Io(error)),
                    Err(why) => Err(why),
                }
            }
            sent => sent,
        }
    }

    /// Ends the file and waits for the verdict, until `deadline`.
    pub fn finish(mut self, deadline: Instant) -> Result<Verdict, ClamdError> {
        match self.write(&[0; 4], deadline) {
            Err(ClamdError::Stopped) => Err(ClamdError::Stopped),
            // It may have answered all the same.
            _ => self.answer(deadline),
        }
    }

    fn answer(&mut self, deadline: Instant) -> Result<Verdict, ClamdError> {
        let mut answer = Vec::new();
        let mut piece = [0; 512];
        while !answer.contains(&0) {
            self.check(deadline)?;
            match self.socket.read(&mut piece) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(length) if answer.len() + length > ANSWER_MAX_BYTES => {
                    return Err(ClamdError::Refused("more than an answer".to_owned()));
                }
                Ok(length) => answer.extend_from_slice(&piece[..length]),
                Err(error) if is_wait(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        read_answer(&answer)
    }

    fn write(&mut self, mut bytes: &[u8], deadline: Instant) -> Result<(), ClamdError> {
        while !bytes.is_empty() {
            self.check(deadline)?;
            match self.socket.write(bytes) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(length) => bytes = &bytes[length..],
                Err(error) if is_wait(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn check(&self, deadline: Instant) -> Result<(), ClamdError> {
        if self.stop.try_recv() == Err(TryRecvError::Disconnected) {
            return Err(ClamdError::Stopped);
        }
        if Instant::now() >= deadline {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        Ok(())
    }
}

impl From<io::Error> for ClamdError {
    fn from(error: io::Error) -> ClamdError {
        ClamdError::Io(error)
    }
}

/// `stream: OK`, `stream: NAME FOUND`, or a complaint; up to a NUL.
fn read_answer(answer: &[u8]) -> Result<Verdict, ClamdError> {
    let end = answer.iter().position(|&byte| byte == 0);
    let text = String::from_utf8_lossy(&answer[..end.unwrap_or(answer.len())]);
    let text: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    if text == "stream: OK" {
        return Ok(Verdict::Clean);
    }
    if let Some(name) = text.strip_suffix(" FOUND") {
        let name = name.strip_prefix("stream: ").unwrap_or(name);
        return Ok(Verdict::Found(name.to_owned()));
    }
    if text.contains("size limit exceeded") {
        Err(ClamdError::TooLarge)
    } else {
        Err(ClamdError::Refused(text))
    }
}

fn is_wait(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ok_is_clean() {
        let read = |text: &[u8]| match read_answer(text) {
            Ok(verdict) => format!("{verdict:?}"),
            Err(error) => format!("{error:?}"),
        };
        assert_eq!(read(b"stream: OK\0"), "Clean");
        let found = r#"Found("Eicar-Test-Signature")"#;
        assert_eq!(read(b"stream: Eicar-Test-Signature FOUND\0"), found);
        assert_eq!(read(b"INSTREAM size limit exceeded. ERROR\0"), "TooLarge");
        for other in [&b""[..], b"stream: ", b"OK", b"UNKNOWN COMMAND", b"a ERROR"] {
            assert!(read(other).starts_with("Refused"), "{other:?}");
        }
    }
}
