//! What is built for browsers, beside its sources.

use std::fs;
use std::process::Command;

const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web");

/// Builds in a folder of tests, and sees that these files are what is kept.
pub fn is_current(folder: &str, names: &[&str]) {
    let out = tempfile::tempdir().unwrap();
    let output = Command::new("npm")
        .args(["run", "--silent", "--prefix", folder, "build"])
        .env("OUT", out.path())
        .output()
        .unwrap_or_else(|error| panic!("npm: {error}: run scripts/test"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for name in names {
        let fresh = fs::read_to_string(out.path().join(name)).unwrap();
        let kept = fs::read_to_string(format!("{WEB}/{name}")).unwrap();
        assert!(
            fresh == kept,
            "{name} is out of date: npm run --prefix {folder} build"
        );
    }
}

/// How many bytes a file is, compressed by itself, as it is sent.
pub fn compressed(name: &str) -> usize {
    let output = Command::new("gzip")
        .args(["-9nc", &format!("{WEB}/{name}")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout.len()
}
