//! How far numbers may have been given, from what the last life left behind.

use crate::event::job::EventId;
use crate::sequencer::journal::files::is_same_boot;
use crate::sequencer::journal::record::{ENTRY_MIN_BYTES, RESERVED};

/// No segment has had more numbers, with those that were skipped.
const SEGMENT_NUMBERS: u64 = 1 << 20;

/// What the last life left behind.
#[derive(Default)]
pub struct LastNumbers {
    boot: Option<[u8; 16]>,
    reserved: EventId,
    is_closed: bool,
    /// Bytes that were no records, since the last entry. Those at the end may be of a write
    /// that nobody has seen the result of; damage can't be told from that.
    lost_bytes: u64,
    /// Whether bytes were lost since the last reservation, which may have held another.
    has_lost_since: bool,
    /// Segments without a beginning, since the last that has one.
    lost_segments: u64,
}

impl LastNumbers {
    /// A life began, or went on.
    pub fn open(&mut self, boot: [u8; 16], reserved: EventId) {
        self.boot = Some(boot);
        self.reserved = reserved;
        self.is_closed = false;
        self.has_lost_since = false;
        self.lost_segments = 0;
    }

    /// It ended as it should.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// An entry, or a gap: numbers up to it are known.
    pub fn go_on(&mut self) {
        self.is_closed = false;
        self.lost_bytes = 0;
    }

    /// So many bytes were no records.
    pub fn lose(&mut self, bytes: u64) {
        self.lost_bytes += bytes;
        self.is_closed = false;
        self.has_lost_since = true;
    }

    /// A segment of so many bytes says nothing.
    pub fn lose_a_segment(&mut self, bytes: u64) {
        self.lose(bytes);
        self.lost_segments += 1;
    }

    /// Whether it didn't end as it should, and the host, which has this boot, has gone on.
    pub fn was_killed(&self, boot: [u8; 16]) -> bool {
        !self.is_closed && self.boot.is_some_and(|last| is_same_boot(last, boot))
    }

    /// How many numbers above `newest` may have been given. There are so many `segments`,
    /// where nothing else is known.
    pub fn lost_numbers(&self, boot: [u8; 16], newest: EventId, first_unknown: u64) -> u64 {
        let lost = self.lost_bytes.div_ceil(ENTRY_MIN_BYTES);
        // Whatever ended the life that wrote them: a segment has a beginning from its first
        // moment on, so one without is what is left of one that had numbers.
        let segments = self.lost_segments * SEGMENT_NUMBERS;
        let Some(last_boot) = self.boot else {
            // Segments that went before one of which nothing is left had numbers, too.
            return lost.max(first_unknown * SEGMENT_NUMBERS + segments);
        };
        // Where the end is damaged though the host went on, the medium was lost, or a write was
        // cut off: how much has gone with it can't be told from what is left. No more can it be
        // where this is a copy, which was made before the end.
        if self.is_closed || last_boot == boot && self.lost_bytes == 0 {
            return lost.max(segments);
        }
        let reserved = self.reserved.0.saturating_sub(newest.0);
        let unknown = if self.has_lost_since && self.reserved.0 > 0 {
            RESERVED
        } else {
            0
        };
        reserved.max(unknown).max(lost).max(segments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: [u8; 16] = [1; 16];
    const NEXT_BOOT: [u8; 16] = [2; 16];

    fn opened() -> LastNumbers {
        let mut last = LastNumbers::default();
        last.open(BOOT, EventId(110));
        last.go_on();
        last
    }

    fn lost(last: &LastNumbers, boot: [u8; 16]) -> u64 {
        last.lost_numbers(boot, EventId(100), 0)
    }

    #[test]
    fn a_loss_of_power_costs_what_was_reserved_and_the_end_of_a_process_nothing() {
        let mut last = opened();
        assert_eq!(lost(&last, BOOT), 0);
        assert_eq!(lost(&last, NEXT_BOOT), 10);
        last.close();
        assert_eq!(lost(&last, NEXT_BOOT), 0);
    }

    #[test]
    fn a_copy_costs_what_was_reserved_unless_it_was_made_behind_the_end() {
        let mut copied = BOOT;
        copied[15] = 2;
        let mut last = opened();
        assert_eq!(lost(&last, copied), 10);
        // The host has gone on all the same.
        assert!(last.was_killed(copied));
        assert!(!last.was_killed(NEXT_BOOT));
        last.close();
        assert_eq!(lost(&last, copied), 0);
    }

    #[test]
    fn lost_bytes_cost_what_was_reserved_and_more_unless_an_entry_follows() {
        let mut last = opened();
        last.lose(150);
        for boot in [BOOT, NEXT_BOOT] {
            assert_eq!(lost(&last, boot), RESERVED);
        }
        last.go_on();
        assert_eq!(lost(&last, BOOT), 0);
        assert_eq!(lost(&last, NEXT_BOOT), RESERVED);
        last.open(BOOT, EventId(110));
        assert_eq!(lost(&last, NEXT_BOOT), 10);
    }

    #[test]
    fn an_empty_segment_does_not_make_the_one_before_it_the_end() {
        let mut last = opened();
        last.close();
        last.lose_a_segment(0);
        assert_eq!(lost(&last, BOOT), SEGMENT_NUMBERS);
        assert_eq!(lost(&last, NEXT_BOOT), SEGMENT_NUMBERS);
        last.open(BOOT, EventId(110));
        assert_eq!(lost(&last, BOOT), 0);
    }

    #[test]
    fn an_empty_segment_alone_had_numbers_as_had_those_before_it() {
        let mut last = LastNumbers::default();
        assert_eq!(last.lost_numbers(BOOT, EventId(0), 0), 0);
        last.lose_a_segment(0);
        assert_eq!(last.lost_numbers(BOOT, EventId(0), 0), SEGMENT_NUMBERS);
        assert_eq!(last.lost_numbers(BOOT, EventId(0), 4), 5 * SEGMENT_NUMBERS);
    }
}
