//! A connection as long as it is a conversation: requests are read, answered in order,
//! and a stream is handed to a shard.

#[cfg(feature = "uploads")]
mod download;
#[cfg(feature = "uploads")]
mod upload;
#[cfg(not(feature = "uploads"))]
#[path = "connection/none.rs"]
mod upload;

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use may::io::CoIo;

use crate::access::cors::CorsLines;
use crate::http::{
    BodyPace, Decoder, Head, HeadLimits, Method, PaceLimits, Response, Status, TooSlow, head,
};
use crate::routes::{Access, Intake, Label, Peer, Plan};
use crate::server::house::House;
use crate::stream::opening::Opening;
use crate::sys::clock;
use crate::sys::coroutine::Starter;
use crate::sys::headcount::Presence;
use crate::sys::metrics::Metrics;
use crate::sys::socket::Socket;

crate::sys::config::config! {
    /// How long and how large a conversation may be.
    ///
    /// ```
    /// use landfall::config::ConnectionConfig;
    /// let config = ConnectionConfig::with(|config| config.head.head_bytes = 16 * 1024);
    /// ```
    pub struct ConnectionConfig {
        /// The head's limits. Default: 8 KiB, of which the target 6 KiB.
        pub head: HeadLimits = HeadLimits {
            head_bytes: 8 * 1024,
            target_bytes: 6 * 1024,
        },
        /// A head must be whole after so long: 408 beyond it. Default: 10 s.
        pub head_timeout: Duration = Duration::from_secs(10),
        /// A body must go on after so long: 408 beyond it. Default: 30 s.
        pub body_timeout: Duration = Duration::from_secs(30),
        /// The least that a body brings in a second, in bytes, on average over
        /// `body_timeout`: 408 below it. Default: 512.
        pub body_bytes_per_second: usize = 512,
        /// A body must be whole after so long: 408 beyond it. Default: 5 min.
        pub body_time: Duration = Duration::from_secs(5 * 60),
        /// A connection without a request is closed after so long. Default: 60 s.
        pub idle_timeout: Duration = Duration::from_secs(60),
        /// Requests on one connection; the last is answered with a close. Default: 1,000,000.
        pub requests: usize = 1_000_000,
    }
}

/// What a read asks the kernel for where the one before filled what it was given.
const READ_BYTES: usize = 16 * 1024;
/// What it asks for otherwise: a thousand bodies that drip mustn't have a large buffer each, nor
/// have one cleared for every byte.
const FIRST_READ_BYTES: usize = 2 * 1024;
static ZEROS: [u8; FIRST_READ_BYTES] = [0; FIRST_READ_BYTES];
/// Answers to pipelined requests are held back up to this, to go out together.
const HELD_BACK_BYTES: usize = 32 * 1024;
/// Timeouts are rounded up to this: `may` keeps a list for each length there is.
const TIMEOUT_STEP: Duration = Duration::from_millis(250);
/// The longest that a read or a write may wait: `may` fails where it is more milliseconds than
/// fit 31 bits.
const WAIT_MAX: Duration = Duration::from_secs(24 * 24 * 60 * 60);
/// How long a connection that never has to wait goes on before it lets others go first.
const TURN: Duration = Duration::from_millis(2);
/// How long, and how many bytes, a refused request is read on so that its answer isn't
/// lost to a reset (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;
/// How much of a head that is too long is kept to find its `Origin`.
const REFUSED_HEAD_BYTES: usize = 64 * 1024;

/// Answers a connection that is served no further, as far as its buffer goes.
pub fn turn_away(socket: &Socket, response: &Response) {
    let mut answer = Vec::new();
    response.write(&mut answer, SystemTime::now(), false, false);
    send_last(socket, &answer);
}

/// Sends what a socket's buffer takes, and that nothing follows.
pub fn send_last(socket: &Socket, bytes: &[u8]) {
    let _ = socket.send(bytes);
    let _ = socket.shutdown_write();
}

/// Decides on a request. None where that panicked: it must cost this request only.
pub fn plan(house: &House, head: &Head<'_>, access: Access, peer: &Peer) -> Option<(Label, Plan)> {
    catch_unwind(AssertUnwindSafe(|| house.context.plan(head, access, peer))).ok()
}

/// Serves a connection, of which `received` has been read, until it ends or becomes a
/// stream. Its first request counts as `unanswered` already. Runs in a coroutine and blocks
/// nothing else.
pub fn serve(
    (socket, peer): (Socket, Peer),
    received: Vec<u8>,
    access: Access,
    house: Arc<House>,
    config: &ConnectionConfig,
    unanswered: Presence,
) {
    let io = match CoIo::new(Watched {
        socket,
        has_waited: false,
    }) {
        Ok(io) => io,
        Err(error) => {
            warn!("a connection can't be polled: {error:?}");
            return;
        }
    };
    let mut connection = Connection {
        io,
        turn_began: Instant::now(),
        last_read: 0,
        received,
        answers: Vec::new(),
        unanswered: Some(unanswered),
        is_answered: false,
        peer,
        access,
        house,
        config,
    };
    let end = connection.converse();
    // Who closes, or becomes a stream, waits no more.
    connection.unanswered = None;
    match end {
        Ok(ConnectionEnd::Stream(opening, stream)) => {
            let Connection {
                io, peer, house, ..
            } = connection;
            house.park(io.into_inner().socket, peer, opening, stream);
        }
        Ok(ConnectionEnd::Close) => connection.linger(),
        // The client is gone: nobody is left to be told.
        Err(_) => {}
    }
}

enum ConnectionEnd {
    Close,
    Stream(Opening, crate::stream::Stream),
}

/// What a head leads to.
struct Decision {
    route: Label,
    plan: Plan,
    /// The header lines for a page of another origin.
    cors: Option<CorsLines>,
    decoder: Decoder,
    head_only: bool,
    keep_alive: bool,
    expects_continue: bool,
}

/// A socket that remembers whether it was waited for.
struct Watched {
    socket: Socket,
    has_waited: bool,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.socket.receive(buffer);
        self.has_waited |= is_to_wait(&read);
        read
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.socket.send(bytes);
        self.has_waited |= is_to_wait(&written);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

struct Connection<'a> {
    io: CoIo<Watched>,
    /// When it last let others have their turn.
    turn_began: Instant,
    /// How many bytes the last read brought.
    last_read: usize,
    /// What was read and not yet used.
    received: Vec<u8>,
    /// What is to be sent before the next read.
    answers: Vec<u8>,
    /// Counts it as one that waits for an answer.
    unanswered: Option<Presence>,
    /// Whether every request has its answer, be it that it is not sent yet.
    is_answered: bool,
    peer: Peer,
    access: Access,
    house: Arc<House>,
    config: &'a ConnectionConfig,
}

impl Connection<'_> {
    fn converse(&mut self) -> io::Result<ConnectionEnd> {
        for count in 1.. {
            let is_last = count >= self.config.requests;
            match self.request(is_last)? {
                Some(end) => {
                    return match (self.flush(), end) {
                        (Ok(()), end) => Ok(end),
                        (Err(error), ConnectionEnd::Stream(_, stream)) => {
                            stream.leave(self.house.context.jobs.hub());
                            Err(error)
                        }
                        (Err(error), ConnectionEnd::Close) => Err(error),
                    };
                }
                None if self.answers.len() >= HELD_BACK_BYTES => self.flush()?,
                None => {}
            }
        }
        Ok(ConnectionEnd::Close)
    }

    /// Reads and answers one request. None where another may follow.
    fn request(&mut self, is_last: bool) -> io::Result<Option<ConnectionEnd>> {
        let decision = match self.read_head()? {
            Ok(decision) => decision,
            Err(None) => return Ok(Some(ConnectionEnd::Close)),
            Err(Some(response)) => {
                self.answer(Label::NONE, &response, false, false);
                return Ok(Some(ConnectionEnd::Close));
            }
        };
        self.is_answered = false;
        if self.unanswered.is_none() {
            self.unanswered = Some(self.house.census.unanswered.one());
        }
        let end = self.carry_out(decision, is_last)?;
        self.is_answered = true;
        Ok(end)
    }

    fn carry_out(
        &mut self,
        decision: Decision,
        is_last: bool,
    ) -> io::Result<Option<ConnectionEnd>> {
        let Decision {
            route,
            plan,
            cors,
            mut decoder,
            head_only,
            keep_alive,
            expects_continue,
        } = decision;
        let mut file = None;
        let (response, is_read) = match plan {
            Plan::Stream(opening, stream) => {
                self.house.answered(route, Status::Ok);
                return Ok(Some(ConnectionEnd::Stream(opening, stream)));
            }
            Plan::EmptyStream(bytes) => {
                self.house.answered(route, Status::Ok);
                self.answers.extend_from_slice(&bytes);
                return Ok(Some(ConnectionEnd::Close));
            }
            Plan::Intake(intake) => self.read_body(intake, &mut decoder, expects_continue)?,
            Plan::Upload(intake) => self.receive_upload(intake, &mut decoder, expects_continue)?,
            Plan::Download(response, download) => {
                file = Some(download).filter(|_| !head_only);
                (response, self.skip_body(&mut decoder))
            }
            // A body that nobody reads ends the connection, unless it is here already.
            Plan::Answer(response) => (response, self.skip_body(&mut decoder)),
        };
        let is_draining = self.house.context.is_draining();
        // Whatever failed may have left the connection in any state.
        let has_failed = response.status == Status::InternalError;
        let keep_alive = keep_alive && is_read && !is_last && !is_draining && !has_failed;
        self.answer(route, &response.with_lines(cors), keep_alive, head_only);
        if let Some(download) = file {
            self.send_file(&download)?;
        }
        Ok((!keep_alive).then_some(ConnectionEnd::Close))
    }

    /// Waits for a whole head, and decides on it. An error is the answer to a broken
    /// one; no answer where there was no request.
    fn read_head(&mut self) -> io::Result<Result<Decision, Option<Response>>> {
        let mut deadline = clock::after(self.config.idle_timeout);
        let mut is_begun = false;
        let mut parsed = 0;
        loop {
            if !is_begun && !self.received.is_empty() {
                is_begun = true;
                deadline = clock::after(self.config.head_timeout);
            }
            // A head that begins well is made whole, or too long, by a line's end or by
            // its size. What never was one has no line's end to wait for.
            let is_new_line = self.received[parsed..].contains(&b'\n');
            let is_first_look = parsed == 0 && is_begun;
            let is_long = self.received.len() >= self.config.head.target_bytes;
            if is_new_line || is_first_look || is_long {
                parsed = self.received.len();
                match Head::parse(&self.received, self.config.head) {
                    Ok(Some((head, length))) => {
                        let decision = self.decide(&head);
                        self.received.drain(..length);
                        return Ok(Ok(decision));
                    }
                    Ok(None) => {}
                    Err(error) => {
                        let cors = self.cors_of_refused(error.status);
                        let response = Response::error(error.status, error.message);
                        return Ok(Err(Some(response.with_lines(cors))));
                    }
                }
            }
            match self.read(deadline) {
                Ok(0) if is_begun => {
                    let message = "the request ended in the middle of its head: send it whole";
                    return Ok(Err(Some(Response::error(Status::BadRequest, message))));
                }
                Ok(0) => return Ok(Err(None)),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::TimedOut && is_begun => {
                    let message = "the request's head wasn't whole in time: send it at once";
                    return Ok(Err(Some(Response::error(Status::RequestTimeout, message))));
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(Err(None)),
                Err(error) => return Err(error),
            }
        }
    }

    /// The header lines that let a page of another origin read why its head is refused. What
    /// is too long is read on for a moment where they depend on `Origin`, which stands behind it.
    fn cors_of_refused(&mut self, status: Status) -> Option<CorsLines> {
        let gate = self.house.context.gate();
        let is_wanted = gate.cors_lines_for(None, self.access).is_some()
            && matches!(status, Status::UriTooLong | Status::HeadTooLarge);
        let deadline = Instant::now() + LINGER;
        while is_wanted
            && !head::has_end(&self.received)
            && self.received.len() < REFUSED_HEAD_BYTES
            && matches!(self.read(deadline), Ok(1..))
        {}
        gate.cors_lines_for(head::origin_of(&self.received), self.access)
    }

    fn decide(&self, head: &Head<'_>) -> Decision {
        let (route, plan) =
            plan(&self.house, head, self.access, &self.peer).unwrap_or_else(|| self.panicked());
        Decision {
            route,
            plan,
            cors: self.house.context.gate().cors_lines(head, self.access),
            decoder: Decoder::new(head.length),
            head_only: head.method == Method::Head,
            keep_alive: head.keep_alive,
            expects_continue: head.expects_continue,
        }
    }

    /// Reads a body into `intake`. Returns the answer, and whether the body was read to
    /// its end.
    fn read_body(
        &mut self,
        mut intake: Box<dyn Intake>,
        decoder: &mut Decoder,
        expects_continue: bool,
    ) -> io::Result<(Response, bool)> {
        if expects_continue && self.received.is_empty() {
            self.answers
                .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let mut pace = BodyPace::new(PaceLimits {
            part: self.config.body_timeout,
            bytes_per_second: self.config.body_bytes_per_second,
            whole: self.config.body_time,
        });
        while !decoder.is_done() {
            if self.received.is_empty() {
                let asked_at = Instant::now();
                match self.read(asked_at + pace.patience()) {
                    Ok(0) => {
                        let message = "the request ended in the middle of its body: send it whole";
                        let why = Response::error(Status::BadRequest, message);
                        return Ok((intake.break_off(why), false));
                    }
                    Ok(read) => {
                        if let Err(why) = pace.take(read, asked_at.elapsed()) {
                            return Ok((intake.break_off(too_slow(why)), false));
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::TimedOut => {
                        return Ok((intake.break_off(too_slow(pace.timed_out())), false));
                    }
                    Err(error) => return Err(error),
                }
            }
            let mut at = 0;
            while at < self.received.len() && !decoder.is_done() {
                let (used, piece) = match decoder.decode(&self.received[at..]) {
                    Ok(decoded) => decoded,
                    Err(error) => {
                        let why = Response::error(Status::BadRequest, &error.to_string());
                        return Ok((intake.break_off(why), false));
                    }
                };
                let pushed = catch_unwind(AssertUnwindSafe(|| intake.push(piece)));
                match pushed.unwrap_or_else(|_| Err(self.panic_response())) {
                    Ok(()) => at += used,
                    Err(response) => return Ok((response, false)),
                }
            }
            self.received.drain(..at);
        }
        let response = catch_unwind(AssertUnwindSafe(|| intake.finish()));
        Ok((response.unwrap_or_else(|_| self.panic_response()), true))
    }

    /// Whether the body that nobody wants has been received whole, and is out of the way.
    fn skip_body(&mut self, decoder: &mut Decoder) -> bool {
        let mut at = 0;
        while at < self.received.len() && !decoder.is_done() {
            match decoder.decode(&self.received[at..]) {
                Ok((used, _)) => at += used,
                Err(_) => return false,
            }
        }
        self.received.drain(..at);
        decoder.is_done()
    }

    fn read(&mut self, deadline: Instant) -> io::Result<usize> {
        self.flush()?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        let steps = left.min(WAIT_MAX).as_millis();
        let steps = steps.div_ceil(TIMEOUT_STEP.as_millis()) as u32;
        self.io.set_read_timeout(Some(TIMEOUT_STEP * steps))?;
        let length = self.received.len();
        let more = if self.last_read < FIRST_READ_BYTES {
            FIRST_READ_BYTES
        } else {
            READ_BYTES
        };
        // `resize` writes byte by byte where the program is built small.
        while self.received.len() < length + more {
            self.received.extend_from_slice(&ZEROS);
        }
        self.let_others_go_on();
        let read = self.io.read(&mut self.received[length..]);
        self.last_read = read.as_ref().map_or(0, |&n| n);
        self.received.truncate(length + self.last_read);
        read
    }

    /// A connection that always finds something to read never waits, and then its worker
    /// never polls: what others have sent isn't seen. So it lets others go first now and then.
    fn let_others_go_on(&mut self) {
        let has_waited = std::mem::take(&mut self.io.inner_mut().has_waited);
        if !has_waited {
            if self.turn_began.elapsed() < TURN {
                return;
            }
            if let Ok(starter) = Starter::get() {
                starter.let_others_go_first();
            }
        }
        self.turn_began = Instant::now();
    }

    fn answer(&mut self, route: Label, response: &Response, keep_alive: bool, head_only: bool) {
        self.house.answered(route, response.status);
        response.write(&mut self.answers, SystemTime::now(), keep_alive, head_only);
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.answers.is_empty() {
            self.set_write_timeout()?;
            self.io.write_all(&self.answers)?;
            self.answers.clear();
        }
        if self.is_answered {
            self.unanswered = None;
        }
        Ok(())
    }

    fn set_write_timeout(&self) -> io::Result<()> {
        let timeout = self.config.body_timeout.min(WAIT_MAX);
        self.io.set_write_timeout(Some(timeout))
    }

    fn metrics(&self) -> &Metrics {
        self.house.metrics()
    }

    fn panicked(&self) -> (Label, Plan) {
        (Label::NONE, Plan::Answer(self.panic_response()))
    }

    fn panic_response(&self) -> Response {
        self.metrics().panics.add(1);
        Response::error(
            Status::InternalError,
            "the server failed at this request: see its log",
        )
    }

    /// Closes after the client has had the time to read the last answer: what it goes
    /// on to send would otherwise reset the connection under it.
    fn linger(&mut self) {
        if self.io.inner().socket.shutdown_write().is_err() {
            return;
        }
        let deadline = Instant::now() + LINGER;
        let mut bytes = 0;
        while bytes < LINGER_BYTES {
            self.received.clear();
            match self.read(deadline) {
                Ok(0) | Err(_) => return,
                Ok(read) => bytes += read,
            }
        }
    }
}

fn too_slow(why: TooSlow) -> Response {
    Response::error(Status::RequestTimeout, &why.to_string())
}

fn is_to_wait(result: &io::Result<usize>) -> bool {
    matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock)
}
