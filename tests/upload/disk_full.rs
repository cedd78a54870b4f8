//! A disk that is full.

use std::path::Path;
use std::process::Command;

use super::support::{House, bytes, wait_until};

/// A file system of 8 MiB, in memory. None where this process may not mount one.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Option<Disk> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "landfall-test"])
            .arg(folder.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("skipped: a tmpfs can't be mounted, which takes root");
            return None;
        }
        Some(Disk(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let head = format!("{:x}\r\n", body.len());
    [head.as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
}

#[test]
fn an_upload_that_would_not_fit_is_507_before_and_while_it_comes_and_leaves_nothing() {
    let Some(disk) = Disk::mount() else { return };
    let house = House::on(&disk.path().join("data"), &["--min-free", "1MiB"]);
    let body = bytes(1, 12 << 20);
    let known = house.post("a", &body);
    assert_eq!(known.status, 507, "{}", known.text());
    let fields = ["Transfer-Encoding: chunked"];
    let unknown = house
        .send("POST", "/api/uploads?job=b", &fields, &chunked(&body))
        .answer();
    assert_eq!(unknown.status, 507, "{}", unknown.text());
    assert!(unknown.error().contains("disk"));
    house.wait_for_empty_spool();
    assert_eq!(house.ended("b")["lastEvent"]["data"]["stage"], "uploading");
    // There is room again.
    assert_eq!(house.post("c", &body[..100_000]).status, 201);
    assert!(house.stored("c") == body[..100_000]);
}

#[test]
fn a_resumable_upload_keeps_what_fits_and_goes_on_when_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    let house = House::on(&disk.path().join("data"), &["--min-free", "64KiB"]);
    let body = bytes(2, 4 << 20);
    let upload = house.begin(body.len(), &["Upload-Metadata: job YQ=="]);
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 6 << 20]).unwrap();
    let answer = house.patch(&upload, 0, &[], &body);
    assert_eq!(answer.status, 507, "{}", answer.text());
    let offset = house.offset(&upload);
    assert!(offset < body.len());
    std::fs::remove_file(&ballast).unwrap();
    let rest = house.patch(&upload, offset, &[], &body[offset..]);
    assert_eq!(rest.status, 204, "{}", rest.text());
    assert!(house.stored("a") == body);
}

#[test]
fn the_log_has_a_line_when_the_disk_fails_and_one_when_it_works_again() {
    let Some(disk) = Disk::mount() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    // The events have a disk of their own, and go on.
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink(disk.path(), data.join("uploads")).unwrap();
    let house = House::logging(&data, &log, &["--min-free", "1"]);
    let upload = |length: usize| {
        let fields = ["Transfer-Encoding: chunked"];
        let body = chunked(&bytes(3, length));
        house
            .send("POST", "/api/uploads", &fields, &body)
            .answer()
            .status
    };
    for _ in 0..2 {
        // What has come is removed before the answer.
        assert_eq!([upload(12 << 20), upload(12 << 20)], [507; 2]);
        assert_eq!([upload(1000), upload(1000)], [201; 2]);
    }
    let full = "No space left on device (os error 28): they fail until the disk works";
    let said = [full, "the disk works again", full, "the disk works again"];
    // A thread of its own writes the log.
    wait_until("the log is written", || {
        let log = std::fs::read_to_string(&log).unwrap();
        let lines = log.lines();
        let lines = lines.filter_map(|line| Some(line.split_once(" uploads: ")?.1));
        lines.eq(said)
    });
}
