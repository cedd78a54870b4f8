//! A receiver that is slow or dead is nobody else's matter.

use std::time::{Duration, Instant};

use crate::binary::Binary;
use crate::http::{post, wait_until};
use crate::receiver::{Place, Receiver, Reply};
use crate::support::{Hooked, count, toml_file};

#[test]
fn a_dead_and_a_silent_webhook_delay_no_event_and_no_other_webhook() {
    let nobody = Place::new();
    let dead = nobody.address();
    let silent = Receiver::answering(|_| Reply::Never);
    let live = Receiver::start();
    let server = Hooked::start(&format!(
        "[[webhook]]\nname = 'dead'\nurl = 'http://{dead}/'\n\
         [[webhook]]\nname = 'silent'\nurl = '{}'\ntimeout = '10m'\n\
         [[webhook]]\nname = 'live'\nurl = '{}'\n",
        silent.url("/"),
        live.url("/")
    ));
    let begin = Instant::now();
    for n in 0..200 {
        server.done(&format!("job{n}"));
    }
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?} for 200 events");
    live.wait_for(200);
    server.wait_for_count("live", "delivered", 200);
    assert_eq!(server.count("silent", "delivered"), 0);
    let at_once = silent.wait_for(4).len();
    assert_eq!(at_once, 4, "no more at once than it is let have");
    // It ends soon, whatever is under way.
    let begin = Instant::now();
    server.stop();
    assert!(
        begin.elapsed() < Duration::from_secs(60),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn thousands_of_events_for_a_dead_receiver_take_no_memory_and_arrive_when_it_lives() {
    const JOBS: usize = 50;
    const EVENTS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new();
    let address = place.address();
    let toml = format!(
        "[[webhook]]\nname = 'h'\nurl = 'http://{address}/'\nevents = ['*']\nwaiting = 100\n\
         concurrency = 8\nretry_first = '50ms'\nretry_most = '1s'\n"
    );
    let config = toml_file(folder.path(), &toml);
    let data = folder.path().join("data");
    let flags = ["--config", config.to_str().unwrap(), "--ring-events", "4"];
    let server = Binary::serve_keeping(data.to_str().unwrap(), &flags);
    // One that has no webhook, beside it.
    let plain = folder.path().join("plain");
    let plain = Binary::serve_keeping(plain.to_str().unwrap(), &flags[2..]);
    let publish = |from: usize, to: usize| {
        for n in from..to {
            let lines: String = (0..JOBS)
                .map(|job| {
                    let data = format!("{{\"n\":{n},\"fill\":\"{}\"}}", "x".repeat(4000));
                    format!("{{\"job\":\"job{job}\",\"event\":\"progress\",\"data\":{data}}}\n")
                })
                .collect();
            for address in [server.publish, plain.publish] {
                let answer = post(address, "/api/events", "application/x-ndjson", &lines);
                assert_eq!(answer.status, 201, "{answer:?}");
            }
        }
    };
    publish(0, 20);
    wait_until("it is dead", || count(server.ops, "h", "failed") > 100);
    let before = [&server, &plain].map(|it| resident_kib(it.pid()));
    publish(20, EVENTS);
    let after = [&server, &plain].map(|it| resident_kib(it.pid()));
    // 2,000 events of 4 KB: 8 MB where they were kept for it.
    let more = (after[0] + before[1]).saturating_sub(before[0] + after[1]);
    assert!(
        more < 3072,
        "{more} KiB more: {before:?}, and then {after:?}"
    );
    let receiver = place.open();
    // As long as more and more arrive.
    for hundreds in 1..=JOBS * EVENTS / 100 {
        receiver.wait_for(hundreds * 100);
    }
    let mut next = [0; JOBS];
    for it in receiver.received() {
        let job: usize = it.job()[3..].parse().unwrap();
        assert_eq!(it.json()["data"]["n"], next[job], "job{job}");
        next[job] += 1;
    }
    assert_eq!(next, [EVENTS; JOBS]);
    assert_eq!(count(server.ops, "h", "lost"), 0);
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
