use std::thread;

use landfall::{Event, Follow, HubConfig, LastEventId, Start};

use super::{NEVER, SOON, after, in_memory, job, jobs, progress, said};

#[test]
fn events_come_once_and_in_the_order_of_their_numbers() {
    let (hub, subscribers) = in_memory();
    let stream = subscribers.follow(jobs(&["a", "b"]), &Start::Oldest);
    let publishers = ["a", "b"].map(|name| {
        let hub = hub.clone();
        thread::spawn(move || {
            for percent in 1..=100 {
                hub.publish(&job(name), progress(percent)).unwrap();
            }
            hub.publish(&job(name), Event::done()).unwrap();
        })
    });
    let events: Vec<_> = stream.unwrap().events().collect();
    for publisher in publishers {
        publisher.join().unwrap();
    }
    assert_eq!(events.len(), 202);
    assert!(events.is_sorted_by(|one, next| one.id() < next.id()));
}

#[test]
fn an_event_has_its_parts_and_is_a_frame_as_it_stands() {
    let (hub, subscribers) = in_memory();
    let id = hub.publish(&job("a"), progress(7)).unwrap();
    let mut stream = subscribers.follow(jobs(&["a"]), &Start::Oldest).unwrap();
    let event = stream.events().next().unwrap();
    assert_eq!(event.id(), id);
    assert_eq!(
        (event.name(), event.data()),
        ("progress", r#"{"jobId":"a","percent":7}"#)
    );
    let frame = format!("event: progress\ndata: {}\nid: {}\n\n", event.data(), id.0);
    assert_eq!(event.frame(), frame);
    assert_eq!(event.as_ref(), frame.as_bytes());
}

#[test]
fn whoever_resumes_misses_nothing_and_repeats_nothing() {
    let (hub, subscribers) = in_memory();
    let first = hub.publish(&job("a"), progress(1)).unwrap();
    hub.publish(&job("a"), progress(2)).unwrap();
    let mut stream = subscribers.follow(jobs(&["a"]), &after(first)).unwrap();
    assert_eq!(said(&mut stream), [r#"progress {"jobId":"a","percent":2}"#]);
    let mut newest = subscribers.follow(jobs(&["a"]), &Start::Newest).unwrap();
    assert_eq!(said(&mut newest), [r#"progress {"jobId":"a","percent":2}"#]);
    let mut next = subscribers.follow(jobs(&["a"]), &Start::Next).unwrap();
    assert!(next.next_within(NEVER).is_none() && !next.has_ended());
}

#[test]
fn a_job_that_has_yet_to_begin_is_waited_for() {
    let (hub, subscribers) = in_memory();
    let mut stream = subscribers.follow(jobs(&["a"]), &Start::Oldest).unwrap();
    let waiter = thread::spawn(move || stream.next_within(SOON).unwrap().data().to_owned());
    hub.publish(&job("a"), progress(3)).unwrap();
    assert_eq!(waiter.join().unwrap(), r#"{"jobId":"a","percent":3}"#);
}

#[test]
fn a_prefix_has_those_that_come_as_well_and_no_others() {
    let (hub, subscribers) = in_memory();
    hub.publish(&job("user1.a"), progress(1)).unwrap();
    let mut stream = subscribers
        .follow(Follow::Prefix("user1.".to_owned()), &Start::Oldest)
        .unwrap();
    hub.publish(&job("user2.a"), progress(2)).unwrap();
    hub.publish(&job("user1.b"), progress(3)).unwrap();
    let expected = [
        r#"progress {"jobId":"user1.a","percent":1}"#,
        r#"progress {"jobId":"user1.b","percent":3}"#,
    ];
    assert_eq!(said(&mut stream), expected);
}

#[test]
fn what_is_gone_is_a_reset_and_so_is_a_number_from_nowhere() {
    let mut config = HubConfig::default();
    config.ring.events = 4;
    let hub = landfall::Sequencer::in_memory(config);
    let subscribers = landfall::Subscribers::of(&hub).unwrap();
    let first = hub.publish(&job("a"), progress(1)).unwrap();
    for percent in 2..=10 {
        hub.publish(&job("a"), progress(percent)).unwrap();
    }
    let mut stream = subscribers.follow(jobs(&["a"]), &after(first)).unwrap();
    let events = said(&mut stream);
    assert_eq!(events.len(), 5, "{events:?}");
    assert!(
        events[0].starts_with("reset ") && events[0].contains("expired"),
        "{events:?}"
    );
    assert!(events[1].contains("\"percent\":7"), "{events:?}");

    for from in [
        LastEventId::Number(u64::MAX),
        LastEventId::parse(b"yesterday").unwrap(),
    ] {
        let mut stream = subscribers
            .follow(jobs(&["a"]), &Start::After(from))
            .unwrap();
        let events = said(&mut stream);
        assert!(events[0].contains("unknown"), "{events:?}");
        assert_eq!(events.len(), 5, "{events:?}");
    }
}

#[test]
fn what_is_named_wrongly_is_an_error_that_says_so() {
    let (_, subscribers) = in_memory();
    let none = subscribers.follow(Follow::Jobs(Vec::new()), &Start::Oldest);
    assert!(none.unwrap_err().to_string().contains("name one"));
    let prefix = Follow::Prefix("a\nb".to_owned());
    assert!(subscribers.follow(prefix, &Start::Oldest).is_err());
    assert!("a\nb".parse::<landfall::JobId>().is_err());
    assert!(Event::of("a\nb", &[("a", 1)]).is_err());
    assert!(Event::new("progress", "{}\n\ndata: {}").is_err());
}
