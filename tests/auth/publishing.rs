//! Publishing, and what else the workers' listener serves.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use landfall::{Server, ServerConfig};

use super::support::*;

const EVENTS: &str = "/api/jobs/a/events";

#[test]
fn on_loopback_whoever_reaches_the_listener_publishes() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let publish = publish(&server);
    assert_eq!(post(publish, EVENTS, "", EVENT).status, 201);
    assert_eq!(get(publish, EVENTS, "").status, 200);
    assert_eq!(get(publish, "/api/events", "").status, 200);
    assert_eq!(delete(publish, "/api/jobs/a", "").status, 204);
}

#[test]
fn the_public_listener_publishes_for_nobody() {
    let files = KeyFiles::new();
    let server = start(|config| config.auth.publish_key = Some(files.path("publish")));
    let field = bearer(PUBLISH_KEY);
    assert_eq!(post(public(&server), EVENTS, &field, EVENT).status, 405);
    assert_eq!(delete(public(&server), "/api/jobs/a", &field).status, 405);
}

#[test]
fn a_token_that_is_shown_is_held_to_though_none_is_needed() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let publish = publish(&server);
    let field = bearer(&token(&["b"], &["a"]));
    assert_eq!(post(publish, EVENTS, &field, EVENT).status, 201);
    assert_eq!(
        post(publish, "/api/jobs/b/events", &field, EVENT).status,
        403
    );
    assert_eq!(delete(publish, "/api/jobs/b", &field).status, 403);
    assert_eq!(get(publish, EVENTS, &field).status, 403);
    assert_eq!(post(publish, EVENTS, &bearer("x"), EVENT).status, 401);
}

#[test]
fn with_a_publishing_key_nothing_is_done_without_it() {
    let files = KeyFiles::new();
    let server = start(|config| config.auth.publish_key = Some(files.path("publish")));
    let address = publish(&server);
    let wrong = format!("{PUBLISH_KEY}x");
    let lines = "{\"job\":\"a\",\"event\":\"progress\",\"data\":{}}\n";
    for field in [
        "",
        &bearer("x"),
        &bearer(&wrong),
        &cookie(PUBLISH_KEY),
        "Authorization: Basic eDp5\r\n",
    ] {
        for (what, answer) in [
            ("post", post(address, EVENTS, field, EVENT)),
            ("lines", post(address, "/api/events", field, lines)),
            ("delete", delete(address, "/api/jobs/a", field)),
            ("stream", get(address, EVENTS, field)),
            ("all", get(address, "/api/events", field)),
            ("snapshot", get(address, "/api/jobs/a", field)),
        ] {
            assert_eq!(answer.status, 401, "{what} with {field:?}");
            assert!(answer.field("WWW-Authenticate").is_some(), "{what}");
        }
    }
    let in_query = format!("{EVENTS}?token={PUBLISH_KEY}");
    assert_eq!(post(address, &in_query, "", EVENT).status, 401);
    let field = bearer(PUBLISH_KEY);
    assert_eq!(post(address, EVENTS, &field, EVENT).status, 201);
    assert_eq!(post(address, "/api/events", &field, lines).status, 201);
    assert_eq!(get(address, EVENTS, &field).status, 200);
    assert_eq!(get(address, "/api/events", &field).status, 200);
    assert_eq!(delete(address, "/api/jobs/a", &field).status, 204);
    // The public listener has no keys for tokens: it is as open as ever.
    assert_eq!(get(public(&server), EVENTS, "").status, 200);
}

#[test]
fn the_claim_publish_lets_publish_and_nothing_else() {
    let files = KeyFiles::new();
    let server = start(|config| {
        config.auth.token_keys = vec![files.path("token")];
        config.auth.publish_key = Some(files.path("publish"));
    });
    let address = publish(&server);
    let worker = bearer(&token(&[], &["a", "batch.*"]));
    assert_eq!(post(address, EVENTS, &worker, EVENT).status, 201);
    assert_eq!(
        post(address, "/api/jobs/batch.1/events", &worker, EVENT).status,
        201
    );
    assert_eq!(
        post(address, "/api/jobs/b/events", &worker, EVENT).status,
        403
    );
    assert_eq!(get(address, EVENTS, &worker).status, 403);
    assert_eq!(delete(address, "/api/jobs/b", &worker).status, 403);
    assert_eq!(delete(address, "/api/jobs/a", &worker).status, 204);
    let reader = bearer(&token(&["*"], &[]));
    assert_eq!(post(address, EVENTS, &reader, EVENT).status, 403);
    assert_eq!(delete(address, "/api/jobs/a", &reader).status, 403);
    assert_eq!(get(address, "/api/events", &reader).status, 200);
    // Of what isn't like a token nobody is told what a token looks like.
    let mistyped = bearer(&format!("{PUBLISH_KEY}x"));
    let mut answer = post(address, EVENTS, &mistyped, EVENT);
    assert_eq!(answer.status, 401);
    let said = answer.body();
    assert!(
        said.contains("neither the publishing key nor a token"),
        "{said}"
    );
}

#[test]
fn a_line_for_a_forbidden_job_is_403_and_named_and_what_came_before_stays() {
    let files = KeyFiles::new();
    let server = start_with_tokens(&files);
    let worker = bearer(&token(&[], &["a"]));
    let line = |job: &str| format!("{{\"job\":\"{job}\",\"event\":\"progress\",\"data\":{{}}}}\n");
    let lines = line("a") + &line("secret") + &line("a");
    let mut answer = post(publish(&server), "/api/events", &worker, &lines);
    assert_eq!(answer.status, 403);
    let body = answer.body();
    assert!(
        body.contains("\"line\":2") && body.contains("the job secret"),
        "{body}"
    );
    assert_eq!(body.matches("\"ids\":[").count(), 1);
    assert!(server.jobs().snapshot(&"secret".parse().unwrap()).is_none());
    assert!(server.jobs().snapshot(&"a".parse().unwrap()).is_some());
}

#[test]
fn a_listener_that_others_can_reach_does_not_start_without_a_key_unless_told_to() {
    let files = KeyFiles::new();
    let anywhere = |change: fn(&mut ServerConfig, &KeyFiles)| {
        let mut config = ServerConfig::with(|config| {
            config.listen = "127.0.0.1:0".parse().unwrap();
            config.publish = "0.0.0.0:0".parse().unwrap();
            config.ops = "127.0.0.1:0".parse().unwrap();
        });
        change(&mut config, &files);
        Server::start(config)
    };
    let error = anywhere(|_, _| {}).err().unwrap().to_string();
    assert!(
        error.contains("0.0.0.0:") && error.contains("--publish-key"),
        "{error}"
    );
    assert!(error.contains("--insecure"), "{error}");

    let status = |server: &Server, field: &str| {
        let port = publish(server).port();
        post(([127, 0, 0, 1], port).into(), EVENTS, field, EVENT).status
    };
    let keyed = anywhere(|config, files| {
        config.auth.publish_key = Some(files.path("publish"));
    });
    let keyed = keyed.unwrap();
    assert_eq!(status(&keyed, ""), 401);
    assert_eq!(status(&keyed, &bearer(PUBLISH_KEY)), 201);

    let by_token = anywhere(|config, files| config.auth.token_keys = vec![files.path("token")]);
    let by_token = by_token.unwrap();
    assert_eq!(status(&by_token, ""), 401);
    assert_eq!(status(&by_token, &bearer(&token(&[], &["a"]))), 201);

    let open = anywhere(|config, _| config.auth.insecure = true).unwrap();
    assert_eq!(status(&open, ""), 201);
}

#[test]
fn a_unix_socket_is_open_to_its_group_by_whatever_name_it_is_called() {
    let files = KeyFiles::new();
    let path = files.path("socket");
    let _server = start(|config| {
        config.publish = format!("unix:{}", path.display()).parse().unwrap();
        config.auth.token_keys = vec![files.path("token")];
    });
    let mut stream = UnixStream::connect(&path).unwrap();
    let length = EVENT.len();
    write!(
        stream,
        "POST {EVENTS} HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{EVENT}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}
