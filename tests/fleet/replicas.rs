//! Redis with replicas: what they confirm, and Sentinel, which has one take the master's place.

use std::thread;

use rustix::process::Signal;

use super::binary::Binary;
use super::http::publish;
use super::redis::{Redis, Sentinel};
use super::support::{Stream, is_ready, node, try_to_publish, wait_until};

fn with_replica(master: &Redis) -> Redis {
    let port = master.address.port().to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]);
    wait_until("the replica has what there is", || {
        master.ask(&["WAIT", "1", "100"]) == ":1"
    });
    replica
}

#[test]
fn an_event_is_answered_when_a_replica_has_it() {
    let master = Redis::start(&[]);
    let replica = with_replica(&master);
    let url = master.url();
    let node = Binary::serve(&["--redis", &url, "--node", "a", "--redis-wait", "1"]);
    let first = publish(node.publish, "j", "progress", "{}");
    let mut stream = Stream::open(&node, "/api/jobs/j/events", None);
    assert_eq!(stream.ids(1), [first]);
    replica.signal(Signal::STOP);
    let address = node.publish;
    let publishing = thread::spawn(move || publish(address, "j", "progress", "{}"));
    // Who reads it needn't wait for the replica.
    let ids = stream.ids(1);
    assert!(
        !publishing.is_finished(),
        "no replica can have confirmed it"
    );
    replica.signal(Signal::CONT);
    assert_eq!(publishing.join().unwrap(), ids[0]);
    publish(node.publish, "j", "progress", "{}");
}

#[test]
fn sentinel_has_a_replica_take_the_place_of_a_master_that_dies() {
    let mut master = Redis::start(&[]);
    let replica = with_replica(&master);
    let sentinel = Sentinel::start(master.address);
    wait_until("it knows of the replica", || {
        sentinel.ask(&["SENTINEL", "replicas", "main"]) == "*1"
    });
    let url = format!("redis+sentinel://127.0.0.1:1,{}/main", sentinel.address);
    let nodes = ["a", "b"].map(|name| node(&url, name));
    let mut stream = Stream::open(&nodes[1], "/api/events", None);
    let mut ids = vec![publish(nodes[0].publish, "j", "progress", "{}")];
    wait_until("the replica has it", || {
        master.ask(&["WAIT", "1", "100"]) == ":1"
    });
    master.kill();
    wait_until("both nodes are ready with the other", || {
        replica.ask(&["ROLE"]) == "*3"
            && replica.ask(&["CLIENT", "LIST", "TYPE", "REPLICA"]) == "$0"
            && nodes.iter().all(is_ready)
    });
    for node in &nodes {
        wait_until("it is published", || {
            let answer = try_to_publish(node, "j", "progress");
            ids.extend(answer.json()["id"].as_u64());
            answer.status == 201
        });
    }
    assert!(ids.is_sorted());
    assert_eq!(stream.ids(ids.len()), ids);
}
