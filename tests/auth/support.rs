//! A server with keys, and a client that says exactly what it is told to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use landfall::{Address, Server, ServerConfig};
use landfall::{Claims, Key, Keys, Scope};
use tempfile::TempDir;

/// How long anything may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const TOKEN_KEY: &str = "token-key-0123456789abcdef0123456789";
pub const PUBLISH_KEY: &str = "publish-key-0123456789";
pub const EVENT: &str = r#"{"event":"progress","data":{"percent":30}}"#;

/// Files with keys, which go with the test.
pub struct KeyFiles(TempDir);

impl KeyFiles {
    pub fn new() -> KeyFiles {
        let files = KeyFiles(tempfile::tempdir().unwrap());
        files.write("token", TOKEN_KEY);
        files.write("publish", PUBLISH_KEY);
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(self.path(name), format!("{content}\n")).unwrap();
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.path(name), mode).unwrap();
        self.path(name)
    }
}

/// A server on free ports.
pub fn start(change: impl FnOnce(&mut ServerConfig)) -> Server {
    let local: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let mut config = ServerConfig::with(|config| {
        config.listen = Address::Tcp(local);
        config.publish = Address::Tcp(local);
        config.ops = local.to_string().parse().unwrap();
        config.drain = Duration::from_millis(100);
    });
    change(&mut config);
    Server::start(config).unwrap()
}

/// A server with a key for tokens.
pub fn start_with_tokens(files: &KeyFiles) -> Server {
    start(|config| config.auth.token_keys = vec![files.path("token")])
}

pub fn public(server: &Server) -> SocketAddr {
    tcp(server.public())
}

pub fn publish(server: &Server) -> SocketAddr {
    tcp(server.publish())
}

fn tcp(address: &Address) -> SocketAddr {
    address.tcp().expect("it was bound to TCP")
}

pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

pub fn scope(list: &[&str]) -> Scope {
    Scope::parse(list.iter().copied()).unwrap()
}

pub fn sign(claims: &Claims) -> String {
    let key = Key::from_bytes(TOKEN_KEY.as_bytes()).unwrap();
    claims.sign(&Keys::new(vec![key]).unwrap())
}

/// A token, good for a minute, to follow `jobs` and publish to `publish`.
pub fn token(jobs: &[&str], publish: &[&str]) -> String {
    sign(&Claims {
        exp: now() + 60,
        jobs: scope(jobs),
        publish: scope(publish),
        ..Claims::default()
    })
}

pub fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

pub fn cookie(token: &str) -> String {
    format!("Cookie: landfall_token={token}\r\n")
}

/// An answer, or the beginning of a stream.
pub struct Answer {
    stream: TcpStream,
    pub status: u16,
    pub head: String,
    received: Vec<u8>,
    /// When it must have ended: comments on an idle stream keep reads from timing out.
    deadline: Instant,
}

impl Answer {
    /// The value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Reads until `text` has come.
    pub fn wait_for(&mut self, text: &str) {
        while !self.text().contains(text) {
            assert!(self.read() > 0, "it ended with {:?}", self.text());
        }
    }

    /// Reads to the end.
    pub fn body(&mut self) -> String {
        match self
            .field("Content-Length")
            .map(|digits| digits.parse().unwrap())
        {
            Some(length) => while self.received.len() < length && self.read() > 0 {},
            None if self.status == 204 => {}
            None => while self.read() > 0 {},
        }
        if self.field("Transfer-Encoding") == Some("chunked") {
            return super::http::unchunked(&self.text());
        }
        self.text()
    }

    fn read(&mut self) -> usize {
        assert!(Instant::now() < self.deadline, "it goes on and on");
        let mut buffer = [0; 4096];
        let length = self.stream.read(&mut buffer).unwrap();
        self.received.extend_from_slice(&buffer[..length]);
        length
    }

    fn text(&self) -> String {
        String::from_utf8(self.received.clone()).unwrap()
    }
}

/// Sends a request, of which `fields` are all the header lines, and reads the answer's
/// head.
pub fn raw(address: SocketAddr, line: &str, fields: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("{line} HTTP/1.1\r\n{fields}\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Answer {
        stream,
        status: 0,
        head: String::new(),
        received: Vec::new(),
        deadline: Instant::now() + PATIENCE,
    };
    let end = loop {
        let found = answer
            .received
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        match found {
            Some(at) => break at + 4,
            None => assert!(answer.read() > 0, "no answer to {request}"),
        }
    };
    let body = answer.received.split_off(end);
    let head = std::mem::replace(&mut answer.received, body);
    answer.head = String::from_utf8(head).unwrap();
    answer.status = answer.head[9..12].parse().unwrap();
    answer
}

/// A request by the server's address, with `fields` besides.
pub fn get(address: SocketAddr, target: &str, fields: &str) -> Answer {
    let fields = format!("Host: {address}\r\n{fields}");
    raw(address, &format!("GET {target}"), &fields, "")
}

pub fn delete(address: SocketAddr, target: &str, fields: &str) -> Answer {
    let fields = format!("Host: {address}\r\n{fields}");
    raw(address, &format!("DELETE {target}"), &fields, "")
}

/// Publishes JSON, or lines of it where they say so.
pub fn post(address: SocketAddr, target: &str, fields: &str, body: &str) -> Answer {
    let kind = match target {
        "/api/events" => "application/x-ndjson",
        _ => "application/json",
    };
    let length = body.len();
    let fields =
        format!("Host: {address}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{fields}");
    raw(address, &format!("POST {target}"), &fields, body)
}
