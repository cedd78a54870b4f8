//! The client for browsers: its compiled files, and the client in Chromium against the
//! real binary.

#[path = "../support/built.rs"]
mod built;

use std::process::Command;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser");

/// What the client may weigh, compressed.
const CLIENT_MAX_BYTES: usize = 7 * 1024;

#[test]
fn the_compiled_client_is_what_its_source_compiles_to() {
    built::is_current(HERE, &["landfall.js"]);
}

#[test]
fn the_client_is_under_7_kib_compressed() {
    let bytes = built::compressed("landfall.js");
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
