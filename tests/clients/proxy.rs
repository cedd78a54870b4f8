//! A proxy that cuts connections where it is told to, and keeps what went through.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::http::PATIENCE;

/// Where in a stream's frame, counted from 0 on its connection, a cut falls.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// Within the line of the data.
    InData(usize),
    /// Between the data and the id.
    BeforeId(usize),
    /// Behind the id's line, before the blank line that makes the frame count.
    BeforeBlankLine(usize),
}

/// What went through on one connection.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// The request's head.
    pub request: String,
    /// The answer, as far as the client was let have it.
    pub answer: String,
}

/// The proxy. Its threads end with the connections, and at the latest with the test.
pub struct Proxy {
    /// Where clients connect.
    pub address: SocketAddr,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

impl Proxy {
    /// Starts one before `server` which makes one cut per connection, in this order, and
    /// then lets everything pass.
    pub fn start(server: SocketAddr, cuts: &[Cut]) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let exchanges = Arc::new(Mutex::new(Vec::new()));
        let mut cuts: VecDeque<Cut> = cuts.iter().copied().collect();
        let kept = Arc::clone(&exchanges);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, cut) = (client.unwrap(), cuts.pop_front());
                let kept = Arc::clone(&kept);
                thread::spawn(move || forward(client, server, cut, &kept));
            }
        });
        Proxy { address, exchanges }
    }

    /// All that went through so far.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.lock().unwrap().clone()
    }
}

impl Exchange {
    /// The status of the answer.
    pub fn status(&self) -> u16 {
        let code = self.answer.split(' ').nth(1).expect(&self.answer);
        code.parse().unwrap()
    }

    /// The id that the client asked to go on after.
    pub fn last_event_id(&self) -> Option<u64> {
        let mut fields = self.request.lines().filter_map(|line| line.split_once(':'));
        let id = fields.find(|(name, _)| name.eq_ignore_ascii_case("last-event-id"));
        id.map(|(_, value)| value.trim().parse().unwrap())
    }
}

fn forward(
    mut client: TcpStream,
    server: SocketAddr,
    cut: Option<Cut>,
    kept: &Mutex<Vec<Exchange>>,
) {
    let mut server = TcpStream::connect(server).unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return,
        }
    }
    server.write_all(&request).unwrap();
    let number = {
        let mut kept = kept.lock().unwrap();
        kept.push(Exchange {
            request: String::from_utf8(request).unwrap(),
            answer: String::new(),
        });
        kept.len() - 1
    };
    let mut answer = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = server.read(&mut piece) {
        let passed = answer.len();
        answer.extend_from_slice(&piece[..length]);
        let end = cut.and_then(|cut| cut.position(&answer));
        answer.truncate(end.unwrap_or(answer.len()));
        // Kept first: what a client has seen can then be asked for.
        kept.lock().unwrap()[number].answer = String::from_utf8_lossy(&answer).into_owned();
        let is_gone = client
            .write_all(answer.get(passed..).unwrap_or_default())
            .is_err();
        if is_gone || end.is_some() {
            break;
        }
    }
    if let Some(Cut::BeforeBlankLine(_)) = cut {
        // A reset rather than an end: both happen to clients.
        let client = socket2::SockRef::from(&client);
        let _ = client.set_linger(Some(Duration::ZERO));
        return;
    }
    let _ = client.shutdown(Shutdown::Both);
}

impl Cut {
    /// How much of the answer the client gets, once that much is there.
    fn position(self, answer: &[u8]) -> Option<usize> {
        let text = std::str::from_utf8(answer).expect("the tests publish ASCII");
        let (Cut::InData(frame) | Cut::BeforeId(frame) | Cut::BeforeBlankLine(frame)) = self;
        let mut at = text.find("\r\n\r\n")? + 4;
        for _ in 0..frame {
            at += text[at..].find("\n\n")? + 2;
        }
        let behind = |part: &str, at: usize| Some(at + text[at..].find(part)? + part.len());
        match self {
            Cut::InData(_) => Some(behind("data: ", at)? + 12),
            Cut::BeforeId(_) => Some(behind("\nid: ", at)? - "id: ".len()),
            Cut::BeforeBlankLine(_) => behind("\n", behind("\nid: ", at)?),
        }
    }
}
