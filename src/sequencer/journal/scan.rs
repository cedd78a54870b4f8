//! A segment, gone through record by record, whatever has happened to it.

use super::codec::{Decoded, HEADER_BYTES};
use super::record::SegmentNumber;

/// In damage only records of kinds below this are looked for: each candidate costs a
/// checksum.
const KINDS: u8 = 64;

/// What a segment holds at a place.
#[derive(Debug, PartialEq, Eq)]
pub enum SegmentPiece<R> {
    /// A record.
    Record {
        /// Where it begins.
        offset: usize,
        /// How many bytes it has.
        bytes: usize,
        /// What it says.
        record: R,
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
    /// What a newer version has written. It is the last piece.
    Newer,
}

/// Goes through the bytes of a whole segment.
pub struct Scan<'a, R> {
    bytes: &'a [u8],
    segment: SegmentNumber,
    decode: fn(&'a [u8], SegmentNumber) -> Decoded<R>,
    at: usize,
}

impl<'a, R> Scan<'a, R> {
    /// Begins at the beginning, behind the `magic`. A segment of no bytes has nothing, and
    /// no damage.
    pub fn new(
        bytes: &'a [u8],
        segment: SegmentNumber,
        magic: &[u8],
        decode: fn(&'a [u8], SegmentNumber) -> Decoded<R>,
    ) -> Scan<'a, R> {
        let at = if bytes.starts_with(magic) {
            magic.len()
        } else {
            0
        };
        Scan {
            bytes,
            segment,
            decode,
            at,
        }
    }
}

impl<R> Iterator for Scan<'_, R> {
    type Item = SegmentPiece<R>;

    fn next(&mut self) -> Option<SegmentPiece<R>> {
        let offset = self.at;
        let rest = &self.bytes[offset..];
        if rest.is_empty() {
            return None;
        }
        match (self.decode)(rest, self.segment) {
            Decoded::Record(record, bytes) => {
                self.at += bytes;
                return Some(SegmentPiece::Record {
                    offset,
                    bytes,
                    record,
                });
            }
            Decoded::Newer => {
                self.at = self.bytes.len();
                return Some(SegmentPiece::Newer);
            }
            Decoded::Incomplete | Decoded::Nothing => {}
        }
        let next = (1..rest.len().saturating_sub(HEADER_BYTES)).find(|&skip| {
            rest[skip + HEADER_BYTES] < KINDS
                && matches!(
                    (self.decode)(&rest[skip..], self.segment),
                    Decoded::Record(..) | Decoded::Newer
                )
        });
        let bytes = next.unwrap_or(rest.len());
        self.at += bytes;
        Some(SegmentPiece::Damaged {
            offset,
            bytes,
            is_tail: next.is_none(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{MAGIC, Record, decode, encode};
    use super::*;
    use crate::event::job::EventId;

    const SEGMENT: SegmentNumber = SegmentNumber(3);

    fn segment(ends: &[u64]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = MAGIC.to_vec();
        let mut places = vec![bytes.len()];
        for &end in ends {
            let gap = Record::Gap {
                first: EventId(1),
                end: EventId(end),
            };
            encode(&mut bytes, SEGMENT, &gap);
            places.push(bytes.len());
        }
        (bytes, places)
    }

    fn gaps(bytes: &[u8]) -> (Vec<u64>, usize) {
        let (mut gaps, mut lost) = (Vec::new(), 0);
        for piece in Scan::new(bytes, SEGMENT, MAGIC, decode) {
            match piece {
                SegmentPiece::Record {
                    record: Record::Gap { end, .. },
                    ..
                } => gaps.push(end.0),
                SegmentPiece::Record { .. } | SegmentPiece::Newer => unreachable!(),
                SegmentPiece::Damaged { bytes, .. } => lost += bytes,
            }
        }
        (gaps, lost)
    }

    #[test]
    fn a_cut_at_any_byte_costs_the_record_that_it_is_in() {
        let (bytes, ends) = segment(&[1, 2_000, 3_000_000]);
        for end in 0..=bytes.len() {
            let (found, lost) = gaps(&bytes[..end]);
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
            assert_eq!(gaps(&changed).0, expected, "{at}");
        }
    }

    #[test]
    fn what_a_newer_version_has_written_is_the_last_piece() {
        let (mut bytes, _) = segment(&[1]);
        let before = Scan::new(&bytes, SEGMENT, MAGIC, decode).count();
        let write = |out: &mut Vec<u8>| out.extend_from_slice(&[99, 1]);
        super::super::codec::put_record(&mut bytes, SEGMENT.0, write);
        bytes.extend_from_slice(b"behind it");
        let pieces: Vec<_> = Scan::new(&bytes, SEGMENT, MAGIC, decode).collect();
        assert_eq!(pieces.len(), before + 1);
        assert_eq!(pieces.last(), Some(&SegmentPiece::Newer));
    }
}
