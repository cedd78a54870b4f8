//! Redis loses what it had.

use rustix::process::{Pid, Signal, kill_process};

use super::binary::Binary;
use super::http::{post, publish};
use super::redis::Redis;
use super::support::{Stream, is_ready, node, snapshot, try_to_publish, wait_until};

fn signal(node: &Binary, signal: Signal) {
    kill_process(Pid::from_raw(node.pid() as i32).unwrap(), signal).unwrap();
}

fn publish_when_ready(node: &Binary, job: &str) -> u64 {
    let mut id = None;
    wait_until("it is published", || {
        let answer = try_to_publish(node, job, "progress");
        id = answer.json()["id"].as_u64();
        id.is_some()
    });
    id.unwrap()
}

#[test]
fn a_redis_that_has_lost_everything_gets_it_back_from_the_nodes() {
    let mut redis = Redis::start(&[]);
    let nodes = ["a", "b"].map(|name| node(&redis.url(), name));
    let mut stream = Stream::open(&nodes[0], "/api/events", None);
    let first = publish(nodes[0].publish, "j", "progress", "{}");
    let second = publish(nodes[1].publish, "k", "done", "{}");
    assert_eq!(stream.ids(2), [first, second]);
    wait_until("both have all of it", || {
        nodes.iter().all(|node| snapshot(node, "k").status == 200)
    });
    redis.kill();
    redis.start_again();
    wait_until("both are ready again", || nodes.iter().all(is_ready));
    let next = publish_when_ready(&nodes[1], "j");
    assert!(next > second);
    // Nothing was lost for anybody, so nobody hears of it.
    assert_eq!(stream.ids(1), [next]);
    redis.ask(&["FLUSHALL"]);
    let last = publish_when_ready(&nodes[0], "j");
    assert_eq!(stream.ids(1), [last]);
    let later = node(&redis.url(), "c");
    for job in ["j", "k"] {
        assert_eq!(snapshot(&later, job).status, 200);
    }
    assert_eq!(try_to_publish(&later, "k", "progress").status, 409);
}

#[test]
fn who_has_seen_what_is_lost_gets_a_reset_and_what_there_is() {
    let redis = Redis::start(&[]);
    let (ahead, behind) = (node(&redis.url(), "a"), node(&redis.url(), "b"));
    let kept = publish(ahead.publish, "j", "progress", "{}");
    wait_until("both have it", || snapshot(&behind, "j").status == 200);
    signal(&behind, Signal::STOP);
    let lost = [0; 3].map(|_| publish(ahead.publish, "j", "progress", r#"{"lost":true}"#));
    let mut streams = ["/api/jobs/j/events", "/api/events"].map(|target| {
        let mut stream = Stream::open(&ahead, target, None);
        assert_eq!(stream.ids(4), [kept, lost[0], lost[1], lost[2]]);
        stream
    });
    // The one that is behind is the first to find that there is no log.
    signal(&ahead, Signal::STOP);
    redis.ask(&["FLUSHALL"]);
    signal(&behind, Signal::CONT);
    wait_until("it begins a log", || {
        redis.ask(&["EXISTS", "landfall:log"]) == ":1"
    });
    let new = publish_when_ready(&behind, "other");
    signal(&ahead, Signal::CONT);
    for stream in &mut streams {
        assert_eq!(stream.next(), None, "it goes on as if nothing was lost");
    }
    // What it has kept of its own is sent again, by other numbers.
    for node in [&ahead, &behind] {
        for target in ["/api/jobs/j/events", "/api/events?job=j"] {
            // For an instant it may be what it was that goes on.
            wait_until("everything there is comes after a reset", || {
                let mut stream = Stream::open(node, target, Some(lost[2]));
                let Some(reset) = stream.next() else {
                    return false;
                };
                assert_eq!(reset.event, "reset");
                assert!(reset.data.contains(r#""reason":"unknown""#), "{reset:?}");
                let frames: Vec<_> = (0..4).map_while(|_| stream.next()).collect();
                let ids: Vec<u64> = frames.iter().map(|frame| frame.id).collect();
                assert!(ids.is_sorted() && ids[0] == kept, "{ids:?}");
                ids.len() == 4 && ids[3] > lost[2]
            });
        }
    }
    assert!(new > lost[2]);
}

#[test]
fn a_replica_that_lacks_the_end_takes_the_place_of_its_master() {
    let master = Redis::start(&[]);
    let place = master.address;
    let port = place.port().to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]);
    let target = std::sync::Arc::new(std::sync::Mutex::new(place));
    let proxy = super::redis::Switch::start(target.clone());
    let nodes = ["a", "b"].map(|name| node(&proxy.url(), name));
    let first = publish(nodes[0].publish, "j", "progress", "{}");
    wait_until("the replica has it", || {
        replica.ask(&["EXISTS", "landfall:log"]) == ":1"
            && replica.ask(&["XLEN", "landfall:log"]) == master.ask(&["XLEN", "landfall:log"])
    });
    replica.ask(&["REPLICAOF", "NO", "ONE"]);
    let lost = publish(nodes[0].publish, "j", "progress", "{}");
    wait_until("both have what is lost", || {
        let last = lost.to_string();
        nodes
            .iter()
            .all(|node| snapshot(node, "j").json()["lastEventId"] == last)
    });
    *target.lock().unwrap() = replica.address;
    drop(master);
    let next = publish_when_ready(&nodes[1], "k");
    assert!(next > lost);
    for node in &nodes {
        // The node that had published it says it again.
        wait_until("it is put back", || {
            let last = snapshot(node, "j").json()["lastEventId"].clone();
            last.as_str().unwrap().parse::<u64>().unwrap() > lost
        });
        let mut stream = Stream::open(node, "/api/jobs/j/events", Some(first));
        assert!(stream.ids(1)[0] > lost);
        let mut stream = Stream::open(node, "/api/jobs/j/events", Some(lost));
        assert_eq!(stream.next().unwrap().event, "reset");
    }
}

#[test]
fn a_redis_in_which_lost_entries_come_back_before_later_ones_is_read_alike_by_all() {
    let mut redis = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let nodes = ["a", "b"].map(|name| node(&redis.url(), name));
    publish(nodes[0].publish, "j", "progress", "{}");
    let line = |at| format!("{{\"event\":\"progress\",\"data\":{{\"at\":{at}}}}}\n");
    let lines: String = (0..5).map(line).collect();
    let kind = "application/x-ndjson";
    let answer = post(nodes[0].publish, "/api/jobs/k/events", kind, &lines);
    let last = answer.json()["ids"][4].to_string();
    wait_until("both have it", || {
        nodes
            .iter()
            .all(|node| snapshot(node, "k").json()["lastEventId"] == last)
    });
    redis.kill();
    // The batch is torn, and begun: Redis passes over it, and puts what comes behind it into it.
    redis.tear(60);
    redis.start_again();
    wait_until("both are ready again", || nodes.iter().all(is_ready));
    let many = lines.replace("\"at\"", "\"later\"");
    wait_until("more is published", || {
        post(nodes[1].publish, "/api/jobs/l/events", kind, &many).status == 201
    });
    redis.kill();
    redis.start_again();
    let end = ["j", "m"].map(|job| publish_when_ready(&nodes[0], job));
    let later = node(&redis.url(), "c");
    for node in [&nodes[0], &nodes[1], &later] {
        wait_until("all have it", || {
            snapshot(node, "m").json()["lastEventId"] == *end[1].to_string()
        });
        for (job, count) in [("j", 2), ("k", 5), ("l", 5), ("m", 1)] {
            let said = snapshot(node, job);
            assert_eq!(said.body, snapshot(&nodes[0], job).body);
            let mut stream = Stream::open(node, &format!("/api/jobs/{job}/events"), None);
            let frames: Vec<_> = (0..count).map(|_| stream.next().unwrap()).collect();
            let mut data: Vec<_> = frames.iter().map(|frame| &frame.data).collect();
            data.dedup();
            assert!(data.len() == count || job == "j", "{frames:?}");
            assert_eq!(said.json()["lastEventId"], frames[count - 1].id.to_string());
        }
    }
}

/// Has Redis lose what its newest opening comes after.
const LOSE_BEFORE: &str = "local all = redis.call('XRANGE', KEYS[1], '-', '+')
for i = #all, 1, -1 do
  local fields = all[i][2]
  if fields[3] == 'open' then return redis.call('XDEL', KEYS[1], fields[6]) end
end";

#[test]
fn a_node_joins_where_redis_has_lost_what_an_opening_comes_after() {
    let mut redis = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let running = node(&redis.url(), "a");
    publish(running.publish, "j", "progress", "{}");
    redis.kill();
    redis.start_again();
    publish_when_ready(&running, "k");
    assert_eq!(redis.ask(&["EVAL", LOSE_BEFORE, "1", "landfall:log"]), ":1");
    redis.kill();
    redis.start_again();
    let last = publish_when_ready(&running, "k");
    let later = node(&redis.url(), "b");
    assert_eq!(
        snapshot(&later, "k").json()["lastEventId"],
        last.to_string()
    );
    assert_eq!(snapshot(&later, "j").body, snapshot(&running, "j").body);
}

#[test]
fn a_log_that_ends_where_nothing_of_the_fleets_stands_begins_anew() {
    let redis = Redis::start(&[]);
    let nodes = ["a", "b"].map(|name| node(&redis.url(), name));
    let mut before = publish(nodes[0].publish, "j", "progress", "{}");
    for words in [
        &["XSETID", "landfall:log", "99999999999999-0"][..],
        &["XADD", "landfall:log", "*", "n", "x", "p", "y"],
    ] {
        redis.ask(words);
        for node in &nodes {
            let next = publish_when_ready(node, "j");
            assert!(next > before);
            before = next;
        }
        let later = node(&redis.url(), "c");
        assert_eq!(
            snapshot(&later, "j").json()["lastEventId"],
            before.to_string()
        );
    }
}

#[test]
fn a_master_that_becomes_a_replica_without_breaking_connections_holds_nobody_up() {
    let master = Redis::start(&[]);
    let port = master.address.port().to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]);
    let target = std::sync::Arc::new(std::sync::Mutex::new(master.address));
    let proxy = super::redis::Switch::start(target.clone());
    let node = node(&proxy.url(), "a");
    publish(node.publish, "j", "progress", "{}");
    wait_until("the replica has it", || {
        replica.ask(&["EXISTS", "landfall:log"]) == ":1"
            && replica.ask(&["XLEN", "landfall:log"]) == master.ask(&["XLEN", "landfall:log"])
    });
    replica.ask(&["REPLICAOF", "NO", "ONE"]);
    *target.lock().unwrap() = replica.address;
    let port = replica.address.port().to_string();
    master.ask(&["REPLICAOF", "127.0.0.1", &port]);
    wait_until("the master follows", || {
        replica.ask(&["WAIT", "1", "1000"]) == ":1"
    });
    publish_when_ready(&node, "j");
}
