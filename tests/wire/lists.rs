//! The list of jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;

use super::at_end::StopAtEnd;
use super::consolidated::all;
use super::support::{Client, TestServer, job_id, wait_until};

fn page(client: &mut Client, query: &str) -> Value {
    let answer = client.get(&format!("/api/jobs?{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    answer.json()
}

/// All pages, `query` and the limit given.
fn pages(client: &mut Client, query: &str) -> Vec<Value> {
    let mut pages = vec![page(client, query)];
    while let Some(next) = pages.last().unwrap()["next"].as_u64() {
        pages.push(page(client, &format!("{query}&after={next}")));
    }
    pages
}

fn jobs(page: &Value) -> impl Iterator<Item = &Value> {
    page["jobs"].as_array().unwrap().iter()
}

fn names(page: &Value) -> Vec<&str> {
    jobs(page).map(name).collect()
}

fn name(snapshot: &Value) -> &str {
    snapshot["jobId"].as_str().unwrap()
}

fn last_id(snapshot: &Value) -> u64 {
    let id = snapshot["lastEventId"].as_str().unwrap();
    id.parse().unwrap()
}

#[test]
fn a_list_is_of_snapshots_and_takes_a_prefix_a_state_and_a_limit() {
    let server = TestServer::start();
    let client = &mut server.publishing();
    let at = landfall::internals::hub(server.jobs()).published().0;
    assert_eq!(
        page(client, ""),
        serde_json::json!({"at": at, "jobs": [], "next": null})
    );
    server.progress("user1.a", 1);
    server.done("user1.b");
    server.event("user2.a", "error", r#"{"message":"no"}"#);
    let at = server.progress("user1.c", 2);
    let all = page(client, "");
    assert_eq!(names(&all), ["user1.c", "user2.a", "user1.b", "user1.a"]);
    assert_eq!((&all["at"], &all["next"]), (&at.into(), &Value::Null));
    let snapshot = client.get("/api/jobs/user2.a").json();
    assert_eq!(all["jobs"][1], snapshot);

    let of_user = page(client, "prefix=user1.&limit=2");
    assert_eq!(names(&of_user), ["user1.c", "user1.b"]);
    let rest = page(client, &format!("prefix=user1.&after={}", of_user["next"]));
    assert_eq!(names(&rest), ["user1.a"]);
    assert_eq!(names(&page(client, "state=error&prefix=")), ["user2.a"]);
    assert_eq!(names(&page(client, "state=running&limit=1")), ["user1.c"]);
    assert_eq!(names(&page(client, "prefix=user3.")), [""; 0]);
    // What was deleted is no job.
    server.jobs().delete(&job_id("user1.c"), None).unwrap();
    assert_eq!(names(&page(client, "prefix=user1.&limit=1")), ["user1.b"]);
}

#[test]
fn what_can_not_be_listed_is_400_and_says_what_would_be_right() {
    let server = TestServer::start();
    let client = &mut server.publishing();
    for (query, part) in [
        ("limit=0", "from 1 to 1000"),
        ("limit=1001", "from 1 to 1000"),
        ("limit=", "from 1 to 1000"),
        ("limit=-1", "from 1 to 1000"),
        ("limit=99999999999999999999", "from 1 to 1000"),
        ("state=failed", "running, done or error"),
        ("state=deleted", "running, done or error"),
        ("prefix=user1.*", "without a star"),
        ("prefix=a%20b", "A-Z a-z 0-9"),
        ("after=-1", "next"),
        ("after=1.5", "next"),
        ("after=x", "next"),
        ("after=99999999999999999999", "next"),
        ("limit=%zz", "percent-encoding"),
    ] {
        let answer = client.get(&format!("/api/jobs?{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.error().contains(part), "{query}: {answer:?}");
    }
    // A number that nothing was given yet is as good as none.
    server.progress("a", 1);
    let after = u64::MAX;
    assert_eq!(names(&page(client, &format!("after={after}"))), ["a"]);
    assert_eq!(names(&page(client, "after=0")), [""; 0]);
    // On the public listener nobody lists what there is without a token.
    assert_eq!(server.public().get("/api/jobs").status, 403);
    assert_eq!(server.public().get("/api/jobs?prefix=a").status, 403);
}

#[test]
fn a_snapshot_counts_the_streams_that_follow_its_job_by_a_prefix() {
    let server = TestServer::start();
    server.progress("user1.a", 1);
    let client = &mut server.publishing();
    let by = |query: &str| {
        super::sse::EventStream::open(
            server.publishing(),
            &format!("/api/events?{query}"),
            "Last-Event-ID: 0\r\n",
        )
    };
    let streams = [
        by("jobs=user1.*"),
        by("jobs=user2.*"),
        by("job=user1.a"),
        by(""),
    ];
    wait_until("all have come", || {
        page(client, "")["jobs"][0]["streams"] == 3
    });
    assert_eq!(client.get("/api/jobs/user1.a").json()["streams"], 3);
    drop(streams);
}

#[test]
fn a_stream_goes_on_exactly_where_a_list_ends() {
    const JOBS: usize = 8;
    // Much may come between a list and its stream.
    let server = TestServer::with(|config| {
        config.hub.ring.events = 1 << 20;
        config.hub.ring.bytes = 64 << 20;
    });
    let is_over = AtomicBool::new(false);
    let name = |job: usize| format!("job-{job}");
    std::thread::scope(|scope| {
        for first in 0..2 {
            let (server, is_over) = (&server, &is_over);
            scope.spawn(move || {
                for n in 0.. {
                    if is_over.load(Ordering::Acquire) {
                        break;
                    }
                    for job in (first..JOBS).step_by(2) {
                        server.progress(&name(job), n);
                    }
                    // Somebody else wants to run as well.
                    std::thread::yield_now();
                }
            });
        }
        let _stop = StopAtEnd(&is_over);
        let client = &mut server.publishing();
        wait_until("all have begun", || jobs(&page(client, "")).count() == JOBS);
        for _ in 0..50 {
            let list = page(client, "");
            let at = list["at"].as_u64().unwrap();
            let mut next = BTreeMap::new();
            for snapshot in jobs(&list) {
                assert!(last_id(snapshot) <= at, "{list}");
                let n = snapshot["lastEvent"]["data"]["n"].as_u64().unwrap();
                next.insert(snapshot["jobId"].as_str().unwrap(), n + 1);
            }
            let mut stream = all(&server, Some(at));
            for _ in 0..3 * JOBS {
                let frame = stream.event();
                let data = frame.json();
                let job = data["jobId"].as_str().unwrap();
                let expected = next.get_mut(job).unwrap();
                assert_eq!(frame.n(), *expected, "of {job}, after {list}");
                *expected += 1;
            }
        }
    });
}

#[test]
fn twenty_thousand_jobs_come_in_pages_once_each_while_events_flow() {
    const JOBS: u64 = 20_000;
    let server = TestServer::with(|config| config.hub.jobs = 100_000);
    let name = |job: u64| format!("job-{job}");
    for job in 0..JOBS {
        server.progress(&name(job), 0);
    }
    let is_over = AtomicBool::new(false);
    let newest = AtomicU64::new(0);
    let client = &mut server.publishing();
    let (listed, deleted) = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let mut deleted = BTreeSet::new();
            for n in 0.. {
                if is_over.load(Ordering::Acquire) {
                    break;
                }
                // Jobs go on, end, go, and others begin.
                let job = n * 7919 % JOBS;
                if deleted.contains(&job) {
                    continue;
                }
                match n % 4 {
                    0 => server.progress(&format!("new-{n}"), n),
                    1 if n < JOBS => {
                        deleted.insert(job);
                        server.jobs().delete(&job_id(&name(job)), None).unwrap().0
                    }
                    2 if n < JOBS => server.done(&name(job)),
                    _ => {
                        let event = landfall::Event::new("progress", "{}").unwrap();
                        // It may have ended.
                        let id = server.jobs().publish(&job_id(&name(job)), event);
                        id.map_or(0, |id| id.0)
                    }
                };
                std::thread::yield_now();
            }
            newest.store(
                landfall::internals::hub(server.jobs()).published().0,
                Ordering::Release,
            );
            deleted
        });
        let stop = StopAtEnd(&is_over);
        let listed = pages(client, "limit=500");
        drop(stop);
        (listed, publisher.join().unwrap())
    });
    // A quarter of them may have been deleted meanwhile.
    assert!(listed.len() >= 20, "{}", listed.len());
    let mut there = BTreeMap::new();
    for snapshot in listed.iter().flat_map(jobs) {
        let twice = there.insert(name_of(snapshot), snapshot.clone());
        assert!(twice.is_none(), "twice: {snapshot}");
    }
    for job in (0..JOBS).filter(|job| !deleted.contains(job)) {
        assert!(there.contains_key(&name(job)), "{job} isn't listed");
    }

    // With what has come since, it is what the jobs have come to.
    let at = listed[0]["at"].as_u64().unwrap();
    let newest = newest.into_inner();
    let mut stream = all(&server, Some(at));
    let mut seen = at;
    while seen < newest {
        let frame = stream.event();
        seen = frame.id;
        let job = frame.json()["jobId"].as_str().unwrap().to_owned();
        if frame.event == "deleted" {
            there.remove(&job);
            continue;
        }
        let before = there.get(&job).map_or(0, last_id);
        if before < frame.id {
            let state = if frame.event == "done" {
                "done"
            } else {
                "running"
            };
            let snapshot = serde_json::json!({
                "jobId": job, "state": state, "lastEventId": frame.id.to_string(),
            });
            there.insert(job, snapshot);
        }
    }
    let tell = |it: &Value| format!("{} {} {}", it["jobId"], it["state"], it["lastEventId"]);
    let told: BTreeSet<String> = there.values().map(tell).collect();
    let now: BTreeSet<String> = pages(client, "limit=1000")
        .iter()
        .flat_map(jobs)
        .map(tell)
        .collect();
    assert_eq!(told.len(), now.len());
    assert!(told == now, "{:?}", told.symmetric_difference(&now).next());
}

fn name_of(snapshot: &Value) -> String {
    name(snapshot).to_owned()
}
