//! A job and a token have their share of streams; HEAD asks without taking one.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use landfall::{Claims, Key, Keys, Scope};

use super::sse::EventStream;
use super::support::{Client, TestServer, get};
use socket2::{Domain, Socket, Type};

use super::{assert_busy, from};

const EVENTS: &str = "/api/jobs/a/events";

#[test]
fn a_job_has_its_share_of_streams() {
    let server = TestServer::with(|config| config.quotas.streams_per_job = Some(2));
    let mut streams = [
        EventStream::of(&server, "a"),
        EventStream::open(server.public(), "/api/events?job=a&job=b", ""),
    ];
    server.wait_for_streams("a", 2);
    assert_busy(server.public(), EVENTS, "");
    // As a whole: it has taken no place at b either.
    assert_busy(server.public(), "/api/events?job=a&job=b", "");
    server.wait_for_streams("b", 1);
    let mut other = EventStream::of(&server, "b");
    // Every job's stream is none of any.
    let mut all = EventStream::open(server.publishing(), "/api/events", "");
    all.wait_for_retries(1);
    let (a, b) = (server.progress("a", 1), server.progress("b", 2));
    for stream in &mut streams {
        assert_eq!(stream.event().n(), 1);
    }
    assert_eq!(other.event().id, b);
    assert_eq!((all.event().n(), all.event().n()), (1, 2));
    drop(streams);
    // The one of all jobs is left.
    server.wait_for_streams("a", 1);
    assert_eq!(EventStream::of(&server, "a").event().id, a);
    super::support::wait_until("what was refused isn't counted", || {
        server.metric("landfall_streams_open") == 2
    });
}

#[test]
fn a_token_has_its_share_of_streams_and_another_has_its_own() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "k".repeat(40)).unwrap();
    let server = TestServer::with(|config| {
        config.auth.token_keys = vec![key.path().into()];
        config.quotas.streams_per_token = Some(2);
    });
    let keys = Keys::new(vec![Key::from_bytes("k".repeat(40).as_bytes()).unwrap()]).unwrap();
    let token = |sub: &str| {
        let claims = Claims {
            exp: 4_102_444_800,
            sub: Some(sub.to_owned()),
            jobs: Scope::parse(["a", "b"]).unwrap(),
            ..Claims::default()
        };
        format!("Authorization: Bearer {}\r\n", claims.sign(&keys))
    };
    let (ann, bob) = (token("ann"), token("bob"));
    let mut streams = [
        EventStream::open(server.public(), EVENTS, &ann),
        EventStream::open(server.public(), "/api/events?job=a&job=b", &ann),
    ];
    server.wait_for_streams("a", 2);
    assert_busy(server.public(), EVENTS, &ann);
    let mut bobs = EventStream::open(server.public(), EVENTS, &bob);
    let id = server.progress("a", 1);
    assert_eq!(bobs.event().id, id);
    for stream in &mut streams {
        assert_eq!(stream.event().n(), 1);
    }
    // A place is free again when its stream has ended, however it ended.
    let [first, _second] = streams;
    drop(first);
    server.wait_for_streams("a", 2);
    let mut again = EventStream::open(server.public(), EVENTS, &ann);
    assert_eq!(again.event().id, id);
}

#[test]
fn head_on_a_stream_is_answered_as_get_would_be() {
    let server = TestServer::start();
    let end = server.done("over");
    server.progress("running", 1);
    let seen = format!("Last-Event-ID: {end}\r\n");
    for (target, fields, status) in [
        ("/api/jobs/over/events", "", 200),
        ("/api/jobs/over/events", &*seen, 204),
        ("/api/jobs/over/events?replay=none", "", 204),
        ("/api/jobs/running/events?replay=none", "", 200),
        ("/api/jobs/never/events", "", 200),
        ("/api/events?job=over&replay=none", "", 204),
        ("/api/events?job=over&job=running&replay=none", "", 200),
        ("/api/events?job=over&job=never&replay=none", "", 200),
    ] {
        let mut client = server.public();
        client.send(get(target, fields).replace("GET", "HEAD"));
        let answer = client.answer_to_head();
        assert_eq!(answer.status, status, "HEAD {target} {fields}");
        let mut client = server.public();
        client.send(get(target, fields));
        let of_get = client.answer_to_head();
        assert_eq!(of_get.status, status, "GET {target} {fields}");
        let fields = |head: &str| -> Vec<String> {
            let lines = head.lines().filter(|line| !line.starts_with("Date:"));
            lines.map(str::to_owned).collect()
        };
        if status == 200 {
            assert_eq!(fields(&answer.head), fields(&of_get.head), "{target}");
        }
    }
    // A question begins no job.
    let mut client = server.public();
    client.send(get("/api/jobs/unheard/events", "").replace("GET", "HEAD"));
    assert_eq!(client.answer_to_head().status, 200);
    assert!(
        server
            .jobs()
            .snapshot(&"unheard".parse().unwrap())
            .is_none()
    );
}

#[test]
fn a_stream_whose_client_is_gone_before_it_begins_leaves_nothing_behind() {
    let server = TestServer::start();
    for _ in 0..100 {
        // The first answer is held back for the stream's head, and finds nobody.
        let mut client = server.public();
        client.send(get("/api/jobs/b", "") + &get(EVENTS, ""));
        let socket = socket2::SockRef::from(client.socket());
        socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
    super::support::wait_until("all are gone", || {
        server.metric("landfall_streams_open") == 0 && server.jobs().snapshots().is_empty()
    });
}

#[test]
fn whoever_waits_for_names_without_end_leaves_some_to_others() {
    let server = TestServer::with(|config| {
        config.hub.awaited = 10;
        config.hub.awaited_per_address = Some(3);
        config.quotas.trusted_proxies = Vec::new();
    });
    let refused = || server.metric("landfall_refusals_total{limit=\"max-awaited-per-address\"}");
    let greedy = || from(2, server.public_address());
    let other = || from(3, server.public_address());
    let events = |job: &str| format!("/api/jobs/{job}/events");
    let mut names = EventStream::open(greedy(), "/api/events?job=a&job=b&job=c", "");
    names.wait_for_retries(1);
    for job in ["d", "e"] {
        assert_busy(greedy(), &events(job), "");
    }
    assert_busy(greedy(), "/api/events?job=a&job=f", "");
    assert_eq!(refused(), 3);
    // Another is served, also at a name that is waited for already, which costs it nothing.
    for job in ["a", "x", "y", "z"] {
        EventStream::open(other(), &events(job), "").wait_for_retries(1);
    }
    let mut others = EventStream::open(other(), "/api/events?job=x&job=y&job=z", "");
    others.wait_for_retries(1);
    assert_busy(other(), &events("v"), "");
    let x = server.progress("x", 1);
    assert_eq!(others.event().id, x);
    // What is a job's by now is counted no more, nor what nobody waits for any more.
    server.progress("a", 1);
    let mut d = EventStream::open(greedy(), &events("d"), "");
    d.wait_for_retries(1);
    assert_busy(greedy(), &events("e"), "");
    drop(names);
    super::support::wait_until("they are let go", || {
        server.metric("landfall_names_awaited") == 3
    });
    EventStream::open(greedy(), "/api/events?job=e&job=f", "").wait_for_retries(1);
}

#[test]
fn whoever_takes_nothing_of_many_streams_leaves_room_to_slow_readers_elsewhere() {
    let server = TestServer::with(|config| {
        config.shards = 1;
        config.shard.leftover_bytes = 1 << 20;
        config.shard.leftover_bytes_per_address = Some(100 << 10);
        config.send_buffer_bytes = 8 << 10;
        config.quotas.trusted_proxies = Vec::new();
    });
    let slow = |host: u8| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(2048).unwrap();
        let source = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0));
        socket.bind(&source.into()).unwrap();
        socket.connect(&server.public_address().into()).unwrap();
        let mut socket = TcpStream::from(socket);
        socket.write_all(get(EVENTS, "").as_bytes()).unwrap();
        socket
    };
    let greedy: Vec<_> = (0..30).map(|_| slow(2)).collect();
    let other = slow(3);
    server.wait_for_streams("a", 31);
    let data = format!(r#"{{"text":"{}"}}"#, "x".repeat(60_000));
    let id = server.event("a", "progress", &data);
    let refused = "landfall_refusals_total{limit=\"stall-memory-per-address\"}";
    super::support::wait_until("the greedy one's are closed", || {
        server.metric(refused) >= 25
    });
    assert_eq!(
        server.metric("landfall_refusals_total{limit=\"stall-memory\"}"),
        0
    );
    let mut other = EventStream::begun(Client::on(other));
    assert_eq!(other.event().id, id);
    server.progress("a", 1);
    assert_eq!(other.event().n(), 1);
    drop(greedy);
}

#[test]
fn a_token_has_its_share_of_names_from_wherever_it_comes() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "k".repeat(40)).unwrap();
    let server = TestServer::with(|config| {
        config.auth.token_keys = vec![key.path().into()];
        config.hub.awaited_per_address = Some(2);
    });
    let keys = Keys::new(vec![Key::from_bytes("k".repeat(40).as_bytes()).unwrap()]).unwrap();
    let token = |sub: &str| {
        let claims = Claims {
            exp: 4_102_444_800,
            sub: Some(sub.to_owned()),
            jobs: Scope::parse(["*"]).unwrap(),
            ..Claims::default()
        };
        format!("Authorization: Bearer {}\r\n", claims.sign(&keys))
    };
    let mut held = EventStream::open(server.public(), "/api/events?job=a&job=b", &token("ann"));
    held.wait_for_retries(1);
    assert_busy(server.public(), "/api/jobs/c/events", &token("ann"));
    let mut bobs = EventStream::open(server.public(), "/api/jobs/c/events", &token("bob"));
    bobs.wait_for_retries(1);
}

#[test]
fn only_so_many_names_of_no_job_are_waited_for_and_jobs_are_as_free_as_before() {
    let server = TestServer::with(|config| config.hub.awaited = 2);
    let mut streams = [EventStream::of(&server, "a"), EventStream::of(&server, "b")];
    for stream in &mut streams {
        stream.wait_for_retries(1);
    }
    assert_busy(server.public(), "/api/jobs/c/events", "");
    assert_busy(server.public(), "/api/events?job=a&job=c", "");
    // A name that is waited for already costs nothing more, and a job none of these places.
    EventStream::of(&server, "a").wait_for_retries(1);
    let c = server.progress("c", 1);
    assert_eq!(EventStream::of(&server, "c").event().id, c);
    // What becomes a job is no longer waited for.
    let a = server.progress("a", 1);
    assert_eq!(streams[0].event().id, a);
    let mut d = EventStream::of(&server, "d");
    d.wait_for_retries(1);
    assert_busy(server.public(), "/api/jobs/e/events", "");
}
