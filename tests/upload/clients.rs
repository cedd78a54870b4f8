//! Uploads by the clients that people have: curl, tus-js-client, and Uppy in Chromium.

use std::io::Write;
use std::process::{Command, Stdio};

use super::support::{House, bytes, digest};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/upload");

fn curl(arguments: &[&str]) -> (String, String) {
    let output = Command::new("curl")
        .args(["-sS", "-w", "\n%{http_code}"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[test]
fn curl_uploads_a_body_a_stream_and_a_form() {
    let house = House::start(&[]);
    let body = bytes(5, 3_000_000);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&body).unwrap();
    let path = file.path().to_str().unwrap();
    let url = |job: &str| house.url(&format!("/api/uploads?name=clip.mp4&job={job}"));
    let data = format!("@{path}");
    let part = format!("file=@{path};filename=\"a \\\"b\\\" ä.mp4\";type=video/mp4");
    for (job, arguments) in [
        ("body", vec!["--data-binary", &data]),
        (
            "typed",
            vec!["--data-binary", &data, "-H", "Content-Type: video/mp4"],
        ),
        (
            "stream",
            vec!["-X", "POST", "-T", path, "-H", "Transfer-Encoding: chunked"],
        ),
        (
            "limited",
            vec!["--data-binary", &data, "--limit-rate", "3M"],
        ),
    ] {
        let (status, text) = curl(&[&arguments[..], &[&url(job)]].concat());
        assert_eq!(status, "201", "{job}: {text}");
        assert!(house.stored(job) == body, "{job}");
        assert_eq!(house.ended(job)["lastEvent"]["data"]["name"], "clip.mp4");
    }
    let address = house.url("/api/uploads");
    let (status, text) = curl(&["-F", "job=form", "-F", &part, &address]);
    assert_eq!(status, "201", "{text}");
    assert!(house.stored("form") == body);
    assert_eq!(
        house.ended("form")["lastEvent"]["data"]["name"],
        "a \"b\" ä.mp4"
    );
    let saved = tempfile::tempdir().unwrap();
    let (status, _) = curl(&[
        "-OJ",
        "--output-dir",
        saved.path().to_str().unwrap(),
        &house.url("/api/jobs/typed/file"),
    ]);
    assert_eq!(status, "200");
    assert!(std::fs::read(saved.path().join("clip.mp4")).unwrap() == body);
}

/// Runs a script with node, which tells by lines what it wants done, and goes on when that
/// is answered with a line.
fn node(script: &str, arguments: &[&str], mut serve: impl FnMut(&str) -> String) -> String {
    // The files' names have letters that Chromium finds nothing by in the C locale.
    let mut child = Command::new("node")
        .env("LC_ALL", "C.UTF-8")
        .arg(format!("{FOLDER}/{script}"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is missing: run scripts/test");
    let mut answers = child.stdin.take().unwrap();
    let mut last = String::new();
    for line in std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap())) {
        let line = line.unwrap();
        match line.strip_prefix("want ") {
            Some(want) => writeln!(answers, "{}", serve(want)).unwrap(),
            None => last = line,
        }
    }
    assert!(child.wait().unwrap().success(), "{script}: {last}");
    last
}

#[test]
fn tus_js_client_gets_through_three_cuts_and_a_restart() {
    let mut house = House::start(&[]);
    let body = bytes(6, 24 << 20);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&body).unwrap();
    let address = house.public.to_string();
    let path = file.path().to_str().unwrap().to_owned();
    let said = node("tus.mjs", &[&address, &path, "clip-1"], |want| {
        assert_eq!(want, "restart");
        house.kill();
        house.revive();
        "done".to_owned()
    });
    assert_eq!(said, "cuts 3, restarts 1, uploads 1");
    assert_eq!(digest(&house.stored("clip-1")), digest(&body));
    assert_eq!(
        house.ended("clip-1")["lastEvent"]["data"]["name"],
        "clip.mp4"
    );
    house.wait_for_empty_spool();
}

#[test]
fn a_plain_form_and_uppy_upload_from_chromium() {
    let mut house = House::start(&["--cors-origin", "http://127.0.0.1:1"]);
    let pages = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = pages.local_addr().unwrap().port();
    drop(pages);
    // The page is of another origin than the hub.
    house.stop();
    let house = House::start(&["--cors-origin", &format!("http://127.0.0.1:{port}")]);
    let body = bytes(8, 5 << 20);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("film ä.mp4");
    std::fs::write(&file, &body).unwrap();
    let clip = folder.path().join("clip ä.mp4");
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc=duration=2:size=320x180",
        ])
        .arg(&clip)
        .status();
    assert!(
        made.expect("ffmpeg is missing: scripts/test installs it")
            .success()
    );
    let arguments = [
        &house.public.to_string(),
        &port.to_string(),
        clip.to_str().unwrap(),
        file.to_str().unwrap(),
    ];
    let said = node("browser.mjs", &arguments, |want| panic!("{want}"));
    assert_eq!(said, "form 201, uppy 1 of 1, aborted 1");
    assert!(house.stored("by-uppy") == body);
    let done = house.ended("by-uppy")["lastEvent"]["data"].clone();
    assert_eq!(done["name"], "film ä.mp4");
    // The clip is a real one, so it is transcoded: what is told of it is what is stored.
    let stored = house.stored("by-form");
    let done = house.ended("by-form")["lastEvent"]["data"].clone();
    assert_eq!(done["name"], "clip ä.mp4");
    assert_eq!(done["contentType"], "video/mp4");
    assert_eq!(done["digest"], format!("sha256:{}", digest(&stored)));
    assert!(stored != std::fs::read(&clip).unwrap());
}
