//! Clients that send request after request without a pause: their coroutines never have
//! to wait, and those of others must come to their turn all the same.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use super::alone;
use super::binary::Binary;
use super::support::{Client, get};

const HOGS: usize = 4;

#[test]
fn requests_without_end() {
    let _alone = alone();
    let server = Binary::serve(&[]);
    let batch = get("/nowhere", "").repeat(500);
    let hogs: Vec<_> = (0..HOGS).map(|_| Client::connect(server.public)).collect();
    std::thread::scope(|scope| {
        for hog in &hogs {
            let (mut writer, mut reader) = (hog.socket(), hog.socket());
            let batch = &batch;
            scope.spawn(move || while writer.write_all(batch.as_bytes()).is_ok() {});
            scope.spawn(move || {
                let mut answers = vec![0; 1 << 20];
                while reader.read(&mut answers).is_ok_and(|length| length > 0) {}
            });
        }
        let _end = HangUp(&hogs);
        std::thread::sleep(Duration::from_millis(300));
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
