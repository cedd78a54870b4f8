//! What the simulation has found, each told again in a few steps. What is held against it is
//! what every world is held against.

use std::time::Duration;

use super::disk::Fault;
use super::options::Options;
use super::random::Random;
use super::reader::Follows;
use super::trace::Trace;
use super::world::{End, World};
use crate::event::Event;
use crate::event::job::{EventId, LifeId};
use crate::event::ring::RingLimits;
use crate::hub::{After, Change, HubConfig, Only, Owner, Terms};
use crate::sequencer::PublishError;
use crate::sequencer::journal::by_hand::RESERVED;
use crate::sequencer::journal::{JournalConfig, SyncPolicy};

/// Options of a world with two jobs, in memory.
fn quiet() -> Options {
    Options {
        names: ["a.0", "b.1"]
            .map(|name| name.parse().expect("it is a name"))
            .into(),
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

/// The same with a journal of small segments, and rings of one event.
fn journaled(sync: SyncPolicy) -> Options {
    let mut options = quiet();
    options.hub.ring = RingLimits {
        events: 1,
        bytes: 1000,
    };
    options.journal = Some(JournalConfig {
        sync,
        bytes: 32 << 10,
        age: Duration::from_secs(60),
        ..JournalConfig::default()
    });
    options
}

const SELDOM: SyncPolicy = SyncPolicy::Interval(Duration::from_secs(3600));

fn event(name: &str) -> Change {
    event_of(name, 0)
}

/// An event of so many bytes.
fn event_of(name: &str, bytes: usize) -> Change {
    let data = format!("{{\"p\":\"{}\"}}", "x".repeat(bytes));
    Change::Event {
        event: Event::new(name, &data).expect("it is an event"),
        only: None,
        terms: Terms::default(),
    }
}

fn begin(after: After) -> Change {
    Change::Begin {
        owner: Owner::Worker,
        after,
        terms: Terms::default(),
    }
}

/// Has the first segments go, with a checkpoint in their place.
fn drop_segments(world: &mut World<'_>) {
    world.put_one(1, event_of("log", 1500)).expect("it runs");
    world.put_one(1, event("log")).expect("it runs");
    world.pass(Duration::from_secs(100));
    let before = world.disk.seen().len();
    world.keep();
    let has_checkpoint = |(name, _): &(String, Vec<u8>)| name.ends_with(".checkpoint");
    assert!(
        world.disk.seen().iter().any(has_checkpoint),
        "of {before} files"
    );
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
fn a_deletion_is_remembered_also_where_the_clock_was_set_back_before_a_start() {
    let trace = Trace::new(false);
    let mut world = World::with(journaled(SyncPolicy::Always), Random::new(1), &trace);
    world.put_one(0, event("progress")).expect("it begins");
    // Then the checkpoint has all that the segments have.
    drop_segments(&mut world);
    world.set_back(Duration::from_secs(200));
    world.restart(End::Killed);
    world.delete_one(0).expect("it is there");
    let refused = world.put_one(0, event("progress"));
    assert!(refused.is_err(), "it was deleted");
}

#[test]
fn a_deletion_refuses_also_who_asked_when_it_was_past_and_before_the_clock_was_set_back() {
    let trace = Trace::new(false);
    let mut world = World::with(journaled(SyncPolicy::Always), Random::new(1), &trace);
    world.put_one(0, event("progress")).expect("it begins");
    world.delete_one(0).expect("it is there");
    world.pass(Duration::from_secs(20));
    world.ask(0, event("progress"));
    world.set_back(Duration::from_secs(15));
    world.write();
    // They hear of it when it is past again.
    world.pass(Duration::from_secs(15));
    world.answer_all();
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
        world.put_one(0, begin(After::Ended)).expect("it has ended");
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

#[test]
fn nothing_is_refused_for_what_could_not_be_written() {
    let trace = Trace::new(false);
    let mut world = World::with(journaled(SyncPolicy::Always), Random::new(1), &trace);
    world.disk.fail(Some(Fault::Write));
    world.ask(0, begin(After::Ended));
    // Were it not for the disk, this one would be running.
    world.ask(0, begin(After::Ended));
    world.answer_all();
}

#[test]
fn the_memory_of_rings_is_counted_also_where_jobs_come_from_a_checkpoint() {
    let trace = Trace::new(false);
    let mut options = journaled(SyncPolicy::Always);
    options.hub.deleted_for = Duration::from_secs(3600);
    let mut world = World::with(options, Random::new(1), &trace);
    world.put_one(0, event("progress")).expect("it begins");
    world.delete_one(0).expect("it is there");
    drop_segments(&mut world);
    world.restart(End::Closed);
    world.pass(Duration::from_secs(4000));
    world.put_one(1, event("done")).expect("it runs");
    world.come_to_rest();
}

#[test]
fn a_deletion_that_was_let_go_does_not_come_back_where_a_checkpoint_has_what_came_since() {
    let trace = Trace::new(false);
    let mut world = World::with(journaled(SyncPolicy::Always), Random::new(1), &trace);
    world.put_one(1, event_of("log", 1500)).expect("it begins");
    world.put_one(0, event("progress")).expect("it begins");
    let reader = world.follow(Follows::One(0));
    world.come_to_rest();
    world.delete_one(0).expect("it is there");
    world.come_to_rest();
    world.pass(Duration::from_secs(100));
    world.put_one(1, event("log")).expect("it runs");
    world.keep();
    let has_checkpoint = |(name, _): &(String, Vec<u8>)| name.ends_with(".checkpoint");
    assert!(world.disk.seen().iter().any(has_checkpoint));
    world.restart(End::Killed);
    world.resume(reader);
    world.come_to_rest();
}

#[test]
fn a_list_has_from_the_rings_what_the_journal_has_no_more() {
    let trace = Trace::new(false);
    let mut world = World::with(journaled(SyncPolicy::Always), Random::new(1), &trace);
    world.put_one(1, event("progress")).expect("it begins");
    let reader = world.follow(Follows::Listed(vec![(0, None), (1, None)]));
    world.come_to_rest();
    world.drop_reader(reader);
    world.put_one(0, event("progress")).expect("it begins");
    drop_segments(&mut world);
    world.put_one(1, event("log")).expect("it runs");
    world.put_one(1, event("log")).expect("it runs");
    world.resume(reader);
    world.come_to_rest();
    // And after a start, whose checkpoint is newer than what the segments begin with.
    world.restart(End::Killed);
    let reader = world.follow(Follows::Matching(String::new()));
    world.come_to_rest();
    world.drop_reader(reader);
}

#[test]
fn what_was_read_for_a_stream_is_not_shown_when_its_job_is_deleted_meanwhile() {
    for follows in [Follows::One(0), Follows::Listed(vec![(0, None), (1, None)])] {
        let trace = Trace::new(false);
        let mut world = World::with(journaled(SyncPolicy::Always), Random::new(1), &trace);
        for _ in 0..5 {
            world.put_one(0, event("progress")).expect("it runs");
        }
        world.follow(follows);
        world.turn();
        assert!(world.read_piece(), "it is behind its ring");
        world.delete_one(0).expect("it is there");
        world.come_to_rest();
    }
}

#[test]
fn a_list_that_is_read_for_hears_of_a_job_that_is_forgotten_meanwhile() {
    for (is_forgotten_first, names) in [(0, 0), (1, 0), (0, 1)] {
        let trace = Trace::new(false);
        let mut options = journaled(SyncPolicy::Always);
        options.journal.as_mut().expect("it has one").ended_jobs = 0;
        let mut world = World::with(options, Random::new(1), &trace);
        for _ in 0..3 {
            world.put_one(1, event("progress")).expect("it runs");
            world.put_one(0, event("progress")).expect("it runs");
        }
        let ended = [names, 1 - names];
        for job in ended {
            world.put_one(job, event("done")).expect("it runs");
        }
        world.follow(Follows::Matching(String::new()));
        world.follow(Follows::Listed(vec![(0, None), (1, None)]));
        world.turn();
        if is_forgotten_first == 1 {
            world.keep();
        }
        world.read_piece();
        world.keep();
        world.read_piece();
        world.come_to_rest();
    }
}

#[test]
fn a_list_that_is_read_for_hears_of_segments_that_go_meanwhile() {
    let trace = Trace::new(false);
    let mut world = World::with(journaled(SyncPolicy::Always), Random::new(1), &trace);
    for _ in 0..3 {
        world.put_one(0, event("progress")).expect("it runs");
        world.put_one(1, event("progress")).expect("it runs");
    }
    world.follow(Follows::Listed(vec![(0, None), (1, None)]));
    world.follow(Follows::Matching(String::new()));
    world.turn();
    drop_segments(&mut world);
    world.come_to_rest();
}

#[test]
fn what_is_kept_before_a_forgotten_life_is_missed_by_who_reads_on_in_the_next() {
    let trace = Trace::new(false);
    let mut world = World::with(journaled(SyncPolicy::Always), Random::new(1), &trace);
    world.put_one(0, event("progress")).expect("it begins");
    world.follow(Follows::Listed(vec![(0, None), (1, None)]));
    world.come_to_rest();
    // The stream stays, and isn't served meanwhile.
    world.ask(0, event("progress"));
    world.ask(0, event("done"));
    world.answer_all();
    world.pass(Duration::from_secs(100));
    world.keep();
    (0..3).for_each(|_| world.ask(0, event("progress")));
    world.answer_all();
    world.come_to_rest();
}

#[test]
fn a_crash_amid_the_beginning_of_a_segment_costs_nothing_when_the_power_goes_later() {
    for operations in 0..10 {
        for seed in 1..5 {
            let trace = Trace::new(false);
            let options = journaled(SELDOM);
            let mut world = World::with(options, Random::new(seed), &trace);
            world.put_one(0, event_of("log", 2000)).expect("it begins");
            world.disk.end_in(Some(operations));
            world.ask(0, event("log"));
            world.step_all();
            world.end_with(End::Killed);
            let done = world.put_one(0, event("done"));
            assert!(!matches!(done, Err(PublishError::DiskFailing)));
            world.end_with(End::Unpowered);
        }
    }
}

#[test]
fn nothing_of_a_life_goes_on_in_the_next_where_its_end_is_lost() {
    for seed in 1..40 {
        let trace = Trace::new(false);
        let mut world = World::with(journaled(SELDOM), Random::new(seed), &trace);
        world.put_one(0, event("log")).expect("it begins");
        world.put_one(1, event("done")).expect("it ends");
        let deletion = world.server.jobs.deletion(None);
        world.ask(0, deletion);
        world.write();
        world.settle();
        world.pass(Duration::from_secs(20));
        // Another life begins before the medium has the end of the one before.
        world.ask(0, event("log"));
        world.write();
        world.settle();
        world.end_with(End::Unpowered);
    }
}

#[test]
fn what_could_not_be_written_does_not_come_back_with_the_power() {
    for seed in 1..400 {
        let trace = Trace::new(false);
        let mut world = World::with(journaled(SELDOM), Random::new(seed), &trace);
        world.put_one(0, event("done")).expect("it begins");
        world.disk.fail(Some(Fault::Full));
        world.ask(1, event("log"));
        let refused = world.put_one(1, event_of("log", 100));
        assert_eq!(refused, Err(PublishError::DiskFull));
        world.disk.fail(None);
        world.put_one(1, event("progress")).expect("there is room");
        world.end_with(End::Unpowered);
    }
}

#[test]
fn a_failed_sync_counts_also_where_another_succeeds_after_it() {
    for seed in 1..40 {
        let trace = Trace::new(false);
        let mut world = World::with(journaled(SELDOM), Random::new(seed), &trace);
        world.ask(0, event("done"));
        world.write();
        world.disk.fail(Some(Fault::Sync));
        world.sync();
        world.disk.fail(None);
        // The writer hasn't heard of it, and begins another segment.
        world.ask(1, event_of("log", 2000));
        world.write();
        world.ask(1, event("log"));
        world.write();
        world.settle();
        world.end_with(End::Unpowered);
    }
}

#[test]
fn numbers_that_the_medium_has_not_set_aside_are_seen_by_nobody() {
    for seed in 1..40 {
        let trace = Trace::new(false);
        let mut options = journaled(SELDOM);
        // All of it is in one segment.
        options.journal.iter_mut().for_each(|it| it.bytes = 1 << 20);
        let mut world = World::with(options, Random::new(seed), &trace);
        for _ in 0..3 * RESERVED {
            world.put_one(0, event("progress")).expect("it runs");
        }
        world.end_with(End::Unpowered);
        world.put_one(1, event("log")).expect("it begins");
    }
}

#[test]
fn what_is_written_while_the_medium_is_waited_for_is_not_taken_for_synced() {
    for seed in 1..40 {
        let trace = Trace::new(false);
        let mut world = World::with(journaled(SELDOM), Random::new(seed), &trace);
        world.ask(0, event("done"));
        world.write();
        world.begin_sync();
        world.ask(1, event("done"));
        world.write();
        world.sync();
        // The second end waits for a sync of its own.
        world.hear_of_sync();
        world.end_with(End::Unpowered);
    }
}

#[test]
fn what_a_failed_sync_has_lost_of_a_full_segment_is_written_again() {
    for seed in 1..40 {
        let trace = Trace::new(false);
        let mut world = World::with(journaled(SELDOM), Random::new(seed), &trace);
        world.ask(0, event_of("log", 2000));
        world.write();
        world.disk.fail(Some(Fault::Sync));
        // The next one begins, and waits for its name.
        world.ask(0, event("log"));
        world.write();
        assert!(world.sync(), "it is asked for");
        world.disk.fail(None);
        world.hear_of_sync();
        world.pass(Duration::from_secs(2));
        world.put_one(0, event("done")).expect("it works again");
        world.end_with(End::Unpowered);
    }
}

#[test]
fn a_close_that_the_medium_refuses_does_not_speak_for_what_is_before_it() {
    for seed in 1..40 {
        let trace = Trace::new(false);
        let mut world = World::with(journaled(SELDOM), Random::new(seed), &trace);
        world.put_one(0, event("log")).expect("it begins");
        world.disk.fail(Some(Fault::Sync));
        world.restart(End::Closed);
        world.disk.fail(None);
        world.pass(Duration::from_secs(2));
        world.put_one(0, event("done")).expect("it goes on");
        world.end_with(End::Unpowered);
    }
}

#[test]
fn a_checkpoint_waits_until_what_it_tells_of_is_on_the_medium() {
    for seed in 1..40 {
        let trace = Trace::new(false);
        let mut world = World::with(journaled(SELDOM), Random::new(seed), &trace);
        world.put_one(0, event_of("log", 2000)).expect("it begins");
        world.put_one(0, event("log")).expect("it runs");
        world.pass(Duration::from_secs(100));
        world.put_one(0, event("log")).expect("it runs");
        world.disk.fail(Some(Fault::Sync));
        world.end_with(End::Killed);
        world.disk.fail(None);
        world.keep();
        world.end_with(End::Unpowered);
    }
}

#[test]
fn a_checkpoint_that_cannot_be_synced_leaves_no_writer_that_never_rests() {
    let trace = Trace::new(false);
    let mut world = World::with(
        journaled(SyncPolicy::Interval(Duration::from_millis(1))),
        Random::new(1),
        &trace,
    );
    world.put_one(0, event_of("log", 2000)).expect("it begins");
    world.put_one(0, event("log")).expect("it runs");
    world.pass(Duration::from_secs(100));
    world.ask(0, event("log"));
    world.write();
    world.disk.fail(Some(Fault::Sync));
    world.keep();
    world.come_to_rest();
}
