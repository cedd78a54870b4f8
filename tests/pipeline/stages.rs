//! The built-in stages: scanning, transcoding with the real ffmpeg, and storing.

use std::fs;
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{Plant, Told};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0";

fn scanning(more: &str) -> String {
    format!("[[stage]]\nname = \"scanning\"\n{more}\n[[stage]]\nname = \"storing\"\n")
}

fn done(told: &[Told]) -> &Value {
    &told.last().unwrap().data
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A video or a sound, made by ffmpeg.
fn media(arguments: &str, name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(arguments.split_ascii_whitespace())
        .arg(name)
        .current_dir(&folder)
        .status()
        .expect("ffmpeg is missing: scripts/test installs it");
    assert!(made.success());
    fs::read(folder.path().join(name)).unwrap()
}

#[test]
fn a_file_is_stored_by_its_content_and_once_only() {
    let plant = Plant::new(&scanning(""));
    let one = plant.land("one", "a.png", PNG);
    let told = plant.end(&one, "done");
    let one = done(&told);
    let digest = sha256(PNG);
    assert_eq!(one["digest"], format!("sha256:{digest}"));
    assert_eq!(one["contentType"], "image/png");
    assert_eq!(one["malware"], "not scanned");
    assert_eq!(
        (&one["name"], &one["size"]),
        (&"a.png".into(), &PNG.len().into())
    );
    let two = plant.land("two", "b.png", PNG);
    let told = plant.end(&two, "done");
    assert_eq!(done(&told)["name"], "b.png");
    let path = format!("files/{}/{digest}", &digest[..2]);
    assert_eq!(plant.read(&path), PNG);
    plant.is_clean(0);
    let folder = plant.data.join("files").join(&digest[..2]);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);

    // A damaged one is replaced.
    fs::remove_file(plant.data.join(&path)).unwrap();
    fs::write(plant.data.join(&path), b"torn").unwrap();
    let three = plant.land("three", "c.png", PNG);
    plant.end(&three, "done");
    assert_eq!(plant.read(&path), PNG);
}

#[test]
fn an_empty_file_is_a_file() {
    let plant = Plant::new(&scanning(""));
    let job = plant.land("j", "", b"");
    let told = plant.end(&job, "done");
    assert_eq!(done(&told)["size"], 0);
    assert_eq!(done(&told)["contentType"], "application/octet-stream");
}

#[test]
fn another_type_than_was_declared_is_told_or_refused() {
    let plant = Plant::new(&scanning(""));
    let job = plant.land_as("j", "a.png", Some("image/png"), b"<!DOCTYPE html><script>");
    let told = plant.end(&job, "done");
    assert_eq!(done(&told)["contentType"], "text/html");
    assert_eq!(done(&told)["declaredType"], "image/png");

    let plant = Plant::new(&scanning("mismatch = \"refuse\""));
    let job = plant.land_as("j", "a.png", Some("image/png"), b"<!DOCTYPE html><script>");
    let told = plant.end(&job, "error");
    let message = told.last().unwrap().message();
    assert!(
        message.contains("image/png") && message.contains("text/html"),
        "{message}"
    );
    let job = plant.land_as("k", "a.png", Some("image/png"), PNG);
    plant.end(&job, "done");
}

#[test]
fn types_and_sizes_that_are_not_taken_are_refused_with_what_is() {
    let plant = Plant::new(&scanning("types = [\"image/*\"]\nmax_size = \"100\""));
    let job = plant.land("text", "a", b"hello");
    let told = plant.end(&job, "error");
    let message = told.last().unwrap().message();
    assert!(
        message.contains("text/plain") && message.contains("image/*"),
        "{message}"
    );
    let job = plant.land("large", "a", &[0; 101]);
    let told = plant.end(&job, "error");
    let message = told.last().unwrap().message();
    assert!(
        message.contains("101") && message.contains("max_size"),
        "{message}"
    );
    let job = plant.land("fits", "a", PNG);
    plant.end(&job, "done");
}

#[test]
fn a_file_that_changes_after_it_was_scanned_is_not_stored() {
    let toml = "[[stage]]\nname = 'scanning'\n[[stage]]\nname = 'mine'\n\
                run = ['sh', '-c', 'echo more >>\"$1\"', 'sh', '{input}']\n\
                [[stage]]\nname = 'storing'\nretries = 0\n";
    let plant = Plant::new(toml);
    let job = plant.land("j", "a", b"hello");
    let told = plant.end(&job, "error");
    let error = told.last().unwrap();
    assert!(error.message().contains("has changed"), "{error:?}");
    assert_eq!(error.stage(), "storing");
    plant.is_clean(1);
}

#[test]
fn a_video_is_transcoded_by_ffmpeg_with_percent_and_stored() {
    let plant = Plant::new("");
    let video = media(
        "-f lavfi -i testsrc=duration=10:size=321x181 -f lavfi -i sine=duration=10 \
         -c:v mpeg4 -c:a mp2",
        "in.mkv",
    );
    let job = plant.land_as("j", "clip.mkv", Some("video/x-matroska"), &video);
    let told = plant.end(&job, "done");
    let done = done(&told);
    assert_eq!(
        (&done["name"], &done["contentType"]),
        (&"clip.mp4".into(), &"video/mp4".into())
    );
    assert!(
        (done["mediaSeconds"].as_f64().unwrap() - 10.0).abs() < 0.5,
        "{done}"
    );
    assert!(done["durations"]["transcodingMs"].as_u64().unwrap() > 0);
    let transcoding: Vec<_> = told.iter().filter(|t| t.stage() == "transcoding").collect();
    let percents: Vec<_> = transcoding.iter().filter_map(|t| t.percent()).collect();
    assert!(percents.is_sorted(), "{percents:?}");
    assert_eq!(*percents.last().unwrap(), 100.0);
    assert!(
        percents.iter().any(|&p| p > 0.0 && p < 100.0),
        "{percents:?}"
    );
    let digest = done["digest"]
        .as_str()
        .unwrap()
        .strip_prefix("sha256:")
        .unwrap();
    let stored = plant.read(&format!("files/{}/{digest}", &digest[..2]));
    assert_eq!(sha256(&stored), digest);
    assert_eq!(stored.len() as u64, done["size"].as_u64().unwrap());
    let mut stages: Vec<_> = told.iter().map(Told::stage).collect();
    stages.retain(|stage| *stage != "queued");
    stages.dedup();
    assert_eq!(stages, ["scanning", "transcoding", "storing", ""]);
    plant.is_clean(0);
}

#[test]
fn sound_is_transcoded_too_and_a_cover_is_no_picture() {
    let plant = Plant::new("");
    let folder = tempfile::tempdir().unwrap();
    let cover = folder.path().join("cover.png");
    fs::write(
        &cover,
        media("-f lavfi -i testsrc=duration=1 -frames:v 1", "c.png"),
    )
    .unwrap();
    let arguments = format!(
        "-f lavfi -i sine=duration=2 -i {} -map 0 -map 1 -c:v copy -c:a mp3 \
         -disposition:v:0 attached_pic",
        cover.display()
    );
    let job = plant.land("j", "song.mp3", &media(&arguments, "song.mp3"));
    let told = plant.end(&job, "done");
    let done = done(&told);
    assert_eq!(done["name"], "song.m4a");
    assert_eq!(done["contentType"], "audio/m4a");
}

#[test]
fn what_cameras_and_phones_write_is_transcoded() {
    let plant = Plant::new("");
    let source = "-f lavfi -i testsrc=duration=1:size=176x144 -f lavfi -i sine=duration=1";
    for (job, name, more, kind) in [
        ("ts", "a.ts", "", "video/mp4"),
        ("m2ts", "a.m2ts", "", "video/mp4"),
        ("3gp", "a.3gp", "-an -c:v h263", "video/mp4"),
        ("caf", "a.caf", "-vn", "audio/m4a"),
    ] {
        let job = plant.land(job, name, &media(&format!("{source} {more}"), name));
        let told = plant.end(&job, "done");
        assert_eq!(done(&told)["contentType"], kind, "{name}");
    }
}

#[test]
fn what_is_no_media_is_skipped_and_the_stage_says_why() {
    let plant = Plant::new("");
    let job = plant.land("j", "a.txt", b"#EXTM3U\nfile:///etc/passwd\n");
    let told = plant.end(&job, "done");
    let skipped: Vec<_> = told
        .iter()
        .filter(|told| told.data["skipped"] == true)
        .collect();
    assert_eq!(skipped.len(), 1);
    assert_eq!(skipped[0].stage(), "transcoding");
    assert_eq!(
        skipped[0].data["reason"],
        "text/plain is neither audio nor video"
    );
    assert_eq!(done(&told)["name"], "a.txt");
}

#[test]
fn what_is_no_media_does_not_wait_for_the_transcoding_of_others() {
    // As slow as it is played, so that it takes longer than a test waits.
    let toml = "[[stage]]\nname = 'scanning'\n[[stage]]\nname = 'transcoding'\n\
                args = ['-vf', 'realtime', '-c:v', 'mpeg4']\n[[stage]]\nname = 'storing'\n";
    let plant = Plant::new(toml);
    let slow = "-f lavfi -i testsrc=duration=600:size=16x16:rate=1 -c:v mpeg4";
    let video = plant.land("video", "clip.mp4", &media(slow, "in.mp4"));
    plant.wait(&video, |told| told.stage() == "transcoding");
    let text = plant.land("text", "a.txt", b"hello");
    let told = plant.end(&text, "done");
    let waits = |told: &Told| told.stage() == "queued" && told.data["for"] == "transcoding";
    assert!(!told.iter().any(waits), "{told:?}");
    assert!(told.iter().any(|told| told.data["skipped"] == true));
    assert_eq!(plant.told(&video).last().unwrap().event, "progress");
}

#[test]
fn broken_media_is_an_error_that_says_so_and_no_path() {
    let plant = Plant::new("");
    let video = media("-f lavfi -i testsrc=duration=1 -pix_fmt yuv420p", "in.mp4");
    let job = plant.land("j", "clip.mp4", &video[..video.len() / 2]);
    let told = plant.end(&job, "error");
    let error = told.last().unwrap();
    assert_eq!(error.stage(), "transcoding");
    assert_eq!(
        error.message(),
        "this can't be read as video: Invalid data found when processing input"
    );
    assert_eq!(error.data["retryable"], false);
    plant.is_clean(1);
}

#[test]
fn ffmpegs_arguments_and_container_can_be_chosen() {
    let toml = "[[stage]]\nname = 'transcoding'\nargs = ['-c:v', 'mpeg4', '-an']\n\
                extension = 'mkv'\n[[stage]]\nname = 'storing'\n";
    let plant = Plant::new(toml);
    let video = media("-f lavfi -i testsrc=duration=1 -pix_fmt yuv420p", "in.mp4");
    let job = plant.land("j", "clip.mp4", &video);
    let told = plant.end(&job, "done");
    assert_eq!(done(&told)["contentType"], "video/x-matroska");
    assert_eq!(done(&told)["name"], "clip.mkv");
}
