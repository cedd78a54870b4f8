//! A kernel that can't shut commands in.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::binary::Binary;
use crate::files::{end, upload};

#[test]
fn where_the_kernel_has_no_landlock_the_log_says_so_once_and_stages_run() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("landfall.toml");
    fs::write(&config, "[[stage]]\nname = 'mine'\nrun = ['true']\n").unwrap();
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let mut strace = Command::new("strace");
    strace
        .args([
            "-D",
            "-f",
            "-o",
            "/dev/null",
            "-e",
            "trace=landlock_create_ruleset",
        ])
        .args(["-e", "inject=landlock_create_ruleset:error=ENOSYS"])
        .arg(env!("CARGO_BIN_EXE_landfall"))
        .stderr(Stdio::from(log));
    let data = folder.path().join("data");
    let flags = [
        "--data",
        data.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
    ];
    let mut server = Binary::started_by(strace, &flags);
    let deadline = Instant::now() + Duration::from_secs(60);
    for job in ["a", "b"] {
        upload(server.public, job, "x", b"x");
        assert_eq!(end(server.public, job, deadline)["state"], "done");
    }
    assert!(server.stop().success());
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(log.matches("has no Landlock").count(), 1, "{log}");
}
