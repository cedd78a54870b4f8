//! The files for browsers that the binary carries.

use std::fs;

use super::support::{Answer, Client, TestServer, get};

const FILES: [(&str, &str); 5] = [
    ("/", "text/html; charset=utf-8"),
    ("/page.css", "text/css"),
    ("/page.js", "text/javascript"),
    ("/landfall.js", "text/javascript"),
    ("/landfall.d.ts", "text/plain; charset=utf-8"),
];

#[test]
fn the_files_for_browsers_are_served_on_both_listeners_as_they_lie_in_the_tree() {
    let server = TestServer::start();
    for (target, media_type) in FILES {
        let file = if target == "/" { "/index.html" } else { target };
        let path = format!("{}/src/web{file}", env!("CARGO_MANIFEST_DIR"));
        let content = fs::read_to_string(path).unwrap();
        for mut client in [server.public(), server.publishing()] {
            let answer = client.get(target);
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body, content);
            assert_eq!(answer.field("content-type"), Some(media_type));
            assert_eq!(answer.field("cache-control"), Some("no-cache"));
            assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
            let head = client.send(get(target, "").replacen("GET", "HEAD", 1));
            let length = content.len().to_string();
            let head = head.answer_to_head();
            assert_eq!(head.field("content-length"), Some(&*length));
            assert_eq!(head.field("etag"), answer.field("etag"));
        }
    }
}

#[test]
fn the_page_may_run_its_own_scripts_only_and_be_framed_by_its_own_origin_only() {
    let server = TestServer::start();
    let policy = |target| {
        let answer = server.public().get(target);
        let policy = answer.field("content-security-policy");
        policy.map(str::to_owned)
    };
    let page = policy("/").unwrap();
    let mut directives = page.split("; ");
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    ] {
        assert_eq!(directives.next(), Some(directive));
    }
    assert_eq!(directives.next(), None);
    assert_eq!(policy("/page.js"), None);
}

#[test]
fn a_file_that_the_browser_has_already_is_304_and_the_connection_goes_on() {
    let server = TestServer::start();
    let mut client = server.public();
    let tags = FILES.map(|(target, _)| {
        let answer = client.get(target);
        let tag = answer.field("etag").unwrap().to_owned();
        let same = ask(&mut client, target, &format!("\"x\", W/{tag}"));
        assert_eq!(same.status, 304);
        assert_eq!(same.field("etag"), Some(&*tag));
        assert_eq!(same.field("cache-control"), Some("no-cache"));
        assert_eq!(same.field("content-length"), None);
        assert_eq!(same.field("content-type"), None);
        assert_eq!(ask(&mut client, target, "\"x\"").status, 200);
        tag
    });
    assert_ne!(tags[0], tags[1]);
}

#[test]
fn who_takes_gzip_gets_the_files_packed_under_tags_of_their_own() {
    let server = TestServer::start();
    let mut client = server.public();
    let mut head = |target: &str, fields: &str| {
        let request = get(target, fields).replacen("GET", "HEAD", 1);
        client.send(request).answer_to_head()
    };
    let length = |answer: &Answer| -> usize {
        let length = answer.field("content-length").unwrap();
        length.parse().unwrap()
    };
    for (target, media_type) in FILES {
        let plain = head(target, "");
        let packed = head(target, "Accept-Encoding: br, gzip;q=0.5\r\n");
        assert_eq!(packed.field("content-encoding"), Some("gzip"), "{target}");
        assert_eq!(packed.field("content-type"), Some(media_type));
        assert!(length(&packed) * 2 < length(&plain), "{target}");
        let tag = packed.field("etag").unwrap();
        assert_ne!(Some(tag), plain.field("etag"));
        let fields = format!("If-None-Match: {tag}\r\n");
        assert_eq!(head(target, &fields).status, 200);
        let fields = format!("{fields}Accept-Encoding: gzip\r\n");
        assert_eq!(head(target, &fields).status, 304);
        for fields in ["", "gzip;q=0", "br, gzip; q=0.000", "identity", "gzipped"] {
            let answer = head(target, &format!("Accept-Encoding: {fields}\r\n"));
            assert_eq!(answer.field("content-encoding"), None, "{fields}");
            assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
            assert_eq!(answer.field("etag"), plain.field("etag"));
        }
    }
}

#[test]
fn the_client_is_imported_by_pages_of_the_origins_that_may_follow_streams() {
    const APP: &str = "https://app.example";
    let server = TestServer::with(|config| config.auth.cors_origins = vec![APP.parse().unwrap()]);
    let allowed = |server: &TestServer, origin: &str| {
        let request = get("/landfall.js", &format!("Origin: {origin}\r\n"));
        let answer = server.public().send(request).answer();
        assert_eq!(answer.status, 200);
        answer
            .field("access-control-allow-origin")
            .map(str::to_owned)
    };
    assert_eq!(allowed(&server, APP).as_deref(), Some(APP));
    assert_eq!(allowed(&server, "https://evil.example"), None);
    assert_eq!(allowed(&TestServer::start(), APP), None);
}

fn ask(client: &mut Client, target: &str, tags: &str) -> Answer {
    client
        .send(get(target, &format!("If-None-Match: {tags}\r\n")))
        .answer()
}
