//! One order on every node.

use super::binary::Binary;
use super::http::{post, publish};
use super::redis::Redis;
use super::support::{Stream, get, node, snapshot, try_to_publish, wait_until};

#[test]
fn what_is_published_on_one_node_is_followed_on_another_and_resumed_on_a_third() {
    let redis = Redis::start(&[]);
    let nodes = ["a", "b", "c"].map(|name| node(&redis.url(), name));
    let mut stream = Stream::open(&nodes[1], "/api/jobs/j/events", None);
    let ids = [0, 1, 2, 0].map(|at| publish(nodes[at].publish, "j", "progress", "{}"));
    assert!(ids.is_sorted());
    assert_eq!(stream.ids(4), ids);
    let mut resumed = Stream::open(&nodes[2], "/api/jobs/j/events", Some(ids[1]));
    let end = publish(nodes[1].publish, "j", "done", "{}");
    assert_eq!(resumed.ids(3), [ids[2], ids[3], end]);
    assert_eq!(resumed.next(), None);
    for node in &nodes {
        wait_until("it is done everywhere", || {
            snapshot(node, "j").json()["state"] == "done"
        });
        assert_eq!(try_to_publish(node, "j", "progress").status, 409);
    }
}

#[test]
fn a_number_that_a_node_has_yet_to_hear_of_is_waited_for() {
    let redis = Redis::start(&[]);
    let (ahead, behind) = (node(&redis.url(), "a"), node(&redis.url(), "b"));
    publish(ahead.publish, "j", "progress", "{}");
    let mut ids = Vec::new();
    for _ in 0..50 {
        let last = publish(ahead.publish, "j", "progress", "{}");
        // It goes there at once, which may be before the event does.
        let mut stream = Stream::open(&behind, "/api/jobs/j/events", Some(last));
        let next = publish(behind.publish, "j", "progress", "{}");
        let frame = stream.next().unwrap();
        assert_eq!((&*frame.event, frame.id), ("progress", next));
        ids.extend([last, next]);
    }
    assert!(ids.is_sorted());
}

#[test]
fn a_batch_holds_up_to_its_first_line_that_is_refused_on_every_node() {
    let redis = Redis::start(&[]);
    let nodes = ["a", "b"].map(|name| node(&redis.url(), name));
    let lines = [
        r#"{"event":"progress"}"#,
        r#"{"event":"done"}"#,
        r#"{"event":"progress"}"#,
    ];
    let body = format!("{}\n{}\n{}\n{}\n", lines[0], lines[1], lines[2], lines[0]);
    let answer = post(
        nodes[0].publish,
        "/api/jobs/j/events",
        "application/x-ndjson",
        &body,
    );
    assert_eq!(answer.status, 409);
    assert_eq!(answer.json()["line"], 3);
    let end = answer.json()["ids"][1].to_string();
    for node in &nodes {
        wait_until("both have it", || {
            snapshot(node, "j").json()["lastEventId"] == end
        });
    }
}

#[test]
fn a_node_that_comes_later_knows_every_job_before_it_is_ready() {
    let redis = Redis::start(&[]);
    let first = node(&redis.url(), "a");
    for job in 0..20 {
        for event in ["progress", "progress", "done"] {
            publish(first.publish, &format!("j{job}"), event, "{}");
        }
    }
    let later = node(&redis.url(), "b");
    for job in 0..20 {
        let job = format!("j{job}");
        assert_eq!(snapshot(&later, &job).body, snapshot(&first, &job).body);
        let mut both = [&first, &later]
            .map(|node| Stream::open(node, &format!("/api/jobs/{job}/events"), None));
        let frames = both.each_mut().map(|stream| [0; 3].map(|_| stream.next()));
        assert_eq!(frames[0], frames[1]);
    }
}

#[test]
fn the_log_is_cut_short_and_a_node_that_comes_later_knows_every_job() {
    let redis = Redis::start(&[]);
    let flags = |name| {
        [
            "--redis",
            &redis.url(),
            "--node",
            name,
            "--redis-log",
            "1MiB",
        ]
        .map(str::to_owned)
    };
    let start = |name| {
        let flags = flags(name);
        Binary::serve(&flags.each_ref().map(|flag| &**flag))
    };
    let first = start("a");
    let data = format!(r#"{{"text":"{}"}}"#, "x".repeat(60_000));
    publish(first.publish, "old", "done", "{}");
    for _ in 0..80 {
        publish(first.publish, "new", "progress", &data);
    }
    wait_until("fewer than 60 entries are kept", || {
        let length = redis.ask(&["XLEN", "landfall:log"]);
        length.trim_start_matches(':').parse::<usize>().unwrap() < 60
    });
    let later = start("b");
    for job in ["old", "new"] {
        assert_eq!(snapshot(&later, job).body, snapshot(&first, job).body);
    }
    assert_eq!(try_to_publish(&later, "old", "progress").status, 409);
}

#[test]
fn what_a_dead_node_was_told_is_everywhere() {
    let redis = Redis::start(&[]);
    let (mut dies, lives) = (node(&redis.url(), "a"), node(&redis.url(), "b"));
    let mut stream = Stream::open(&lives, "/api/events", None);
    let mut ids = Vec::new();
    for job in 0..30 {
        ids.push(publish(dies.publish, &format!("j{job}"), "progress", "{}"));
    }
    dies.kill();
    assert_eq!(stream.ids(30), ids);
    let again = node(&redis.url(), "a");
    let id = publish(again.publish, "j0", "done", "{}");
    assert_eq!(stream.ids(1), [id]);
    assert!(id > *ids.last().unwrap());
}

#[test]
fn streams_are_counted_on_all_nodes_together() {
    let redis = Redis::start(&[]);
    let mut nodes = ["a", "b", "c"].map(|name| node(&redis.url(), name));
    let streams = |node: &Binary, job: &str| {
        let answer = try_to_publish(node, job, "progress");
        answer.json()["streams"].as_u64().unwrap()
    };
    assert_eq!(streams(&nodes[0], "x.j"), 0);
    let of_job = "/api/jobs/x.j/events";
    let mut open = vec![
        Stream::open(&nodes[0], of_job, None),
        Stream::open(&nodes[1], of_job, None),
        Stream::open(&nodes[2], of_job, None),
    ];
    open.push(Stream::open(&nodes[1], "/api/events?jobs=x.*", None));
    open.push(Stream::open(&nodes[2], "/api/events", None));
    for node in &nodes {
        wait_until("each knows of all", || streams(node, "x.j") == 5);
        assert_eq!(snapshot(node, "x.j").json()["streams"], 5);
        let list = get(node.publish, "/api/jobs?prefix=x.").json();
        assert_eq!(list["jobs"][0]["streams"], 5);
        assert_eq!(streams(node, "other"), 1);
    }
    let later = node(&redis.url(), "d");
    wait_until("one that joins learns it", || streams(&later, "x.j") == 5);
    open.truncate(2);
    wait_until("they are gone", || streams(&nodes[0], "x.j") == 2);
    wait_until("they are gone", || streams(&nodes[2], "x.j") == 2);
    // Those of a node that has died are counted no more, when nothing is heard of it.
    nodes[1].kill();
    wait_until("its streams are gone", || streams(&nodes[0], "x.j") == 1);
}
