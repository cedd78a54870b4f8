//! How events come in.

use super::sse::EventStream;
use super::support::{Answer, TestServer, job_id, post};

pub const PROGRESS: &str = r#"{"event":"progress","data":{"stage":"scanning","percent":30}}"#;
pub const JSON: &str = "application/json";
pub const NDJSON: &str = "application/x-ndjson";

pub fn chunked(target: &str, content_type: &str, chunks: &[&str]) -> String {
    let mut request = format!(
        "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    for chunk in chunks {
        request += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
    }
    request + "0\r\n\r\n"
}

pub fn ids(answer: &Answer) -> Vec<u64> {
    let ids = answer.json()["ids"].clone();
    serde_json::from_value(ids).unwrap()
}

#[test]
fn one_event_is_answered_with_its_id() {
    let server = TestServer::start();
    let mut client = server.publishing();
    let answer = client.publish("a", PROGRESS);
    assert_eq!(answer.status, 201);
    assert_eq!(answer.field("content-type"), Some(JSON));
    let frame = EventStream::of(&server, "a").event();
    assert_eq!(
        answer.body,
        format!("{{\"id\":{},\"streams\":0}}", frame.id)
    );
    assert_eq!(
        frame.data,
        r#"{"jobId":"a","stage":"scanning","percent":30}"#
    );
    let next = client.publish("a", PROGRESS);
    assert_eq!(next.json()["id"], frame.id + 1);
}

#[test]
fn the_answer_counts_the_streams_that_get_the_event_also_those_that_end_with_it() {
    let server = TestServer::start();
    let mut streams = [
        EventStream::of(&server, "a"),
        EventStream::open(server.public(), "/api/events?job=a&job=b", ""),
    ];
    server.wait_for_streams("a", 2);
    let answer = server.publishing().publish("a", r#"{"event":"done"}"#);
    assert_eq!(answer.json()["streams"], 2);
    for stream in &mut streams {
        assert_eq!(stream.event().event, "done");
    }
}

#[test]
fn lines_are_answered_with_their_ids() {
    let server = TestServer::start();
    let mut client = server.publishing();
    let lines = format!("{PROGRESS}\n\r\n  {PROGRESS}\r\n{PROGRESS}");
    let answer = client.publish_lines("/api/jobs/a/events", &lines);
    assert_eq!(answer.status, 201);
    let ids = ids(&answer);
    assert_eq!(ids.len(), 3);
    let mut stream = EventStream::of(&server, "a");
    for id in ids {
        assert_eq!(stream.event().id, id);
    }
    let empty = client.publish_lines("/api/jobs/a/events", "\n\n");
    assert_eq!((empty.status, &*empty.body), (201, r#"{"ids":[]}"#));
}

#[test]
fn lines_for_many_jobs_come_through_one_connection() {
    let server = TestServer::start();
    let lines = ["a", "b", "a"].map(|job| format!(r#"{{"job":"{job}","event":"progress"}}"#));
    let answer = server
        .publishing()
        .publish_lines("/api/events", &lines.join("\n"));
    let ids = ids(&answer);
    for (job, expected) in [("a", vec![ids[0], ids[2]]), ("b", vec![ids[1]])] {
        let mut stream = EventStream::of(&server, job);
        for id in expected {
            assert_eq!(stream.event().id, id);
        }
    }
}

#[test]
fn a_bad_line_is_named_and_what_came_before_stays_published() {
    let server = TestServer::start();
    for (target, line, status) in [
        ("/api/jobs/a/events", "nonsense", 400),
        (
            "/api/jobs/a/events",
            r#"{"event":"progress","data":[]}"#,
            400,
        ),
        (
            "/api/jobs/a/events",
            r#"{"job":"b","event":"progress"}"#,
            400,
        ),
        ("/api/events", r#"{"event":"progress"}"#, 400),
        ("/api/events", r#"{"job":"a b","event":"progress"}"#, 400),
        ("/api/events", r#"{"job":"ended","event":"progress"}"#, 409),
    ] {
        let _ = server.publishing().publish("ended", r#"{"event":"done"}"#);
        let good = r#"{"job":"a","event":"progress"}"#;
        let before = server.metric("landfall_events_published_total");
        let lines = format!("{good}\n\n{good}\n{line}\n{good}\n");
        let answer = server.publishing().publish_lines(target, &lines);
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(answer.json()["line"], 4, "{line}: {}", answer.body);
        assert!(answer.error().starts_with("line 4: "), "{}", answer.body);
        assert_eq!(ids(&answer).len(), 2);
        assert_eq!(server.metric("landfall_events_published_total"), before + 2);
    }
}

#[test]
fn a_body_is_the_same_however_it_is_framed_and_split() {
    let server = TestServer::start();
    let lines = format!("{PROGRESS}\n{PROGRESS}\n");
    let target = "/api/jobs/a/events";
    let requests = [
        post(target, NDJSON, &lines),
        chunked(target, NDJSON, &[&lines]),
        chunked(target, NDJSON, &[&lines[..7], &lines[7..80], &lines[80..]]),
    ];
    for request in requests {
        let mut client = server.publishing();
        for at in (1..request.len()).step_by(5) {
            client.send(&request[..at]);
            // The server has the first part before it gets the second.
            client.send(&request[at..]);
            assert_eq!(ids(&client.answer()).len(), 2, "{at} of {request}");
        }
        for byte in request.as_bytes() {
            client.send([*byte]);
        }
        assert_eq!(ids(&client.answer()).len(), 2);
    }
    let chunks: Vec<&str> = PROGRESS.split_inclusive(|_| true).collect();
    let request = chunked(target, JSON, &chunks);
    assert_eq!(server.publishing().send(request).answer().status, 201);
}

#[test]
fn chunk_extensions_and_trailers_are_passed_by() {
    let server = TestServer::start();
    let request = "POST /api/jobs/a/events HTTP/1.1\r\nHost: h\r\n\
        Content-Type: application/json\r\ntransfer-encoding: Chunked\r\n\r\n\
        0014;a=\"b\"\r\n{\"event\":\"progress\"}\r\n00\r\nX: y\r\n\r\n";
    let mut client = server.publishing();
    assert_eq!(client.send(request).answer().status, 201);
    assert_eq!(client.send(request).answer().status, 201);
}

#[test]
fn lines_that_break_off_are_answered_with_the_ids_of_those_before() {
    let server = TestServer::start();
    let lines = format!("{PROGRESS}\n{PROGRESS}\n{{\"event\":");
    let whole = chunked("/api/jobs/a/events", NDJSON, &[&lines]);
    let open = whole.strip_suffix("0\r\n\r\n").unwrap();
    for sent in [open.to_owned(), format!("{open}what\r\n")] {
        let mut client = server.publishing();
        client.send(sent).half_close();
        let answer = client.answer();
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["line"], 3, "{}", answer.body);
        assert!(answer.error().starts_with("line 3: "), "{}", answer.body);
        assert_eq!(ids(&answer).len(), 2);
    }
}

#[test]
fn lines_are_published_while_the_body_is_still_coming() {
    let server = TestServer::start();
    let mut stream = EventStream::of(&server, "a");
    let mut client = server.publishing();
    client.send(chunked("/api/jobs/a/events", NDJSON, &[]).replace("0\r\n\r\n", ""));
    let mut newest = 0;
    for _ in 0..5 {
        let line = format!("{PROGRESS}\n");
        client.send(format!("{:x}\r\n{line}\r\n", line.len()));
        let frame = stream.event();
        assert!(frame.id > newest);
        newest = frame.id;
    }
    client.send("0\r\n\r\n");
    assert_eq!(ids(&client.answer()).len(), 5);
}

#[test]
fn a_type_that_is_neither_json_nor_lines_is_415() {
    let server = TestServer::start();
    let mut client = server.publishing();
    for kind in [
        "text/plain",
        "",
        "application/jsonp",
        "application/x-www-form-urlencoded",
    ] {
        let request = post("/api/jobs/a/events", kind, PROGRESS);
        let answer = client.send(request).answer();
        assert_eq!(answer.status, 415, "{kind}");
        assert!(answer.error().contains("application/x-ndjson"));
    }
    let answer = client.send(post("/api/events", JSON, PROGRESS)).answer();
    assert_eq!(answer.status, 415);
    let request = post(
        "/api/jobs/a/events",
        "Application/JSON; charset=utf-8",
        PROGRESS,
    );
    assert_eq!(client.send(request).answer().status, 201);
}

#[test]
fn a_body_without_a_length_is_411() {
    let server = TestServer::start();
    let request = post("/api/jobs/a/events", JSON, "").replace("Content-Length: 0\r\n", "");
    let answer = server.publishing().send(request).answer();
    assert_eq!(answer.status, 411);
    assert!(answer.error().contains("Content-Length"));
}

#[test]
fn a_body_or_an_event_over_its_limit_is_413() {
    let server = TestServer::with(|config| {
        config.body_bytes = 20_000;
        config.hub.event_bytes = 1000;
    });
    let target = "/api/jobs/a/events";
    let event = |bytes: usize| {
        let text = "x".repeat(bytes - r#"{"t":""}"#.len());
        format!(r#"{{"event":"progress","data":{{"t":"{text}"}}}}"#)
    };
    let mut client = server.publishing();
    assert_eq!(client.publish("a", &event(1000)).status, 201);
    assert_eq!(client.publish("a", &event(1001)).status, 413);
    // Before the body is sent, and with the body on its way.
    let head = post(target, NDJSON, "").replace("Length: 0", "Length: 20001");
    assert_eq!(server.publishing().send(head).answer().status, 413);
    let lines = format!("{}\n", event(500)).repeat(60);
    let answer = server.publishing().publish_lines(target, &lines);
    assert_eq!(answer.status, 413);
    let mut client = server.publishing();
    client.send(chunked(target, NDJSON, &[&lines]));
    let answer = client.answer();
    assert_eq!(answer.status, 413);
    // All before the line that is named are published.
    let published = answer.json()["ids"].as_array().unwrap().len();
    assert!(published > 1);
    assert_eq!(answer.json()["line"], published + 1);
    client.assert_closed();
    // A line that never ends isn't held for ever.
    let endless = "x".repeat(10_000);
    let answer = server.publishing().publish_lines(target, &endless);
    assert_eq!(answer.status, 413);
}

#[test]
fn an_event_that_breaks_the_rules_is_400_and_leaves_no_trace() {
    let server = TestServer::start();
    let mut client = server.publishing();
    let long = format!(r#"{{"event":"{}"}}"#, "x".repeat(65));
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "{\"event\":\"progress\"",
        r#"{"event":"progress"}{}"#,
        r#"{"event":""}"#,
        r#"{"event":"a b"}"#,
        r#"{"event":"a~b"}"#,
        r#"{"event":"a\nid: 7"}"#,
        r#"{"event":"a\r"}"#,
        r#"{"event":"a\u0000"}"#,
        &long,
        r#"{"event":1}"#,
        r#"{"event":"progress","data":1}"#,
        r#"{"event":"progress","data":"x"}"#,
        r#"{"event":"progress","data":{"percent":-0.1}}"#,
        r#"{"event":"progress","data":{"percent":100.01}}"#,
        r#"{"event":"progress","data":{"percent":"30"}}"#,
        r#"{"event":"progress","data":{"percent":null}}"#,
        r#"{"event":"progress","data":{"percent":1e999}}"#,
        r#"{"event":"progress","data":{"percent":5,"percent":500}}"#,
        r#"{"event":"progress","data":{"p\u0065rcent":500}}"#,
        r#"{"event":"progress","dat":{}}"#,
        "{\"event\":\"progress\",\"data\":{\"a\":\"\u{0}\"}}",
        "{\"event\":\"progress\",\"data\":{\"a\":\"\n\"}}",
    ] {
        let answer = client.publish("a", body);
        assert_eq!(answer.status, 400, "{body}");
        answer.error();
    }
    assert!(server.jobs().snapshot(&job_id("a")).is_none());
    for body in [
        r#"{"event":"progress"}"#,
        r#"{"event":"x","data":{"percent":0}}"#,
        r#"{"event":"x","data":{"percent":100}}"#,
        r#"{"event":"x","data":{"percent":1e2}}"#,
        r#"{"data":{},"event":"A-Z_a.9"}"#,
    ] {
        assert_eq!(client.publish("a", body).status, 201, "{body}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_400() {
    let server = TestServer::start();
    let mut request = post("/api/jobs/a/events", JSON, "").into_bytes();
    let body = b"{\"event\":\"x\",\"data\":{\"a\":\"\xff\"}}";
    let at = request.windows(9).position(|w| w == b"Length: 0").unwrap() + 8;
    request.splice(at..=at, body.len().to_string().into_bytes());
    request.extend_from_slice(body);
    assert_eq!(server.publishing().send(request).answer().status, 400);
}

#[test]
fn a_publish_after_the_end_is_409() {
    let server = TestServer::start();
    let mut client = server.publishing();
    for (job, end) in [("a", "done"), ("b", "error")] {
        assert_eq!(
            client
                .publish(job, &format!("{{\"event\":\"{end}\"}}"))
                .status,
            201
        );
        for event in ["progress", "done", "error"] {
            let answer = client.publish(job, &format!("{{\"event\":\"{event}\"}}"));
            assert_eq!(answer.status, 409);
            assert!(answer.error().contains(end), "{}", answer.body);
        }
        let frames = EventStream::of(&server, job).rest();
        assert_eq!(frames.len(), 1);
    }
}

#[test]
fn what_is_published_is_what_a_client_parses() {
    let server = TestServer::start();
    let mut client = server.publishing();
    let bodies = [
        // White space between tokens, as a pretty printer on another system has it.
        "{\r\n  \"event\": \"x\",\r\n  \"data\": {\r\n    \"a\": [1,\r\n 2],\r\n\t\"b\": \"c d\"\r\n  }\r\n}\r\n",
        "{\"event\":\"x\",\"data\":{\"a\":\"line\\nline\\r\\u0000\\u2028\u{2028}\u{85}\"}}",
        "{\"event\":\"x\",\"data\":{\"\\r\\n\\r\\nid\":\"x: y\\n\\ndata: z\"}}",
        "{\"event\":\"x\",\"data\":{\"é\":\"日本 \u{1f600}\\ud83d\\ude00\",\"n\":1e5,\"m\":0.10}}",
        "{\"event\":\"x\",\"data\":{\"jobId\":\"a\",\"a\":\"\\\\\\\" \"}}",
        "{\"event\":\"x\",\"data\":{ }}",
    ];
    for body in bodies {
        assert_eq!(client.publish("a", body).status, 201, "{body}");
    }
    let mut stream = EventStream::of(&server, "a");
    for body in bodies {
        let sent: serde_json::Value = serde_json::from_str(body).unwrap();
        let mut expected = sent["data"].clone();
        let members = expected.as_object_mut().unwrap();
        members.entry("jobId").or_insert("a".into());
        let frame = stream.event();
        assert_eq!((&*frame.event, frame.json()), ("x", expected));
        assert!(!frame.data.contains(['\r', '\n', '\0']));
    }
}
