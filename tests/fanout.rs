//! One job with more subscribers than a shard serves in a slice.

#[path = "guard/support.rs"]
mod support;

use landfall::{Server, ServerConfig};
use support::{Publisher, Subscriber};

const SUBSCRIBERS: usize = 300;
const EVENTS: usize = 250;

#[test]
fn events_published_while_others_are_being_sent_reach_every_subscriber() {
    deliver(false);
}

#[test]
fn they_do_so_too_where_many_are_sent_to_at_once() {
    deliver(true);
}

fn deliver(io_uring: bool) {
    let config = ServerConfig::with(|config| {
        config.shard.io_uring = io_uring;
        config.listen = "127.0.0.1:0".parse().unwrap();
        config.publish = "127.0.0.1:0".parse().unwrap();
        config.ops = "127.0.0.1:0".parse().unwrap();
    });
    let server = Server::start(config).unwrap();
    let mut publisher = Publisher::connect(server.publish().tcp().unwrap(), "job");
    publisher.publish();
    let mut subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| Subscriber::connect(server.public().tcp().unwrap(), "job", 1))
        .collect();
    (0..EVENTS).for_each(|_| publisher.publish());
    subscribers
        .iter_mut()
        .for_each(|subscriber| subscriber.wait(EVENTS));
    drop(subscribers);
    server.stop();
}
