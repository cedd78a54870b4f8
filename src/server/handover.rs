//! A server's place is taken by a newly started one, and nobody is refused meanwhile: both
//! listen at the same sockets until the new one has said that it is ready.
//!
//! The two talk over a socket pair, the new one's standard input. The old one sends the
//! listening sockets (`SCM_RIGHTS`), that of monitoring last, if there is one; the new one says
//! `ready` when it serves; the old one says `go`, and stops. A new one that ends, or is
//! late, changes nothing.
//!
//! Only one can have a data directory. A new one that needs it says `release` as soon as
//! nothing else is left that could go wrong; the old one accepts no more, answers what has
//! begun, and lets go of it. Whoever connects meanwhile waits. Where the new one fails
//! after that, the old one's program is executed anew on the same sockets.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use crate::server::Server;
use crate::server::sockets::{GivenSocket, Sockets};
use crate::sys::clock;

/// Says whose place is to be taken: the process id of the one that started this one.
pub(crate) const VARIABLE: &str = "LANDFALL_HANDOVER";
/// The sockets that are handed over.
const SOCKETS: [&str; 3] = ["public", "publish", "ops"];
/// Begins the line with the names of the sockets whose files go with the server.
const FILES: &str = "files";
/// The longest line that is said.
const LINE_BYTES: usize = 128;
const READY: &[u8] = b"ready\n";
const RELEASE: &[u8] = b"release\n";
const GO: &[u8] = b"go\n";

/// A server that has been started to take this one's place.
pub struct Successor {
    child: Child,
    channel: UnixStream,
}

/// What a successor says.
pub enum Said {
    /// It needs the data directory.
    Release(Successor),
    /// It serves.
    Ready(Successor),
}

/// What it takes to begin again with the same sockets.
pub struct Rebirth {
    theirs: UnixStream,
    _channel: UnixStream,
}

/// The server whose place this one takes.
pub struct Predecessor {
    channel: UnixStream,
}

impl Successor {
    /// Starts the program that this process was started as, by the name that it was started
    /// by, with the same arguments: where the file has been replaced, or a link turned to
    /// another, that is the new one. It is given the server's sockets.
    ///
    /// # Errors
    /// The program can't be started.
    pub fn start(server: &Server) -> io::Result<Successor> {
        let mut arguments = std::env::args_os();
        let program = match arguments.next() {
            Some(name) => name,
            None => std::env::current_exe()?.into_os_string(),
        };
        let (channel, theirs) = UnixStream::pair()?;
        // Before it is started, so that it finds them there.
        give(&channel, server)?;
        let child = Command::new(&program)
            .args(arguments)
            .env(VARIABLE, std::process::id().to_string())
            // It is this process's, and the watchdog will look after the new one.
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{program:?}: {error}")))?;
        Ok(Successor { child, channel })
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A handle that calls it off: shut it down, and [`Successor::wait`] fails.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn caller_off(&self) -> io::Result<UnixStream> {
        self.channel.try_clone()
    }

    /// Blocks until it says something.
    ///
    /// # Errors
    /// It has ended, was called off, or said nothing within `limit`. It is killed then.
    pub fn wait(mut self, limit: Duration) -> io::Result<Said> {
        let why = match read_line(&mut self.channel, limit) {
            Ok(line) if line == READY => return Ok(Said::Ready(self)),
            Ok(line) if line == RELEASE => return Ok(Said::Release(self)),
            Ok(line) if !line.is_empty() => format!("it said {:?}", String::from_utf8_lossy(&line)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                format!("it wasn't ready within {limit:?}")
            }
            _ => "it ended before it was ready".to_owned(),
        };
        let _ = self.child.kill();
        let status = self.child.wait()?;
        Err(io::Error::other(format!("{why}: {status}")))
    }

    /// Ends it. Blocks until it has.
    pub fn dismiss(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Tells it that it is alone from now on.
    pub fn go(mut self) {
        // It serves whether it hears this or not.
        let _ = self.channel.write_all(GO);
    }
}

impl Rebirth {
    /// Prepares for it, as long as the server has its sockets.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn prepare(server: &Server) -> io::Result<Rebirth> {
        let (channel, theirs) = UnixStream::pair()?;
        give(&channel, server)?;
        Ok(Rebirth {
            theirs,
            _channel: channel,
        })
    }

    /// Executes this process's own program anew, whatever its file has become. Returns only
    /// where that fails.
    pub fn begin(self) -> io::Error {
        let mut arguments = std::env::args_os();
        Command::new("/proc/self/exe")
            .arg0(arguments.next().unwrap_or_default())
            .args(arguments)
            .env(VARIABLE, std::process::id().to_string())
            .stdin(Stdio::from(OwnedFd::from(self.theirs)))
            .exec()
    }
}

impl Predecessor {
    /// The server that has started this one to take its place, and the sockets that it
    /// gives. None where nobody has.
    ///
    /// # Errors
    /// It gave something else.
    pub fn from_environment() -> io::Result<Option<(Predecessor, Sockets)>> {
        let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get() as u32);
        let said = std::env::var(VARIABLE).ok().and_then(|id| id.parse().ok());
        if said.is_none() || (said != parent && said != Some(std::process::id())) {
            return Ok(None);
        }
        let channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let mut line = [0; LINE_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS.len()))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(
            &channel,
            &mut [IoSliceMut::new(&mut line)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(given) = message {
                fds.extend(given);
            }
        }
        let ops = (fds.len() == SOCKETS.len()).then(|| fds.pop()).flatten();
        let (Ok([public, publish]), Some(files)) = (
            <[OwnedFd; 2]>::try_from(fds),
            parse(&line[..received.bytes]),
        ) else {
            let message = "the server whose place is to be taken gave no sockets";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        };
        let given = |fd, name| {
            let is_own = files.contains(&name);
            GivenSocket { fd, is_own }
        };
        let mut claim = channel.try_clone()?;
        let sockets = Sockets {
            claim: Some(Box::new(move || {
                // One that is gone, or has become this one, has let go of it already.
                let _ = claim.write_all(RELEASE);
            })),
            public: Some(given(public, SOCKETS[0])),
            publish: Some(given(publish, SOCKETS[1])),
            ops: ops.map(|fd| given(fd, SOCKETS[2])),
        };
        Ok(Some((Predecessor { channel }, sockets)))
    }

    /// Says that this server is ready, and blocks until the other one knows, for `limit`
    /// at most.
    pub fn take_over(mut self, limit: Duration) {
        let _ = self.channel.write_all(READY);
        let _ = read_line(&mut self.channel, limit);
    }
}

fn give(channel: &UnixStream, server: &Server) -> io::Result<()> {
    let mut line = FILES.to_owned();
    let mut fds = Vec::new();
    for (name, acceptor) in SOCKETS.iter().zip(server.acceptors()) {
        fds.extend(acceptor.socket());
        if acceptor.has_file() {
            line.push_str(&format!(" {name}"));
        }
    }
    let monitoring = server.monitoring();
    fds.extend(monitoring.socket());
    if monitoring.has_file() {
        line.push_str(&format!(" {}", SOCKETS[2]));
    }
    line.push('\n');
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS.len()))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let line = [IoSlice::new(line.as_bytes())];
    rustix::net::sendmsg(channel, &line, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The sockets whose files go with the server.
fn parse(line: &[u8]) -> Option<Vec<&str>> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    Some(line.strip_prefix(FILES)?.split_whitespace().collect())
}

/// What is said next, up to its newline; what there was of it where the other side ended.
fn read_line(channel: &mut UnixStream, limit: Duration) -> io::Result<Vec<u8>> {
    let deadline = clock::after(limit);
    let mut line = Vec::new();
    while !line.ends_with(b"\n") && line.len() < LINE_BYTES {
        let left = deadline.saturating_duration_since(Instant::now());
        channel.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut byte = [0];
        match channel.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(line)
}
