//! What the guides show in a shell, and in files, as it stands there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::hub::{Hub, landfall, text};

const PUBLISHING: &str = include_str!("../../src/docs/publishing.md");
const UPLOADS: &str = include_str!("../../src/docs/uploads.md");
const SECURITY: &str = include_str!("../../src/docs/security.md");
const HTTP: &str = include_str!("../../src/docs/http.md");
const OPERATING: &str = include_str!("../../src/docs/operating.md");
const README: &str = include_str!("../../README.md");

/// Says a request's status behind its body.
const CURL: &str = "#!/bin/sh\nexec /usr/bin/curl -sS -m 60 -w ' %{http_code}\\n' \"$@\"\n";

#[test]
fn what_the_guide_on_publishing_sends_is_answered_as_it_says() {
    let requests = |block: &&str| block.starts_with("curl ") || block.starts_with("job=");
    let guide: String = blocks_of(PUBLISHING, "curl ").filter(requests).collect();
    assert!(guide.matches("\ncurl ").count() > 10, "{guide}");
    let readme: String = blocks_of(README, "Idempotency-Key").collect();
    for script in [guide, readme] {
        let folder = tempfile::tempdir().unwrap();
        answers_as_told(&Hub::start(), folder.path(), &script);
    }
}

#[test]
fn what_the_guides_on_http_and_uploads_send_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("clip.mp4"), "no clip").unwrap();
    let hub = Hub::keeping(&folder.path().join("data"), &[]);
    // A stream of all that comes has no end.
    let lists: String = blocks_of(HTTP, "/api/jobs?")
        .flat_map(str::lines)
        .filter(|line| !line.contains("-N"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let script = blocks_of(UPLOADS, "clip.mp4").collect::<String>() + &lists;
    answers_as_told(&hub, folder.path(), &script);
    let listed = hub.output(["list"]);
    let jobs = text(&listed.stdout);
    assert_eq!(jobs.lines().count(), 4, "{jobs}");
}

#[test]
fn the_keys_that_the_guide_makes_are_good_for_a_server_and_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let script = blocks_of(SECURITY, "openssl rand").collect::<String>();
    assert!(script.contains("landfall serve") && script.contains("landfall token"));
    let ports = "check --listen 127.0.0.1:0 --publish 127.0.0.1:0 --ops off --memory-only";
    let said = run(folder.path(), &script.replace("serve", ports));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], lines.len()), ("all is well", 2), "{said}");
    assert_eq!(lines[1].split('.').count(), 3, "{said}");
}

#[test]
fn the_guides_files_are_read_without_a_complaint() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    for key in ["token.key", "old.key"] {
        fs::write(file(key), "0123456789abcdef".repeat(4)).unwrap();
        fs::set_permissions(file(key), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let config = blocks_of(OPERATING, "ring-events").collect::<String>();
    let config = config
        .replace("/etc/landfall", folder.path().to_str().unwrap())
        .replace("0.0.0.0:8080", "127.0.0.1:0");
    fs::write(file("landfall.toml"), config).unwrap();
    let mut check = landfall(["check", "--publish=127.0.0.1:0", "--ops=off", "--data=data"]);
    let output = check.current_dir(&folder).output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout), "all is well\n");

    let config = blocks_of(OPERATING, "scrape_configs").collect::<String>();
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/monitoring");
    let config = config.replace("/etc/prometheus/landfall", rules);
    fs::write(file("prometheus.yml"), config).unwrap();
    let output = Command::new("promtool")
        .args(["check", "config"])
        .arg(file("prometheus.yml"))
        .output()
        .unwrap_or_else(|error| panic!("promtool: {error}: run scripts/test"));
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_backup_as_the_guide_makes_it_has_every_file_of_a_job_that_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copies) = (folder.path().join("data"), folder.path().join("copies"));
    let hub = Hub::keeping(&data, &["--downloads"]);
    fs::write(folder.path().join("clip.mp4"), "no clip").unwrap();
    let script = blocks_of(OPERATING, "tar -C").collect::<String>();
    let script = script
        .replace("/var/lib/landfall", data.to_str().unwrap())
        .replace("/backup", copies.to_str().unwrap());
    let mut script = format!("export LANDFALL_HUB={}\n{script}", hub.address);
    // Another upload is done before each part is copied.
    for (job, copying) in [("first", "\ncp -a"), ("second", "\ntar -C")] {
        let upload = format!("\nlandfall upload --job {job} clip.mp4; landfall watch {job}");
        script = script.replace(copying, &format!("{upload}{copying}"));
    }
    run(folder.path(), &script);
    drop(hub);
    let copy = fs::read_dir(&copies).unwrap().next().unwrap().unwrap();
    let hub = Hub::keeping(&copy.path(), &["--downloads"]);
    let done = hub.output(["list", "--state=done", "--json"]);
    let done: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let jobs = done["jobs"].as_array().unwrap();
    assert!(!jobs.is_empty(), "{done}");
    for job in jobs {
        let job = job["jobId"].as_str().unwrap();
        let request = format!(
            "GET /api/jobs/{job}/file HTTP/1.1\r\nHost: localhost\r\n\
                               Connection: close\r\n\r\n"
        );
        let answer = hub.raw(&request);
        assert!(answer.starts_with("HTTP/1.1 200"), "{job}: {answer}");
    }
}

/// The blocks, of whatever language, that say something.
fn blocks_of<'a>(guide: &'a str, what: &'a str) -> impl Iterator<Item = &'a str> {
    let blocks = guide.split("```").skip(1).step_by(2);
    let blocks = blocks.filter_map(|block| block.split_once('\n').map(|(_, text)| text));
    blocks.filter(move |block| block.contains(what))
}

/// Runs a script, and compares the statuses that its requests get with what it says of them.
fn answers_as_told(hub: &Hub, folder: &Path, script: &str) {
    let mut told = Vec::new();
    for line in script.lines() {
        if line.starts_with("curl ") {
            told.push("2");
        }
        if let Some((_, comment)) = line.split_once("# ")
            && let Some(status) = comment.trim_start_matches("twice ").get(..3)
            && status.bytes().all(|byte| byte.is_ascii_digit())
        {
            *told.last_mut().unwrap() = status;
        }
    }
    let script = script
        .replace("http://127.0.0.1:8081", &hub.address)
        .replace("http://127.0.0.1:8080", &hub.public);
    let said = run(
        folder,
        &format!("export LANDFALL_HUB={}\n{script}", hub.address),
    );
    let is_status = |word: &&str| word.len() == 3 && word.parse::<u16>().is_ok();
    let statuses: Vec<&str> = said
        .lines()
        .filter_map(|line| line.rsplit(' ').next().filter(is_status))
        .collect();
    assert_eq!(statuses.len(), told.len(), "{said}");
    for (status, told) in statuses.iter().zip(&told) {
        assert!(status.starts_with(told), "{told:?}: {said}");
    }
}

/// What a script prints that finds `landfall` among the commands.
fn run(folder: &Path, script: &str) -> String {
    let commands = folder.join("bin");
    fs::create_dir(&commands).unwrap();
    let program = landfall([""; 0]).get_program().to_owned();
    std::os::unix::fs::symlink(program, commands.join("landfall")).unwrap();
    fs::write(commands.join("curl"), CURL).unwrap();
    fs::set_permissions(commands.join("curl"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("bash")
        .args(["-eu", "-c", script])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", commands.display()))
        .env("XDG_STATE_HOME", folder.join("state"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout).to_owned()
}
