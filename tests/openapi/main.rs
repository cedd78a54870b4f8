//! `src/routes/openapi.json`, held against a running server.

mod description;
#[path = "../support/http.rs"]
mod http;
mod statuses;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use description::{Description, METHODS};
use http::{Answer, ask_until, post, publish};
use landfall::{Address, EventName, JobId, Server, ServerConfig};
use serde_json::json;

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
fn what_is_described_is_served_and_nothing_else_is() {
    let house = House::start(|_| {});
    let description = &house.description;
    for path in description.paths() {
        for (address, is_public) in [(house.public, true), (house.publish, false)] {
            let allowed = description.methods(path, is_public);
            for method in METHODS {
                // A job of its own, so that it is there to be deleted.
                let begin = format!("/api/jobs/{method}?replace=true");
                let begun = ask(house.publish, "PUT", &begin, "", "");
                assert_eq!(begun.status, 201, "{begun:?}");
                publish(house.publish, method, "progress", "{}");
                let target = path.replace("{job}", method) + "?job=" + method;
                let answer = ask(address, method, &target, "", "");
                let what = format!("{method} {target}, public: {is_public}: {answer:?}");
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
        "/api/jobs/",
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
        let answer = http::ask(house.publish, method, target, &[field], "");
        assert_eq!(answer.status, status, "{method} {target:.20} {field:.20}");
        house.description.check_refusal(method, &answer);
    }
}

#[test]
fn the_server_takes_exactly_the_events_that_are_described() {
    let house = House::start(|_| {});
    let schema = json!({"$ref": "#/components/schemas/Word"});
    for body in [
        json!({"event": "progress", "data": {"percent": 30}}),
        json!({"event": "progress", "data": {"percent": 33.3, "stage": "scanning"}}),
        json!({"event": "x", "data": {"percent": 0, "jobId": "a", "a": [{"b": null}]}}),
        json!({"event": "x", "data": {"jobId": 7}}),
        json!({"event": "x", "data": {"jobId": null}}),
        json!({"event": "reset"}),
        json!({"event": "deleted"}),
        json!({"event": "open"}),
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
        json!({"event": "x", "key": "a-1"}),
        json!({"event": "x", "key": ""}),
        json!({"event": "x", "key": "a b"}),
        json!({"event": "x", "key": "x".repeat(256)}),
        json!({"event": "x", "key": null}),
        json!({"event": "x", "lease": "30s"}),
        json!({"event": "x", "lease": "1h 30m"}),
        json!({"event": "x", "lease": 30}),
        json!({"event": "x", "lease": "5"}),
        json!({"event": "x", "lease": null}),
        json!({"lease": "30s"}),
        json!({"lease": "30s", "job": "a"}),
        json!({"lease": "30s", "key": "k"}),
        json!({"lease": "30s", "data": {}}),
        json!({"lease": "30s", "event": null}),
        json!({"lease": ""}),
        json!({"data": {}}),
        json!([]),
    ] {
        let is_described = house.description.validate(&schema, &body).is_ok();
        let target = "/api/jobs/a/events";
        let answer = post(house.publish, target, "application/json", &body.to_string());
        let expected = match (is_described, body.get("event")) {
            (false, _) => 400,
            (true, Some(_)) => 201,
            (true, None) => 200,
        };
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

#[test]
fn what_the_server_says_itself_on_a_stream_is_as_described() {
    let house = House::start(|config| config.hub.ring.events = 1);
    for percent in ["10", "20", "30"] {
        let data = format!(r#"{{"percent":{percent}}}"#);
        publish(house.publish, "a", "progress", &data);
    }
    let deleted = ask(house.publish, "DELETE", "/api/jobs/a", "", "");
    assert_eq!(deleted.status, 204);
    publish(house.publish, "b", "progress", "{}");
    let ask = |target: &str| http::get(house.public, target).body;
    let body = ask("/api/jobs/a/events?lastEventId=1") + &ask("/api/jobs/a/events");
    let mut seen = BTreeSet::new();
    let mut name = "";
    for line in body.lines() {
        if let Some(event) = line.strip_prefix("event: ") {
            name = event;
        }
        if let Some(data) = line.strip_prefix("data: ") {
            let schema = match name {
                "reset" => "Reset",
                "deleted" => "Deleted",
                _ => "Data",
            };
            let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
            let data = serde_json::from_str(data).unwrap();
            let judged = house.description.validate(&schema, &data);
            judged.unwrap_or_else(|why| panic!("{name}: {why}: {data}"));
            seen.insert(name);
        }
    }
    assert_eq!(seen, BTreeSet::from(["deleted", "reset"]));
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
        let mut config = ServerConfig::with(|config| {
            config.listen = any();
            config.publish = any();
            config.ops = "127.0.0.1:0".parse().unwrap();
        });
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
        let is_stream = text.contains("text/event-stream");
        is_stream && text.contains("\nid: ") && text.ends_with("\n\n\r\n")
    })
}
