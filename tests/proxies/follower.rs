//! curl, following a stream through a proxy.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::thread;

use super::http::PATIENCE;
use super::proxy::{NAME, Proxy};

/// What is spoken to the proxy.
#[derive(Clone, Copy, Debug)]
pub enum Version {
    Http1,
    Http2,
}

/// A curl that runs, until it is dropped.
pub struct Follower {
    child: Child,
    spoken: &'static str,
    head: String,
    lines: Receiver<String>,
}

impl Follower {
    /// Follows the job with further arguments to curl.
    pub fn start(proxy: &Proxy, job: &str, version: Version, more: &[&str]) -> Follower {
        let port = proxy.port;
        let (flag, spoken) = match version {
            Version::Http1 => ("--http1.1", "HTTP/1.1 "),
            Version::Http2 => ("--http2", "HTTP/2 "),
        };
        let mut child = Command::new("curl")
            .args(["-sSNi", flag, "--cacert", &proxy.certificate()])
            .args(["--resolve", &format!("{NAME}:{port}:127.0.0.1")])
            .args(more)
            .arg(format!("https://{NAME}:{port}/api/jobs/{job}/events"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("curl: {error}: run scripts/test"));
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut line = String::new();
            while out.read_line(&mut line).is_ok_and(|length| length > 0) {
                let whole = std::mem::take(&mut line).trim_end().to_owned();
                if sender.send(whole).is_err() {
                    break;
                }
            }
        });
        Follower {
            child,
            spoken,
            head: String::new(),
            lines,
        }
    }

    /// Waits for the answer's head.
    pub fn head(&mut self) -> &str {
        while !self.head.ends_with("\n\n") {
            let line = self.line();
            self.head += &format!("{line}\n");
        }
        assert!(self.head.starts_with(self.spoken), "{}", self.head);
        &self.head
    }

    /// Waits for the next frame. Returns its id.
    pub fn id(&mut self) -> u64 {
        self.head();
        loop {
            if let Some(id) = id(&self.line()) {
                return id;
            }
        }
    }

    /// Whether nothing at all has come yet.
    pub fn is_silent(&self) -> bool {
        matches!(self.lines.try_recv(), Err(TryRecvError::Empty))
    }

    /// Waits for the end. False where the stream was cut off.
    pub fn ends_well(mut self) -> bool {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("it goes on"),
                Err(RecvTimeoutError::Disconnected) => {
                    return self.child.wait().unwrap().success();
                }
            }
        }
    }

    fn line(&mut self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.expect("nothing comes through the proxy")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn id(line: &str) -> Option<u64> {
    line.strip_prefix("id: ").map(|id| id.parse().unwrap())
}
