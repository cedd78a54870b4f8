use std::thread;

use landfall::{After, Event, Follow, LeaseWatch, Owner, Saying, Start, Subscribers, Word};

use super::{NEVER, SOON, in_memory, job, jobs, progress, said};

#[test]
fn a_stream_ends_when_every_job_that_it_names_has() {
    let (hub, subscribers) = in_memory();
    let mut stream = subscribers
        .follow(jobs(&["a", "b"]), &Start::Oldest)
        .unwrap();
    hub.publish(&job("a"), Event::done()).unwrap();
    assert_eq!(stream.events().next().unwrap().name(), "done");
    assert!(stream.next_within(NEVER).is_none() && !stream.has_ended());
    hub.publish(&job("b"), progress(1)).unwrap();
    hub.delete(&job("b"), None).unwrap();
    let rest: Vec<_> = stream
        .events()
        .map(|event| event.name().to_owned())
        .collect();
    assert_eq!(rest.last().unwrap(), "deleted", "{rest:?}");
    assert!(stream.has_ended());
}

#[test]
fn a_job_whose_lease_runs_out_ends_without_a_server_too() {
    let (hub, subscribers) = in_memory();
    let _watch = LeaseWatch::start(&hub).unwrap();
    let word = Word::Event(progress(1), Some("1s".parse().unwrap()));
    hub.say(Saying {
        word,
        ..Saying::of(job("a"), progress(1))
    })
    .unwrap();
    let mut stream = subscribers.follow(jobs(&["a"]), &Start::Oldest).unwrap();
    let mut next = || stream.next_within(SOON).unwrap();
    assert_eq!(next().name(), "progress");
    assert_eq!(next().name(), "error");
}

#[test]
fn a_stream_that_has_nothing_to_say_has_ended_from_the_beginning() {
    let (hub, subscribers) = in_memory();
    let end = hub.publish(&job("a"), Event::done()).unwrap();
    let stream = subscribers.follow(jobs(&["a"]), &super::after(end));
    assert!(stream.unwrap().has_ended());
    let stream = subscribers.follow(jobs(&["a"]), &Start::Oldest);
    assert!(!stream.unwrap().has_ended());
}

#[test]
fn a_stream_of_names_goes_through_lives() {
    let (hub, subscribers) = in_memory();
    let follow = Follow::Prefix("a".to_owned());
    let mut stream = subscribers.follow(follow, &Start::Oldest).unwrap();
    hub.publish(&job("a"), Event::done()).unwrap();
    hub.begin(&job("a"), Owner::Worker, After::Ended).unwrap();
    hub.publish(&job("a"), progress(5)).unwrap();
    let expected = [
        r#"done {"jobId":"a"}"#,
        r#"progress {"jobId":"a","percent":5}"#,
    ];
    assert_eq!(said(&mut stream), expected);
}

#[test]
fn streams_end_with_the_last_handle_and_those_that_wait_are_woken() {
    let (_hub, subscribers) = in_memory();
    let mut stream = subscribers.follow(jobs(&["a"]), &Start::Oldest).unwrap();
    let waiter = thread::spawn(move || {
        assert!(stream.events().next().is_none());
        stream.has_ended()
    });
    drop(subscribers.clone());
    drop(subscribers);
    assert!(waiter.join().unwrap());
}

#[test]
fn whoever_stops_reading_holds_up_nobody() {
    let (hub, subscribers) = in_memory();
    let mut idle = subscribers.follow(jobs(&["a"]), &Start::Oldest).unwrap();
    for percent in 1..=100 {
        for _ in 0..20 {
            hub.publish(&job("a"), progress(percent)).unwrap();
        }
    }
    hub.publish(&job("a"), Event::done()).unwrap();
    // It reads what the ring still has, and is told of the rest.
    let events = said(&mut idle);
    assert!(events[0].starts_with("reset "), "{}", events[0]);
    assert_eq!(events.last().unwrap(), r#"done {"jobId":"a"}"#);
    assert!(idle.has_ended());
}

#[test]
fn thousands_of_streams_have_one_thread() {
    let (hub, subscribers) = in_memory();
    let names: Vec<_> = (0..4000).map(|n| job(&format!("j{n}"))).collect();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let mut streams: Vec<_> = names
        .iter()
        .map(|name| subscribers.follow(Follow::Jobs(vec![name.clone()]), &Start::Oldest))
        .map(Result::unwrap)
        .collect();
    // Other tests run beside this one.
    assert!(threads() < before + 200);
    for name in &names {
        hub.publish(name, Event::done()).unwrap();
    }
    for stream in &mut streams {
        assert_eq!(stream.next_within(SOON).unwrap().name(), "done");
        assert!(stream.has_ended());
    }
    drop(streams);
    assert_eq!(hub.snapshot(&names[0]).unwrap().streams, 0);
}

#[test]
fn more_subscribers_than_there_may_be_are_an_error() {
    let (hub, first) = in_memory();
    let others: Vec<_> = (0..64).map(|_| Subscribers::of(&hub)).collect();
    assert!(others.last().unwrap().is_err());
    hub.publish(&job("a"), Event::done()).unwrap();
    for subscribers in others.iter().flatten().chain([&first]) {
        let mut stream = subscribers.follow(jobs(&["a"]), &Start::Oldest).unwrap();
        assert_eq!(stream.events().next().unwrap().name(), "done");
    }
}
