//! A deploy: a new server takes the old one's place at SIGUSR2.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::activation::Manager;
use super::program::{Program, command};
use super::sse::EventStream;
use super::support::{Client, PATIENCE, get, post, wait_until};

/// Where the program is installed, for a test that installs others.
struct Installed {
    directory: tempfile::TempDir,
}

impl Installed {
    fn new() -> Installed {
        let directory = tempfile::tempdir().unwrap();
        let installed = Installed { directory };
        installed.install_binary();
        installed
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("landfall")
    }

    fn install(&self, make: impl FnOnce(&Path)) {
        let new = self.directory.path().join("landfall.new");
        make(&new);
        std::fs::rename(new, self.path()).unwrap();
    }

    /// A release is a link: the file itself would be open for writing in whatever another
    /// test forks meanwhile, and couldn't be run.
    fn install_binary(&self) {
        let binary = command(&[]).get_program().to_owned();
        self.install(|new| std::os::unix::fs::symlink(binary, new).unwrap());
    }

    fn install_script(&self, script: &str) {
        let script = format!("#!/bin/sh\n{script}\n");
        self.install(|new| {
            let write = r#"printf %s "$1" >"$0" && chmod +x "$0""#;
            let mut shell = Command::new("sh");
            shell.args(["-c", write]).arg(new).arg(&script);
            assert!(shell.status().unwrap().success());
        });
    }

    fn serve(&self, manager: &Manager, flags: &[&str]) -> Program {
        let program = command(&[]);
        let mut serve = Command::new(self.path());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => serve.env(name, value),
                None => serve.env_remove(name),
            };
        }
        serve
            .args(["serve", "--listen=127.0.0.1:0"])
            .args(["--publish=127.0.0.1:0", "--ops=127.0.0.1:0"])
            .args(["--drain-spread=200ms"])
            .args(flags)
            .env("LANDFALL_DATA", self.directory.path().join("data"))
            .env("NOTIFY_SOCKET", manager.path());
        let program = Program::start(&mut serve);
        assert_eq!(manager.told(), "READY=1\n");
        program
    }
}

/// A server that wasn't started here; it ends with the test.
struct Process(Pid);

impl Process {
    fn signal(&self, signal: Signal) {
        kill_process(self.0, signal).unwrap();
    }

    fn wait(&self) {
        wait_until("the process has ended", || has_ended(self.0));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !has_ended(self.0) {
            let _ = kill_process(self.0, Signal::KILL);
        }
    }
}

/// Whether a process is gone, or waits for whoever is to hear of its end.
fn has_ended(id: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero()));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

/// What the manager is told of a handover that succeeds: the new main process, and that it
/// is ready.
fn successor(manager: &Manager) -> Process {
    let told = manager.told();
    let id = told.strip_prefix("MAINPID=").expect(&told).trim();
    let process = Process(Pid::from_raw(id.parse().unwrap()).unwrap());
    assert_eq!(manager.told(), "READY=1\n");
    process
}

/// Clients that connect again and again, until they are stopped.
struct Visitors {
    is_over: Arc<AtomicBool>,
    visits: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Visitors {
    fn begin(public: SocketAddr, publish: SocketAddr) -> Visitors {
        let (is_over, visits) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let snapshot = get("/api/jobs/none", "Connection: close\r\n");
        let stream = get("/api/jobs/b/events", "");
        let event = r#"{"event":"progress"}"#;
        let event = post("/api/jobs/a/events", "application/json", event)
            .replace("Host: h", "Host: h\r\nConnection: close");
        let threads = [
            (public, snapshot, "HTTP/1.1 404"),
            (public, stream, "HTTP/1.1 200"),
            (publish, event, "HTTP/1.1 201"),
        ]
        .map(|(address, request, status)| {
            let (is_over, visits) = (is_over.clone(), visits.clone());
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Acquire) {
                    visit(address, &request, status);
                    visits.fetch_add(1, Ordering::AcqRel);
                }
            })
        });
        Visitors {
            is_over,
            visits,
            threads: threads.into(),
        }
    }

    /// Blocks until there have been many visits more.
    fn go_on(&self) {
        let before = self.visits.load(Ordering::Acquire);
        wait_until("visitors come and go", || {
            let is_broken = self.threads.iter().any(JoinHandle::is_finished);
            is_broken || self.visits.load(Ordering::Acquire) > before + 100
        });
    }

    fn end(self) -> usize {
        self.is_over.store(true, Ordering::Release);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.visits.load(Ordering::Acquire)
    }
}

/// One visit: any refusal or reset fails it.
fn visit(address: SocketAddr, request: &str, status: &str) {
    let mut socket = TcpStream::connect(address).expect("nobody is refused");
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
        .write_all(request.as_bytes())
        .expect("nobody is reset");
    let mut answer = vec![0; status.len()];
    socket
        .read_exact(&mut answer)
        .expect("everybody is answered");
    assert_eq!(String::from_utf8_lossy(&answer), status);
}

#[test]
fn a_deploy_refuses_and_resets_no_connection() {
    let manager = Manager::new();
    let installed = Installed::new();
    let old = installed.serve(&manager, &["--memory-only"]);
    let (public, publish) = (old.address("public"), old.address("publish"));
    let ops = old.address("ops");
    let visitors = Visitors::begin(public, publish);
    visitors.go_on();
    let mut place = Process(Pid::from_raw(old.id() as i32).unwrap());
    for _ in 0..3 {
        let mut stream = EventStream::open(Client::connect(public), "/api/jobs/a/events", "");
        stream.event();
        installed.install_binary();
        place.signal(Signal::USR2);
        let new = successor(&manager);
        visitors.go_on();
        stream.rest();
        assert_eq!(stream.retries().len(), 2, "the old one said goodbye");
        place.wait();
        visitors.go_on();
        // A connection for monitoring may have come to the old one, and ended with it.
        wait_until("monitoring finds it ready", || is_ready(ops));
        place = new;
    }
    let visits = visitors.end();
    println!("{visits} visits");
    place.signal(Signal::TERM);
    assert_eq!(manager.told(), "STOPPING=1\n");
    wait_until("nobody listens any more", || {
        TcpStream::connect(public).is_err()
    });
}

#[test]
fn a_deploy_takes_the_socket_of_monitoring_along() {
    let manager = Manager::new();
    let installed = Installed::new();
    let path = installed.directory.path().join("ops");
    let ops = format!("--ops=unix:{}", path.display());
    let old = installed.serve(&manager, &["--memory-only", &ops]);
    let mut place = Process(Pid::from_raw(old.id() as i32).unwrap());
    for _ in 0..2 {
        installed.install_binary();
        place.signal(Signal::USR2);
        let new = successor(&manager);
        // One that has come to the old one may have ended with it.
        wait_until("monitoring finds it ready", || {
            super::ops::ask(&path, &get("/readyz", "")).starts_with("HTTP/1.1 200 ")
        });
        place.wait();
        let answer = super::ops::ask(&path, &get("/readyz", ""));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        place = new;
    }
    place.signal(Signal::TERM);
    wait_until("its socket is gone", || !path.exists());
}

fn is_ready(ops: SocketAddr) -> bool {
    let Ok(mut socket) = TcpStream::connect(ops) else {
        return false;
    };
    let mut status = [0; 12];
    socket.write_all(get("/readyz", "").as_bytes()).is_ok()
        && socket.read_exact(&mut status).is_ok()
        && &status == b"HTTP/1.1 200"
}

#[test]
fn a_new_server_that_fails_or_hangs_leaves_the_old_one_in_its_place() {
    let manager = Manager::new();
    let installed = Installed::new();
    let old = installed.serve(&manager, &["--memory-only", "--handover-timeout", "4s"]);
    let mut stream = EventStream::open(old.client("public"), "/api/jobs/a/events", "");
    stream.wait_for_retries(1);
    let children = format!("/proc/{0}/task/{0}/children", old.id());
    let scripts = ["exit 3", "exec sleep 60", "echo nonsense >&0"];
    for (number, script) in scripts.into_iter().enumerate() {
        let log = installed.directory.path().join(format!("log{number}"));
        installed.install_script(&format!("echo run >> {}; {script}", log.display()));
        wait_until("it is run", || {
            old.signal(Signal::USR2);
            log.exists()
        });
        wait_until("it has ended", || {
            std::fs::read_to_string(&children).unwrap().is_empty()
        });
        let answer = old
            .client("publish")
            .publish("a", r#"{"event":"progress"}"#);
        assert_eq!(answer.status, 201);
        stream.event();
    }
    std::fs::remove_file(installed.path()).unwrap();
    old.signal(Signal::USR2);
    installed.install_binary();
    wait_until("a new server that is right takes the place", || {
        old.signal(Signal::USR2);
        manager.has_news()
    });
    let new = successor(&manager);
    stream.assert_ends();
    assert_eq!(old.wait(), Some(0));
    new.signal(Signal::TERM);
}

#[test]
fn a_server_that_is_told_to_stop_calls_its_successor_off() {
    let manager = Manager::new();
    let installed = Installed::new();
    let old = installed.serve(&manager, &["--memory-only"]);
    let log = installed.directory.path().join("log");
    installed.install_script(&format!("echo $$ > {}; exec sleep 60", log.display()));
    old.signal(Signal::USR2);
    wait_until("it was run", || {
        std::fs::read_to_string(&log).is_ok_and(|id| id.ends_with('\n'))
    });
    let id = std::fs::read_to_string(&log).unwrap();
    old.signal(Signal::TERM);
    assert_eq!(old.wait(), Some(0));
    assert_eq!(manager.told(), "STOPPING=1\n");
    assert!(!Path::new(&format!("/proc/{}", id.trim())).exists());
}

#[test]
fn the_file_of_a_unix_socket_survives_a_deploy_and_goes_with_the_last() {
    let manager = Manager::new();
    let installed = Installed::new();
    let path = installed.directory.path().join("publish.sock");
    let publish = format!("--publish=unix:{}", path.display());
    let old = installed.serve(&manager, &["--memory-only", &publish]);
    old.signal(Signal::USR2);
    let new = successor(&manager);
    assert_eq!(old.wait(), Some(0));
    let mut worker = std::os::unix::net::UnixStream::connect(&path).unwrap();
    worker
        .write_all(get("/api/jobs/none", "").as_bytes())
        .unwrap();
    let mut status = [0; 12];
    worker.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 404");
    new.signal(Signal::TERM);
    wait_until("the file is gone", || !path.exists());
}

/// Publishes again and again, on a connection of its own each time, until it is stopped.
/// Returns the ids that were answered.
fn publish_on(address: SocketAddr, is_over: &AtomicBool) -> Vec<u64> {
    let mut ids = Vec::new();
    while !is_over.load(Ordering::Acquire) {
        let answer = Client::connect(address).publish("a", r#"{"event":"progress"}"#);
        assert_eq!(answer.status, 201, "{}", answer.body);
        ids.push(answer.json()["id"].as_u64().unwrap());
    }
    ids
}

#[test]
fn a_deploy_with_a_data_directory_refuses_nobody_and_loses_and_repeats_nothing() {
    let manager = Manager::new();
    let installed = Installed::new();
    let old = installed.serve(&manager, &["--ring-events=100000", "--ring-bytes=64MiB"]);
    let (public, publish) = (old.address("public"), old.address("publish"));
    let is_over = Arc::<AtomicBool>::default();
    let publisher = {
        let is_over = is_over.clone();
        std::thread::spawn(move || publish_on(publish, &is_over))
    };
    let visitors = Visitors::begin(public, publish);
    let mut seen = Vec::new();
    let mut place = Process(Pid::from_raw(old.id() as i32).unwrap());
    for _ in 0..2 {
        visitors.go_on();
        let last = seen.last().copied().unwrap_or(0);
        let fields = format!("Last-Event-ID: {last}\r\n");
        let target = "/api/jobs/a/events";
        let mut stream = EventStream::open(Client::connect(public), target, &fields);
        place.signal(Signal::USR2);
        let new = successor(&manager);
        visitors.go_on();
        seen.extend(stream.rest().iter().map(|frame| frame.id));
        assert_eq!(stream.retries().len(), 2, "the old one said goodbye");
        place.wait();
        place = new;
    }
    visitors.end();
    is_over.store(true, Ordering::Release);
    let answered = publisher.join().unwrap();
    let fields = format!("Last-Event-ID: {}\r\n", seen.last().unwrap());
    let mut stream = EventStream::open(Client::connect(public), "/api/jobs/a/events", &fields);
    let last = *answered.last().unwrap();
    while *seen.last().unwrap() < last {
        let frame = stream.event();
        assert_eq!(frame.event, "progress");
        seen.push(frame.id);
    }
    assert!(
        seen.iter().copied().eq(1..=*seen.last().unwrap()),
        "each once, in order"
    );
    assert!(answered.is_sorted());
}

#[test]
fn a_new_server_that_fails_when_it_has_the_data_directory_has_the_old_program_begin_anew() {
    let manager = Manager::new();
    let installed = Installed::new();
    let old = installed.serve(&manager, &[]);
    let (public, publish) = (old.address("public"), old.address("publish"));
    let visitors = Visitors::begin(public, publish);
    visitors.go_on();
    let first = old
        .client("publish")
        .publish("a", r#"{"event":"progress"}"#);
    installed.install_script("echo release >&0; sleep 0.2; exit 1");
    old.signal(Signal::USR2);
    assert_eq!(manager.told(), "READY=1\n", "the same process again");
    visitors.go_on();
    let second = old
        .client("publish")
        .publish("a", r#"{"event":"progress"}"#);
    let id = |answer: &super::support::Answer| answer.json()["id"].as_u64().unwrap();
    assert!(id(&second) > id(&first), "it has its data");
    visitors.end();
    old.signal(Signal::TERM);
    assert_eq!(manager.told(), "STOPPING=1\n");
    assert_eq!(old.wait(), Some(0));
}

#[test]
fn a_command_that_has_longer_to_end_than_the_drain_is_no_other_servers_beside_it() {
    let manager = Manager::new();
    let installed = Installed::new();
    let notes = tempfile::tempdir().unwrap();
    let pids = notes.path().join("pids");
    let (config, place) = (notes.path().join("landfall.toml"), notes.path().display());
    let script = format!("trap '' TERM; echo $$ >>{place}/pids; while :; do sleep 0.1; done");
    let stage = format!(
        "[[stage]]\nname = 'stubborn'\nrun = ['sh', '-c', \"{script}\"]\ngrace = '60s'\n\
         write = ['{place}']\n"
    );
    std::fs::write(&config, stage).unwrap();
    let config = format!("--config={}", config.display());
    let old = installed.serve(&manager, &["--drain=1s", &config]);
    let mut upload = old.client("public");
    upload.send("POST /api/uploads?job=a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(upload.answer().status, 201);
    let begun = || -> Vec<i32> {
        let pids = std::fs::read_to_string(&pids).unwrap_or_default();
        pids.lines().map(|pid| pid.parse().unwrap()).collect()
    };
    wait_until("the stage has begun", || begun().len() == 1);
    let first = Pid::from_raw(begun()[0]).unwrap();
    let begin = Instant::now();
    old.signal(Signal::USR2);
    let new = successor(&manager);
    assert!(
        begin.elapsed() < Duration::from_secs(45),
        "{:?}",
        begin.elapsed()
    );
    wait_until("the stage has begun anew", || begun().len() == 2);
    assert!(has_ended(first), "two of them were at one upload");
    assert_eq!(old.wait(), Some(0));
    let begin = Instant::now();
    new.signal(Signal::TERM);
    new.wait();
    assert!(
        begin.elapsed() < Duration::from_secs(45),
        "{:?}",
        begin.elapsed()
    );
    assert!(has_ended(Pid::from_raw(begun()[1]).unwrap()));
}
