//! What is known of the segments: how large they are, and which numbers they hold.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::files::{File, Files};
use super::record::SegmentNumber;
use crate::event::job::EventId;
use crate::sys::sorted::Sorted;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// In which segment.
    pub segment: SegmentNumber,
    /// Where it begins, in bytes.
    pub offset: u32,
    /// How many bytes it has.
    pub bytes: u32,
}

/// A segment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    /// Its size.
    pub bytes: u64,
    /// When its newest entry was accepted, in milliseconds of the unix clock; zero where it
    /// has none.
    pub newest_ms: u64,
    /// The newest number that was given before its first entry.
    pub base: EventId,
    /// The number of its newest entry, or the base.
    pub newest: EventId,
}

/// All segments, by their numbers. The last is the one that is written.
#[derive(Default)]
pub struct Segments(Mutex<Sorted<SegmentNumber, Segment>>);

impl Segment {
    /// A segment of so many bytes, without entries.
    pub fn after(base: EventId, bytes: u64) -> Segment {
        Segment {
            bytes,
            newest_ms: 0,
            base,
            newest: base,
        }
    }

    /// Its first entry, where it has any, comes behind this number, or a lower one.
    pub fn come_before(&mut self, number: EventId) {
        if number < self.base {
            self.base = number;
            if self.newest_ms == 0 {
                self.newest = number;
            }
        }
    }
}

impl Segments {
    /// All of them. The lock is held for moments.
    pub fn lock(&self) -> MutexGuard<'_, Sorted<SegmentNumber, Segment>> {
        self.0.lock()
    }

    /// How many there are, and how many bytes they have together.
    pub fn size(&self) -> (usize, u64) {
        let segments = self.lock();
        let bytes = segments.values().map(|segment| segment.bytes).sum();
        (segments.len(), bytes)
    }

    /// Has those without entries, of which it isn't known when they began, end before the next
    /// ones begin.
    pub fn put_in_order(&self) {
        let mut next = None;
        for segment in self.lock().values_mut().rev() {
            if let Some(next) = next {
                segment.come_before(next);
            }
            next = Some(segment.base);
        }
    }

    /// What came up to this number is in none of them.
    pub fn kept_from(&self) -> EventId {
        kept_from(&self.lock())
    }

    /// The first of them that isn't wholly at or below this number, where nothing above
    /// `kept_from` is gone.
    pub fn next_after(
        &self,
        after: EventId,
        kept_from: EventId,
    ) -> Result<Option<(SegmentNumber, Segment)>, SegmentsGone> {
        let segments = self.lock();
        if self::kept_from(&segments) > kept_from {
            return Err(SegmentsGone);
        }
        let mut all = segments.iter();
        let next = all.find(|(_, segment)| segment.newest > after);
        Ok(next.copied())
    }
}

/// Segments that were there are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentsGone;

fn kept_from(segments: &Sorted<SegmentNumber, Segment>) -> EventId {
    let first = segments.first();
    first.map_or(EventId(0), |(_, segment)| segment.base)
}

/// A segment's file.
pub fn file_name(segment: SegmentNumber) -> String {
    format!("{:010}.journal", segment.0)
}

/// Its file while it has no name: the medium may lack what comes before it.
pub fn unnamed_file(segment: SegmentNumber) -> String {
    format!("{}.new", file_name(segment))
}

/// The segment of a file that has no name yet.
pub fn parse_unnamed_file(name: &str) -> Option<SegmentNumber> {
    parse_file_name(name.strip_suffix(".new")?)
}

/// Gives it its name. Returns when that is on the medium.
pub fn give_name(files: &dyn Files, segment: SegmentNumber) -> io::Result<()> {
    match files.rename(&unnamed_file(segment), &file_name(segment)) {
        // It has got it before, and the medium failed then.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        renamed => renamed?,
    }
    files.sync_names()
}

/// Opens its file, whether or not it has its name.
pub fn open(files: &dyn Files, segment: SegmentNumber) -> io::Result<Arc<dyn File>> {
    let is_absent = |file: &io::Result<_>| {
        let kind = file.as_ref().err().map(io::Error::kind);
        kind == Some(ErrorKind::NotFound)
    };
    let named = files.open(&file_name(segment), false);
    if !is_absent(&named) {
        return named;
    }
    let unnamed = files.open(&unnamed_file(segment), false);
    if !is_absent(&unnamed) {
        return unnamed;
    }
    // It may have got its name in between.
    files.open(&file_name(segment), false)
}

/// The segment of a file, if it is one's. There is always a number after it.
pub fn parse_file_name(name: &str) -> Option<SegmentNumber> {
    parse_number(name, ".journal").map(SegmentNumber)
}

/// The number in the name of a file, if it is one that this journal gives.
pub fn parse_number(name: &str, suffix: &str) -> Option<u32> {
    let digits = name.strip_suffix(suffix)?;
    let number = digits.parse().ok()?;
    (format!("{number:010}") == digits && number < u32::MAX).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_without_entries_ends_before_the_next_one_begins() {
        let segments = Segments::default();
        // A checkpoint is newer than what the first segments hold.
        for number in 1..=4 {
            let segment = Segment::after(EventId(90), 100);
            segments.lock().insert(SegmentNumber(number), segment);
        }
        {
            let mut all = segments.lock();
            let third = all.get_mut(&SegmentNumber(3)).unwrap();
            third.come_before(EventId(40));
            third.newest_ms = 1;
            third.newest = EventId(60);
            // Where it goes on for another life, it has entries already.
            third.come_before(EventId(60));
        }
        segments.put_in_order();
        let told: Vec<_> = segments
            .lock()
            .values()
            .map(|s| (s.base.0, s.newest.0))
            .collect();
        assert_eq!(told, [(40, 40), (40, 40), (40, 60), (90, 90)]);
        assert_eq!(segments.kept_from(), EventId(40));
        let next = segments.next_after(EventId(0), EventId(40)).unwrap();
        assert_eq!(next.unwrap().0, SegmentNumber(1));
        assert_eq!(
            segments.next_after(EventId(0), EventId(39)).err(),
            Some(SegmentsGone)
        );
    }
}
