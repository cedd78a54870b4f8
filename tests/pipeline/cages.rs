//! What a stage's command may touch and take.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use landfall::config::PipelineConfig;
use tempfile::TempDir;

use crate::support::Plant;

/// A plant whose only stage runs a line of shell, with more options. It isn't where temporary
/// files are, as a server's data isn't.
fn plant(script: &str, more: &str) -> (Plant, TempDir) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let script = serde_json::Value::from(script);
    let toml = format!(
        "[[stage]]\nname = \"mine\"\nrun = [\"bash\", \"-c\", {script}, \"bash\", \"{{input}}\", \"{{output}}\"]\n{more}\n"
    );
    let data = folder.path().join("data");
    let plant = Plant::on(&data, &toml, PipelineConfig::default());
    (plant, folder)
}

/// What becomes of an upload that the command gets.
fn end(script: &str, more: &str, before: impl Fn(&Path)) -> String {
    let (plant, _folder) = plant(script, more);
    before(&plant.data);
    let job = plant.land("j", "a", b"x");
    let told = plant.wait(&job, |told| ["done", "error"].contains(&&*told.event));
    let last = told.last().unwrap();
    match last.event.as_str() {
        "done" => "done".to_owned(),
        _ => last.message().to_owned(),
    }
}

fn is_done(script: &str, more: &str) -> bool {
    let secret = |data: &Path| fs::write(data.join("secret"), "secret").unwrap();
    end(script, more, secret) == "done"
}

#[test]
fn a_command_has_the_file_and_its_folder_and_nothing_else_of_the_servers() {
    // The data directory, from the file's path.
    let data = "data=${1%/uploads/*}; test -e \"$data/secret\" && ";
    for allowed in [
        "cat \"$1\" >\"$2\"",
        "cd \"$LANDFALL_WORK\" && mkdir a && echo x >a/b && mv a/b c && rm c",
        "cat <(echo x) && file=$(mktemp) && echo x >\"$file\" && cat \"$file\"",
    ] {
        assert!(is_done(&format!("{data}{allowed}"), ""), "{allowed}");
    }
    for refused in [
        "cat \"$data/secret\"",
        "ls \"$data\"",
        "cat \"${1%data}/info.json\"",
        "echo x >\"$data/new\"",
        "echo x >>\"$1\"",
        "rm \"$1\"",
        "cat ~/.bashrc /etc/shadow",
    ] {
        assert!(!is_done(&format!("{data}{refused}"), ""), "{refused}");
    }
}

#[test]
fn a_command_is_shown_more_where_the_configuration_says_so() {
    let more = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = more.path().to_str().unwrap();
    fs::write(more.path().join("model"), "x").unwrap();
    let (read, write) = (format!("cat {path}/model"), format!("echo x >{path}/new"));
    let shown = format!("read = [{path:?}]");
    assert!(is_done(&read, &shown) && !is_done(&write, &shown));
    let given = format!("write = [{path:?}]");
    assert!(is_done(&read, &given) && is_done(&write, &given));
    assert!(!is_done(&read, ""));
}

#[test]
fn a_program_elsewhere_is_run_and_what_lies_beside_it_is_not_read() {
    let elsewhere = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program = elsewhere.path().join("stage.sh");
    fs::write(elsewhere.path().join("key"), "key").unwrap();
    fs::write(&program, "#!/bin/sh\n! cat \"${0%stage.sh}key\"\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, mode).unwrap();
    let toml = format!("[[stage]]\nname = 'mine'\nrun = [{program:?}]\n");
    let plant = Plant::new(&toml);
    let job = plant.land("j", "a", b"x");
    plant.end(&job, "done");
}

#[test]
fn a_command_has_no_network_unless_it_is_given_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    assert!(!is_done(&connect, ""));
    assert!(listener.accept().is_err());
    assert!(is_done(&connect, "network = true"));
    assert!(listener.accept().is_ok());
    // Nor what isn't TCP.
    for family in [
        "AF_INET, SOCK_DGRAM",
        "AF_INET6, SOCK_DGRAM",
        "AF_UNIX",
        "AF_NETLINK, SOCK_RAW",
    ] {
        let make = format!("/usr/bin/python3 -c 'from socket import *; socket({family})'");
        assert!(!is_done(&make, ""), "{family}");
        assert_eq!(end(&make, "network = true", |_| ()), "done", "{family}");
    }
    let pair = "/usr/bin/python3 -c 'from socket import *; a, b = socketpair(); a.send(b\"x\"); b.recv(1)'";
    assert!(is_done(pair, ""));
}

#[test]
fn a_command_takes_no_more_memory_and_writes_no_larger_file_than_it_may() {
    // The limits come a moment after the command has begun.
    let begun = "while test $(ulimit -d) = unlimited; do :; done; ";
    let hog = "x=$(head -c 200M /dev/zero | tr '\\0' x); test ${#x} -gt 1000";
    assert!(is_done(&format!("{begun}{hog}"), "max_memory = \"3GiB\""));
    assert!(!is_done(&format!("{begun}{hog}"), "max_memory = \"64MiB\""));
    let seek = "head -c 1 /dev/zero | dd of=\"$2\" bs=1 seek=1M 2>/dev/null";
    let message = end(&format!("{begun}{seek}"), "max_output = \"64KiB\"", |_| ());
    assert!(message.contains("bash"), "{message}");
    let limits = "test $(ulimit -d) = 65536 && test $(ulimit -c) = 0 && test $(ulimit -n) = 1024";
    assert!(is_done(
        &format!("{begun}{limits}"),
        "max_memory = \"64MiB\""
    ));
}
