//! A kernel that hasn't all that it could have.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::binary::Binary;
use crate::files::{end, upload};

#[test]
fn where_the_kernel_has_no_landlock_the_log_says_so_once_and_stages_run() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("landfall.toml");
    fs::write(&config, "[[stage]]\nname = 'mine'\nrun = ['true']\n").unwrap();
    let data = folder.path().join("data");
    let flags = [
        "--data",
        data.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
    ];
    let mut server = without("landlock_create_ruleset", folder.path(), &flags);
    let deadline = Instant::now() + Duration::from_secs(60);
    for job in ["a", "b"] {
        upload(server.public, job, "x", b"x");
        assert_eq!(end(server.public, job, deadline)["state"], "done");
    }
    assert!(server.stop().success());
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(log.matches("has no Landlock").count(), 1, "{log}");
}

#[test]
fn where_the_kernel_has_no_io_uring_the_log_says_so_once_and_streams_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--memory-only", "--io-uring", "--shards", "2"];
    let mut server = without("io_uring_setup", folder.path(), &flags);
    let job = "POST /api/jobs/a/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
               Connection: close\r\nContent-Length: 26\r\n\r\n{\"event\":\"done\",\"data\":{}}";
    assert!(exchange(server.publish, job).starts_with("HTTP/1.1 201 "));
    let streams: Vec<_> = (0..8)
        .map(|_| exchange(server.public, "GET /api/jobs/a/events HTTP/1.0\r\n\r\n"))
        .collect();
    for stream in streams {
        assert!(stream.contains("event: done"), "{stream}");
    }
    assert!(server.stop().success());
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(log.matches("io_uring").count(), 1, "{log}");
}

/// The program on a kernel that hasn't this call. What it logs is in the folder's `log`.
fn without(call: &str, folder: &Path, flags: &[&str]) -> Binary {
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut strace = Command::new("strace");
    strace
        .args(["-D", "-f", "-o", "/dev/null"])
        .args(["-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:error=ENOSYS")])
        .arg(env!("CARGO_BIN_EXE_landfall"))
        .stderr(Stdio::from(log));
    Binary::started_by(strace, flags)
}

/// Sends a request and reads until the connection ends.
fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
