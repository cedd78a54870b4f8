//! A file on its way to a client: one piece is read from the disk while the one before is
//! sent.

use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::Connection;
use crate::routes::Download;
use crate::upload::disk::DiskResult;

/// What is read and sent at a time; a download holds two.
const PIECE_BYTES: u64 = 128 * 1024;

impl Connection<'_> {
    /// Sends a file's bytes, which the head that goes before has promised.
    pub(super) fn send_file(&mut self, download: &Download) -> io::Result<()> {
        self.flush()?;
        self.set_write_timeout()?;
        let mut next = begin(download, download.bytes.start, Vec::new());
        let mut spare = Vec::new();
        while let Some((pending, end)) = next {
            let piece = pending.wait()?;
            next = begin(download, end, std::mem::take(&mut spare));
            self.io.write_all(&piece)?;
            spare = piece;
        }
        Ok(())
    }
}

type Reading = (DiskResult<io::Result<Vec<u8>>>, u64);

/// Has the piece at `at` read, and says where the next begins.
fn begin(download: &Download, at: u64, mut buffer: Vec<u8>) -> Option<Reading> {
    let left = download.bytes.end - at;
    if left == 0 {
        return None;
    }
    let length = left.min(PIECE_BYTES);
    let file = Arc::clone(&download.file);
    let pending = download.disk.begin(move || {
        buffer.resize(length as usize, 0);
        file.read_exact_at(&mut buffer, at)?;
        Ok(buffer)
    });
    Some((pending, at + length))
}
