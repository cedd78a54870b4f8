//! Clients that send request after request without a pause: their coroutines never have
//! to wait, and those of others must come to their turn all the same.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::alone;
use super::binary::Binary;
use super::support::{Client, get, wait_until};

const HOGS: usize = 4;

#[test]
fn requests_without_end() {
    let _alone = alone();
    let server = Binary::serve(&[]);
    let batch = get("/nowhere", "").repeat(500);
    let hogs: Vec<_> = (0..HOGS).map(|_| Client::connect(server.public)).collect();
    let answered: [AtomicUsize; HOGS] = Default::default();
    std::thread::scope(|scope| {
        for (hog, answered) in hogs.iter().zip(&answered) {
            let (mut writer, mut reader) = (hog.socket(), hog.socket());
            let batch = &batch;
            scope.spawn(move || while writer.write_all(batch.as_bytes()).is_ok() {});
            scope.spawn(move || {
                let mut answers = vec![0; 1 << 20];
                while let Ok(length @ 1..) = reader.read(&mut answers) {
                    answered.fetch_add(length, Ordering::Relaxed);
                }
            });
        }
        let _end = HangUp(&hogs);
        // More than one batch's: each of them is under way.
        wait_until("every hog is answered without end", || {
            let bytes = answered
                .each_ref()
                .map(|bytes| bytes.load(Ordering::Relaxed));
            bytes.iter().all(|&bytes| bytes > batch.len())
        });
        let mut times: Vec<Duration> = (0..20)
            .map(|_| {
                let begin = Instant::now();
                assert_eq!(Client::connect(server.public).get("/elsewhere").status, 404);
                begin.elapsed()
            })
            .collect();
        times.sort();
        println!("{:?} in the median, {:?} at most", times[10], times[19]);
    });
}

/// Ends the hogs, however the test ends.
struct HangUp<'a>(&'a [Client]);

impl Drop for HangUp<'_> {
    fn drop(&mut self) {
        for hog in self.0 {
            let _ = hog.socket().shutdown(Shutdown::Both);
        }
    }
}
