//! Places in the log, epochs, and the numbers that entries have by them.
//!
//! An entry's number is its epoch and its sequence, so it grows as the log does. An epoch is
//! of one node alone, by its slot, and of one second or two of its clock, which it waits for. So two
//! nodes don't open the same, nor does a process that one before it of its node has opened, whatever
//! Redis has lost: but by chance, where a clock is too far behind to be waited for.

use std::fmt;

use crate::event::job::EventId;
use crate::sys::random::Random;

/// Bits of a number that are the sequence.
const SEQUENCE_BITS: u32 = 18;
/// Sequences that an epoch has. What has one from here on is void.
pub const SEQUENCES: u64 = 1 << SEQUENCE_BITS;
/// Whoever reads so many before an epoch's end opens the next.
const NEARLY: u64 = SEQUENCES / 16;
/// Slots of nodes, as the log has them. So many more are of nodes that have none by the log yet.
pub const SLOTS: u64 = 16;
/// Epochs after which one is of the same slot again.
const ROUND: u64 = 2 * SLOTS;
/// The beginning of 2026, in seconds of the unix clock.
const SINCE_S: u64 = 1_767_225_600;
/// How long a node waits for its clock where epochs are ahead of it, in seconds: shorter than
/// workers wait for a server.
const PATIENCE_S: u64 = 5;
/// What epochs may be skipped by where that isn't enough.
const SKIPS: u64 = 1024;
/// How far ahead of this node's clock another's may be, in seconds.
const AHEAD_S: u64 = 3600;

/// A place in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub epoch: u64,
    pub sequence: u64,
}

impl Position {
    /// The place before any.
    pub const START: Position = Position {
        epoch: 0,
        sequence: 0,
    };

    /// The one that opens an epoch.
    pub fn opening(epoch: u64) -> Position {
        Position { epoch, sequence: 0 }
    }

    /// Reads an id of a stream.
    pub fn parse(id: &str) -> Option<Position> {
        let (epoch, sequence) = id.split_once('-')?;
        Some(Position {
            epoch: epoch.parse().ok()?,
            sequence: sequence.parse().ok()?,
        })
    }

    /// Its number. None where it has none: its epoch is full, or too large.
    pub fn number(self) -> Option<EventId> {
        let is_one = self.sequence < SEQUENCES && self.epoch <= EventId::MAX.0 >> SEQUENCE_BITS;
        is_one.then_some(EventId(self.epoch << SEQUENCE_BITS | self.sequence))
    }

    /// The one behind it in its epoch.
    pub fn next(self) -> Position {
        Position {
            sequence: self.sequence + 1,
            ..self
        }
    }

    /// Whether its epoch is nearly full.
    pub fn is_near_the_end(self) -> bool {
        self.sequence >= SEQUENCES - NEARLY
    }

    /// Whether anything may have been numbered so by now, for all that is known to a node
    /// that has read up to here. Epochs may be ahead of all clocks, where one was set back.
    pub fn may_precede(self, id: EventId, now_s: u64) -> bool {
        id.0 >> SEQUENCE_BITS <= by_clock(now_s).max(self.epoch) + AHEAD_S * SLOTS
    }
}

/// The last epoch that a node opens by its clock in this second. A process opens none that
/// one before it of the same node may have opened: those up to this are from before its start.
pub fn epochs_until(now_s: u64) -> u64 {
    by_clock(now_s) + ROUND - 1
}

/// The next epoch of a slot above `known`, at this second of the unix clock.
///
/// # Errors
/// The clock isn't there yet, by so many seconds.
pub fn next_epoch(slot: u64, known: u64, now_s: u64, random: &mut Random) -> Result<u64, u64> {
    let of_slot = |least: u64| least + (slot + ROUND - least % ROUND) % ROUND;
    let epoch = of_slot(by_clock(now_s).max(known + 1));
    let early_s = epoch.saturating_sub(epochs_until(now_s)).div_ceil(SLOTS);
    match early_s {
        0 => Ok(epoch),
        1..=PATIENCE_S => Err(early_s),
        // The clock was set back, or is far behind another's: what was opened before isn't known.
        _ => Ok(of_slot(known + 1 + ROUND * (random.next() % SKIPS))),
    }
}

/// The slot that a node of this name has, if it can.
pub fn slot_of(name: &str) -> u64 {
    let bytes = name.bytes();
    bytes.fold(0, |sum: u64, byte| sum * 31 % SLOTS + u64::from(byte)) % SLOTS
}

fn by_clock(now_s: u64) -> u64 {
    now_s.saturating_sub(SINCE_S) * SLOTS
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_as_the_log_does_and_a_browser_can_count_them() {
        let first = Position::opening(7);
        assert_eq!(first.number(), Some(EventId(7 << 18)));
        assert!(first.next().number() > first.number());
        let last = Position {
            epoch: 7,
            sequence: SEQUENCES - 1,
        };
        assert!(last.number() < Position::opening(8).number());
        assert_eq!(last.next().number(), None);
        let of_2094 = (2094 - 2026) * 365 * 86_400 * SLOTS;
        assert!(Position::opening(of_2094).number().is_some());
        assert_eq!(Position::opening(of_2094 * 2).number(), None);
        assert_eq!(Position::parse(&last.to_string()), Some(last));
    }

    #[test]
    fn a_number_may_come_that_is_ahead_of_the_clock_as_epochs_are() {
        let ahead = |epoch: u64| Position::opening(epoch).number().unwrap();
        let (at, next) = (
            Position::opening(3 * AHEAD_S * SLOTS),
            3 * AHEAD_S * SLOTS + 99,
        );
        assert!(at.may_precede(ahead(next), SINCE_S));
        assert!(!Position::START.may_precede(ahead(next), SINCE_S));
        assert!(!at.may_precede(EventId::MAX, SINCE_S));
    }

    #[test]
    fn two_slots_never_have_the_same_epoch_and_a_slot_never_the_same_twice() {
        let mut random = Random::seeded(1);
        for now_s in [0, SINCE_S, SINCE_S + 1000] {
            for known in [0, 15, 16, 900, 16_000, 40_000] {
                for slot in 0..ROUND {
                    if let Ok(next) = next_epoch(slot, known, now_s, &mut random) {
                        assert!(next > known);
                        assert_eq!(next % ROUND, slot);
                    }
                }
            }
        }
    }

    #[test]
    fn a_process_opens_no_epoch_that_one_before_it_may_have_opened() {
        let mut random = Random::seeded(1);
        let mut opened = std::collections::HashSet::new();
        let mut now_s = SINCE_S + 1_000_000;
        for _ in 0..200 {
            // All that was opened before is lost. Another node has what is ahead of this clock.
            let mut known = epochs_until(now_s).max(by_clock(now_s) + random.next() % (4 * SLOTS));
            for _ in 0..random.next() % 10 {
                if let Ok(next) = next_epoch(3, known, now_s, &mut random) {
                    assert!(opened.insert(next), "{next}");
                    known = next;
                }
                now_s += random.next() % 20;
            }
        }
        assert!(opened.len() > 300, "{}", opened.len());
    }

    #[test]
    fn an_epoch_is_waited_for_unless_that_would_take_too_long() {
        let mut random = Random::seeded(1);
        let now_s = SINCE_S + 1000;
        let last = epochs_until(now_s);
        let mut next = |known, now_s| next_epoch(ROUND - 1, known, now_s, &mut random);
        assert_eq!(next(last, now_s), Err(2));
        assert_eq!(next(last, now_s + 2), Ok(last + ROUND));
        assert_eq!(next(0, now_s), Ok(by_clock(now_s) + ROUND - 1));
        assert!(next(last + PATIENCE_S * SLOTS, now_s).is_ok_and(|next| next > last));
    }
}
