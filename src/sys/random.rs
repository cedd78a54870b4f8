//! Numbers that differ from connection to connection. They spread load; what must not be
//! guessed is made of [`secret`] bits alone.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};

/// A generator of such numbers (xorshift64*).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator with a seed of its own.
    pub fn new() -> Random {
        Random(RandomState::new().hash_one(0) | 1)
    }

    /// A generator that is the same every time.
    #[cfg(test)]
    pub fn seeded(seed: u64) -> Random {
        Random(seed | 1)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// `base` and up to half of it more.
    pub fn jitter(&mut self, base: Duration) -> Duration {
        self.between(base, base.saturating_add(base / 2))
    }

    /// From `least` up to `most`, in milliseconds.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let range = most.saturating_sub(least).as_millis() as u64;
        least.saturating_add(Duration::from_millis(self.next() % range.max(1)))
    }
}

/// Bits that nobody can guess, from the system.
///
/// # Errors
/// The system has none to give.
pub fn secret() -> io::Result<[u8; 16]> {
    let mut bits = [0; 16];
    let mut length = 0;
    while length < bits.len() {
        let more = getrandom(&mut bits[length..], GetRandomFlags::empty());
        match more {
            Err(rustix::io::Errno::INTR) => {}
            more => length += more?,
        }
    }
    Ok(bits)
}

impl Default for Random {
    fn default() -> Random {
        Random::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_half_of_the_base_and_varies() {
        let mut random = Random::new();
        let base = Duration::from_secs(5);
        let waits: Vec<_> = (0..1000).map(|_| random.jitter(base)).collect();
        assert!(
            waits
                .iter()
                .all(|&wait| wait >= base && wait < base + base / 2)
        );
        assert!(waits.iter().any(|&wait| wait != waits[0]));
        assert_eq!(random.jitter(Duration::ZERO), Duration::ZERO);
    }
}
