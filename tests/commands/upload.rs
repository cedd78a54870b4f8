//! Files that are uploaded.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tempfile::TempDir;

use super::hub::{Hub, landfall, text, wait_until};
use super::process::Start;
use super::terminal::Terminal;

/// A hub that keeps what it is sent, and files to send it.
struct House {
    folder: TempDir,
    hub: Hub,
}

impl House {
    fn new(flags: &[&str]) -> House {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("stages.toml");
        fs::write(&config, "[[stage]]\nname = 'storing'\nto = 'files'\n").unwrap();
        let config = format!("--config={}", config.display());
        let flags = [&[&*config, "--downloads"], flags].concat();
        let hub = Hub::keeping(&folder.path().join("data"), &flags);
        House { folder, hub }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn upload(&self, arguments: &[&str], files: &[&Path]) -> Command {
        let mut command = self.hub.command(["upload"]);
        command.env("XDG_STATE_HOME", self.folder.path().join("state"));
        command.args(arguments).args(files).stdin(Stdio::null());
        command
    }

    /// What has become of a job's file.
    fn stored(&self, job: &str) -> Vec<u8> {
        assert_eq!(self.hub.events(job).last().unwrap().0, "done");
        let address = self.hub.address.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!("GET /api/jobs/{job}/file HTTP/1.1\r\nHost: localhost\r\n");
        write!(stream, "{head}Connection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        answer.split_off(end + 4)
    }

    fn remembered(&self) -> usize {
        let folder = self.folder.path().join("state/landfall/uploads");
        fs::read_dir(folder).map_or(0, |entries| entries.count())
    }
}

/// Bytes that aren't alike.
fn bytes(count: usize) -> Vec<u8> {
    (0..count as u32 / 4)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

#[test]
fn files_are_sent_and_the_names_of_their_jobs_are_printed_a_line_each() {
    let house = House::new(&[]);
    let contents = [bytes(3_000_000), b"x".to_vec(), Vec::new()];
    let files = [
        ("clip one.mp4", &contents[0]),
        ("é.txt", &contents[1]),
        ("empty", &contents[2]),
    ];
    let files = files.map(|(name, content)| house.file(name, content));
    let output = house
        .upload(&[], &[&files[0], &files[1], &files[2]])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stderr), "", "there is no terminal to draw on");
    let jobs: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(jobs.len(), 3);
    for (job, content) in jobs.iter().zip(&contents) {
        assert!(house.stored(job) == *content, "{job}");
    }
    let done = house.hub.events(jobs[0]).pop().unwrap().1;
    assert_eq!(done["name"], "clip one.mp4");
    assert_eq!(house.remembered(), 0);

    let output = house
        .upload(&["--job", "mine"], &[&files[1]])
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "mine\n");
    assert_eq!(house.stored("mine"), b"x");
}

#[test]
fn what_breaks_off_goes_on_where_it_was() {
    let house = House::new(&[]);
    let content = bytes(8_000_000);
    let file = house.file("clip.mp4", &content);
    // A way to the hub that breaks every 2 MB.
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap().to_string();
    let hub = house
        .hub
        .address
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    let passed = Arc::new(AtomicU64::new(0));
    let count = passed.clone();
    thread::spawn(move || {
        for client in proxy.incoming() {
            let (client, hub) = (client.unwrap(), TcpStream::connect(&hub).unwrap());
            let (mut from_hub, mut to_client) =
                (hub.try_clone().unwrap(), client.try_clone().unwrap());
            let count = count.clone();
            thread::spawn(move || {
                let _ = std::io::copy(&mut from_hub, &mut to_client);
                let _ = to_client.shutdown(std::net::Shutdown::Write);
            });
            thread::spawn(move || {
                let sent = std::io::copy(&mut (&client).take(2_000_000), &mut &hub).unwrap_or(0);
                count.fetch_add(sent, Ordering::AcqRel);
                let _ = client.shutdown(std::net::Shutdown::Both);
                let _ = hub.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    let mut upload = house.upload(&["--job=a"], &[&file]);
    let output = upload.env("LANDFALL_HUB", address).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        text(&output.stderr).contains("landfall upload: clip.mp4: "),
        "{output:?}"
    );
    assert!(
        text(&output.stderr).contains("; going on in "),
        "{output:?}"
    );
    assert!(house.stored("a") == content);
    let passed = passed.load(Ordering::Acquire);
    assert!(passed < 12_000_000, "{passed} bytes were sent");
}

#[test]
fn one_that_was_killed_is_gone_on_with_by_the_same_call() {
    let house = House::new(&["--upload-bandwidth=2M"]);
    let content = bytes(8_000_000);
    let file = house.file("clip.mp4", &content);
    let mut first = house.upload(&["--job=a"], &[&file]).start();
    let has_some = || {
        let folder = house.folder.path().join("data/uploads");
        let uploads = fs::read_dir(folder).into_iter().flatten().flatten();
        let sizes = uploads.filter_map(|it| fs::metadata(it.path().join("data")).ok());
        sizes.map(|data| data.len()).sum::<u64>() > 1_000_000
    };
    wait_until("something of it", has_some);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(house.remembered(), 1);
    // Begun anew, it would be refused: the job is there.
    let output = house.upload(&["--job=a"], &[&file]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(house.stored("a") == content);
    assert_eq!(house.remembered(), 0);
    // What is remembered of an upload that is gone misleads nobody.
    let mut third = house.upload(&["--job=b"], &[&file]).start();
    wait_until("its place", || house.remembered() == 1);
    third.kill().unwrap();
    third.wait().unwrap();
    house.hub.ask("DELETE", "b");
    let output = house.upload(&["--job=b"], &[&file]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(house.stored("b") == content);
}

#[test]
fn a_file_that_becomes_shorter_meanwhile_ends_its_upload_and_its_job() {
    let house = House::new(&["--upload-bandwidth=4M"]);
    let file = house.file("clip.mp4", &bytes(40_000_000));
    let upload = house
        .upload(&["--job=a"], &[&file])
        .stderr(Stdio::piped())
        .start();
    wait_until("something of it", || {
        let snapshot = house.hub.client().snapshot(&"a".parse().unwrap());
        String::from_utf8_lossy(&snapshot.unwrap_or_default()).contains("bytes")
    });
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(1)
        .unwrap();
    let output = upload.wait_with_output();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("shorter"), "{output:?}");
    assert_eq!(house.hub.events("a").last().unwrap().0, "error");
    assert_eq!(house.remembered(), 0);
}

#[test]
fn a_file_that_is_refused_is_told_and_the_others_are_sent() {
    let house = House::new(&["--max-upload=1K"]);
    let small = house.file("small", b"small");
    let large = house.file("large", &bytes(2000));
    let output = house.upload(&[], &[&large, &small]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout).lines().count(), 1);
    let said = text(&output.stderr);
    assert!(said.starts_with("landfall upload: "), "{said}");
    assert!(
        said.contains("large: ") && said.contains("(status 413)"),
        "{said}"
    );

    house.hub.ask("PUT", "taken");
    let output = house.upload(&["--job=taken"], &[&small]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("(status 409)"), "{output:?}");
}

#[test]
fn names_that_can_not_be_printed_are_a_failure_and_every_file_is_sent() {
    let house = House::new(&[]);
    let files = [house.file("one", b"1"), house.file("two", b"2")];
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut upload = house.upload(&[], &[&files[0], &files[1]]);
    let output = upload.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("No space left"), "{output:?}");
    let output = house.hub.output(["list"]);
    let list = text(&output.stdout);
    assert_eq!(list.lines().count(), 3, "{list}");
}

#[test]
fn what_can_not_be_uploaded_is_told_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    // Nobody writes to it.
    let pipe = folder.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    let pipe = pipe.to_str().unwrap();
    for (arguments, part) in [
        (&[][..], "no file: name one or more"),
        (&["/no/such"], "FILE /no/such: No such file"),
        (&["/"], "FILE /: not a file"),
        (&["/dev/null"], "FILE /dev/null: not a file"),
        (&[pipe], "not a file"),
        (&["--job=a", file, file], "--job names one job"),
        (&["--job=a b", file], "--job a b: "),
    ] {
        let output = landfall(["upload"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(part), "{output:?}");
    }
    let mut away = landfall(["upload", file]);
    let output = away.env("LANDFALL_HUB", "unix:/nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("is landfall serve running?"),
        "{output:?}"
    );
    let output = Hub::start().output(["upload", file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("start the server with --data DIR"),
        "{output:?}"
    );
}

#[test]
fn a_bar_is_drawn_in_a_terminal_and_the_last_draw_is_the_end() {
    let house = House::new(&["--upload-bandwidth=8M"]);
    let file = house.file("clip.mp4", &bytes(4_000_000));
    let upload = house.upload(&["--job=a"], &[&file]);
    let mut terminal = Terminal::run(&upload, 70, 10);
    terminal.wait_for("bar", |lines| {
        let line = lines.first().map_or("", |line| line);
        line.starts_with("clip.mp4 [=") && line.contains(" of 3.8 MiB")
    });
    assert!(terminal.end().success());
    let lines = terminal.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let end = &lines[0];
    assert!(
        end.starts_with("clip.mp4 [=====================] 100% 3.8 MiB of"),
        "{end}"
    );
    assert!(end.ends_with('✓'), "{end}");
    assert_eq!(lines[1], "a");
    assert!(terminal.written().contains("\u{1b}[32m ✓"), "it is green");
}
