//! Publishers, deletions and beginnings, over rings that turn over and a journal, and streams
//! that come, resume and go: each has what was acknowledged, once and in order, or a `reset`.

use std::collections::BTreeMap;
use std::thread;

use landfall::{
    After, Event, EventId, EventStream, Follow, HubConfig, JournalConfig, Owner, Sequencer, Start,
    Subscribers,
};

use super::random::Random;
use super::{NEVER, SOON, after, job, progress};

const JOBS: usize = 8;
const EVENTS: usize = 3_000;
const STREAMS: usize = 12;

#[test]
fn with_a_journal_every_stream_has_everything_though_rings_hold_four_events() {
    let folder = tempfile::tempdir().unwrap();
    let config = HubConfig::with(|config| {
        config.ring.events = 4;
        config.ring.bytes = 10_000;
    });
    let hub = Sequencer::with_journal(folder.path(), JournalConfig::default(), config).unwrap();
    let subscribers = Subscribers::of(&hub).unwrap();
    let readers: Vec<_> = (0..STREAMS)
        .map(|seed| {
            let subscribers = subscribers.clone();
            thread::spawn(move || read(&subscribers, seed as u64 + 1))
        })
        .collect();
    let told = thread::scope(|scope| {
        let publishers: Vec<_> = (0..2)
            .map(|half| {
                let hub = &hub;
                scope.spawn(move || publish(hub, half))
            })
            .collect();
        let each = publishers.into_iter().flat_map(|it| it.join().unwrap());
        each.collect::<BTreeMap<u64, String>>()
    });
    hub.publish(&job("z"), Event::done()).unwrap();
    for reader in readers {
        let (seen, selection) = reader.join().unwrap();
        let mut expected = told.clone();
        expected.retain(|_, job| selection.contains(job));
        // A deletion takes the rest of its life with it, for whoever hasn't seen that yet.
        assert!(seen.is_sorted_by(|one, next| one < next));
        for id in &seen {
            assert!(expected.remove(id).is_some(), "{id} was never published");
        }
        assert!(expected.is_empty(), "{expected:?} are missing");
    }
}

/// Publishes to half of the jobs; whichever has ended begins anew. Returns what was
/// acknowledged.
fn publish(hub: &Sequencer, half: usize) -> BTreeMap<u64, String> {
    let mut random = Random(half as u64 + 100);
    let mut told = BTreeMap::new();
    for turn in 0..EVENTS {
        let name = format!("j{}", half * JOBS / 2 + random.below(JOBS / 2));
        let ends = random.below(40) == 0;
        let event = if ends {
            Event::done()
        } else {
            progress(turn % 101)
        };
        let id = hub.publish(&job(&name), event).unwrap();
        told.insert(id.0, name.clone());
        if ends {
            hub.begin(&job(&name), Owner::Worker, After::Ended).unwrap();
        }
    }
    told
}

/// Follows some jobs, and lets go and resumes now and then. Returns what it has seen.
fn read(subscribers: &Subscribers, seed: u64) -> (Vec<u64>, Vec<String>) {
    let mut random = Random(seed);
    let all: Vec<_> = (0..JOBS).map(|n| format!("j{n}")).collect();
    let (follow, names) = if random.below(2) == 0 {
        (Follow::Prefix(String::new()), all)
    } else {
        // `z` ends, the others don't.
        let mut names = all;
        names.truncate(1 + random.below(JOBS - 1));
        let jobs = names.iter().map(|name| job(name)).chain([job("z")]);
        (Follow::Jobs(jobs.collect()), names)
    };
    let mut stream: EventStream = subscribers.follow(follow.clone(), &Start::Oldest).unwrap();
    let mut seen = Vec::new();
    loop {
        let event = stream.next_within(SOON).expect("z ends it");
        assert_ne!(event.name(), "reset", "the journal has it all: {event:?}");
        if event.data().contains("\"z\"") {
            return (seen, names);
        }
        seen.push(event.id().0);
        if random.below(50) == 0 {
            drop(stream);
            if random.below(4) == 0 {
                thread::sleep(NEVER);
            }
            let last = EventId(*seen.last().unwrap());
            stream = subscribers.follow(follow.clone(), &after(last)).unwrap();
        }
    }
}
