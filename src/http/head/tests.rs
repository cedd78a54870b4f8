use super::*;

const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 8192,
    target_bytes: 6144,
};

fn status(head: &str) -> u16 {
    match Head::parse(head.as_bytes(), LIMITS) {
        Ok(Some(_)) => 200,
        Ok(None) => 0,
        Err(error) => error.status.code(),
    }
}

fn with(fields: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}

#[test]
fn a_head_is_the_same_however_it_is_split() {
    let text = "GET /api/jobs/a/events?x=1 HTTP/1.1\r\nHost: a:1\r\n\
                Last-Event-ID: 7\r\nX: \u{e9}\r\n\r\nrest";
    let whole = text.len() - 4;
    for end in 0..whole {
        assert_eq!(
            Head::parse(&text.as_bytes()[..end], LIMITS),
            Ok(None),
            "{end}"
        );
    }
    let (head, length) = Head::parse(text.as_bytes(), LIMITS).unwrap().unwrap();
    assert_eq!(length, whole);
    assert_eq!(head.method, Method::Get);
    assert_eq!(head.last_event_id, Some(&b"7"[..]));
    assert!(head.keep_alive);
}

#[test]
fn every_way_to_give_a_length_is_judged() {
    let length = |fields: &str| {
        let text = with(fields);
        Head::parse(text.as_bytes(), LIMITS)
            .map(|head| head.unwrap().0.length)
            .map_err(|error| error.status.code())
    };
    assert_eq!(length("A: b"), Ok(BodyLength::None));
    assert_eq!(length("Content-Length: 5"), Ok(BodyLength::Length(5)));
    assert_eq!(
        length("Transfer-Encoding: Chunked"),
        Ok(BodyLength::Chunked)
    );
    for bad in [
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 5, 5",
        "Content-Length: 5 5",
        "Content-Length: 0x5",
        "Content-Length:",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\ncontent-length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "Content-Length : 5",
    ] {
        assert_eq!(length(bad), Err(400), "{bad}");
    }
    for unknown in [
        "gzip",
        "gzip, chunked",
        "identity",
        "xchunked",
        "\"chunked\"",
    ] {
        assert_eq!(
            length(&format!("Transfer-Encoding: {unknown}")),
            Err(501),
            "{unknown}"
        );
    }
    assert_eq!(
        status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        400
    );
}

#[test]
fn a_broken_head_is_refused_with_the_right_status() {
    for (expected, head) in [
        (200, "GET / HTTP/1.0\r\n\r\n"),
        (200, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (200, "GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n"),
        (200, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /\r\nHost: a\r\n\r\n"),
        (400, "GET x HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTQ/1.1\r\nHost: a\r\n\r\n"),
        (400, "G@T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n"),
        (400, "GET / HTTP/1.1\nHost: a\n\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"),
        (417, "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"),
        (501, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (501, "get / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/2.x\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/\r\nHost: a\r\n\r\n"),
        (505, "GET / HTTP/2\r\nHost: a\r\n\r\n"),
        (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
        (505, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        assert_eq!(status(head), expected, "{head:?}");
        // What is wrong with it doesn't depend on how much of it has come.
        let early = (1..head.len()).find_map(|end| {
            let parsed = Head::parse(&head.as_bytes()[..end], LIMITS);
            parsed.err().map(|error| (end, error.status.code()))
        });
        if let Some((end, early)) = early {
            assert_eq!(early, expected, "{:?}", &head[..end]);
        }
    }
}

#[test]
fn limits_hold_before_the_head_is_whole() {
    let long = "x".repeat(9000);
    assert_eq!(status(&format!("GET /{long}")), 414);
    assert_eq!(
        status(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
        414
    );
    assert_eq!(status(&format!("GET / HTTP/1.1\r\nA: {long}")), 431);
    assert_eq!(status(&with(&format!("A: {long}"))), 431);
    assert_eq!(status(&with(&"A: b\r\n".repeat(70))), 431);
    assert_eq!(status(&"\r\n".repeat(5000)), 431);
}

#[test]
fn what_a_request_is_trusted_by_is_given_once() {
    for field in ["Origin: http://a", "Authorization: Bearer a", "Cookie: a=b"] {
        assert_eq!(status(&with(field)), 200, "{field}");
        let twice = format!("{field}\r\n{}", field.to_lowercase());
        assert_eq!(status(&with(&twice)), 400, "{field}");
    }
}

#[test]
fn fields_that_few_requests_have_are_kept_and_given_once() {
    let text = with("upload-OFFSET: 7\r\nTus-Resumable: 1.0.0\r\nRange: bytes=1-\r\nUploads: x");
    let (head, _) = Head::parse(text.as_bytes(), LIMITS).unwrap().unwrap();
    assert_eq!(head.field("Upload-Offset"), Some(&b"7"[..]));
    assert_eq!(head.field("tus-resumable"), Some(&b"1.0.0"[..]));
    assert_eq!(head.field("Range"), Some(&b"bytes=1-"[..]));
    assert_eq!(head.field("Uploads"), None);
    assert_eq!(status(&with("Upload-Offset: 1\r\nupload-offset: 1")), 400);
    assert_eq!(status(&with("Range: a\r\nRange: b")), 400);
}

#[test]
fn keep_alive_follows_version_and_connection() {
    let keeps = |text: &str| {
        Head::parse(text.as_bytes(), LIMITS)
            .unwrap()
            .unwrap()
            .0
            .keep_alive
    };
    assert!(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(!keeps(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"
    ));
    assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
    assert!(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}
