//! Directories that are this user's alone.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

const MODE: u32 = 0o700;

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
