//! How fast a body has to come. Only the time that its client is waited for counts.

use std::fmt;
use std::time::Duration;

/// What a body is allowed.
#[derive(Clone, Copy, Debug)]
pub struct PaceLimits {
    /// Between two of its parts, and what its rate is measured over.
    pub part: Duration,
    /// The least that it brings in a second, in bytes, on average over `part`.
    pub bytes_per_second: usize,
    /// For all of it.
    pub whole: Duration,
}

/// A body that comes.
#[derive(Debug)]
pub struct BodyPace {
    limits: PaceLimits,
    waited: Duration,
    waited_in_window: Duration,
    bytes_in_window: u64,
}

/// Why a body isn't waited for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooSlow {
    /// No part came in time.
    Stalled,
    /// The parts that came were too small.
    Dripping,
    /// It was too much for the time.
    Endless,
}

impl BodyPace {
    /// A body that begins to come.
    pub fn new(limits: PaceLimits) -> BodyPace {
        BodyPace {
            limits,
            waited: Duration::ZERO,
            waited_in_window: Duration::ZERO,
            bytes_in_window: 0,
        }
    }

    /// How long to wait for its next part.
    pub fn patience(&self) -> Duration {
        self.limits
            .part
            .min(self.limits.whole.saturating_sub(self.waited))
    }

    /// What it means that none came for so long.
    pub fn timed_out(&self) -> TooSlow {
        if self.patience() < self.limits.part {
            TooSlow::Endless
        } else {
            TooSlow::Stalled
        }
    }

    /// A part came, after a wait.
    ///
    /// # Errors
    /// Too little has come for the time.
    pub fn take(&mut self, bytes: usize, waited: Duration) -> Result<(), TooSlow> {
        self.waited += waited;
        self.waited_in_window += waited;
        self.bytes_in_window += bytes as u64;
        if self.waited >= self.limits.whole {
            return Err(TooSlow::Endless);
        }
        if self.waited_in_window >= self.limits.part {
            let least = self.waited_in_window.as_secs_f64() * self.limits.bytes_per_second as f64;
            if (self.bytes_in_window as f64) < least {
                return Err(TooSlow::Dripping);
            }
            (self.waited_in_window, self.bytes_in_window) = (Duration::ZERO, 0);
        }
        Ok(())
    }
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TooSlow::Stalled => {
                "the request's body didn't go on in time: send the rest without a pause"
            }
            TooSlow::Dripping => {
                "the request's body comes too slowly: send what there is at once, and the rest \
                 in another request"
            }
            TooSlow::Endless => "the request's body wasn't whole in time: send it in parts",
        })
    }
}

impl std::error::Error for TooSlow {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> BodyPace {
        BodyPace::new(PaceLimits {
            part: Duration::from_secs(10),
            bytes_per_second: 100,
            whole: Duration::from_secs(60),
        })
    }

    #[test]
    fn drips_are_too_slow_however_regular() {
        let mut pace = pace();
        for _ in 0..9 {
            assert_eq!(pace.take(1, Duration::from_secs(1)), Ok(()));
        }
        assert_eq!(pace.take(1, Duration::from_secs(1)), Err(TooSlow::Dripping));
    }

    #[test]
    fn a_body_that_pauses_and_catches_up_is_fast_enough() {
        let mut pace = pace();
        for _ in 0..5 {
            assert_eq!(pace.take(10, Duration::from_secs(9)), Ok(()));
            assert_eq!(pace.take(1000, Duration::from_secs(1)), Ok(()));
        }
    }

    #[test]
    fn a_short_body_is_never_measured() {
        let mut pace = pace();
        assert_eq!(pace.take(40, Duration::from_secs(9)), Ok(()));
        assert_eq!(pace.patience(), Duration::from_secs(10));
        assert_eq!(pace.timed_out(), TooSlow::Stalled);
    }

    #[test]
    fn a_body_ends_however_fast_it_comes() {
        let mut pace = pace();
        for _ in 0..59 {
            assert_eq!(pace.take(1 << 20, Duration::from_secs(1)), Ok(()));
        }
        assert_eq!(pace.patience(), Duration::from_secs(1));
        assert_eq!(pace.timed_out(), TooSlow::Endless);
        let last = pace.take(1 << 20, Duration::from_secs(1));
        assert_eq!(last, Err(TooSlow::Endless));
    }
}
