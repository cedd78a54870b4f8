//! A segment, gone through record by record, whatever has happened to it.

use super::record::{Found, HEADER_BYTES, MAGIC, Record, SegmentNumber, decode};

/// What a segment holds at a place.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A record.
    Record {
        /// Where it begins.
        offset: usize,
        /// How many bytes it has.
        bytes: usize,
        /// What it says.
        record: Record<'a>,
    },
    /// No record, up to the next one or the end.
    Damaged {
        /// Where it begins.
        offset: usize,
        /// How many bytes it has.
        bytes: usize,
        /// Whether it goes on to the end.
        is_tail: bool,
    },
}

/// Goes through the bytes of a whole segment.
pub struct Scan<'a> {
    bytes: &'a [u8],
    segment: SegmentNumber,
    at: usize,
}

impl<'a> Scan<'a> {
    /// Begins at the beginning. A segment of no bytes has nothing, and no damage.
    pub fn new(bytes: &'a [u8], segment: SegmentNumber) -> Scan<'a> {
        let at = match bytes.starts_with(MAGIC) {
            true => MAGIC.len(),
            false => 0,
        };
        Scan { bytes, segment, at }
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let offset = self.at;
        let rest = &self.bytes[offset..];
        if rest.is_empty() {
            return None;
        }
        if let Found::Record(record, bytes) = decode(rest, self.segment) {
            self.at += bytes;
            return Some(Piece::Record {
                offset,
                bytes,
                record,
            });
        }
        let next = (1..rest.len().saturating_sub(HEADER_BYTES))
            .find(|&skip| matches!(decode(&rest[skip..], self.segment), Found::Record(..)));
        let bytes = next.unwrap_or(rest.len());
        self.at += bytes;
        Some(Piece::Damaged {
            offset,
            bytes,
            is_tail: next.is_none(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::encode;
    use super::*;

    const SEGMENT: SegmentNumber = SegmentNumber(3);

    fn segment(counts: &[u64]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = MAGIC.to_vec();
        let mut ends = vec![bytes.len()];
        for &count in counts {
            encode(&mut bytes, SEGMENT, &Record::Gap { count });
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn counts(bytes: &[u8]) -> (Vec<u64>, usize) {
        let (mut counts, mut lost) = (Vec::new(), 0);
        for piece in Scan::new(bytes, SEGMENT) {
            match piece {
                Piece::Record {
                    record: Record::Gap { count },
                    ..
                } => counts.push(count),
                Piece::Record { .. } => unreachable!(),
                Piece::Damaged { bytes, .. } => lost += bytes,
            }
        }
        (counts, lost)
    }

    #[test]
    fn a_cut_at_any_byte_costs_the_record_that_it_is_in() {
        let (bytes, ends) = segment(&[1, 2_000, 3_000_000]);
        for end in 0..=bytes.len() {
            let (found, lost) = counts(&bytes[..end]);
            let whole = ends.iter().filter(|&&record_end| record_end <= end).count();
            assert_eq!(found, [1, 2_000, 3_000_000][..whole.saturating_sub(1)]);
            let kept = whole.checked_sub(1).map_or(0, |last| ends[last]);
            assert_eq!(lost, end - kept, "{end}");
        }
    }

    #[test]
    fn a_changed_byte_costs_its_record_and_no_other() {
        let (bytes, ends) = segment(&[1, 2_000, 3_000_000]);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            let mut expected = vec![1, 2_000, 3_000_000];
            if let Some(hit) = ends.iter().rposition(|&end| end <= at) {
                expected.remove(hit);
            }
            assert_eq!(counts(&changed).0, expected, "{at}");
        }
    }
}
