//! How long to wait before trying again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that double from a first to a longest one. Each is shortened by up to half
/// at random, so that clients that lost their hub together don't return together.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Waits from `first` to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff {
            first,
            longest,
            next: first,
        }
    }

    /// The wait after one more failure.
    pub fn failed(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.longest);
        // The standard library seeds its hash tables at random; no more is needed here.
        let random = RandomState::new().hash_one(0) as u32;
        wait - wait.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
    }

    /// Starts over after a success.
    pub fn succeeded(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over_after_a_success() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(400));
        for full in [100, 200, 400, 400] {
            let wait = backoff.failed();
            assert!(
                (ms(full / 2)..=ms(full)).contains(&wait),
                "{wait:?} of {full}"
            );
        }
        backoff.succeeded();
        assert!(backoff.failed() <= ms(100));
    }
}
