//! Real proxies before the real binary, as the guide configures them.

#[path = "../support/binary.rs"]
mod binary;
mod follower;
#[path = "../support/http.rs"]
mod http;
mod matrix;
mod proxy;

use std::process::Command;
use std::time::{Duration, Instant};

use binary::Binary;
use follower::{Follower, Version};
use http::{metric, publish, wait_until};
use proxy::{Kind, Proxy, Upstream};

const JOB: &str = "job_8f3a";
/// Enough for one to be quick, and less in all than any proxy's buffer.
const FRAMES: u32 = 20;
/// Where none of those was quick: the machine may be at something else.
const FRAMES_MOST: u32 = 100;
/// A frame is through in less.
const WANTED: Duration = Duration::from_millis(100);
const COMPRESSED: &str = "gzip on; gzip_types *; gzip_proxied any; gzip_min_length 0;";

#[test]
fn nginx_passes_frames_one_by_one_over_http_1_1_and_http_2() {
    passes_frames_one_by_one(Kind::Nginx, &[], &[]);
}

#[test]
fn caddy_passes_frames_one_by_one_over_http_1_1_and_http_2() {
    passes_frames_one_by_one(Kind::Caddy, &[], &[]);
}

#[test]
fn haproxy_passes_frames_one_by_one_over_http_1_1_and_http_2() {
    passes_frames_one_by_one(Kind::HaProxy, &[], &[]);
}

#[test]
fn each_proxy_passes_frames_one_by_one_from_a_unix_socket() {
    for kind in [Kind::Nginx, Kind::Caddy, Kind::HaProxy] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("public.sock");
        let path = path.to_str().unwrap();
        let program = Command::new(env!("CARGO_BIN_EXE_landfall"));
        let server = Binary::listening(program, &format!("unix:{path}"), &["--memory-only"]);
        let proxy = Proxy::before(kind, Upstream::Socket(path), &[]);
        frames_come_one_by_one(&server, &proxy, &[]);
    }
}

#[test]
fn nginx_with_buffering_on_passes_frames_one_by_one() {
    let buffering = ("proxy_http_version 1.1;", "proxy_buffering on;");
    passes_frames_one_by_one(Kind::Nginx, &[buffering], &[]);
}

#[test]
fn nginx_that_compresses_doesnt_hold_frames_back() {
    let compressed = ("proxy_http_version 1.1;", COMPRESSED);
    // Alone of the three it does so in spite of no-transform.
    let seen = passes_frames_one_by_one(Kind::Nginx, &[compressed], &["--compressed"]);
    assert!(
        seen.iter()
            .all(|head| head.contains("content-encoding: gzip"))
    );
}

#[test]
fn caddy_that_compresses_doesnt_hold_frames_back() {
    let compressed = ("progress.key", "\tencode gzip");
    let seen = passes_frames_one_by_one(Kind::Caddy, &[compressed], &["--compressed"]);
    assert!(seen.iter().all(|head| !head.contains("content-encoding")));
}

#[test]
fn haproxy_that_compresses_doesnt_hold_frames_back() {
    let lines = "  compression algo gzip\n  compression type text/event-stream";
    let compressed = ("option abortonclose", lines);
    let seen = passes_frames_one_by_one(Kind::HaProxy, &[compressed], &["--compressed"]);
    assert!(seen.iter().all(|head| !head.contains("content-encoding")));
}

#[test]
fn a_browser_sends_a_file_and_gets_frames_one_by_one_through_each_proxy() {
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().to_str().unwrap();
    let server = Binary::serve_keeping(directory, &["--host", proxy::NAME]);
    let proxies = [Kind::Nginx, Kind::Caddy, Kind::HaProxy];
    let proxies = proxies.map(|kind| Proxy::start(kind, server.public));
    let urls = proxies
        .each_ref()
        .map(|proxy| format!("https://{}:{}", proxy::NAME, proxy.port));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/proxies.test.mjs");
    let output = Command::new("node")
        .args(["--test", script])
        .env("LANDFALL_PUBLISH", server.publish.to_string())
        .env("LANDFALL_PROXIES", urls.join(" "))
        .output()
        .unwrap_or_else(|error| panic!("node: {error}: run scripts/test"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[test]
fn an_nginx_that_ignores_the_header_delivers_in_a_burst() {
    let server = Binary::serve(&[]);
    let ignoring = "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;";
    let deaf = [("proxy_http_version 1.1;", ignoring)];
    let deaf = Proxy::with(Kind::Nginx, server.public, &deaf);
    let good = Proxy::start(Kind::Nginx, server.public);
    // Over HTTP/2 it passes chunks on as they come; TLS under HTTP/1.1 waits for a record.
    let mut late = Follower::start(&deaf, JOB, Version::Http1, &[]);
    let mut early = Follower::start(&good, JOB, Version::Http2, &[]);
    wait_for_streams(&server, 2);
    for percent in 1..=FRAMES {
        let id = progress(&server, percent);
        assert_eq!(early.id(), id);
        assert!(late.is_silent());
    }
    publish(server.publish, JOB, "done", "{}");
    for _ in 1..=FRAMES {
        late.id();
    }
}

#[test]
fn a_client_that_leaves_a_proxy_leaves_the_server_at_once() {
    // No heartbeat helps the proxy to notice.
    let server = Binary::serve(&["--heartbeat", "10m"]);
    for kind in [Kind::Nginx, Kind::Caddy, Kind::HaProxy] {
        let proxy = Proxy::start(kind, server.public);
        for version in [Version::Http1, Version::Http2] {
            let follower = Follower::start(&proxy, JOB, version, &[]);
            wait_for_streams(&server, 1);
            drop(follower);
            wait_for_streams(&server, 0);
        }
    }
}

#[test]
fn a_client_resumes_and_is_told_to_stop_through_each_proxy() {
    let server = Binary::serve(&[]);
    let ids = [30, 60].map(|percent| progress(&server, percent));
    let last = publish(server.publish, JOB, "done", "{}");
    for kind in [Kind::Nginx, Kind::Caddy, Kind::HaProxy] {
        let proxy = Proxy::start(kind, server.public);
        for version in [Version::Http1, Version::Http2] {
            let after = |id: u64| format!("Last-Event-ID: {id}");
            let mut follower = Follower::start(&proxy, JOB, version, &["-H", &after(ids[0])]);
            assert_eq!(follower.id(), ids[1]);
            assert_eq!(follower.id(), last);
            let mut follower = Follower::start(&proxy, JOB, version, &["-H", &after(last)]);
            assert!(follower.head().contains(" 204"));
        }
    }
}

#[test]
fn a_token_in_the_query_isnt_in_the_log_that_the_readme_gives_nginx() {
    let server = Binary::serve(&[]);
    progress(&server, 30);
    let proxy = Proxy::start(Kind::Nginx, server.public);
    let job = format!("{JOB}/events?token=eyJhbGciOiJIUzI1NiJ9.e30.c2VjcmV0&x=");
    let mut follower = Follower::start(&proxy, &job, Version::Http2, &[]);
    follower.id();
    drop(follower);
    wait_until("it is logged", || proxy.file("landfall.log").contains(JOB));
    let log = proxy.file("landfall.log") + &proxy.file("log");
    assert!(!log.contains("token") && !log.contains("c2VjcmV0"), "{log}");
}

/// Each frame is published only when the one before has come through: a proxy that holds
/// them back delivers none. Returns what the heads said.
fn passes_frames_one_by_one(kind: Kind, more: &[(&str, &str)], arguments: &[&str]) -> Vec<String> {
    let server = Binary::serve(&[]);
    let proxy = Proxy::with(kind, server.public, more);
    println!("{kind:?}");
    frames_come_one_by_one(&server, &proxy, arguments)
}

fn frames_come_one_by_one(server: &Binary, proxy: &Proxy, arguments: &[&str]) -> Vec<String> {
    let mut heads = Vec::new();
    for (job, version) in [("http1", Version::Http1), ("http2", Version::Http2)] {
        let mut follower = Follower::start(proxy, job, version, arguments);
        let mut took = Vec::new();
        // The quickest, whatever else the machine does: a proxy that waits for more has none.
        let has_a_quick_one = |took: &[Duration]| took.iter().any(|it| *it < WANTED);
        for percent in 1..=FRAMES_MOST {
            if percent > FRAMES && has_a_quick_one(&took) {
                break;
            }
            let begin = Instant::now();
            let data = format!(r#"{{"stage":"scanning","percent":{percent}}}"#);
            let id = publish(server.publish, job, "progress", &data);
            assert_eq!(follower.id(), id);
            took.push(begin.elapsed());
        }
        took.sort();
        let median = took[took.len() / 2];
        println!("{version:?}: {median:?} at the median, {took:?}");
        assert!(has_a_quick_one(&took), "{took:?}");
        heads.push(follower.head().to_lowercase());
        publish(server.publish, job, "done", "{}");
        assert!(follower.ends_well(), "it was cut off");
    }
    heads
}

fn progress(server: &Binary, percent: u32) -> u64 {
    let data = format!(r#"{{"stage":"scanning","percent":{percent}}}"#);
    publish(server.publish, JOB, "progress", &data)
}

fn wait_for_streams(server: &Binary, count: u32) {
    let is_so = || metric(server.ops, "landfall_streams_open") == f64::from(count);
    wait_until(&format!("{count} streams"), is_so);
}
