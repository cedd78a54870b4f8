//! Streams of several jobs, or of all.

use super::sse::{EventStream, Frame};
use super::support::{TestServer, get};

pub fn many(server: &TestServer, query: &str, last: Option<u64>) -> EventStream {
    let fields = last.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
    EventStream::open(server.public(), &format!("/api/events?{query}"), &fields)
}

pub fn all(server: &TestServer, last: Option<u64>) -> EventStream {
    let fields = last.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
    EventStream::open(server.publishing(), "/api/events", &fields)
}

pub fn take(stream: &mut EventStream, count: usize) -> Vec<Frame> {
    (0..count).map(|_| stream.event()).collect()
}

fn numbers(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(Frame::n).collect()
}

fn assert_growing(frames: &[Frame]) {
    let grows = |pair: &[Frame]| pair[0].id < pair[1].id;
    assert!(frames.windows(2).all(grows), "{frames:?}");
}

#[test]
fn the_jobs_that_are_named_come_in_the_order_they_were_published_in() {
    let server = TestServer::start();
    let jobs = ["a", "b", "c", "other"];
    for n in 0..100 {
        server.progress(jobs[n as usize * 7 % 4], n);
    }
    let mut stream = many(&server, "job=a&job=b&job=c", None);
    let frames = take(&mut stream, 75);
    let expected: Vec<u64> = (0..100).filter(|n| n * 7 % 4 != 3).collect();
    assert_eq!(numbers(&frames), expected);
    assert_growing(&frames);
    for (frame, n) in frames.iter().zip(expected) {
        assert_eq!(frame.json()["jobId"], jobs[n as usize * 7 % 4]);
    }
    // What comes live goes on above.
    server.progress("other", 100);
    server.progress("b", 101);
    let next = stream.event();
    assert_eq!(next.n(), 101);
    assert_eq!(
        next.id,
        frames[74].id + 3 - 1 + u64::from(frames[74].n() == 98)
    );
}

#[test]
fn any_id_resumes_after_it() {
    let server = TestServer::start();
    for n in 0..60 {
        server.progress(["a", "b", "c"][n as usize % 3], n);
    }
    let frames = take(&mut many(&server, "job=a&job=b&job=c", None), 60);
    for at in [0, 1, 28, 58] {
        let mut stream = many(&server, "job=c&job=a&job=b", Some(frames[at].id));
        assert_eq!(take(&mut stream, 59 - at), frames[at + 1..]);
    }
    // An id of a job that isn't listed is a place in the order like any other.
    let mut stream = many(&server, "job=a", Some(frames[1].id));
    assert_eq!(stream.event(), frames[3]);
    let target = format!("/api/events?job=a&job=b&job=c&lastEventId={}", frames[9].id);
    let mut stream = EventStream::open(server.public(), &target, "");
    assert_eq!(stream.event(), frames[10]);
}

#[test]
fn more_than_a_pass_comes_in_order_as_well() {
    let server = TestServer::with(|config| {
        config.hub.ring.events = 5000;
        config.hub.ring.bytes = 1 << 20;
    });
    for n in 0..5000 {
        server.progress(&format!("j{}", n * n % 13), n);
    }
    let query: Vec<_> = (0..13).map(|n| format!("job=j{n}")).collect();
    let frames = take(&mut many(&server, &query.join("&"), None), 5000);
    assert_eq!(numbers(&frames), (0..5000).collect::<Vec<_>>());
    assert_eq!(take(&mut all(&server, None), 5000), frames);
}

#[test]
fn it_ends_when_every_listed_job_has_and_a_reconnect_gets_204() {
    let server = TestServer::start();
    let mut live = many(&server, "job=a&job=b", None);
    live.wait_for_retries(1);
    server.done("a");
    assert_eq!(live.event().event, "done");
    server.progress("b", 1);
    assert_eq!(live.event().n(), 1);
    server.event("b", "error", "{}");
    let last = live.event();
    live.assert_ends();
    let mut replay = many(&server, "job=a&job=b", None);
    assert_eq!(replay.rest().len(), 3);

    let mut client = server.public();
    let header = format!("Last-Event-ID: {}\r\n", last.id);
    client.send(get("/api/events?job=a&job=b", &header));
    assert_eq!(client.answer().status, 204);
    // One that has an end to see yet doesn't.
    let mut stream = many(&server, "job=a&job=b", Some(last.id - 1));
    assert_eq!(stream.rest(), std::slice::from_ref(&last));
    // Nor does one with a job that goes on.
    let mut stream = many(&server, "job=a&job=b&job=c", Some(last.id));
    stream.wait_for_retries(1);
    server.progress("c", 5);
    assert_eq!(stream.event().n(), 5);
    for job in ["a", "b"] {
        server.wait_for_streams(job, 1);
    }
}

#[test]
fn a_job_that_is_named_twice_is_one_job() {
    let server = TestServer::start();
    server.progress("a", 1);
    server.done("a");
    let mut stream = many(&server, "job=a&job=a&job=%61", None);
    assert_eq!(stream.rest().len(), 2);
    server.wait_for_streams("a", 0);
}

#[test]
fn every_job_is_a_secret_on_the_public_listener() {
    let server = TestServer::start();
    for target in [
        "/api/events",
        "/api/events?",
        "/api/events?job",
        "/api/events?x=1",
    ] {
        let answer = server.public().get(target);
        let expected = if target.ends_with("job") { 400 } else { 403 };
        assert_eq!(answer.status, expected, "{target}");
        answer.error();
    }
    let mut client = server.public();
    client.send(get("/api/events", "").replace("GET", "HEAD"));
    assert_eq!(client.answer_to_head().status, 403);
}

#[test]
fn the_publishing_listener_streams_every_job_those_that_begin_later_too() {
    let server = TestServer::start();
    server.progress("a", 1);
    let mut stream = all(&server, None);
    let first = stream.event();
    server.done("a");
    let end = stream.event();
    server.progress("b", 2);
    let second = stream.event();
    assert_eq!((first.n(), &*end.event, second.n()), (1, "done", 2));
    assert_growing(&[first, end.clone(), second.clone()]);
    // It never ends by itself, and resumes like any.
    let mut again = all(&server, Some(end.id));
    assert_eq!(again.event(), second);
    let mut last = all(&server, Some(second.id));
    last.wait_for_retries(1);
    server.progress("c", 3);
    assert_eq!(last.event().n(), 3);
    assert_eq!(stream.event().n(), 3);
}

#[test]
fn replay_latest_and_none_hold_for_each_job() {
    let server = TestServer::start();
    for n in 0..6 {
        server.progress(["a", "b"][n as usize % 2], n);
    }
    let mut latest = many(&server, "job=a&job=b&replay=latest", None);
    assert_eq!(numbers(&take(&mut latest, 2)), [4, 5]);
    let mut none = many(&server, "job=a&job=b&replay=none", None);
    none.wait_for_retries(1);
    server.progress("a", 6);
    assert_eq!(none.event().n(), 6);
    assert_eq!(latest.event().n(), 6);
    let mut latest = EventStream::open(server.publishing(), "/api/events?replay=latest", "");
    assert_eq!(numbers(&take(&mut latest, 2)), [5, 6]);
}

#[test]
fn a_job_whose_events_are_gone_is_a_reset_of_its_own_and_the_others_go_on() {
    let server = TestServer::with(|config| config.hub.ring.events = 4);
    server.progress("a", 0);
    server.progress("b", 1);
    let seen = take(&mut many(&server, "job=a&job=b", None), 2)[1].id;
    for n in 2..12 {
        server.progress("a", n);
    }
    server.progress("b", 12);
    for stream in [
        &mut many(&server, "job=a&job=b", Some(seen)),
        &mut all(&server, Some(seen)),
    ] {
        let reset = stream.event();
        // Its id is the one before the oldest event that follows.
        reset.assert_reset("a", "expired", &seen.to_string(), seen + 6);
        assert_eq!(numbers(&take(stream, 5)), [8, 9, 10, 11, 12]);
    }
    // Who was cut off behind the reset has been told.
    let mut stream = many(&server, "job=a&job=b", Some(seen + 6));
    assert_eq!(stream.event().n(), 8);
    // And b alone has lost nothing.
    let mut stream = many(&server, "job=b", Some(seen));
    assert_eq!(stream.event().n(), 12);
}

#[test]
fn two_jobs_with_gaps_are_two_resets_whose_ids_never_fall() {
    let server = TestServer::with(|config| config.hub.ring.events = 2);
    let seen = {
        server.progress("a", 0);
        many(&server, "job=a", None).event().id
    };
    for n in 1..13 {
        server.progress(["a", "b"][n as usize % 2], n);
    }
    let mut stream = many(&server, "job=a&job=b", Some(seen));
    let frames = take(&mut stream, 6);
    let lost: Vec<_> = frames[..2]
        .iter()
        .map(|f| f.json()["jobId"].clone())
        .collect();
    assert_eq!(lost, ["a", "b"]);
    assert_eq!(numbers(&frames[2..]), [9, 10, 11, 12]);
    assert!(frames.windows(2).all(|pair| pair[0].id <= pair[1].id));
    // Cut off between the two, a client is told of the second again.
    let mut again = many(&server, "job=a&job=b", Some(frames[0].id));
    let told: Vec<_> = take(&mut again, 2)
        .iter()
        .map(|f| f.json()["jobId"].clone())
        .collect();
    assert!(told.contains(&"b".into()), "{told:?}");
}

#[test]
fn an_id_from_elsewhere_is_a_reset_for_each_job() {
    let server = TestServer::start();
    server.progress("a", 0);
    server.progress("b", 1);
    let newest = take(&mut many(&server, "job=a&job=b", None), 2)[1].id;
    let digits = "9".repeat(40);
    for id in ["0", "x", "-1", &*digits, &*(newest + 1).to_string()] {
        let fields = format!("Last-Event-ID: {id}\r\n");
        let mut stream = EventStream::open(server.public(), "/api/events?job=a&job=b", &fields);
        let frames = take(&mut stream, 4);
        for (frame, job) in frames.iter().zip(["a", "b"]) {
            assert_eq!(
                (&*frame.event, &frame.json()["jobId"]),
                ("reset", &job.into())
            );
            assert_eq!(frame.json()["reason"], "unknown");
            assert_eq!(frame.json()["lastEventId"], id);
        }
        assert_eq!(frames[1].id, newest - 2);
        assert_eq!(numbers(&frames[2..]), [0, 1]);
        let mut stream = EventStream::open(server.publishing(), "/api/events", &fields);
        stream.event().assert_reset("*", "unknown", id, newest - 2);
        assert_eq!(numbers(&take(&mut stream, 2)), [0, 1]);
    }
}

#[test]
fn an_id_from_elsewhere_is_a_reset_for_a_job_with_an_id_of_its_own_as_well() {
    let server = TestServer::start();
    for n in 0..4 {
        server.progress(["a", "b"][n as usize % 2], n);
    }
    let first = many(&server, "job=a&job=b", None).event().id;
    let strange = first + 9;
    for query in [
        format!("job=a:{first}&job=b"),
        format!("job=a:{first}&job=b:{}", first + 1),
    ] {
        let mut stream = many(&server, &query, Some(strange));
        let reset = stream.event();
        assert_eq!(reset.event, "reset", "{query}");
        assert_eq!(reset.json()["jobId"], "a");
        let strange = strange.to_string();
        let reset = stream.event();
        reset.assert_reset("b", "unknown", &strange, first - 1);
        assert_eq!(numbers(&take(&mut stream, 4)), [0, 1, 2, 3], "{query}");
    }
}

#[test]
fn a_job_with_an_id_of_its_own_begins_after_that_one() {
    let server = TestServer::start();
    for n in 0..60 {
        server.progress(["a", "b", "c"][n as usize % 3], n);
    }
    let frames = take(&mut many(&server, "job=a&job=b&job=c", None), 60);
    let own = |job: &str, n: usize| format!("job={job}:{}", frames[n].id);
    // Both have seen much, and c is new to them.
    let query = format!("{}&{}&job=c", own("a", 57), own("b", 40));
    let expected: Vec<u64> = (0..60)
        .filter(|n| n % 3 == 2 || n % 3 == 1 && *n > 40)
        .collect();
    let mut stream = many(&server, &query, None);
    let seen = take(&mut stream, expected.len());
    assert_eq!(numbers(&seen), expected);
    assert_growing(&seen);
    server.progress("a", 60);
    assert_eq!(stream.event().n(), 60);
    // Cut off in the middle of that, a client says how far it came, and the same again.
    for at in [0, 10, expected.len() - 1] {
        let mut stream = many(&server, &query, Some(seen[at].id));
        let rest = take(&mut stream, expected.len() - at);
        assert_eq!(numbers(&rest)[..rest.len() - 1], expected[at + 1..]);
        assert_eq!(rest.last().unwrap().n(), 60);
    }
    // What is to begin with the next event does, beside one that doesn't.
    let query = format!("job=a&{}&replay=none", own("b", 55));
    let mut stream = many(&server, &query, None);
    assert_eq!(stream.event().n(), 58);
    server.progress("a", 61);
    assert_eq!(stream.event().n(), 61);
    // An empty id is none.
    assert_eq!(many(&server, "job=b:", None).event().n(), 1);
}

#[test]
fn a_job_whose_own_id_is_of_no_use_is_a_reset_of_its_own() {
    let server = TestServer::with(|config| config.hub.ring.events = 2);
    for n in 0..5 {
        server.progress(if n == 2 { "b" } else { "a" }, n);
    }
    let ids = take(&mut many(&server, "job=a&job=b", None), 3);
    assert_eq!(numbers(&ids), [2, 3, 4]);
    for (own, reason) in [
        ((ids[0].id - 2).to_string(), "expired"),
        ("1".to_owned(), "unknown"),
        ("x".to_owned(), "unknown"),
        ((ids[2].id + 9).to_string(), "unknown"),
    ] {
        let query = format!("job=a:{own}&job=b:{}", ids[0].id);
        let mut stream = many(&server, &query, None);
        let reset = stream.event();
        assert_eq!(reset.event, "reset", "{own}");
        assert_eq!(reset.json()["jobId"], "a");
        assert_eq!(reset.json()["reason"], reason);
        assert_eq!(reset.json()["lastEventId"], own);
        assert_eq!(numbers(&take(&mut stream, 2)), [3, 4]);
        // Where the client has come further since, that is what counts.
        let mut stream = many(&server, &query, Some(ids[1].id));
        assert_eq!(stream.event().n(), 4);
    }
    // All that it lists has ended and been seen: there is nothing more.
    server.done("a");
    server.done("b");
    let end = ids[2].id + 2;
    let mut client = server.public();
    let target = format!("/api/events?job=a:{end}&job=b:{end}");
    assert_eq!(client.get(&target).status, 204);
    for bad in ["job=:1", "job=a%20:1"] {
        assert_eq!(client.get(&format!("/api/events?{bad}")).status, 400);
    }
}
