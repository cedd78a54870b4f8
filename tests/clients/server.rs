//! The real binary, on ports of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

/// A server that is stopped when it is dropped.
pub struct Server {
    child: Child,
    pub public: SocketAddr,
    publish: SocketAddr,
}

impl Server {
    pub fn start(flags: &[&str]) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["serve", "--memory-only", "--listen", "127.0.0.1:0"])
            .args(["--publish", "127.0.0.1:0", "--ops", "127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let mut address = || {
            let line = lines.next().unwrap();
            line.split_once("http://").unwrap().1.parse().unwrap()
        };
        let (public, publish) = (address(), address());
        assert!(lines.any(|line| line == "ready"));
        Server {
            child,
            public,
            publish,
        }
    }

    /// Publishes `progress` and returns its id.
    pub fn publish(&self, job: &str, data: &str) -> u64 {
        self.post(job, &format!(r#"{{"event":"progress","data":{data}}}"#))
    }

    /// Publishes `done`.
    pub fn end(&self, job: &str) {
        self.post(job, r#"{"event":"done"}"#);
    }

    fn post(&self, job: &str, body: &str) -> u64 {
        let mut stream = TcpStream::connect(self.publish).unwrap();
        write!(
            stream,
            "POST /api/jobs/{job}/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let id = answer
            .split_once("{\"id\":")
            .unwrap_or_else(|| panic!("{answer}"))
            .1;
        id.trim_end_matches('}').parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
