//! The proxies, each as the guide configures it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::http::PATIENCE;

/// The name that the guide gives the server.
pub const NAME: &str = "progress.example";

const GUIDE: &str = include_str!("../../src/docs/operating.md");
/// Another process may take a free port before the proxy does.
const TRIES: usize = 5;

/// A program that stands before Landfall.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Nginx,
    Caddy,
    HaProxy,
}

/// Where the server is.
#[derive(Clone, Copy)]
pub enum Upstream<'a> {
    Port(SocketAddr),
    Socket(&'a str),
}

/// One that runs, until it is dropped.
pub struct Proxy {
    child: Child,
    /// Where it listens, with TLS.
    pub port: u16,
    directory: TempDir,
}

impl Proxy {
    /// Starts one before `server` with the guide's configuration, where only the port, the
    /// server's address and the paths of files are others.
    pub fn start(kind: Kind, server: SocketAddr) -> Proxy {
        Proxy::with(kind, server, &[])
    }

    /// The same, with more lines of configuration behind those that are given.
    pub fn with(kind: Kind, server: SocketAddr, more: &[(&str, &str)]) -> Proxy {
        Proxy::before(kind, Upstream::Port(server), more)
    }

    /// The same, wherever the server is.
    pub fn before(kind: Kind, server: Upstream<'_>, more: &[(&str, &str)]) -> Proxy {
        for _ in 0..TRIES {
            let directory = TempDir::new().unwrap();
            make_certificate(directory.path());
            let port = free_port();
            let mut command = kind.command(directory.path(), port, server, more);
            let child = command
                .env("HOME", directory.path())
                .env("XDG_DATA_HOME", directory.path())
                .env("XDG_CONFIG_HOME", directory.path())
                .stdout(log(directory.path()))
                .stderr(log(directory.path()))
                .spawn()
                .unwrap_or_else(|error| panic!("{kind:?}: {error}: run scripts/test"));
            let mut proxy = Proxy {
                child,
                port,
                directory,
            };
            if proxy.is_ready() {
                return proxy;
            }
            let said = proxy.file("log");
            let is_taken = said.contains("ddress already in use") || said.contains("bind");
            assert!(is_taken, "{kind:?} doesn't start: {said}");
        }
        panic!("{kind:?} finds no free port");
    }

    /// The certificate that clients have to trust.
    pub fn certificate(&self) -> String {
        let path = self.directory.path().join("progress.pem");
        path.to_str().unwrap().to_owned()
    }

    /// A file that it wrote, or nothing.
    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
    }

    /// Waits until it accepts. False where it ended instead.
    fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "{}", self.file("log"));
            thread::sleep(Duration::from_millis(10));
        }
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx has a worker, which only its master can end.
        let pid = Pid::from_child(&self.child);
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Kind {
    /// Writes the configuration. Returns what runs it in the foreground.
    fn command(
        self,
        directory: &Path,
        port: u16,
        server: Upstream<'_>,
        more: &[(&str, &str)],
    ) -> Command {
        let here = directory.to_str().unwrap();
        let mut text = block_of_guide(self.language());
        for (after, lines) in more {
            swap(&mut text, after, &format!("{after}\n{lines}\n"));
        }
        match server {
            Upstream::Port(address) => swap(&mut text, "127.0.0.1:8080", &address.to_string()),
            Upstream::Socket(path) => {
                let mut lines = text.lines().map(str::trim);
                let line = lines.find(|line| line.contains("127.0.0.1:8080"));
                let line = line.expect("the guide says where the server is").to_owned();
                swap(&mut text, &line, self.line_of_guide());
                swap(&mut text, "/run/landfall/public.sock", path);
            }
        }
        let path = format!("{here}/config");
        let mut command;
        match self {
            Kind::Nginx => {
                swap(&mut text, "listen 443", &format!("listen 127.0.0.1:{port}"));
                swap(&mut text, "/etc/ssl/", &format!("{here}/"));
                swap(&mut text, "/var/log/nginx/", &format!("{here}/"));
                let own: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .map(|name| format!("{name}_temp_path {here}/{name};\n"))
                    .concat();
                text = format!(
                    "daemon off;\nworker_processes 1;\npid {here}/pid;\nerror_log stderr;\n\
                     events {{}}\nhttp {{\n{own}{text}}}\n"
                );
                // Its worker has to reach the directory as another user where it is root's.
                if rustix::process::geteuid().is_root() {
                    text.insert_str(0, "user root;\n");
                }
                command = Command::new("nginx");
                command.args(["-p", here, "-e", "stderr", "-c", &path]);
            }
            Kind::Caddy => {
                swap(&mut text, NAME, &format!("{NAME}:{port}"));
                swap(&mut text, "/etc/ssl/", &format!("{here}/"));
                // Or it would listen on port 80 and on its administration's as well.
                let own = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n";
                text.insert_str(0, own);
                command = Command::new("caddy");
                command.args(["run", "--adapter", "caddyfile", "--config", &path]);
            }
            Kind::HaProxy => {
                swap(&mut text, "bind :443", &format!("bind 127.0.0.1:{port}"));
                swap(&mut text, "/etc/ssl/", &format!("{here}/"));
                command = Command::new("haproxy");
                command.args(["-db", "-f", &path]);
            }
        }
        fs::write(path, text).unwrap();
        command
    }

    /// What its block in the guide is marked with.
    fn language(self) -> &'static str {
        match self {
            Kind::Nginx => "nginx",
            Kind::Caddy => "caddyfile",
            Kind::HaProxy => "haproxy",
        }
    }

    /// What the guide says to write in place of the line with the server's port.
    fn line_of_guide(self) -> &'static str {
        let begin = match self {
            Kind::Nginx => "\n| nginx | `",
            Kind::Caddy => "\n| Caddy | `",
            Kind::HaProxy => "\n| HAProxy | `",
        };
        let (_, row) = GUIDE.split_once(begin).expect("the guide has a row for it");
        row.split_once('`').unwrap().0
    }
}

fn block_of_guide(language: &str) -> String {
    let begin = format!("\n```{language}\n");
    let mut blocks = GUIDE.split(&begin).skip(1);
    let block = blocks
        .next()
        .expect("the guide has such a configuration")
        .split_once("\n```\n")
        .unwrap()
        .0;
    assert_eq!(blocks.next(), None, "the guide has two for {language}");
    format!("{block}\n")
}

fn swap(text: &mut String, from: &str, to: &str) {
    assert!(text.contains(from), "the guide no longer says {from}");
    *text = text.replace(from, to);
}

fn make_certificate(directory: &Path) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", &format!("/CN={NAME}"), "-addext"])
        .arg(format!("subjectAltName=DNS:{NAME}"))
        .args(["-keyout", "progress.key", "-out", "progress.pem"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("openssl: {error}: run scripts/test"));
    assert!(output.status.success(), "{output:?}");
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    let both = read("progress.pem") + &read("progress.key");
    fs::write(directory.join("progress-with-key.pem"), both).unwrap();
}

/// A port that nobody listens at yet.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn log(directory: &Path) -> Stdio {
    let mut options = fs::OpenOptions::new();
    let file = options.create(true).append(true);
    file.open(directory.join("log")).unwrap().into()
}
