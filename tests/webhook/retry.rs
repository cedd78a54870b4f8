//! What isn't taken is tried again.

use std::fs::File;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::binary::Binary;
use crate::http::{publish, wait_until};
use crate::receiver::{Place, Received, Receiver, Reply};
use crate::support::{Hooked, count, toml_file};

/// A receiver that fails this many times, and then takes everything.
fn failing(times: usize, status: u16) -> Receiver {
    let left = Arc::new(AtomicUsize::new(times));
    Receiver::answering(move |_| {
        let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |it| it.checked_sub(1));
        Reply::Status(if taken.is_ok() { status } else { 200 })
    })
}

fn hook(receiver: &Receiver, more: &str) -> String {
    let url = receiver.url("/");
    format!("[[webhook]]\nname = 'h'\nurl = '{url}'\n{more}\n")
}

fn waits(received: &[Received]) -> Vec<Duration> {
    let pairs = received.windows(2);
    pairs.map(|pair| pair[1].at - pair[0].at).collect()
}

#[test]
fn a_try_again_has_the_same_id_and_body_and_each_wait_is_longer() {
    let receiver = failing(4, 500);
    let server = Hooked::start(&hook(&receiver, "retry_first = '100ms'"));
    server.publish("a", "error", r#"{"message":"no"}"#);
    let received = receiver.wait_for(5);
    server.wait_for_count("h", "delivered", 1);
    for it in &received {
        assert_eq!(it.field("webhook-id"), received[0].field("webhook-id"));
        assert_eq!(it.body, received[0].body);
    }
    // 100, 200, 400 and 800 ms, each with up to half of it more.
    for (wait, least) in waits(&received).into_iter().zip([100, 200, 400, 800]) {
        assert!(
            wait >= Duration::from_millis(least),
            "{wait:?} of {least} ms"
        );
    }
    assert_eq!(server.count("h", "failed"), 4);
    assert_eq!(server.count("h", "given_up"), 0);
}

#[test]
fn of_a_job_nothing_is_told_before_what_it_had_first_and_other_jobs_go_on() {
    let receiver = Receiver::answering(|received| {
        let data = &received.json()["data"];
        let is_first_of_a = data["jobId"] == "a" && data["n"] == 1;
        Reply::Status(if is_first_of_a { 503 } else { 200 })
    });
    let more = "events = ['*']\nretry_first = '50ms'\nretry_most = '50ms'\nretry_for = '1s'";
    let server = Hooked::start(&hook(&receiver, more));
    for n in 1..=5 {
        server.publish("a", "progress", &format!("{{\"n\":{n}}}"));
        server.publish("b", "progress", &format!("{{\"n\":{n}}}"));
    }
    server.wait_for_count("h", "delivered", 9);
    assert_eq!(server.count("h", "given_up"), 1);
    let of = |job: &str| {
        let received = receiver.received().into_iter();
        let of_job = received.filter(|it| it.job() == job);
        let mut numbers: Vec<i64> = of_job
            .map(|it| it.json()["data"]["n"].as_i64().unwrap())
            .collect();
        numbers.dedup();
        numbers
    };
    assert_eq!(
        of("a"),
        [1, 2, 3, 4, 5],
        "the first, until it is given up, and then the rest"
    );
    assert_eq!(of("b"), [1, 2, 3, 4, 5]);
    let received = receiver.received();
    let last_of_b = received.iter().rposition(|it| it.job() == "b").unwrap();
    let second_of_a = received
        .iter()
        .position(|it| it.json()["data"]["n"] == 2 && it.job() == "a");
    assert!(last_of_b < second_of_a.unwrap(), "b didn't wait for a");
}

#[test]
fn what_is_tried_as_long_as_it_may_be_is_given_up_with_the_last_try_at_the_end() {
    let receiver = Receiver::answering(|_| Reply::Status(500));
    let more = "retry_first = '50ms'\nretry_most = '10s'\nretry_for = '600ms'";
    let server = Hooked::start(&hook(&receiver, more));
    let begin = Instant::now();
    server.done("a");
    server.wait_for_count("h", "given_up", 1);
    let all = begin.elapsed();
    // Whole milliseconds are counted.
    assert!(all >= Duration::from_millis(595), "{all:?}");
    let received = receiver.received();
    assert_eq!(server.count("h", "failed"), received.len() as u64);
    assert_eq!(server.count("h", "delivered"), 0);
}

#[test]
fn a_receiver_that_wants_an_event_never_again_is_not_asked_again() {
    let receiver = Receiver::answering(|_| Reply::Status(410));
    let server = Hooked::start(&hook(&receiver, "retry_first = '10ms'"));
    server.done("a");
    server.wait_for_count("h", "given_up", 1);
    server.done("b");
    server.wait_for_count("h", "given_up", 2);
    assert_eq!(receiver.received().len(), 2);
}

#[test]
fn a_receiver_says_how_long_to_wait_but_no_longer_than_the_longest_wait() {
    let asked = Arc::new(AtomicUsize::new(0));
    let receiver = Receiver::answering(move |_| {
        let wait = match asked.fetch_add(1, Ordering::SeqCst) {
            0 => "1",
            1 => "999999999999999999",
            _ => return Reply::Status(200),
        };
        Reply::Bytes(format!(
            "HTTP/1.1 429 X\r\nRetry-After: {wait}\r\nContent-Length: 0\r\n\r\n"
        ))
    });
    let more = "retry_first = '10ms'\nretry_most = '2s'";
    let server = Hooked::start(&hook(&receiver, more));
    server.done("a");
    let waits = waits(&receiver.wait_for(3));
    assert!(waits[0] >= Duration::from_secs(1), "{waits:?}");
    assert!(waits[1] >= Duration::from_secs(2), "{waits:?}");
}

#[test]
fn no_more_requests_are_under_way_than_the_webhook_is_let_have() {
    let (open, is_open) = crossbeam_channel::bounded::<()>(0);
    let receiver = Receiver::answering(move |_| {
        // Until all that may be under way is.
        let _ = is_open.recv();
        Reply::Late(Duration::from_millis(20), 200)
    });
    let server = Hooked::start(&hook(&receiver, "concurrency = 3"));
    for n in 0..20 {
        server.done(&format!("job{n}"));
    }
    receiver.wait_for(3);
    drop(open);
    server.wait_for_count("h", "delivered", 20);
    assert_eq!(receiver.most_at_once(), 3);
}

#[test]
fn when_somebody_is_there_again_what_nobody_heard_goes_out_at_once() {
    let place = Place::new();
    let address = place.address();
    let server = Hooked::start(&format!(
        "[[webhook]]\nname = 'h'\nurl = 'http://{address}/'\nretry_first = '1h'\nretry_most = '1h'\n"
    ));
    for n in 0..10 {
        server.done(&format!("job{n}"));
    }
    server.wait_for_count("h", "failed", 10);
    let receiver = place.open();
    // Their own turns are in an hour. One that is new finds out.
    server.done("new");
    receiver.wait_for(11);
    server.wait_for_count("h", "delivered", 11);
}

#[test]
fn what_is_given_up_is_logged_with_its_job_and_why_and_without_what_may_be_a_secret() {
    let receiver = Receiver::answering(|_| {
        Reply::Bytes("HTTP/1.1 500 X\r\nContent-Length: 7\r\n\r\nno\nroom".to_owned())
    });
    let folder = tempfile::tempdir().unwrap();
    let url = receiver.url("/services/secret");
    let toml = format!("[[webhook]]\nurl = '{url}'\nretry_first = '20ms'\nretry_for = '50ms'\n");
    let config = toml_file(folder.path(), &toml);
    let log = folder.path().join("log");
    let mut program = Command::new(env!("CARGO_BIN_EXE_landfall"));
    program.stderr(File::create(&log).unwrap());
    let flags = ["--memory-only", "--config", config.to_str().unwrap()];
    let server = Binary::started_by(program, &flags);
    let id = publish(server.publish, "up_1", "done", "{}");
    let name = receiver.address.to_string();
    wait_until("it is given up", || {
        count(server.ops, &name, "given_up") == 1
    });
    let first = format!(
        "webhook {name}: done of job up_1 (event {id}): status 500: no room: tried again in "
    );
    let last = format!("webhook {name}: given up on done of job up_1 (event {id}) after ");
    let read = || std::fs::read_to_string(&log).unwrap();
    // The log is written by a thread of its own.
    wait_until("the log says so", || read().contains(&last));
    let log = read();
    assert!(log.contains(&first), "{log}");
    assert!(!log.contains("secret"), "{log}");
}
