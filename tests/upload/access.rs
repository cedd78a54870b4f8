//! Who may upload.

use landfall::{Claims, Key, Keys, Scope};

use super::support::{House, PIECE, TUS};

const APP: &str = "https://app.example";

fn key() -> tempfile::NamedTempFile {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "61".repeat(32)).unwrap();
    key
}

fn token(upload: &[&str], jobs: &[&str]) -> String {
    let scope = |list: &[&str]| Scope::parse(list.iter().copied()).unwrap();
    let keys = Keys::new(vec![Key::from_file("61".repeat(32).as_bytes()).unwrap()]).unwrap();
    let claims = Claims {
        exp: 4_102_444_800,
        upload: scope(upload),
        jobs: scope(jobs),
        ..Claims::default()
    };
    claims.sign(&keys)
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

#[test]
fn with_keys_an_upload_takes_a_token_whose_claim_upload_covers_its_job() {
    let key = key();
    let house = House::start(&["--token-key", key.path().to_str().unwrap()]);
    let may = bearer(&token(&["a", "b*"], &[]));
    let post = |job: &str, field: &str| {
        house
            .ask("POST", &format!("/api/uploads?job={job}"), &[field], b"x")
            .status
    };
    assert_eq!(post("a", "X: y"), 401);
    assert_eq!(post("a", &bearer(&token(&[], &["*"]))), 403);
    assert_eq!(post("c", &may), 403);
    assert_eq!(post("a", &may), 201);
    assert_eq!(post("b-7", &may), 201);
    // A name that the server makes is covered by all alone.
    assert_eq!(house.ask("POST", "/api/uploads", &[&may], b"x").status, 403);
    let all = bearer(&token(&["*"], &[]));
    assert_eq!(house.ask("POST", "/api/uploads", &[&all], b"x").status, 201);
    let form = b"--b\r\nContent-Disposition: form-data; name=job\r\n\r\nc\r\n--b\r\n\
        Content-Disposition: form-data; name=f; filename=f\r\n\r\nx\r\n--b--\r\n";
    let kind = "Content-Type: multipart/form-data; boundary=b";
    let answer = house.ask("POST", "/api/uploads?job=a", &[kind, &may], form);
    assert_eq!(answer.status, 403, "{}", answer.text());
}

#[test]
fn with_keys_a_resumable_upload_takes_a_token_at_every_step() {
    let key = key();
    let house = House::start(&["--token-key", key.path().to_str().unwrap()]);
    let may = bearer(&token(&["a"], &[]));
    let other = bearer(&token(&["b"], &[]));
    // "a" in base64.
    let begin = ["Upload-Length: 3", TUS, "Upload-Metadata: job YQ=="];
    let upload = house.ask("POST", "/api/tus/", &[&begin[..], &[&*may]].concat(), b"");
    assert_eq!(upload.status, 201);
    let upload = upload.field("location").unwrap();
    for (field, status) in [("X: y", 401), (&*other, 403)] {
        let begun = house.ask("POST", "/api/tus/", &[&begin[..], &[field]].concat(), b"");
        assert_eq!(begun.status, status);
        assert_eq!(begun.field("tus-resumable"), Some("1.0.0"));
        assert_eq!(house.patch(upload, 0, &[field], b"abc").status, status);
        assert_eq!(house.ask("HEAD", upload, &[TUS, field], b"").status, status);
        assert_eq!(
            house.ask("DELETE", upload, &[TUS, field], b"").status,
            status
        );
    }
    assert_eq!(house.patch(upload, 0, &[&may], b"abc").status, 204);
}

#[test]
fn who_shows_one_token_has_one_share_from_whatever_address() {
    let key = key();
    // The addresses of this host aren't counted: a proxy may be among them.
    let house = House::start(&[
        "--token-key",
        key.path().to_str().unwrap(),
        "--max-unfinished-per-address",
        "2",
    ]);
    let (mine, other) = (bearer(&token(&["*"], &[])), bearer(&token(&["*"], &["a"])));
    let begin = |field: &str| {
        let fields = ["Upload-Length: 3", TUS, field];
        house.ask("POST", "/api/tus/", &fields, b"").status
    };
    let begun: Vec<_> = (0..4).map(|_| begin(&mine)).collect();
    assert_eq!(begun, [201, 201, 503, 503]);
    assert_eq!(begin(&other), 201);
}

#[test]
fn a_download_takes_a_token_that_covers_the_job() {
    let key = key();
    let house = House::start(&["--token-key", key.path().to_str().unwrap()]);
    let may = bearer(&token(&["a"], &["a"]));
    assert_eq!(
        house
            .ask("POST", "/api/uploads?job=a", &[&may], b"x")
            .status,
        201
    );
    let get = |field: &str| house.ask("GET", "/api/jobs/a/file", &[field], b"").status;
    super::support::wait_until("it is stored", || get(&may) == 200);
    assert_eq!(get("X: y"), 401);
    assert_eq!(get(&bearer(&token(&["a"], &["b"]))), 403);
}

#[test]
fn a_foreign_page_uploads_nothing_through_its_visitors_browser() {
    let house = House::start(&["--cors-origin", APP]);
    let post = |fields: &[&str]| house.ask("POST", "/api/uploads", fields, b"x").status;
    assert_eq!(post(&["Origin: https://evil.example"]), 403);
    assert_eq!(post(&["Origin: null"]), 403);
    assert_eq!(post(&[&format!("Origin: {APP}")]), 201);
    assert_eq!(post(&[&format!("Origin: http://{}", house.public)]), 201);
    assert_eq!(post(&[]), 201);
    let evil = "Origin: https://evil.example";
    let upload = house.begin(3, &[]);
    assert_eq!(house.patch(&upload, 0, &[evil], b"abc").status, 403);
    assert_eq!(house.ask("DELETE", &upload, &[TUS, evil], b"").status, 403);
    let begun = house.ask("POST", "/api/tus/", &[TUS, "Upload-Length: 3", evil], b"");
    assert_eq!(begun.status, 403);
    assert_eq!(house.offset(&upload), 0);
}

#[test]
fn a_page_whose_name_was_made_to_resolve_here_uploads_nothing() {
    let house = House::start(&[]);
    // Where the target names a host, that counts.
    for (status, target, host) in [
        (403, "/api/uploads", "evil.example"),
        (403, "http://evil.example/api/uploads", "localhost"),
        (201, "http://localhost/api/uploads", "evil.example"),
    ] {
        let mut client = super::support::Client::connect(house.public);
        let head = format!("POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\n\r\nx");
        client.send(head.as_bytes());
        assert_eq!(client.answer().status, status, "{target} at {host}");
    }
}

#[test]
fn a_page_of_another_origin_is_told_what_it_may_send_and_can_read_what_it_needs() {
    let house = House::start(&["--cors-origin", APP]);
    let origin = format!("Origin: {APP}");
    for (target, method) in [
        ("/api/uploads", "POST"),
        ("/api/tus/", "POST"),
        (&*format!("/api/tus/{}", "0".repeat(32)), "PATCH"),
        ("/api/jobs/a/file", "GET"),
    ] {
        let asked = format!("Access-Control-Request-Method: {method}");
        let answer = house.ask("OPTIONS", target, &[&origin, &asked], b"");
        assert_eq!(answer.status, 204);
        let methods = answer.field("access-control-allow-methods").expect(target);
        assert!(methods.contains(method), "{target}: {methods}");
        let headers = answer.field("access-control-allow-headers").unwrap();
        for name in [
            "Tus-Resumable",
            "Upload-Length",
            "Upload-Offset",
            "Upload-Metadata",
            "Upload-Checksum",
            "Upload-Defer-Length",
            "X-HTTP-Method-Override",
            "X-Request-ID",
            "Content-Type",
            "Range",
        ] {
            assert!(headers.split(", ").any(|header| header == name), "{name}");
        }
    }
    let begun = house.ask(
        "POST",
        "/api/tus/",
        &[TUS, "Upload-Length: 3", &origin],
        b"",
    );
    let upload = begun.field("location").unwrap().to_owned();
    let head = house.ask("HEAD", &upload, &[TUS, &origin], b"");
    let piece = house.patch(&upload, 0, &[&origin], b"ab");
    for answer in [&begun, &head, &piece] {
        assert_eq!(answer.field("access-control-allow-origin"), Some(APP));
        let exposed: Vec<_> = answer
            .head
            .lines()
            .filter_map(|line| line.strip_prefix("Access-Control-Expose-Headers: "))
            .collect();
        for name in [
            "Location",
            "Upload-Offset",
            "Tus-Resumable",
            "Upload-Expires",
            "Landfall-Job",
        ] {
            assert!(
                exposed.iter().any(|list| list.contains(name)),
                "{name}: {exposed:?}"
            );
        }
    }
    let refused = house.ask("PATCH", &upload, &[TUS, PIECE, &origin], b"c");
    assert_eq!(refused.status, 400);
    assert_eq!(refused.field("access-control-allow-origin"), Some(APP));
}
