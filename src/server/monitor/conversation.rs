//! What is said with those who ask: a request a connection, each on a thread of its own.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, poll};
use socket2::Socket;

use super::Monitor;
use crate::http::{Head, HeadLimits, Method, Response, Status};
use crate::sys::headcount::Headcount;
use crate::sys::{thread, vital};

/// Connections at once; the next waits to be accepted.
const CONNECTIONS_MAX: usize = 16;
/// How often it is looked whether there is room for it, and how long to wait where nothing can
/// be accepted for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a request may take until it is whole, and how long the answer may wait to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often something is read, and thrown away, of what comes behind a request: closing a
/// socket that holds something unread would take the answer back.
const RESTS_MAX: usize = 16;
/// How long each is waited for.
const REST_PATIENCE: Duration = Duration::from_millis(100);
const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 8 * 1024,
    target_bytes: 6 * 1024,
};

/// Who answers.
pub struct Answering {
    held: PipeWriter,
    thread: JoinHandle<()>,
}

impl Answering {
    /// Closes the socket. Blocks for an instant, until it is.
    pub fn end(self) {
        drop(self.held);
        let _ = self.thread.join();
    }
}

/// Answers at a socket that listens, until it is ended.
///
/// # Errors
/// The system gives no thread or no pipe.
pub fn begin(listener: OwnedFd, monitor: Monitor) -> io::Result<Answering> {
    let (end, held) = io::pipe()?;
    let thread = vital::spawn("ops", move || accept(&listener.into(), &end, &monitor))?;
    Ok(Answering { held, thread })
}

fn accept(listener: &Socket, end: &PipeReader, monitor: &Monitor) {
    let there = Headcount::default();
    loop {
        // Another process may accept what is there: the socket never blocks.
        let mut polled = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(end, PollFlags::IN),
        ];
        let _ = poll(&mut polled, None);
        if !polled[1].revents().is_empty() {
            return;
        }
        let Some(presence) = there.one_below(CONNECTIONS_MAX) else {
            std::thread::sleep(PAUSE);
            continue;
        };
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => {
                std::thread::sleep(PAUSE);
                continue;
            }
        };
        let monitor = monitor.clone();
        let _ = thread::start("ops-answer", move || {
            let _presence = presence;
            // The client is gone: nobody is left to be told.
            let _ = converse(socket, &monitor);
        });
    }
}

fn converse(mut socket: Socket, monitor: &Monitor) -> io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let deadline = Instant::now() + PATIENCE;
    let mut received = Vec::new();
    let (response, is_head) = loop {
        match Head::parse(&received, LIMITS) {
            Ok(Some((head, _))) => {
                let answer = monitor.answer(head.method, head.target.path(), head.host);
                break (answer, head.method == Method::Head);
            }
            Ok(None) => {}
            Err(error) => break (Response::error(error.status, error.message), false),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let message = "the request's head wasn't whole in time: send it at once";
            break (Response::error(Status::RequestTimeout, message), false);
        }
        socket.set_read_timeout(Some(left))?;
        let mut buffer = [0; 2048];
        match socket.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    };
    let mut answer = Vec::new();
    response.write(&mut answer, SystemTime::now(), false, is_head);
    socket.write_all(&answer)?;
    socket.shutdown(Shutdown::Write)?;
    socket.set_read_timeout(Some(REST_PATIENCE))?;
    for _ in 0..RESTS_MAX {
        if socket.read(&mut [0; 4096])? == 0 {
            break;
        }
    }
    Ok(())
}
