//! Files that are there whole or not at all, also after a power cut.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::private;

/// Writes a file by way of `path.tmp`, and returns when it will survive a power cut.
/// Blocks for the disk.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, true)?;
    sync_folder_of(path)
}

/// The same but for the power cut: it survives the end of the process alone.
pub fn write_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, false)
}

/// Renames, and returns when that will survive a power cut.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder_of(from)?;
    sync_folder_of(to)
}

/// Makes a folder that only this user can look into, and those above it.
pub fn create_folder(path: &Path) -> io::Result<()> {
    private::create_directory(path)
}

/// Makes sure that what was created in, renamed to or removed from the folder that holds
/// `path` survives a power cut.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    private::sync_directory(folder)
}

/// Removes a folder and all in it; that it isn't there is as good.
pub fn remove_folder(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            error!("{}: can't be removed: {error}", path.display());
        }
        _ => {}
    }
}

/// What an I/O error means to a person, without its number.
pub fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DISK_FULL.to_owned(),
        _ => {
            let text = error.to_string();
            let words = text.split(" (os error ").next();
            words.unwrap_or_default().to_owned()
        }
    }
}

/// What is said where there is no room.
pub const DISK_FULL: &str = "the disk is full: make room, then retry";

fn replace(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let written = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(temporary)?;
        file.write_all(bytes)?;
        if sync {
            file.sync_all()?;
        }
        fs::rename(temporary, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(temporary);
    }
    written
}
