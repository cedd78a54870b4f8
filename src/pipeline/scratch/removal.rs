//! How folders are removed that may hold anything: by their names in a folder that is held
//! open, and through no link.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, Dir, Mode};
use rustix::io::Errno;

use super::{MOVED, Scratch, open};

/// How many names are read of a folder at a time.
const NAMES_MAX: usize = 1024;
/// How many folders within each other are open while they are removed.
const DEPTH_MAX: usize = 32;

impl Scratch {
    /// Removes what has a name in a folder, whatever it is, and however deep it goes.
    pub(super) fn remove_in(&self, folder: &dyn AsFd, name: &OsStr) -> io::Result<()> {
        if unlink(folder, name)? {
            return Ok(());
        }
        let mut left = Vec::new();
        self.remove_folder(folder, name, 0, &mut left)?;
        while let Some(name) = left.pop() {
            self.remove_folder(&self.folder, &name, 0, &mut left)?;
        }
        Ok(())
    }

    /// Removes a folder. What is too deep in it, for the stack and for the files that may be
    /// open, is moved up, and is among those that are `left`.
    fn remove_folder(
        &self,
        at: &dyn AsFd,
        name: &OsStr,
        depth: usize,
        left: &mut Vec<OsString>,
    ) -> io::Result<()> {
        let folder = open(at, name).or_else(|error| {
            // Whoever made it may have shut it.
            rustix::fs::chmodat(at, name, Mode::RWXU, AtFlags::empty())?;
            open(at, name).map_err(|_| error)
        })?;
        loop {
            let names = some_names(&folder)?;
            if names.is_empty() {
                break;
            }
            for name in names {
                if unlink(&folder, &name)? {
                    continue;
                }
                if depth < DEPTH_MAX {
                    self.remove_folder(&folder, &name, depth + 1, left)?
                } else {
                    left.push(self.move_up(&folder, &name)?)
                }
            }
        }
        Ok(rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR)?)
    }

    /// Moves a folder to where no upload's is. What is left there the next process removes.
    fn move_up(&self, folder: &dyn AsFd, name: &OsStr) -> io::Result<OsString> {
        loop {
            let number = self.gone.fetch_add(1, Ordering::Relaxed);
            let gone = OsString::from(format!("{MOVED}{number}"));
            match rustix::fs::renameat(folder, name, &self.folder, &gone) {
                Ok(()) => return Ok(gone),
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                // To be moved it is written to.
                Err(Errno::ACCESS) => {
                    let mode = Mode::RWXU;
                    rustix::fs::chmodat(folder, name, mode, AtFlags::empty())?;
                    rustix::fs::renameat(folder, name, &self.folder, &gone)?;
                    return Ok(gone);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Removes what is no folder. False: it is one.
fn unlink(at: &dyn AsFd, name: &OsStr) -> io::Result<bool> {
    match rustix::fs::unlinkat(at, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR | Errno::PERM) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Some of what is in a folder; nothing where that is empty.
fn some_names(folder: &OwnedFd) -> io::Result<Vec<OsString>> {
    names(folder).take(NAMES_MAX).collect()
}

/// All that is in a folder which holds no more than this server made.
pub(super) fn all_names(folder: &OwnedFd) -> io::Result<Vec<OsString>> {
    names(folder).collect()
}

fn names(folder: &OwnedFd) -> impl Iterator<Item = io::Result<OsString>> {
    let (entries, error) = match Dir::read_from(folder) {
        Ok(entries) => (Some(entries), None),
        Err(error) => (None, Some(Err(error.into()))),
    };
    let names = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| match entry {
            Ok(entry) => {
                let name = entry.file_name().to_bytes();
                let is_real = name != b"." && name != b"..";
                is_real.then(|| Ok(OsString::from_vec(name.to_vec())))
            }
            Err(error) => Some(Err(error.into())),
        });
    error.into_iter().chain(names)
}
