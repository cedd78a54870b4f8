//! `GET /api/jobs/{job}/file`.

use super::support::{Client, House, bytes, digest};
use crate::binary::Binary;

#[test]
fn it_is_off_unless_it_is_turned_on() {
    // `House` turns it on.
    let folder = tempfile::tempdir().unwrap();
    let server = Binary::serve_keeping(folder.path().to_str().unwrap(), &[]);
    let mut client = Client::connect(server.public);
    let upload = "POST /api/uploads?job=a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    client.send(upload.as_bytes());
    assert_eq!(client.answer().status, 201);
    let mut ask = |target: &str| {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        client.answer()
    };
    super::support::wait_until("it is done", || {
        ask("/api/jobs/a").json()["state"] == "done"
    });
    let answer = ask("/api/jobs/a/file");
    assert_eq!(answer.status, 404);
    assert!(answer.error().contains("--downloads"));
}

#[test]
fn a_file_is_given_whole_in_part_or_not_at_all_if_it_is_known() {
    let house = House::start(&[]);
    let body = bytes(3, 700_001);
    assert_eq!(house.post("a", &body).status, 201);
    assert!(house.stored("a") == body);
    let get = |fields: &[&str]| house.ask("GET", "/api/jobs/a/file", fields, b"");
    let whole = get(&[]);
    assert_eq!(whole.field("accept-ranges"), Some("bytes"));
    assert_eq!(whole.field("content-length"), Some("700001"));
    let tag = format!("\"{}\"", digest(&body));
    assert_eq!(whole.field("etag"), Some(&*tag));
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=131071-131073", 131_071..131_074),
        ("bytes=5-", 5..700_001),
        ("bytes=-7", 699_994..700_001),
        ("bytes=700000-900000", 700_000..700_001),
    ] {
        let answer = get(&[&format!("Range: {range}")]);
        assert_eq!(answer.status, 206, "{range}");
        let has = format!("bytes {}-{}/700001", part.start, part.end - 1);
        assert_eq!(answer.field("content-range"), Some(&*has));
        assert!(answer.body == body[part], "{range}");
    }
    let beyond = get(&["Range: bytes=700001-"]);
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.field("content-range"), Some("bytes */700001"));
    for field in [
        "Range: lines=1-2",
        "Range: bytes=1-2,4-5",
        "Range: bytes=2-1",
    ] {
        assert_eq!(get(&[field]).status, 200, "{field}");
    }
    let range = "Range: bytes=0-9";
    assert_eq!(get(&[range, &format!("If-Range: {tag}")]).status, 206);
    assert_eq!(get(&[range, "If-Range: \"other\""]).status, 200);
    assert_eq!(get(&[&format!("If-None-Match: {tag}")]).status, 304);
    assert_eq!(get(&["If-None-Match: \"other\""]).status, 200);
}

#[test]
fn head_gives_the_length_and_no_body_and_the_connection_goes_on() {
    let house = House::start(&[]);
    house.post("a", b"hello");
    house.stored("a");
    let two = "HEAD /api/jobs/a/file HTTP/1.1\r\nHost: a\r\n\r\n\
               GET /api/jobs/a/file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut client = super::support::Client::connect(house.public);
    client.send(two.as_bytes());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut client.0, &mut text).unwrap();
    assert_eq!(text.matches("Content-Length: 5\r\n").count(), 2, "{text}");
    assert!(text.ends_with("\r\n\r\nhello"), "{text}");
}

#[test]
fn a_file_is_given_on_the_condition_that_it_is_the_one_that_is_meant() {
    let house = House::start(&[]);
    assert_eq!(house.post("a", b"hello").status, 201);
    house.stored("a");
    let tag = format!("\"{}\"", digest(b"hello"));
    let get = |fields: &[&str]| house.ask("GET", "/api/jobs/a/file", fields, b"");
    for tags in [tag.clone(), "*".to_owned(), format!("\"other\", {tag}")] {
        let answer = get(&[&format!("If-Match: {tags}"), "Range: bytes=0-0"]);
        assert_eq!(answer.status, 206, "{tags}");
    }
    for tags in ["\"other\"".to_owned(), format!("W/{tag}"), String::new()] {
        let answer = get(&[&format!("If-Match: {tags}"), "Range: bytes=0-0"]);
        assert_eq!(answer.status, 412, "{tags}");
        assert!(answer.error().contains("If-Match"));
        assert_eq!(answer.field("etag"), Some(&*tag));
    }
}

#[test]
fn what_was_uploaded_is_no_page_of_this_origin() {
    let house = House::start(&[]);
    let page = b"<!doctype html><script>alert(1)</script>";
    let target = "/api/uploads?job=a&name=%22%3B%0D%0AX%3A%20y%C3%A9.html";
    assert_eq!(
        house
            .ask("POST", target, &["Content-Type: text/html"], page)
            .status,
        201
    );
    house.stored("a");
    let answer = house.ask("GET", "/api/jobs/a/file", &[], b"");
    let disposition = answer.field("content-disposition").unwrap();
    assert!(
        disposition.starts_with("attachment; filename=\""),
        "{disposition}"
    );
    assert!(
        disposition.contains("filename*=UTF-8''%22%3B__X%3A%20y%C3%A9.html"),
        "{disposition}"
    );
    assert_eq!(answer.field("x"), None);
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    assert!(
        answer
            .field("content-security-policy")
            .unwrap()
            .contains("sandbox")
    );
}

#[test]
fn a_job_without_a_file_is_404_and_says_when_it_has_one() {
    let house = House::start(&[]);
    let answer = house.ask("GET", "/api/jobs/none/file", &[], b"");
    assert_eq!(answer.status, 404);
    assert!(answer.error().contains("no job"));
    assert_eq!(super::lives::publish(&house, "running", "progress"), 201);
    let answer = house.ask("GET", "/api/jobs/running/file", &[], b"");
    assert_eq!(answer.status, 404);
    assert!(
        answer.error().contains("when it is done"),
        "{}",
        answer.error()
    );
    assert_eq!(
        house.ask("GET", "/api/jobs/a%2Fb/file", &[], b"").status,
        400
    );
    assert_eq!(house.ask("GET", "/api/jobs/a/file/", &[], b"").status, 404);
}

#[test]
fn one_download_too_many_is_503() {
    let house = House::start(&["--max-downloads", "1", "--send-buffer", "8KiB"]);
    house.post("a", &bytes(1, 16 << 20));
    super::support::wait_until("it is stored", || {
        house
            .ask("HEAD", "/api/jobs/a/file", &["Connection: close"], b"")
            .status
            == 200
    });
    let slow = house.send("GET", "/api/jobs/a/file", &[], b"");
    let mut start = [0; 15];
    std::io::Read::read_exact(&mut &slow.0, &mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    let second = house.ask("GET", "/api/jobs/a/file", &[], b"");
    assert_eq!(second.status, 503);
    assert_eq!(second.field("retry-after"), Some("5"));
    drop(slow);
    super::support::wait_until("the first is over", || {
        house
            .ask("GET", "/api/jobs/a/file", &["Range: bytes=0-0"], b"")
            .status
            == 206
    });
}
