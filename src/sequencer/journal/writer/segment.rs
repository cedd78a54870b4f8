//! The segment that is written.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::{JournalWriter, Reserving, UNSYNCED_MAX_BYTES};
use crate::event::job::EventId;
use crate::sequencer::journal::SyncPolicy;
use crate::sequencer::journal::files::File;
use crate::sequencer::journal::record::{MAGIC, RESERVED, Record, SegmentNumber, encode};
use crate::sequencer::journal::restore::{Unsettled, read};
use crate::sequencer::journal::segment::{self, Segment, file_name, give_name, unnamed_file};
use crate::sys::clock;

/// The segment that is written.
pub(super) struct Active {
    pub number: SegmentNumber,
    pub file: Arc<dyn File>,
    /// How much of it is written.
    pub bytes: u64,
}

/// The segment before it, which is written in full.
pub(super) struct Sealed {
    pub number: SegmentNumber,
    pub file: Arc<dyn File>,
    pub bytes: u64,
    /// The end of it, which the medium may lack.
    pub unsynced: Vec<u8>,
}

impl JournalWriter {
    /// The last number to reserve after `newest`. None where nobody sees a number before it
    /// is on the medium.
    pub(super) fn reservation(&self, newest: EventId) -> Option<EventId> {
        let last = EventId((newest.0 + RESERVED).min(EventId::MAX.0));
        (self.shared.config.sync != SyncPolicy::Always).then_some(last)
    }

    /// The record that says how far numbers may be given.
    pub(super) fn open_record(
        &self,
        newest: EventId,
        reserved: Option<EventId>,
    ) -> Record<'static> {
        Record::Open {
            boot: self.boot,
            reserved: reserved.unwrap_or(EventId(0)),
            newest,
            is_carried_over: false,
        }
    }

    /// Sees to it that there is a segment with room, in a known state.
    pub(super) fn ready(&mut self) -> io::Result<()> {
        if self.is_broken {
            self.repair()?;
        }
        self.settle()?;
        let mut segment_bytes = self.shared.config.segment_bytes();
        if self.sealed.is_some() {
            // It has to have its name before there is another. The medium is given time.
            segment_bytes += segment_bytes / 2;
        }
        let is_full = |active: &Active| active.bytes >= segment_bytes;
        match self.resumable.take() {
            Some(there) => self.resume_segment(there),
            None if self.active.as_ref().is_none_or(is_full) => self.begin_segment(),
            None => Ok(()),
        }
    }

    /// Brings to the medium what the life before has left, as it was read, and its name: what
    /// follows must not be there without it.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        let files = &*self.shared.files;
        for &Unsettled {
            number,
            bytes,
            is_named,
            was_killed,
        } in &self.unsettled
        {
            let file = match segment::open(files, number) {
                // Somebody has removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file?,
            };
            let name = file_name(number);
            if was_killed && let Some(content) = read(Ok(file.clone()), &name, bytes)? {
                file.write_at(0, &content)?;
            }
            file.truncate(bytes)?;
            file.sync()?;
            if is_named {
                files.sync_names()?
            } else {
                give_name(files, number)?
            }
        }
        self.unsettled.clear();
        Ok(())
    }

    /// Goes on at the end of a segment that the life before has left whole.
    fn resume_segment(&mut self, number: SegmentNumber) -> io::Result<()> {
        let there = self.shared.segments.lock().get(&number).copied();
        let Some(segment) = there else {
            return self.begin_segment();
        };
        let (head, reservation) = self.head(number);
        let file = self.shared.files.open(&file_name(number), false)?;
        let written = file
            .write_at(segment.bytes, &head)
            .and_then(|()| file.sync());
        if let Err(error) = written {
            // Another segment begins when that can be: here the end is unknown.
            let _ = file.truncate(segment.bytes);
            return Err(error);
        }
        let bytes = segment.bytes + head.len() as u64;
        self.has_begun(number, file, head.len(), bytes, reservation);
        if let Some(segment) = self.shared.segments.lock().get_mut(&number) {
            segment.bytes = bytes;
        }
        Ok(())
    }

    /// Begins another segment. It has its name when it has a beginning, and the medium has
    /// all of the one before it: it must not be there without that. Nobody waits for that
    /// here but who waits for the medium with every write.
    fn begin_segment(&mut self) -> io::Result<()> {
        let is_beside = self.active.is_some() && self.shared.config.sync != SyncPolicy::Always;
        if self.active.is_some() && (self.sealed.is_some() || !is_beside) {
            self.sync()?;
        }
        let number = SegmentNumber(self.next);
        let (records, reservation) = self.head(number);
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&records);
        let files = &self.shared.files;
        let new = unnamed_file(number);
        let file = files.open(&new, true)?;
        let written = file.write_at(0, &head).and_then(|()| {
            if is_beside {
                Ok(())
            } else {
                file.sync().and_then(|()| give_name(&**files, number))
            }
        });
        if let Err(error) = written {
            // Half of it would be taken for what is left of events.
            let _ = files.remove(&new);
            let _ = files.remove(&file_name(number));
            return Err(error);
        }
        self.next += 1;
        let bytes = head.len() as u64;
        if is_beside {
            self.seal();
        }
        self.has_begun(number, file, head.len(), bytes, reservation);
        if is_beside {
            self.unsynced = head;
        }
        let segment = Segment::after(self.hub.published(), bytes);
        self.shared.segments.lock().insert(number, segment);
        let _ = self.call.try_send(());
        Ok(())
    }

    /// Nothing more is written to the active segment.
    fn seal(&mut self) {
        let unsynced = std::mem::take(&mut self.unsynced);
        if unsynced.is_empty() {
            self.unsynced_since = clock::now();
        }
        self.sealed = self.active.take().map(|active| Sealed {
            number: active.number,
            file: active.file,
            bytes: active.bytes,
            unsynced,
        });
    }

    /// What a life begins with in a segment, and the last number that it may give.
    fn head(&self, number: SegmentNumber) -> (Vec<u8>, Option<EventId>) {
        let newest = self.hub.published();
        let reservation = self.reservation(newest);
        let mut head = Vec::new();
        encode(&mut head, number, &self.open_record(newest, reservation));
        if let Some(gap) = &self.gap {
            let (first, end) = (EventId(gap.start), EventId(gap.end));
            encode(&mut head, number, &Record::Gap { first, end });
        }
        (head, reservation)
    }

    fn has_begun(
        &mut self,
        number: SegmentNumber,
        file: Arc<dyn File>,
        written: usize,
        bytes: u64,
        reservation: Option<EventId>,
    ) {
        self.count_written(written);
        self.gap = None;
        self.active = Some(Active {
            number,
            file,
            bytes,
        });
        let last = reservation.unwrap_or(EventId::MAX);
        if self.sealed.is_some() {
            let at = self.end();
            self.reserving = Some(Reserving { at, last });
        } else {
            self.reserved = last;
            self.reserving = None;
        }
    }

    /// Writes the buffer; where it `needs_medium`, to the medium. After an error nothing
    /// of it counts.
    pub(super) fn write(&mut self, needs_medium: bool) -> io::Result<()> {
        let Some(active) = &mut self.active else {
            return Err(ErrorKind::NotFound.into());
        };
        let start = active.bytes;
        if let Err(error) = active.file.write_at(start, &self.buffer) {
            // What is cut off may come back with the power, as long as that isn't on the medium.
            let _ = active.file.truncate(start);
            self.is_broken = true;
            return Err(error);
        }
        active.bytes += self.buffer.len() as u64;
        if self.unsynced.is_empty() {
            self.unsynced_since = clock::now();
        }
        self.unsynced.extend_from_slice(&self.buffer);
        let is_too_much = self.unsynced_bytes() > UNSYNCED_MAX_BYTES;
        if (needs_medium || is_too_much)
            && let Err(error) = self.sync()
        {
            self.unsynced
                .truncate(self.unsynced.len() - self.buffer.len());
            if let Some(active) = &mut self.active {
                active.bytes = start;
                // A close that is left there would say that all before it is on the medium.
                let _ = active.file.truncate(start);
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
        if let Some(sealed) = &self.sealed {
            write_end(&*sealed.file, sealed.bytes, &sealed.unsynced)?;
        }
        if let Some(active) = &self.active {
            write_end(&*active.file, active.bytes, &self.unsynced)?;
        }
        self.is_broken = false;
        self.sync()
    }

    pub(in crate::sequencer::journal) fn close(&mut self) {
        // Commands behind a close find nobody who answers, and so do their senders.
        if self.ready().is_ok() {
            self.buffer.clear();
            let segment = self.segment();
            encode(&mut self.buffer, segment, &Record::Close);
            if let Err(error) = self.write(true) {
                self.failed(&error);
            }
        }
        self.refuse_waiters(&io::Error::other("the journal is closed"));
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
                Err(error) => error!("journal: {}: {error}", file_name(segment)),
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

/// Has a file of so many bytes end with these.
fn write_end(file: &dyn File, bytes: u64, end: &[u8]) -> io::Result<()> {
    file.write_at(bytes - end.len() as u64, end)?;
    file.truncate(bytes)
}
