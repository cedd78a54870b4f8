//! The folders in which stages make what they make, also where others may write: nobody can
//! have anything removed, or a command work, outside them.
//!
//! Each is held open. What is in it is found by it and not by its path, no link in it is
//! followed, and nothing is removed by a path. In a shared place its name can't be guessed.

mod removal;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;

use super::config::Stage;
use crate::sys::durable;
use crate::sys::private;
use crate::upload::UploadId;
use removal::all_names;

/// What keeps the name that folders have elsewhere.
const NAME: &str = "scratch";
/// How often a name is tried that somebody else has.
const TRIES: usize = 8;

/// What the names begin with of what was moved up to be removed.
const MOVED: &str = "gone-";

/// All of them.
pub struct Scratches {
    work: Arc<Scratch>,
    /// By the `output_dir` of the stages that work there.
    others: Vec<(PathBuf, Arc<Scratch>)>,
}

/// One of them. In it each upload has a folder, and in that each stage.
pub struct Scratch {
    path: PathBuf,
    folder: OwnedFd,
    /// How many names were given to what is to be removed.
    gone: AtomicU64,
}

impl Scratches {
    /// Makes those that aren't there; what is `held` already is held on. Blocks.
    ///
    /// # Errors
    /// One can't be made.
    pub fn open(stages: &[Stage], data: &Path, held: Option<&Scratches>) -> io::Result<Scratches> {
        let work = data.join("work");
        durable::create_folder(&work)?;
        let mut scratches = Scratches {
            work: match held {
                Some(held) => held.work.clone(),
                None => Arc::new(Scratch::hold(&work.canonicalize()?)?),
            },
            others: Vec::new(),
        };
        for place in stages.iter().filter_map(|stage| stage.output_dir.as_ref()) {
            if scratches.elsewhere(place).is_some() {
                continue;
            }
            let scratch = match held.and_then(|held| held.elsewhere(place)) {
                Some(held) => held.clone(),
                None => Arc::new(Scratch::elsewhere(place, data).map_err(|error| {
                    let place = place.display();
                    io::Error::new(error.kind(), format!("output_dir {place}: {error}"))
                })?),
            };
            scratches.others.push((place.clone(), scratch));
        }
        Ok(scratches)
    }

    /// The one of a stage.
    pub fn of(&self, stage: &Stage) -> &Scratch {
        let elsewhere = stage.output_dir.as_ref();
        elsewhere
            .and_then(|place| self.elsewhere(place))
            .unwrap_or(&self.work)
    }

    /// Every one.
    pub fn all(&self) -> impl Iterator<Item = &Scratch> {
        let others = self.others.iter().map(|(_, scratch)| &**scratch);
        std::iter::once(&*self.work).chain(others)
    }

    /// Whether a file lies in one of them, by its path.
    pub fn hold(&self, file: &Path) -> bool {
        self.all().any(|scratch| file.starts_with(&scratch.path))
    }

    /// Removes every folder of an upload's stages but the one that holds `keep`.
    pub fn clean(&self, upload: &str, keep: Option<&Path>) {
        self.all().for_each(|scratch| scratch.clean(upload, keep));
    }

    fn elsewhere(&self, place: &Path) -> Option<&Arc<Scratch>> {
        let mut others = self.others.iter();
        let found = others.find(|(other, _)| other == place);
        found.map(|(_, scratch)| scratch)
    }
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a stage's folder for an upload anew. Blocks.
    ///
    /// # Errors
    /// It can't be made, or something else is where this was.
    pub fn make(&self, upload: &str, stage: &str) -> io::Result<PathBuf> {
        let now = rustix::fs::lstat(&self.path)?;
        if identity(&now) != identity(&rustix::fs::fstat(&self.folder)?) {
            return Err(io::Error::other(
                "something else is in the place of its folder",
            ));
        }
        make(&self.folder, upload.as_ref())?;
        let of_upload = open(&self.folder, upload.as_ref())?;
        self.remove_in(&of_upload, stage.as_ref())?;
        make(&of_upload, stage.as_ref())?;
        rustix::fs::fsync(&of_upload)?;
        rustix::fs::fsync(&self.folder)?;
        Ok(self.path.join(upload).join(stage))
    }

    /// Removes a stage's folder for an upload, if it is there. Blocks.
    pub fn remove(&self, upload: &str, stage: &str) {
        let removed = match open(&self.folder, upload.as_ref()) {
            Ok(of_upload) => self.remove_in(&of_upload, stage.as_ref()),
            Err(error) => Err(error.into()),
        };
        self.complain(removed);
    }

    /// Removes what is of no upload that `is_there`. What this server never made stays: the
    /// folder may be a link to one that holds more. Blocks.
    pub fn clear(&self, is_there: impl Fn(UploadId) -> bool) -> io::Result<()> {
        for name in all_names(&self.folder)? {
            let name_text = name.to_str().unwrap_or_default();
            let upload = name_text.strip_suffix(".gone").unwrap_or(name_text).parse();
            let is_left = match upload {
                Ok(upload) => name_text.ends_with(".gone") || !is_there(upload),
                Err(_) => name_text.starts_with(MOVED),
            };
            if is_left {
                self.complain(self.remove_in(&self.folder, &name));
            }
        }
        Ok(())
    }

    fn clean(&self, upload: &str, keep: Option<&Path>) {
        let clean = || {
            let of_upload = open(&self.folder, upload.as_ref())?;
            let path = self.path.join(upload);
            let mut is_empty = true;
            for name in all_names(&of_upload)? {
                if keep.is_some_and(|keep| keep.starts_with(path.join(&name))) {
                    is_empty = false
                } else {
                    self.remove_in(&of_upload, &name)?
                }
            }
            if is_empty {
                self.remove_in(&self.folder, upload.as_ref())
            } else {
                Ok(())
            }
        };
        self.complain(clean());
    }

    /// One that is where nobody else comes.
    fn hold(path: &Path) -> io::Result<Scratch> {
        Ok(Scratch {
            path: path.to_owned(),
            folder: open(&rustix::fs::CWD, path.as_os_str())?,
            gone: AtomicU64::new(0),
        })
    }

    /// One in a place where others may write.
    fn elsewhere(place: &Path, data: &Path) -> io::Result<Scratch> {
        private::create_directory(place)?;
        let place = place.canonicalize()?;
        warn_of_movers(&place);
        let kept = data.join(NAME);
        let mut name = fs::read_to_string(&kept).unwrap_or_default();
        for _ in 0..TRIES {
            if !is_name(&name) {
                name = format!("landfall-{}", UploadId::random()?);
                durable::write(&kept, name.as_bytes())?;
            }
            let path = place.join(&name);
            make(&rustix::fs::CWD, path.as_os_str())?;
            match Scratch::hold(&path) {
                Ok(scratch) if is_own(&rustix::fs::fstat(&scratch.folder)?) => {
                    rustix::fs::fsync(&open(&rustix::fs::CWD, place.as_os_str())?)?;
                    return Ok(scratch);
                }
                _ => warn!("{} is there and isn't this server's", path.display()),
            }
            name.clear();
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn complain(&self, removed: io::Result<()>) {
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                error!(
                    "{}: what is in it can't be removed: {error}",
                    self.path.display()
                );
            }
            _ => {}
        }
    }
}

/// Opens a folder, and no link to one.
fn open(at: &dyn AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

/// Makes a folder where there is nothing.
fn make(at: &dyn AsFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::mkdirat(at, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_name(name: &str) -> bool {
    let random = name.strip_prefix("landfall-");
    random.is_some_and(|random| random.parse::<UploadId>().is_ok())
}

/// Which file it is, whatever its name.
fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn is_own(stat: &Stat) -> bool {
    stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_mode & 0o077 == 0
}

/// Says in the log who could put something else in the place of what is in a folder.
fn warn_of_movers(folder: &Path) {
    use std::os::unix::fs::MetadataExt;
    let this = rustix::process::geteuid().as_raw();
    for above in folder.ancestors() {
        let Ok(metadata) = above.metadata() else {
            continue;
        };
        let (owner, mode) = (metadata.uid(), metadata.mode());
        let who = match mode {
            _ if owner != 0 && owner != this => format!("user {owner}"),
            _ if mode & 0o1022 == 0o002 || mode & 0o1022 == 0o022 => "everybody".to_owned(),
            _ if mode & 0o1022 == 0o020 => format!("group {}", metadata.gid()),
            _ => continue,
        };
        warn!(
            "output_dir {}: {who} can put something else in the place of what is in {}: make it \
             root's or this user's, and sticky (chmod +t)",
            folder.display(),
            above.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    const UPLOAD: &str = "0123456789abcdef0123456789abcdef";

    fn names_of(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_stages_folder_is_made_anew_and_removed_with_all_that_is_in_it() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::hold(root.path()).unwrap();
        let folder = scratch.make(UPLOAD, "0-a").unwrap();
        fs::create_dir_all(folder.join("b/c")).unwrap();
        fs::write(folder.join("b/c/d"), "x").unwrap();
        fs::set_permissions(folder.join("b"), fs::Permissions::from_mode(0o0)).unwrap();
        let other = scratch.make(UPLOAD, "1-b").unwrap();
        assert_eq!(scratch.make(UPLOAD, "0-a").unwrap(), folder);
        assert!(names_of(&folder).is_empty());
        scratch.clean(UPLOAD, Some(&other.join("out")));
        assert_eq!(names_of(&root.path().join(UPLOAD)), ["1-b"]);
        scratch.remove(UPLOAD, "1-b");
        scratch.remove(UPLOAD, "1-b");
        scratch.clean(UPLOAD, None);
        assert!(names_of(root.path()).is_empty());
    }

    #[test]
    fn however_deep_a_folder_goes_it_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::hold(root.path()).unwrap();
        let folder = scratch.make(UPLOAD, "0-a").unwrap();
        let mut at = open(&rustix::fs::CWD, folder.as_os_str()).unwrap();
        // Deeper than a path may be long.
        for _ in 0..1500 {
            make(&at, "deeper".as_ref()).unwrap();
            at = open(&at, "deeper".as_ref()).unwrap();
        }
        drop(at);
        scratch.remove(UPLOAD, "0-a");
        scratch.clean(UPLOAD, None);
        assert!(names_of(root.path()).is_empty());
    }

    #[test]
    fn no_link_is_followed_and_what_others_put_there_is_not_used() {
        let all = tempfile::tempdir().unwrap();
        let (place, victim) = (all.path().join("place"), all.path().join("victim"));
        fs::create_dir_all(victim.join(UPLOAD).join("0-a")).unwrap();
        let scratch = Scratch::elsewhere(&place, all.path()).unwrap();
        let name = scratch.path().file_name().unwrap().to_owned();
        assert!(name.len() > 32, "{name:?}");

        // A link within.
        let folder = scratch.make(UPLOAD, "0-a").unwrap();
        symlink(&victim, folder.join("link")).unwrap();
        scratch.remove(UPLOAD, "0-a");
        fs::remove_dir(scratch.path().join(UPLOAD)).unwrap();
        symlink(victim.join(UPLOAD), scratch.path().join(UPLOAD)).unwrap();
        assert!(scratch.make(UPLOAD, "0-a").is_err());
        scratch.remove(UPLOAD, "0-a");
        scratch.clean(UPLOAD, None);
        scratch.clear(|_| false).unwrap();

        // A link in its place, while it is in use and at the next start.
        fs::rename(scratch.path(), place.join("moved")).unwrap();
        symlink(&victim, scratch.path()).unwrap();
        assert!(scratch.make(UPLOAD, "0-a").is_err());
        scratch.clean(UPLOAD, None);
        scratch.clear(|_| false).unwrap();
        let next = Scratch::elsewhere(&place, all.path()).unwrap();
        assert_ne!(next.path(), scratch.path());
        next.clear(|_| false).unwrap();
        assert_eq!(names_of(&victim.join(UPLOAD)), ["0-a"]);

        // One that others may write to.
        let path = next.path().to_owned();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let last = Scratch::elsewhere(&place, all.path()).unwrap();
        assert_ne!(last.path(), path);
        let same = Scratch::elsewhere(&place, all.path()).unwrap();
        assert_eq!(same.path(), last.path());
    }

    #[test]
    fn what_is_of_no_upload_that_is_there_goes_and_what_is_of_none_stays() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::hold(root.path()).unwrap();
        let gone = "f".repeat(32);
        for upload in [UPLOAD, &gone] {
            scratch.make(upload, "0-a").unwrap();
        }
        for name in ["stray", "gone-7", &format!("{UPLOAD}.gone")] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        scratch
            .clear(|upload| upload.to_string() == UPLOAD)
            .unwrap();
        let mut left = names_of(root.path());
        left.sort();
        assert_eq!(left, [UPLOAD, "stray"]);
    }
}
