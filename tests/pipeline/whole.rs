//! The whole journey through the real binary: uploaded, processed, stored, downloaded.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::house::House;
use crate::support::{PATIENCE, is_alive, wait_until};

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// Random numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

#[test]
fn a_video_is_uploaded_by_curl_and_by_a_form_transcoded_stored_and_downloaded() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::start(folder.path(), "", &["--downloads"]);
    let video = folder.path().join("clip.mkv");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=duration=3"])
        .args(["-c:v", "mpeg4"])
        .arg(&video)
        .status()
        .expect("ffmpeg is missing: scripts/test installs it");
    assert!(made.success());
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "--fail-with-body"])
            .args(arguments)
            .output();
        let output = output.expect("curl is missing: scripts/test installs it");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let uploads = format!("http://{}/api/uploads", house.public);
    let body = format!("@{}", video.display());
    curl(&[
        "--data-binary",
        &body,
        "-H",
        "Content-Type: video/x-matroska",
        &format!("{uploads}?name=clip.mkv&job=by-curl"),
    ]);
    let file = format!("file={body};type=video/x-matroska");
    curl(&["-F", "job=by-form", "-F", &file, &uploads]);
    for job in ["by-curl", "by-form"] {
        let events = house.events(job);
        let stages: Vec<_> = events
            .iter()
            .filter_map(|data| data["stage"].as_str())
            .collect();
        let mut once = stages.clone();
        once.dedup();
        once.retain(|stage| *stage != "queued");
        assert_eq!(
            once,
            ["uploading", "scanning", "transcoding", "storing"],
            "{events:#?}"
        );
        let overall: Vec<_> = events
            .iter()
            .filter_map(|data| data["overall"].as_f64())
            .collect();
        assert!(overall.is_sorted(), "{overall:?}");
        let done = events.last().unwrap();
        assert_eq!(
            (&done["name"], &done["contentType"]),
            (&"clip.mp4".into(), &"video/mp4".into())
        );
        let stored = curl(&[&format!("http://{}/api/jobs/{job}/file", house.public)]);
        assert_eq!(sha256(&stored), done["digest"]);
        assert_eq!(stored.len() as u64, done["size"].as_u64().unwrap());
    }
    house.is_clean();
}

#[test]
fn a_video_by_tus_cut_off_three_times_and_killed_once_is_transcoded_and_stored() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::start(folder.path(), "", &["--downloads"]);
    let video = folder.path().join("clip.avi");
    // Without compression, so that there is something to cut.
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=duration=4"])
        .args(["-c:v", "rawvideo", "-pix_fmt", "yuv420p"])
        .arg(&video)
        .status()
        .expect("ffmpeg is missing: scripts/test installs it");
    assert!(made.success());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/upload/tus.mjs");
    let mut node = Command::new("node")
        .args([
            script,
            &house.public.to_string(),
            video.to_str().unwrap(),
            "by-tus",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is missing: scripts/test installs it");
    let mut answers = node.stdin.take().unwrap();
    let lines = BufReader::new(node.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines.map(Result::unwrap) {
        if line == "want restart" {
            house.kill_and_revive();
            writeln!(answers, "done").unwrap();
        } else {
            said.push(line);
        }
    }
    assert!(node.wait().unwrap().success(), "{said:?}: run scripts/test");
    assert_eq!(said, ["cuts 3, restarts 1, uploads 1"]);
    let done = house.end("by-tus", "done");
    assert_eq!(
        (&done["name"], &done["contentType"]),
        (&"clip.mp4".into(), &"video/mp4".into())
    );
    assert!(
        (done["mediaSeconds"].as_f64().unwrap() - 4.0).abs() < 0.5,
        "{done}"
    );
    let (status, stored) = house
        .ask(house.public, "GET /api/jobs/by-tus/file", b"")
        .unwrap();
    assert_eq!(status, 200);
    assert_eq!(sha256(&stored), done["digest"]);
    house.is_clean();
}

#[test]
fn delete_cancels_and_retry_is_another_attempt_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "[[stage]]\nname = 'gate'\nconcurrency = 2\nrun = ['sh', '-c', \
                'echo $$ >$LANDFALL_WORK/../../../$LANDFALL_JOB.pid; case $LANDFALL_JOB in \
                cancelled) exec sleep 1000;; esac; test -e $LANDFALL_WORK/../../../go']\n";
    let house = House::start(folder.path(), toml, &[]);
    let ask = |request: &str| house.ask(house.publish, request, b"x").unwrap();
    assert_eq!(ask("POST /api/uploads?job=cancelled").0, 201);
    let pid = house.data.join("cancelled.pid");
    wait_until("the command runs", || {
        fs::read(&pid).is_ok_and(|pid| !pid.is_empty())
    });
    let pid = fs::read_to_string(&pid).unwrap();
    assert_eq!(ask("DELETE /api/jobs/cancelled").0, 204);
    wait_until("the command has ended", || !is_alive(&pid));
    house.is_clean();
    assert_eq!(ask("DELETE /api/jobs/cancelled").0, 410);

    assert_eq!(ask("POST /api/uploads?job=failed").0, 201);
    let error = house.end("failed", "error");
    assert_eq!(
        (&error["stage"], &error["attempt"]),
        (&"gate".into(), &1.into())
    );
    fs::write(house.data.join("go"), "").unwrap();
    let (status, body) = ask("POST /api/jobs/failed/retry");
    assert_eq!(status, 202);
    let begun: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&begun["jobId"], &begun["attempt"]),
        (&"failed".into(), &2.into())
    );
    assert!(begun["id"].is_u64(), "{begun}");
    assert_eq!(house.end("failed", "done")["attempt"], 2);
    assert_eq!(ask("POST /api/jobs/failed/retry").0, 404);
    house.is_clean();
}

#[test]
fn a_stop_ends_the_commands_and_the_next_life_begins_their_stage_anew() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "[[stage]]\nname = 'gate'\ngrace = '60s'\nrun = ['sh', '-c', \
                'echo $$ >$LANDFALL_WORK/../../../pid; \
                while ! test -e $LANDFALL_WORK/../../../go; do sleep 0.02; done']\n";
    let house = House::start(folder.path(), toml, &["--drain", "60s"]);
    house
        .ask(house.public, "POST /api/uploads?job=j", b"x")
        .unwrap();
    let pid = house.data.join("pid");
    wait_until("the command runs", || {
        fs::read(&pid).is_ok_and(|pid| !pid.is_empty())
    });
    let pid = fs::read_to_string(&pid).unwrap();
    assert!(house.stop() < Duration::from_secs(45));
    assert!(!is_alive(&pid));
    house.revive();
    fs::write(house.data.join("go"), "").unwrap();
    house.end("j", "done");
    let events = house.events("j");
    assert_eq!(
        events
            .iter()
            .filter(|data| data["restarted"] == true)
            .count(),
        1,
        "{events:#?}"
    );
    house.is_clean();
}

#[test]
fn whatever_is_acknowledged_is_done_although_the_server_is_killed_at_any_moment() {
    const UPLOADS: usize = 50;
    let seed = std::process::id().into();
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let toml = "[[stage]]\nname = 'scanning'\n[[stage]]\nname = 'copy'\nconcurrency = 4\n\
                run = ['sh', '-c', 'cat \"$1\" >\"$2\"; sleep 0.05; echo 50%; echo more >>\"$2\"', \
                'sh', '{input}', '{output}']\n[[stage]]\nname = 'storing'\n";
    let house = House::start(folder.path(), toml, &["--upload-rate", "100000"]);
    let acknowledged = Mutex::new(HashMap::new());
    let next = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    // A slow machine has time for what it does.
    let begun = Instant::now();
    let request = "POST /api/uploads?name=a&job=typical";
    house
        .ask(house.public, request, &vec![b'x'; 300_000])
        .unwrap();
    let most = 250 + 4 * begun.elapsed().as_millis() as u64;
    let mut kills = 0;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let is_enough = acknowledged.lock().unwrap().len() >= UPLOADS;
                    if is_enough || begun.elapsed() > 4 * PATIENCE {
                        is_over.store(true, Ordering::Release);
                        return;
                    }
                    let mut dice = Dice(seed + number as u64 + 1);
                    let length = dice.below(300_000);
                    let bytes: Vec<u8> = (0..length).map(|_| dice.below(256) as u8).collect();
                    let job = format!("job-{number}");
                    let request = format!("POST /api/uploads?name=a&job={job}");
                    if let Ok((201, _)) = house.ask(house.public, &request, &bytes) {
                        let digest = sha256(&[&bytes, &b"more\n"[..]].concat());
                        acknowledged.lock().unwrap().insert(job, digest);
                    }
                }
            });
        }
        let mut dice = Dice(seed);
        while !is_over.load(Ordering::Acquire) || kills < 10 {
            std::thread::sleep(Duration::from_millis(dice.below(most)));
            house.kill_and_revive();
            kills += 1;
        }
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    println!("{} acknowledged, {kills} kills", acknowledged.len());
    assert!(acknowledged.len() >= UPLOADS);
    for (job, digest) in &acknowledged {
        let done = house.end(job, "done");
        assert_eq!(done["digest"], *digest, "{job}: {done}");
        let digits = digest.strip_prefix("sha256:").unwrap();
        let stored = house.data.join("files").join(&digits[..2]).join(digits);
        assert_eq!(sha256(&fs::read(stored).unwrap()), *digest);
    }
    house.is_clean();
}
