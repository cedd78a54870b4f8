//! The randomised reconnect tests: whatever is cut and wherever, every client ends with
//! every event exactly once and in order.

use std::collections::HashMap;
use std::time::Duration;

use landfall::{Event, ServerConfig};

use super::herd::{self, Commit, Member, Numbers, Pace};
use super::support::TestServer;

/// Events that may be published ahead of what half the herd has had.
const AHEAD: u64 = 60;

fn roomy(config: &mut ServerConfig) {
    config.hub.ring.events = 10_000;
    config.hub.ring.bytes = 4 << 20;
    // Comments fall between frames, wherever they may.
    config.shard.heartbeat = Duration::from_millis(40);
}

fn commit(at: usize) -> Commit {
    [Commit::AtBlankLine, Commit::AtIdLine][at % 2]
}

#[test]
fn two_hundred_clients_cut_at_random_bytes_have_every_event_once_and_in_order() {
    let (clients, events) = (200, 2_000);
    let seed = herd::seed();
    let server = TestServer::with(roomy);
    let mut members: Vec<Member> = (0..clients)
        .map(|at| {
            let target = "/api/jobs/a/events";
            Member::new(server.public_address(), target, commit(at))
        })
        .collect();
    let pace = Pace::default();
    let ids = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let mut numbers = Numbers::new(!seed);
            let mut client = server.publishing();
            let mut ids = Vec::new();
            for n in 0..events {
                pace.wait_for((n as u64).saturating_sub(AHEAD) * clients as u64 / 2);
                let text = "x".repeat(numbers.below(80) as usize);
                let name = if n + 1 == events { "done" } else { "progress" };
                let data = format!("{{\"n\":{n},\"t\":\"{text}\"}}");
                let body = format!("{{\"event\":\"{name}\",\"data\":{data}}}");
                let answer = client.publish("a", &body);
                ids.push(answer.json()["id"].as_u64().unwrap());
            }
            ids
        });
        let connections = herd::run(&mut members, &mut Numbers::new(seed), &pace);
        assert!(connections > 3 * clients, "the clients were hardly cut");
        publisher.join().unwrap()
    });
    for member in &members {
        let seen: Vec<u64> = member.frames.iter().map(|frame| frame.id).collect();
        assert_eq!(seen, ids);
        for (n, frame) in member.frames.iter().enumerate() {
            assert_eq!(frame.json()["n"], n);
        }
    }
    assert_eq!(server.metric("landfall_resets_sent_total"), 0);
    assert_eq!(server.metric("landfall_panics_total"), 0);
}

#[test]
fn consolidated_streams_cut_at_random_bytes_only_grow_and_lose_nothing() {
    let (clients, publishers, jobs, each) = (100, 8, 20, 250);
    let seed = herd::seed();
    let server = TestServer::with(roomy);
    let query: Vec<String> = (0..jobs).map(|job| format!("job=j{job}")).collect();
    let listed = format!("/api/events?{}", query.join("&"));
    let mut members: Vec<Member> = (0..clients)
        .map(|at| Member::new(server.public_address(), &listed, commit(at)))
        .collect();
    let pace = Pace::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::scope(|scope| {
                for publisher in 0..publishers {
                    let (server, pace) = (&server, &pace);
                    scope.spawn(move || {
                        let mut numbers = Numbers::new(seed ^ publisher << 32);
                        let mut client = server.publishing();
                        for k in 0..each as u64 {
                            let ahead = (k * publishers).saturating_sub(AHEAD);
                            pace.wait_for(ahead * clients as u64 / 2);
                            let job = numbers.below(jobs);
                            let data = format!("{{\"p\":{publisher},\"k\":{k}}}");
                            let body = format!("{{\"event\":\"progress\",\"data\":{data}}}");
                            assert_eq!(client.publish(&format!("j{job}"), &body).status, 201);
                        }
                    });
                }
            });
            for job in 0..jobs {
                server.done(&format!("j{job}"));
            }
        });
        let connections = herd::run(&mut members, &mut Numbers::new(seed), &pace);
        assert!(connections > 3 * clients, "the clients were hardly cut");
    });
    for member in &members {
        let frames = &member.frames;
        assert!(frames.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert_eq!(frames.len(), publishers as usize * each + jobs as usize);
        // A publisher's events are in the order it published them in.
        let mut next = HashMap::new();
        for frame in frames.iter().filter(|frame| frame.event == "progress") {
            let json = frame.json();
            let expected = next.entry(json["p"].as_u64().unwrap()).or_insert(0);
            assert_eq!(json["k"], *expected, "{frame:?}");
            *expected += 1;
        }
        assert_eq!(*frames, members[0].frames, "all have had the same");
    }
    assert_eq!(server.metric("landfall_resets_sent_total"), 0);
}

/// Where a shard sleeps and a job has few streams, the publisher's thread sends; here it is
/// one of eight, and the shard's own, by turns.
#[test]
fn jobs_with_few_streams_lose_nothing_whichever_thread_sends() {
    let (jobs, each, events) = (8, 2, 2_000);
    let seed = herd::seed();
    let server = TestServer::with(roomy);
    let mut members: Vec<Member> = (0..jobs * each)
        .map(|at| {
            let target = match at % 3 {
                0 => format!("/api/events?job=j{}", at % jobs),
                _ => format!("/api/jobs/j{}/events", at % jobs),
            };
            Member::new(server.public_address(), &target, commit(at))
        })
        .collect();
    let pace = Pace::default();
    std::thread::scope(|scope| {
        for job in 0..jobs {
            let (server, pace) = (&server, &pace);
            scope.spawn(move || {
                let job = format!("j{job}").parse().unwrap();
                for n in 0..events {
                    pace.wait_for((n as u64).saturating_sub(AHEAD) * (jobs * each) as u64 / 2);
                    let name = if n + 1 == events { "done" } else { "progress" };
                    let event = Event::new(name, &format!("{{\"n\":{n}}}")).unwrap();
                    server.jobs().publish(&job, event).unwrap();
                }
            });
        }
        let connections = herd::run(&mut members, &mut Numbers::new(seed), &pace);
        assert!(connections > 3 * jobs * each, "the clients were hardly cut");
    });
    for member in &members {
        let seen: Vec<u64> = member
            .frames
            .iter()
            .map(|frame| frame.json()["n"].as_u64().unwrap())
            .collect();
        assert_eq!(seen, (0..events as u64).collect::<Vec<_>>());
    }
    assert_eq!(server.metric("landfall_resets_sent_total"), 0);
    assert_eq!(server.metric("landfall_panics_total"), 0);
}

/// With a small ring events do get lost to clients that are away; they are told so.
#[test]
fn clients_cut_while_a_small_ring_turns_over_have_every_event_or_a_reset() {
    let (clients, events) = (60, 3_000);
    let seed = herd::seed();
    let server = TestServer::with(|config| config.hub.ring.events = 16);
    let targets = ["/api/jobs/a/events", "/api/events?job=a&job=b"];
    let mut members: Vec<Member> = (0..clients)
        .map(|at| {
            let target = targets[at / 2 % 2];
            Member::new(server.public_address(), target, commit(at))
        })
        .collect();
    let pace = Pace::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            server.progress("b", 0);
            for n in 0_u64..events {
                pace.wait_for(n.saturating_sub(AHEAD) / 4);
                server.progress("a", n);
            }
            server.done("a");
            server.done("b");
        });
        // How often they are cut depends on how much of the ring's turning they see.
        herd::run(&mut members, &mut Numbers::new(seed), &pace);
    });
    let mut resets = 0;
    for member in &members {
        let is_consolidated = member.frames.iter().any(|f| f.json()["jobId"] == "b");
        let mut last = None;
        for frame in &member.frames {
            let json = frame.json();
            if frame.event == "reset" {
                resets += 1;
                assert_eq!(json["reason"], "expired");
                let no_further = |&id: &u64| id <= frame.id;
                assert!(last.as_ref().is_none_or(no_further), "{frame:?}");
            } else if !is_consolidated {
                // While only this job has events there are no gaps but those that a reset has
                // told of.
                let expected = last.map_or(frame.id, |id: u64| id + 1);
                assert_eq!(frame.id, expected, "a silent skip: {frame:?}");
            } else {
                assert!(last.is_none_or(|id| id < frame.id), "{frame:?}");
            }
            last = Some(frame.id);
        }
    }
    assert!(resets > 0, "nothing was lost, so nothing was tested");
}
