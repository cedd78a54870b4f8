//! Monitoring at a unix socket, and none.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::program::{Program, command};
use super::support::{PATIENCE, wait_until};

pub fn ask(path: &Path, request: &str) -> String {
    let mut socket = UnixStream::connect(path).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn get(path: &Path, target: &str) -> String {
    ask(path, &format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
}

fn serve(ops: &str) -> Program {
    Program::start(
        command(&["serve", "--memory-only", "--listen=127.0.0.1:0"]).args([
            "--publish=127.0.0.1:0",
            "--drain-spread=20ms",
            "--ops",
            ops,
        ]),
    )
}

#[test]
fn monitoring_listens_at_a_unix_socket_that_is_its_users_and_groups() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ops");
    let program = serve(&format!("unix:{}", path.display()));
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let metrics = get(&path, "/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(metrics.contains("\nlandfall_streams_open 0\n"), "{metrics}");
    for (target, status, body) in [
        ("/healthz?a=b", "200 OK", "\r\n\r\nok\n"),
        ("/readyz", "200 OK", "\r\n\r\nready\n"),
        ("/jobs", "200 OK", "\r\n\r\n{\"jobs\":[]}"),
        ("/", "404 Not Found", "see /metrics"),
    ] {
        let answer = get(&path, target);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
        assert!(answer.contains(body), "{answer}");
    }
    let head = ask(&path, "HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(
        head.contains("Content-Length: 3\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    let other = ask(
        &path,
        "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(
        other.starts_with("HTTP/1.1 405 ") && other.contains("Allow: GET, HEAD\r\n"),
        "{other}"
    );
    let rebound = ask(&path, "GET /jobs HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert!(rebound.starts_with("HTTP/1.1 403 "), "{rebound}");
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(8000));
    assert!(ask(&path, &long).starts_with("HTTP/1.1 414 "));
    program.signal(Signal::TERM);
    assert_eq!(program.wait(), Some(0));
    assert!(!path.exists(), "its socket is left behind");
}

#[test]
fn who_says_nothing_to_monitoring_leaves_it_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ops");
    let _program = serve(&format!("unix:{}", path.display()));
    let silent: Vec<_> = (0..12)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    assert!(get(&path, "/healthz").starts_with("HTTP/1.1 200 "));
    drop(silent);
    let mut slow: Vec<_> = (0..40)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    let _ = slow.iter_mut().map(|it| it.write_all(b"GET /he")).count();
    let mut waiting = UnixStream::connect(&path).unwrap();
    waiting
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    waiting
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert!(
        waiting.read(&mut [0]).is_err(),
        "there are more at once than may be"
    );
    drop(slow);
    waiting.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_file_in_the_place_of_the_monitoring_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ops");
    std::fs::write(&path, "precious").unwrap();
    let ops = format!("unix:{}", path.display());
    let output = command(&["serve", "--memory-only", "--listen=127.0.0.1:0"])
        .args(["--publish=127.0.0.1:0", "--ops", &ops])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no socket"), "{said}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn without_monitoring_nothing_listens_for_it() {
    let program = serve("off");
    let listening = || {
        let sockets = std::fs::read_dir(format!("/proc/{}/fd", program.id())).unwrap();
        let inodes: Vec<_> = sockets
            .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
            .filter_map(|link| {
                let link = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
                Some(format!(" {link} "))
            })
            .collect();
        let tcp = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let is_own = |line: &&str| inodes.iter().any(|inode| line.contains(inode.as_str()));
        let listens = |line: &&str| line.split_whitespace().nth(3) == Some("0A");
        tcp.lines().filter(is_own).filter(listens).count()
    };
    wait_until("two listen, and no third", || listening() == 2);
    program.signal(Signal::TERM);
    assert_eq!(program.wait(), Some(0));
}
