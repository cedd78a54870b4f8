//! `src/routes/openapi.json`, held against a running server.

#[path = "support/http.rs"]
mod http;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use http::{Answer, ask_until, post, publish};
use landfall::access::token::{Claims, Key, Keys};
use landfall::{Address, EventName, JobId, Server, ServerConfig};
use serde_json::{Map, Value, json};

const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "TRACE",
];
const EVENTS: &str = "/api/jobs/{job}/events";
const MANY: &str = "/api/events";
const JOB: &str = "/api/jobs/{job}";
const OPENAPI: &str = "/openapi.json";
const PAGE: &str = "/";
const CLIENT: &str = "/landfall.js";
const TYPES: &str = "/landfall.d.ts";
const UPLOADS: &str = "/api/uploads";
const FILE: &str = "/api/jobs/{job}/file";
const TUS: &str = "/api/tus";
const TUS_UPLOAD: &str = "/api/tus/{upload}";
const RETRY: &str = "/api/jobs/{job}/retry";
const JSON: &str = "Content-Type: application/json";
const NDJSON: &str = "Content-Type: application/x-ndjson";

#[test]
fn the_description_is_openapi_3_1() {
    // scripts/test makes the environment in the target directory.
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients-venv/bin/python");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/routes/openapi.json");
    let output = Command::new(&python)
        .args(["-m", "openapi_spec_validator", "--schema", "3.1.0", file])
        .output()
        .unwrap_or_else(|error| panic!("{python:?}: {error}: run scripts/test"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn every_status_that_is_described_is_answered_as_described() {
    let data = tempfile::tempdir().unwrap();
    let stages = data.path().join("landfall.toml");
    let script = "case $LANDFALL_JOB in failed) exit 1;; running) exec sleep 30;; esac";
    let stage =
        format!("[[stage]]\nname = 'mine'\nconcurrency = 2\nrun = ['sh', '-c', '{script}']\n");
    std::fs::write(&stages, stage).unwrap();
    let house = House::start(|config| {
        config.data = Some(data.path().join("house"));
        config.spool.upload_bytes = 100;
        config.pipeline.file = Some(stages);
        config.downloads = true;
    });
    // What the pipeline keeps of a job that it has stored.
    let files = data.path().join("house/files");
    std::fs::create_dir_all(files.join("jobs")).unwrap();
    std::fs::write(files.join("abc"), "abc").unwrap();
    let record = json!({
        "upload": "0".repeat(32), "path": "files/abc", "name": "a.bin", "size": 3,
        "digest": "sha256:abc", "contentType": "application/octet-stream",
    });
    std::fs::write(files.join("jobs/stored.json"), record.to_string()).unwrap();
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
    for job in ["running", "failed"] {
        let answer = ask(
            house.public,
            "POST",
            &format!("/api/uploads?job={job}"),
            "",
            "x",
        );
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    // A stream reaches its end when the job has failed.
    let follow = "GET /api/jobs/failed/events HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut failed = TcpStream::connect(house.publish).unwrap();
    failed.write_all(follow.as_bytes()).unwrap();
    failed.read_to_end(&mut Vec::new()).unwrap();
    // A job that nobody has published, and that is there as long as this stream is.
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
    let of_other = format!("{sized}\r\nUpload-Metadata: job dQ==");
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
    let many = r#"{"job":"a","event":"progress"}"#;
    let over = r#"{"job":"over","event":"progress"}"#;
    let full_many = r#"{"job":"b","event":"progress"}"#;
    // A path, a method, a target, header fields and a body, the status.
    let asked = [
        (EVENTS, "GET", "/api/jobs/a/events", "", "", 200),
        (
            EVENTS,
            "GET",
            "/api/jobs/over/events?replay=none",
            "",
            "",
            204,
        ),
        (EVENTS, "GET", "/api/jobs/a/events?replay=x", "", "", 400),
        (EVENTS, "GET", "/api/jobs/a/events", "", "", 401),
        (EVENTS, "GET", "/api/jobs/a/events", &token, "", 403),
        (EVENTS, "HEAD", "/api/jobs/a/events", "", "", 200),
        (
            EVENTS,
            "HEAD",
            "/api/jobs/over/events?replay=none",
            "",
            "",
            204,
        ),
        (EVENTS, "OPTIONS", "/api/jobs/a/events", "", "", 204),
        (EVENTS, "OPTIONS", "/api/jobs/%20/events", "", "", 400),
        (EVENTS, "POST", "/api/jobs/a/events", JSON, event, 201),
        (EVENTS, "POST", "/api/jobs/a/events", NDJSON, event, 201),
        (EVENTS, "POST", "/api/jobs/a/events", JSON, "{}", 400),
        (EVENTS, "POST", "/api/jobs/a/events", NDJSON, "{}", 400),
        (EVENTS, "POST", "/api/jobs/a/events", JSON, event, 401),
        (
            EVENTS,
            "POST",
            "/api/jobs/a/events",
            &json_token,
            event,
            403,
        ),
        (EVENTS, "POST", "/api/jobs/over/events", JSON, event, 409),
        (EVENTS, "POST", "/api/jobs/over/events", NDJSON, event, 409),
        (EVENTS, "POST", "/api/jobs/a/events", JSON, "", 411),
        (EVENTS, "POST", "/api/jobs/a/events", JSON, &big, 413),
        (EVENTS, "POST", "/api/jobs/a/events", NDJSON, &big, 413),
        (EVENTS, "POST", "/api/jobs/a/events", "", event, 415),
        (EVENTS, "POST", "/api/jobs/a/events", JSON, event, 429),
        (EVENTS, "POST", "/api/jobs/a/events", NDJSON, event, 429),
        (EVENTS, "POST", "/api/jobs/b/events", JSON, event, 503),
        (EVENTS, "POST", "/api/jobs/b/events", NDJSON, event, 503),
        (MANY, "GET", "/api/events", "", "", 200),
        (MANY, "GET", "/api/events?job=a&job=over", "", "", 200),
        (MANY, "GET", "/api/events?job=over&replay=none", "", "", 204),
        (MANY, "GET", "/api/events?job=%20", "", "", 400),
        (MANY, "GET", "/api/events?job=a", "", "", 401),
        (MANY, "GET", "/api/events?job=a", &token, "", 403),
        (MANY, "GET", "/api/events", "public", "", 403),
        (MANY, "HEAD", "/api/events", "", "", 200),
        (
            MANY,
            "HEAD",
            "/api/events?job=over&replay=none",
            "",
            "",
            204,
        ),
        (MANY, "OPTIONS", "/api/events", "", "", 204),
        (MANY, "POST", "/api/events", NDJSON, many, 201),
        (MANY, "POST", "/api/events", NDJSON, event, 400),
        (MANY, "POST", "/api/events", NDJSON, many, 401),
        (MANY, "POST", "/api/events", &ndjson_token, many, 403),
        (MANY, "POST", "/api/events", NDJSON, over, 409),
        (MANY, "POST", "/api/events", NDJSON, "", 411),
        (MANY, "POST", "/api/events", NDJSON, &big, 413),
        (MANY, "POST", "/api/events", JSON, many, 415),
        (MANY, "POST", "/api/events", NDJSON, many, 429),
        (MANY, "POST", "/api/events", NDJSON, full_many, 503),
        (JOB, "GET", "/api/jobs/a", "", "", 200),
        (JOB, "GET", "/api/jobs/over", "", "", 200),
        (JOB, "GET", "/api/jobs/waiting", "", "", 200),
        (JOB, "GET", "/api/jobs/%20", "", "", 400),
        (JOB, "GET", "/api/jobs/a", "", "", 401),
        (JOB, "GET", "/api/jobs/a", &token, "", 403),
        (JOB, "GET", "/api/jobs/none", "", "", 404),
        (JOB, "HEAD", "/api/jobs/a", "", "", 200),
        (JOB, "OPTIONS", "/api/jobs/a", "", "", 204),
        (JOB, "OPTIONS", "/api/jobs/%20", "", "", 400),
        (JOB, "DELETE", "/api/jobs/over", "", "", 204),
        (JOB, "DELETE", "/api/jobs/%20", "", "", 400),
        (JOB, "DELETE", "/api/jobs/a", "", "", 401),
        (JOB, "DELETE", "/api/jobs/a", &token, "", 403),
        (JOB, "DELETE", "/api/jobs/none", "", "", 404),
        (RETRY, "POST", "/api/jobs/failed/retry", "", "", 202),
        (RETRY, "POST", "/api/jobs/%20/retry", "", "", 400),
        (RETRY, "POST", "/api/jobs/failed/retry", "", "", 401),
        (RETRY, "POST", "/api/jobs/failed/retry", &token, "", 403),
        (RETRY, "POST", "/api/jobs/none/retry", "", "", 404),
        (RETRY, "POST", "/api/jobs/running/retry", "", "", 409),
        (RETRY, "POST", "/api/jobs/failed/retry", "", "", 501),
        (RETRY, "OPTIONS", "/api/jobs/failed/retry", "", "", 204),
        (RETRY, "OPTIONS", "/api/jobs/%20/retry", "", "", 400),
        (FILE, "GET", "/api/jobs/stored/file", "", "", 200),
        (
            FILE,
            "GET",
            "/api/jobs/stored/file",
            "Range: bytes=1-",
            "",
            206,
        ),
        (
            FILE,
            "GET",
            "/api/jobs/stored/file",
            "If-None-Match: \"abc\"",
            "",
            304,
        ),
        (
            FILE,
            "GET",
            "/api/jobs/stored/file",
            "Range: bytes=3-",
            "",
            416,
        ),
        (FILE, "GET", "/api/jobs/%20/file", "", "", 400),
        (FILE, "GET", "/api/jobs/stored/file", "", "", 401),
        (FILE, "GET", "/api/jobs/stored/file", &token, "", 403),
        (FILE, "GET", "/api/jobs/none/file", "", "", 404),
        (FILE, "HEAD", "/api/jobs/stored/file", "", "", 200),
        (FILE, "OPTIONS", "/api/jobs/stored/file", "", "", 204),
        (FILE, "OPTIONS", "/api/jobs/%20/file", "", "", 400),
        (UPLOADS, "POST", "/api/uploads?name=a&job=u", "", "x", 201),
        (UPLOADS, "POST", "/api/uploads?job=%20", "", "x", 400),
        (UPLOADS, "POST", "/api/uploads", "", "x", 401),
        (UPLOADS, "POST", "/api/uploads", &token, "x", 403),
        (UPLOADS, "POST", "/api/uploads?job=u", "", "x", 409),
        (UPLOADS, "POST", "/api/uploads", "", "", 411),
        (UPLOADS, "POST", "/api/uploads", "", &big, 413),
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

#[test]
fn what_is_described_is_served_and_nothing_else_is() {
    let house = House::start(|_| {});
    let description = &house.description;
    for path in description.paths() {
        for (address, is_public) in [(house.public, true), (house.publish, false)] {
            let allowed = description.methods(path, is_public);
            for method in METHODS {
                // A job of its own, so that it is there to be deleted.
                publish(house.publish, method, "progress", "{}");
                let target = path.replace("{job}", method) + "?job=" + method;
                let answer = ask(address, method, &target, "", "");
                let what = format!("{method} {target}, public: {is_public}: {answer:?}");
                if allowed.is_empty() {
                    assert_eq!(answer.status, 404, "{what}");
                    continue;
                }
                assert_eq!(answer.status == 405, !allowed.contains(method), "{what}");
                if answer.status == 405 || method == "OPTIONS" {
                    let allow: BTreeSet<_> =
                        answer.field("Allow").expect(&what).split(", ").collect();
                    assert_eq!(allow, allowed, "{what}");
                }
                if answer.status == 405 {
                    description.check_refusal(&what, &answer);
                }
            }
        }
    }
    for target in [
        "/api",
        "/api/",
        "/api/jobs",
        "/api/jobs/a/",
        "/api/jobs/a/event",
        "/api/jobs/a/events/",
        "/api/jobs/a/events/1",
        "/api/events/",
        "/openapi.json/",
        "/openapi",
        "/landfall",
        "/landfall.js/",
        "/landfall.ts",
        "/jobs",
        "/metrics",
    ] {
        for method in METHODS {
            let answer = ask(house.publish, method, target, "", "");
            // An empty name is a bad name, not another path.
            assert!([400, 404].contains(&answer.status), "{method} {target}");
        }
    }
}

#[test]
fn a_broken_request_gets_one_of_the_refusals_described() {
    let house = House::start(|_| {});
    let long = "x".repeat(7000);
    for (status, method, target, field) in [
        (501, "BREW", "/api/events", "A: b"),
        (417, "GET", "/api/events", "Expect: tea"),
        (414, "GET", &*format!("/{long}"), "A: b"),
        (431, "GET", "/api/events", &*format!("A: {long}{long}")),
        (405, "PUT", "/api/events", "A: b"),
        (400, "GET", "/api/events", "A : b"),
        (501, "POST", "/api/events", "Transfer-Encoding: gzip"),
    ] {
        let answer = ask_until(house.publish, method, target, &[field], "", |_| false);
        assert_eq!(answer.status, status, "{method} {target:.20} {field:.20}");
        house.description.check_refusal(method, &answer);
    }
}

#[test]
fn the_server_takes_exactly_the_events_that_are_described() {
    let house = House::start(|_| {});
    let schema = json!({"$ref": "#/components/schemas/Event"});
    for body in [
        json!({"event": "progress", "data": {"percent": 30}}),
        json!({"event": "progress", "data": {"percent": 33.3, "stage": "scanning"}}),
        json!({"event": "x", "data": {"percent": 0, "jobId": 7, "a": [{"b": null}]}}),
        json!({"event": "x"}),
        json!({"event": "x", "job": "a"}),
        json!({"event": "x", "data": {"percent": 100.5}}),
        json!({"event": "x", "data": {"percent": -1}}),
        json!({"event": "x", "data": {"percent": "30"}}),
        json!({"event": "x", "data": {"percent": null}}),
        json!({"event": "x", "data": []}),
        json!({"event": "x", "data": "{}"}),
        json!({"event": "x", "data": null}),
        json!({"event": "x", "job": null}),
        json!({"event": "x", "job": "a b"}),
        json!({"event": "", "data": {}}),
        json!({"event": "a\nb", "data": {}}),
        json!({"event": 1, "data": {}}),
        json!({"event": "x", "date": {}}),
        json!({"data": {}}),
        json!([]),
    ] {
        let is_described = house.description.validate(&schema, &body).is_ok();
        let target = "/api/jobs/a/events";
        let answer = post(house.publish, target, "application/json", &body.to_string());
        let expected = if is_described { 201 } else { 400 };
        assert_eq!(answer.status, expected, "{body}: {answer:?}");
    }
}

#[test]
fn names_are_what_the_description_says() {
    let description = Description::new();
    let fits = |schema: &str, name: &str| {
        let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
        description.validate(&schema, &json!(name)).is_ok()
    };
    let lengths = [0, 1, 64, 65, 128, 129].map(|length| "a".repeat(length));
    let characters = (0..=255).map(|code: u8| (code as char).to_string());
    for name in lengths.into_iter().chain(characters) {
        let is_job = name.parse::<JobId>().is_ok();
        assert_eq!(fits("JobName", &name), is_job, "{name:?}");
        let is_event = name.parse::<EventName>().is_ok();
        assert_eq!(fits("EventName", &name), is_event, "{name:?}");
    }
}

#[test]
fn a_stream_looks_like_the_example() {
    let house = House::start(|_| {});
    publish(house.publish, "a", "progress", r#"{"percent":30}"#);
    let answer = ask(house.public, "GET", "/api/jobs/a/events", "", "");
    let example = house
        .description
        .at("/components/responses/Stream/content/text~1event-stream/example");
    let names = |text: &str| -> Vec<String> {
        let name = |line: &str| line.split(':').next().unwrap().to_owned();
        text.lines().map(name).collect()
    };
    assert_eq!(names(&answer.body), names(example.as_str().unwrap()));
}

/// A server, and what it says of itself.
struct House {
    public: SocketAddr,
    publish: SocketAddr,
    description: Description,
    _server: Server,
}

impl House {
    fn start(change: impl FnOnce(&mut ServerConfig)) -> House {
        let any = || "127.0.0.1:0".parse().unwrap();
        let mut config = ServerConfig {
            listen: any(),
            publish: any(),
            ops: "127.0.0.1:0".parse().unwrap(),
            ..ServerConfig::default()
        };
        change(&mut config);
        let server = Server::start(config).unwrap();
        let address = |address: &Address| match address {
            Address::Tcp(address) => *address,
            other => panic!("{other}"),
        };
        let publish = address(server.publish());
        let served = ask(publish, "GET", "/openapi.json", "", "").json();
        let description = Description::new();
        assert_eq!(served, description.0);
        House {
            public: address(server.public()),
            publish,
            description,
            _server: server,
        }
    }
}

/// Asks, and reads a stream only until it has sent an event.
fn ask(address: SocketAddr, method: &str, target: &str, fields: &str, body: &str) -> Answer {
    let length = format!("Content-Length: {}", body.len());
    let mut lines: Vec<&str> = fields.lines().collect();
    if !body.is_empty() {
        lines.push(&length);
    }
    ask_until(address, method, target, &lines, body, |text| {
        text.contains("text/event-stream") && text.contains("\nid: ") && text.ends_with("\n\n")
    })
}

struct Description(Value);

impl Description {
    fn new() -> Description {
        let text = include_str!("../src/routes/openapi.json");
        Description(serde_json::from_str(text).unwrap())
    }

    fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).expect(pointer)
    }

    /// What a reference stands for, or the value itself.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.resolve(self.at(&reference[1..])),
            None => value,
        }
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        object(self.at("/paths")).keys().map(String::as_str)
    }

    /// The operations of a path by method, and whether each is public.
    fn operations(&self, path: &str) -> impl Iterator<Item = (&'static str, &Value, bool)> {
        let path = &self.at("/paths")[path];
        let is_public = |value: &Value| value.get("servers").is_none();
        METHODS.into_iter().filter_map(move |method| {
            let operation = path.get(method.to_lowercase())?;
            Some((method, operation, is_public(path) && is_public(operation)))
        })
    }

    fn methods(&self, path: &str, on_public: bool) -> BTreeSet<&'static str> {
        let operations = self.operations(path);
        let served = operations.filter(|(_, _, is_public)| *is_public || !on_public);
        served.map(|(method, ..)| method).collect()
    }

    /// Every status that is described by its number.
    fn statuses(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for path in self.paths() {
            for (method, operation, _) in self.operations(path) {
                let statuses = object(&operation["responses"]).keys();
                let numbers = statuses.filter(|status| *status != "default");
                all.extend(numbers.map(|status| format!("{method} {path} {status}")));
            }
        }
        all
    }

    /// Holds an answer against the response of its status.
    fn check(&self, what: &str, path: &str, method: &str, answer: &Answer) {
        let operation = &self.at("/paths")[path][method.to_lowercase()];
        let response = &operation["responses"][answer.status.to_string()];
        assert!(
            !response.is_null(),
            "{what}: {} isn't described",
            answer.status
        );
        self.check_response(what, self.resolve(response), method, answer);
    }

    fn check_response(&self, what: &str, response: &Value, method: &str, answer: &Answer) {
        for name in response.get("headers").map(object).into_iter().flatten() {
            assert!(answer.field(name.0).is_some(), "{what}: no {}", name.0);
        }
        let Some(content) = response.get("content").map(object) else {
            assert_eq!(answer.field("Content-Type"), None, "{what}");
            assert_eq!(answer.body, "", "{what}");
            return;
        };
        let kind = answer.field("Content-Type").expect(what);
        let media = content.get(kind).expect(kind);
        if method == "HEAD" {
            assert_eq!(answer.body, "", "{what}");
            return;
        }
        let body = match kind {
            "application/json" => answer.json(),
            _ => json!(answer.body),
        };
        if let Err(why) = self.validate(&media["schema"], &body) {
            panic!("{what}: {why}: {body}");
        }
    }

    /// Holds an answer against the response for what breaks HTTP.
    fn check_refusal(&self, what: &str, answer: &Answer) {
        let response = self.at("/components/responses/Refused");
        let statuses = response["description"].as_str().unwrap();
        let status = answer.status.to_string();
        assert!(statuses.contains(&status), "{what}: {status}");
        let method = what.split(' ').next().unwrap();
        self.check_response(what, response, method, answer);
    }

    /// Whether `value` is as `schema` says: as much of JSON Schema as is used here, and a
    /// panic for what isn't known.
    fn validate(&self, schema: &Value, value: &Value) -> Result<(), String> {
        for (keyword, rule) in object(self.resolve(schema)) {
            let fits = match keyword.as_str() {
                "description" | "format" | "default" => true,
                "type" => types(rule).any(|name| has_type(value, name)),
                "enum" => rule.as_array().unwrap().contains(value),
                "minimum" => value.as_f64().is_none_or(|n| n >= rule.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|n| n <= rule.as_f64().unwrap()),
                "pattern" => value
                    .as_str()
                    .is_none_or(|text| fits_pattern(rule.as_str().unwrap(), text)),
                "required" => value.as_object().is_none_or(|members| {
                    let mut names = rule.as_array().unwrap().iter();
                    names.all(|name| members.contains_key(name.as_str().unwrap()))
                }),
                "properties" => {
                    for (name, member) in value.as_object().into_iter().flatten() {
                        if let Some(schema) = rule.get(name) {
                            self.validate(schema, member)
                                .map_err(|why| format!("{name}: {why}"))?;
                        }
                    }
                    true
                }
                "additionalProperties" if *rule == json!(false) => {
                    let known = &self.resolve(schema)["properties"];
                    let mut members = value.as_object().into_iter().flatten();
                    members.all(|(name, _)| known.get(name).is_some())
                }
                "items" => {
                    let mut items = value.as_array().into_iter().flatten();
                    items.try_for_each(|item| self.validate(rule, item))?;
                    true
                }
                "oneOf" => {
                    let schemas = rule.as_array().unwrap().iter();
                    let fitting = schemas.filter(|schema| self.validate(schema, value).is_ok());
                    fitting.count() == 1
                }
                unknown => panic!("the keyword {unknown} isn't known to this test"),
            };
            if !fits {
                return Err(format!("{keyword}: {rule}"));
            }
        }
        Ok(())
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

/// `"type"` is a name or several.
fn types(rule: &Value) -> impl Iterator<Item = &str> {
    let several = rule.as_array().into_iter().flatten();
    several.chain([rule]).filter_map(Value::as_str)
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        unknown => panic!("the type {unknown} isn't known to this test"),
    }
}

/// Patterns here are one class of characters and how many: `^[a-z]{1,64}$`.
fn fits_pattern(pattern: &str, text: &str) -> bool {
    let (class, range) = pattern
        .strip_prefix("^[")
        .and_then(|rest| rest.strip_suffix("}$"))
        .and_then(|rest| rest.split_once("]{"))
        .expect(pattern);
    let (least, most) = range.split_once(',').expect(pattern);
    let class: Vec<char> = class.chars().collect();
    let fits = |c: char| {
        let is_between = |w: &[char]| w[1] == '-' && (w[0]..=w[2]).contains(&c);
        // A last "-" is itself.
        class.windows(3).any(is_between)
            || c == class[class.len() - 1]
            || class.contains(&c) && c != '-'
    };
    let length = text.chars().count();
    (least.parse().unwrap()..=most.parse().unwrap()).contains(&length) && text.chars().all(fits)
}
