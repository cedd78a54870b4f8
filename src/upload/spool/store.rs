//! The spool's directory: every call blocks, and belongs on a plain thread.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::sys::private;
use crate::sys::private::sync_directory;
use crate::upload::{DATA, Info, UploadId};

/// How often a removal is tried.
const REMOVALS: usize = 3;

/// Where uploads lie.
#[derive(Clone, Debug)]
pub struct SpoolStore {
    root: PathBuf,
}

/// An upload that was found at start.
pub struct Remains {
    /// Its name.
    pub id: UploadId,
    /// What is known of it. None where that never got to the disk; an error where it is there
    /// and can't be read.
    pub info: io::Result<Option<Info>>,
    /// The bytes that are there.
    pub length: u64,
    /// When the last of them came.
    pub touched: SystemTime,
}

impl SpoolStore {
    /// Makes the directory if it isn't there.
    pub fn open(data: &Path) -> io::Result<SpoolStore> {
        let root = data.join("uploads");
        private::create_directory(&root)?;
        Ok(SpoolStore { root })
    }

    /// The directory of an upload.
    pub fn directory(&self, id: UploadId) -> PathBuf {
        self.root.join(id.to_string())
    }

    /// Makes an upload's directory and its empty file. With `is_kept` they are there
    /// after a power cut as well.
    pub fn create(&self, id: UploadId, info: &Info, is_kept: bool) -> io::Result<File> {
        let directory = self.directory(id);
        DirBuilder::new().mode(0o700).create(&directory)?;
        let create = || {
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(directory.join(DATA))?;
            info.write(&directory, is_kept)?;
            if is_kept {
                sync_directory(&self.root)?;
            }
            Ok(file)
        };
        let created = create();
        if created.is_err() {
            let _ = self.remove(id);
        }
        created
    }

    /// Opens an upload's file to go on at `offset`. What lies behind it was never
    /// acknowledged, and goes.
    pub fn reopen(&self, id: UploadId, offset: u64) -> io::Result<File> {
        let path = self.directory(id).join(DATA);
        let file = OpenOptions::new().write(true).open(path)?;
        if file.metadata()?.len() != offset {
            file.set_len(offset)?;
        }
        Ok(file)
    }

    /// Says of an upload that it has landed, when its bytes are on disk.
    pub fn land(&self, id: UploadId, info: &Info, file: &File) -> io::Result<()> {
        file.sync_all()?;
        info.write(&self.directory(id), true)?;
        sync_directory(&self.root)
    }

    /// Removes an upload, if it is there.
    pub fn remove(&self, id: UploadId) -> io::Result<()> {
        let directory = self.directory(id);
        let mut removed = Ok(());
        for _ in 0..REMOVALS {
            removed = std::fs::remove_dir_all(&directory);
            match removed.as_ref().map_err(io::Error::kind) {
                // Something was put there meanwhile.
                Err(io::ErrorKind::DirectoryNotEmpty) => {}
                Err(io::ErrorKind::NotFound) => return Ok(()),
                _ => break,
            }
        }
        removed
    }

    /// Whether an upload is still there.
    pub fn has(&self, id: UploadId) -> bool {
        self.directory(id).exists()
    }

    /// Everything that lies here. What isn't an upload is left alone.
    pub fn remains(&self) -> io::Result<Vec<Remains>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let directory = entry.path();
            let data = std::fs::metadata(directory.join(DATA));
            let data = data.or_else(|_| entry.metadata());
            let Ok(metadata) = data else { continue };
            found.push(Remains {
                id,
                info: Info::find(&directory),
                length: if metadata.is_file() {
                    metadata.len()
                } else {
                    0
                },
                touched: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            });
        }
        Ok(found)
    }

    /// The bytes that are free on the disk, for those who aren't root.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.root)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

/// Writes all of `bytes` at `offset`.
pub fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}
