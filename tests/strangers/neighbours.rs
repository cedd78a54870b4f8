//! What other users of the host could do to the data directory, and what is kept of it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::binary::{ANY, Binary};
use crate::files::{end, is_traced_to_the_end, sound, upload};
use crate::http;

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A server that can't start, and what it says.
fn refused(mut command: Command, data: &Path) -> String {
    let any = ANY.to_string();
    let Output { status, stderr, .. } = command
        .args(["serve", "--listen", &any, "--publish", &any, "--ops", &any])
        .arg("--data")
        .arg(data)
        .output()
        .unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{text}");
    text
}

/// Everything below a path, and itself.
fn all_of(path: &Path, all: &mut Vec<PathBuf>) {
    all.push(path.to_owned());
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            all_of(&entry.unwrap().path(), all);
        }
    }
}

#[test]
fn all_that_is_kept_is_the_servers_alone_whatever_the_umask() {
    let folder = tempfile::tempdir().unwrap();
    sound(folder.path(), "a.wav");
    let sound = fs::read(folder.path().join("a.wav")).unwrap();
    let data = folder.path().join("above/data");
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        "umask 0; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_landfall"),
    ]);
    let mut server = Binary::started_by(shell, &["--data", data.to_str().unwrap()]);
    http::publish(server.publish, "job", "done", "{}");
    for (job, bytes) in [("text", &b"hello"[..]), ("sound", &sound)] {
        upload(server.public, job, "name", bytes);
        assert_eq!(end(server.public, job, deadline())["state"], "done");
    }
    upload(server.public, "bad", "name", b"\xff\xfb\x90\0bad");
    assert_eq!(end(server.public, "bad", deadline())["state"], "error");
    let mut all = Vec::new();
    all_of(data.parent().unwrap(), &mut all);
    assert!(server.stop().success());
    all_of(data.parent().unwrap(), &mut all);
    assert!(
        all.iter()
            .any(|path| path.to_str().unwrap().contains("/files/"))
    );
    for path in all {
        // What is made meanwhile may be gone.
        if let Ok(metadata) = path.symlink_metadata() {
            let private = if metadata.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(metadata.mode() & 0o777, private, "{}", path.display());
        }
    }
}

#[test]
fn what_another_user_has_is_named_as_such() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    let mut server = Binary::serve_keeping(data.to_str().unwrap(), &[]);
    assert!(server.stop().success());
    for mode in [0o700, 0o755] {
        fs::set_permissions(&data, fs::Permissions::from_mode(mode)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
        command.uid(65534).current_dir("/");
        let text = refused(command, &data);
        assert!(
            text.contains("belongs to user 0, and this is user 65534"),
            "{text}"
        );
    }
}

#[test]
fn what_another_put_into_the_data_directory_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (data, precious) = (folder.path().join("data"), folder.path().join("precious"));
    fs::create_dir_all(precious.join("0123456789abcdef0123456789abcdef")).unwrap();
    fs::create_dir(&data).unwrap();
    symlink(&precious, data.join("work")).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o1777)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::lchown(data.join("work"), Some(65534), None).unwrap();
        let text = refused(Command::new(env!("CARGO_BIN_EXE_landfall")), &data);
        assert!(text.contains("work belongs to user 65534"), "{text}");
        assert_eq!(fs::read_dir(&precious).unwrap().count(), 1);
    }
    fs::remove_file(data.join("work")).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    let mut server = Binary::serve_keeping(data.to_str().unwrap(), &[]);
    assert_eq!(data.metadata().unwrap().mode() & 0o022, 0);
    assert!(server.stop().success());
}

#[test]
fn a_link_in_the_place_of_a_segment_is_refused_and_what_it_names_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (data, precious) = (folder.path().join("data"), folder.path().join("precious"));
    fs::write(&precious, "precious").unwrap();
    let mut server = Binary::serve_keeping(data.to_str().unwrap(), &[]);
    http::publish(server.publish, "job", "done", "{}");
    assert!(server.stop().success());
    let newest = || {
        let mut all = Vec::new();
        all_of(&data.join("journal"), &mut all);
        all.retain(|path| path.extension().is_some_and(|it| it == "journal"));
        all.sort();
        all.pop().unwrap()
    };
    let segment = newest();
    let refused = || refused(Command::new(env!("CARGO_BIN_EXE_landfall")), &data);
    // In the place of one that is there, and of the one that comes next.
    let moved = segment.with_extension("moved");
    fs::rename(&segment, &moved).unwrap();
    symlink(&precious, &segment).unwrap();
    assert!(refused().contains("symbolic link"));
    fs::remove_file(&segment).unwrap();
    fs::rename(&moved, &segment).unwrap();
    let number: u32 = segment
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let next = segment.with_file_name(format!("{:010}.journal", number + 1));
    symlink(&precious, &next).unwrap();
    assert!(refused().contains("symbolic link"));
    fs::remove_file(&next).unwrap();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    let mut server = Binary::serve_keeping(data.to_str().unwrap(), &[]);
    assert!(server.stop().success());
}

#[test]
fn what_is_made_in_the_data_directory_outlives_a_power_cut() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let (data, trace) = (folder.join("data"), folder.join("trace"));
    let mut strace = Command::new("strace");
    strace
        .args(["-D", "-f", "-y", "--seccomp-bpf", "-s", "1024"])
        .args(["-e", "trace=mkdir,mkdirat,open,openat,fsync", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_landfall"));
    let mut server = Binary::started_by(strace, &["--data", data.to_str().unwrap()]);
    upload(server.public, "a", "name", b"hello");
    assert_eq!(end(server.public, "a", deadline())["state"], "done");
    let pid = server.pid();
    assert!(server.stop().success());
    let text = is_traced_to_the_end(&trace, pid, deadline());
    let lines: Vec<&str> = text.lines().collect();
    let mut made = 0;
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        let quoted = format!("\"{}\"", path.display());
        let is_made = |line: &&str| {
            let creates = line.contains("mkdir") || line.contains("O_CREAT");
            creates && line.contains(&quoted) && !line.contains("= -1")
        };
        let Some(at) = lines.iter().position(is_made) else {
            continue;
        };
        made += 1;
        let synced = format!("<{}>", data.display());
        let is_synced = |line: &&str| line.contains("fsync(") && line.contains(&synced);
        assert!(lines[at..].iter().any(is_synced), "{}", path.display());
    }
    assert!(made >= 5, "{made} of {data:?}");
}
