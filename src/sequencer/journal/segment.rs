//! What is known of the segments: how large they are, and how much of them is needed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::record::{EventRecord, SegmentNumber};
use crate::hub::Numbers;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// In which segment.
    pub segment: SegmentNumber,
    /// Where it begins, in bytes.
    pub offset: u32,
    /// How many bytes it has.
    pub bytes: u32,
}

/// A job's events in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The segment.
    pub segment: SegmentNumber,
    /// Where the first of them begins, in bytes.
    pub offset: u32,
    /// How many bytes they have together.
    pub bytes: u32,
    /// The numbers before the first of them.
    pub before: Numbers,
}

impl Span {
    /// Adds an event at `place`, the newest, whose predecessor has the numbers `before`.
    pub fn extend(spans: &mut Vec<Span>, place: Place, before: Numbers) {
        match spans.last_mut() {
            Some(last) if last.segment == place.segment => last.bytes += place.bytes,
            _ => {
                // Most jobs are in one segment.
                spans.reserve_exact(1);
                spans.push(Span {
                    segment: place.segment,
                    offset: place.offset,
                    bytes: place.bytes,
                    before,
                });
            }
        }
    }
}

/// A segment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    /// Its size.
    pub bytes: u64,
    /// How much of it is events that are needed.
    pub live_bytes: u64,
    /// When its newest event was accepted, in milliseconds of the unix clock.
    pub newest_ms: u64,
    /// The number of its newest event.
    pub newest_sequence: u64,
    /// How often it has been compacted: a place in it counts until that changes.
    pub generation: u32,
    /// Whether it holds what is no record.
    pub is_damaged: bool,
    /// Whether it has been reduced to the newest event of each job.
    pub is_minimal: bool,
}

impl Segment {
    /// Counts an event in.
    pub fn add_event(&mut self, event: &EventRecord<'_>, bytes: u64) {
        self.live_bytes += bytes;
        self.newest_ms = self.newest_ms.max(event.time_ms);
        self.newest_sequence = event.numbers.sequence.0;
    }
}

/// All segments, by their numbers. The last is the one that is written.
#[derive(Default)]
pub struct Segments {
    all: Mutex<BTreeMap<SegmentNumber, Segment>>,
    /// Changes when segments are compacted, and is odd while spans and files don't match.
    changes: AtomicU64,
}

impl Segments {
    /// All of them. The lock is held for moments.
    pub fn lock(&self) -> MutexGuard<'_, BTreeMap<SegmentNumber, Segment>> {
        self.all.lock()
    }

    /// How many there are, and how many bytes they have together.
    pub fn size(&self) -> (usize, u64) {
        let segments = self.lock();
        let bytes = segments.values().map(|segment| segment.bytes).sum();
        (segments.len(), bytes)
    }

    /// Some are about to be compacted. Ends with [`Segments::end_change`].
    pub fn begin_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Spans and files match again.
    pub fn end_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// How many changes there have been, when none is being made. Blocks for an instant.
    pub fn settled(&self) -> u64 {
        loop {
            match self.changes.load(Ordering::Acquire) {
                changes if changes.is_multiple_of(2) => return changes,
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Whether there has been no other change.
    pub fn is_still(&self, changes: u64) -> bool {
        self.changes.load(Ordering::Acquire) == changes
    }

    /// A run has become one segment, or nothing.
    pub fn replace(&self, run: &[SegmentNumber], by: Option<Segment>) {
        let mut segments = self.lock();
        for number in run {
            segments.remove(number);
        }
        if let Some(segment) = by {
            segments.insert(run[0], segment);
        }
    }

    /// What these spans hold isn't needed any more.
    pub fn release(&self, spans: &[Span]) {
        let mut segments = self.lock();
        for span in spans {
            if let Some(segment) = segments.get_mut(&span.segment) {
                segment.live_bytes = segment.live_bytes.saturating_sub(span.bytes.into());
            }
        }
    }
}

/// A segment's file.
pub fn file_name(segment: SegmentNumber) -> String {
    format!("{:010}.journal", segment.0)
}

/// The segment of a file, if it is one's. There is always a number after it.
pub fn parse_file_name(name: &str) -> Option<SegmentNumber> {
    let digits = name.strip_suffix(".journal")?;
    let number = digits.parse().ok().map(SegmentNumber)?;
    (file_name(number) == name && number.0 < u32::MAX).then_some(number)
}
