//! Everyone is cut off, and everyone comes back at once for what they missed.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{Scale, own_cpu};
use crate::clients::Connecting;
use crate::clock::now_ns;
use crate::failure::{Context, Result, fail};
use crate::field::{Field, JOB};
use crate::measured::Measured;
use crate::peer::{Peer, Setup};
use crate::procfs;

const EVENTS: u32 = 32;
const REPLAYED: u32 = 16;
/// Of an accept queue that overflows again and again, the kernel's last try is
/// after a minute.
const RETURN_LIMIT: Duration = Duration::from_secs(90);
/// For a server to see that its connections are gone. Their files must be
/// closed before as many new ones can be opened: the limit is 20,000.
const GONE_LIMIT: Duration = Duration::from_secs(10);

pub fn run(peer: &dyn Peer, scale: Scale) -> Result<Measured> {
    let subscribers = scale.of(15_000, 1_500);
    let mut field = Field::new(peer, &Setup::default())?;
    let scout = Scout::open(&field)?;
    field.subscribe(subscribers)?;
    // One at a time: where events are joined into one frame, not every event
    // has a token of its own.
    for _ in 0..EVENTS {
        field.burst(1, subscribers)?;
    }
    let token = scout.token_after(peer, EVENTS - REPLAYED - 1)?;
    field.clients.cut_all();
    field.clients.totals.streaming = 0;
    wait_until_gone(&field, subscribers)?;
    field.server.settle();

    let request = peer.resume(JOB, &token);
    let how = Connecting {
        address: field.server.public,
        request: &|_| request.clone(),
        first: EVENTS - REPLAYED,
        window: usize::MAX,
        receive_bytes: 0,
    };
    let deliveries = subscribers as u64 * u64::from(REPLAYED);
    let wanted = field.seen() + deliveries;
    let (server, own, overflows) = (field.server.cpu(), own_cpu(), procfs::listen_overflows());
    let start = now_ns();
    field.clients.reconnect_all(&how)?;
    let deadline = Instant::now() + RETURN_LIMIT;
    let most = wanted - deliveries / 100;
    field
        .clients
        .run_until(deadline, |totals| crate::field::seen(totals) >= most)?;
    let most_ns = field.clients.totals.last_event_ns - start;
    let everyone = field
        .clients
        .run_until(deadline, |totals| crate::field::seen(totals) >= wanted);
    let wall_ns = field.clients.totals.last_event_ns - start;
    let own = own_cpu() - own;
    field.server.settle();
    let server = field.server.cpu() - server;
    let mut measured = Measured::default();
    match everyone {
        Ok(()) => measured.set("caught_up_ms", wall_ns as f64 / 1e6),
        Err(failure) => {
            measured.faults = failure.to_string();
            &mut measured
        }
    };
    measured
        .set("most_caught_up_ms", most_ns as f64 / 1e6)
        .set(
            "cpu_us_per_client",
            server.total_ns as f64 / 1e3 / subscribers as f64,
        )
        .set(
            "generator_us_per_client",
            own.total_ns as f64 / 1e3 / subscribers as f64,
        )
        .set(
            "listen_overflows",
            (procfs::listen_overflows() - overflows) as f64,
        )
        .set_faults(&field.clients.totals);
    Ok(measured)
}

fn wait_until_gone(field: &Field, subscribers: usize) -> Result<()> {
    let deadline = Instant::now() + GONE_LIMIT;
    let open = |field: &Field| -> usize {
        let pids = field.server.pids();
        pids.iter().map(|pid| procfs::open_files(*pid)).sum()
    };
    while open(field) > subscribers / 2 {
        if Instant::now() > deadline {
            return fail("the server keeps connections that were reset");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A subscriber whose whole stream is kept, for the tokens in it.
struct Scout(TcpStream);

impl Scout {
    fn open(field: &Field) -> Result<Self> {
        let mut stream = TcpStream::connect(field.server.public)?;
        std::io::Write::write_all(&mut stream, &field.peer.subscribe(JOB))?;
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        // Until its head has come it may not be subscribed.
        stream.read_exact(&mut [0; 12]).context("scout")?;
        Ok(Scout(stream))
    }

    /// Everything has long been sent when this is asked.
    fn token_after(mut self, peer: &dyn Peer, n: u32) -> Result<String> {
        let mut seen = Vec::new();
        let _ = self.0.read_to_end(&mut seen);
        let text = String::from_utf8_lossy(&seen).replace('\r', "");
        match peer.token_after(&text, n) {
            Some(token) => Ok(token),
            None => fail(format!("no token to resume by in: {text}")),
        }
    }
}
