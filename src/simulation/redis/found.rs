//! What was found of fleets, each told again in a few steps.

use std::time::Duration;

use super::link::Mishap;
use super::world::{Options, World};
use crate::hub::HubConfig;
use crate::sequencer::redis::by_hand::Position;
use crate::simulation::random::Random;
use crate::simulation::trace::Trace;

/// A fleet of so many nodes, all of which have what one of them was asked for: so many events.
fn with_events(nodes: usize, events: usize, trace: &Trace) -> World<'_> {
    let options = Options {
        nodes,
        steps: 0,
        pace: 0,
        faults: 0,
        losses: 0,
        crashes: 0,
        losses_between: 0,
        wait: false,
        log_bytes: 1 << 20,
        ahead: vec![Duration::ZERO; nodes],
        at_once: false,
    };
    let mut world = World::of(options, HubConfig::default(), Random::new(1), trace);
    world.come_to_rest();
    for _ in 0..events {
        publish(&mut world, 0);
    }
    world.come_to_rest();
    world
}

fn publish(world: &mut World, node: usize) {
    let event = world.event("steady.0", "progress");
    world.ask(node, vec![event]);
}

/// How far the log goes.
fn end(world: &World) -> Option<Position> {
    world.network.lock().redis.last()
}

#[test]
fn a_state_is_not_put_back_by_half_where_redis_loses_the_rest_meanwhile() {
    for calls in 0..16 {
        let trace = Trace::new(false);
        let mut world = with_events(2, 40, &trace);
        {
            let redis = &mut world.network.lock().redis;
            redis.start_again();
            redis.tear();
        }
        world.network.lock().planned = Some((calls, Mishap::Flush));
        for _ in 0..5 {
            world.turn(0, true, false);
        }
        world.come_to_rest();
        world.check();
    }
}

#[test]
fn a_beginning_that_a_torn_redis_brings_back_before_another_is_void() {
    let trace = Trace::new(false);
    let mut world = with_events(2, 3, &trace);
    publish(&mut world, 0);
    for _ in 0..5 {
        world.turn(0, true, true);
    }
    assert!(world.nodes[1].replica().at < world.nodes[0].replica().at);
    world.network.lock().redis.lose_all();
    while end(&world).is_none() {
        world.turn(0, true, false);
    }
    {
        let redis = &mut world.network.lock().redis;
        redis.start_again();
        redis.tear();
    }
    // The other, which has less, begins the log behind that.
    world.pass(Duration::from_secs(3));
    while Some(world.nodes[1].replica().at) != end(&world) {
        world.turn(1, true, false);
        world.pass(Duration::from_millis(100));
    }
    world.network.lock().redis.start_again();
    world.end_node(0);
    world.come_to_rest();
    world.check();
}

/// A node begins the log where there is none.
fn begin(world: &mut World, node: usize) {
    for _ in 0..100 {
        if end(world).is_some() {
            return;
        }
        world.turn(node, true, false);
        world.pass(Duration::from_millis(100));
    }
    panic!("it doesn't");
}

/// A fleet whose Redis has read a torn file: the opening that had been torn off, of a node whose
/// clock is ahead, is back in the place of the log that the other had begun, and what the first
/// has opened behind that follows on what isn't there.
fn with_hole(trace: &Trace) -> World<'_> {
    let mut world = with_events(2, 3, trace);
    world.set_ahead(0, Duration::from_secs(40));
    world.network.lock().redis.lose_all();
    begin(&mut world, 0);
    let torn = end(&world);
    {
        let redis = &mut world.network.lock().redis;
        redis.start_again();
        redis.tear();
    }
    begin(&mut world, 1);
    assert!(end(&world) < torn, "its clock is behind");
    publish(&mut world, 1);
    world.come_to_rest();
    assert!(end(&world) > torn);
    world.network.lock().redis.start_again();
    world
}

#[test]
fn a_node_joins_although_a_torn_redis_has_dropped_what_the_last_opening_comes_after() {
    let trace = Trace::new(false);
    let mut world = with_hole(&trace);
    world.end_node(1);
    world.come_to_rest();
    world.check();
    assert!(world.has_all());
}

#[test]
fn where_nobody_has_what_a_torn_redis_has_dropped_the_fleet_goes_on_with_what_comes_before() {
    let trace = Trace::new(false);
    let mut world = with_hole(&trace);
    world.end_node(0);
    world.end_node(1);
    world.come_to_rest();
    world.check();
    assert!(world.lost() > 0);
    assert!(!world.has_all(), "nobody says it again");
}

#[test]
fn who_lacks_some_of_the_log_lets_another_begin_it_anew() {
    let trace = Trace::new(false);
    let mut world = with_events(2, 0, &trace);
    for _ in 0..40 {
        publish(&mut world, 0);
    }
    while world.nodes[0].write() {}
    while Some(world.nodes[0].replica().at) != end(&world) {
        world.turn(0, true, false);
    }
    let whole = end(&world);
    world.turn(1, true, false);
    assert!(Some(world.nodes[1].replica().at) < whole);
    world.network.lock().redis.lose_all();
    for _ in 0..10 {
        world.turn(1, true, false);
        assert_eq!(end(&world), None);
    }
    world.come_to_rest();
    world.check();
    let begins_at = world.nodes[0].replica().at;
    assert!(Some(begins_at) > whole);
    assert_eq!(world.lost(), 0, "what the other had is where it was");
}

#[test]
fn what_may_have_been_taken_is_not_refused_for_want_of_room() {
    let trace = Trace::new(false);
    let mut world = with_events(1, 0, &trace);
    // More than are sent at a time.
    for _ in 0..70 {
        publish(&mut world, 0);
    }
    world.turn(0, false, true);
    world.network.lock().planned = Some((0, Mishap::NoAnswer));
    world.turn(0, false, true);
    world.network.lock().redis.is_full = true;
    // All of it is sent again, from the first on.
    world.turn(0, false, true);
    world.come_to_rest();
    world.check();
}

#[test]
fn what_was_said_of_a_life_whose_beginning_is_lost_is_put_back_with_it() {
    let trace = Trace::new(false);
    let mut world = with_events(3, 0, &trace);
    let before = world.network.lock().redis.versions();
    // The first begins the life, and the others say more of it.
    for node in [0, 1, 2, 1] {
        let life = world.life(node, "steady.0");
        assert_eq!(life.is_none(), node == 0);
        let event = world.event_in("steady.0", "progress", life);
        world.ask(node, vec![event]);
        settle(&mut world);
    }
    world.network.lock().redis.go_back_to(before);
    // Whoever puts back first what it has said.
    for node in [2, 1, 0] {
        for _ in 0..20 {
            world.turn(node, true, true);
        }
    }
    world.come_to_rest();
    assert_eq!(world.lost(), 4);
    world.check();
}

#[test]
fn a_node_to_which_others_events_never_cease_to_come_looks_again_all_the_same() {
    let trace = Trace::new(false);
    let mut world = with_events(2, 0, &trace);
    world.acts_at_once();
    while !world.nodes[0].rides() {
        publish(&mut world, 1);
        world.turn(1, true, true);
        world.turn(0, true, false);
    }
    world.nodes[0].lose_fence();
    assert!(!world.nodes[0].rides(), "to look is the thread's");
    publish(&mut world, 0);
    world.come_to_rest();
    world.check();
}

/// A fleet whose first node appends on the connection that it reads by.
fn with_lent(trace: &Trace) -> World<'_> {
    let mut world = with_events(2, 0, trace);
    world.acts_at_once();
    for _ in 0..200 {
        if world.nodes[0].lends() {
            return world;
        }
        publish(&mut world, 0);
        for _ in 0..20 {
            world.turn(0, true, !world.nodes[0].rides());
            if world.nodes[0].lends() || world.nodes[0].is_at_rest() && world.nodes[0].rides() {
                break;
            }
        }
    }
    panic!("it never does");
}

#[test]
fn what_is_appended_on_the_connection_that_reads_is_taken_once_whatever_befalls_it() {
    for mishap in [None, Some(Mishap::NoAnswer), Some(Mishap::Flush)] {
        for calls in 0..3 {
            let trace = Trace::new(false);
            let mut world = with_lent(&trace);
            world.network.lock().planned = mishap.map(|mishap| (calls, mishap));
            for _ in 0..3 {
                publish(&mut world, 0);
                world.turn(0, true, false);
            }
            world.come_to_rest();
            assert!(world.has_all());
            world.check();
        }
    }
}

#[test]
fn a_node_that_waits_for_its_own_next_event_reads_others_all_the_same() {
    let trace = Trace::new(false);
    let mut world = with_lent(&trace);
    publish(&mut world, 1);
    world.turn(1, true, true);
    let last = end(&world);
    for _ in 0..50 {
        world.turn(0, true, false);
        world.pass(Duration::from_millis(100));
    }
    assert_eq!(Some(world.nodes[0].replica().at), last);
    world.come_to_rest();
    world.check();
}

#[test]
fn the_thread_that_appends_gets_its_turn_where_a_node_waits_for_its_own_next_event() {
    let trace = Trace::new(false);
    let mut world = with_lent(&trace);
    world.turn(0, false, true);
    publish(&mut world, 0);
    while world.nodes[0].lends() {
        world.turn(0, true, false);
    }
    world.turn(0, true, false);
    assert!(!world.nodes[0].lends(), "the thread is first");
    world.come_to_rest();
    world.check();
}

/// Everybody reads all that was written.
fn settle(world: &mut World) {
    for _ in 0..5 {
        for node in 0..world.nodes.len() {
            world.turn(node, true, true);
        }
    }
}

#[test]
fn what_a_node_has_said_is_kept_for_as_long_as_it_cannot_know_what_is_lost() {
    let trace = Trace::new(false);
    let mut world = with_events(2, 10, &trace);
    let before = world.network.lock().redis.versions() - 5;
    world.network.lock().redis.go_back_to(before);
    world.network.lock().redis.is_down = true;
    // Longer than it is kept where nothing is wrong.
    for _ in 0..10 {
        world.turn(0, true, true);
        world.pass(Duration::from_secs(10));
    }
    world.come_to_rest();
    assert!(world.lost() > 0);
    assert!(world.has_all());
    world.check();
}

#[test]
fn a_node_that_knows_nothing_opens_no_epoch_that_another_may_open_by_its_clock() {
    for (ends, other) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
        let trace = Trace::new(false);
        let mut world = with_events(3, 10, &trace);
        // Without a state it goes by a slot that may be the other's.
        world.end_node(ends);
        world.network.lock().redis.lose_all();
        // It waits for the others, which stand still.
        world.turn(ends, true, false);
        world.pass(Duration::from_secs(4));
        while end(&world).is_none() {
            world.turn(other, true, false);
        }
        world.network.lock().redis.lose_all();
        while end(&world).is_none() {
            world.turn(ends, true, false);
        }
        world.come_to_rest();
        world.check();
    }
}

#[test]
fn what_a_node_has_said_is_kept_also_while_it_reads_on_after_a_long_time() {
    let trace = Trace::new(false);
    let mut world = with_events(2, 0, &trace);
    let before = world.network.lock().redis.versions();
    for _ in 0..10 {
        publish(&mut world, 0);
    }
    world.come_to_rest();
    publish(&mut world, 0);
    world.turn(0, false, true);
    let whole = end(&world);
    world.network.lock().redis.is_down = true;
    for _ in 0..10 {
        world.turn(0, true, false);
        world.pass(Duration::from_secs(10));
    }
    world.network.lock().redis.is_down = false;
    // It reads what was appended before, and hasn't looked whether that is all.
    while Some(world.nodes[0].replica().at) != whole {
        world.turn(0, true, false);
        world.pass(Duration::from_millis(100));
    }
    world.network.lock().redis.go_back_to(before);
    world.come_to_rest();
    assert!(world.lost() > 10);
    assert!(world.has_all());
    world.check();
}

#[test]
fn a_node_that_is_started_again_opens_no_epoch_that_it_has_opened_before() {
    let trace = Trace::new(false);
    let mut world = with_events(1, 3, &trace);
    let before = world.network.lock().redis.versions();
    for _ in 0..60 {
        // It has opened one that Redis loses, and the process knows nothing of it any more.
        world.end_node(0);
        world.network.lock().redis.go_back_to(before);
        let known = end(&world);
        while end(&world) == known {
            world.turn(0, true, false);
        }
    }
    world.come_to_rest();
    world.check();
}

#[test]
fn nodes_have_their_slots_again_where_the_log_that_says_so_is_lost() {
    let trace = Trace::new(false);
    let mut world = with_events(3, 3, &trace);
    let slots = |world: &World| -> Vec<_> {
        let nodes = world.nodes[0].replica().nodes.iter();
        nodes
            .map(|(name, node)| (name.clone(), node.slot))
            .collect()
    };
    let before = slots(&world);
    assert_eq!(before.len(), 3);
    for node in 0..3 {
        world.end_node(node);
    }
    world.network.lock().redis.lose_all();
    // The last of them is the first to say that it is there.
    for _ in 0..100 {
        world.turn(2, true, true);
    }
    world.come_to_rest();
    assert_eq!(slots(&world), before);
}
