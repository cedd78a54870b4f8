//! A copy of the data directory that is made while the server writes to it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use super::at_end::StopAtEnd;
use super::support::Process;

const JOBS: u64 = 20;

/// As the operating guide says: again, where a file went while it was copied.
fn copy(from: &Path, to: &Path) {
    for _ in 0..100 {
        let _ = std::fs::remove_dir_all(to);
        let mut cp = Command::new("cp");
        cp.arg("-a").arg(from).arg(to).stderr(Stdio::null());
        if cp.status().unwrap().success() {
            return;
        }
    }
    panic!("there was never a whole copy");
}

/// The newest event of each job: its number, and its `n`.
fn newest(server: &Process) -> Vec<(u64, u64)> {
    let of_job = |job| {
        let snapshot = server.snapshot(&format!("job{job}")).json();
        let id = snapshot["lastEventId"].as_str().unwrap().parse().unwrap();
        (id, snapshot["lastEvent"]["data"]["n"].as_u64().unwrap())
    };
    (0..JOBS).map(of_job).collect()
}

#[test]
fn a_copy_made_while_the_server_writes_has_everything_up_to_it() {
    let data = tempfile::tempdir().unwrap();
    let copies = tempfile::tempdir().unwrap();
    let server = Process::start(data.path(), &["--journal-bytes", "4MiB"]);
    let padding = "x".repeat(2000);
    let publish = |n: u64| {
        let line = |job| {
            format!(
                "{{\"job\":\"job{job}\",\"event\":\"progress\",\"data\":{{\"n\":{n},\"p\":\"{padding}\"}}}}\n"
            )
        };
        let lines: String = (0..JOBS).map(line).collect();
        server.publish_where_room_is_made("/api/events", &lines);
    };
    publish(0);
    let has_ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut n = 1;
            while !has_ended.load(Ordering::Relaxed) {
                publish(n);
                n += 1;
            }
        });
        let stop = StopAtEnd(&has_ended);
        for round in 0..8 {
            // Whatever there is when the last try begins is there at the first one's, too.
            let before = newest(&server);
            let to = copies.path().join(format!("copy{round}"));
            copy(data.path(), &to);
            let restored = Process::start(&to, &["--journal-bytes", "4MiB"]);
            for (job, (then, now)) in before.iter().zip(newest(&restored)).enumerate() {
                assert!(now >= *then, "job{job}: {now:?} after {then:?}");
            }
            restored.kill();
        }
        drop(stop);
        writer.join().unwrap();
    });
}
