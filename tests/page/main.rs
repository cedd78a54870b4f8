//! The page in Chromium, against the real binary.

#[path = "../support/built.rs"]
mod built;

use std::fs;
use std::process::Command;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page");
const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web");

/// What the page is made of, the client with it, and what all of it may weigh, compressed.
const FILES: [&str; 3] = ["index.html", "page.css", "page.js"];
const PAGE_MAX_BYTES: usize = 20 * 1024;

#[test]
fn what_is_made_of_events() {
    passes("job");
}

#[test]
fn uploads_and_followed_jobs() {
    passes("uploads");
}

#[test]
fn what_a_row_s_buttons_do() {
    passes("acts");
}

#[test]
fn below_a_path_behind_nginx() {
    passes("base");
}

#[test]
fn bad_input_and_broken_connections() {
    passes("trouble");
}

#[test]
fn layout_on_phones_and_desktops() {
    passes("layout");
}

#[test]
fn reloads() {
    passes("reload");
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
fn the_page_is_what_its_sources_give() {
    built::is_current(HERE, &FILES);
}

#[test]
fn everything_in_the_page_is_under_20_kib_compressed() {
    let bytes: usize = FILES.iter().map(|name| built::compressed(name)).sum();
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
