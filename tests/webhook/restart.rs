//! Where a webhook stands survives the server.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use landfall::JournalConfig;
use rustix::process::{Pid, Signal, kill_process};

use crate::binary::Binary;
use crate::http::{publish, wait_until};
use crate::receiver::{Place, Received, Receiver, Reply};
use crate::support::{Hooked, count, toml_file};

fn hook(receiver: &Receiver, more: &str) -> String {
    let url = receiver.url("/");
    format!("[[webhook]]\nname = 'h'\nurl = '{url}'\nevents = ['*']\n{more}\n")
}

/// The webhook-ids that each event was told by.
fn ids(received: &[Received]) -> BTreeMap<u64, BTreeSet<String>> {
    let mut ids: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for it in received {
        let id = it.field("webhook-id").unwrap().to_owned();
        ids.entry(it.id()).or_default().insert(id);
    }
    ids
}

#[test]
fn a_server_that_begins_again_goes_on_where_it_was_with_the_same_ids() {
    let receiver = Receiver::answering(|received| {
        let is_last = received.json()["type"] == "job.done";
        Reply::Status(if is_last { 500 } else { 200 })
    });
    let folder = tempfile::tempdir().unwrap();
    let toml = hook(&receiver, "retry_first = '100ms'\nretry_most = '100ms'");
    let server = Hooked::on(folder.path(), &toml);
    let taken = server.publish("a", "progress", "{}");
    let refused = server.done("a");
    server.wait_for_count("h", "delivered", 1);
    receiver.wait_for(3);
    server.stop();
    let before = receiver.received().len();
    let server = Hooked::on(folder.path(), &toml);
    let new = server.publish("b", "progress", "{}");
    receiver.wait_for(before + 4);
    server.wait_for_count("h", "delivered", 1);
    let all = receiver.received();
    let again: Vec<u64> = all[before..].iter().map(Received::id).collect();
    assert!(!again.contains(&taken), "{again:?}: it was taken");
    assert!(
        again.contains(&refused) && again.contains(&new),
        "{again:?}"
    );
    let ids = ids(&all);
    assert!(ids.values().all(|of_event| of_event.len() == 1), "{ids:?}");
    assert_eq!(ids.len(), 3, "and each has its own");
}

#[test]
fn a_server_that_is_killed_tells_everything_at_least_once_by_the_same_ids() {
    let receiver = Receiver::answering(|_| Reply::Late(Duration::from_millis(5), 200));
    let folder = tempfile::tempdir().unwrap();
    let config = toml_file(folder.path(), &hook(&receiver, ""));
    let data = folder.path().join("data");
    let start = || {
        let flags = ["--config", config.to_str().unwrap(), "--ring-events", "8"];
        Binary::serve_keeping(data.to_str().unwrap(), &flags)
    };
    let mut published = Vec::new();
    for round in 0..4 {
        let mut server = start();
        for n in 0..50 {
            let job = format!("job{}", n % 5);
            let data = format!("{{\"round\":{round},\"n\":{n}}}");
            published.push(publish(server.publish, &job, "progress", &data));
        }
        receiver.wait_for(published.len() - 30);
        server.kill();
    }
    let server = start();
    wait_until("all are told", || {
        let told: BTreeSet<u64> = receiver.received().iter().map(Received::id).collect();
        published.iter().all(|id| told.contains(id))
    });
    assert_eq!(count(server.ops, "h", "lost"), 0);
    let received = receiver.received();
    let ids = ids(&received);
    assert!(ids.values().all(|of_event| of_event.len() == 1), "{ids:?}");
    // What is told first is in order, job by job.
    let mut newest: BTreeMap<String, u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for it in received.iter().filter(|it| seen.insert(it.id())) {
        let before = newest.insert(it.job(), it.id()).unwrap_or(0);
        assert!(before < it.id(), "{before} before {}", it.id());
    }
}

/// A server that wasn't started here; it ends with the test.
struct Successor(Pid);

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

#[test]
fn a_server_that_takes_anothers_place_goes_on_where_that_was() {
    let receiver = Receiver::answering(|_| Reply::Late(Duration::from_millis(10), 200));
    let folder = tempfile::tempdir().unwrap();
    let config = toml_file(folder.path(), &hook(&receiver, ""));
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let mut program = Command::new(env!("CARGO_BIN_EXE_landfall"));
    program.stderr(File::create(&log).unwrap());
    let (data, config) = (data.to_str().unwrap(), config.to_str().unwrap());
    let flags = ["--data", data, "--config", config, "--drain-spread", "10ms"];
    let server = Binary::started_by(program, &flags);
    let tell = |n: usize| publish(server.publish, &format!("job{}", n % 5), "progress", "{}");
    let mut published: Vec<u64> = (0..50).map(tell).collect();
    let old = Pid::from_raw(server.pid() as i32).unwrap();
    kill_process(old, Signal::USR2).unwrap();
    published.extend((0..50).map(tell));
    let mut successor = None;
    wait_until("another has taken the place", || {
        let log = std::fs::read_to_string(&log).unwrap();
        let line = log
            .lines()
            .find(|line| line.contains("has taken the place"));
        let id = line.and_then(|line| {
            line.split("process ")
                .nth(1)?
                .split(' ')
                .next()?
                .parse()
                .ok()
        });
        successor = id.and_then(Pid::from_raw).map(Successor);
        successor.is_some()
    });
    published.extend((0..50).map(tell));
    wait_until("all are told", || {
        let told: BTreeSet<u64> = receiver.received().iter().map(Received::id).collect();
        published.iter().all(|id| told.contains(id))
    });
    let ids = ids(&receiver.received());
    assert!(ids.values().all(|of_event| of_event.len() == 1), "{ids:?}");
}

#[test]
fn with_memory_only_what_has_left_its_ring_is_counted_and_the_rest_is_told() {
    let place = Place::new();
    let address = place.address();
    let folder = tempfile::tempdir().unwrap();
    let toml = format!(
        "[[webhook]]\nname = 'h'\nurl = 'http://{address}/'\nevents = ['*']\nwaiting = 1\n\
         retry_first = '50ms'\nretry_most = '50ms'\n"
    );
    let server = Hooked::with(folder.path(), &toml, |config| {
        config.data = None;
        config.hub.ring.events = 4;
    });
    let all: Vec<u64> = (0..100)
        .map(|_| server.publish("a", "progress", "{}"))
        .collect();
    let receiver = place.open();
    wait_until("the newest is told", || {
        receiver.received().iter().any(|it| it.id() == all[99])
    });
    let told: Vec<u64> = receiver.received().iter().map(Received::id).collect();
    assert_eq!(told[told.len() - 4..], all[96..], "{told:?}");
    assert!(server.count("h", "lost") > 0);
}

#[test]
fn with_memory_only_a_webhook_begins_with_the_next_event() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let config = toml_file(folder.path(), &hook(&receiver, ""));
    let flags = ["--config", config.to_str().unwrap()];
    for n in 1..=2 {
        let mut server = Binary::serve(&flags);
        let id = publish(server.publish, "a", "done", "{}");
        assert_eq!(receiver.wait_for(n)[n - 1].id(), id);
        assert!(server.stop().success());
    }
    let ids = ids(&receiver.received());
    assert_eq!(ids.len(), 2);
}

#[test]
fn what_is_no_longer_kept_is_counted_and_the_rest_is_told() {
    let place = Place::new();
    let address = place.address();
    let folder = tempfile::tempdir().unwrap();
    let toml = format!(
        "[[webhook]]\nname = 'h'\nurl = 'http://{address}/'\nevents = ['*']\nwaiting = 10\n\
         retry_first = '50ms'\nretry_most = '100ms'\n"
    );
    let server = Hooked::with(folder.path(), &toml, |config| {
        config.hub.ring.events = 2;
        config.journal = JournalConfig::with(|config| {
            config.bytes = 512 * 1024;
        });
    });
    let fill = "x".repeat(2000);
    let all: Vec<u64> = (0..1000)
        .map(|n| {
            server.publish(
                "a",
                "progress",
                &format!("{{\"n\":{n},\"fill\":\"{fill}\"}}"),
            )
        })
        .collect();
    let receiver = place.open();
    let last = all[all.len() - 1];
    wait_until("the newest is told", || {
        receiver.received().iter().any(|it| it.id() == last)
    });
    assert!(server.count("h", "lost") > 0);
    let told: Vec<u64> = receiver.received().iter().map(Received::id).collect();
    assert!(told.is_sorted(), "{told:?}");
    assert!(told.len() > 20 && told.len() < 900, "{}", told.len());
}

#[test]
fn a_file_that_is_no_webhooks_keeps_the_server_from_starting_with_what_to_do() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let toml = hook(&receiver, "");
    Hooked::on(folder.path(), &toml).stop();
    let file = folder.path().join("data/webhooks/h.json");
    assert!(file.exists());
    std::fs::write(&file, "nonsense").unwrap();
    let error = try_start(folder.path(), &toml);
    assert!(
        error.contains("h.json") && error.contains("remove it"),
        "{error}"
    );
}

fn try_start(folder: &Path, toml: &str) -> String {
    let mut config = landfall::ServerConfig::with(|config| {
        config.listen = "127.0.0.1:0".parse().unwrap();
        config.publish = "127.0.0.1:0".parse().unwrap();
        config.ops = "127.0.0.1:0".parse().unwrap();
        config.data = Some(folder.join("data"));
    });
    config.pipeline.file = Some(toml_file(folder, toml));
    match landfall::Server::start(config) {
        Ok(_) => panic!("it starts"),
        Err(error) => error.to_string(),
    }
}
