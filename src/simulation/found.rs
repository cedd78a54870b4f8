//! What the simulation has found, each told again in a few steps.

use std::time::Duration;

use super::options::Options;
use super::random::Random;
use super::reader::Follows;
use super::trace::Trace;
use super::world::World;
use crate::event::Event;
use crate::event::job::{EventId, LifeId};
use crate::hub::{After, Change, HubConfig, Only, Owner, Terms};

/// Options of a world with one job.
fn quiet() -> Options {
    Options {
        names: vec!["a.0".parse().expect("it is a name")],
        steps: 0,
        readers: 0,
        hub: HubConfig {
            deleted_for: Duration::from_secs(10),
            ..HubConfig::default()
        },
        journal: None,
        restarts: 0,
        faults: 0,
        crashes: 0,
    }
}

fn event(name: &str) -> Change {
    let event = Event::new(name, "{}").expect("it is an event");
    Change::Event {
        event,
        only: None,
        terms: Terms::default(),
    }
}

fn begin() -> Change {
    Change::Begin {
        owner: Owner::Worker,
        after: After::Ended,
        terms: Terms::default(),
    }
}

#[test]
fn a_deletion_is_remembered_also_where_the_clock_was_set_back() {
    let trace = Trace::new(false);
    let mut world = World::with(quiet(), Random::new(1), &trace);
    world.put_one(0, event("progress")).expect("it begins");
    world.set_back(Duration::from_secs(60));
    world.delete_one(0).expect("it is there");
    let refused = world.put_one(0, event("progress"));
    assert!(refused.is_err(), "it was deleted");
}

#[test]
fn a_list_of_jobs_hears_of_a_forgotten_life_also_where_two_came_since() {
    let trace = Trace::new(false);
    let mut world = World::with(quiet(), Random::new(1), &trace);
    let reader = world.follow(Follows::Listed(vec![(0, None)]));
    world.put_one(0, event("progress")).expect("it begins");
    world.come_to_rest();
    world.drop_reader(reader);
    world.put_one(0, event("progress")).expect("it goes on");
    world.delete_one(0).expect("it is there");
    world.pass(Duration::from_secs(20));
    for _ in 0..2 {
        world.put_one(0, begin()).expect("it has ended");
        world.put_one(0, event("done")).expect("it runs");
    }
    world.resume(reader);
    world.come_to_rest();
}

#[test]
fn what_is_refused_lets_no_deletion_go() {
    let trace = Trace::new(false);
    let mut world = World::with(quiet(), Random::new(1), &trace);
    world.put_one(0, event("progress")).expect("it begins");
    world.delete_one(0).expect("it is there");
    world.pass(Duration::from_secs(20));
    let over = Change::Event {
        event: Event::done(),
        only: Some(Only::Life(LifeId(EventId(1)))),
        terms: Terms::default(),
    };
    world.put_one(0, over).expect_err("there is no such life");
    world.set_back(Duration::from_secs(15));
    world
        .put_one(0, event("progress"))
        .expect_err("it was deleted");
}
