//! The floor: what the kernel itself takes for one `send()` per subscriber.
//!
//! One thread. It accepts, reads a request it doesn't look at, and writes a
//! response head. A publish is a request whose body is written, as one frame,
//! to every subscriber in turn, one `send()` each. Nothing is parsed but the
//! length, nothing kept, nothing replayed.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};

const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
Cache-Control: no-store, no-transform\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
const PUBLISHED: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";

fn main() {
    let public = TcpListener::bind("127.0.0.1:0").unwrap();
    let publish = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("public http://{}", public.local_addr().unwrap());
    println!("publish http://{}", publish.local_addr().unwrap());
    println!("ready");

    let mut subscribers: Vec<TcpStream> = Vec::new();
    let mut publishers: Vec<(TcpStream, Vec<u8>)> = Vec::new();
    loop {
        let mut fds = vec![
            PollFd::new(&public, PollFlags::IN),
            PollFd::new(&publish, PollFlags::IN),
        ];
        fds.extend(
            publishers
                .iter()
                .map(|(socket, _)| PollFd::new(socket, PollFlags::IN)),
        );
        poll(&mut fds, None).unwrap();
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[0] {
            subscribers.push(accept_subscriber(&public));
        }
        let mut index = 0;
        publishers.retain_mut(|(socket, pending)| {
            index += 1;
            !ready[index + 1] || serve_publisher(socket, pending, &subscribers)
        });
        if ready[1] {
            publishers.push((publish.accept().unwrap().0, Vec::new()));
        }
    }
}

fn accept_subscriber(public: &TcpListener) -> TcpStream {
    let (mut socket, _) = public.accept().unwrap();
    let mut request = [0; 4096];
    let _ = socket.read(&mut request);
    let _ = socket.write(STREAM_HEAD);
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Reads once, serves every whole request; false when the publisher has gone.
fn serve_publisher(
    socket: &mut TcpStream,
    pending: &mut Vec<u8>,
    subscribers: &[TcpStream],
) -> bool {
    let mut chunk = [0; 65536];
    match socket.read(&mut chunk) {
        Ok(0) | Err(_) => return false,
        Ok(n) => pending.extend_from_slice(&chunk[..n]),
    }
    while let Some((start, end)) = body_of(pending) {
        broadcast(&pending[start..end], subscribers);
        pending.drain(..end);
        if socket.write_all(PUBLISHED).is_err() {
            return false;
        }
    }
    true
}

fn broadcast(frame: &[u8], subscribers: &[TcpStream]) {
    for mut subscriber in subscribers {
        let mut rest = frame;
        while !rest.is_empty() {
            match subscriber.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let mut fd = [PollFd::from_borrowed_fd(subscriber.as_fd(), PollFlags::OUT)];
                    let _ = poll(&mut fd, None);
                }
                Err(_) => break,
            }
        }
    }
}

/// Where the first request's body lies, once it is whole.
fn body_of(bytes: &[u8]) -> Option<(usize, usize)> {
    let start = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..start]).ok()?;
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))?
        .parse()
        .ok()?;
    (bytes.len() >= start + length).then_some((start, start + length))
}
