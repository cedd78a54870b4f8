//! Monitoring at a unix socket, where may_minihttp can't listen: a request a connection, each
//! on a thread of its own.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::Builder;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, poll};

use super::Monitor;
use crate::http::{Head, HeadLimits, Method, Response, Status};
use crate::sys::headcount::Headcount;
use crate::sys::vital;

/// Connections at once; the next waits to be accepted.
const CONNECTIONS_MAX: usize = 16;
/// How often it is looked whether there is room for it, and how long to wait where nothing can
/// be accepted for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a request may take until it is whole, and how long the answer may wait to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 8 * 1024,
    target_bytes: 6 * 1024,
};

/// Answers at a socket that listens, for as long as the process lives.
///
/// # Errors
/// The system gives no thread.
pub fn serve(listener: OwnedFd, monitor: Monitor) -> io::Result<()> {
    let listener = UnixListener::from(listener);
    vital::spawn("ops", move || {
        let there = Headcount::default();
        loop {
            // Another process may accept what is there: the socket never blocks.
            let mut polled = [PollFd::new(&listener, PollFlags::IN)];
            let _ = poll(&mut polled, None);
            let Some(presence) = there.one_below(CONNECTIONS_MAX) else {
                std::thread::sleep(PAUSE);
                continue;
            };
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => {
                    std::thread::sleep(PAUSE);
                    continue;
                }
            };
            let monitor = monitor.clone();
            let answering = Builder::new().name("ops-answer".to_owned());
            let _ = answering.spawn(move || {
                let _presence = presence;
                // The client is gone: nobody is left to be told.
                let _ = converse(stream, &monitor);
            });
        }
    })
    .map(drop)
}

fn converse(mut stream: UnixStream, monitor: &Monitor) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let deadline = Instant::now() + PATIENCE;
    let mut received = Vec::new();
    let (response, is_head) = loop {
        match Head::parse(&received, LIMITS) {
            Ok(Some((head, _))) => {
                let answer = monitor.answer(head.method.as_str(), head.target.path(), head.host);
                break (answer.into_response(), head.method == Method::Head);
            }
            Ok(None) => {}
            Err(error) => break (Response::error(error.status, error.message), false),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let message = "the request's head wasn't whole in time";
            break (Response::error(Status::RequestTimeout, message), false);
        }
        stream.set_read_timeout(Some(left))?;
        let mut buffer = [0; 2048];
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    };
    let mut answer = Vec::new();
    response.write(&mut answer, SystemTime::now(), false, is_head);
    stream.write_all(&answer)?;
    stream.shutdown(Shutdown::Both)
}
