//! Streams with a rate: of progress the newest, so often at most, and all else.
//!
//! The rate is a low one, of one in two seconds, so that a test is mostly over before the second
//! time comes; what a slow machine makes of it is allowed for.

use std::time::Instant;

use landfall::{Event, Follow, HubConfig, JournalConfig, SentEvent, Sequencer, Start, Subscribers};

use super::{SOON, in_memory, job, jobs, progress};

const RATE: f64 = 0.5;

/// How often progress may have come since then.
fn times_since(began: Instant) -> usize {
    began.elapsed().as_secs() as usize / 2 + 2
}

fn count(events: &[SentEvent], name: &str) -> usize {
    events.iter().filter(|event| event.name() == name).count()
}

fn log() -> Event {
    Event::new("log", "{}").unwrap()
}

#[test]
fn progress_between_is_left_out_and_nothing_else() {
    let (hub, subscribers) = in_memory();
    let all = [jobs(&["a"]), Follow::Prefix(String::new())];
    let mut streams = all.map(|what| {
        let stream = subscribers.follow(what, &Start::Oldest).unwrap();
        stream.max_rate(RATE).unwrap()
    });
    let began = Instant::now();
    let first = hub.publish(&job("a"), progress(0)).unwrap();
    // A stream that has had none for long gets it at once.
    for stream in &mut streams {
        assert_eq!(stream.next_within(SOON).unwrap().id(), first);
    }
    for percent in 1..=100 {
        hub.publish(&job("a"), progress(percent)).unwrap();
        if percent % 10 == 0 {
            hub.publish(&job("a"), log()).unwrap();
        }
    }
    let newest = hub.publish(&job("a"), progress(100)).unwrap();
    let last = hub.publish(&job("a"), Event::done()).unwrap();
    for stream in &mut streams {
        let mut events = Vec::new();
        while events
            .last()
            .is_none_or(|event: &SentEvent| event.id() < last)
        {
            events.push(stream.next_within(SOON).unwrap());
        }
        assert!(events.is_sorted_by_key(SentEvent::id));
        assert_eq!(count(&events, "log"), 10);
        assert_eq!(count(&events, "reset"), 0);
        assert_eq!(events[events.len() - 2].id(), newest);
        assert!(count(&events, "progress") <= times_since(began));
    }
    assert!(streams[0].next_within(SOON).is_none() && streams[0].has_ended());
}

#[test]
fn what_is_read_back_has_the_newest_progress_only() {
    let folder = tempfile::tempdir().unwrap();
    let config = HubConfig::with(|config| config.ring.events = 4);
    let hub = Sequencer::with_journal(folder.path(), JournalConfig::default(), config).unwrap();
    let subscribers = Subscribers::of(&hub).unwrap();
    for percent in 1..=100 {
        hub.publish(&job("a"), progress(percent)).unwrap();
        hub.publish(&job("a"), log()).unwrap();
    }
    hub.publish(&job("a"), Event::done()).unwrap();
    let stream = subscribers.follow(jobs(&["a"]), &Start::Oldest).unwrap();
    let events: Vec<_> = stream.max_rate(RATE).unwrap().events().collect();
    assert_eq!(count(&events, "progress"), 1);
    assert_eq!((count(&events, "log"), events.len()), (100, 102));
    assert!(events.is_sorted_by_key(SentEvent::id));
}

#[test]
fn a_rate_that_is_none_is_an_error() {
    let (_hub, subscribers) = in_memory();
    for bad in [0.0, 0.09, 100.1, -1.0, f64::NAN, f64::INFINITY] {
        let stream = subscribers.follow(jobs(&["a"]), &Start::Oldest).unwrap();
        let error = stream.max_rate(bad).unwrap_err().to_string();
        assert!(error.contains("from 0.1 to 100"), "{bad}: {error}");
    }
}
