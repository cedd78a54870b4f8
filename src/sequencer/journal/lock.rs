//! One server for each data directory, and one journal for each of its own.

use std::fs;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::sys::private;

const MODE: u32 = 0o600;
/// How often a lock that another has is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How long a journal that is open already is waited for: a process that is being started has for
/// a moment what the one that starts it has.
const PATIENCE: Duration = Duration::from_secs(1);

/// The hold on a data directory. It ends with this, or with the process.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code)] fs::File);

impl Lock {
    /// Takes the file `lock` in `directory`, which is created where it isn't there. Waits
    /// for another to let go of it, `patience` at most. Blocks.
    ///
    /// # Errors
    /// Another server has the directory, or the file can't be made.
    pub fn take(directory: &Path, patience: Duration) -> io::Result<Lock> {
        let path = directory.join("lock");
        let named = |error: io::Error| {
            let place = directory.display();
            let why = match error.raw_os_error() {
                Some(code) if code == Errno::LOOP.raw_os_error() => {
                    "lock in it is a symbolic link: remove it".to_owned()
                }
                _ => private::in_words(&path, &error).unwrap_or_else(|| error.to_string()),
            };
            io::Error::new(error.kind(), format!("data directory {place}: {why}"))
        };
        private::create_directory(directory).map_err(named)?;
        private::secure(directory).map_err(named)?;
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(&path)
            .map_err(named)?;
        // One of an earlier version is for all to read.
        let _ = file.set_permissions(fs::Permissions::from_mode(MODE));
        private::sync_directory(directory).map_err(named)?;
        match lock_within(&file, patience) {
            Err(Errno::WOULDBLOCK) => {
                let mut owner = String::new();
                let _ = file.read_to_string(&mut owner);
                let message = format!(
                    "another server has it{}: stop that one, or give each its own --data",
                    match owner.trim() {
                        "" => String::new(),
                        pid => format!(" (process {pid})"),
                    }
                );
                return Err(named(io::Error::new(ErrorKind::ResourceBusy, message)));
            }
            locked => locked.map_err(|error| named(error.into()))?,
        }
        // For whoever finds it taken; a full disk is no reason not to serve.
        let _ = file.set_len(0);
        let _ = file.rewind();
        let _ = write!(file, "{}", std::process::id());
        Ok(Lock(file))
    }
}

/// Takes a journal's directory, for as long as the file is open. Blocks for a second at most.
///
/// # Errors
/// Another journal is open there, in this process or in another.
pub fn take_journal(directory: &Path) -> io::Result<fs::File> {
    let file = fs::File::open(directory)?;
    // A file system that knows no locks is no reason not to serve.
    if lock_within(&file, PATIENCE) == Err(Errno::WOULDBLOCK) {
        let message = format!(
            "journal {}: it is open already: close that one, or give each a directory of its own",
            directory.display()
        );
        return Err(io::Error::new(ErrorKind::ResourceBusy, message));
    }
    Ok(file)
}

fn lock_within(file: &fs::File, patience: Duration) -> Result<(), Errno> {
    let began = Instant::now();
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if began.elapsed() < patience => std::thread::sleep(POLL),
            locked => return locked,
        }
    }
}

/// Whether a server has a directory now. Makes nothing.
pub fn is_held(directory: &Path) -> bool {
    let opened = fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(directory.join("lock"));
    opened.is_ok_and(|file| {
        let taken = flock(&file, FlockOperation::NonBlockingLockShared);
        taken.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_at_a_time_and_the_second_hears_who_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        let first = Lock::take(&path, Duration::ZERO).unwrap();
        let error = Lock::take(&path, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert!(error.contains("--data"), "{error}");
        drop(first);
        Lock::take(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_link_in_the_place_of_the_lock_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let other = directory.path().join("other");
        fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, directory.path().join("lock")).unwrap();
        let error = Lock::take(directory.path(), Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    }
}
