//! The pure parts of the event-stream path, one at a time; and an answer of the monitoring
//! listener, beside may_minihttp's.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use landfall::internals::event::Publication;
use landfall::internals::event::frame::Frame;
use landfall::internals::event::ring::{Batch, Ring};
use landfall::internals::http::{BodyLength, Decoder, Head, HeadLimits};
use landfall::{Event, EventId, HubConfig, Sequencer, Server, ServerConfig};
use may_minihttp::{HttpServer, HttpService, Request, Response};

const EVENT: &[u8] = br#"{"event":"progress","data":{"stage":"scanning","percent":30}}"#;

fn requests(c: &mut Criterion) {
    let limits = HeadLimits {
        head_bytes: 8192,
        target_bytes: 6144,
    };
    let browser = b"GET /api/jobs/job_8f3a/events HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
        Connection: keep-alive\r\nAccept: text/event-stream\r\nCache-Control: no-store\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n\
        Referer: http://127.0.0.1:8080/\r\nAccept-Encoding: gzip, deflate\r\n\
        Accept-Language: en-GB,en;q=0.9\r\nLast-Event-ID: 1795481608347612\r\n\r\n";
    let mut group = c.benchmark_group("request");
    group.throughput(Throughput::Bytes(browser.len() as u64));
    group.bench_function("head of a browser", |b| {
        b.iter(|| Head::parse(black_box(browser), limits).unwrap().unwrap().1);
    });
    let size = format!("{:x}\r\n", EVENT.len());
    let chunked = [size.as_bytes(), EVENT, b"\r\n0\r\n\r\n"].concat();
    group.throughput(Throughput::Bytes(chunked.len() as u64));
    group.bench_function("chunked body", |b| {
        b.iter(|| {
            let mut decoder = Decoder::new(BodyLength::Chunked);
            let (mut at, mut bytes) = (0, 0);
            while !decoder.is_done() {
                let (used, piece) = decoder.decode(black_box(&chunked[at..])).unwrap();
                at += used;
                bytes += piece.len();
            }
            bytes
        });
    });
    group.throughput(Throughput::Bytes(EVENT.len() as u64));
    group.bench_function("event of a body", |b| {
        b.iter(|| Publication::from_json(black_box(EVENT)).unwrap());
    });
    group.finish();
}

fn frames(c: &mut Criterion) {
    let job = "job_8f3a".parse().unwrap();
    let event = Event::progress("scanning", 30.0).unwrap();
    c.bench_function("frame/encode", |b| {
        b.iter(|| {
            let id = EventId(black_box(1_795_481_608_347_612));
            Frame::new(black_box(&job), black_box(&event), id)
        });
    });
}

fn rings(c: &mut Criterion) {
    let limits = HubConfig::default().ring;
    let job = "job_8f3a".parse().unwrap();
    let event = Event::progress("scanning", 30.0).unwrap();
    let mut ring = Ring::default();
    let mut id = 0;
    c.bench_function("ring/append to a full one", |b| {
        b.iter(|| {
            id += 1;
            ring.append(&Frame::new(&job, black_box(&event), EventId(id)), limits);
        });
    });
    let mut batch = Batch::default();
    for frames in [1, 16, 256] {
        c.bench_function(&format!("ring/read {frames}"), |b| {
            b.iter(|| {
                ring.copy_after(black_box(id - frames), usize::MAX, &mut batch);
                batch.bytes.len()
            });
        });
    }
    let jobs = Sequencer::in_memory(HubConfig::default());
    c.bench_function("hub/publish", |b| {
        b.iter(|| jobs.publish(&job, black_box(&event).clone()).unwrap());
    });
}

/// What answers as the monitoring listener does, without knowing anything.
#[derive(Clone)]
struct Healthy;

impl HttpService for Healthy {
    fn call(&mut self, _: Request, response: &mut Response) -> io::Result<()> {
        response.header("Content-Type: text/plain").body("ok\n");
        Ok(())
    }
}

/// Each answer on a connection of its own, as the monitoring listener gives them.
fn monitoring(c: &mut Criterion) {
    let config = ServerConfig::with(|config| {
        config.listen = "off".parse().unwrap();
        config.publish = "off".parse().unwrap();
        config.ops = "127.0.0.1:0".parse().unwrap();
    });
    let server = Server::start(config).unwrap();
    let own = server.ops().tcp().unwrap();
    // It doesn't say which port it got.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = free.local_addr().unwrap();
    drop(free);
    let _other = HttpServer(Healthy).start(other).unwrap();
    for (name, address) in [("own", own), ("may_minihttp", other)] {
        c.bench_function(&format!("monitoring/{name}"), |b| {
            b.iter(|| ask(black_box(address)));
        });
    }
    server.stop();
}

fn ask(address: SocketAddr) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 200 "));
    length
}

criterion_group!(micro, requests, frames, rings, monitoring);
criterion_main!(micro);
