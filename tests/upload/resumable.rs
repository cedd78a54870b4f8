//! tus 1.0.

use std::net::Shutdown;
use std::time::{Duration, SystemTime};

use super::support::{Client, House, PIECE, TUS, bytes, wait_until};

fn metadata(job: &str) -> String {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    format!(
        "Upload-Metadata: filename {},job {}",
        encode("clip.mp4"),
        encode(job)
    )
}

#[test]
fn options_says_what_is_spoken() {
    let house = House::start(&["--max-upload", "1MiB"]);
    for target in ["/api/tus", "/api/tus/"] {
        let answer = house.ask("OPTIONS", target, &[], b"");
        assert_eq!(answer.status, 204);
        assert_eq!(answer.field("tus-version"), Some("1.0.0"));
        assert_eq!(answer.field("tus-max-size"), Some("1048576"));
        assert_eq!(answer.field("tus-checksum-algorithm"), Some("sha1,sha256"));
        let extensions = answer.field("tus-extension").unwrap();
        for extension in [
            "creation",
            "creation-with-upload",
            "termination",
            "expiration",
            "checksum",
        ] {
            assert!(extensions.split(',').any(|e| e == extension), "{extension}");
        }
    }
}

#[test]
fn an_upload_is_begun_asked_after_gone_on_with_and_lands() {
    let house = House::start(&[]);
    let upload = house.begin(10, &[&metadata("a")]);
    let head = house.ask("HEAD", &upload, &[TUS], b"");
    assert_eq!(head.status, 200);
    assert_eq!(head.field("upload-offset"), Some("0"));
    assert_eq!(head.field("upload-length"), Some("10"));
    assert_eq!(head.field("cache-control"), Some("no-store"));
    assert_eq!(head.field("tus-resumable"), Some("1.0.0"));
    assert_eq!(head.field("landfall-job"), Some("a"));
    assert_eq!(
        head.field("upload-metadata"),
        Some(&metadata("a")["Upload-Metadata: ".len()..])
    );
    assert!(head.field("upload-expires").unwrap().ends_with("GMT"));
    let first = house.patch(&upload, 0, &[], b"1234");
    assert_eq!(
        (first.status, first.field("upload-offset")),
        (204, Some("4"))
    );
    assert!(first.field("upload-expires").is_some());
    let last = house.patch(&upload, 4, &[], b"567890");
    assert_eq!(
        (last.status, last.field("upload-offset")),
        (204, Some("10"))
    );
    assert_eq!(last.field("upload-expires"), None);
    assert_eq!(house.stored("a"), b"1234567890");
    assert_eq!(house.ended("a")["lastEvent"]["data"]["name"], "clip.mp4");
    // Whoever lost that answer is told that it is whole.
    assert_eq!(house.offset(&upload), 10);
    assert_eq!(house.patch(&upload, 10, &[], b"").status, 204);
    assert_eq!(house.patch(&upload, 4, &[], b"567890").status, 409);
    assert_eq!(house.ask("DELETE", &upload, &[TUS], b"").status, 409);
}

#[test]
fn the_first_bytes_may_come_with_the_beginning() {
    let house = House::start(&[]);
    let begin = |fields: &[&str], body: &[u8]| {
        house.ask("POST", "/api/tus/", &[fields, &[TUS, PIECE]].concat(), body)
    };
    let all = begin(&["Upload-Length: 3", &metadata("a")], b"abc");
    assert_eq!((all.status, all.field("upload-offset")), (201, Some("3")));
    assert_eq!(all.json()["jobId"], "a");
    assert_eq!(house.stored("a"), b"abc");
    let part = begin(&["Upload-Length: 6", &metadata("b")], b"abc");
    assert_eq!((part.status, part.field("upload-offset")), (201, Some("3")));
    let upload = part.field("location").unwrap();
    assert_eq!(house.patch(upload, 3, &[], b"def").status, 204);
    assert_eq!(house.stored("b"), b"abcdef");
    let none = begin(&["Upload-Length: 0", &metadata("c")], b"");
    assert_eq!(none.status, 201);
    assert_eq!(house.stored("c"), b"");
}

#[test]
fn an_upload_whose_first_bytes_fail_ends_since_nobody_was_told_where_it_is() {
    let house = House::start(&[]);
    let fields = [TUS, PIECE, "Upload-Length: 3", &metadata("a")];
    let sum = "Upload-Checksum: sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=";
    let wrong = house.ask("POST", "/api/tus/", &[&fields[..], &[sum]].concat(), b"abd");
    assert_eq!(wrong.status, 460, "{}", wrong.text());
    assert_eq!(house.ended("a")["lastEvent"]["data"]["retryable"], true);
    let head = [&fields[..], &["Content-Length: 3"]].concat();
    drop(house.send("POST", "/api/tus/", &head, b"ab"));
    house.wait_for("a", "it has begun anew and ended", |snapshot| {
        let message = snapshot["lastEvent"]["data"]["message"].as_str();
        message.is_some_and(|text| text.contains("the connection ended"))
    });
    let right = house.ask("POST", "/api/tus/", &[&fields[..], &[sum]].concat(), b"abc");
    assert_eq!(right.status, 201, "{}", right.text());
    assert_eq!(house.stored("a"), b"abc");
}

#[test]
fn a_length_that_a_refused_piece_says_is_not_kept() {
    let house = House::start(&[]);
    let fields = [TUS, "Upload-Defer-Length: 1", &metadata("a")];
    let begun = house.ask("POST", "/api/tus/", &fields, b"");
    let upload = begun.field("location").unwrap();
    assert_eq!(house.patch(upload, 0, &[], b"abc").status, 204);
    for (length, body) in [("4", &b"de"[..]), ("2", b"")] {
        let said = format!("Upload-Length: {length}");
        assert_eq!(house.patch(upload, 3, &[&said], body).status, 413);
    }
    let head = house.ask("HEAD", upload, &[TUS], b"");
    assert_eq!(head.field("upload-defer-length"), Some("1"));
    assert_eq!(
        house.patch(upload, 3, &["Upload-Length: 5"], b"de").status,
        204
    );
    assert_eq!(house.stored("a"), b"abcde");
}

#[test]
fn a_length_may_be_said_later() {
    let house = House::start(&[]);
    let fields = [TUS, "Upload-Defer-Length: 1", &metadata("a")];
    let begun = house.ask("POST", "/api/tus/", &fields, b"");
    let upload = begun.field("location").unwrap().to_owned();
    assert_eq!(house.patch(&upload, 0, &[], b"abc").status, 204);
    let head = house.ask("HEAD", &upload, &[TUS], b"");
    assert_eq!(head.field("upload-defer-length"), Some("1"));
    assert_eq!(head.field("upload-length"), None);
    assert_eq!(
        house.patch(&upload, 3, &["Upload-Length: 5"], b"d").status,
        204
    );
    assert_eq!(
        house.patch(&upload, 4, &["Upload-Length: 6"], b"e").status,
        409
    );
    assert_eq!(house.patch(&upload, 4, &[], b"e").status, 204);
    assert_eq!(house.stored("a"), b"abcde");
}

#[test]
fn what_breaks_the_protocol_is_refused_and_changes_nothing() {
    let house = House::start(&["--max-upload", "100"]);
    let upload = house.begin(10, &[]);
    assert_eq!(house.patch(&upload, 0, &[], b"123").status, 204);
    let unknown = format!("/api/tus/{}", "0".repeat(32));
    let at = |offset: &str| format!("Upload-Offset: {offset}");
    for (status, method, target, fields) in [
        (412, "PATCH", &*upload, vec![PIECE.to_owned(), at("3")]),
        (412, "HEAD", &upload, vec!["Tus-Resumable: 0.2.2".into()]),
        (415, "PATCH", &upload, vec![TUS.into(), at("3")]),
        (
            415,
            "PATCH",
            &upload,
            vec![TUS.into(), at("3"), "Content-Type: text/plain".into()],
        ),
        (400, "PATCH", &upload, vec![TUS.into(), PIECE.into()]),
        (
            400,
            "PATCH",
            &upload,
            vec![TUS.into(), PIECE.into(), at("-3")],
        ),
        (
            409,
            "PATCH",
            &upload,
            vec![TUS.into(), PIECE.into(), at("99999999999999999999")],
        ),
        (
            413,
            "POST",
            "/api/tus/",
            vec![TUS.into(), "Upload-Length: 99999999999999999999".into()],
        ),
        (
            409,
            "PATCH",
            &upload,
            vec![TUS.into(), PIECE.into(), at("2")],
        ),
        (
            409,
            "PATCH",
            &upload,
            vec![TUS.into(), PIECE.into(), at("4")],
        ),
        (
            404,
            "PATCH",
            &unknown,
            vec![TUS.into(), PIECE.into(), at("3")],
        ),
        (
            404,
            "PATCH",
            "/api/tus/..",
            vec![TUS.into(), PIECE.into(), at("3")],
        ),
        (404, "DELETE", &unknown, vec![TUS.into()]),
        (405, "GET", &upload, vec![TUS.into()]),
        (405, "PUT", "/api/tus/", vec![TUS.into()]),
        (400, "POST", "/api/tus/", vec![TUS.into()]),
        (
            400,
            "POST",
            "/api/tus/",
            vec![TUS.into(), "Upload-Length: x".into()],
        ),
        (
            400,
            "POST",
            "/api/tus/",
            vec![TUS.into(), "Upload-Defer-Length: 2".into()],
        ),
        // A part of a file is no job.
        (
            400,
            "POST",
            "/api/tus/",
            vec![
                TUS.into(),
                "Upload-Length: 5".into(),
                "Upload-Concat: partial".into(),
            ],
        ),
        (
            400,
            "POST",
            "/api/tus/",
            vec![
                TUS.into(),
                "Upload-Length: 1".into(),
                "Upload-Metadata: a !".into(),
            ],
        ),
        (
            413,
            "POST",
            "/api/tus/",
            vec![TUS.into(), "Upload-Length: 101".into()],
        ),
    ] {
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        let body: &[u8] = if method == "PATCH" { b"45" } else { b"" };
        let answer = house.ask(method, target, &fields, body);
        let what = format!("{method} {target} {fields:?}: {}", answer.text());
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(answer.field("tus-resumable"), Some("1.0.0"), "{what}");
        if status == 412 {
            assert_eq!(answer.field("tus-version"), Some("1.0.0"), "{what}");
        }
    }
    assert_eq!(house.patch(&upload, 3, &[], &[b'x'; 8]).status, 413);
    assert_eq!(house.offset(&upload), 3);
}

#[test]
fn an_upload_has_no_tag_that_if_match_could_name() {
    let house = House::start(&[]);
    let upload = house.begin(3, &[]);
    let other = ["If-Match: \"other\""];
    assert_eq!(house.patch(&upload, 0, &other, b"abc").status, 412);
    let fields = [TUS, other[0]];
    assert_eq!(house.ask("DELETE", &upload, &fields, b"").status, 412);
    assert_eq!(house.offset(&upload), 0);
    assert_eq!(
        house.patch(&upload, 0, &["If-Match: *"], b"abc").status,
        204
    );
}

#[test]
fn what_a_client_can_not_send_it_says_in_a_field() {
    let house = House::start(&[]);
    let upload = house.begin(3, &[&metadata("a")]);
    let fields = [
        TUS,
        PIECE,
        "Upload-Offset: 0",
        "X-HTTP-Method-Override: PATCH",
    ];
    assert_eq!(house.ask("POST", &upload, &fields, b"abc").status, 204);
    assert_eq!(house.stored("a"), b"abc");
    let upload = house.begin(3, &[&metadata("b")]);
    let fields = [TUS, "X-HTTP-Method-Override: DELETE"];
    assert_eq!(house.ask("POST", &upload, &fields, b"").status, 204);
    assert_eq!(house.ask("HEAD", &upload, &[TUS], b"").status, 404);
}

#[test]
fn a_smaller_limit_holds_for_uploads_that_have_begun() {
    let mut house = House::start(&["--max-upload", "1MiB"]);
    let sized = house.begin(600_000, &[]);
    let fields = [TUS, "Upload-Defer-Length: 1"];
    let begun = house.ask("POST", "/api/tus/", &fields, b"");
    let unsized_one = begun.field("location").unwrap().to_owned();
    for upload in [&sized, &unsized_one] {
        let piece = house.patch(upload, 0, &[], &bytes(1, 500_000));
        assert_eq!(piece.status, 204);
    }
    house.stop();
    house.set_flags(&["--max-upload", "100KiB"]);
    house.revive();
    for upload in [&sized, &unsized_one] {
        assert_eq!(house.offset(upload), 500_000);
        for body in [&b"x"[..], &bytes(1, 100_000)] {
            let refused = house.patch(upload, 500_000, &[], body);
            assert_eq!(refused.status, 413, "{}", refused.text());
            assert!(refused.error().contains("--max-upload"));
        }
        let at = "Upload-Offset: 500000";
        let fields = [TUS, PIECE, at, "Transfer-Encoding: chunked"];
        let mut chunked = house.send("PATCH", upload, &fields, b"1\r\nx\r\n0\r\n\r\n");
        assert_eq!(chunked.answer().status, 413);
        assert_eq!(house.offset(upload), 500_000);
    }
    // Nor can what is there be said to be all.
    let whole = house.patch(&unsized_one, 500_000, &["Upload-Length: 500000"], b"");
    assert_eq!(whole.status, 413, "{}", whole.text());
}

#[test]
fn an_upload_that_is_ended_is_gone_and_its_job_told() {
    let house = House::start(&[]);
    let upload = house.begin(3, &[&metadata("a")]);
    assert_eq!(house.spooled().len(), 1);
    assert_eq!(house.ask("DELETE", &upload, &[TUS], b"").status, 204);
    assert_eq!(house.ask("HEAD", &upload, &[TUS], b"").status, 404);
    assert_eq!(house.patch(&upload, 0, &[], b"abc").status, 404);
    assert_eq!(house.ended("a")["state"], "error");
    house.wait_for_empty_spool();
}

#[test]
fn a_piece_counts_when_it_matches_its_checksum_and_not_before() {
    let house = House::start(&[]);
    // Of "hello world", and of "hello ".
    let right = "Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=";
    let sha256 = "Upload-Checksum: sha256 uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=";
    for (job, sum) in [("a", right), ("b", sha256)] {
        let upload = house.begin(11, &[&metadata(job)]);
        assert_eq!(house.patch(&upload, 0, &[sum], b"hello World").status, 460);
        assert_eq!(house.offset(&upload), 0);
        assert_eq!(
            house
                .patch(&upload, 0, &["Upload-Checksum: crc32 AAAA"], b"x")
                .status,
            400
        );
        assert_eq!(house.patch(&upload, 0, &[sum], b"hello world").status, 204);
        assert_eq!(house.stored(job), b"hello world");
    }
    // A piece that was cut off can't be compared, and doesn't count; nor after a crash.
    let mut house = House::start(&[]);
    let upload = house.begin(300_000, &[&metadata("c")]);
    let fields = [
        TUS,
        PIECE,
        "Upload-Offset: 0",
        right,
        "Content-Length: 300000",
    ];
    let client = house.send("PATCH", &upload, &fields, &bytes(1, 280_000));
    wait_until("something is written", || house.data_of(&upload) > 0);
    house.kill();
    drop(client);
    house.revive();
    assert_eq!(house.offset(&upload), 0);
    let client = house.send("PATCH", &upload, &fields, &bytes(1, 280_000));
    wait_until("something is written", || house.data_of(&upload) > 0);
    drop(client);
    wait_until("it has let go", || {
        house.patch(&upload, 0, &[], b"12345").status == 204
    });
    assert_eq!(house.offset(&upload), 5);
}

#[test]
fn a_piece_that_fails_in_its_middle_keeps_nothing_of_what_was_not_compared() {
    let mut house = House::start(&["--max-spool", "700KiB"]);
    // Of "hello world".
    let sum = "Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=";
    let fields = [TUS, "Upload-Defer-Length: 1", &metadata("a")];
    let begun = house.ask("POST", "/api/tus/", &fields, b"");
    let upload = begun.field("location").unwrap().to_owned();
    assert_eq!(house.patch(&upload, 0, &[], b"12345").status, 204);
    let full = house.patch(&upload, 5, &[sum], &bytes(1, 1 << 20));
    assert_eq!(full.status, 507, "{}", full.text());
    assert_eq!(house.offset(&upload), 5);
    // Nor does it count while it comes, or for who goes on after a crash.
    let fields = [
        TUS,
        PIECE,
        sum,
        "Upload-Offset: 5",
        "Content-Length: 300000",
    ];
    let client = house.send("PATCH", &upload, &fields, &bytes(1, 280_000));
    wait_until("something is written", || house.data_of(&upload) > 5);
    assert_eq!(house.offset(&upload), 5);
    house.kill();
    drop(client);
    house.revive();
    assert_eq!(house.offset(&upload), 5);
    let last = house.patch(&upload, 5, &[sum, "Upload-Length: 16"], b"hello world");
    assert_eq!(last.status, 204, "{}", last.text());
    assert_eq!(house.stored("a"), b"12345hello world");
}

#[test]
fn an_upload_that_is_cut_off_at_any_byte_goes_on_from_there() {
    let house = House::start(&["--upload-rate", "100000"]);
    let body = b"0123456789abcdef";
    for cut in 0..body.len() {
        let upload = house.begin(body.len(), &[&metadata(&format!("cut-{cut}"))]);
        let length = format!("Content-Length: {}", body.len());
        let client = house.send(
            "PATCH",
            &upload,
            &[TUS, PIECE, "Upload-Offset: 0", &length],
            &body[..cut],
        );
        client.0.shutdown(Shutdown::Both).unwrap();
        wait_until("what came is there", || house.offset(&upload) == cut);
        let rest = house.patch(&upload, cut, &[], &body[cut..]);
        assert_eq!(rest.status, 204, "{cut}: {}", rest.text());
        assert_eq!(house.stored(&format!("cut-{cut}")), body);
    }
}

#[test]
fn an_upload_goes_on_after_the_server_was_killed_or_stopped() {
    let mut house = House::start(&[]);
    let body = bytes(7, 3 << 20);
    let upload = house.begin(body.len(), &[&metadata("a")]);
    let (mut offset, mut lives) = (0, 0);
    while offset < body.len() {
        let length = format!("Content-Length: {}", body.len() - offset);
        let at = format!("Upload-Offset: {offset}");
        let end = (offset + (700 << 10)).min(body.len());
        let client = house.send(
            "PATCH",
            &upload,
            &[TUS, PIECE, &at, &length],
            &body[offset..end],
        );
        if end == body.len() {
            let mut client: Client = client;
            assert_eq!(client.answer().status, 204);
            break;
        }
        wait_until("some of it is there", || {
            house.data_of(&upload) > offset as u64
        });
        match lives % 2 {
            0 => house.kill(),
            _ => house.stop(),
        }
        drop(client);
        house.revive();
        offset = house.offset(&upload);
        lives += 1;
    }
    assert!(lives >= 3, "{lives}");
    assert!(house.stored("a") == body);
    house.wait_for_empty_spool();
}

#[test]
fn what_can_not_be_read_at_the_start_stays_until_it_can() {
    let mut house = House::start(&[]);
    let upload = house.begin(10, &[&metadata("a")]);
    assert_eq!(house.patch(&upload, 0, &[], b"123").status, 204);
    let other = house.begin(10, &[]);
    house.kill();
    let info = |upload: &str| {
        let id = upload.rsplit('/').next().unwrap();
        house.data.join("uploads").join(id).join("info.json")
    };
    let (path, emptied) = (info(&upload), info(&other));
    let right = std::fs::read(&path).unwrap();
    std::fs::write(&path, r#"{"written":"by a newer version"}"#).unwrap();
    // What a loss of power leaves of what was never acknowledged goes.
    std::fs::write(emptied, "").unwrap();
    house.revive();
    assert_eq!(house.ask("HEAD", &upload, &[TUS], b"").status, 404);
    assert_eq!(house.spooled().len(), 1);
    assert_eq!(house.data_of(&upload), 3);
    house.kill();
    std::fs::write(path, right).unwrap();
    house.revive();
    // Its job was told meanwhile that it is lost, and that holds.
    assert_eq!(house.ended("a")["state"], "error");
}

#[test]
fn what_nobody_goes_on_with_expires_while_it_runs_and_at_start() {
    let mut house = House::start(&["--upload-expiry", "4500ms"]);
    let upload = house.begin(10, &[&metadata("a")]);
    assert_eq!(house.patch(&upload, 0, &[], b"123").status, 204);
    house.wait_for_empty_spool();
    assert_eq!(house.ask("HEAD", &upload, &[TUS], b"").status, 404);
    let ended = house.ended("a");
    let message = ended["lastEvent"]["data"]["message"].as_str().unwrap();
    assert!(message.contains("4s 500ms"), "{message}");
    house.begin(10, &[&metadata("b")]);
    house.kill();
    std::thread::sleep(Duration::from_millis(4600));
    house.revive();
    assert_eq!(house.spooled(), Vec::<String>::new());
    assert_eq!(house.ended("b")["state"], "error");
}

#[test]
fn an_upload_of_which_nothing_came_expires_soon_and_others_by_what_has_come() {
    let house = House::start(&["--upload-expiry-empty", "6s"]);
    let empty = house.begin(4 << 20, &[&metadata("empty")]);
    let begun = house.begin(4 << 20, &[]);
    let first = house.patch(&begun, 0, &[], &bytes(1, 3 << 20));
    assert_eq!(first.status, 204);
    wait_until("the empty one is gone", || {
        house.ask("HEAD", &empty, &[TUS], b"").status == 404
    });
    let message = house.ended("empty")["lastEvent"]["data"]["message"].to_string();
    assert!(message.contains(" 6s"), "{message}");
    assert_eq!(house.offset(&begun), 3 << 20);
    // A little is worth a little, and no more than the most.
    let house = House::start(&["--upload-expiry", "1h"]);
    let upload = house.begin(20 << 20, &[]);
    let expires_in = |offset: usize, length: usize| {
        let answer = house.patch(&upload, offset, &[], &bytes(1, length));
        let expires = httpdate::parse_http_date(answer.field("upload-expires").unwrap());
        let left = expires.unwrap().duration_since(SystemTime::now()).unwrap();
        left.as_secs_f64() / 60.0
    };
    for (offset, length, minutes) in [
        (0, 1, 10.0),
        (1, (1 << 20) - 1, 20.0),
        (1 << 20, 1 << 19, 25.0),
        (3 << 19, 15 << 20, 60.0),
    ] {
        let left = expires_in(offset, length);
        assert!(
            (minutes - 1.0..=minutes).contains(&left),
            "{length}: {left}"
        );
    }
}

#[test]
fn who_was_cut_off_without_a_word_is_replaced_by_who_goes_on() {
    let house = House::start(&[]);
    let upload = house.begin(10, &[&metadata("a")]);
    let fields = [TUS, PIECE, "Upload-Offset: 0", "Content-Length: 10"];
    // It stays connected and says nothing more.
    let mut silent = house.send("PATCH", &upload, &fields, b"123");
    wait_until("it is held", || {
        house.patch(&upload, 0, &[], b"x").status != 204 || house.offset(&upload) == 3
    });
    let offset = house.offset(&upload);
    let rest = house.patch(&upload, offset.max(3), &[], b"4567890");
    assert!([204, 409].contains(&rest.status), "{}", rest.text());
    if rest.status == 409 {
        let offset = house.offset(&upload);
        assert_eq!(offset, 3);
        assert_eq!(house.patch(&upload, offset, &[], b"4567890").status, 204);
    }
    assert_eq!(silent.answer().status, 409);
    assert_eq!(house.stored("a"), b"1234567890");
}
