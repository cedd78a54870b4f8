//! A server for one test, and an HTTP client that shows every byte.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use landfall::{Address, Event, JobId, Sequencer, Server, ServerConfig};

/// What a test waits for comes long before this, or never.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server that is stopped when the test is over.
pub struct TestServer {
    server: Option<Server>,
    jobs: Sequencer,
    public: SocketAddr,
    publish: SocketAddr,
    ops: SocketAddr,
}

impl TestServer {
    pub fn start() -> TestServer {
        TestServer::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut ServerConfig)) -> TestServer {
        let mut config = ServerConfig::with(|config| {
            config.listen = "127.0.0.1:0".parse().unwrap();
            config.publish = "127.0.0.1:0".parse().unwrap();
            config.ops = "127.0.0.1:0".parse().unwrap();
            config.drain = Duration::from_secs(2);
            config.drain_spread = Duration::from_millis(20);
        });
        change(&mut config);
        let server = Server::start(config).unwrap();
        let tcp = |address: &Address| match address {
            Address::Tcp(address) => *address,
            _ => SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        TestServer {
            jobs: server.jobs().clone(),
            public: tcp(server.public()),
            publish: tcp(server.publish()),
            ops: server.ops().tcp().unwrap(),
            server: Some(server),
        }
    }

    pub fn public(&self) -> Client {
        Client::connect(self.public)
    }

    pub fn publishing(&self) -> Client {
        Client::connect(self.publish)
    }

    pub fn ops(&self) -> Client {
        Client::connect(self.ops)
    }

    /// A number that the server counts.
    pub fn metric(&self, name: &str) -> i64 {
        metric(self.ops, name)
    }

    pub fn ops_address(&self) -> SocketAddr {
        self.ops
    }

    pub fn public_address(&self) -> SocketAddr {
        self.public
    }

    pub fn publish_address(&self) -> SocketAddr {
        self.publish
    }

    pub fn jobs(&self) -> &Sequencer {
        &self.jobs
    }

    /// Publishes `progress` with `{"n":n}` from within the process.
    pub fn progress(&self, job: &str, n: u64) -> u64 {
        self.event(job, "progress", &format!("{{\"n\":{n}}}"))
    }

    pub fn done(&self, job: &str) -> u64 {
        self.event(job, "done", "{}")
    }

    pub fn event(&self, job: &str, name: &str, data: &str) -> u64 {
        let event = Event::new(name, data).unwrap();
        self.jobs.publish(&job_id(job), event).unwrap().0
    }

    /// How many streams follow a job, as soon as that is `count`.
    pub fn wait_for_streams(&self, job: &str, count: usize) {
        let job = job_id(job);
        wait_until("the streams have joined", || {
            self.jobs.streams(&job) == count
        });
    }

    /// Stops it now, and says whether everything went out.
    pub fn stop(mut self) -> bool {
        self.server.take().unwrap().stop()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

/// A number that the server counts which is monitored there.
pub fn metric(ops: SocketAddr, name: &str) -> i64 {
    let text = Client::connect(ops).get("/metrics").body;
    let of_name = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    let number = text.lines().find_map(of_name);
    number.unwrap_or_else(|| panic!("no {name} in {text}"))
}

pub fn job_id(job: &str) -> JobId {
    job.parse().unwrap()
}

/// Blocks until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A connection.
pub struct Client {
    socket: TcpStream,
    received: VecDeque<u8>,
}

/// An answer to a request.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// The message of a JSON error.
    pub fn error(&self) -> String {
        assert_eq!(self.field("content-type"), Some("application/json"));
        let message = self.json()["error"].as_str().unwrap().to_owned();
        assert!(!message.is_empty());
        message
    }
}

/// The value of a header field in a head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::on(TcpStream::connect(address).unwrap())
    }

    /// A client on a connection that is there.
    pub fn on(socket: TcpStream) -> Client {
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Client {
            socket,
            received: VecDeque::new(),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        self.socket.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Sends as far as the other side goes along.
    pub fn send_what_it_takes(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        let _ = self.socket.write_all(bytes.as_ref());
        self
    }

    /// Whether something can be read.
    pub fn has_answer(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let peeked = self.socket.peek(&mut [0]);
        self.socket.set_nonblocking(false).unwrap();
        peeked.is_ok()
    }

    pub fn half_close(&mut self) -> &mut Client {
        self.socket.shutdown(Shutdown::Write).unwrap();
        self
    }

    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Reads more. False at the end of the connection.
    pub fn read_more(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        match self.socket.read(&mut piece) {
            Ok(0) => false,
            Ok(length) => {
                self.received.extend(&piece[..length]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}, after {:?}", self.text()),
        }
    }

    /// What has been received and not been taken.
    pub fn text(&self) -> String {
        let bytes: Vec<u8> = self.received.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Takes a byte; none at the end of the connection.
    pub fn byte(&mut self) -> Option<u8> {
        while self.received.is_empty() {
            if !self.read_more() {
                return None;
            }
        }
        self.received.pop_front()
    }

    pub fn take(&mut self, length: usize) -> Vec<u8> {
        while self.received.len() < length {
            assert!(self.read_more(), "the end came after {:?}", self.text());
        }
        self.received.drain(..length).collect()
    }

    /// Takes everything up to the close.
    pub fn rest(&mut self) -> String {
        while self.read_more() {}
        String::from_utf8(std::mem::take(&mut self.received).into()).unwrap()
    }

    /// Takes a head, with its blank line.
    pub fn head(&mut self) -> String {
        loop {
            let end = self
                .received
                .make_contiguous()
                .windows(4)
                .position(|w| w == b"\r\n\r\n");
            if let Some(end) = end {
                return String::from_utf8(self.take(end + 4)).unwrap();
            }
            assert!(self.read_more(), "no head but {:?}", self.text());
        }
    }

    /// Takes an answer to anything but HEAD.
    pub fn answer(&mut self) -> Answer {
        let mut answer = self.answer_to_head();
        let length = answer.field("content-length");
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        answer.body = String::from_utf8(self.take(length)).unwrap();
        answer
    }

    /// Takes an answer without its body.
    pub fn answer_to_head(&mut self) -> Answer {
        let head = self.head();
        let status = head.strip_prefix("HTTP/1.1 ").expect(&head)[..3].parse();
        Answer {
            status: status.unwrap(),
            head,
            body: String::new(),
        }
    }

    /// The other side says nothing more and closes.
    pub fn assert_closed(&mut self) {
        assert_eq!(self.rest(), "");
    }

    pub fn get(&mut self, target: &str) -> Answer {
        self.send(get(target, "")).answer()
    }

    /// Publishes one event.
    pub fn publish(&mut self, job: &str, json: &str) -> Answer {
        let target = format!("/api/jobs/{job}/events");
        self.send(post(&target, "application/json", json)).answer()
    }

    pub fn publish_lines(&mut self, target: &str, lines: &str) -> Answer {
        self.send(post(target, "application/x-ndjson", lines))
            .answer()
    }
}

/// A GET request; `fields` end with CR LF each.
pub fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

pub fn post(target: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}
