//! How long that is what an ffmpeg is to read, where it doesn't say so itself: a list of files
//! (`-f concat -i list.txt`), or any file where it says less (`-v error`). ffprobe says it of each.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::progress::Material;
use crate::sys::thread;

/// The longest list that is read, in bytes.
const LIST_MAX_BYTES: u64 = 1 << 20;

/// Measures it while the command runs: until then seconds are told.
pub fn measure(unmeasured: Vec<Material>) {
    if unmeasured.is_empty() {
        return;
    }
    // Where there can be no thread, seconds are told.
    let _ = thread::start("measure", move || {
        for material in unmeasured {
            let path = Path::new(&material.path);
            let us = match material.chained() {
                Some(mut files) => files.try_fold(0, |all, file| {
                    Some(file_us(Path::new(file))?.saturating_add(all))
                }),
                None if material.is_list => list_us(path),
                None => file_us(path),
            };
            us.into_iter().for_each(|us| material.put(us));
        }
    });
}

fn list_us(path: &Path) -> Option<u64> {
    let text = read(path).ok()?;
    let folder = path.parent()?;
    Material::length_of_list(&text, |file| file_us(&folder.join(file)))
}

/// What stands in a file, if it is one that can be read to its end.
fn read(path: &Path) -> io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut text = String::new();
    let length = File::open(path)?
        .take(LIST_MAX_BYTES + 1)
        .read_to_string(&mut text)?;
    if length as u64 > LIST_MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// How long a file is when it is played, as ffprobe says. It opens no other.
fn file_us(path: &Path) -> Option<u64> {
    if !path.is_file() {
        return None;
    }
    // So that no part of its name is taken for a protocol.
    let mut name = OsString::from("file:");
    name.push(path);
    let output = Command::new("ffprobe")
        .args(["-v", "quiet", "-protocol_whitelist", "file"])
        .args(["-show_entries", "format=duration", "-of", "csv=p=0", "-i"])
        .arg(name)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let seconds: f64 = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    (seconds > 0.0 && seconds < 1e9).then_some((seconds * 1e6) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_list_that_can_be_read_has_no_length() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("long");
        std::fs::write(&long, "file a\nduration 5\n".repeat(60_000)).unwrap();
        let short = folder.path().join("short");
        std::fs::write(&short, "file a\nduration 5\n").unwrap();
        assert_eq!(list_us(&short), Some(5_000_000));
        for path in [&long, folder.path(), Path::new("/dev/zero"), Path::new("")] {
            assert_eq!(list_us(path), None, "{}", path.display());
        }
    }
}
