//! Files that are made to have others opened, and what is opened of them.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::binary::Binary;
use crate::crafted::{self, Bait};
use crate::http;
use crate::trace;

/// How long all files together may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// With the network, so that it isn't for want of that if none is used.
const STAGES: &str = "[[stage]]\nname = 'scanning'\n[[stage]]\nname = 'transcoding'\n\
                      concurrency = 2\nnetwork = true\n[[stage]]\nname = 'storing'\n";

#[test]
fn no_file_has_ffmpeg_open_another_or_a_socket() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let bait = Bait {
        media: folder.join("secret.ts"),
        url: format!("http://{}/secret.ts", listener.local_addr().unwrap()),
        folder: folder.clone(),
    };
    sound(&folder, "secret.ts");
    fs::copy(&bait.media, folder.join("001.png")).unwrap();
    let mut files = crafted::all(&bait);
    assert!(files.len() >= 300, "{}", files.len());
    // And what is read as it should be.
    let good = [
        "good.mp3",
        "good.flac",
        "good.aac",
        "good.ogg",
        "good.wav",
        "good.m4a",
        "good.mkv",
    ];
    for name in good {
        sound(&folder, name);
        let bytes = fs::read(folder.join(name)).unwrap();
        let name = name.to_owned();
        files.push(crafted::Crafted { name, bytes });
    }
    let named = crafted::named(&bait, &fs::read(folder.join("good.mp3")).unwrap());
    let is_good = |name: &str| good.contains(&name) || named.iter().any(|it| it.name == name);
    let all = files.iter().chain(&named);

    let (data, trace) = (folder.join("data"), folder.join("trace"));
    let config = folder.join("landfall.toml");
    fs::write(&config, STAGES).unwrap();
    let mut strace = Command::new("strace");
    strace
        // By a process beside it, so that a signal reaches the server.
        .args([
            "-D",
            "-f",
            "--seccomp-bpf",
            "-s",
            "4096",
            "-e",
            trace::CALLS,
            "-o",
        ])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_landfall"));
    let (data_text, config) = (data.to_str().unwrap(), config.to_str().unwrap());
    let flags = [
        "--data",
        data_text,
        "--config",
        config,
        "--upload-rate",
        "60000",
    ];
    let mut server = Binary::started_by(strace, &flags);
    for (index, file) in all.clone().enumerate() {
        upload(server.public, &format!("j{index}"), &file.name, &file.bytes);
    }
    let deadline = Instant::now() + PATIENCE;
    let mut reached = 0;
    for (index, file) in all.enumerate() {
        let end = end(server.public, &format!("j{index}"), deadline);
        let (data, name) = (&end["lastEvent"]["data"], &file.name);
        let mut shown = end.clone();
        // What the sender called it is theirs.
        shown["lastEvent"]["data"]["name"].take();
        let text = shown.to_string();
        for path in [folder.to_str().unwrap(), "/data", "ffprobe", "ffmpeg"] {
            assert!(!text.contains(path), "{name}: {text}");
        }
        match is_good(name) {
            true => assert_eq!(data["contentType"], "audio/m4a", "{name}: {text}"),
            false if end["state"] == "error" => {
                reached += 1;
                assert_eq!(data["retryable"], false, "{name}: {text}");
            }
            false => {}
        }
    }
    assert!(reached >= 50, "{reached} files were refused by ffmpeg");
    let pid = server.pid();
    assert!(server.stop().success());
    let text = is_traced_to_the_end(&trace, pid, deadline);

    let mut seen = [0, 0];
    for run in trace::read(&text) {
        let which = ["/ffprobe", "/ffmpeg"].map(|name| run.program.ends_with(name));
        let Some(which) = which.iter().position(|is_it| *is_it) else {
            continue;
        };
        seen[which] += 1;
        // The file and the folder that are its own have the upload's name in their paths.
        let own = own_name(&run.arguments, &data).expect(&run.arguments);
        let strange = run.opened.iter().filter(|path| {
            let is_own = path.starts_with(data_text) && path.contains(&own);
            !is_own && !is_the_systems(path)
        });
        let strange: Vec<_> = strange.collect();
        assert!(strange.is_empty(), "{}: {strange:?}", run.arguments);
        assert!(
            run.sockets.is_empty(),
            "{}: {:?}",
            run.arguments,
            run.sockets
        );
        assert!(run.opened.len() > 2, "{}", run.arguments);
    }
    assert!(
        seen[0] >= 100 && seen[1] >= good.len() + named.len(),
        "{seen:?}"
    );
    let knock = listener.accept().map(|(_, from)| from);
    assert!(knock.is_err(), "{knock:?} has come");
}

/// Waits until strace has written all of a process that has ended, and returns it.
pub fn is_traced_to_the_end(trace: &Path, pid: u32, deadline: Instant) -> String {
    let is_last = |line: &str| {
        let (thread, what) = line.split_once(' ').unwrap_or_default();
        thread == pid.to_string() && what.trim_start().starts_with("+++ exited")
    };
    loop {
        let text = String::from_utf8_lossy(&fs::read(trace).unwrap()).into_owned();
        if text.lines().any(is_last) {
            return text;
        }
        assert!(Instant::now() < deadline, "strace doesn't end");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Makes a second of sound.
pub fn sound(folder: &Path, name: &str) {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "sine=d=1"])
        .arg(folder.join(name))
        .status()
        .expect("ffmpeg is missing: scripts/test installs it");
    assert!(made.success());
}

/// What a program opens to begin, whatever it works on.
fn is_the_systems(path: &str) -> bool {
    [
        "/usr/",
        "/lib/",
        "/lib64/",
        "/etc/",
        "/proc/",
        "/sys/",
        "/dev/null",
        "/dev/urandom",
    ]
    .iter()
    .any(|system| path.starts_with(system))
}

/// The name of the upload, which is the part of the input's path behind `uploads/` or `work/`.
fn own_name(arguments: &str, data: &Path) -> Option<String> {
    let begin = format!("\"-i\", \"{}/", data.display());
    let path = arguments.split(&begin).nth(1)?;
    Some(path.split('/').nth(1)?.to_owned())
}

/// Uploads a file.
pub fn upload(address: SocketAddr, job: &str, name: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    let name: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let head = format!(
        "POST /api/uploads?job={job}&name={name} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Content-Type: audio/mpeg\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    );
    stream
        .write_all(&[head.as_bytes(), bytes].concat())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

/// Waits until a job has ended, and returns its snapshot.
pub fn end(address: SocketAddr, job: &str, deadline: Instant) -> Value {
    loop {
        let snapshot = http::get(address, &format!("/api/jobs/{job}")).json();
        if snapshot["state"] != "running" {
            return snapshot;
        }
        assert!(Instant::now() < deadline, "{job} doesn't end: {snapshot}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
