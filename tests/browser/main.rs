//! The client for browsers: its compiled files, and the client in Chromium against the
//! real binary.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser");
const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web");

/// What the client may weigh, compressed.
const CLIENT_MAX_BYTES: usize = 7 * 1024;

#[test]
fn the_compiled_client_is_what_its_source_compiles_to() {
    let out = tempfile::tempdir().unwrap();
    let output = Command::new("npm")
        .args(["run", "--silent", "--prefix", HERE, "build"])
        .env("OUT", out.path())
        .output()
        .unwrap_or_else(|error| panic!("npm: {error}: run scripts/test"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let fresh = fs::read_to_string(out.path().join("landfall.js")).unwrap();
    let kept = fs::read_to_string(format!("{WEB}/landfall.js")).unwrap();
    assert!(
        fresh == kept,
        "landfall.js is out of date: npm run --prefix tests/browser build"
    );
}

#[test]
fn the_client_is_under_7_kib_compressed() {
    let mut gzip = Command::new("gzip")
        .arg("-9nc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let client = fs::read(format!("{WEB}/landfall.js")).unwrap();
    gzip.stdin.take().unwrap().write_all(&client).unwrap();
    let bytes = gzip.wait_with_output().unwrap().stdout.len();
    assert!((1..CLIENT_MAX_BYTES).contains(&bytes), "{bytes} bytes");
}

#[test]
fn the_client_does_in_chromium_what_it_promises() {
    let output = Command::new("node")
        .args(["--test-reporter=spec", &format!("{HERE}/main.mjs")])
        .env("LANDFALL", env!("CARGO_BIN_EXE_landfall"))
        .output()
        .unwrap_or_else(|error| panic!("node: {error}: run scripts/test"));
    println!("{}", String::from_utf8_lossy(&output.stdout));
    println!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "a test in tests/browser failed");
}
