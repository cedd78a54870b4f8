//! Exactly once and in order, checked on the bytes of one subscriber's stream.
//!
//! Every event published carries `"n":N,"t":T` in its data: N counts from a
//! number that the subscriber knows, T is when it was sent. The rest of the
//! stream is each server's own framing and is skipped: HTTP's chunks too, since
//! no server here cuts an event by one. What a subscriber must remember between
//! two reads is twelve bytes and a time.

use memchr::memmem::Finder;

const NUMBER: &[u8] = b"\"n\":";
const TIME: &[u8] = b",\"t\":";

/// Where, after a mismatch at `i` bytes of [`NUMBER`], a match may still begin.
const NUMBER_FALLBACK: [u8; 4] = [0, 0, 0, 1];

/// What a stream has brought so far, summed over subscribers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Events that were the next one expected.
    pub in_order: u64,
    /// Events that were skipped.
    pub missing: u64,
    /// Events that had been seen before, or came after a later one.
    pub repeated: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Expecting {
    /// So many bytes of [`NUMBER`] have matched.
    #[default]
    Number,
    /// `matched` is 1 once there was a digit.
    Digits,
    /// So many bytes of [`TIME`] have matched.
    Time,
    TimeDigits,
}

/// One subscriber's place in its sequence.
#[derive(Debug, Default, Clone, Copy)]
pub struct Sequence {
    next: u32,
    digits: u64,
    matched: u8,
    expecting: Expecting,
}

/// Finds event numbers; built once, used for every subscriber.
pub struct Scanner {
    finder: Finder<'static>,
}

impl Default for Scanner {
    fn default() -> Self {
        Scanner {
            finder: Finder::new(NUMBER),
        }
    }
}

impl Sequence {
    /// A sequence whose next event is `next`.
    pub fn starting_at(next: u32) -> Self {
        Sequence {
            next,
            ..Sequence::default()
        }
    }

    fn count(&mut self, tally: &mut Tally) {
        let number = self.digits as u32;
        if number == self.next {
            tally.in_order += 1;
            self.next += 1;
        } else if number > self.next {
            tally.missing += u64::from(number - self.next);
            tally.in_order += 1;
            self.next = number + 1;
        } else {
            tally.repeated += 1;
        }
    }
}

impl Scanner {
    /// Reads on where `sequence` stopped. `at` is called with the time that
    /// each event carries, once that is known to be whole.
    pub fn feed(
        &self,
        sequence: &mut Sequence,
        bytes: &[u8],
        tally: &mut Tally,
        mut at: impl FnMut(u64),
    ) {
        let mut place = 0;
        while place < bytes.len() {
            match sequence.expecting {
                Expecting::Number if sequence.matched == 0 => {
                    match self.finder.find(&bytes[place..]) {
                        Some(found) => {
                            place += found + NUMBER.len();
                            expect(sequence, Expecting::Digits);
                        }
                        None => {
                            sequence.matched = tail_match(&bytes[place..]);
                            return;
                        }
                    }
                }
                Expecting::Number => {
                    match_number(sequence, bytes[place]);
                    place += 1;
                }
                Expecting::Digits => {
                    place += take_digits(sequence, &bytes[place..]);
                    if place < bytes.len() {
                        // A value that is no number is no event's.
                        let is_number = sequence.matched > 0;
                        if is_number {
                            sequence.count(tally);
                        }
                        expect(
                            sequence,
                            if is_number {
                                Expecting::Time
                            } else {
                                Expecting::Number
                            },
                        );
                    }
                }
                Expecting::Time => {
                    if bytes[place] != TIME[usize::from(sequence.matched)] {
                        // An event without a time: look for the next one.
                        expect(sequence, Expecting::Number);
                        continue;
                    }
                    place += 1;
                    sequence.matched += 1;
                    if usize::from(sequence.matched) == TIME.len() {
                        expect(sequence, Expecting::TimeDigits);
                    }
                }
                Expecting::TimeDigits => {
                    place += take_digits(sequence, &bytes[place..]);
                    if place < bytes.len() {
                        at(sequence.digits);
                        expect(sequence, Expecting::Number);
                    }
                }
            }
        }
    }
}

fn expect(sequence: &mut Sequence, expecting: Expecting) {
    sequence.expecting = expecting;
    sequence.matched = 0;
    sequence.digits = 0;
}

fn match_number(sequence: &mut Sequence, byte: u8) {
    let mut matched = usize::from(sequence.matched);
    while matched > 0 && NUMBER[matched] != byte {
        matched = usize::from(NUMBER_FALLBACK[matched]);
    }
    if NUMBER[matched] == byte {
        matched += 1;
    }
    if matched == NUMBER.len() {
        expect(sequence, Expecting::Digits);
    } else {
        sequence.matched = matched as u8;
    }
}

/// How many bytes at the end of `bytes` may be the beginning of [`NUMBER`].
fn tail_match(bytes: &[u8]) -> u8 {
    (1..NUMBER.len())
        .rev()
        .find(|&length| bytes.ends_with(&NUMBER[..length]))
        .unwrap_or(0) as u8
}

fn take_digits(sequence: &mut Sequence, bytes: &[u8]) -> usize {
    let mut taken = 0;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        sequence.digits = sequence
            .digits
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit));
        taken += 1;
        sequence.matched = 1;
    }
    taken
}
