//! The file layer below the journal: the little that it asks of a file system, so that a
//! test can stand in for one that fails, or that loses what it wasn't told to keep.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::sys::private;
use crate::sys::random::Random;

/// How many bytes of a boot are the kernel's.
const BOOT_BYTES: usize = 12;

/// A directory of files. Every call blocks.
pub trait Files: Send + Sync {
    /// The names and sizes of the files there are.
    ///
    /// # Errors
    /// The file system's.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;
    /// Opens a file to read and write it; creates it, or empties it, where it is `new`.
    ///
    /// # Errors
    /// The file system's; [`ErrorKind::InvalidInput`] where the name is another thing's than
    /// a file's.
    fn open(&self, name: &str, new: bool) -> io::Result<Arc<dyn File>>;
    /// Gives a file another name, in place of the file that has it.
    ///
    /// # Errors
    /// The file system's.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// The file system's.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Returns when the names are on the medium: fsync of the directory.
    ///
    /// # Errors
    /// The file system's.
    fn sync_names(&self) -> io::Result<()>;
    /// The kernel's boot: what was written before it and not synced may be lost. A new one
    /// every time where it isn't told, so that no end is taken for harmless. The last four bytes
    /// may be of the place where the files are.
    fn boot(&self) -> [u8; 16] {
        kernel_boot()
    }
}

/// Whether the host went on from one boot to the other, wherever the files were.
pub fn is_same_boot(one: [u8; 16], other: [u8; 16]) -> bool {
    one[..BOOT_BYTES] == other[..BOOT_BYTES]
}

fn kernel_boot() -> [u8; 16] {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: Vec<u8> = text
        .bytes()
        .filter_map(|byte| (byte as char).to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    let mut random = Random::new();
    std::array::from_fn(|index| match digits.get(index * 2..index * 2 + 2) {
        Some(&[high, low]) => high << 4 | low,
        _ => random.next() as u8,
    })
}

/// An open file. Every call blocks.
pub trait File: Send + Sync {
    /// Writes all of `bytes` at `offset`, or an error, after which any part of them may
    /// be there.
    ///
    /// # Errors
    /// The file system's.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Reads up to `into.len()` bytes; fewer at the end only.
    ///
    /// # Errors
    /// The file system's.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Cuts the file off.
    ///
    /// # Errors
    /// The file system's.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Returns when what was written is on the medium: fdatasync.
    ///
    /// # Errors
    /// The file system's.
    fn sync(&self) -> io::Result<()>;
    /// The next sync has begun: what is written from here on isn't part of it.
    #[cfg(test)]
    fn begin_sync(&self) {}
}

/// A directory on disk.
pub struct Directory(PathBuf);

impl Directory {
    /// The directory at `path`, which is created where it isn't there, for its owner alone.
    ///
    /// # Errors
    /// It can't be created.
    pub fn new(path: &Path) -> io::Result<Directory> {
        private::create_directory(path)?;
        Ok(Directory(path.to_owned()))
    }

    fn open_with(&self, name: &str, options: &mut fs::OpenOptions) -> io::Result<fs::File> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = options
            .custom_flags(flags.bits() as i32)
            .open(self.0.join(name))
            .map_err(|error| match error.raw_os_error() {
                Some(code) if code == Errno::LOOP.raw_os_error() => no_file("a symbolic link"),
                _ => error,
            })?;
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(no_file("no file"))
        }
    }
}

impl Files for Directory {
    /// A copy of the directory is another place, also where it takes the first one's name or is
    /// a snapshot of the whole volume: it may be older than what was written to that.
    fn boot(&self) -> [u8; 16] {
        let place = fs::metadata(&self.0).map_or(0, |directory| {
            let created = directory.created().ok();
            let age = created.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            directory.ino()
                ^ directory.dev().rotate_left(32)
                ^ age.map_or(0, |age| age.as_nanos() as u64)
        });
        let place = (place >> 32) as u32 ^ place as u32;
        let mut boot = kernel_boot();
        boot[BOOT_BYTES..].copy_from_slice(&place.to_be_bytes());
        boot
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                files.push((name, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn open(&self, name: &str, new: bool) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(new).truncate(new);
        match self.open_with(name, options.mode(0o600)) {
            // What is only read can be read from a file system that is read-only.
            Err(error) if !new && is_read_only(&error) => {
                let file = self.open_with(name, fs::OpenOptions::new().read(true))?;
                Ok(Arc::new(file))
            }
            file => Ok(Arc::new(file?)),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        fs::File::open(&self.0)?.sync_all()
    }
}

impl File for fs::File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < into.len() {
            match FileExt::read_at(self, &mut into[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

fn no_file(what: &str) -> io::Error {
    let message = format!("it is {what}: put the journal's own file in its place, or remove it");
    io::Error::new(ErrorKind::InvalidInput, message)
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied
    )
}
