//! Requests that break RFC 9112, or a limit.

use super::support::{get, post};

/// Requests by the answer they get.
pub fn broken() -> Vec<(u16, &'static str, Vec<u8>)> {
    let mut all: Vec<(u16, &'static str, Vec<u8>)> = Vec::new();
    let mut add = |status, what, bytes: &[u8]| all.push((status, what, bytes.to_vec()));
    add(400, "no target", b"GET\r\nHost: h\r\n\r\n");
    add(400, "no version", b"GET /\r\nHost: h\r\n\r\n");
    add(400, "two spaces", b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n");
    add(
        400,
        "space at the end",
        b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
    );
    add(
        400,
        "space in the target",
        b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    add(400, "tab", b"GET\t/\tHTTP/1.1\r\nHost: h\r\n\r\n");
    add(400, "leading space", b" GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    add(400, "no HTTP", b"GET / HTTQ/1.1\r\nHost: h\r\n\r\n");
    add(400, "lower case", b"GET / http/1.1\r\nHost: h\r\n\r\n");
    add(
        400,
        "a colon in the method",
        b"GE:T / HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    add(400, "nonsense", b"\x01\x02\x03\xff\r\n\r\n");
    add(
        400,
        "NUL in the target",
        b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    add(400, "no Host", b"GET / HTTP/1.1\r\n\r\n");
    add(
        400,
        "two Hosts",
        b"GET / HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n",
    );
    add(
        400,
        "two names in Host",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    );
    add(
        400,
        "a path in Host",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    );
    add(
        400,
        "obs-fold",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
    );
    add(
        400,
        "obs-fold by a tab",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\n\r\n",
    );
    add(
        400,
        "space before a colon",
        b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
    );
    add(
        400,
        "space before the first field",
        b"GET / HTTP/1.1\r\n Host: h\r\n\r\n",
    );
    add(400, "no colon", b"GET / HTTP/1.1\r\nHost: h\r\nX\r\n\r\n");
    add(400, "no name", b"GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n");
    add(
        400,
        "bare CR in a value",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
    );
    add(
        400,
        "bare CR for a line end",
        b"GET / HTTP/1.1\rHost: h\r\r\n\r\n",
    );
    add(
        400,
        "bare LF for a line end",
        b"GET / HTTP/1.1\nHost: h\n\n",
    );
    add(
        400,
        "one bare LF",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: y\n\r\n",
    );
    add(
        400,
        "NUL in a value",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
    );
    add(
        400,
        "NUL in Last-Event-ID",
        b"GET /api/jobs/a/events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 1\x002\r\n\r\n",
    );
    add(
        400,
        "NUL in a name",
        b"GET / HTTP/1.1\r\nHost: h\r\nX\0: b\r\n\r\n",
    );
    add(505, "version 2.0", b"GET / HTTP/2.0\r\nHost: h\r\n\r\n");
    add(505, "version 1.2", b"GET / HTTP/1.2\r\nHost: h\r\n\r\n");
    add(505, "version 0.9", b"GET / HTTP/0.9\r\nHost: h\r\n\r\n");
    add(
        505,
        "the preface of HTTP/2",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    );
    add(
        501,
        "an unknown method",
        b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    let length = [
        "",
        "-1",
        "+1",
        "1 1",
        "1,1",
        "1, 1",
        "0x1",
        "1a",
        "1.0",
        "1e1",
        "99999999999999999999",
        "18446744073709551616",
    ];
    for value in length {
        let request = post("/api/jobs/a/events", "application/json", "x");
        let request = request.replace("Content-Length: 1", &format!("Content-Length: {value}"));
        all.push((400, "Content-Length", request.into_bytes()));
    }
    let mut add_post = |status, what, fields: &str, body: &str| {
        let request = format!(
            "POST /api/jobs/a/events HTTP/1.1\r\nHost: h\r\n\
             Content-Type: application/json\r\n{fields}\r\n{body}"
        );
        all.push((status, what, request.into_bytes()));
    };
    let chunked = "Transfer-Encoding: chunked\r\n";
    add_post(
        400,
        "two lengths",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "x",
    );
    add_post(
        400,
        "two other lengths",
        "Content-Length: 1\r\ncontent-length: 2\r\n",
        "xx",
    );
    add_post(
        400,
        "a length and chunks",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
    );
    add_post(
        400,
        "chunks and a length",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "0\r\n\r\n",
    );
    add_post(501, "gzip", "Transfer-Encoding: gzip\r\n", "x");
    add_post(
        501,
        "gzip, chunked",
        "Transfer-Encoding: gzip, chunked\r\n",
        "0\r\n\r\n",
    );
    add_post(501, "identity", "Transfer-Encoding: identity\r\n", "x");
    add_post(
        501,
        "xchunked",
        "Transfer-Encoding: xchunked\r\n",
        "0\r\n\r\n",
    );
    add_post(
        400,
        "chunked twice",
        "Transfer-Encoding: chunked, chunked\r\n",
        "0\r\n\r\n",
    );
    add_post(
        400,
        "chunked in two fields",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
    );
    add_post(
        400,
        "an empty coding",
        "Transfer-Encoding:\r\n",
        "0\r\n\r\n",
    );
    for body in [
        "x\r\n",
        "\r\n",
        "-1\r\nx\r\n",
        "+1\r\nx\r\n",
        "0x1\r\nx\r\n",
        "1\nx\n",
        " 1\r\nx\r\n",
        "1\r\nxy\r\n",
        "1\r\nx\n",
        "1\rx",
        "ffffffffffffffff\r\nx",
        "10000000000000000\r\nx",
        "0\r\n\n",
        "0\r\nx\n\r\n",
    ] {
        add_post(400, "chunks", chunked, body);
    }
    let long = "x".repeat(9000);
    let mut add = |status, what, request: String| all.push((status, what, request.into_bytes()));
    add(431, "a long field", get("/", &format!("X: {long}\r\n")));
    add(431, "many fields", get("/", &"X: y\r\n".repeat(200)));
    add(
        431,
        "a long head",
        get(
            "/",
            &"Xxxxxxxxxxxxxxxx: yyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(220),
        ),
    );
    add(
        414,
        "a long target",
        get(&format!("/{}", &long[..7000]), ""),
    );
    add(414, "an endless target", format!("GET /{long}"));
    add(
        431,
        "an endless field",
        format!("GET / HTTP/1.1\r\nX: {long}"),
    );
    add(431, "an endless name", format!("GET / HTTP/1.1\r\n{long}"));
    add(
        400,
        "chunk extensions without end",
        format!(
            "POST /api/jobs/a/events HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n{chunked}\r\n1;{long}"
        ),
    );
    all
}
