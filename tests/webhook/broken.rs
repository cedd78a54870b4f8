//! Receivers that don't do as they should.

use std::time::{Duration, Instant};

use crate::receiver::{Receiver, Reply};
use crate::support::Hooked;

const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const CHUNK: &str = "10\r\n0123456789abcdef\r\n";

/// A server with one webhook, which is done with the first try of an event.
fn told(receiver: &Receiver, timeout: &str) -> (Hooked, Duration) {
    let begin = Instant::now();
    let server = Hooked::start(&format!(
        "[[webhook]]\nname = 'h'\nurl = '{}'\ntimeout = '{timeout}'\nretry_first = '1h'\n",
        receiver.url("/a")
    ));
    server.done("a");
    server.wait_for_count("h", "failed", 1);
    assert_eq!(server.count("h", "delivered"), 0);
    assert_eq!(server.count("h", "given_up"), 0, "it is tried again");
    (server, begin.elapsed())
}

#[test]
fn a_redirect_to_itself_is_a_failure_and_is_not_followed() {
    for status in [301, 302, 307, 308] {
        let receiver = Receiver::answering(move |received| {
            let host = received.field("Host").unwrap();
            Reply::Bytes(format!(
                "HTTP/1.1 {status} X\r\nLocation: http://{host}/a\r\nContent-Length: 0\r\n\r\n"
            ))
        });
        let (server, _) = told(&receiver, "15s");
        server.done("b");
        server.wait_for_count("h", "failed", 2);
        assert_eq!(receiver.received().len(), 2, "one each");
    }
}

#[test]
fn an_answer_without_an_end_is_a_failure_once_it_is_too_long_or_takes_too_long() {
    // As fast as it goes: it ends by its length, long before its time.
    let fast = Receiver::answering(|_| Reply::Endless(HEAD, CHUNK, Duration::ZERO));
    let (_server, took) = told(&fast, "10m");
    assert!(took < Duration::from_secs(60), "{took:?}");
    // A bit now and then: it ends by its time.
    for (head, piece) in [
        (HEAD, "1\r\na\r\n"),
        ("HTTP/1.1 200 OK\r\n", "a: b\r\n"),
        ("", "H"),
    ] {
        let slow =
            Receiver::answering(move |_| Reply::Endless(head, piece, Duration::from_millis(50)));
        let (_server, took) = told(&slow, "1s");
        assert!(took < Duration::from_secs(60), "{took:?}");
    }
    let silent = Receiver::answering(|_| Reply::Never);
    told(&silent, "300ms");
}

#[test]
fn a_head_without_an_end_and_what_is_no_http_are_failures() {
    for bytes in [
        "",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        &format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(10_000)),
    ] {
        let bytes = bytes.to_owned();
        let receiver = Receiver::answering(move |_| Reply::Bytes(bytes.clone()));
        told(&receiver, "5s");
    }
}

#[test]
fn what_jobs_say_stays_within_its_header_and_its_json() {
    let receiver = Receiver::start();
    let server = Hooked::start(&format!(
        "[[webhook]]\nurl = '{}'\nheaders = {{ Title = '{{data.title}}' }}\n\
         json = {{ a = 'x {{data.title}}' }}\n",
        receiver.url("/")
    ));
    let data = r#"{"title":"a\r\nX-Evil: 1\r\n\r\nGET / HTTP/1.1\",\"b\":\"c"}"#;
    server.publish("a", "done", data);
    let received = receiver.wait_for(1).remove(0);
    assert!(received.field("X-Evil").is_none(), "{received:?}");
    assert_eq!(
        received.field("Title"),
        Some(r#"a  X-Evil: 1    GET / HTTP/1.1","b":"c"#)
    );
    let json = received.json();
    assert_eq!(
        json["a"],
        "x a\r\nX-Evil: 1\r\n\r\nGET / HTTP/1.1\",\"b\":\"c"
    );
    assert_eq!(json.as_object().unwrap().len(), 1);
}
