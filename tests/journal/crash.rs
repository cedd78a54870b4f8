//! A server that is killed again and again under load: 8 publishers, 200 subscribers that
//! reconnect with the last id that they have.
//!
//! `LANDFALL_KILLS` says how often; 500 is the whole proof.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::support::{Frame, command};

const PUBLISHERS: usize = 8;
const SUBSCRIBERS: usize = 200;
const KILLS: usize = 25;
/// A life lasts up to so long under load.
const LIFE_MS: u64 = 120;
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts the server at the unix socket `place`: a port that is free again may be anybody's.
fn start(data: &Path, place: &Path) -> Child {
    let flags = ["--sync", "always", "--ring-events", "32", "--publish"];
    let mut command = command(data, &flags);
    let place = format!("unix:{}", place.display());
    let mut child = command
        .arg(place)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "ready"));
    child
}

#[test]
fn with_always_nothing_acknowledged_is_missing_and_everybody_has_everything_once() {
    let kills = std::env::var("LANDFALL_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let data = tempfile::tempdir().unwrap();
    let place = data.path().join("publish.sock");
    let mut server = start(data.path(), &place);
    let is_over = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|job| {
            let (place, is_over) = (place.clone(), is_over.clone());
            std::thread::spawn(move || publish(job, &place, &is_over))
        })
        .collect();
    let reconnects = Arc::new(AtomicUsize::new(0));
    let subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|n| {
            let (place, reconnects) = (place.clone(), reconnects.clone());
            std::thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn(move || follow(n % PUBLISHERS, &place, &reconnects))
                .unwrap()
        })
        .collect();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..kills {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_millis((seed >> 33) % LIFE_MS));
        server.kill().unwrap();
        server.wait().unwrap();
        server = start(data.path(), &place);
    }
    is_over.store(true, Ordering::Release);
    let acknowledged: Vec<_> = publishers.into_iter().map(|p| p.join().unwrap()).collect();
    let all: Vec<Vec<Frame>> = (0..PUBLISHERS)
        .map(|job| follow(job, &place, &reconnects))
        .collect();
    for (job, acknowledged) in acknowledged.iter().enumerate() {
        let there: BTreeMap<u64, &Frame> = all[job].iter().map(|f| (f.id, f)).collect();
        assert_eq!(there.len(), all[job].len(), "an id came twice on job{job}");
        assert!(all[job].iter().all(|frame| frame.event != "reset"));
        for (id, n) in acknowledged {
            let frame = there
                .get(id)
                .unwrap_or_else(|| panic!("job{job} misses {id}"));
            assert_eq!(frame.n(), *n, "{id} of job{job} was given twice");
        }
    }
    for (n, subscriber) in subscribers.into_iter().enumerate() {
        let seen = subscriber.join().unwrap();
        assert_eq!(seen, all[n % PUBLISHERS], "subscriber {n}");
    }
    server.kill().unwrap();
    server.wait().unwrap();
    println!(
        "{kills} kills, {} events acknowledged, {} there, {} reconnects",
        acknowledged.iter().map(Vec::len).sum::<usize>(),
        all.iter().map(Vec::len).sum::<usize>(),
        reconnects.load(Ordering::Relaxed),
    );
}

/// Publishes numbers until it is over, and then the end. Returns what was acknowledged:
/// ids and numbers. What wasn't is published again, under a number of its own.
fn publish(job: usize, place: &PathBuf, is_over: &AtomicBool) -> Vec<(u64, u64)> {
    let mut acknowledged = Vec::new();
    let mut connection: Option<UnixStream> = None;
    for n in 0.. {
        let ends = is_over.load(Ordering::Acquire);
        let event = if ends { "done" } else { "progress" };
        let body = format!("{{\"event\":\"{event}\",\"data\":{{\"n\":{n}}}}}");
        let request = format!(
            "POST /api/jobs/job{job}/events HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\
             Content-Type: application/json\r\n\r\n{body}",
            body.len()
        );
        let stream = match connection.take() {
            Some(stream) => Some(stream),
            None => UnixStream::connect(place).ok(),
        };
        let answer = stream.and_then(|stream| ask(stream, &request));
        match answer {
            Some((stream, status, body)) => {
                connection = Some(stream);
                if status == 201 {
                    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
                    acknowledged.push((body["id"].as_u64().unwrap(), n));
                }
                // 409: the end was written, and its answer was lost.
                if ends && matches!(status, 201 | 409) {
                    return acknowledged;
                }
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    unreachable!("numbers don't end")
}

fn ask(mut stream: UnixStream, request: &str) -> Option<(UnixStream, u16, String)> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let length = stream.read(&mut piece).ok().filter(|&length| length > 0)?;
        text.extend_from_slice(&piece[..length]);
        let answer = std::str::from_utf8(&text).ok()?;
        if let Some((head, body)) = answer.split_once("\r\n\r\n")
            && body.ends_with('}')
        {
            let status = head.split(' ').nth(1)?.parse().ok()?;
            return Some((stream, status, body.to_owned()));
        }
    }
}

/// Follows a job to its end, through every reconnect. Returns all frames in the order in
/// which they came.
fn follow(job: usize, place: &PathBuf, reconnects: &AtomicUsize) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    let began = Instant::now();
    loop {
        reconnects.fetch_add(1, Ordering::Relaxed);
        if receive(job, place, &mut frames).is_some() {
            return frames;
        }
        assert!(began.elapsed() < PATIENCE * 30, "job{job} has no end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// None where the connection ended before the job.
fn receive(job: usize, place: &PathBuf, frames: &mut Vec<Frame>) -> Option<()> {
    let mut stream = UnixStream::connect(place).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let last = frames.last();
    let last = last.map_or(String::new(), |frame| {
        format!("Last-Event-ID: {}\r\n", frame.id)
    });
    let request = format!("GET /api/jobs/job{job}/events HTTP/1.1\r\nHost: a\r\n{last}\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut block = String::new();
    for line in BufReader::new(stream).lines() {
        let line = line.ok()?;
        if !line.is_empty() {
            block.push_str(&line);
            block.push('\n');
            continue;
        }
        let whole = Frame::all(&block);
        block.clear();
        frames.extend(whole);
        if frames.last().is_some_and(|frame| frame.event == "done") {
            return Some(());
        }
    }
    None
}
