//! Clients that allocate nothing while they are counted.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long anything may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A subscriber that counts frames.
pub struct Subscriber(TcpStream);

impl Subscriber {
    /// Follows a job, and waits for its first `frames`.
    pub fn connect(address: SocketAddr, job: &str, frames: usize) -> Subscriber {
        Subscriber::follow(address, &format!("/api/jobs/{job}/events"), frames)
    }

    /// The same, of what a target names.
    pub fn follow(address: SocketAddr, target: &str, frames: usize) -> Subscriber {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut subscriber = Subscriber(stream);
        // The head ends with a blank line, as a frame does.
        subscriber.wait(1 + frames);
        subscriber
    }

    /// Reads until `blocks` more blank lines have come.
    pub fn wait(&mut self, blocks: usize) {
        let mut buffer = [0; 4096];
        let (mut seen, mut last) = (0, 0);
        while seen < blocks {
            let length = self.0.read(&mut buffer).unwrap();
            assert!(length > 0, "the stream ended");
            for &byte in buffer[..length].iter().filter(|&&byte| byte != b'\r') {
                seen += usize::from(byte == b'\n' && last == b'\n');
                last = byte;
            }
        }
    }
}

/// A publisher on one connection that is kept.
pub struct Publisher {
    stream: TcpStream,
    request: Vec<u8>,
}

impl Publisher {
    /// Connects, to publish the same event to `job` again and again.
    pub fn connect(address: SocketAddr, job: &str) -> Publisher {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let body = r#"{"event":"progress","data":{"stage":"scanning","percent":30}}"#;
        let request = format!(
            "POST /api/jobs/{job}/events HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\
             Content-Type: application/json\r\n\r\n{body}",
            body.len()
        );
        Publisher {
            stream,
            request: request.into_bytes(),
        }
    }

    /// Publishes one event and reads the answer.
    pub fn publish(&mut self) {
        self.stream.write_all(&self.request).unwrap();
        let mut buffer = [0; 1024];
        let mut length = 0;
        while !buffer[..length].ends_with(b"}") {
            let read = self.stream.read(&mut buffer[length..]).unwrap();
            assert!(read > 0, "the server closed the connection");
            length += read;
        }
        assert!(
            buffer.starts_with(b"HTTP/1.1 201"),
            "{:?}",
            &buffer[..length]
        );
    }
}
