//! Every client that the guide names, over every way to the server: none gets a frame late.
//!
//! A frame is published only when every client has the one before, and heartbeats are far
//! apart. So what holds frames back until others have filled its buffer never delivers, however
//! slow or fast the machine is. How long each took is printed.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::binary::Binary;
use super::http::{PATIENCE, publish};
use super::proxy::{Kind, Proxy, free_port};
use super::{JOB, progress, wait_for_streams};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
/// The programs that follow a stream, and the clients that each of them has.
const CLIENTS: [(Program, &str); 15] = [
    (Program::Curl, "curl"),
    (Program::Python, "requests"),
    (Program::Python, "sseclient-py"),
    (Program::Python, "requests-sse"),
    (Program::Python, "httpx-sse"),
    (Program::Python, "aiohttp"),
    (Program::Node, "fetch"),
    (Program::Node, "undici fetch"),
    (Program::Node, "undici request"),
    (Program::Node, "eventsource"),
    (Program::Chromium, "EventSource"),
    (Program::Chromium, "landfall.js"),
    (Program::Go, "bufio"),
    (Program::Rust, "reqwest"),
    (Program::Rust, "eventsource-client"),
];
const FRAMES: u32 = 6;
/// Where a client has had none of those as quick as it wants: the machine may be at something else.
const FRAMES_MOST: u32 = 100;
/// A frame is published so often at most.
const PAUSE: Duration = Duration::from_millis(500);
/// A client has one in less: whatever else the machine does, the quickest. What is held back for
/// a time, as by HAProxy without http-no-delay, has none so quick.
const WANTED: Duration = Duration::from_millis(100);

/// All clients of two of these tests at once would be too many for a small machine.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn every_client_gets_each_frame_when_it_is_sent() {
    each_frame_arrives(|server| (None, server.port()));
}

#[test]
fn every_client_gets_each_frame_when_it_is_sent_through_nginx() {
    each_frame_arrives(|server| {
        let port = free_port();
        let plain = format!("listen 127.0.0.1:{port};");
        let more = [("server_name progress.example;", plain.as_str())];
        (Some(Proxy::with(Kind::Nginx, server, &more)), port)
    });
}

#[test]
fn every_client_gets_each_frame_when_it_is_sent_through_nginx_by_http_1_0() {
    each_frame_arrives(|server| {
        let port = free_port();
        let plain = format!("listen 127.0.0.1:{port};");
        // Its own default, where nothing is said.
        let silent = "  }\n  location /api/ {\n    proxy_pass http://127.0.0.1:8080;";
        let more = [
            ("server_name progress.example;", plain.as_str()),
            ("proxy_set_header Connection \"\";", silent),
        ];
        (Some(Proxy::with(Kind::Nginx, server, &more)), port)
    });
}

#[test]
fn every_client_gets_each_frame_when_it_is_sent_through_caddy() {
    each_frame_arrives(|server| {
        let port = free_port();
        let plain = format!("}}\nhttp://127.0.0.1:{port} {{\n\treverse_proxy 127.0.0.1:8080");
        let more = [("\treverse_proxy 127.0.0.1:8080", plain.as_str())];
        (Some(Proxy::with(Kind::Caddy, server, &more)), port)
    });
}

#[test]
fn every_client_gets_each_frame_when_it_is_sent_through_haproxy() {
    each_frame_arrives(|server| {
        let port = free_port();
        let plain = format!("frontend plain\n  bind 127.0.0.1:{port}\n  default_backend landfall");
        let more = [("  default_backend landfall", plain.as_str())];
        (Some(Proxy::with(Kind::HaProxy, server, &more)), port)
    });
}

fn each_frame_arrives(proxied: impl FnOnce(SocketAddr) -> (Option<Proxy>, u16)) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // A heartbeat would push out what a buffer holds.
    let server = Binary::serve(&["--heartbeat", "10m", "--retry", "10m"]);
    let (_proxy, port) = proxied(server.public);
    let mut clients = CLIENTS.map(|(program, name)| Client::start(program, name, port));
    wait_for_streams(&server, CLIENTS.len() as u32);
    for percent in 1..=FRAMES_MOST {
        if percent > FRAMES && clients.iter().all(Client::had_a_quick_one) {
            break;
        }
        let sent = Instant::now();
        let id = progress(&server, percent);
        for client in &mut clients {
            client.take(id, sent);
        }
        thread::sleep(PAUSE.saturating_sub(sent.elapsed()));
    }
    publish(server.publish, JOB, "done", "{}");
    for client in &mut clients {
        client.took.sort();
        let median = client.took[client.took.len() / 2];
        println!(
            "{}: {median:?} at the median, {:?}",
            client.name, client.took
        );
        assert!(
            client.had_a_quick_one(),
            "{}: {:?}",
            client.name,
            client.took
        );
    }
}

#[derive(Clone, Copy)]
enum Program {
    Curl,
    Python,
    Node,
    Chromium,
    Go,
    Rust,
}

impl Program {
    fn command(self, client: &str, url: &str) -> Command {
        let script = |program: &Path, name: &str| {
            let mut command = Command::new(program);
            command.arg(format!("{HERE}/{name}")).args([client, url]);
            command
        };
        match self {
            Program::Curl => {
                let mut command = Command::new("curl");
                command.args(["-sSN", url]);
                command
            }
            Program::Python => script(&made("clients-venv/bin/python"), "follow.py"),
            Program::Node => script(Path::new("node"), "follow.mjs"),
            Program::Chromium => script(Path::new("node"), "chromium.mjs"),
            Program::Go => {
                let mut command = Command::new(made("clients-go/follow"));
                command.arg(url);
                command
            }
            Program::Rust => {
                let mut command = Command::new(made("clients-rust/debug/landfall-clients"));
                command.args([client, url]);
                command
            }
        }
    }
}

/// What scripts/test makes in the target directory.
fn made(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name(name);
    assert!(path.exists(), "{path:?}: run scripts/test");
    path
}

/// A client that runs, until it is dropped.
struct Client {
    program: Program,
    name: &'static str,
    child: Child,
    /// The ids that came, and when.
    ids: Receiver<(u64, Instant)>,
    took: Vec<Duration>,
}

impl Client {
    fn start(program: Program, name: &'static str, port: u16) -> Client {
        let url = format!("http://127.0.0.1:{port}/api/jobs/{JOB}/events");
        let mut child = program
            .command(name, &url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}: run scripts/test"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, ids) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let id = line.strip_prefix("id: ").unwrap_or(&line);
                if let Ok(id) = id.trim().parse() {
                    let _ = sender.send((id, Instant::now()));
                }
            }
        });
        Client {
            program,
            name,
            child,
            ids,
            took: Vec::new(),
        }
    }

    fn had_a_quick_one(&self) -> bool {
        self.took.iter().any(|took| *took < WANTED)
    }

    /// Waits for the event, which was sent then.
    fn take(&mut self, id: u64, sent: Instant) {
        let came = self.ids.recv_timeout(PATIENCE);
        let (came, at) = came.unwrap_or_else(|_| panic!("{} holds {id} back", self.name));
        assert_eq!(came, id, "{}", self.name);
        self.took.push(at - sent);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A browser has processes of its own, and ends them when its input ends.
        drop(self.child.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(10);
        while matches!(self.program, Program::Chromium)
            && Instant::now() < deadline
            && let Ok(None) = self.child.try_wait()
        {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
