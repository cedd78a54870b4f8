//! A Redis of a test's own, and what stands between it and a node.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::http::PATIENCE;

/// A `redis-server` that ends with its owner.
pub struct Redis {
    child: Child,
    pub address: SocketAddr,
    flags: Vec<String>,
    directory: tempfile::TempDir,
}

impl Redis {
    /// One that keeps nothing on disk.
    pub fn start(flags: &[&str]) -> Redis {
        let directory = tempfile::tempdir().unwrap();
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut port = free_port();
        loop {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            if let Some(child) = launch(address, &flags, &directory) {
                return Redis {
                    child,
                    address,
                    flags,
                    directory,
                };
            }
            // Another has taken the port meanwhile.
            port = free_port();
        }
    }

    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// What it answers to a command.
    pub fn ask(&self, words: &[&str]) -> String {
        ask(self.address, words).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it as a loss of power does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Takes some bytes off the end of what it has on disk: a loss of power.
    pub fn tear(&self, bytes: u64) {
        let files = std::fs::read_dir(self.directory.path().join("appendonlydir")).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        let is_log = |path: &std::path::PathBuf| path.to_string_lossy().contains(".incr.");
        let log = std::fs::OpenOptions::new()
            .write(true)
            .open(paths.find(is_log).unwrap())
            .unwrap();
        let length = log.metadata().unwrap().len();
        log.set_len(length - bytes).unwrap();
    }

    /// Where it keeps what it has on disk.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The same with other flags than before.
    pub fn start_again_with(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        self.start_again();
    }

    /// Starts it again where it was, with what it has on disk.
    pub fn start_again(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(child) = launch(self.address, &self.flags, &self.directory) {
                self.child = child;
                return;
            }
            assert!(Instant::now() < deadline);
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn launch(address: SocketAddr, flags: &[String], directory: &tempfile::TempDir) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--save", "", "--repl-diskless-sync-delay", "0", "--dir"])
        .arg(directory.path())
        .args(flags);
    begin(command, address)
}

/// Starts it. None where it ends at once: its port is another's.
fn begin(mut command: Command, address: SocketAddr) -> Option<Child> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server isn't installed");
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Ok(Some(_)) = child.try_wait() {
            return None;
        }
        let answer = ask(address, &["PING"]);
        if answer.is_ok_and(|answer| answer.starts_with("+PONG") || answer.starts_with("-NOAUTH")) {
            return Some(child);
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("redis-server says nothing");
}

/// A Sentinel that watches over a Redis, which it calls `main`.
pub struct Sentinel {
    child: Child,
    pub address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Sentinel {
    pub fn start(master: SocketAddr) -> Sentinel {
        let monitor = format!("sentinel monitor main {} {} 1", master.ip(), master.port());
        Sentinel::start_with(&[
            &monitor,
            "sentinel down-after-milliseconds main 1000",
            "sentinel failover-timeout main 5000",
        ])
    }

    /// One with these lines in its file.
    pub fn start_with(settings: &[&str]) -> Sentinel {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sentinel.conf");
        loop {
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
            let (ip, port) = (address.ip(), address.port());
            let settings = settings.join("\n");
            let lines = format!("bind {ip}\nport {port}\n{settings}\n");
            std::fs::write(&file, lines).unwrap();
            let mut command = Command::new("redis-server");
            command.arg(&file).arg("--sentinel");
            command.arg("--dir").arg(directory.path());
            if let Some(child) = begin(command, address) {
                return Sentinel {
                    child,
                    address,
                    _directory: directory,
                };
            }
        }
    }

    /// What it answers to a command.
    pub fn ask(&self, words: &[&str]) -> String {
        ask(self.address, words).unwrap()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a Redis answers, as it stands on the wire, as far as the first line goes.
fn ask(address: SocketAddr, words: &[&str]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command += &format!("${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(command.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// Passes on what goes to a Redis, and cuts connections after some bytes.
pub struct Proxy {
    pub address: SocketAddr,
    pub cuts: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Proxy {
    /// Cuts each connection after `budget` bytes, as that says for the next; none is never.
    pub fn start(
        redis: SocketAddr,
        mut budget: impl FnMut() -> Option<usize> + Send + 'static,
    ) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, is_over) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (counted, over) = (cuts.clone(), is_over.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(redis)) else {
                    continue;
                };
                let limit = budget();
                let (there, back) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let counted = counted.clone();
                thread::spawn(move || pass(client, server, limit, Some(&counted)));
                thread::spawn(move || pass(back, there, None, None));
            }
        });
        Proxy {
            address,
            cuts,
            is_over,
        }
    }

    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
    }
}

/// Leads to one server or another.
pub struct Switch(SocketAddr);

impl Switch {
    /// Connections go where `target` says when they are made.
    pub fn start(target: Arc<Mutex<SocketAddr>>) -> Switch {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let place = *target.lock().unwrap();
                let Ok(server) = TcpStream::connect(place) else {
                    continue;
                };
                let (there, back) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || pass(client, server, None, None));
                thread::spawn(move || pass(back, there, None, None));
            }
        });
        Switch(address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0
    }

    pub fn url(&self) -> String {
        format!("redis://{}/0", self.0)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, limit: Option<usize>, cuts: Option<&AtomicUsize>) {
    let (mut piece, mut left) = ([0; 4096], limit);
    while let Ok(length) = from.read(&mut piece) {
        let whole = left.is_none_or(|left| length < left);
        let taken = if whole { length } else { left.unwrap_or(0) };
        left = left.map(|left| left.saturating_sub(length));
        if length == 0 || to.write_all(&piece[..taken]).is_err() {
            break;
        }
        if !whole {
            if let Some(cuts) = cuts {
                cuts.fetch_add(1, Ordering::AcqRel);
            }
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
