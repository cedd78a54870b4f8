//! Uploads, which stay on the node that received them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::binary::{ANY, Binary};
use super::http::{self, Answer};
use super::redis::{Redis, Switch};
use super::support::{get, snapshot, wait_until};

const TUS: &str = "Tus-Resumable: 1.0.0";
const PIECE: &str = "Content-Type: application/offset+octet-stream";

/// A node with a directory of its own.
struct House {
    node: Binary,
    folder: TempDir,
}

impl House {
    /// Its stages are a command, which ends where the job's name says so, and storing.
    fn start(redis: &Redis, name: &str, flags: &[&str]) -> House {
        let folder = tempfile::tempdir().unwrap();
        let script = "case $LANDFALL_JOB in fails) exit 1;; \
                      waits) echo \"$$\" > pid; exec sleep 600;; esac";
        let stages = format!(
            "[[stage]]\nname = 'mine'\nrun = ['sh', '-c', '''{script}''']\n\
             [[stage]]\nname = 'storing'\nto = 'files'\n"
        );
        std::fs::write(folder.path().join("stages.toml"), stages).unwrap();
        let node = serve(folder.path(), redis, name, flags);
        House { node, folder }
    }

    /// Whether anything of an upload is there.
    fn holds_an_upload(&self) -> bool {
        let uploads = self.folder.path().join("data/uploads");
        std::fs::read_dir(uploads).unwrap().next().is_some()
    }
}

fn serve(folder: &Path, redis: &Redis, name: &str, flags: &[&str]) -> Binary {
    let data = folder.join("data").display().to_string();
    let stages = folder.join("stages.toml").display().to_string();
    let url = redis.url();
    let of_fleet = ["--redis", &url, "--node", name, "--downloads"];
    let flags = [&of_fleet[..], &["--config", &stages][..], flags].concat();
    Binary::serve_at([ANY; 2], &data, &flags)
}

fn ask(address: SocketAddr, method: &str, target: &str, fields: &[&str], body: &str) -> Answer {
    let length = format!("Content-Length: {}", body.len());
    let fields = [fields, &[&length]].concat();
    http::ask(address, method, target, &fields, body)
}

fn upload(node: &Binary, job: &str) {
    let target = format!("/api/uploads?job={job}&name=a.txt");
    let answer = ask(node.public, "POST", &target, &[], "hello");
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// Begins an upload of ten bytes by tus, and says where it goes on.
fn begin(node: &Binary, job: &str) -> String {
    // `job` in base64.
    let metadata = format!("Upload-Metadata: job {job}");
    let fields = [TUS, "Upload-Length: 10", &metadata];
    let answer = ask(node.public, "POST", "/api/tus", &fields, "");
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.field("Location").unwrap().to_owned()
}

fn state(node: &Binary, job: &str) -> String {
    let state = &snapshot(node, job).json()["state"];
    state.as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_others_name_the_node_that_holds_an_upload() {
    let redis = Redis::start(&[]);
    let [a, b] = ["a", "b"].map(|name| House::start(&redis, name, &[]));
    upload(&a.node, "j");
    for node in [&a.node, &b.node] {
        wait_until("it is done", || state(node, "j") == "done");
        assert_eq!(snapshot(node, "j").json()["node"], "a");
        let list = get(node.publish, "/api/jobs?prefix=j").json();
        assert_eq!(list["jobs"][0]["node"], "a");
        assert_eq!(get(node.ops, "/jobs").json()["jobs"][0]["node"], "a");
    }
    let file = "/api/jobs/j/file";
    assert_eq!(get(a.node.public, file).body, "hello");
    let refused = get(b.node.public, file);
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("node a "), "{refused:?}");
    let place = begin(&a.node, "dHVz");
    assert!(place.starts_with("/api/tus/"), "{place}");
    wait_until("the other knows it", || state(&b.node, "tus") == "running");
    for method in ["HEAD", "DELETE"] {
        let refused = ask(b.node.public, method, &place, &[TUS], "");
        assert_eq!(refused.status, 409, "{refused:?}");
    }
    let fields = [TUS, PIECE, "Upload-Offset: 0"];
    let refused = ask(b.node.public, "PATCH", &place, &fields, "0123456789");
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("node a "), "{refused:?}");
    let taken = ask(a.node.public, "PATCH", &place, &fields, "0123456789");
    assert_eq!(taken.status, 204, "{taken:?}");
    // One that nobody has given is nobody's.
    let none = format!("/api/tus/{}", "0".repeat(32));
    assert_eq!(ask(b.node.public, "HEAD", &none, &[TUS], "").status, 404);
    // A worker's job is on no node.
    super::http::publish(a.node.publish, "k", "progress", "{}");
    assert!(snapshot(&a.node, "k").json()["node"].is_null());
}

#[test]
fn the_others_lead_to_the_node_that_says_where_it_is() {
    let redis = Redis::start(&[]);
    // Where that will be isn't known before it is there.
    let target = Arc::new(Mutex::new(ANY));
    let front = Switch::start(target.clone());
    let url = format!("http://{}", front.address());
    let a = House::start(&redis, "a", &["--node-url", &url]);
    *target.lock().unwrap() = a.node.public;
    let b = House::start(&redis, "b", &[]);
    let place = begin(&a.node, "dHVz");
    wait_until("the other knows it", || state(&b.node, "tus") == "running");
    let path = place.strip_prefix(&url).expect(&place);
    let fields = [TUS, PIECE, "Upload-Offset: 0"];
    let led = ask(b.node.public, "PATCH", path, &fields, "0123456789");
    assert_eq!((led.status, led.field("Location")), (307, Some(&*place)));
    assert_eq!(led.field("Tus-Resumable"), Some("1.0.0"));
    let led = ask(b.node.public, "HEAD", path, &[TUS], "");
    assert_eq!((led.status, led.field("Location")), (307, Some(&*place)));
    let taken = ask(front.address(), "PATCH", path, &fields, "0123456789");
    assert_eq!(taken.status, 204, "{taken:?}");
    wait_until("it is done", || state(&b.node, "tus") == "done");
    let led = get(b.node.public, "/api/jobs/tus/file?a=b");
    let file = format!("{url}/api/jobs/tus/file?a=b");
    assert_eq!((led.status, led.field("Location")), (307, Some(&*file)));
    let file = get(front.address(), "/api/jobs/tus/file?a=b");
    assert_eq!(file.body, "0123456789");
}

#[test]
fn deleted_or_cancelled_by_another_node_an_upload_is_broken_off_where_it_is() {
    let redis = Redis::start(&[]);
    let [a, b] = ["a", "b"].map(|name| House::start(&redis, name, &[]));
    for (method, target, status) in [
        ("DELETE", "/api/jobs/waits", 204),
        ("POST", "/api/jobs/waits/cancel", 202),
    ] {
        upload(&a.node, "waits");
        let begun = || {
            snapshot(&b.node, "waits")
                .body
                .contains(r#""stage":"mine""#)
        };
        wait_until("its stage has begun", || begun() && a.holds_an_upload());
        let answer = ask(b.node.publish, method, target, &[], "");
        assert_eq!(answer.status, status, "{answer:?}");
        wait_until("it is gone", || !a.holds_an_upload());
        let end = snapshot(&a.node, "waits");
        match method {
            "DELETE" => assert_eq!(end.status, 410),
            _ => assert!(end.body.contains(r#""reason":"cancelled""#), "{end:?}"),
        }
    }
    // One of which bytes are missing.
    let place = begin(&a.node, "dHVz");
    wait_until("the other knows it", || state(&b.node, "tus") == "running");
    let answer = ask(b.node.publish, "DELETE", "/api/jobs/tus", &[], "");
    assert_eq!(answer.status, 204);
    wait_until("it is gone", || !a.holds_an_upload());
    let fields = [TUS, PIECE, "Upload-Offset: 0"];
    let refused = ask(a.node.public, "PATCH", &place, &fields, "0123456789");
    assert!([404, 410].contains(&refused.status), "{refused:?}");
}

#[test]
fn a_failed_upload_is_tried_again_by_way_of_any_node() {
    let redis = Redis::start(&[]);
    let [a, b] = ["a", "b"].map(|name| House::start(&redis, name, &[]));
    upload(&a.node, "fails");
    wait_until("it has failed", || state(&b.node, "fails") == "error");
    let before = snapshot(&b.node, "fails").json();
    let answer = ask(b.node.publish, "POST", "/api/jobs/fails/retry", &[], "");
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.json()["jobId"], "fails");
    assert_eq!(answer.json()["attempt"], 2);
    let last: u64 = before["lastEventId"].as_str().unwrap().parse().unwrap();
    assert!(answer.json()["id"].as_u64().unwrap() > last);
    wait_until("it has failed again", || {
        let now = snapshot(&b.node, "fails").json();
        now["state"] == "error" && now["lastEvent"]["data"]["attempt"] == 2
    });
    // Its node is gone: nobody can.
    drop(a);
    let answer = ask(b.node.publish, "POST", "/api/jobs/fails/retry", &[], "");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("node a "), "{answer:?}");
}

#[test]
fn what_can_not_be_tried_again_is_answered_the_same_by_any_node_and_at_once() {
    let redis = Redis::start(&[]);
    let [a, b] = ["a", "b"].map(|name| House::start(&redis, name, &[]));
    upload(&a.node, "stored");
    upload(&a.node, "waits");
    // `cut` and `half` in base64.
    begin(&a.node, "Y3V0");
    begin(&a.node, "aGFsZg==");
    let cancelled = ask(b.node.publish, "POST", "/api/jobs/cut/cancel", &[], "");
    assert_eq!(cancelled.status, 202, "{cancelled:?}");
    for (job, known, status) in [
        ("stored", "done", 404),
        ("waits", "running", 409),
        ("cut", "error", 404),
        ("half", "running", 409),
    ] {
        wait_until("both know it", || {
            [&a.node, &b.node]
                .iter()
                .all(|node| state(node, job) == known)
        });
        let target = format!("/api/jobs/{job}/retry");
        let [here, there] = [&a.node, &b.node].map(|node| {
            let answer = ask(node.publish, "POST", &target, &[], "");
            (answer.status, answer.body)
        });
        assert_eq!(there.0, status, "{job}: {there:?}");
        assert_eq!(here, there, "{job}");
    }
}

#[test]
fn a_node_that_joins_or_starts_again_ends_no_upload_of_another() {
    let redis = Redis::start(&[]);
    let a = House::start(&redis, "a", &[]);
    upload(&a.node, "waits");
    begin(&a.node, "dHVz");
    let mut b = House::start(&redis, "b", &[]);
    drop(b.node);
    b.node = serve(b.folder.path(), &redis, "b", &[]);
    for job in ["waits", "tus"] {
        assert_eq!(state(&b.node, job), "running", "{job}");
        assert_eq!(snapshot(&b.node, job).json()["node"], "a");
    }
    // Its own goes on when it is back.
    let mut a = a;
    a.node.kill();
    a.node = serve(a.folder.path(), &redis, "a", &[]);
    for job in ["waits", "tus"] {
        assert_eq!(state(&a.node, job), "running", "{job}");
        assert_eq!(snapshot(&a.node, job).json()["node"], "a");
    }
}

/// What the lease of an upload is takes two minutes to run out.
#[test]
#[ignore = "it takes two minutes"]
fn the_upload_of_a_node_that_has_died_ends_as_one_to_be_tried_again() {
    let redis = Redis::start(&[]);
    let [a, b] = ["a", "b"].map(|name| House::start(&redis, name, &[]));
    upload(&a.node, "waits");
    wait_until("it is known", || state(&b.node, "waits") == "running");
    drop(a);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(180);
    while state(&b.node, "waits") == "running" {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    let end = snapshot(&b.node, "waits").body;
    for part in [r#""reason":"stalled""#, r#""retryable":true"#] {
        assert!(end.contains(part), "{end}");
    }
}
