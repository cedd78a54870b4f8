//! Directories that are this user's alone.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

const MODE: u32 = 0o700;
const OTHERS_MAY_WRITE: u32 = 0o022;

/// Makes a directory and those above it that aren't there, each for this user alone whatever
/// the umask, and so that they outlive a power cut. One that is there stays as it is. Blocks.
///
/// # Errors
/// It can't be made, or is something else.
pub fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = match path.parent() {
        Some(above) if above != Path::new("") => above,
        _ => Path::new("."),
    };
    create_directory(above)?;
    match DirBuilder::new().mode(MODE).create(path) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => {
            made?;
            fs::set_permissions(path, Permissions::from_mode(MODE))?;
        }
    }
    match sync_directory(above) {
        // Another's directory may be one to pass through and not to look into.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// Sees to it that nobody else can put something in the place of what is in a directory, and
/// that nobody has. Blocks.
///
/// # Errors
/// Somebody may have: what is there, and whose it is.
pub fn secure(directory: &Path) -> io::Result<()> {
    let metadata = directory.metadata()?;
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS_MAY_WRITE == 0 {
        return Ok(());
    }
    let this = rustix::process::geteuid().as_raw();
    let place = directory.display();
    if metadata.uid() == this {
        fs::set_permissions(directory, Permissions::from_mode(mode & !OTHERS_MAY_WRITE))?;
        warn!("{place}: others could write in it (mode {mode:o}), and can't any more");
    } else {
        warn!("{place}: others can write in it (mode {mode:o}): make it this user's alone");
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // Root can do anything anyway.
        let owner = entry.metadata()?.uid();
        if owner != this && owner != 0 {
            let name = entry.file_name();
            return Err(io::Error::other(format!(
                "others could write in it, and {} belongs to user {owner}: look at what that is, \
                 and remove it",
                name.display()
            )));
        }
    }
    Ok(())
}

/// Makes what was made, renamed or removed in a directory outlive a power cut. Blocks.
///
/// # Errors
/// The disk fails.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// What to do about an error that comes of another user's owning a path, if it does.
pub fn in_words(path: &Path, error: &io::Error) -> Option<String> {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return None;
    }
    let this = rustix::process::geteuid().as_raw();
    // The nearest that can be looked at: what is in another's directory can't.
    let owner = path
        .ancestors()
        .find_map(|path| path.metadata().ok())?
        .uid();
    (owner != this)
        .then(|| format!("it belongs to user {owner}, and this is user {this}: run it as that one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_others_could_write_in_is_looked_through_and_shut() {
        let root = tempfile::tempdir().unwrap();
        let shut = |mode| {
            fs::set_permissions(root.path(), Permissions::from_mode(mode)).unwrap();
            secure(root.path()).map(|()| root.path().metadata().unwrap().mode() & 0o7777)
        };
        fs::write(root.path().join("own"), "").unwrap();
        std::os::unix::fs::symlink("/", root.path().join("link")).unwrap();
        assert_eq!(shut(0o777).unwrap(), 0o755);
        assert_eq!(shut(0o1770).unwrap(), 0o1750);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::lchown(root.path().join("link"), Some(65534), None).unwrap();
            assert_eq!(shut(0o755).unwrap(), 0o755);
            let error = shut(0o777).unwrap_err().to_string();
            assert!(error.contains("link belongs to user 65534"), "{error}");
        }
    }

    #[test]
    fn a_directory_and_those_above_it_are_for_one_user() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/c");
        create_directory(&path).unwrap();
        create_directory(&path).unwrap();
        for path in path.ancestors().take(3) {
            assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        }
        fs::write(root.path().join("file"), "").unwrap();
        assert!(create_directory(&root.path().join("file/a")).is_err());
        fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
        create_directory(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o750);
    }
}
