//! How fast something may happen.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// So many a second, and what a quiet time has left over at once (a leaky bucket).
pub struct Allowance {
    a_second: f64,
    burst: Duration,
    /// When all that was taken is paid off.
    paid_at: Mutex<Instant>,
}

impl Allowance {
    /// `a_second`, and as many at once as come in `burst`.
    pub fn new(a_second: f64, burst: Duration) -> Allowance {
        Allowance {
            a_second,
            burst,
            paid_at: Mutex::new(Instant::now()),
        }
    }

    /// Takes so many, if it isn't too soon.
    ///
    /// # Errors
    /// How long to wait until it isn't. Nothing has been taken.
    pub fn take(&self, count: u64) -> Result<(), Duration> {
        let now = Instant::now();
        let mut paid_at = self.paid_at.lock();
        let wait = paid_at.saturating_duration_since(now + self.burst);
        if !wait.is_zero() {
            return Err(wait);
        }
        *paid_at = now.max(*paid_at) + self.price(count);
        Ok(())
    }

    /// Takes so many in any case, and says how long to wait for that.
    pub fn owe(&self, count: u64) -> Duration {
        let now = Instant::now();
        let mut paid_at = self.paid_at.lock();
        *paid_at = now.max(*paid_at) + self.price(count);
        paid_at.saturating_duration_since(now + self.burst)
    }

    fn price(&self, count: u64) -> Duration {
        Duration::try_from_secs_f64(count as f64 / self.a_second).unwrap_or(Duration::MAX / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_it_is_too_soon() {
        let pace = Allowance::new(0.01, Duration::from_secs(300));
        for _ in 0..4 {
            assert_eq!(pace.take(1), Ok(()));
        }
        let wait = pace.take(1).unwrap_err();
        assert!((50..=100).contains(&wait.as_secs()), "{wait:?}");
    }

    #[test]
    fn what_is_owed_takes_its_time() {
        let pace = Allowance::new(1000.0, Duration::ZERO);
        assert!(pace.owe(60_000) > Duration::from_secs(59));
        assert!(pace.owe(60_000) > Duration::from_secs(119));
    }
}
