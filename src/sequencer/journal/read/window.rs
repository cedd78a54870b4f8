//! A segment, read a window at a time.

use std::io;
use std::sync::Arc;

use super::EventRecord;
use crate::sequencer::journal::JournalShared;
use crate::sequencer::journal::codec::{Decoded, HEADER_BYTES};
use crate::sequencer::journal::files::File;
use crate::sequencer::journal::record::{Record, SegmentNumber, decode};
use crate::sequencer::journal::segment;

/// What is read from a file at a time.
const WINDOW_BYTES: usize = 256 * 1024;

/// A segment that is open.
pub(super) struct Window {
    segment: SegmentNumber,
    file: Arc<dyn File>,
    bytes: Vec<u8>,
}

impl Window {
    pub fn open(shared: &JournalShared, segment: SegmentNumber) -> io::Result<Window> {
        Ok(Window {
            segment,
            file: segment::open(&*shared.files, segment)?,
            bytes: Vec::new(),
        })
    }

    /// Shows `each` the events between two places, and where each one's record ends, until
    /// it says false.
    pub fn read(
        &mut self,
        begin: u64,
        end: u64,
        mut each: impl FnMut(&EventRecord<'_>, u32) -> bool,
    ) -> io::Result<()> {
        let mut at = begin;
        let mut window_begin = begin;
        let mut window_bytes = WINDOW_BYTES;
        while at < end {
            let used = (at - window_begin) as usize;
            let rest = &self.bytes[used.min(self.bytes.len())..];
            match decode(rest, self.segment) {
                Decoded::Record(record, bytes) => {
                    at += bytes as u64;
                    if let Record::Entry(entry) = &record
                        && let Some(event) = EventRecord::of(entry)
                        && !each(&event, at as u32)
                    {
                        return Ok(());
                    }
                }
                Decoded::Nothing | Decoded::Newer => at += 1,
                Decoded::Incomplete => {
                    let is_rest = window_begin + self.bytes.len() as u64 >= end;
                    if is_rest && rest.len() > HEADER_BYTES {
                        at += 1;
                        continue;
                    }
                    if is_rest && !self.bytes.is_empty() {
                        return Ok(());
                    }
                    if used == 0 && !self.bytes.is_empty() {
                        window_bytes *= 2;
                    }
                    window_begin = at;
                    let bytes = (end - at).min(window_bytes as u64);
                    self.bytes.resize(bytes as usize, 0);
                    let read = self.file.read_at(at, &mut self.bytes)?;
                    self.bytes.truncate(read);
                    if read == 0 {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}
