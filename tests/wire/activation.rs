//! Sockets that systemd gives, and what systemd is told.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

use rustix::net::RecvFlags;
use rustix::process::Signal;

use super::program::{Program, command, run_command};
use super::sse::EventStream;
use super::support::{Client, PATIENCE, get, post};

/// What systemd does: the sockets as descriptors 3 and 4, and variables that say so.
fn activated(first: &TcpListener, second: Option<OwnedFd>, names: &str) -> Command {
    let count = 1 + usize::from(second.is_some());
    let script = format!(
        "exec 3<&0 0</dev/null; [ {count} = 1 ] || exec 4<&2 2>/dev/null; \
         LISTEN_PID=$$ LISTEN_FDS={count} exec \"$0\" serve --memory-only \
         --listen=127.0.0.1:1 --publish=127.0.0.1:0 --ops=127.0.0.1:0 --drain-spread=20ms"
    );
    let mut shell = command(&[]);
    let binary = shell.get_program().to_owned();
    shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(binary);
    shell.env("LISTEN_FDNAMES", names);
    shell.stdin(Stdio::from(OwnedFd::from(first.try_clone().unwrap())));
    if let Some(second) = second {
        shell.stderr(Stdio::from(second));
    }
    shell
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn a_socket_without_a_name_is_the_public_one_and_those_who_came_before_the_start_are_served() {
    let (socket, address) = listener();
    let mut early = Client::connect(address);
    early.send(get("/api/jobs/none", ""));
    let program = Program::start(&mut activated(&socket, None, "landfall.socket"));
    assert_eq!(program.address("public"), address);
    assert_eq!(early.answer().status, 404);
    // The other listeners bind what they were told.
    let answer = program.client("publish").get("/openapi.json");
    assert_eq!(answer.status, 200);
}

#[test]
fn sockets_are_told_apart_by_their_names_and_a_unix_socket_keeps_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("publish.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let (socket, address) = listener();
    for _ in 0..2 {
        let second = OwnedFd::from(unix.try_clone().unwrap());
        let mut serve = activated(&socket, Some(second), "public:publish");
        let program = Program::start(&mut serve);
        assert_eq!(
            program.addresses["publish"],
            format!("unix:{}", path.display())
        );
        let mut stream = EventStream::open(program.client("public"), "/api/jobs/a/events", "");
        let mut worker = UnixStream::connect(&path).unwrap();
        let request = post(
            "/api/jobs/a/events",
            "application/json",
            r#"{"event":"progress"}"#,
        );
        worker.write_all(request.as_bytes()).unwrap();
        let mut status = [0; 12];
        worker.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 201");
        assert_eq!(stream.event().event, "progress");
        program.signal(Signal::TERM);
        stream.assert_ends();
        assert_eq!(program.wait(), Some(0));
        // Nobody serves, and nobody is refused.
        TcpStream::connect(address).unwrap();
        UnixStream::connect(&path).unwrap();
    }
}

#[test]
fn the_names_count_and_not_the_order() {
    let ((first, publish), (second, public)) = (listener(), listener());
    let second = OwnedFd::from(second);
    let program = Program::start(&mut activated(&first, Some(second), "publish:public"));
    assert_eq!(program.address("public"), public);
    assert_eq!(program.address("publish"), publish);
}

#[test]
fn sockets_that_it_cannot_use_are_an_error_that_says_what_would_be_right() {
    let (socket, _) = listener();
    let output = run_command(&mut activated(&socket, None, "ops"));
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("--ops"), "{message}");
    // What it says goes to the second socket, by which that was brought.
    for names in ["public:public", "public:web"] {
        let second = OwnedFd::from(listener().0);
        let output = run_command(&mut activated(&socket, Some(second), names));
        assert_eq!(output.status.code(), Some(1), "{names}");
    }
    let datagrams = OwnedFd::from(UnixDatagram::unbound().unwrap());
    let mut serve = activated(&socket, Some(datagrams), "public:publish");
    assert_eq!(run_command(&mut serve).status.code(), Some(1));
}

#[test]
fn systemds_own_tool_starts_it_at_the_first_connection() {
    // Another may have the port by then.
    let (address, mut tool) = (0..10)
        .find_map(|_| {
            let address = listener().1;
            Some((address, Tool::start(address)?))
        })
        .unwrap();
    let mut client = Client::connect(address);
    client.send(get("/api/jobs/none", ""));
    assert_eq!(client.answer().status, 404);
    let listens = format!("public http://{address}");
    let mut lines = BufReader::new(tool.0.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), listens);
}

struct Tool(Child);

impl Tool {
    /// None where another has the port.
    fn start(address: SocketAddr) -> Option<Tool> {
        let serve = command(&["serve", "--memory-only", "--publish=127.0.0.1:0"]);
        let mut child = Command::new("systemd-socket-activate")
            .args(["--fdname=public", "-l", &address.to_string()])
            .arg(serve.get_program())
            .args(serve.get_args())
            .arg("--ops=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = said.next().unwrap().unwrap();
        if !first.starts_with("Listening on") {
            eprintln!("{first}");
            child.wait().unwrap();
            return None;
        }
        // It goes on talking.
        std::thread::spawn(move || said.for_each(drop));
        Some(Tool(child))
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The socket that systemd is told things at.
pub struct Manager {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
}

impl Manager {
    pub fn new() -> Manager {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Manager { socket, directory }
    }

    pub fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("notify")
    }

    /// What it is told next.
    pub fn told(&self) -> String {
        let mut message = [0; 1024];
        let length = loop {
            match self.socket.recv(&mut message) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.unwrap(),
            }
        };
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// Whether it has been told something that it hasn't heard yet.
    pub fn has_news(&self) -> bool {
        let flags = RecvFlags::PEEK.union(RecvFlags::DONTWAIT);
        rustix::net::recv(&self.socket, &mut [0; 1], flags).is_ok()
    }

    /// What it is told next but that the server is alive.
    pub fn told_once(&self) -> String {
        loop {
            let told = self.told();
            if told != "WATCHDOG=1\n" {
                return told;
            }
        }
    }
}

fn free_ports() -> Command {
    command(&[
        "serve",
        "--memory-only",
        "--listen=127.0.0.1:0",
        "--publish=127.0.0.1:0",
        "--ops=127.0.0.1:0",
        "--drain-spread=20ms",
    ])
}

#[test]
fn systemd_is_told_when_it_is_ready_reads_its_keys_and_stops() {
    let manager = Manager::new();
    let program = Program::start(free_ports().env("NOTIFY_SOCKET", manager.path()));
    assert_eq!(manager.told(), "READY=1\n");
    program.signal(Signal::HUP);
    let told = manager.told();
    assert!(told.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{told}");
    assert_eq!(manager.told(), "READY=1\n");
    program.signal(Signal::TERM);
    assert_eq!(manager.told(), "STOPPING=1\n");
    assert_eq!(program.wait(), Some(0));
}

#[test]
fn the_watchdog_is_told_again_and_again_that_the_server_is_alive() {
    let manager = Manager::new();
    let mut serve = free_ports();
    serve
        .env("NOTIFY_SOCKET", manager.path())
        .env("WATCHDOG_USEC", "200000");
    let program = Program::start(&mut serve);
    assert_eq!(manager.told_once(), "READY=1\n");
    for _ in 0..3 {
        assert_eq!(manager.told(), "WATCHDOG=1\n");
    }
    program.signal(Signal::TERM);
    assert_eq!(manager.told_once(), "STOPPING=1\n");
}

#[test]
fn a_watchdog_that_looks_after_another_process_is_told_nothing() {
    let manager = Manager::new();
    let mut serve = free_ports();
    serve
        .env("NOTIFY_SOCKET", manager.path())
        .env("WATCHDOG_USEC", "1000")
        .env("WATCHDOG_PID", "1");
    let program = Program::start(&mut serve);
    assert_eq!(manager.told(), "READY=1\n");
    program.client("public").get("/api/jobs/none");
    program.signal(Signal::TERM);
    assert_eq!(manager.told(), "STOPPING=1\n");
}

#[test]
fn the_unit_files_are_right_in_systemds_eyes() {
    let directory = tempfile::tempdir().unwrap();
    let binary = command(&[]).get_program().to_str().unwrap().to_owned();
    let guide = format!("{}/src/docs/operating.md", env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(guide).unwrap();
    let mut files = Vec::new();
    for name in [
        "landfall.service",
        "landfall.socket",
        "landfall-publish.socket",
        "keys.conf",
        "devices.conf",
    ] {
        let kept = format!("{}/scripts/systemd/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(kept).unwrap();
        let is_shown = guide.contains(text.trim()) || name == "landfall.socket";
        assert!(is_shown, "the guide shows another {name}");
        // Where it is installed there is nothing here.
        let text = text.replace("/usr/bin/landfall", &binary);
        let is_unit = !name.ends_with(".conf");
        let file = directory.path().join(match is_unit {
            true => name.to_owned(),
            false => format!("landfall.service.d/{name}"),
        });
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        if is_unit {
            files.push(file);
        }
    }
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .args(&files)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_service_is_as_shut_in_as_systemd_asks_for() {
    let unit = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/scripts/systemd/landfall.service"
    );
    // In tenths.
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20", unit])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_service_may_put_its_stages_into_a_cage() {
    // On Debian 12 the set @system-service has none of these, and without them there is no cage.
    let unit = include_str!("../../scripts/systemd/landfall.service");
    let mut lines = unit.lines();
    let filter = lines.find_map(|line| line.strip_prefix("SystemCallFilter="));
    let calls: Vec<_> = filter.unwrap().split(' ').collect();
    for call in [
        "landlock_create_ruleset",
        "landlock_add_rule",
        "landlock_restrict_self",
        "seccomp",
    ] {
        assert!(calls.contains(&call), "{calls:?} has no {call}");
    }
}
