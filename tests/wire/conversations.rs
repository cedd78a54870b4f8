//! Connections that carry more than one request.

use super::publishing::{JSON, NDJSON, PROGRESS, chunked, ids};
use super::sse::EventStream;
use super::support::{Client, TestServer, get, post};

#[test]
fn a_client_that_waits_for_100_continue_gets_it() {
    let server = TestServer::start();
    let expecting = |request: String| request.replacen("\r\n", "\r\nExpect: 100-continue\r\n", 1);
    let request = expecting(post("/api/jobs/a/events", JSON, PROGRESS));
    let (head, body) = request.split_at(request.len() - PROGRESS.len());
    let mut client = server.publishing();
    for _ in 0..2 {
        assert_eq!(client.send(head).head(), "HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(client.send(body).answer().status, 201);
        // One that doesn't wait needs no 100.
        assert_eq!(client.send(&request).answer().status, 201);
    }
    // A refused one is told before it sends anything.
    let request = expecting(post("/api/jobs/a/events", "text/plain", PROGRESS));
    client.send(&request[..request.len() - PROGRESS.len()]);
    assert_eq!(client.answer().status, 415);
    client.assert_closed();
    let other = request.replace("100-continue", "42-later");
    assert_eq!(server.publishing().send(other).answer().status, 417);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start();
    let mut client = server.publishing();
    let mut requests = String::new();
    for n in 0..200 {
        requests += &match n % 4 {
            0 => post("/api/jobs/a/events", JSON, PROGRESS),
            1 => get("/api/jobs/a", ""),
            2 => chunked("/api/jobs/a/events", NDJSON, &[PROGRESS]),
            _ => get("/nowhere", ""),
        };
    }
    let mut stream = EventStream::of(&server, "a");
    std::thread::scope(|scope| {
        let mut sending = client.socket().try_clone().unwrap();
        scope.spawn(move || std::io::Write::write_all(&mut sending, requests.as_bytes()));
        let mut newest = 0;
        for n in 0..200 {
            let answer = client.answer();
            let json = answer.json();
            match n % 4 {
                0 => newest = json["id"].as_u64().unwrap(),
                1 => assert_eq!(json["lastEventId"], newest.to_string()),
                2 => assert_eq!(ids(&answer), [newest + 1]),
                _ => assert_eq!(answer.status, 404),
            }
        }
    });
    for _ in 0..100 {
        stream.event();
    }
    // Nothing is left over: the next is answered as usual.
    assert_eq!(client.publish("a", PROGRESS).status, 201);
}

#[test]
fn a_connection_is_kept_where_the_version_and_the_fields_say_so() {
    let server = TestServer::start();
    server.progress("a", 1);
    let get = |version: &str, field: &str| {
        format!("GET /api/jobs/a HTTP/{version}\r\nHost: h\r\n{field}\r\n")
    };
    for (request, is_kept) in [
        (get("1.1", ""), true),
        (get("1.1", "Connection: keep-alive\r\n"), true),
        (get("1.1", "Connection: close\r\n"), false),
        (get("1.1", "Connection: x, Close\r\n"), false),
        (get("1.0", ""), false),
        (get("1.0", "Connection: Keep-Alive\r\n"), true),
        (get("1.0", "").replace("Host: h\r\n", ""), false),
    ] {
        let mut client = server.public();
        let answer = client.send(&request).answer();
        assert_eq!(answer.status, 200, "{request}");
        let connection = if is_kept { "keep-alive" } else { "close" };
        assert_eq!(answer.field("connection"), Some(connection), "{request}");
        match is_kept {
            true => assert_eq!(client.send(&request).answer().status, 200),
            false => client.assert_closed(),
        }
    }
}

#[test]
fn many_publishers_at_once_get_ids_of_their_own() {
    let server = TestServer::start();
    let mut all: Vec<u64> = std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut client: Client = server.publishing();
                    let publish = |_| client.publish("a", PROGRESS).json()["id"].as_u64().unwrap();
                    (0..50).map(publish).collect::<Vec<u64>>()
                })
            })
            .collect();
        let ids = publishers.into_iter().map(|p| p.join().unwrap());
        ids.inspect(|ids| assert!(ids.is_sorted()))
            .flatten()
            .collect()
    });
    all.sort();
    assert!(all.windows(2).all(|pair| pair[1] == pair[0] + 1));
    let mut stream = EventStream::after(&server, "a", all[399 - 255]);
    assert_eq!(stream.event().id, all[399 - 254]);
}
