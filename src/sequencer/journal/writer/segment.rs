//! The segment that is written.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Instant;

use super::{RESERVED, UNSYNCED_MAX_BYTES, Writer};
use crate::hub::PublishError;
use crate::sequencer::journal::Sync;
use crate::sequencer::journal::files::File;
use crate::sequencer::journal::record::{MAGIC, Record, SegmentNumber, encode};
use crate::sequencer::journal::segment::{Segment, file_name};

/// The segment that is written.
pub(super) struct Active {
    pub number: SegmentNumber,
    pub file: Arc<dyn File>,
    /// How much of it is written.
    pub bytes: u64,
}

impl Writer {
    /// The numbers to reserve after `sequence`. None where nobody sees a number before it
    /// is on the medium.
    pub(super) fn reservation(&self, sequence: u64) -> Option<u64> {
        (self.shared.config.sync != Sync::Always).then_some(sequence + RESERVED)
    }

    /// Sees to it that there is a segment with room, in a known state.
    pub(super) fn ready(&mut self) -> io::Result<()> {
        if self.is_broken {
            self.repair()?;
        }
        let segment_bytes = self.shared.config.segment_bytes();
        let is_full = |active: &Active| active.bytes >= segment_bytes;
        if self.active.as_ref().is_none_or(is_full) {
            self.begin_segment()?;
        }
        Ok(())
    }

    pub(super) fn begin_segment(&mut self) -> io::Result<()> {
        if self.active.is_some() {
            // The next one must not be there without all of this one.
            self.sync()?;
        }
        let number = SegmentNumber(self.next);
        let sequence = self.hub.upgrade().map_or(0, |hub| hub.newest_given().0);
        let mut head = MAGIC.to_vec();
        let reservation = self.reservation(sequence);
        let record = Record::Open {
            boot: self.boot,
            reserved: reservation.unwrap_or(0),
        };
        encode(&mut head, number, &record);
        if self.gap > 0 {
            encode(&mut head, number, &Record::Gap { count: self.gap });
        }
        let files = &self.shared.files;
        let name = file_name(number);
        let file = files.open(&name, true)?;
        let written = file
            .write_at(0, &head)
            .and_then(|()| file.sync())
            .and_then(|()| files.sync_names());
        if let Err(error) = written {
            // Half of it would be taken for what is left of events.
            let _ = files.remove(&name);
            return Err(error);
        }
        self.count_written(head.len());
        self.next += 1;
        self.gap = 0;
        self.reserved = reservation.unwrap_or(u64::MAX);
        let bytes = head.len() as u64;
        let segment = Segment {
            bytes,
            ..Segment::default()
        };
        self.shared.segments.lock().insert(number, segment);
        let _ = self.call.try_send(());
        self.active = Some(Active {
            number,
            file,
            bytes,
        });
        Ok(())
    }

    /// Writes the buffer; where it `needs_medium`, to the medium. After an error nothing
    /// of it counts.
    pub(super) fn write(&mut self, needs_medium: bool) -> io::Result<()> {
        let Some(active) = &mut self.active else {
            return Err(ErrorKind::NotFound.into());
        };
        let start = active.bytes;
        if let Err(error) = active.file.write_at(start, &self.buffer) {
            self.is_broken = active.file.truncate(start).is_err();
            return Err(error);
        }
        active.bytes += self.buffer.len() as u64;
        if self.unsynced.is_empty() {
            self.unsynced_since = Instant::now();
        }
        let unsynced = self.unsynced.len();
        self.unsynced.extend_from_slice(&self.buffer);
        let is_too_much = self.unsynced.len() > UNSYNCED_MAX_BYTES;
        if (needs_medium || is_too_much)
            && let Err(error) = self.sync()
        {
            self.unsynced.truncate(unsynced);
            if let Some(active) = &mut self.active {
                active.bytes = start;
            }
            return Err(error);
        }
        self.count_written(self.buffer.len());
        let (segment, bytes) = (self.segment(), start + self.buffer.len() as u64);
        if let Some(segment) = self.shared.segments.lock().get_mut(&segment) {
            segment.bytes = bytes;
        }
        Ok(())
    }

    /// Writes again what may have been lost with a failed sync, and nothing else.
    pub(super) fn repair(&mut self) -> io::Result<()> {
        if let Some(active) = &self.active {
            let synced = active.bytes - self.unsynced.len() as u64;
            active.file.write_at(synced, &self.unsynced)?;
            active.file.truncate(active.bytes)?;
            active.file.sync()?;
        }
        self.unsynced.clear();
        self.is_broken = false;
        Ok(())
    }

    pub(super) fn close(&mut self) {
        // Commands behind a close find nobody who answers, and so do their senders.
        if self.ready().is_ok() {
            self.buffer.clear();
            let segment = self.segment();
            for (job, last) in self.shared.notes.lock().drain(..) {
                let job = job.as_str();
                encode(&mut self.buffer, segment, &Record::Forget { job, last });
            }
            encode(&mut self.buffer, segment, &Record::Close);
            if let Err(error) = self.write(true) {
                self.failed(&error);
            }
        }
        self.answer_awaiting(u64::MAX, Some(PublishError::DiskFailing));
    }

    pub(super) fn cut_off(&self, torn: &[(SegmentNumber, u64)]) {
        for &(segment, bytes) in torn {
            let file = self.shared.files.open(&file_name(segment), false);
            let cut = file.and_then(|file| {
                file.truncate(bytes)?;
                file.sync()
            });
            match cut {
                Ok(()) => {
                    if let Some(segment) = self.shared.segments.lock().get_mut(&segment) {
                        segment.bytes = bytes;
                    }
                }
                Err(error) => log::error!("journal: {}: {error}", file_name(segment)),
            }
        }
    }

    pub(super) fn segment(&self) -> SegmentNumber {
        self.active
            .as_ref()
            .map_or(SegmentNumber(0), |active| active.number)
    }

    pub(super) fn count_written(&self, bytes: usize) {
        self.shared.counters.writes.add(1);
        self.shared.counters.bytes.add(bytes as u64);
    }
}
