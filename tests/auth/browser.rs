//! What web pages may do through their visitors' browsers.

use std::net::SocketAddr;

use landfall::Server;

use super::support::*;

const EVENTS: &str = "/api/jobs/a/events";
const APP: &str = "https://app.example";

fn origin(origin: &str) -> String {
    format!("Origin: {origin}\r\n")
}

/// Publishes with another `Host` than the address.
fn post_as(address: SocketAddr, host: &str, fields: &str) -> u16 {
    let length = EVENT.len();
    let fields = format!(
        "Host: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{fields}"
    );
    raw(address, &format!("POST {EVENTS}"), &fields, EVENT).status
}

#[test]
fn a_foreign_page_that_publishes_is_403() {
    let server = start(|_| {});
    let address = publish(&server);
    for foreign in [
        "https://evil.example",
        "http://evil.example:8081",
        "null",
        "",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost:3000",
        "file://",
        "nonsense",
    ] {
        let field = origin(foreign);
        assert_eq!(
            post(address, EVENTS, &field, EVENT).status,
            403,
            "{foreign}"
        );
        assert_eq!(
            delete(address, "/api/jobs/a", &field).status,
            403,
            "{foreign}"
        );
    }
    assert!(server.jobs().snapshot(&"a".parse().unwrap()).is_none());
    let own = origin(&format!("http://{address}"));
    assert_eq!(post(address, EVENTS, &own, EVENT).status, 201);
}

#[test]
fn a_cross_site_form_and_a_no_cors_fetch_are_refused_even_without_an_origin() {
    let server = start(|_| {});
    let address = publish(&server);
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
    ] {
        let length = EVENT.len();
        let fields =
            format!("Host: {address}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n");
        let status = raw(address, &format!("POST {EVENTS}"), &fields, EVENT).status;
        assert_eq!(status, 415, "{kind}");
    }
    let fields = format!("Host: {address}\r\nContent-Length: {}\r\n", EVENT.len());
    assert_eq!(
        raw(address, &format!("POST {EVENTS}"), &fields, EVENT).status,
        415
    );
}

#[test]
fn dns_rebinding_to_an_open_publishing_listener_is_403_reading_or_writing() {
    let server = start(|config| config.auth.hosts = vec!["hub.example".parse().unwrap()]);
    let address = publish(&server);
    let port = address.port();
    let rebound = format!("evil.example:{port}");
    // By its own name the page is of the same origin: Host alone tells.
    let own = origin(&format!("http://{rebound}"));
    assert_eq!(post_as(address, &rebound, &own), 403);
    assert_eq!(post_as(address, &rebound, ""), 403);
    let fields = format!("Host: {rebound}\r\n");
    for target in ["/api/events", EVENTS, "/api/jobs/a"] {
        let status = raw(address, &format!("GET {target}"), &fields, "").status;
        assert_eq!(status, 403, "{target}");
    }
    assert_eq!(raw(address, "DELETE /api/jobs/a", &fields, "").status, 403);
    assert_eq!(
        raw(server.ops().tcp().unwrap(), "GET /jobs", &fields, "").status,
        403
    );
    assert_eq!(
        raw(server.ops().tcp().unwrap(), "GET /metrics", &fields, "").status,
        200
    );
    for host in ["localhost", "127.0.0.1", "[::1]", "hub.example", "landfall"] {
        assert_eq!(
            post_as(address, &format!("{host}:{port}"), ""),
            201,
            "{host}"
        );
        assert_eq!(post_as(address, host, ""), 201, "{host}");
    }
}

#[test]
fn where_a_key_is_shown_the_name_does_not_matter() {
    let files = KeyFiles::new();
    let server = start(|config| config.auth.publish_key = Some(files.path("publish")));
    let field = bearer(PUBLISH_KEY);
    assert_eq!(post_as(publish(&server), "hub.example", &field), 201);
    assert_eq!(post_as(publish(&server), "hub.example", ""), 401);
    // Public streams are asked for through proxies, by whatever name.
    let fields = "Host: progress.example\r\n";
    let status = raw(public(&server), &format!("GET {EVENTS}"), fields, "").status;
    assert_eq!(status, 200);
}

#[test]
fn a_cookie_changes_something_only_from_a_page_that_may() {
    let files = KeyFiles::new();
    let server = start(|config| {
        config.auth.token_keys = vec![files.path("token")];
        config.auth.cors_origins = vec![APP.parse().unwrap(), "*".parse().unwrap()];
    });
    let address = publish(&server);
    let status = |fields: String| post(address, EVENTS, &fields, EVENT).status;
    let good = token(&[], &["a"]);
    assert_eq!(status(cookie(&good)), 403);
    assert_eq!(status(cookie(&good) + &origin("https://evil.example")), 403);
    assert_eq!(status(cookie(&good) + &origin("null")), 403);
    assert_eq!(status(cookie(&good) + &origin(APP)), 201);
    assert_eq!(
        status(cookie(&good) + &origin(&format!("http://{address}"))),
        201
    );
    assert_eq!(status(bearer(&good)), 201);
}

fn with_origins(origins: &[&str]) -> Server {
    start(|config| {
        config.auth.cors_origins = origins.iter().map(|text| text.parse().unwrap()).collect();
    })
}

#[test]
fn without_a_configured_origin_no_answer_has_cors_headers() {
    let server = start(|_| {});
    for answer in [
        get(public(&server), EVENTS, &origin(APP)),
        get(public(&server), "/nowhere", &origin(APP)),
        post(publish(&server), EVENTS, "", EVENT),
        preflight(public(&server), EVENTS, APP),
    ] {
        assert!(!answer.head.contains("Access-Control"), "{}", answer.head);
        assert!(!answer.head.contains("Vary"), "{}", answer.head);
    }
}

#[test]
fn a_configured_origin_reads_streams_answers_and_errors_with_credentials() {
    let files = KeyFiles::new();
    let server = start(|config| {
        config.auth.token_keys = vec![files.path("token")];
        config.auth.cors_origins = vec![APP.parse().unwrap()];
        config.streams = 2;
    });
    let public = public(&server);
    assert_eq!(post(publish(&server), EVENTS, "", EVENT).status, 201);
    let fields = origin(APP) + &cookie(&token(&["a"], &[]));
    let streams = [EVENTS, "/api/events?job=a"].map(|target| get(public, target, &fields));
    let others = [
        // No room: 200 and a close.
        (get(public, EVENTS, &fields), 200),
        (get(public, "/api/jobs/a", &fields), 200),
        (get(public, "/api/jobs/b", &fields), 403),
        (get(public, "/api/jobs/a", &origin(APP)), 401),
        (get(public, "/nowhere", &fields), 404),
        (get(public, "/api/jobs/%ff", &fields), 400),
        (post(public, EVENTS, &fields, EVENT), 405),
        (
            post(publish(&server), "/api/jobs/b/events", &origin(APP), EVENT),
            201,
        ),
        (
            post(publish(&server), "/api/jobs/b/events", &origin(APP), "{}"),
            400,
        ),
        (
            raw(
                public,
                "HEAD /api/jobs/a/events",
                &format!("Host: a\r\n{fields}"),
                "",
            ),
            200,
        ),
    ];
    let all = streams
        .into_iter()
        .map(|stream| (stream, 200))
        .chain(others);
    for (answer, status) in all {
        assert_eq!(answer.status, status, "{}", answer.head);
        let field = |name| answer.field(name);
        assert_eq!(
            field("Access-Control-Allow-Origin"),
            Some(APP),
            "{}",
            answer.head
        );
        assert_eq!(field("Access-Control-Allow-Credentials"), Some("true"));
        assert_eq!(field("Vary"), Some("Origin"));
    }
    // Another origin is told nothing, and no cache gives it what this one was told.
    let foreign = get(public, "/nowhere", &origin("https://evil.example"));
    assert_eq!(foreign.field("Access-Control-Allow-Origin"), None);
    assert_eq!(foreign.field("Vary"), Some("Origin"));
}

#[test]
fn a_star_is_without_credentials_and_not_for_what_only_workers_may() {
    let server = with_origins(&["*"]);
    let any = get(public(&server), EVENTS, &origin(APP));
    assert_eq!(any.field("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(any.field("Access-Control-Allow-Credentials"), None);
    let all = get(publish(&server), "/api/events", &origin(APP));
    assert_eq!(all.field("Access-Control-Allow-Origin"), None);
    assert_eq!(
        post(publish(&server), EVENTS, &origin(APP), EVENT).status,
        403
    );
}

fn preflight(address: SocketAddr, target: &str, from: &str) -> Answer {
    let fields = format!(
        "Host: {address}\r\nOrigin: {from}\r\nAccess-Control-Request-Method: GET\r\n\
         Access-Control-Request-Headers: last-event-id\r\n"
    );
    raw(address, &format!("OPTIONS {target}"), &fields, "")
}

#[test]
fn a_preflight_is_answered_for_every_route_without_a_token() {
    let files = KeyFiles::new();
    let server = start(|config| {
        config.auth.token_keys = vec![files.path("token")];
        config.auth.publish_key = Some(files.path("publish"));
        config.auth.cors_origins = vec![APP.parse().unwrap()];
    });
    let (public, publish) = (public(&server), publish(&server));
    for (address, target, methods) in [
        (public, EVENTS, "GET, HEAD, OPTIONS"),
        (public, "/api/events", "GET, HEAD, OPTIONS"),
        (public, "/api/jobs/a", "GET, HEAD, OPTIONS"),
        (publish, EVENTS, "GET, HEAD, POST, OPTIONS"),
        (publish, "/api/events", "GET, HEAD, POST, OPTIONS"),
        (publish, "/api/jobs/a", "GET, HEAD, PUT, DELETE, OPTIONS"),
    ] {
        let answer = preflight(address, target, APP);
        assert_eq!(answer.status, 204, "{target}");
        let field = |name| answer.field(name).unwrap_or_default();
        assert_eq!(field("Access-Control-Allow-Origin"), APP);
        assert_eq!(field("Access-Control-Allow-Credentials"), "true");
        assert_eq!(field("Access-Control-Allow-Methods"), methods, "{target}");
        for name in ["Last-Event-ID", "Authorization", "Content-Type"] {
            assert!(field("Access-Control-Allow-Headers").contains(name));
        }
        assert!(field("Access-Control-Max-Age").parse::<u32>().unwrap() > 0);
        let foreign = preflight(address, target, "https://evil.example");
        assert_eq!(foreign.field("Access-Control-Allow-Origin"), None);
        assert_eq!(foreign.field("Access-Control-Allow-Methods"), None);
    }
}

#[test]
fn what_is_not_a_stream_is_not_sniffed_and_sends_no_referrer() {
    let server = start(|_| {});
    for answer in [
        get(public(&server), "/api/jobs/a", ""),
        get(public(&server), "/nowhere", ""),
        post(publish(&server), EVENTS, "", EVENT),
        get(publish(&server), "/openapi.json", ""),
        get(server.ops().tcp().unwrap(), "/metrics", ""),
        raw(public(&server), "GET /", "", ""),
    ] {
        assert_eq!(answer.field("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(answer.field("Referrer-Policy"), Some("no-referrer"));
    }
}

#[test]
fn a_page_of_another_origin_may_read_what_it_may_do() {
    let server = start(|config| {
        config.auth.cors_origins = vec![APP.parse().unwrap()];
        config.downloads = true;
    });
    let (public, publish) = (public(&server), publish(&server));
    assert_eq!(post(publish, "/api/jobs/a/events", "", EVENT).status, 201);
    let answer = get(public, "/api/jobs/a", &origin(APP));
    assert_eq!(answer.field("landfall-may"), Some("file"));
    let mut lines = answer.head.lines();
    let is_exposed = |line: &str| line == "Access-Control-Expose-Headers: Landfall-May";
    assert!(lines.any(is_exposed), "{}", answer.head);
}

#[test]
fn a_page_that_may_read_answers_can_read_why_its_head_is_refused() {
    let server = start(|config| config.auth.cors_origins = vec![APP.parse().unwrap()]);
    let long = |length| "a".repeat(length);
    let cookie = |length| format!("Cookie: {}\r\n", long(length));
    for (line, fields, status) in [
        (format!("GET /{}", long(7_000)), String::new(), 414),
        (format!("GET /{}", long(30_000)), String::new(), 414),
        ("GET /".into(), cookie(9_000), 431),
        ("GET /".into(), cookie(50_000), 431),
        ("PURGE /".into(), String::new(), 501),
        ("GET /".into(), "Expect: more\r\n".into(), 417),
    ] {
        for (from, allowed) in [(APP, Some(APP)), ("https://other.example", None)] {
            let fields = format!("Host: a\r\n{fields}{}", origin(from));
            let answer = raw(public(&server), &line, &fields, "");
            assert_eq!(answer.status, status);
            let says = answer.field("Access-Control-Allow-Origin");
            assert_eq!(says, allowed, "{status} for {from}");
        }
    }
}

#[test]
fn a_page_that_may_read_answers_can_read_that_there_is_no_room_for_it() {
    let server = start(|config| {
        config.auth.cors_origins = vec![APP.parse().unwrap()];
        config.quotas.connections_per_address = Some(1);
        config.quotas.trusted_proxies = Vec::new();
    });
    let first = get(public(&server), "/api/jobs/a", "");
    assert_eq!(first.status, 404);
    let second = get(public(&server), "/api/jobs/a", &origin(APP));
    assert_eq!(second.status, 429);
    assert_eq!(second.field("Access-Control-Allow-Origin"), Some(APP));
    assert!(second.field("Retry-After").is_some());
}
