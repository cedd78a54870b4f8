//! `POST /api/uploads`.

use std::net::Shutdown;

use super::support::{House, TUS, bytes, wait_until};

const FORM: &str = "Content-Type: multipart/form-data; boundary=b0";

fn form(fields: &[(&str, &str)], file: Option<(&str, &[u8])>) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, value) in fields {
        let part =
            format!("--b0\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        form.extend_from_slice(part.as_bytes());
    }
    if let Some((name, bytes)) = file {
        let head = format!(
            "--b0\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\
             Content-Type: text/plain\r\n\r\n"
        );
        form.extend_from_slice(head.as_bytes());
        form.extend_from_slice(bytes);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"--b0--\r\n");
    form
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

#[test]
fn a_file_is_uploaded_and_its_job_says_where() {
    let house = House::start(&[]);
    let answer = house.post("job.1", b"hello");
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.field("location"), Some("/api/jobs/job.1"));
    assert_eq!(answer.field("landfall-job"), Some("job.1"));
    let json = answer.json();
    assert_eq!(json["jobId"], "job.1");
    assert_eq!(json["events"], "/api/jobs/job.1/events");
    assert_eq!(json["snapshot"], "/api/jobs/job.1");
    assert_eq!(house.stored("job.1"), b"hello");
    let done = house.ended("job.1");
    assert_eq!(done["lastEvent"]["data"]["name"], "job.1");
    assert_eq!(done["lastEvent"]["data"]["size"], 5);
    house.wait_for_empty_spool();
}

#[test]
fn without_a_name_the_job_gets_one_that_can_not_be_guessed() {
    let house = House::start(&[]);
    let name = |answer: super::support::Answer| answer.json()["jobId"].as_str().unwrap().to_owned();
    let first = name(house.ask("POST", "/api/uploads", &[], b"a"));
    let second = name(house.ask("POST", "/api/uploads", &[], b"a"));
    assert!(first.len() > 30 && first != second);
    assert_eq!(house.stored(&first), b"a");
}

#[test]
fn files_of_every_size_around_a_buffer_arrive_as_they_are() {
    let house = House::start(&[]);
    const BUFFER: usize = 256 * 1024;
    let sizes = [
        0,
        1,
        2047,
        65_536,
        BUFFER - 1,
        BUFFER,
        BUFFER + 1,
        2 * BUFFER,
        5 * BUFFER + 7,
    ];
    for (index, size) in sizes.into_iter().enumerate() {
        let body = bytes(index as u64, size);
        for (kind, fields, sent) in [
            ("plain", "X: y", body.clone()),
            (
                "chunks",
                "Transfer-Encoding: chunked",
                chunked(&body, 70_001),
            ),
            ("form", FORM, form(&[], Some(("f", &body)))),
        ] {
            let job = format!("{kind}-{size}");
            let target = format!("/api/uploads?job={job}");
            let answer = match kind {
                "chunks" => house.send("POST", &target, &[fields], &sent).answer(),
                _ => house.ask("POST", &target, &[fields], &sent),
            };
            assert_eq!(answer.status, 201, "{job}: {}", answer.text());
            assert!(house.stored(&job) == body, "{job}");
        }
    }
}

#[test]
fn a_form_may_say_the_job_and_the_name_before_the_file() {
    let house = House::start(&[]);
    let body = form(
        &[("job", "j1"), ("name", "n.txt"), ("x", "y")],
        Some(("f.txt", b"hi")),
    );
    let answer = house.ask("POST", "/api/uploads", &[FORM], &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(house.stored("j1"), b"hi");
    assert_eq!(house.ended("j1")["lastEvent"]["data"]["name"], "n.txt");
}

#[test]
fn an_input_in_which_no_file_was_chosen_is_none() {
    let house = House::start(&[]);
    let file = form(&[], Some(("f.txt", b"hi")));
    let none = form(&[], Some(("", b"")));
    for (query, parts) in [
        ("job=a", [&none, &file]),
        ("job=b", [&file, &none]),
        ("job=c&name=n.txt", [&file, &none]),
    ] {
        let body = parts.map(|part| String::from_utf8(part.clone()).unwrap());
        let body = body[0].replace("--b0--\r\n", "") + &body[1];
        let target = format!("/api/uploads?{query}");
        let answer = house.ask("POST", &target, &[FORM], body.as_bytes());
        assert_eq!(answer.status, 201, "{query}: {}", answer.text());
        assert_eq!(house.stored(&query[4..5]), b"hi");
    }
}

#[test]
fn what_is_wrong_with_a_form_is_said_and_nothing_is_left_of_it() {
    let house = House::start(&[]);
    let two = [form(&[], Some(("a", b"1"))), form(&[], Some(("b", b"2")))].concat();
    let two = String::from_utf8(two)
        .unwrap()
        .replacen("--b0--\r\n", "", 1)
        .into_bytes();
    let late = String::from_utf8(form(&[], Some(("a", b"1")))).unwrap();
    let late =
        late.replace("--b0--\r\n", "") + &String::from_utf8(form(&[("job", "x")], None)).unwrap();
    let cut = form(&[], Some(("a", b"1")));
    for (body, part) in [
        (form(&[], None), "no file"),
        (form(&[], Some(("", b""))), "no file was chosen"),
        (form(&[], Some(("", b"1"))), "no file was chosen"),
        (form(&[("job", "a b")], Some(("a", b"1"))), "job name"),
        (
            form(&[("job", "a"), ("job", "b")], Some(("a", b"1"))),
            "job is given twice",
        ),
        (
            form(&[("name", "a"), ("name", "a")], Some(("a", b"1"))),
            "name is given twice",
        ),
        (form(&[], Some((&"x".repeat(1025), b"1"))), "too long"),
        (two, "more than one file"),
        (late.into_bytes(), "after the file"),
        (cut[..cut.len() - 4].to_vec(), "last boundary"),
        (b"nothing of the kind".to_vec(), "no file"),
    ] {
        let answer = house.ask("POST", "/api/uploads", &[FORM], &body);
        assert_eq!(answer.status, 400, "{part}: {}", answer.text());
        assert!(answer.error().contains(part), "{part}: {}", answer.error());
        house.wait_for_empty_spool();
    }
}

#[test]
fn what_is_wrong_with_a_request_is_said_before_its_body_is_read() {
    let house = House::start(&[]);
    assert_eq!(house.post("over", b"x").status, 201);
    house.ended("over");
    for (status, target, field) in [
        (400, "/api/uploads?job=a%20b", "Content-Length: 1000000"),
        (400, "/api/uploads?name=%", "Content-Length: 1000000"),
        (400, "/api/uploads?name=a&name=b", "Content-Length: 1000000"),
        (
            400,
            &format!("/api/uploads?name={}", "x".repeat(1025)),
            "Content-Length: 1000000",
        ),
        (409, "/api/uploads?job=over", "Content-Length: 1000000"),
        (411, "/api/uploads", "X: y"),
        (413, "/api/uploads", "Content-Length: 99999999999"),
    ] {
        let fields = [field, "Expect: 100-continue"];
        let answer = house.send("POST", target, &fields, b"").answer();
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert!(!answer.error().is_empty());
    }
    house.wait_for_empty_spool();
}

#[test]
fn a_body_that_says_it_is_encoded_is_415_and_one_that_says_it_is_not_is_taken() {
    let house = House::start(&[]);
    for coding in ["gzip", "identity, br", "x"] {
        let field = format!("Content-Encoding: {coding}");
        let answer = house.ask("POST", "/api/uploads", &[&field], b"\x1f\x8b");
        assert_eq!(answer.status, 415, "{coding}");
        assert_eq!(answer.field("accept-encoding"), Some("identity"));
        let fields = [&field, TUS, "Upload-Length: 3"];
        let begun = house.ask("POST", "/api/tus/", &fields, b"");
        assert_eq!(begun.status, 415, "{}", begun.text());
        assert_eq!(begun.field("tus-resumable"), Some("1.0.0"));
    }
    let upload = house.begin(3, &[]);
    let gzip = ["Content-Encoding: gzip"];
    assert_eq!(house.patch(&upload, 0, &gzip, b"abc").status, 415);
    assert_eq!(house.offset(&upload), 0);
    for coding in ["", "identity", "Identity,"] {
        let field = format!("Content-Encoding: {coding}");
        let answer = house.ask("POST", "/api/uploads", &[&field], b"x");
        assert_eq!(answer.status, 201, "{coding}: {}", answer.text());
    }
}

#[test]
fn a_part_of_a_form_that_says_it_is_encoded_is_415() {
    let house = House::start(&[]);
    let send = |field: &str| {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=file; filename=a\r\n{field}\r\n\r\n\
             aGVsbG8=\r\n--b--\r\n"
        );
        let kind = "Content-Type: multipart/form-data; boundary=b";
        house.ask("POST", "/api/uploads", &[kind], body.as_bytes())
    };
    for field in [
        "Content-Encoding: gzip",
        "Content-Transfer-Encoding: base64",
    ] {
        let answer = send(field);
        assert_eq!(answer.status, 415, "{field}: {}", answer.text());
    }
    assert_eq!(send("Content-Transfer-Encoding: binary").status, 201);
    house.wait_for_empty_spool();
}

#[test]
fn who_expects_it_is_told_to_go_on_when_the_upload_has_a_place() {
    let house = House::start(&[]);
    let fields = ["Content-Length: 5", "Expect: 100-continue"];
    let mut client = house.send("POST", "/api/uploads?job=a", &fields, b"");
    let mut start = [0; 25];
    std::io::Read::read_exact(&mut client.0, &mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send(b"hello");
    assert_eq!(client.answer().status, 201);
    assert_eq!(house.stored("a"), b"hello");
}

#[test]
fn a_job_follows_its_upload_from_the_first_byte_on() {
    let house = House::start(&[]);
    let mut client = house.send(
        "POST",
        "/api/uploads?job=a&name=b.txt",
        &["Content-Length: 10000"],
        b"",
    );
    let first = house.wait_for("a", "it has begun", |snapshot| {
        !snapshot["lastEvent"].is_null()
    });
    assert_eq!(first["lastEvent"]["data"]["stage"], "uploading");
    assert_eq!(first["lastEvent"]["data"]["percent"], 0);
    assert_eq!(first["lastEvent"]["data"]["size"], 10_000);
    client.send(b"12345");
    // What comes slowly is told all the same, when more comes.
    let mut sent = 5;
    house.wait_for("a", "the first of it is told", |snapshot| {
        if sent < 9_999 {
            client.send(b"x");
            sent += 1;
        }
        snapshot["lastEvent"]["data"]["bytes"].as_u64() >= Some(5)
    });
    client.send(&vec![b'x'; 10_000 - sent]);
    assert_eq!(client.answer().status, 201);
    let events = house.ended("a");
    assert_eq!(events["state"], "done");
    let uploading: Vec<_> = house
        .events("a")
        .into_iter()
        .filter(|(_, data)| data["stage"] == "uploading")
        .collect();
    assert_eq!(uploading.last().unwrap().1["percent"], 100);
    assert_eq!(uploading.last().unwrap().1["bytes"], 10_000);
}

#[test]
fn a_large_upload_is_told_at_most_four_times_a_second() {
    let house = House::start(&[]);
    let begun = std::time::Instant::now();
    assert_eq!(house.post("a", &bytes(1, 40 << 20)).status, 201);
    let most = begun.elapsed().as_millis() as usize / 250 + 2;
    house.ended("a");
    let events = house.events("a");
    let told = events
        .iter()
        .filter(|(_, data)| data["stage"] == "uploading");
    assert!(told.count() <= most, "{events:?}");
}

#[test]
fn an_upload_that_is_cut_off_at_any_byte_leaves_nothing_behind_and_may_come_again() {
    let house = House::start(&["--upload-rate", "100000"]);
    let whole = form(&[("job", "f")], Some(("a.txt", b"0123456789")));
    let raw = b"0123456789";
    for (job, target, field, body) in [
        ("r", "/api/uploads?job=r", "X: y", &raw[..]),
        ("f", "/api/uploads", FORM, &whole),
    ] {
        let length = format!("Content-Length: {}", body.len());
        for cut in 0..body.len() {
            let client = house.send("POST", target, &[field, &length], &body[..cut]);
            client.0.shutdown(Shutdown::Both).unwrap();
        }
        let cut = &chunked(body, 4)[..20];
        let client = house.send("POST", target, &[field, "Transfer-Encoding: chunked"], cut);
        drop(client);
        wait_until("all are gone", || {
            let answer = house.ask("POST", target, &[field], body);
            assert!([201, 409].contains(&answer.status), "{}", answer.text());
            answer.status == 201
        });
        assert_eq!(house.stored(job), raw);
    }
    house.wait_for_empty_spool();
}

#[test]
fn a_broken_upload_ends_its_job_with_an_error_that_says_what_to_do() {
    let house = House::start(&[]);
    let client = house.send(
        "POST",
        "/api/uploads?job=a",
        &["Content-Length: 10"],
        b"12345",
    );
    house.wait_for("a", "it has begun", |snapshot| {
        !snapshot["lastEvent"].is_null()
    });
    drop(client);
    let snapshot = house.ended("a");
    assert_eq!(snapshot["state"], "error");
    let data = &snapshot["lastEvent"]["data"];
    assert_eq!(data["stage"], "uploading");
    assert!(
        data["message"].as_str().unwrap().contains("broke off"),
        "{data}"
    );
    house.wait_for_empty_spool();
    // The same job again, and its ids go on above.
    let last: u64 = snapshot["lastEventId"].as_str().unwrap().parse().unwrap();
    assert_eq!(house.post("a", b"1234567890").status, 201);
    assert_eq!(house.stored("a"), b"1234567890");
    let again: u64 = house.ended("a")["lastEventId"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(again > last);
}

#[test]
fn two_uploads_of_one_job_are_not_mixed() {
    let house = House::start(&[]);
    let mut first = house.send("POST", "/api/uploads?job=a", &["Content-Length: 3"], b"1");
    house.wait_for("a", "it has begun", |snapshot| {
        !snapshot["lastEvent"].is_null()
    });
    let second = house.post("a", b"xyz");
    assert_eq!(second.status, 409, "{}", second.text());
    first.send(b"23");
    assert_eq!(first.answer().status, 201);
    assert_eq!(house.stored("a"), b"123");
}

#[test]
fn deleting_a_job_breaks_its_upload_off() {
    let house = House::start(&[]);
    let mut client = house.send(
        "POST",
        "/api/uploads?job=a",
        &["Content-Length: 10"],
        b"12345",
    );
    house.wait_for("a", "it has begun", |snapshot| {
        !snapshot["lastEvent"].is_null()
    });
    let mut worker = super::support::Client::connect(house.publish);
    worker.send(b"DELETE /api/jobs/a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(worker.answer().status, 204);
    assert_eq!(client.answer().status, 410);
    house.wait_for_empty_spool();
    assert_eq!(house.ask("GET", "/api/jobs/a", &[], b"").status, 410);
}

#[test]
fn a_file_is_called_what_its_client_calls_it_however_that_is_written() {
    let house = House::start(&[]);
    let post = |parameters: &str| {
        let form = format!(
            "--b0\r\nContent-Disposition: form-data; name=file; {parameters}\r\n\r\nhello\r\n--b0--\r\n"
        );
        house.ask("POST", "/api/uploads", &[FORM], form.as_bytes())
    };
    let named = |parameters: &str| {
        let answer = post(parameters);
        assert_eq!(answer.status, 201, "{parameters}: {}", answer.text());
        let ended = house.ended(answer.json()["jobId"].as_str().unwrap());
        ended["lastEvent"]["data"]["name"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    // .NET sends both, and in the first a word encoded as of mail.
    let both = r#"filename="=?utf-8?B?w7YudHh0?="; filename*=utf-8''%C3%B6.txt"#;
    assert_eq!(named(both), "ö.txt");
    let long = "あ".repeat(340);
    assert_eq!(
        named(&format!(r#"filename="{long}.mp4""#)),
        long.clone() + ".mp4"
    );
    let escaped: String = long.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let both = format!(r#"filename="{long}"; filename*=UTF-8''{escaped}"#);
    assert_eq!(named(&both), long);
    assert_eq!(named("filename=\"a\u{202e}gpj.exe\""), "a_gpj.exe");
    let latin = post("filename*=iso-8859-1''%f6.txt");
    assert_eq!(latin.status, 400);
    assert!(latin.error().contains("charset"), "{}", latin.error());
    assert_eq!(post(&format!(r#"filename="{long}12345""#)).status, 400);
}

#[test]
fn names_are_data_and_never_paths() {
    let house = House::start(&[]);
    for (index, (name, expected)) in [
        ("..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("%2Fetc%2Fpasswd", "passwd"),
        ("..", "upload"),
        ("-rf%20%2A%22%0A%00%F0%9F%98%80", "-rf *\"__😀"),
        ("%2e%2e%5c%2e%2e%5cboot.ini", "boot.ini"),
    ]
    .into_iter()
    .enumerate()
    {
        let job = format!("{}{index}", ["..", ".", "...", "-", "~"][index]);
        let target = format!("/api/uploads?job={job}&name={name}");
        let answer = house.ask("POST", &target, &[], job.as_bytes());
        assert_eq!(answer.status, 201, "{name}: {}", answer.text());
        assert_eq!(house.ended(&job)["lastEvent"]["data"]["name"], expected);
        assert_eq!(house.stored(&job), job.as_bytes());
    }
    let parent = house.data.parent().unwrap();
    let beside: Vec<_> = std::fs::read_dir(parent).unwrap().collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
}

#[test]
fn without_a_directory_uploads_are_refused_with_what_to_do() {
    let house = House::start(&["--memory-only"]);
    for (target, fields) in [
        ("/api/uploads", &[][..]),
        ("/api/tus/", &["Tus-Resumable: 1.0.0"]),
    ] {
        let answer = house.ask("POST", target, fields, b"x");
        assert_eq!(answer.status, 501);
        assert!(answer.error().contains("--data"), "{}", answer.error());
    }
}
