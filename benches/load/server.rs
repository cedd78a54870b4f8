//! A server under test: its own process, stopped by its pid whatever happens.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{Context, Result, fail};
use crate::procfs;

const START_LIMIT: Duration = Duration::from_secs(10);
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Servers that run now, for a signal to stop.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A running server and where it listens.
pub struct Server {
    child: Child,
    pub public: SocketAddr,
    pub publish: SocketAddr,
    /// Whatever must outlive the process, such as its directory.
    _keep: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts a server that prints `public URL`, `publish URL` and `ready`.
    pub fn announced(command: &mut Command) -> Result<Self> {
        Server::announced_on(command, Stdio::null())
    }

    /// The same, with something as its standard input.
    pub fn announced_on(command: &mut Command, stdin: Stdio) -> Result<Self> {
        command.stdin(stdin).stdout(Stdio::piped());
        let mut child = spawn(command)?;
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut server = Server {
            child,
            public: ([127, 0, 0, 1], 0).into(),
            publish: ([127, 0, 0, 1], 0).into(),
            _keep: None,
        };
        let mut lines = BufReader::new(stdout).lines();
        loop {
            let Some(line) = lines.next() else {
                return fail("the server ended before it was ready");
            };
            let line = line?;
            if let Some(url) = line.strip_prefix("public http://") {
                server.public = url.parse()?;
            } else if let Some(url) = line.strip_prefix("publish http://") {
                server.publish = url.parse()?;
            } else if line == "ready" {
                break;
            }
        }
        // What it may still print has somewhere to go.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }

    /// Has the directory outlive the process.
    pub fn keeping(mut self, directory: tempfile::TempDir) -> Self {
        self._keep = Some(directory);
        self
    }

    /// Starts a server that was told its address; waits until it accepts.
    pub fn told(
        command: &mut Command,
        address: SocketAddr,
        keep: tempfile::TempDir,
    ) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut server = Server {
            child: spawn(command)?,
            public: address,
            publish: address,
            _keep: Some(keep),
        };
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                return fail(format!("the server ended at once: {status}"));
            }
            if Instant::now() > deadline {
                return fail("the server didn't start to listen");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Its process and that process's children.
    pub fn pids(&self) -> Vec<u32> {
        procfs::family(self.child.id())
    }

    /// Kills it, and waits for its end.
    pub fn kill(mut self) {
        signal(self.child.id(), Signal::KILL);
        let _ = self.child.wait();
    }

    /// CPU used so far.
    pub fn cpu(&self) -> procfs::Cpu {
        procfs::cpu(&self.pids())
    }

    /// Waits until it has used next to no CPU for a while, so that what came
    /// before isn't counted.
    pub fn settle(&self) {
        const PERIOD: Duration = Duration::from_millis(100);
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut before = self.cpu().total_ns;
        while Instant::now() < deadline {
            std::thread::sleep(PERIOD);
            let now = self.cpu().total_ns;
            if now - before < PERIOD.as_nanos() as u64 / 50 {
                return;
            }
            before = now;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        signal(self.child.id(), Signal::TERM);
        let deadline = Instant::now() + STOP_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                for pid in self.pids() {
                    signal(pid, Signal::KILL);
                }
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let pid = self.child.id();
        RUNNING.lock().unwrap().retain(|running| *running != pid);
    }
}

/// A port that was free a moment ago, for servers that can't say which they took.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Is there a program at this path?
pub fn program(path: &Path) -> Result<()> {
    if path.is_file() {
        return Ok(());
    }
    fail(format!("{} is not there", path.display()))
}

/// Stops every server and ends this process when it is asked to end.
pub fn stop_on_signals() -> Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            for pid in RUNNING.lock().unwrap().iter() {
                for pid in procfs::family(*pid) {
                    signal(pid, Signal::KILL);
                }
            }
            std::process::exit(130);
        }
    });
    Ok(())
}

fn spawn(command: &mut Command) -> Result<Child> {
    let program = command.get_program().to_owned();
    let mut running = RUNNING.lock().unwrap();
    let child = command
        .spawn()
        .context(&format!("start {}", program.display()))?;
    running.push(child.id());
    Ok(child)
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        let _ = kill_process(pid, signal);
    }
}
