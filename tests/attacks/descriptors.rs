//! File descriptors run out.

use std::process::Command;
use std::time::Duration;

use super::binary::Binary;
use super::procfs;
use super::sse::EventStream;
use super::support::{Client, wait_until};

const FILES: usize = 96;
const STREAMS: usize = 40;

#[test]
fn whoever_took_the_last_descriptor_is_not_sent_away_for_nobody() {
    let server = server();
    // Each takes the place of the one before where there is none.
    let mut silent: Vec<_> = (0..FILES)
        .map(|_| Client::connect(server.publish))
        .collect();
    // One that was inherited may have a number beyond the limit.
    let all_are_taken = || procfs::open_below(server.pid(), FILES) == FILES;
    wait_until("all descriptors are taken", all_are_taken);
    let mut late = Client::connect(server.public);
    drop(silent.pop());
    wait_until("the late one has the last", all_are_taken);
    assert_eq!(late.get("/nowhere").status, 404);
}

#[test]
fn when_descriptors_run_out_no_stream_is_lost_and_the_accept_loop_goes_on() {
    let server = server();
    let mut publisher = Client::connect(server.publish);
    let mut publish = |n: u64| {
        let body = format!(r#"{{"event":"progress","data":{{"n":{n}}}}}"#);
        assert_eq!(publisher.publish("a", &body).status, 201);
    };
    publish(0);
    let open = || EventStream::open(Client::connect(server.public), "/api/jobs/a/events", "");
    let mut streams: Vec<_> = (0..STREAMS).map(|_| open()).collect();
    for stream in &mut streams {
        assert_eq!(stream.event().n(), 0);
    }
    // Silent ones, at every listener, until there is nothing left, and then some.
    let silent: Vec<_> = (0..150)
        .map(|n| Client::connect([server.public, server.publish][n % 2]))
        .collect();
    wait_until("all descriptors are taken", || {
        procfs::open_files(server.pid()) >= FILES - 2
    });
    publish(1);
    for stream in &mut streams {
        assert_eq!(stream.event().n(), 1);
    }
    // Those who ask for something are served in place of those who don't.
    let mut late = open();
    assert_eq!(late.event().n(), 0);
    drop(late);
    // Then streams alone take them all: whoever comes waits, and nothing spins.
    drop(silent);
    // Each asks at once: who has asked for nothing yet would be sent away for the next.
    let ask = |_| {
        let mut asker = Client::connect(server.public);
        asker.send(super::support::get("/api/jobs/a/events", ""));
        asker
    };
    let askers: Vec<_> = (0..100).map(ask).collect();
    wait_until("they have all that there is", || {
        procfs::open_files(server.pid()) >= FILES - 1
    });
    let before = procfs::cpu_ticks(server.pid());
    std::thread::sleep(Duration::from_secs(1));
    let spent = procfs::cpu_ticks(server.pid()) - before;
    assert!(spent < 80, "{spent} of 100 ticks");
    publish(2);
    for stream in &mut streams {
        assert_eq!(stream.event().n(), 2);
    }
    // As soon as there are some again, everybody comes in.
    drop(askers);
    let mut late = open();
    assert_eq!(late.event().n(), 0);
    assert_eq!(Client::connect(server.public).get("/nowhere").status, 404);
}

fn server() -> Binary {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {FILES}; exec \"$0\" \"$@\"")]);
    command.arg(env!("CARGO_BIN_EXE_landfall"));
    let flags = [
        "--memory-only",
        "--head-timeout",
        "10s",
        "--max-streams",
        "500",
    ];
    Binary::started_by(command, &flags)
}
