//! Allocations, of the whole process, while nothing but the counted work is done.

#[path = "guard/support.rs"]
mod support;

use std::alloc::System;

use landfall::{Event, HubConfig, Sequencer, Server, ServerConfig};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use support::{Publisher, Subscriber};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SUBSCRIBERS: usize = 50;
const EVENTS: usize = 400;

/// One test, since another one beside it would be counted with it.
#[test]
fn publishing_and_delivering_allocate_next_to_nothing() {
    publishing_in_the_process();
    delivering_over_http();
}

fn publishing_in_the_process() {
    let jobs = Sequencer::in_memory(HubConfig::default());
    let job = "job".parse().unwrap();
    let publish = || {
        let event = Event::new("progress", r#"{"stage":"scanning","percent":30}"#).unwrap();
        jobs.publish(&job, event).unwrap();
    };
    // Until the ring has grown to its limit.
    (0..1000).for_each(|_| publish());
    let region = Region::new(ALLOCATOR);
    (0..EVENTS).for_each(|_| publish());
    let allocations = region.change().allocations;
    // The event's data and its frame, and nothing to append and number it.
    assert!(
        allocations <= 2 * EVENTS,
        "{allocations} allocations for {EVENTS} events"
    );
}

fn delivering_over_http() {
    let config = ServerConfig::with(|config| {
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
    let mut round = || {
        publisher.publish();
        subscribers
            .iter_mut()
            .for_each(|subscriber| subscriber.wait(1));
    };
    // Until the ring and every buffer have grown to what they will be.
    (0..600).for_each(|_| round());
    let region = Region::new(ALLOCATOR);
    (0..EVENTS).for_each(|_| round());
    let allocations = region.change().allocations;
    let deliveries = EVENTS * SUBSCRIBERS;
    println!("{allocations} allocations for {EVENTS} requests, {deliveries} deliveries");
    // Nothing is allocated for a delivery; a request and its answer take 10.
    assert!(
        allocations < EVENTS * 11,
        "{allocations} allocations for {EVENTS} requests and {deliveries} deliveries"
    );
    drop(subscribers);
    server.stop();
}
