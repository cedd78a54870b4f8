//! Everything below one path.

use super::sse::EventStream;
use super::support::{Answer, Client, TestServer, get, post};

fn start(data: &std::path::Path) -> TestServer {
    TestServer::with(|config| {
        config.base_path = "/tools/landfall".parse().unwrap();
        config.data = Some(data.to_owned());
    })
}

fn ask(mut client: Client, target: &str) -> Answer {
    client.send(get(target, "")).answer()
}

#[test]
fn everything_is_below_the_path_on_both_listeners_and_nothing_is_elsewhere() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path());
    server.progress("a", 1);
    for client in [TestServer::public, TestServer::publishing] {
        for target in ["/", "/landfall.js", "/page.css", "/api/jobs/a"] {
            let answer = ask(client(&server), &format!("/tools/landfall{target}"));
            assert_eq!(answer.status, 200, "{target}: {answer:?}");
            let answer = ask(client(&server), target);
            assert_eq!(answer.status, 404, "{target}: {answer:?}");
            assert!(
                answer.error().contains("below /tools/landfall/"),
                "{answer:?}"
            );
        }
        let mut stream =
            EventStream::open(client(&server), "/tools/landfall/api/jobs/a/events", "");
        assert_eq!(stream.event().n(), 1);
        let answer = ask(client(&server), "/api/jobs/a/events");
        assert_eq!(answer.status, 404, "a stream is none elsewhere");
    }
    let posted = server.publishing().publish_lines(
        "/tools/landfall/api/jobs/a/events",
        "{\"event\":\"done\",\"data\":{}}\n",
    );
    assert_eq!(posted.status, 201, "{posted:?}");
    for target in [
        "/tools/landfallx/",
        "/tools",
        "/tools/landfall/tools/landfall/",
    ] {
        assert_eq!(ask(server.public(), target).status, 404, "{target}");
    }
    // Monitoring has its own listener, and its own paths.
    assert_eq!(ask(server.ops(), "/healthz").status, 200);
}

#[test]
fn the_page_finds_what_it_is_made_of_also_without_the_slash() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path());
    let answer = ask(server.public(), "/tools/landfall");
    assert_eq!(answer.status, 308, "{answer:?}");
    assert_eq!(answer.field("location"), Some("/tools/landfall/"));
    let answer = ask(server.public(), "/tools/landfall?job=a&token=b");
    let told = answer.field("location");
    assert_eq!(told, Some("/tools/landfall/?job=a&token=b"));
    let page = ask(server.public(), "/tools/landfall/").body;
    for part in ["href=\"/", "src=\"/", "action=\"/"] {
        assert!(!page.contains(part), "{part}");
    }
    for script in [
        "page.js",
        "all.js",
        "job.js",
        "stream.js",
        "uploads.js",
        "shell.js",
    ] {
        let script = ask(server.public(), &format!("/tools/landfall/{script}")).body;
        for part in ["from \"/", "fetch(`/", "`/api"] {
            assert!(!script.contains(part), "{part}");
        }
    }
}

#[test]
fn the_description_says_that_its_paths_are_below_it() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path());
    let description = ask(server.publishing(), "/tools/landfall/openapi.json").json();
    let urls = |servers: &serde_json::Value| -> Vec<String> {
        let servers = servers.as_array().unwrap().iter();
        servers
            .map(|server| server["url"].as_str().unwrap().to_owned())
            .collect()
    };
    let (public, publishing) = (
        "http://127.0.0.1:8080/tools/landfall".to_owned(),
        "http://127.0.0.1:8081/tools/landfall".to_owned(),
    );
    assert_eq!(urls(&description["servers"]), [public, publishing.clone()]);
    let begin = &description["paths"]["/api/jobs/{job}"]["put"]["servers"];
    assert_eq!(urls(begin), [publishing]);
}

#[test]
fn addresses_in_answers_are_below_it() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path());
    let target = "/tools/landfall/api/uploads?job=a";
    let answer = server
        .public()
        .send(post(target, "application/octet-stream", "x"))
        .answer();
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.field("location"), Some("/tools/landfall/api/jobs/a"));
    let json = answer.json();
    assert_eq!(json["events"], "/tools/landfall/api/jobs/a/events");
    assert_eq!(json["snapshot"], "/tools/landfall/api/jobs/a");
    assert_eq!(
        ask(server.public(), json["snapshot"].as_str().unwrap()).status,
        200
    );

    let begin = "POST /tools/landfall/api/tus/ HTTP/1.1\r\nHost: h\r\nTus-Resumable: 1.0.0\r\n\
                 Upload-Length: 1\r\nContent-Length: 0\r\n\r\n";
    let answer = server.public().send(begin).answer();
    let location = answer.field("location").unwrap();
    assert!(
        location.starts_with("/tools/landfall/api/tus/"),
        "{location}"
    );
    let found = format!("HEAD {location} HTTP/1.1\r\nHost: h\r\nTus-Resumable: 1.0.0\r\n\r\n");
    assert_eq!(server.public().send(found).answer_to_head().status, 200);
}
