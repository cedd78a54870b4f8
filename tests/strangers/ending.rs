//! How the server ends, whatever keeps it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::binary::Binary;
use crate::faulty::{self, Faulty};
use crate::files::upload;
use crate::http::wait_until;

const STUBBORN: &str = "[[stage]]\nname = 'stub'\ngrace = '60s'\nrun = ['sh', '-c', \
    'trap \"\" TERM; setsid sleep 600 & echo $$ $! >$LANDFALL_WORK/pids.tmp; \
     mv $LANDFALL_WORK/pids.tmp $LANDFALL_WORK/pids; while :; do sleep 0.1; done']\n";

/// A server with a command that takes no SIGTERM, and that command's processes.
fn stubborn(folder: &Path, flags: &[&str]) -> (Binary, Vec<String>) {
    let (config, data) = (folder.join("landfall.toml"), folder.join("data"));
    fs::write(&config, STUBBORN).unwrap();
    let flags = [&["--config", config.to_str().unwrap()], flags].concat();
    let server = Binary::serve_keeping(data.to_str().unwrap(), &flags);
    upload(server.public, "a", "name", b"hello");
    let mut pids = String::new();
    wait_until("the command runs", || {
        let uploads = fs::read_dir(data.join("work")).into_iter().flatten();
        for upload in uploads {
            let path = upload.unwrap().path().join("0-stub/pids");
            pids = fs::read_to_string(path).unwrap_or_default();
        }
        !pids.is_empty()
    });
    let pids = pids.split_whitespace().map(str::to_owned).collect();
    (server, pids)
}

fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit(')').next().unwrap_or_default();
        !state.starts_with(" Z")
    })
}

fn signal(server: &Binary, signal: Signal) {
    let pid = Pid::from_raw(server.pid().cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// A server that was signalled and has heard the echo of that, as of `timeout` and of a wrapper in a
/// terminal. None where the second came too late to be taken for an echo.
fn signalled_with_an_echo(folder: &Path) -> Option<(Binary, Vec<String>)> {
    let (server, pids) = stubborn(folder, &["--drain", "60s"]);
    assert_eq!(pids.len(), 2);
    signal(&server, Signal::TERM);
    signal(&server, Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    let all_live = pids.iter().all(|pid| is_alive(pid));
    all_live.then_some((server, pids))
}

#[test]
fn a_second_signal_ends_the_server_and_its_commands_at_once_and_an_echo_of_the_first_does_not() {
    let folders = [0; 5].map(|_| tempfile::tempdir().unwrap());
    // On a machine that is busy elsewhere the echo may be late, and not every time.
    let mut tries = folders.iter();
    let found = tries.find_map(|folder| signalled_with_an_echo(folder.path()));
    let (mut server, pids) = found.expect("they take SIGTERM");
    let begun = Instant::now();
    assert!(server.stop().success());
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
    wait_until("the commands are gone", || {
        !pids.iter().any(|pid| is_alive(pid))
    });
}

#[test]
fn a_command_that_outlasts_the_drain_is_killed_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, pids) = stubborn(folder.path(), &["--drain", "200ms"]);
    assert!(server.stop().success());
    wait_until("the commands are gone", || {
        !pids.iter().any(|pid| is_alive(pid))
    });
}

#[test]
fn a_fault_in_the_journals_writer_ends_the_process_with_status_70() {
    const MARK: &str = "LANDFALL_TEST_FAULT";
    if std::env::var_os(MARK).is_some() {
        let folder = tempfile::tempdir().unwrap();
        faulty::publish(Faulty(folder.path().to_owned()));
    }
    let itself = "ending::a_fault_in_the_journals_writer_ends_the_process_with_status_70";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", itself, "--nocapture"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(70), "{said}");
    assert!(said.contains("a fault on purpose"), "{said}");
}
