//! A whole connection: whatever is sent, what comes back is well-formed HTTP, nothing
//! follows a close, and the server serves on.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use landfall::internals::http::{Decoder, Head, HeadLimits, Method};
use landfall::{Address, After, Event, Owner, Server, ServerConfig};
use tempfile::TempDir;

/// Long enough for anything but a hang.
const PATIENCE: Duration = Duration::from_secs(30);
/// The key of the servers that want tokens.
const TOKEN_KEY: &str = "0123456789abcdef0123456789abcdef";
/// What the second half of a request waits for the first to have been read.
const BETWEEN_HALVES: Duration = Duration::from_millis(1);

/// An open server, one that wants tokens, and one that takes uploads.
pub struct Servers {
    open: Running,
    keyed: Running,
    taking: Running,
}

struct Running {
    server: Server,
    directory: TempDir,
}

impl Servers {
    pub fn start() -> Servers {
        Servers {
            open: Running::start(false, false),
            keyed: Running::start(true, false),
            taking: Running::start(false, true),
        }
    }

    /// The input's first byte says where it goes, and whether in halves; the rest is what a
    /// client sends before it half-closes.
    pub fn check(&self, input: &[u8]) {
        let Some((&first, sent)) = input.split_first() else {
            return;
        };
        let running = match (first & 8, first & 1) {
            (0, 0) => &self.open,
            (0, _) => &self.keyed,
            _ => &self.taking,
        };
        let listener = match first & 2 {
            0 => "public",
            _ => "publish",
        };
        running.begin();
        let half = match first & 4 {
            0 => sent.len(),
            _ => sent.len() / 2,
        };
        let received = running.converse(listener, &sent[..half], &sent[half..]);
        judge(sent, &received);
        assert_eq!(
            landfall::internals::hub(running.server.jobs())
                .metrics()
                .panics
                .get(),
            0
        );
        running.serves_on();
    }
}

impl Running {
    fn start(wants_tokens: bool, takes_uploads: bool) -> Running {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let mut config = ServerConfig::with(|config| {
            config.listen = Address::Unix(path("public"));
            config.publish = Address::Unix(path("publish"));
            config.ops = "127.0.0.1:0".parse().unwrap();
            config.shards = 1;
            config.body_bytes = 4096;
            config.drain = Duration::from_millis(100);
        });
        config.hub.event_bytes = 1024;
        config.connection.head = LIMITS;
        config.auth.cors_origins = vec!["https://app.example".parse().unwrap()];
        if wants_tokens {
            std::fs::write(path("key"), TOKEN_KEY).unwrap();
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(path("key"), mode).unwrap();
            config.auth.token_keys = vec![path("key")];
        }
        if takes_uploads {
            config.data = Some(path("data"));
            config.downloads = true;
            config.spool.upload_bytes = 2048;
            config.spool.starts_a_minute = usize::MAX;
            std::fs::write(path("plan"), "[[stage]]\nname = 'storing'\n").unwrap();
            config.pipeline.file = Some(path("plan"));
        }
        let server = Server::start(config).unwrap();
        Running { server, directory }
    }

    /// Makes the jobs what they were at the start: one that runs, and one that has ended.
    fn begin(&self) {
        let jobs = self.server.jobs();
        for snapshot in jobs.snapshots() {
            let _ = jobs.delete(&snapshot.job, None);
        }
        let publish = |job: &str, event| {
            let job = job.parse().unwrap();
            let _ = jobs.begin(&job, Owner::Worker, After::Running);
            jobs.publish(&job, event).unwrap();
        };
        publish("a", Event::progress("scanning", 30.0).unwrap());
        publish("z", Event::done());
    }

    fn converse(&self, listener: &str, front: &[u8], back: &[u8]) -> Vec<u8> {
        let mut socket = connect(&self.directory.path().join(listener));
        // A server that has answered and closed takes no more: that is its right.
        let _ = socket.write_all(front);
        if !back.is_empty() {
            std::thread::sleep(BETWEEN_HALVES);
            let _ = socket.write_all(back);
        }
        let _ = socket.shutdown(Shutdown::Write);
        let mut received = Vec::new();
        match socket.read_to_end(&mut received) {
            Ok(_) => {}
            // What was sent and not read by a server that closed resets the connection.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}, after {:?}", String::from_utf8_lossy(&received)),
        }
        received
    }

    fn serves_on(&self) {
        let request = b"GET /api/jobs/z HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        let received = self.converse("publish", request, b"");
        let received = String::from_utf8_lossy(&received);
        let was_served = ["HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"]
            .iter()
            .any(|line| received.starts_with(line));
        assert!(was_served, "{received:?}");
    }
}

const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 1024,
    target_bytes: 512,
};

fn connect(path: &Path) -> UnixStream {
    let socket = UnixStream::connect(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The methods of the requests that stand in what was sent, as far as they are whole.
fn requests(mut sent: &[u8]) -> Vec<Method> {
    let mut methods = Vec::new();
    while let Ok(Some((head, length))) = Head::parse(sent, LIMITS) {
        methods.push(head.method);
        sent = &sent[length..];
        let mut decoder = Decoder::new(head.length);
        while !decoder.is_done() {
            match decoder.decode(sent) {
                Ok((used, _)) if used > 0 => sent = &sent[used..],
                _ => return methods,
            }
        }
    }
    methods
}

/// Holds what came back against what was sent.
fn judge(sent: &[u8], received: &[u8]) {
    let methods = requests(sent);
    let mut asked = methods.iter();
    let mut rest = received;
    while !rest.is_empty() {
        let answer = Answer::read(&mut rest);
        if answer.status == 100 {
            continue;
        }
        // One more than was asked for is the refusal of what follows.
        let method = asked.next();
        assert!(
            method.is_some() || (answer.closes && answer.status >= 400),
            "{answer:?}"
        );
        if answer.is_stream {
            let body = match answer.is_chunked {
                true => super::chunks::read(rest),
                false => rest.to_vec(),
            };
            let events = super::sse::read(&body);
            assert!(events.iter().all(|event| event.data.starts_with('{')));
            assert!(answer.closes);
            return;
        }
        if method != Some(&Method::Head) {
            let (body, next) = rest.split_at_checked(answer.length).expect("a cut body");
            rest = next;
            if answer.is_json {
                let json: Result<&serde_json::value::RawValue, _> = serde_json::from_slice(body);
                json.unwrap_or_else(|error| panic!("{error}: {body:?}"));
            }
        }
        if answer.closes {
            assert!(rest.is_empty(), "more after a close: {answer:?}, {rest:?}");
            return;
        }
    }
    // A stream whose client has half-closed ends, at times before it has begun.
    let may_be_stream = asked.clone().next() == Some(&Method::Get);
    assert!(asked.next().is_none() || may_be_stream, "not answered");
}

#[derive(Debug)]
struct Answer {
    status: u16,
    length: usize,
    closes: bool,
    is_stream: bool,
    is_chunked: bool,
    is_json: bool,
}

impl Answer {
    /// Takes a head.
    fn read(rest: &mut &[u8]) -> Answer {
        let end = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(rest)));
        let head = std::str::from_utf8(&rest[..end]).expect("a head that is no text");
        *rest = &rest[end + 4..];
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap();
        let status = line.strip_prefix("HTTP/1.1 ").expect(head);
        let (status, reason) = status.split_once(' ').expect(head);
        assert!(status.len() == 3 && !reason.is_empty(), "{head}");
        let mut answer = Answer {
            status: status.parse().expect(head),
            length: 0,
            closes: false,
            is_stream: false,
            is_chunked: false,
            is_json: false,
        };
        let mut names = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(": ").expect(head);
            assert!(
                !line.contains(['\r', '\n', '\0']) && !value.is_empty(),
                "{head}"
            );
            let name = name.to_ascii_lowercase();
            match (&*name, value) {
                ("content-length", digits) => answer.length = digits.parse().expect(head),
                ("connection", value) => answer.closes = value == "close",
                ("content-type", "text/event-stream") => answer.is_stream = true,
                ("content-type", "application/json") => answer.is_json = true,
                ("transfer-encoding", value) => answer.is_chunked = value == "chunked",
                _ => {}
            }
            names.push(name);
        }
        let has = |name: &str| names.iter().filter(|other| *other == name).count();
        let is_coded = has("transfer-encoding") > 0;
        assert!(!is_coded || answer.is_chunked && answer.is_stream, "{head}");
        let needs_length = answer.status >= 200 && answer.status != 204 && !answer.is_stream;
        assert_eq!(has("content-length"), usize::from(needs_length), "{head}");
        assert_eq!(
            has("connection"),
            usize::from(answer.status >= 200),
            "{head}"
        );
        answer
    }
}
