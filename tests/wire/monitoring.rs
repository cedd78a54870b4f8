//! The monitoring listener.

use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::sse::EventStream;
use super::support::{Client, TestServer, get, post, wait_until};

/// The value of a sample in Prometheus' text format.
fn sample(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|line| {
        line.rsplit_once(' ')
            .is_some_and(|(sample, _)| sample == name)
    });
    Some(line?.rsplit_once(' ')?.1.parse().unwrap())
}

#[test]
fn metrics_are_prometheus_text_and_count_what_happened() {
    let server = TestServer::with(|config| config.hub.ring.events = 4);
    let first = server.progress("a", 0);
    for n in 1..10 {
        server.progress("a", n);
    }
    server.done("b");
    server.event("c", "error", "{}");
    let mut stream = EventStream::after(&server, "a", first);
    for _ in 0..5 {
        stream.event();
    }
    EventStream::of(&server, "b").rest();
    let _ = server.publishing().publish("b", r#"{"event":"done"}"#);
    let answer = server.ops().get("/metrics");
    assert_eq!(answer.status, 200);
    let kind = answer.field("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let metric = |name: &str| sample(&server.ops().get("/metrics").body, name);
    // Each is written out by whoever counts it, when that has time for it.
    for (name, value) in [
        ("landfall_frames_sent_total", 5.0),
        ("landfall_streams_open", 1.0),
        ("landfall_events_published_total", 12.0),
        ("landfall_resets_sent_total", 1.0),
        ("landfall_jobs{state=\"running\"}", 1.0),
        ("landfall_jobs{state=\"done\"}", 1.0),
        ("landfall_jobs{state=\"error\"}", 1.0),
        ("landfall_stream_closes_total{reason=\"ended\"}", 1.0),
        (
            "landfall_http_requests_total{method=\"GET\",route=\"/api/jobs/{job}/events\",code=\"200\"}",
            2.0,
        ),
        (
            "landfall_http_requests_total{method=\"POST\",route=\"/api/jobs/{job}/events\",code=\"409\"}",
            1.0,
        ),
        ("landfall_panics_total", 0.0),
        (
            concat!(
                "landfall_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\",features=\"\"}"
            ),
            1.0,
        ),
        // One that is refused has waited as well.
        ("landfall_publish_duration_seconds_count", 13.0),
        (
            "landfall_publish_duration_seconds_bucket{le=\"+Inf\"}",
            13.0,
        ),
    ] {
        wait_until(&format!("{name} is {value}"), || {
            metric(name) == Some(value)
        });
    }
    assert!(metric("landfall_ring_bytes") > Some(0.0));
    assert!(metric("landfall_stream_sent_bytes_total") > Some(100.0));
    assert_well_formed(&answer.body);
}

#[test]
fn stages_are_measured_where_files_are_processed() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::with(|config| config.data = Some(folder.path().join("data")));
    let form = "POST /api/uploads?job=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
    let mut client = server.public();
    client.send(form);
    assert_eq!(client.answer().status, 201);
    let done =
        |stage| format!("landfall_stage_outcomes_total{{stage=\"{stage}\",outcome=\"done\"}}");
    let metrics = || server.ops().get("/metrics").body;
    for stage in ["scanning", "transcoding", "storing"] {
        wait_until("each stage was done with it", || {
            sample(&metrics(), &done(stage)) == Some(1.0)
        });
    }
    for (name, value) in [
        (
            "landfall_stage_outcomes_total{stage=\"scanning\",outcome=\"done\"}",
            1.0,
        ),
        (
            "landfall_stage_outcomes_total{stage=\"scanning\",outcome=\"failed\"}",
            0.0,
        ),
        (
            "landfall_stage_files{stage=\"scanning\",state=\"waiting\"}",
            0.0,
        ),
        (
            "landfall_stage_files{stage=\"scanning\",state=\"working\"}",
            0.0,
        ),
    ] {
        wait_until(&format!("{name} is {value}"), || {
            sample(&metrics(), name) == Some(value)
        });
    }
    for (name, at_least) in [
        (
            "landfall_stage_duration_seconds_count{stage=\"storing\"}",
            1.0,
        ),
        (
            "landfall_stage_duration_seconds_sum{stage=\"storing\"}",
            1e-9,
        ),
        (
            "landfall_stage_duration_seconds_bucket{stage=\"storing\",le=\"7200\"}",
            1.0,
        ),
        ("landfall_disk_free_bytes", 1e6),
        ("landfall_spool_limit_bytes", 1e6),
    ] {
        wait_until(&format!("{name} is {at_least} at least"), || {
            sample(&metrics(), name) >= Some(at_least)
        });
    }
    // What has been processed isn't in the way of others.
    wait_until("the spool is empty", || {
        let text = metrics();
        ["landfall_spool_bytes", "landfall_uploads_unfinished"]
            .iter()
            .all(|name| sample(&text, name) == Some(0.0))
    });
    assert_well_formed(&metrics());
}

/// Each metric is introduced once, before its samples, by its name.
fn assert_well_formed(text: &str) {
    let mut introduced = Vec::new();
    let mut is_histogram = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(!introduced.contains(&name), "{name}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            introduced.push(name);
            is_histogram = kind == "histogram";
        } else if !line.starts_with('#') {
            let mut name = line.split(['{', ' ']).next().unwrap();
            if is_histogram {
                let ends = ["_bucket", "_sum", "_count"];
                let found = ends.iter().find_map(|end| name.strip_suffix(end));
                name = found.unwrap_or_else(|| panic!("{line}"));
            }
            assert_eq!(introduced.last(), Some(&name), "{line}");
        }
    }
}

#[test]
fn jobs_are_listed_as_json_with_their_streams() {
    let server = TestServer::start();
    assert_eq!(server.ops().get("/jobs").body, r#"{"jobs":[]}"#);
    server.done("b");
    let id = server.progress("a", 1);
    let _stream = EventStream::of(&server, "a");
    server.wait_for_streams("a", 1);
    let answer = server.ops().get("/jobs");
    assert_eq!(answer.field("content-type"), Some("application/json"));
    let json = answer.json();
    let jobs = json["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 2);
    for (job, name, state, streams) in [(&jobs[0], "a", "running", 1), (&jobs[1], "b", "done", 0)] {
        assert_eq!(job["jobId"], name);
        assert_eq!(job["state"], state);
        assert_eq!(job["streams"], streams);
    }
    assert_eq!(jobs[0]["lastEventId"], id.to_string());
}

#[test]
fn it_says_that_it_is_alive_and_ready() {
    let server = TestServer::start();
    for (target, body) in [
        ("/healthz", "ok\n"),
        ("/readyz", "ready\n"),
        ("/healthz?x", "ok\n"),
    ] {
        let answer = server.ops().get(target);
        assert_eq!((answer.status, &*answer.body), (200, body));
        assert_eq!(answer.field("connection"), Some("close"));
        assert_eq!(
            answer.field("server"),
            None,
            "what serves is nobody's business"
        );
    }
    let answer = server.ops().get("/nothing");
    assert_eq!(answer.status, 404);
    answer.error();
    let answer = server
        .ops()
        .send(post("/metrics", "text/plain", ""))
        .answer();
    assert_eq!(answer.status, 405);
    assert_eq!(answer.field("allow"), Some("GET, HEAD"));
}

#[test]
fn what_is_sent_behind_a_request_takes_no_answer_away() {
    let server = TestServer::start();
    for _ in 0..20 {
        let mut client = server.ops();
        client.send(post("/metrics", "text/plain", &"x".repeat(30_000)));
        assert_eq!(client.answer().status, 405);
    }
}

#[test]
fn it_is_not_ready_while_it_drains_and_alive_all_the_same_and_nowhere_after_that() {
    const STREAMS: usize = 20;
    let server = TestServer::with(|config| {
        config.drain = Duration::from_secs(120);
        config.drain_spread = Duration::from_secs(60);
    });
    let streams: Vec<_> = (0..STREAMS)
        .map(|_| EventStream::of(&server, "a"))
        .collect();
    server.progress("a", 1);
    server.wait_for_streams("a", STREAMS);
    let address = server.ops_address();
    assert_eq!(server.ops().get("/readyz").status, 200);
    let stopping = std::thread::spawn(move || server.stop());
    let ask = |target| Client::connect(address).get(target);
    wait_until("it says so", || ask("/readyz").status == 503);
    assert_eq!(ask("/readyz").body, "stopping\n");
    assert_eq!(ask("/healthz").status, 200);
    assert_eq!(ask("/metrics").status, 200);
    drop(streams);
    assert!(stopping.join().unwrap());
    wait_until("nobody listens", || TcpStream::connect(address).is_err());
}

#[test]
fn head_has_no_body_there_either() {
    let server = TestServer::start();
    let mut client = server.ops();
    client.send(get("/healthz", "").replacen("GET", "HEAD", 1));
    assert_eq!(client.answer_to_head().status, 200);
    assert_eq!(client.rest(), "");
}

#[test]
fn a_broken_request_costs_its_connection_and_nothing_else() {
    let server = TestServer::start();
    for request in [
        "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nX: \0\r\n\r\n".to_owned(),
        get("/", &"X: y\r\n".repeat(100)),
        get(&"/x".repeat(50_000), ""),
    ] {
        let mut client = server.ops();
        client.send_what_it_takes(&request);
        // The connection may be gone by now.
        let _ = client.socket().shutdown(Shutdown::Write);
        client.rest();
        assert_eq!(server.ops().get("/healthz").status, 200);
    }
}
