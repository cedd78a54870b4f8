//! How fast something may happen.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// So many a second, and what a quiet time has left over at once (a leaky bucket).
pub struct Allowance {
    burst: Duration,
    state: Mutex<Bucket>,
}

struct Bucket {
    /// None where there is no limit.
    a_second: Option<f64>,
    /// When all that was taken is paid off.
    paid_at: Instant,
}

impl Allowance {
    /// `a_second`, and as many at once as come in `burst`.
    pub fn new(a_second: Option<f64>, burst: Duration) -> Allowance {
        let paid_at = Instant::now();
        Allowance {
            burst,
            state: Mutex::new(Bucket { a_second, paid_at }),
        }
    }

    /// So many a second from now on.
    pub fn set(&self, a_second: Option<f64>) {
        self.state.lock().a_second = a_second;
    }

    /// Takes so many, if it isn't too soon.
    ///
    /// # Errors
    /// How long to wait until it isn't. Nothing has been taken.
    pub fn take(&self, count: u64) -> Result<(), Duration> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let wait = state.paid_at.saturating_duration_since(now + self.burst);
        if !wait.is_zero() && state.a_second.is_some() {
            return Err(wait);
        }
        state.pay(count, now);
        Ok(())
    }

    /// Takes so many in any case, and says how long to wait for that.
    pub fn owe(&self, count: u64) -> Duration {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.pay(count, now);
        state.paid_at.saturating_duration_since(now + self.burst)
    }
}

impl Bucket {
    fn pay(&mut self, count: u64, now: Instant) {
        let price = self.a_second.map_or(Duration::ZERO, |a_second| {
            Duration::try_from_secs_f64(count as f64 / a_second).unwrap_or(Duration::MAX / 4)
        });
        self.paid_at = match self.a_second {
            Some(_) => now.max(self.paid_at) + price,
            None => now,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_it_is_too_soon() {
        let pace = Allowance::new(Some(0.01), Duration::from_secs(300));
        for _ in 0..4 {
            assert_eq!(pace.take(1), Ok(()));
        }
        let wait = pace.take(1).unwrap_err();
        assert!((50..=100).contains(&wait.as_secs()), "{wait:?}");
    }

    #[test]
    fn without_a_limit_nothing_is_too_soon_and_one_may_come_later() {
        let pace = Allowance::new(None, Duration::ZERO);
        assert!((0..10).all(|_| pace.take(1000).is_ok() && pace.owe(1000).is_zero()));
        pace.set(Some(0.01));
        assert!(pace.take(1).is_ok() && pace.take(1).is_err());
        pace.set(None);
        assert!(pace.take(1).is_ok() && pace.owe(1).is_zero());
    }

    #[test]
    fn what_is_owed_takes_its_time() {
        let pace = Allowance::new(Some(1000.0), Duration::ZERO);
        assert!(pace.owe(60_000) > Duration::from_secs(59));
        assert!(pace.owe(60_000) > Duration::from_secs(119));
    }
}
