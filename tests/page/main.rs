//! The page in Chromium, against the real binary.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page");
const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web");

/// What the page may weigh without the client, compressed.
const PAGE_MAX_BYTES: usize = 16 * 1024;

#[test]
fn what_is_made_of_events() {
    passes("job");
}

#[test]
fn uploads_and_followed_jobs() {
    passes("uploads");
}

#[test]
fn restarts_of_the_server() {
    passes("reconnect");
}

#[test]
fn the_list_of_all_jobs() {
    passes("all");
}

#[test]
fn accessibility_and_policy() {
    passes("access");
}

#[test]
fn the_page_has_nothing_inline_and_asks_nobody_else() {
    let page = fs::read_to_string(format!("{WEB}/index.html")).unwrap();
    for inline in [" style=", "<style", " onclick=", "javascript:", "<script>"] {
        assert!(!page.contains(inline), "{inline}");
    }
    for address in page.split(['"', '(']).filter(|part| part.contains("//")) {
        assert!(address.starts_with("data:"), "{address}");
    }
}

#[test]
fn the_page_is_under_16_kib_compressed() {
    let mut gzip = Command::new("gzip")
        .arg("-9nc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = gzip.stdin.take().unwrap();
    for entry in fs::read_dir(WEB).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.extension().and_then(|kind| kind.to_str());
        // The client has a limit of its own.
        if matches!(kind, Some("html" | "css" | "js")) && !path.ends_with("landfall.js") {
            input.write_all(&fs::read(path).unwrap()).unwrap();
        }
    }
    drop(input);
    let bytes = gzip.wait_with_output().unwrap().stdout.len();
    assert!((1..PAGE_MAX_BYTES).contains(&bytes), "{bytes} bytes");
}

/// Runs a file of tests.
fn passes(name: &str) {
    assert!(
        fs::exists(format!("{HERE}/node_modules")).unwrap(),
        "there is no browser driver: run scripts/test"
    );
    let output = Command::new("node")
        .args(["--test", &format!("{HERE}/{name}.test.mjs")])
        .env("LANDFALL_BINARY", env!("CARGO_BIN_EXE_landfall"))
        .output()
        .unwrap_or_else(|error| panic!("node: {error}: run scripts/test"));
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
}
