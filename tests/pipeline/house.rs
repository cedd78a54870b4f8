//! The real binary with a data directory, which may be killed and come back.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::binary::{ANY, Binary};
use crate::support::{PATIENCE, wait_until};

/// A server that ends with the test.
pub struct House {
    pub public: SocketAddr,
    pub publish: SocketAddr,
    pub data: PathBuf,
    flags: Vec<String>,
    binary: Mutex<Binary>,
}

impl House {
    /// One whose landfall.toml is `toml`.
    pub fn start(folder: &Path, toml: &str, flags: &[&str]) -> House {
        let file = folder.join("landfall.toml");
        fs::write(&file, toml).unwrap();
        let mut flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        if !toml.is_empty() {
            flags.extend(["--config".to_owned(), file.to_str().unwrap().to_owned()]);
        }
        let data = folder.join("data");
        let binary = serve(&data, &flags, [ANY; 2]);
        House {
            public: binary.public,
            publish: binary.publish,
            data,
            flags,
            binary: Mutex::new(binary),
        }
    }

    /// SIGKILL, and another life at the same addresses.
    pub fn kill_and_revive(&self) {
        self.binary.lock().unwrap().kill();
        self.revive();
    }

    /// SIGTERM; returns how long it took to end.
    pub fn stop(&self) -> Duration {
        let begun = Instant::now();
        assert!(self.binary.lock().unwrap().stop().success());
        begun.elapsed()
    }

    /// Another life, after it has ended.
    pub fn revive(&self) {
        let listen = [self.public, self.publish];
        *self.binary.lock().unwrap() = serve(&self.data, &self.flags, listen);
    }

    /// Sends a request, and returns the status and the body of its answer.
    pub fn ask(
        &self,
        address: SocketAddr,
        request: &str,
        body: &[u8],
    ) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        let head = format!(
            "{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .ok_or_else(cut)?;
        let status = String::from_utf8_lossy(&answer[..end])
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or_else(cut)?;
        Ok((status, answer.split_off(end + 4)))
    }

    /// Where a job stands; null for one that there isn't.
    pub fn snapshot(&self, job: &str) -> Value {
        let answer = self.ask(self.public, &format!("GET /api/jobs/{job}"), b"");
        match answer {
            Ok((200, body)) => serde_json::from_slice(&body).unwrap(),
            _ => Value::Null,
        }
    }

    /// The data of a job's last event, once it has ended with `event`.
    pub fn end(&self, job: &str, event: &str) -> Value {
        let is_over = || {
            let state = self.snapshot(job)["state"].as_str().map(str::to_owned);
            state.is_some_and(|state| state != "running")
        };
        wait_until(&format!("{job} ends"), is_over);
        let last = self.snapshot(job)["lastEvent"].take();
        assert_eq!(last["event"], event, "{last}");
        last["data"].clone()
    }

    /// Every frame's data of a job's stream, to its end.
    pub fn events(&self, job: &str) -> Vec<Value> {
        let request = format!("GET /api/jobs/{job}/events");
        let (status, body) = self.ask(self.public, &request, b"").unwrap();
        assert_eq!(status, 200);
        let text = String::from_utf8(body).unwrap();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    /// Waits until nothing is left of uploads and of stages.
    pub fn is_clean(&self) {
        for folder in ["uploads", "work", "files/tmp"] {
            let folder = self.data.join(folder);
            wait_until(&format!("{folder:?} is empty"), || {
                fs::read_dir(&folder).map_or(0, Iterator::count) == 0
            });
        }
    }
}

fn serve(data: &Path, flags: &[String], listen: [SocketAddr; 2]) -> Binary {
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    Binary::serve_at(listen, data.to_str().unwrap(), &flags)
}
