//! Keys are kept in files, so that no command line and no environment shows them.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::access::token::{KEY_MAX_BYTES, Key, Keys, PublishKey};

/// What others than the owner and group may do with a file, and the group besides
/// reading it.
const TOO_OPEN: u32 = 0o037;

/// Reads the keys for tokens, in their order. None where no file is named. Blocks.
///
/// # Errors
/// A file can't be read, or holds no key: the error says which.
pub fn token_keys<P: AsRef<Path>>(paths: &[P]) -> io::Result<Option<Keys>> {
    let keys = paths.iter().map(|path| read(path.as_ref(), Key::from_file));
    Ok(Keys::new(keys.collect::<io::Result<_>>()?))
}

/// Reads the key that workers show. Blocks.
///
/// # Errors
/// The file can't be read, or holds no key.
pub fn publish_key(path: &Path) -> io::Result<PublishKey> {
    read(path, PublishKey::from_file)
}

/// Reads a secret, of which `parse` knows what it is. Blocks.
///
/// # Errors
/// The file can't be read, or holds something else.
pub fn read<T, E: Into<Box<dyn Error + Send + Sync>>>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, E>,
) -> io::Result<T> {
    let content = content(path).map_err(|error| named(path, error))?;
    let invalid = |error: E| io::Error::new(io::ErrorKind::InvalidData, error);
    parse(&content).map_err(|error| named(path, invalid(error)))
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    file.take(KEY_MAX_BYTES as u64 + 1)
        .read_to_end(&mut content)?;
    if mode & TOO_OPEN != 0 {
        warn!(
            "key file {}: others can read or change it (mode {:o}): chmod 600 it",
            path.display(),
            mode & 0o777
        );
    }
    Ok(content)
}

fn named(path: &Path, error: io::Error) -> io::Error {
    let message = format!("key file {}: {error}", path.display());
    io::Error::new(error.kind(), message)
}
