//! SIGKILL at any moment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::support::{Client, House, PATIENCE, bytes, digest};

/// So many are to be acknowledged.
const UPLOADS: usize = 20;

/// Uploads files one after the other, whatever becomes of the server, and writes down
/// those that were acknowledged, until they are enough.
fn upload(
    address: std::net::SocketAddr,
    thread: u64,
    acknowledged: &Mutex<BTreeMap<String, String>>,
) {
    let begun = Instant::now();
    for number in 0.. {
        let is_enough = acknowledged.lock().unwrap().len() >= UPLOADS;
        if is_enough || begun.elapsed() > 4 * PATIENCE {
            return;
        }
        let job = format!("job-{thread}-{number}");
        let body = bytes(
            thread * 1000 + number,
            1 + (number as usize * 77_777) % 900_000,
        );
        let Ok(stream) = std::net::TcpStream::connect(address) else {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client(stream);
        let head = format!(
            "POST /api/uploads?job={job} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        client.send(head.as_bytes());
        client.send(&body);
        let mut start = [0; 12];
        if std::io::Read::read_exact(&mut client.0, &mut start).is_ok() && &start == b"HTTP/1.1 201"
        {
            acknowledged.lock().unwrap().insert(job, digest(&body));
        }
    }
}

#[test]
fn after_kills_at_random_every_acknowledged_upload_is_there_and_nothing_else() {
    let mut house = House::start(&["--upload-rate", "100000"]);
    let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
    // A slow machine has time for what it does.
    let begun = Instant::now();
    house.post("typical", &bytes(1, 900_000));
    let most = 150 + 4 * begun.elapsed().as_millis() as u64;
    let threads: Vec<_> = (0..5)
        .map(|thread| {
            let (address, acknowledged) = (house.public, acknowledged.clone());
            std::thread::spawn(move || upload(address, thread, &acknowledged))
        })
        .collect();
    let mut moment = 0x1234_5678_u64;
    let mut kills = 0;
    while threads.iter().any(|thread| !thread.is_finished()) || kills < 5 {
        moment = moment
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        std::thread::sleep(Duration::from_millis(5 + (moment >> 40) % most));
        house.kill();
        house.revive();
        kills += 1;
    }
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let acknowledged = acknowledged.lock().unwrap();
    println!("{} acknowledged, {kills} kills", acknowledged.len());
    assert!(acknowledged.len() >= UPLOADS);
    for (job, expected) in &*acknowledged {
        assert_eq!(digest(&house.stored(job)), *expected, "{job}");
    }
    house.wait_for_empty_spool();
}
