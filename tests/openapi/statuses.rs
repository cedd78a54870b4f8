//! Every status of every operation, brought about.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use landfall::{Claims, Key, Keys};

use super::http::publish;
use super::{House, ask};

const EVENTS: &str = "/api/jobs/{job}/events";
const MANY: &str = "/api/events";
const LIST: &str = "/api/jobs";
const JOB: &str = "/api/jobs/{job}";
const OPENAPI: &str = "/openapi.json";
const PAGE: &str = "/";
const CLIENT: &str = "/landfall.js";
const TYPES: &str = "/landfall.d.ts";
const UPLOADS: &str = "/api/uploads";
const FILE: &str = "/api/jobs/{job}/file";
const TUS: &str = "/api/tus";
const TUS_UPLOAD: &str = "/api/tus/{upload}";
const CANCEL: &str = "/api/jobs/{job}/cancel";
const RETRY: &str = "/api/jobs/{job}/retry";
const JSON: &str = "Content-Type: application/json";
const OTHER_FILE: &str = "If-Match: \"other\"";
const GZIP: &str = "Content-Encoding: gzip";
const NDJSON: &str = "Content-Type: application/x-ndjson";

#[test]
fn every_status_that_is_described_is_answered_as_described() {
    let data = tempfile::tempdir().unwrap();
    let stages = data.path().join("landfall.toml");
    let script = "case $LANDFALL_JOB in failed) exit 1;; running) exec sleep 30;; esac";
    let stage = format!(
        "[[stage]]\nname = 'mine'\nconcurrency = 2\nrun = ['sh', '-c', '{script}']\n\
         [[stage]]\nname = 'storing'\nto = 'files'\n"
    );
    std::fs::write(&stages, stage).unwrap();
    let house = House::start(|config| {
        config.data = Some(data.path().join("house"));
        config.spool.upload_bytes = 100;
        config.pipeline.file = Some(stages);
        config.downloads = true;
    });
    let full = House::start(|config| config.hub.jobs = 1);
    // One event a second, of which two may come at once.
    let slow = House::start(|config| {
        config.quotas.event_rate = Some(1);
        config.quotas.trusted_proxies = Vec::new();
    });
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "61".repeat(32)).unwrap();
    let closed = House::start(|config| {
        config.data = Some(data.path().join("closed"));
        config.auth.token_keys = vec![key.path().into()];
        config.auth.publish_key = Some(key.path().into());
    });
    // A token that covers nothing, until the year 2100.
    let keys = Keys::new(vec![Key::from_file("61".repeat(32).as_bytes()).unwrap()]).unwrap();
    let claims = Claims {
        exp: 4_102_444_800,
        ..Claims::default()
    };
    let token = format!("Authorization: Bearer {}", claims.sign(&keys));
    let json_token = format!("{JSON}\r\n{token}");
    let ndjson_token = format!("{NDJSON}\r\n{token}");
    for house in [&house, &full] {
        publish(house.publish, "a", "progress", r#"{"percent":30}"#);
    }
    publish(slow.publish, "a", "progress", "{}");
    publish(slow.publish, "a", "progress", "{}");
    publish(house.publish, "over", "done", "{}");
    publish(house.publish, "gone", "progress", "{}");
    let deleted = ask(house.publish, "DELETE", "/api/jobs/gone", "", "");
    assert_eq!(deleted.status, 204, "{deleted:?}");
    for job in ["running", "failed", "stored"] {
        let answer = ask(
            house.public,
            "POST",
            &format!("/api/uploads?job={job}"),
            "",
            "\0\u{1}\u{2}",
        );
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    // A stream reaches its end when the job has.
    for job in ["failed", "stored"] {
        let follow = format!("GET /api/jobs/{job}/events HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut stream = TcpStream::connect(house.publish).unwrap();
        stream.write_all(follow.as_bytes()).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    // A stream of what is no job: it waits, and makes none.
    let mut waiting = TcpStream::connect(house.publish).unwrap();
    let request = b"GET /api/jobs/waiting/events HTTP/1.1\r\nHost: a\r\n\r\n";
    waiting.write_all(request).unwrap();
    waiting.read_exact(&mut [0]).unwrap();
    // Uploads that have begun: their addresses.
    let key = format!("Authorization: Bearer {}", "61".repeat(32));
    let begin = |address, fields: &str| {
        let fields = format!("Tus-Resumable: 1.0.0\r\nUpload-Length: 3\r\n{fields}");
        let answer = ask(address, "POST", TUS, &fields, "");
        answer.field("Location").expect("Location").to_owned()
    };
    let [first, second, third] = [(); 3].map(|()| begin(house.public, ""));
    let foreign = begin(closed.publish, &key);
    let unknown = format!("/api/tus/{}", "0".repeat(32));
    let version = "Tus-Resumable: 1.0.0";
    let sized = format!("{version}\r\nUpload-Length: 3");
    let sized_token = format!("{sized}\r\n{token}");
    // Of the job `running`.
    let of_other = format!("{sized}\r\nUpload-Metadata: job cnVubmluZw==");
    let too_long = format!("{version}\r\nUpload-Length: 101");
    let kind = "Content-Type: application/offset+octet-stream";
    let no_offset = format!("{version}\r\n{kind}");
    let at_0 = format!("{no_offset}\r\nUpload-Offset: 0");
    let at_0_token = format!("{at_0}\r\n{token}");
    let at_1 = format!("{no_offset}\r\nUpload-Offset: 1");
    let no_kind = format!("{version}\r\nUpload-Offset: 0");
    let no_sum = format!("{at_0}\r\nUpload-Checksum: sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let override_ = format!("{at_0}\r\nX-HTTP-Method-Override: PATCH");
    let big = "x".repeat(70_000);
    let big = format!(r#"{{"event":"x","data":{{"a":"{big}"}}}}"#);
    let event = r#"{"event":"progress","data":{"percent":60}}"#;
    let lease = r#"{"lease":"1h"}"#;
    let key_json = format!("{JSON}\r\nIdempotency-Key: k");
    let other = r#"{"job":"a","event":"other","key":"k"}"#;
    let done = r#"{"event":"done"}"#;
    let no_job = r#"{"job":"none","lease":"1h"}"#;
    let many = r#"{"job":"a","event":"progress"}"#;
    let over = r#"{"job":"over","event":"progress"}"#;
    let gone = r#"{"job":"gone","event":"progress"}"#;
    let full_many = r#"{"job":"b","event":"progress"}"#;
    // A path, a method, a target, header fields and a body, the status.
    #[rustfmt::skip]
    let asked = [
        (EVENTS, "GET", "/api/jobs/a/events", "", "", 200),
        (EVENTS, "GET", "/api/jobs/over/events?replay=none", "", "", 204),
        (EVENTS, "GET", "/api/jobs/a/events?replay=x", "", "", 400),
        (EVENTS, "GET", "/api/jobs/a/events", "", "", 401),
        (EVENTS, "GET", "/api/jobs/a/events", &token, "", 403),
        (EVENTS, "HEAD", "/api/jobs/a/events", "", "", 200),
        (EVENTS, "HEAD", "/api/jobs/over/events?replay=none", "", "", 204),
        (EVENTS, "OPTIONS", "/api/jobs/a/events", "", "", 204),
        (EVENTS, "OPTIONS", "/api/jobs/%20/events", "", "", 400),
        (EVENTS, "POST", "/api/jobs/a/events", JSON, lease, 200),
        (EVENTS, "POST", "/api/jobs/a/events", JSON, event, 201),
        (EVENTS, "POST", "/api/jobs/a/events", NDJSON, event, 201),
        (EVENTS, "POST", "/api/jobs/a/events", JSON, "{}", 400),
        (EVENTS, "POST", "/api/jobs/a/events", NDJSON, "{}", 400),
        (EVENTS, "POST", "/api/jobs/a/events", JSON, event, 401),
        (EVENTS, "POST", "/api/jobs/a/events", &json_token, event, 403),
        (EVENTS, "POST", "/api/jobs/none/events", JSON, lease, 404),
        (EVENTS, "POST", "/api/jobs/over/events", JSON, event, 409),
        (EVENTS, "POST", "/api/jobs/over/events", NDJSON, event, 409),
        (EVENTS, "POST", "/api/jobs/gone/events", JSON, event, 410),
        (EVENTS, "POST", "/api/jobs/gone/events", NDJSON, event, 410),
        (EVENTS, "POST", "/api/jobs/a/events", JSON, "", 411),
        (EVENTS, "POST", "/api/jobs/a/events", JSON, &big, 413),
        (EVENTS, "POST", "/api/jobs/a/events", NDJSON, &big, 413),
        (EVENTS, "POST", "/api/jobs/a/events", "", event, 415),
        (EVENTS, "POST", "/api/jobs/a/events", &key_json, event, 201),
        (EVENTS, "POST", "/api/jobs/a/events", &key_json, lease, 422),
        (EVENTS, "POST", "/api/jobs/a/events", JSON, event, 429),
        (EVENTS, "POST", "/api/jobs/a/events", NDJSON, event, 429),
        (EVENTS, "POST", "/api/jobs/b/events", JSON, event, 503),
        (EVENTS, "POST", "/api/jobs/b/events", NDJSON, event, 503),
        (MANY, "GET", "/api/events", "", "", 200),
        (MANY, "GET", "/api/events?job=a&job=over", "", "", 200),
        (MANY, "GET", "/api/events?job=over&replay=none", "", "", 204),
        (MANY, "GET", "/api/events?jobs=a*", "", "", 200),
        (MANY, "GET", "/api/events?job=%20", "", "", 400),
        (MANY, "GET", "/api/events?jobs=a", "", "", 400),
        (MANY, "GET", "/api/events?jobs=a*&job=b", "", "", 400),
        (MANY, "GET", "/api/events?job=a", "", "", 401),
        (MANY, "GET", "/api/events?job=a", &token, "", 403),
        (MANY, "GET", "/api/events", "public", "", 403),
        (MANY, "HEAD", "/api/events", "", "", 200),
        (MANY, "HEAD", "/api/events?job=over&replay=none", "", "", 204),
        (MANY, "OPTIONS", "/api/events", "", "", 204),
        (MANY, "POST", "/api/events", NDJSON, many, 201),
        (MANY, "POST", "/api/events", NDJSON, event, 400),
        (MANY, "POST", "/api/events", NDJSON, many, 401),
        (MANY, "POST", "/api/events", &ndjson_token, many, 403),
        (MANY, "POST", "/api/events", NDJSON, no_job, 404),
        (MANY, "POST", "/api/events", NDJSON, over, 409),
        (MANY, "POST", "/api/events", NDJSON, gone, 410),
        (MANY, "POST", "/api/events", NDJSON, "", 411),
        (MANY, "POST", "/api/events", NDJSON, &big, 413),
        (MANY, "POST", "/api/events", JSON, many, 415),
        (MANY, "POST", "/api/events", NDJSON, other, 422),
        (MANY, "POST", "/api/events", NDJSON, many, 429),
        (MANY, "POST", "/api/events", NDJSON, full_many, 503),
        (LIST, "GET", "/api/jobs?limit=1", "", "", 200),
        (LIST, "GET", "/api/jobs?state=error", "", "", 200),
        (LIST, "GET", "/api/jobs?limit=0", "", "", 400),
        (LIST, "GET", "/api/jobs", "", "", 401),
        (LIST, "GET", "/api/jobs", "public", "", 403),
        (LIST, "GET", "/api/jobs?prefix=a", &token, "", 403),
        (LIST, "HEAD", "/api/jobs", "", "", 200),
        (LIST, "OPTIONS", "/api/jobs", "", "", 204),
        (JOB, "GET", "/api/jobs/a", "", "", 200),
        (JOB, "GET", "/api/jobs/over", "", "", 200),
        (JOB, "GET", "/api/jobs/%20", "", "", 400),
        (JOB, "GET", "/api/jobs/a", "", "", 401),
        (JOB, "GET", "/api/jobs/a", &token, "", 403),
        (JOB, "GET", "/api/jobs/none", "", "", 404),
        (JOB, "GET", "/api/jobs/waiting", "", "", 404),
        (JOB, "GET", "/api/jobs/gone", "", "", 410),
        (JOB, "HEAD", "/api/jobs/a", "", "", 200),
        (JOB, "OPTIONS", "/api/jobs/a", "", "", 204),
        (JOB, "OPTIONS", "/api/jobs/%20", "", "", 400),
        (JOB, "PUT", "/api/jobs/new", "", "", 201),
        (JOB, "PUT", "/api/jobs/new?replace=true", "", "", 201),
        (JOB, "PUT", "/api/jobs/new?replace=x", "", "", 400),
        (JOB, "PUT", "/api/jobs/new", "", "", 401),
        (JOB, "PUT", "/api/jobs/new", &token, "", 403),
        (JOB, "PUT", "/api/jobs/leased", JSON, lease, 201),
        (JOB, "PUT", "/api/jobs/new", JSON, event, 400),
        (JOB, "PUT", "/api/jobs/new", "", "", 409),
        (JOB, "PUT", "/api/jobs/new", JSON, &big, 413),
        (JOB, "PUT", "/api/jobs/new", NDJSON, lease, 415),
        (JOB, "PUT", "/api/jobs/a", &key_json, "{}", 422),
        (JOB, "PUT", "/api/jobs/new", "", "", 503),
        (JOB, "DELETE", "/api/jobs/over", "", "", 204),
        (JOB, "DELETE", "/api/jobs/%20", "", "", 400),
        (JOB, "DELETE", "/api/jobs/a", "", "", 401),
        (JOB, "DELETE", "/api/jobs/a", &token, "", 403),
        (JOB, "DELETE", "/api/jobs/none", "", "", 404),
        (JOB, "DELETE", "/api/jobs/over", "", "", 410),
        (CANCEL, "POST", "/api/jobs/new/cancel", "", "", 202),
        (CANCEL, "POST", "/api/jobs/%20/cancel", "", "", 400),
        (CANCEL, "POST", "/api/jobs/a/cancel", "", "", 401),
        (CANCEL, "POST", "/api/jobs/a/cancel", &token, "", 403),
        (CANCEL, "POST", "/api/jobs/none/cancel", "", "", 404),
        (CANCEL, "POST", "/api/jobs/failed/cancel", "", "", 409),
        (CANCEL, "POST", "/api/jobs/gone/cancel", "", "", 410),
        (CANCEL, "OPTIONS", "/api/jobs/a/cancel", "", "", 204),
        (CANCEL, "OPTIONS", "/api/jobs/%20/cancel", "", "", 400),
        (EVENTS, "POST", "/api/jobs/new/events", JSON, event, 201),
        (EVENTS, "POST", "/api/jobs/new/events", NDJSON, done, 201),
        (EVENTS, "POST", "/api/jobs/new/events", JSON, event, 409),
        (EVENTS, "POST", "/api/jobs/new/events", NDJSON, event, 409),
        (RETRY, "POST", "/api/jobs/failed/retry", "", "", 202),
        (RETRY, "POST", "/api/jobs/%20/retry", "", "", 400),
        (RETRY, "POST", "/api/jobs/failed/retry", "", "", 401),
        (RETRY, "POST", "/api/jobs/failed/retry", &token, "", 403),
        (RETRY, "POST", "/api/jobs/none/retry", "", "", 404),
        (RETRY, "POST", "/api/jobs/running/retry", "", "", 409),
        (RETRY, "POST", "/api/jobs/gone/retry", "", "", 410),
        (RETRY, "POST", "/api/jobs/failed/retry", "", "", 501),
        (RETRY, "OPTIONS", "/api/jobs/failed/retry", "", "", 204),
        (RETRY, "OPTIONS", "/api/jobs/%20/retry", "", "", 400),
        (FILE, "GET", "/api/jobs/stored/file", "", "", 200),
        (FILE, "GET", "/api/jobs/stored/file", "Range: bytes=1-", "", 206),
        (FILE, "GET", "/api/jobs/stored/file", "If-None-Match: *", "", 304),
        (FILE, "GET", "/api/jobs/stored/file", "Range: bytes=3-", "", 416),
        (FILE, "GET", "/api/jobs/%20/file", "", "", 400),
        (FILE, "GET", "/api/jobs/stored/file", "", "", 401),
        (FILE, "GET", "/api/jobs/stored/file", &token, "", 403),
        (FILE, "GET", "/api/jobs/none/file", "", "", 404),
        (FILE, "GET", "/api/jobs/gone/file", "", "", 410),
        (FILE, "GET", "/api/jobs/stored/file", OTHER_FILE, "", 412),
        (FILE, "HEAD", "/api/jobs/stored/file", "", "", 200),
        (FILE, "OPTIONS", "/api/jobs/stored/file", "", "", 204),
        (FILE, "OPTIONS", "/api/jobs/%20/file", "", "", 400),
        (UPLOADS, "POST", "/api/uploads?name=a&job=u", "", "x", 201),
        (UPLOADS, "POST", "/api/uploads?job=%20", "", "x", 400),
        (UPLOADS, "POST", "/api/uploads", "", "x", 401),
        (UPLOADS, "POST", "/api/uploads", &token, "x", 403),
        (UPLOADS, "POST", "/api/uploads?job=running", "", "x", 409),
        (UPLOADS, "POST", "/api/uploads", "", "", 411),
        (UPLOADS, "POST", "/api/uploads", "", &big, 413),
        (UPLOADS, "POST", "/api/uploads", GZIP, "x", 415),
        (UPLOADS, "POST", "/api/uploads", "", "x", 501),
        (UPLOADS, "OPTIONS", "/api/uploads", "", "", 204),
        (TUS, "POST", "/api/tus/", &sized, "", 201),
        (TUS, "POST", "/api/tus/", version, "", 400),
        (TUS, "POST", "/api/tus/", &sized, "", 401),
        (TUS, "POST", "/api/tus/", &sized_token, "", 403),
        (TUS, "POST", "/api/tus/", &of_other, "", 409),
        (TUS, "POST", "/api/tus/", "", "", 412),
        (TUS, "POST", "/api/tus/", &too_long, "", 413),
        (TUS, "POST", "/api/tus/", &sized, "abc", 415),
        (TUS, "POST", "/api/tus/", &sized, "", 501),
        (TUS, "OPTIONS", "/api/tus/", "", "", 204),
        (TUS_UPLOAD, "HEAD", &first, version, "", 200),
        (TUS_UPLOAD, "PATCH", &first, &no_offset, "abc", 400),
        (TUS_UPLOAD, "PATCH", &foreign, &at_0, "abc", 401),
        (TUS_UPLOAD, "PATCH", &foreign, &at_0_token, "abc", 403),
        (TUS_UPLOAD, "PATCH", &unknown, &at_0, "abc", 404),
        (TUS_UPLOAD, "PATCH", &first, &at_1, "bc", 409),
        (TUS_UPLOAD, "PATCH", &first, kind, "abc", 412),
        (TUS_UPLOAD, "PATCH", &first, &at_0, "abcd", 413),
        (TUS_UPLOAD, "PATCH", &first, &no_kind, "abc", 415),
        (TUS_UPLOAD, "PATCH", &first, &no_sum, "abc", 460),
        (TUS_UPLOAD, "PATCH", &first, &at_0, "abc", 204),
        (TUS_UPLOAD, "DELETE", &first, version, "", 409),
        (TUS_UPLOAD, "DELETE", &second, "", "", 412),
        (TUS_UPLOAD, "DELETE", &second, version, "", 204),
        (TUS_UPLOAD, "DELETE", &second, version, "", 404),
        (TUS_UPLOAD, "POST", &third, &at_0, "abc", 400),
        (TUS_UPLOAD, "POST", &third, &override_, "abc", 204),
        (TUS_UPLOAD, "OPTIONS", &third, "", "", 204),
        (OPENAPI, "GET", "/openapi.json", "", "", 200),
        (OPENAPI, "HEAD", "/openapi.json", "", "", 200),
        (OPENAPI, "OPTIONS", "/openapi.json", "", "", 204),
        (PAGE, "GET", "/", "", "", 200),
        (PAGE, "GET", "/", "If-None-Match: *", "", 304),
        (PAGE, "HEAD", "/", "", "", 200),
        (PAGE, "OPTIONS", "/", "", "", 204),
        (CLIENT, "GET", "/landfall.js", "", "", 200),
        (CLIENT, "GET", "/landfall.js", "If-None-Match: *", "", 304),
        (CLIENT, "HEAD", "/landfall.js", "", "", 200),
        (CLIENT, "OPTIONS", "/landfall.js", "", "", 204),
        (TYPES, "GET", "/landfall.d.ts", "", "", 200),
        (TYPES, "GET", "/landfall.d.ts", "If-None-Match: *", "", 304),
        (TYPES, "HEAD", "/landfall.d.ts", "", "", 200),
        (TYPES, "OPTIONS", "/landfall.d.ts", "", "", 204),
    ];
    let mut seen = BTreeSet::new();
    for (path, method, target, fields, body, status) in asked {
        let (address, fields) = match (fields, status) {
            ("public", _) => (house.public, ""),
            (_, 401 | 403) => (closed.publish, fields),
            (_, 501 | 503) => (full.publish, fields),
            (_, 429) => (slow.publish, fields),
            _ => (house.publish, fields),
        };
        let mut answer = ask(address, method, target, fields, body);
        // What was published at once may have been long enough ago.
        for _ in 0..10 {
            if status == 429 && answer.status == 201 {
                answer = ask(address, method, target, fields, body);
            }
        }
        let what = format!("{method} {target}");
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        house.description.check(&what, path, method, &answer);
        seen.insert(format!("{method} {path} {status}"));
    }
    assert_eq!(seen, house.description.statuses());
}
