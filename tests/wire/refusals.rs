//! Requests that are right in themselves and get no for an answer, and what is near
//! them: paths, methods, targets, HEAD, snapshots, unix sockets.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use landfall::Address;

use super::sse::EventStream;
use super::support::{PATIENCE, TestServer, get, post};

#[test]
fn a_path_that_is_not_there_is_404() {
    let server = TestServer::start();
    for target in [
        "/nothing",
        "/api",
        "/api/",
        "/api/jobs/a/other",
        "/api/jobs/a/events/x",
        "/api/jobs/a/events/",
        "//api/jobs/a",
        "/API/jobs/a",
        "/a/b/c/d/e/f/g",
        "/api%2Fjobs/a",
        "/../api/jobs/a",
        "/api/./events",
    ] {
        for mut client in [server.public(), server.publishing()] {
            let answer = client.get(target);
            assert_eq!(answer.status, 404, "{target}");
            answer.error();
            // The connection is fit for another.
            assert_eq!(client.get(target).status, 404);
        }
    }
}

#[test]
fn a_known_method_on_the_wrong_path_is_405_with_allow() {
    let server = TestServer::start();
    server.progress("a", 1);
    let (events, job) = ("/api/jobs/a/events", "/api/jobs/a");
    for (public, method, target, allow) in [
        (true, "POST", events, "GET, HEAD, OPTIONS"),
        (true, "POST", "/api/events", "GET, HEAD, OPTIONS"),
        (true, "DELETE", job, "GET, HEAD, OPTIONS"),
        (true, "PUT", job, "GET, HEAD, OPTIONS"),
        (false, "PUT", events, "GET, HEAD, POST, OPTIONS"),
        (false, "DELETE", events, "GET, HEAD, POST, OPTIONS"),
        (false, "DELETE", "/api/events", "GET, HEAD, POST, OPTIONS"),
        (false, "POST", job, "GET, HEAD, PUT, DELETE, OPTIONS"),
        (false, "PATCH", job, "GET, HEAD, PUT, DELETE, OPTIONS"),
        (false, "TRACE", job, "GET, HEAD, PUT, DELETE, OPTIONS"),
        (false, "CONNECT", job, "GET, HEAD, PUT, DELETE, OPTIONS"),
        (false, "POST", "/openapi.json", "GET, HEAD, OPTIONS"),
        (true, "GET", "/openapi.json", "OPTIONS"),
        (true, "POST", "/api/jobs/a/retry", "OPTIONS"),
        (true, "PATCH", job, "GET, HEAD, OPTIONS"),
    ] {
        let mut client = match public {
            true => server.public(),
            false => server.publishing(),
        };
        let body = r#"{"event":"done"}"#;
        let request = post(target, "application/json", body).replacen("POST", method, 1);
        let answer = client.send(request).answer();
        assert_eq!(answer.status, 405, "{method} {target}");
        assert_eq!(answer.field("allow"), Some(allow), "{method} {target}");
        // Where the publishing listener is what was meant, that is said.
        let is_elsewhere = public && method != "PATCH";
        let error = answer.error();
        assert_eq!(error.contains("publishing"), is_elsewhere, "{error}");
        assert_eq!(error.ends_with(&format!("use {allow}")), !is_elsewhere);
    }
    assert_eq!(server.metric("landfall_events_published_total"), 1);
}

#[test]
fn an_encoded_event_is_415() {
    let server = TestServer::start();
    let request = post(
        "/api/jobs/a/events",
        "application/json",
        r#"{"event":"done"}"#,
    );
    for coding in ["gzip", "br", "identity, gzip"] {
        let field = format!("\r\nContent-Encoding: {coding}\r\nContent-Type:");
        let encoded = request.replacen("\r\nContent-Type:", &field, 1);
        let answer = server.publishing().send(encoded).answer();
        assert_eq!(answer.status, 415, "{coding}");
    }
    assert_eq!(
        landfall::internals::hub(server.jobs())
            .metrics()
            .events_published
            .get(),
        0
    );
    let plain = request.replacen(
        "\r\nContent-Type:",
        "\r\nContent-Encoding: identity\r\nContent-Type:",
        1,
    );
    assert_eq!(server.publishing().send(plain).answer().status, 201);
}

#[test]
fn an_unknown_method_is_501() {
    let server = TestServer::start();
    for method in ["BREW", "get", "PROPFIND", "GETS"] {
        let request = get("/api/jobs/a", "").replacen("GET", method, 1);
        let mut client = server.public();
        let answer = client.send(request).answer();
        assert_eq!(answer.status, 501, "{method}");
        for known in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            assert!(answer.error().contains(known), "{known}: {answer:?}");
        }
        client.assert_closed();
    }
}

#[test]
fn options_says_what_is_allowed() {
    let server = TestServer::start();
    for (target, allow) in [
        ("*", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ("/api/jobs/a", "GET, HEAD, PUT, DELETE, OPTIONS"),
        ("/api/jobs/a/events", "GET, HEAD, POST, OPTIONS"),
    ] {
        let mut client = server.publishing();
        let request = get(target, "").replacen("GET", "OPTIONS", 1);
        let answer = client.send(request).answer();
        assert_eq!(answer.status, 204);
        assert_eq!(answer.field("allow"), Some(allow));
        assert_eq!(client.get("*").status, 405);
    }
}

#[test]
fn a_parameter_that_is_given_twice_is_400_wherever_it_is_known() {
    let server = TestServer::start();
    server.progress("a", 1);
    for (method, target, twice) in [
        ("GET", "/api/jobs/a/events", "lastEventId=1&lastEventId=2"),
        ("GET", "/api/jobs/a/events", "replay=all&replay=none"),
        ("GET", "/api/jobs/a/events", "maxRate=1&maxRate=1"),
        ("GET", "/api/events", "jobs=a*&jobs=b*"),
        ("GET", "/api/events", "job=a:1&job=b&job=a:2"),
        ("GET", "/api/jobs", "limit=1&limit=2"),
        ("GET", "/api/jobs", "prefix=a&prefix="),
        ("GET", "/api/jobs", "state=&state=done"),
        ("GET", "/api/jobs", "after=&%61fter=1"),
        ("PUT", "/api/jobs/a", "replace=true&replace=false"),
    ] {
        let request = get(&format!("{target}?{twice}"), "").replacen("GET", method, 1);
        let answer = server.publishing().send(request).answer();
        assert_eq!(answer.status, 400, "{method} {target}?{twice}");
        assert!(answer.error().contains("given twice"), "{answer:?}");
    }
    // What isn't known is ignored, however often it is there, and one job is one job.
    let target = "/api/jobs/a?x=1&x=2&limit=1&limit=2";
    assert_eq!(server.publishing().get(target).status, 200);
    let target = "/api/events?job=a&job=a&limit=1&limit=2";
    let mut stream = EventStream::open(server.public(), target, "");
    assert_eq!(stream.event().n(), 1);
}

#[test]
fn a_name_that_is_none_is_400_after_one_decoding() {
    let server = TestServer::start();
    server.progress("a.b_c~d-E9", 1);
    let long = "x".repeat(129);
    for (name, status) in [
        ("a.b_c~d-E9", 200),
        ("%61.b_c%7Ed-E9", 200),
        ("%61%2Eb%5fc~d%2dE9", 200),
        // Decoded once, this is a name with a percent sign: no name.
        ("%2561.b_c~d-E9", 400),
        ("a%2Fb", 400),
        ("a%00", 400),
        ("a%0A", 400),
        ("%C3%A9", 400),
        ("%FF", 400),
        ("a%", 400),
        ("a%4", 400),
        ("a%zz", 400),
        ("a+b", 400),
        ("", 400),
        (&*long, 400),
        (&*"x".repeat(128), 404),
        ("nobody", 404),
    ] {
        let answer = server.public().get(&format!("/api/jobs/{name}"));
        assert_eq!(answer.status, status, "{name}");
        if status != 200 {
            answer.error();
        }
        if status == 400 {
            let target = format!("/api/jobs/{name}/events");
            assert_eq!(server.public().get(&target).status, 400, "{name}");
        }
    }
    for query in ["job=a%2Fb", "job=", "job=%FF", "job=a&job=%", "job=%2561"] {
        let answer = server.public().get(&format!("/api/events?{query}"));
        assert_eq!(answer.status, 400, "{query}");
    }
}

#[test]
fn an_absolute_target_is_served_like_any() {
    let server = TestServer::start();
    server.progress("a", 1);
    for target in ["http://h/api/jobs/a", "HTTP://other:1/api/jobs/a?x=y"] {
        assert_eq!(server.public().get(target).status, 200, "{target}");
    }
    for (target, status) in [
        // The page.
        ("http://h", 200),
        ("http:///api/jobs/a", 400),
        ("https://h/api/jobs/a", 400),
        ("h:80", 400),
        ("api/jobs/a", 400),
        ("/api/jobs/a#x", 400),
    ] {
        let mut client = server.public();
        assert_eq!(client.get(target).status, status, "{target}");
    }
}

#[test]
fn a_snapshot_has_the_contracts_shape() {
    let server = TestServer::start();
    let id = server.event("a", "progress", r#"{"stage":"scanning","percent":30}"#);
    let answer = server.public().get("/api/jobs/a");
    assert_eq!(answer.field("content-type"), Some("application/json"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    let json = answer.json();
    let time = |name: &str| json[name].as_str().unwrap().to_owned();
    let (created, updated) = (time("createdAt"), time("updatedAt"));
    assert!(created.ends_with('Z') && created <= updated, "{created}");
    let expected = format!(
        r#"{{"jobId":"a","state":"running","lastEventId":"{id}","lastEvent":{{"event":"progress","data":{{"jobId":"a","stage":"scanning","percent":30}}}},"createdAt":"{created}","updatedAt":"{updated}","streams":0}}"#
    );
    assert_eq!(answer.body, expected);
    for (job, end, state) in [("b", "done", "done"), ("c", "error", "error")] {
        server.event(job, end, "{}");
        let json = server.publishing().get(&format!("/api/jobs/{job}")).json();
        assert_eq!(json["state"], state);
        assert_eq!(json["lastEvent"]["event"], end);
    }
}

#[test]
fn a_stream_that_waits_makes_no_job_and_a_job_without_events_has_nulls() {
    let server = TestServer::start();
    let _stream = super::sse::EventStream::of(&server, "a");
    server.wait_for_streams("a", 1);
    assert_eq!(server.public().get("/api/jobs/a").status, 404);
    let begin = get("/api/jobs/a", "").replacen("GET", "PUT", 1);
    assert_eq!(server.publishing().send(begin).answer().status, 201);
    let json = server.public().get("/api/jobs/a").json();
    assert_eq!(
        (&json["state"], &json["streams"]),
        (&"running".into(), &1.into())
    );
    assert!(json["lastEventId"].is_null() && json["lastEvent"].is_null());
}

#[test]
fn head_is_get_without_the_body() {
    let server = TestServer::start();
    server.progress("a", 1);
    for target in ["/api/jobs/a", "/api/jobs/none", "/openapi.json", "/nothing"] {
        let mut client = server.publishing();
        let full = client.get(target);
        client.send(get(target, "").replacen("GET", "HEAD", 1));
        let head = client.answer_to_head();
        assert_eq!(head.status, full.status);
        assert_eq!(head.field("content-length"), full.field("content-length"));
        assert_eq!(head.field("content-type"), full.field("content-type"));
        // No byte of a body stands before the next answer.
        assert_eq!(client.get(target).body, full.body);
    }
}

#[test]
fn events_are_published_over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("publish.sock");
    let server = TestServer::with(|config| config.publish = Address::Unix(path.clone()));
    let mut socket = UnixStream::connect(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = post(
        "/api/jobs/a/events",
        "application/json",
        r#"{"event":"done"}"#,
    );
    let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    let frames = super::sse::EventStream::of(&server, "a").rest();
    assert_eq!(frames.len(), 1);
    // Streams are served there too.
    let mut socket = UnixStream::connect(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(get("/api/events", "").as_bytes()).unwrap();
    let mut piece = [0; 15];
    socket.read_exact(&mut piece).unwrap();
    assert_eq!(&piece, b"HTTP/1.1 200 OK");
    server.stop();
    assert!(!path.exists(), "its file goes with it");
}
