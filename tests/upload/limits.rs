//! Limits on uploads.

use std::io::Read;
use std::time::{Duration, Instant};

use super::support::{Answer, Client, House, PIECE, TUS, bytes, wait_until};

/// An upload that has begun and of which the rest doesn't come.
fn open(house: &House, job: &str, length: usize) -> Client {
    let target = format!("/api/uploads?job={job}");
    let client = house.send(
        "POST",
        &target,
        &[&format!("Content-Length: {length}")],
        b"x",
    );
    house.wait_for(job, "it has begun", |_| true);
    client
}

fn assert_refused(answer: &Answer, status: u16, flag: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.error().contains(flag), "{}", answer.error());
    let is_later = [429, 503].contains(&status);
    assert_eq!(answer.field("retry-after").is_some(), is_later);
}

#[test]
fn an_upload_larger_than_may_be_is_413_and_leaves_nothing() {
    let house = House::start(&["--max-upload", "100"]);
    assert_eq!(house.post("fits", &[b'x'; 100]).status, 201);
    assert_refused(&house.post("a", &[b'x'; 101]), 413, "--max-upload");
    let fields = ["Transfer-Encoding: chunked"];
    let body = format!("65\r\n{}\r\n0\r\n\r\n", "x".repeat(101));
    let answer = house
        .send(
            "POST",
            "/api/uploads?job=b&name=b.mp4",
            &fields,
            body.as_bytes(),
        )
        .answer();
    assert_refused(&answer, 413, "--max-upload");
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n{}\r\n--b--\r\n",
        "x".repeat(101)
    );
    let kind = "Content-Type: multipart/form-data; boundary=b";
    let answer = house.ask("POST", "/api/uploads?job=c", &[kind], form.as_bytes());
    assert_refused(&answer, 413, "--max-upload");
    for job in ["b", "c"] {
        let data = &house.ended(job)["lastEvent"]["data"];
        assert_eq!(data["retryable"], false, "{data}");
    }
    assert_eq!(house.ended("b")["lastEvent"]["data"]["name"], "b.mp4");
    house.ended("fits");
    house.wait_for_empty_spool();
}

#[test]
fn one_upload_too_many_is_503_and_later_there_is_room() {
    let house = House::start(&["--max-uploads", "2"]);
    let first = open(&house, "a", 10);
    let mut second = open(&house, "b", 10);
    assert_refused(&house.post("c", b"x"), 503, "--max-uploads");
    let begun = house.ask("POST", "/api/tus/", &[TUS, "Upload-Length: 3"], b"");
    assert_refused(&begun, 503, "--max-uploads");
    second.send(b"234567890");
    assert_eq!(second.answer().status, 201);
    assert_eq!(house.post("c", b"x").status, 201);
    drop(first);
    wait_until("both places are free", || {
        let third = house.post("d", b"x").status;
        let fourth = house.begin(1, &[]);
        third != 503 && fourth.starts_with("/api/tus/")
    });
}

#[test]
fn an_address_has_its_share_of_uploads_and_leaves_room_for_others() {
    // This host's addresses count for themselves where no proxy is trusted.
    let house = House::start(&[
        "--max-uploads-per-address",
        "2",
        "--trusted-proxy",
        "192.0.2.1",
    ]);
    let tus = house.begin(3, &[]);
    let first = open(&house, "a", 10);
    let mut second = open(&house, "b", 10);
    assert_refused(&house.post("c", b"x"), 503, "--max-uploads-per-address");
    for answer in [
        house.ask("POST", "/api/tus/", &[TUS, "Upload-Length: 3"], b""),
        house.patch(&tus, 0, &[], b"abc"),
    ] {
        assert_refused(&answer, 503, "--max-uploads-per-address");
    }
    let mut other = Client::connect_from("127.0.0.2", house.public);
    other.send(b"POST /api/uploads?job=d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(other.answer().status, 201);
    second.send(b"234567890");
    assert_eq!(second.answer().status, 201);
    assert_eq!(house.patch(&tus, 0, &[], b"abc").status, 204);
    let _third = open(&house, "e", 10);
    drop(first);
    wait_until("the place of what broke off is free", || {
        house.post("f", b"x").status == 201
    });
}

#[test]
fn an_address_with_its_share_of_uploads_can_take_over_those_that_are_dead() {
    let house = House::start(&[
        "--max-uploads-per-address",
        "2",
        "--trusted-proxy",
        "192.0.2.1",
        "--body-timeout",
        "10m",
    ]);
    let uploads = [house.begin(3, &[]), house.begin(3, &[])];
    // Their network is gone, and nobody has said so.
    let dead = uploads.each_ref().map(|upload| {
        let fields = [TUS, PIECE, "Upload-Offset: 0", "Content-Length: 3"];
        house.send("PATCH", upload, &fields, b"")
    });
    for upload in &uploads {
        wait_until("it is taken over", || {
            house.patch(upload, 0, &[], b"abc").status == 204
        });
    }
    drop(dead);
}

#[test]
fn resumable_uploads_that_are_not_whole_are_counted() {
    let house = House::start(&["--max-unfinished", "2"]);
    let first = house.begin(3, &[]);
    house.begin(3, &[]);
    let third = house.ask("POST", "/api/tus/", &[TUS, "Upload-Length: 3"], b"");
    assert_refused(&third, 503, "--max-unfinished");
    assert_eq!(house.post("plain", b"x").status, 201);
    assert_eq!(house.patch(&first, 0, &[], b"abc").status, 204);
    house.begin(3, &[]);
}

#[test]
fn all_that_is_spooled_has_a_limit_and_what_is_idle_takes_only_what_it_has() {
    let house = House::start(&["--max-spool", "1000"]);
    // These would be 1800 bytes, but nobody goes on with them.
    let first = house.begin(900, &[]);
    let second = house.begin(900, &[]);
    let _held = open(&house, "a", 500);
    assert_refused(&house.post("b", &[b'x'; 501]), 507, "--max-spool");
    assert_refused(
        &house.patch(&first, 0, &[], &[b'x'; 400]),
        507,
        "--max-spool",
    );
    let chunk = format!("258\r\n{}\r\n0\r\n\r\n", "x".repeat(600));
    let chunked = house
        .send(
            "POST",
            "/api/uploads?job=c",
            &["Transfer-Encoding: chunked"],
            chunk.as_bytes(),
        )
        .answer();
    assert_refused(&chunked, 507, "--max-spool");
    assert_eq!(house.offset(&second), 0);
    assert_eq!(house.post("d", &[b'x'; 400]).status, 201);
}

#[test]
fn what_has_to_stay_free_on_the_disk_does() {
    let house = House::start(&["--min-free", "1000000GiB"]);
    assert_refused(&house.post("a", b"x"), 507, "--min-free");
    let begun = house.ask("POST", "/api/tus/", &[TUS, "Upload-Length: 3"], b"");
    assert_refused(&begun, 507, "--min-free");
    house.wait_for_empty_spool();
}

#[test]
fn uploads_begin_at_a_rate_and_one_too_many_is_429() {
    let house = House::start(&["--upload-rate", "1"]);
    let begun = Instant::now();
    let mut posts = (0..).map(|n| house.post(&format!("j{n}"), b"x"));
    let begin = posts.by_ref().take_while(|it| it.status == 201).count();
    // A slow machine has one more with each second.
    let most = 2 + begun.elapsed().as_secs() as usize;
    assert!((2..=most).contains(&begin), "{begin} of {most}");
    let refused = posts.find(|it| it.status != 201).unwrap();
    assert_refused(&refused, 429, "--upload-rate");
}

#[test]
fn the_bandwidth_of_all_uploads_holds() {
    let house = House::start(&["--upload-bandwidth", "1MiB"]);
    let begun = Instant::now();
    assert_eq!(house.post("a", &bytes(1, 2 << 20)).status, 201);
    // Less than that would be more than it may be.
    assert!(
        begun.elapsed() > Duration::from_millis(1500),
        "{:?}",
        begun.elapsed()
    );
    assert!(house.stored("a") == bytes(1, 2 << 20));
}

#[test]
fn a_body_that_does_not_go_on_in_time_is_408() {
    let house = House::start(&["--body-timeout", "500ms"]);
    let mut client = open(&house, "a", 10);
    let answer = client.answer();
    assert_eq!(answer.status, 408, "{}", answer.text());
    assert_eq!(house.ended("a")["state"], "error");
    house.wait_for_empty_spool();
    // What is resumable keeps what came.
    let upload = house.begin(10, &[]);
    let fields = [TUS, PIECE, "Upload-Offset: 0", "Content-Length: 10"];
    assert_eq!(
        house
            .send("PATCH", &upload, &fields, b"123")
            .answer()
            .status,
        408
    );
    assert_eq!(house.offset(&upload), 3);
}

#[test]
fn a_stopping_server_lets_uploads_end_and_breaks_resumable_ones_off_with_what_they_have() {
    let mut house = House::start(&["--drain", "60s"]);
    let mut plain = open(&house, "a", 10);
    let upload = house.begin(1_000, &[]);
    let fields = [
        TUS,
        PIECE,
        "Upload-Offset: 0",
        "Content-Length: 1000",
        "Expect: 100-continue",
    ];
    let mut piece = house.send("PATCH", &upload, &fields, b"");
    let mut start = [0; 25];
    piece.0.read_exact(&mut start).unwrap();
    // What comes slowly is written now and then.
    let mut sent = 0;
    wait_until("something is written", || {
        piece.send(b"x");
        sent += 1;
        house.data_of(&upload) > 0
    });
    let written = house.data_of(&upload) as usize;
    let stopping = std::thread::spawn({
        move || {
            house.stop();
            house
        }
    });
    let answer = piece.answer();
    assert_eq!(answer.status, 503, "{}", answer.text());
    plain.send(b"234567890");
    assert_eq!(plain.answer().status, 201);
    let mut house = stopping.join().unwrap();
    house.revive();
    assert!((written..=sent).contains(&house.offset(&upload)));
    assert_eq!(house.stored("a"), b"x234567890");
}

#[test]
fn memory_does_not_grow_with_what_is_uploaded() {
    let house = House::start(&[]);
    let body = bytes(1, 8 << 20);
    assert_eq!(house.post("warm", &body).status, 201);
    let before = house.resident_bytes();
    let mut clients = Vec::new();
    for job in 0..4 {
        let mut client = house.send(
            "POST",
            &format!("/api/uploads?job=big-{job}"),
            &[&format!("Content-Length: {}", 12 * body.len())],
            b"",
        );
        let body = body.clone();
        clients.push(std::thread::spawn(move || {
            (0..12).for_each(|_| client.send(&body));
            client.answer().status
        }));
    }
    let mut most = 0;
    while clients.iter().any(|client| !client.is_finished()) {
        most = most.max(house.resident_bytes());
        std::thread::sleep(Duration::from_millis(20));
    }
    for client in clients {
        assert_eq!(client.join().unwrap(), 201);
    }
    // 384 MiB have come.
    assert!(most < before + (16 << 20), "{before} {most}");
}

#[test]
fn a_client_that_never_ends_its_chunks_is_cut_off_where_the_limit_is() {
    let house = House::start(&["--max-upload", "1MiB"]);
    let mut client = house.send(
        "POST",
        "/api/uploads?job=a",
        &["Transfer-Encoding: chunked"],
        b"",
    );
    let chunk = [
        format!("{:x}\r\n", 65_536).into_bytes(),
        bytes(1, 65_536),
        b"\r\n".to_vec(),
    ]
    .concat();
    for _ in 0..64 {
        client.send(&chunk);
    }
    let mut start = [0; 12];
    client.0.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
    house.wait_for_empty_spool();
}

#[test]
fn time_limits_of_centuries_hang_nobody() {
    let limits = [
        "stall",
        "idle-timeout",
        "head-timeout",
        "body-timeout",
        "heartbeat",
    ];
    let limits = limits.map(|limit| format!("--{limit}=400y"));
    let house = House::start(&limits.each_ref().map(String::as_str));
    let mut waiting = Client::connect(house.public);
    waiting.send(b"GET /api/jobs/none HT");
    let mut upload = house.send("POST", "/api/uploads?job=a", &["Content-Length: 2"], b"x");
    house.wait_for("a", "it is being received", |it| it["state"] == "running");
    upload.send(b"y");
    assert_eq!(upload.answer().status, 201);
    waiting.send(b"TP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(waiting.answer().status, 404);
    assert_eq!(house.stored("a"), b"xy");
}
