//! The client's side of the hub's HTTP API, for the commands: blocking, one
//! connection kept alive, over TCP or a unix socket.
//!
//! It stands on httparse, which the server needs anyway. ureq was tried: it makes a
//! stripped binary 370 KB larger, reaches unix sockets only through an interface
//! that it keeps out of semantic versioning, and takes proxies from the environment.

mod backoff;
mod connection;
mod event_decoder;
mod jobs;
mod response;
mod upload;
mod worker;

#[cfg(feature = "cli")]
pub use backoff::Backoff;
pub(crate) use connection::Connection;
pub use event_decoder::{EventDecoder, ServerEvent};
#[cfg(feature = "cli")]
pub use upload::{PieceError, UploadPlace};
#[cfg(feature = "cli")]
pub use worker::Heard;

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::event::job::{EventId, EventName, JobId};
use crate::event::json::Object;
use crate::http::{Address, BasePath};
use response::AnswerHead;

/// How long a connection may take to open.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the hub may take from there to the end of its answer, or, for a stream,
/// of the answer's head.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a stream may be silent before it is held for dead: four of the
/// heartbeats that a hub sends by default.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer that is read, streams aside, in bytes. A longer one is an error.
pub const ANSWER_MAX_BYTES: usize = 1024 * 1024;

/// Why a request did not do what it was to do.
///
/// ```
/// use landfall::{Client, ClientError};
/// // Nobody listens there.
/// let mut client = Client::new("127.0.0.1:1".parse().unwrap());
/// let error = client.snapshot(&"a".parse().unwrap()).unwrap_err();
/// assert!(matches!(error, ClientError::Away { .. }));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The hub can't be reached, or the connection broke.
    Away {
        /// What the system says.
        kind: io::ErrorKind,
        /// The same in words.
        text: String,
    },
    /// The hub did not answer in time.
    TimedOut,
    /// What answers there does not speak HTTP as it should.
    Malformed(&'static str),
    /// The hub was asked nothing: this can't be sent.
    Unsendable(&'static str),
    /// The hub answered and said no.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The hub's own words.
        message: String,
    },
}

/// A hub to talk to: a server's publishing listener, for the most. Every call blocks: 5 s at
/// most to connect, and 10 s for the answer.
///
/// ```no_run
/// use landfall::{Client, Event};
/// let mut client = Client::new("127.0.0.1:8081".parse()?).with_token(None);
/// let job = "job_8f3a".parse()?;
/// let id = client.publish(&job, &Event::progress("scanning", 30.0)?)?;
/// let stream = client.events(&[job], "")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Client {
    address: Address,
    token: Option<String>,
    base: BasePath,
    connection: Option<Connection>,
    /// How many connections were opened.
    opened: u64,
}

/// An open event stream.
///
/// ```no_run
/// # let client = landfall::Client::new("127.0.0.1:8081".parse()?);
/// # let job = "job_8f3a".parse()?;
/// while let Some(mut stream) = client.events(&[job], "")? {
///     while stream.wait(|event| println!("{}: {}", event.event, event.data))? {}
/// #   break;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Subscription {
    connection: Connection,
    body: response::BodyDecoder,
    events: EventDecoder,
    decoded: Vec<u8>,
    ended: bool,
}

const NO_NUMBER: ClientError =
    ClientError::Malformed("the answer to an event doesn't say its number");

const NO_JOB: ClientError = ClientError::Unsendable("there is no job to follow: name one at least");
const NO_PREFIX: ClientError =
    ClientError::Unsendable("a prefix is 1 to 128 of A-Z a-z 0-9 . _ ~ -, or empty for every job");
const NO_TOKEN: ClientError = ClientError::Unsendable(
    "a token is visible ASCII characters, without a line's end behind them",
);

impl Client {
    /// A client that will connect when it is first used.
    pub fn new(address: Address) -> Client {
        Client {
            address,
            token: None,
            base: BasePath::default(),
            connection: None,
            opened: 0,
        }
    }

    /// The same client, showing a bearer token with every request. One that isn't of visible ASCII
    /// characters, as where a line's end is left at it, makes every request
    /// [`ClientError::Unsendable`].
    pub fn with_token(mut self, token: Option<String>) -> Client {
        self.token = token;
        self
    }

    /// The same client of a hub that serves everything below a path.
    pub fn with_base(mut self, base: BasePath) -> Client {
        self.base = base;
        self
    }

    /// Where the hub is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How many connections it has opened for requests: where it is the same as before, so
    /// is the hub that answers.
    pub(crate) fn opened(&self) -> u64 {
        self.opened
    }

    /// Publishes one event, and returns its number.
    pub fn publish(&mut self, job: &JobId, event: &Event) -> Result<EventId, ClientError> {
        let answer = self.publish_by(job, event.name(), event.data(), None)?;
        let id = Object::read(&answer).and_then(|mut told| told.needed_number("id"));
        id.map(EventId).map_err(|_| NO_NUMBER)
    }

    /// The same of data that may be wrong. The whole call ends by `deadline`, where one is
    /// given. Returns the answer.
    pub(crate) fn publish_by(
        &mut self,
        job: &JobId,
        event: &EventName,
        data: &str,
        deadline: Option<Instant>,
    ) -> Result<Vec<u8>, ClientError> {
        let body = format!(r#"{{"event":"{event}","data":{data}}}"#);
        let path = format!("/api/jobs/{job}/events");
        self.post(&path, "application/json", body.as_bytes(), deadline)
    }

    /// Publishes many events, a JSON object `{"event":..,"data":..}` a line, and returns their
    /// numbers.
    pub fn publish_lines(
        &mut self,
        job: &JobId,
        lines: &[u8],
    ) -> Result<Vec<EventId>, ClientError> {
        let answer = self.post_lines(job, lines)?;
        let ids = Object::read(&answer).and_then(|mut told| told.list("ids"));
        let ids = ids.map_err(|_| NO_NUMBER)?;
        let ids = ids.iter().map(|id| id.as_u64().map(EventId));
        ids.collect::<Option<_>>().ok_or(NO_NUMBER)
    }

    /// The same. Returns the answer.
    pub(crate) fn post_lines(&mut self, job: &JobId, lines: &[u8]) -> Result<Vec<u8>, ClientError> {
        let path = format!("/api/jobs/{job}/events");
        self.post(&path, "application/x-ndjson", lines, None)
    }

    /// Opens the stream of one job, or one stream for many, after the event that
    /// `last_event_id` names. `None` is a stream that has ended for good.
    ///
    /// # Errors
    /// No job is named, or see [`ClientError`].
    pub fn events(
        &self,
        jobs: &[JobId],
        last_event_id: &str,
    ) -> Result<Option<Subscription>, ClientError> {
        let path = match jobs {
            [] => return Err(NO_JOB),
            [job] => format!("/api/jobs/{job}/events"),
            _ => {
                let query: Vec<_> = jobs.iter().map(|job| format!("job={job}")).collect();
                format!("/api/events?{}", query.join("&"))
            }
        };
        self.subscribe(&path, last_event_id)
    }

    /// The same for every job there is and will be whose name begins so.
    ///
    /// # Errors
    /// No job's name begins so, or see [`ClientError`].
    pub fn events_matching(
        &self,
        prefix: &str,
        last_event_id: &str,
    ) -> Result<Option<Subscription>, ClientError> {
        let path = match prefix {
            "" => "/api/events".to_owned(),
            prefix if prefix.parse::<JobId>().is_err() => return Err(NO_PREFIX),
            prefix => format!("/api/events?jobs={prefix}*"),
        };
        self.subscribe(&path, last_event_id)
    }

    fn subscribe(
        &self,
        path: &str,
        last_event_id: &str,
    ) -> Result<Option<Subscription>, ClientError> {
        self.check_token()?;
        let mut headers = "Accept: text/event-stream\r\n".to_owned();
        // What the standard forbids in an id could end the header.
        if !last_event_id.is_empty() && !last_event_id.contains(char::is_control) {
            headers += &format!("Last-Event-ID: {last_event_id}\r\n");
        }
        let mut connection = Connection::open(&self.address, Instant::now() + CONNECT_TIMEOUT)?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        connection.send(self.request("GET", path, &headers).as_bytes(), deadline)?;
        let head = connection.head(deadline)?;
        match head.status {
            200 if head.is_event_stream => Ok(Some(Subscription {
                body: response::BodyDecoder::new(&head),
                connection,
                events: EventDecoder::new(),
                decoded: Vec::new(),
                ended: false,
            })),
            200 => Err(ClientError::Malformed("the answer is no event stream")),
            204 => Ok(None),
            _ => {
                let body = connection.body(&head, deadline).unwrap_or_default();
                Err(refusal(&head, &body))
            }
        }
    }

    /// Anything else would end its header field, or the head.
    fn check_token(&self) -> Result<(), ClientError> {
        let mut shown = self.token.iter().flat_map(|token| token.bytes());
        let is_sound = shown.all(|byte| byte.is_ascii_graphic());
        is_sound.then_some(()).ok_or(NO_TOKEN)
    }

    fn post(
        &mut self,
        path: &str,
        content_type: &str,
        body: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Vec<u8>, ClientError> {
        let request = self.post_request(path, content_type, "", body);
        self.exchange(&request, deadline)
    }

    fn post_request(&self, path: &str, content_type: &str, fields: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        let headers =
            format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n{fields}");
        let mut request = self.request("POST", path, &headers).into_bytes();
        request.extend_from_slice(body);
        request
    }

    fn request(&self, method: &str, path: &str, headers: &str) -> String {
        self.request_at(method, &format!("{}{path}", self.base.as_str()), headers)
    }

    /// A request for a path that the hub has told.
    fn request_at(&self, method: &str, path: &str, headers: &str) -> String {
        let host = self.address.authority();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}");
        if let Some(token) = &self.token {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        head + "\r\n"
    }

    /// Sends a request and reads the answer's body.
    fn exchange(
        &mut self,
        request: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Vec<u8>, ClientError> {
        self.ask(request, deadline).map(|(_, body)| body)
    }

    /// Sends a request and reads the answer, which has to be that it is done.
    fn ask(
        &mut self,
        request: &[u8],
        deadline: Option<Instant>,
    ) -> Result<(AnswerHead, Vec<u8>), ClientError> {
        let (head, body) = self.answer(request, deadline)?;
        if (200..300).contains(&head.status) {
            Ok((head, body))
        } else {
            Err(refusal(&head, &body))
        }
    }

    /// Sends a request and reads the answer, whatever it is. A connection that was kept is
    /// used where the hub has not closed it meanwhile. A request is never sent twice, as an
    /// event must not be published twice.
    fn answer(
        &mut self,
        request: &[u8],
        deadline: Option<Instant>,
    ) -> Result<(AnswerHead, Vec<u8>), ClientError> {
        self.check_token()?;
        let within = |limit| {
            let end = Instant::now() + limit;
            deadline.map_or(end, |deadline| deadline.min(end))
        };
        let mut connection = match self.connection.take().filter(Connection::is_idle) {
            Some(connection) => connection,
            None => {
                self.opened += 1;
                Connection::open(&self.address, within(CONNECT_TIMEOUT))?
            }
        };
        let deadline = within(ANSWER_TIMEOUT);
        let (head, body) = connection.exchange(request, deadline)?;
        if head.keep_alive {
            self.connection = Some(connection);
        }
        Ok((head, body))
    }
}

impl Subscription {
    /// Waits for the next events and calls `each` for them. False: the stream has ended as
    /// it should. Blocks, but no longer than 60 s: four heartbeats.
    ///
    /// # Errors
    /// It was cut off: what it lacks comes after [`Subscription::last_event_id`].
    pub fn wait(&mut self, each: impl FnMut(ServerEvent)) -> Result<bool, ClientError> {
        if self.ended {
            return Ok(false);
        }
        let deadline = Instant::now() + SILENCE_TIMEOUT;
        self.decoded.clear();
        self.ended = self
            .connection
            .read_body(&mut self.body, &mut self.decoded, deadline)?;
        self.events.feed(&self.decoded, each);
        Ok(true)
    }

    /// How long the hub asks to wait before connecting again, if it has said so.
    pub fn retry(&self) -> Option<Duration> {
        self.events.retry()
    }

    /// The id to resume after: the one of the newest event that came whole. `None`
    /// where no event has brought one.
    pub fn last_event_id(&self) -> Option<&str> {
        self.events.last_event_id()
    }
}

/// Without what it shows the hub.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut client = f.debug_struct("Client");
        client
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut stream = f.debug_struct("Subscription");
        let last = self.last_event_id();
        stream.field("last_event_id", &last).finish_non_exhaustive()
    }
}

impl ClientError {
    /// Whether the same request may succeed later: the hub is away or overloaded.
    pub fn is_temporary(&self) -> bool {
        match self {
            ClientError::Away { .. } | ClientError::TimedOut => true,
            ClientError::Malformed(_) | ClientError::Unsendable(_) => false,
            ClientError::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
        }
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> ClientError {
        match error.kind() {
            // Which of the two a socket's time limit gives depends on the system.
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ClientError::TimedOut,
            kind => ClientError::Away {
                kind,
                text: error.to_string(),
            },
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Away { text, .. } => f.write_str(text),
            ClientError::TimedOut => f.write_str("no answer in time"),
            ClientError::Malformed(what) => write!(f, "not a hub's answer: {what}"),
            ClientError::Unsendable(what) => f.write_str(what),
            ClientError::Refused { status, message } => write!(f, "{message} (status {status})"),
        }
    }
}

impl std::error::Error for ClientError {}

/// The hub's `{"error":...}`, or what else it wrote, fit to be shown in a terminal.
fn refusal(head: &AnswerHead, body: &[u8]) -> ClientError {
    let told = Object::read(body).and_then(|mut told| told.needed_text("error"));
    let text = told.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let message: String = text.trim().chars().map(printable).take(500).collect();
    let message = if message.is_empty() {
        "refused".into()
    } else {
        message
    };
    ClientError::Refused {
        status: head.status,
        message,
    }
}

#[cfg(test)]
mod tests;
