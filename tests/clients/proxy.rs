//! A proxy that records requests, and cuts a connection in the middle of a frame.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A proxy in front of one server. Its threads end with their connections.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<String>>,
    cut: Mutex<Option<String>>,
}

impl Proxy {
    pub fn start(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let shared = theirs.clone();
                std::thread::spawn(move || relay(client.unwrap(), server, &shared));
            }
        });
        Proxy { address, shared }
    }

    /// Cuts the connection behind the next bytes that end with `text`.
    pub fn cut_after(&self, text: &str) {
        *self.shared.cut.lock().unwrap() = Some(text.to_owned());
    }

    /// The heads of all requests.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

fn relay(mut client: TcpStream, server: SocketAddr, shared: &Shared) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    shared
        .requests
        .lock()
        .unwrap()
        .push(String::from_utf8_lossy(&head).into_owned());
    let mut server = TcpStream::connect(server).unwrap();
    server.write_all(&head).unwrap();
    let mut sent = Vec::new();
    while server.read(&mut byte).unwrap_or(0) > 0 {
        if client.write_all(&byte).is_err() {
            return;
        }
        sent.push(byte[0]);
        let mut cut = shared.cut.lock().unwrap();
        if cut
            .as_ref()
            .is_some_and(|text| sent.ends_with(text.as_bytes()))
        {
            *cut = None;
            let _ = client.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = client.shutdown(Shutdown::Write);
}
