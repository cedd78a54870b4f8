//! The disk's trouble, of which the log has a line when it begins and one when it is over.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the disk of the uploads is in trouble.
#[derive(Debug, Default)]
pub struct Trouble(AtomicBool);

impl Trouble {
    /// Notes what came of something that was done on the disk, if that is its trouble.
    pub fn note<T>(&self, done: io::Result<T>) -> io::Result<T> {
        done.inspect_err(|error| {
            // A file that is gone may be as it should: see `SpoolCore::cause`.
            let is_trouble = error.kind() != io::ErrorKind::NotFound;
            if is_trouble && !self.0.swap(true, Ordering::AcqRel) {
                error!("uploads: {error}: they fail until the disk works");
            }
        })
    }

    /// The bytes of an upload are on the disk.
    pub fn works(&self) {
        if self.0.load(Ordering::Acquire) && self.0.swap(false, Ordering::AcqRel) {
            info!("uploads: the disk works again");
        }
    }
}
