//! Somebody who is told of events: a server that keeps what it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::http::PATIENCE;

/// What was sent in one request.
#[derive(Clone, Debug)]
pub struct Received {
    /// When it came.
    pub at: Instant,
    /// The method and the target.
    pub line: String,
    fields: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// How a request is answered.
pub enum Reply {
    /// With this status, and without a body.
    Status(u16),
    /// With all of this, and then the end of the connection.
    Bytes(String),
    /// With this, and then with this again and again, until the other end has enough.
    Endless(&'static str, &'static str, Duration),
    /// Not at all, as long as the connection is open.
    Never,
    /// As `Status`, after so long.
    Late(Duration, u16),
}

/// A port at which nobody listens yet, and nobody else can.
pub struct Place(Socket);

impl Place {
    /// One of this host's.
    pub fn new() -> Place {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        socket.bind(&any.into()).unwrap();
        Place(socket)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap().as_socket().unwrap()
    }

    /// Somebody comes to it who takes everything.
    pub fn open(self) -> Receiver {
        self.0.listen(128).unwrap();
        Receiver::on(self.0.into(), |_| Reply::Status(200))
    }
}

/// Such a server. It goes on until the test's process ends.
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

impl Receiver {
    /// One that takes everything.
    pub fn start() -> Receiver {
        Receiver::answering(|_| Reply::Status(204))
    }

    /// One that answers so.
    pub fn answering(reply: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Receiver {
        Receiver::on(TcpListener::bind("127.0.0.1:0").unwrap(), reply)
    }

    fn on(
        listener: TcpListener,
        reply: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Receiver {
        let receiver = Receiver {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            at_once: Arc::default(),
            most_at_once: Arc::default(),
        };
        let (received, reply) = (receiver.received.clone(), Arc::new(reply));
        let (now, most) = (receiver.at_once.clone(), receiver.most_at_once.clone());
        thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let (received, reply) = (received.clone(), reply.clone());
                let (now, most) = (now.clone(), most.clone());
                thread::spawn(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let leave = || now.fetch_sub(1, Ordering::SeqCst);
                    let Some(request) = read(&stream) else {
                        leave();
                        return;
                    };
                    // Kept before it is answered: whoever waits for an effect of the answer
                    // finds it.
                    received.lock().push(request.clone());
                    let reply = reply(&request);
                    if let Reply::Late(wait, _) = reply {
                        thread::sleep(wait);
                    }
                    // Whoever is answered may come again at once.
                    leave();
                    answer(stream, reply);
                });
            }
        });
        receiver
    }

    /// What was sent so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().clone()
    }

    /// The same, once it is so many at least.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            assert!(Instant::now() < deadline, "{count} in vain: {received:#?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// The most connections that there were at once.
    pub fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }

    /// The address of a path there.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Received {
    /// The value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }

    /// The name of the job that it tells of, in a body of the standard's.
    pub fn job(&self) -> String {
        self.json()["data"]["jobId"].as_str().unwrap().to_owned()
    }

    /// The event's number, likewise.
    pub fn id(&self) -> u64 {
        self.json()["id"].as_u64().unwrap()
    }
}

fn read(stream: &TcpStream) -> Option<Received> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        let length = reader.read_line(&mut line).ok()?;
        (length > 0).then(|| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut fields = Vec::new();
    loop {
        let line = line()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").expect(&line);
        fields.push((name.to_owned(), value.to_owned()));
    }
    let mut received = Received {
        at: Instant::now(),
        line: first,
        fields,
        body: String::new(),
    };
    let length = received.field("Content-Length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    received.body = String::from_utf8(body).unwrap();
    Some(received)
}

fn answer(mut stream: TcpStream, reply: Reply) {
    // Whoever has enough closes.
    let _ = match reply {
        Reply::Status(status) | Reply::Late(_, status) => {
            stream.write_all(plain(status).as_bytes())
        }
        Reply::Bytes(bytes) => stream.write_all(bytes.as_bytes()),
        Reply::Never => stream.read(&mut [0]).map(drop),
        Reply::Endless(head, piece, pause) => {
            let mut sent = stream.write_all(head.as_bytes());
            while sent.is_ok() {
                sent = stream.write_all(piece.as_bytes());
                thread::sleep(pause);
            }
            sent
        }
    };
}

fn plain(status: u16) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")
}
