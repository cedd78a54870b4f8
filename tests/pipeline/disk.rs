//! A disk that is full: a small tmpfs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use landfall::config::PipelineConfig;

use crate::support::Plant;

/// A small file system of its own, while it lives.
struct Disk(PathBuf);

impl Disk {
    /// None where this user can't mount one.
    fn new(folder: &Path, size: &str) -> Option<Disk> {
        let place = folder.join("disk");
        fs::create_dir(&place).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&place)
            .status()
            .expect("mount is missing");
        mounted.success().then_some(Disk(place))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_an_error_that_says_so_and_a_retry_with_room_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::new(folder.path(), "8m") else {
        panic!("a tmpfs can't be mounted: run the tests as root");
    };
    let toml = "[[stage]]\nname = 'scanning'\n[[stage]]\nname = 'double'\n\
                run = ['sh', '-c', 'cat \"$1\" \"$1\" >\"$2\"', 'sh', '{input}', '{output}']\n\
                [[stage]]\nname = 'storing'\n";
    let plant = Plant::on(&disk.0.join("data"), toml, PipelineConfig::default());
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![0; 3 << 20]).unwrap();
    let job = plant.land("j", "a", &vec![b'x'; 2 << 20]);
    let told = plant.end(&job, "error");
    let error = told.last().unwrap();
    assert_eq!(error.stage(), "double");
    assert!(error.message().contains("the disk is full"), "{error:?}");
    assert_eq!(error.data["retryable"], true);
    plant.is_clean(1);

    fs::remove_file(&ballast).unwrap();
    assert_eq!(plant.retry(&job), Ok(2));
    let told = plant.end(&job, "done");
    assert_eq!(told.last().unwrap().data["size"], 4 << 20);
    plant.is_clean(0);
}

#[test]
fn storing_on_another_disk_that_is_full_says_so_and_leaves_nothing_there() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::new(folder.path(), "1m") else {
        panic!("a tmpfs can't be mounted: run the tests as root");
    };
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink(&disk.0, data.join("files")).unwrap();
    let toml = "[[stage]]\nname = 'storing'\nretries = 0\n";
    let plant = Plant::on(&data, toml, PipelineConfig::default());
    let job = plant.land("small", "a", &vec![b'x'; 100_000]);
    plant.end(&job, "done");
    let job = plant.land("large", "a", &vec![b'x'; 2 << 20]);
    let told = plant.end(&job, "error");
    let message = told.last().unwrap().message();
    assert!(message.contains("the disk is full"), "{message}");
    plant.is_clean(1);
}
