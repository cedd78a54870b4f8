//! How much of what a client has, and how fast it takes it: counts and rates by key.
//!
//! Both are tables of a fixed size, so that no number of clients makes them grow, and
//! whoever counts something remembers two bytes. A key's place is a hash with a secret:
//! two keys may have the same one and then share its limit, but nobody can choose with
//! whom. A table has no memory until something is counted.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Keys that are told apart, a power of two. A place is never zero.
const SHARE_PLACES: usize = 1 << 16;
const RATE_PLACES: usize = 1 << 14;

/// More than a table counts.
const NO_LIMIT: u32 = u32::MAX;

/// A place of a table of counts.
pub type Slot = NonZeroU16;

/// How many there are of something, by key.
#[derive(Debug)]
pub struct Shares {
    /// [`NO_LIMIT`] where there is none.
    max: AtomicU32,
    secret: RandomState,
    counts: OnceLock<Box<[AtomicU16]>>,
}

/// One that is counted, as long as it lives. Where there is no limit, none is.
#[derive(Debug)]
pub struct Share {
    of: Arc<Shares>,
    place: Option<Slot>,
}

/// How fast something happens, by key. A key that was quiet may catch up on as much as
/// its burst, at once (a leaky bucket, as the generic cell rate algorithm keeps it).
pub struct Rates {
    /// What one takes of the time, in nanoseconds. 0 where there is no limit.
    interval: AtomicU64,
    burst: Duration,
    secret: RandomState,
    began: OnceLock<Instant>,
    /// When what was taken is paid off, in nanoseconds since `began`.
    paid_at: OnceLock<Box<[AtomicU64]>>,
}

impl Shares {
    /// At most `max` by key; no limit where there is none.
    pub fn new(max: Option<u16>) -> Arc<Shares> {
        Arc::new(Shares {
            max: AtomicU32::new(max.map_or(NO_LIMIT, u32::from)),
            secret: RandomState::new(),
            counts: OnceLock::new(),
        })
    }

    /// So many from now on. Who was let in without a limit is never counted.
    pub fn limit(&self, max: Option<u16>) {
        let max = max.map_or(NO_LIMIT, u32::from);
        self.max.store(max, Ordering::Relaxed);
    }

    /// One more for `key`. None where it has all that it may have.
    pub fn take(self: &Arc<Self>, key: impl Hash) -> Option<Share> {
        let max = self.max.load(Ordering::Relaxed);
        if max == NO_LIMIT {
            return Some(self.uncounted());
        }
        let place = Slot::new(self.secret.hash_one(key) as u16).unwrap_or(Slot::MIN);
        let more = |count: u16| (u32::from(count) < max).then(|| count + 1);
        let count = &self.counts()[usize::from(place.get())];
        let taken = count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.is_ok().then(|| Share {
            of: self.clone(),
            place: Some(place),
        })
    }

    /// One that counts for nobody.
    pub fn uncounted(self: &Arc<Self>) -> Share {
        Share {
            of: self.clone(),
            place: None,
        }
    }

    /// One less of what [`Share::into_place`] left behind.
    pub fn give_back(&self, place: Slot) {
        let less = |count: u16| Some(count.saturating_sub(1));
        let count = &self.counts()[usize::from(place.get())];
        let _ = count.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    fn counts(&self) -> &[AtomicU16] {
        self.counts
            .get_or_init(|| (0..SHARE_PLACES).map(|_| AtomicU16::new(0)).collect())
    }
}

impl Share {
    /// Leaves it counted: whoever takes the place gives it back.
    pub fn into_place(mut self) -> Option<Slot> {
        self.place.take()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.of.give_back(place);
        }
    }
}

impl Rates {
    /// At most `a_second` by key, and what `burst` brings at once; no limit where there
    /// is none.
    pub fn new(a_second: Option<u32>, burst: Duration) -> Rates {
        let rates = Rates::every(burst);
        rates.limit(a_second, Duration::from_secs(1));
        rates
    }

    /// At most `a_minute` by key, all of which may come at once; no limit where there is none.
    pub fn a_minute(a_minute: Option<u32>) -> Rates {
        let minute = Duration::from_secs(60);
        let rates = Rates::every(minute);
        rates.limit(a_minute, minute);
        rates
    }

    /// So many in a while, from now on.
    pub fn limit(&self, count: Option<u32>, each: Duration) {
        let interval = count.map_or(0, |count| nanoseconds(each / count.max(1)).max(1));
        self.interval.store(interval, Ordering::Relaxed);
    }

    fn every(burst: Duration) -> Rates {
        Rates {
            interval: AtomicU64::new(0),
            burst,
            secret: RandomState::new(),
            began: OnceLock::new(),
            paid_at: OnceLock::new(),
        }
    }

    /// One more by `key`.
    ///
    /// # Errors
    /// It was too fast: how long to wait.
    pub fn take(&self, key: impl Hash, now: Instant) -> Result<(), Duration> {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == 0 {
            return Ok(());
        }
        let burst = nanoseconds(self.burst);
        let began = *self.began.get_or_init(|| now);
        let now = nanoseconds(now.saturating_duration_since(began));
        let most = now.saturating_add(burst.max(interval));
        let paid_at = self
            .paid_at
            .get_or_init(|| (0..RATE_PLACES).map(|_| AtomicU64::new(0)).collect());
        let place = self.secret.hash_one(key) as usize % RATE_PLACES;
        let take = |paid_at: u64| {
            let next = paid_at.max(now).saturating_add(interval);
            (next <= most).then_some(next)
        };
        let taken = paid_at[place].fetch_update(Ordering::AcqRel, Ordering::Acquire, take);
        taken.map(drop).map_err(|paid_at| {
            let next = paid_at.max(now).saturating_add(interval);
            Duration::from_nanos(next - most)
        })
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_share_and_no_more_until_it_gives_one_back() {
        let shares = Shares::new(Some(2));
        let first = shares.take("a");
        let second = shares.take("a");
        assert!(first.is_some() && second.is_some());
        assert!(shares.take("a").is_none());
        drop(first);
        let third = shares.take("a").unwrap();
        assert!(shares.take("a").is_none());
        let place = third.into_place().unwrap();
        assert!(shares.take("a").is_none(), "it is still counted");
        shares.give_back(place);
        assert!(shares.take("a").is_some());
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let shares = Shares::new(None);
        let all: Vec<_> = (0..100_000).map(|_| shares.take("a")).collect();
        assert!(all.iter().all(Option::is_some));
        assert!(shares.counts.get().is_none());
        let rates = Rates::new(None, Duration::ZERO);
        assert!((0..1000).all(|_| rates.take("a", Instant::now()).is_ok()));
        assert!(rates.paid_at.get().is_none());
    }

    #[test]
    fn a_limit_may_change_while_it_holds() {
        let shares = Shares::new(Some(1));
        let one = shares.take("a").unwrap();
        assert!(shares.take("a").is_none());
        shares.limit(Some(2));
        let two = shares.take("a").unwrap();
        shares.limit(None);
        assert!(shares.take("a").is_some());
        shares.limit(Some(1));
        drop((one, two));
        let _one = shares.take("a").unwrap();
        assert!(shares.take("a").is_none());
        let (rates, now) = (Rates::new(None, Duration::ZERO), Instant::now());
        assert!((0..10).all(|_| rates.take("a", now).is_ok()));
        rates.limit(Some(1), Duration::from_secs(1));
        assert!(rates.take("a", now).is_ok() && rates.take("a", now).is_err());
        rates.limit(None, Duration::from_secs(1));
        assert!(rates.take("a", now).is_ok());
    }

    #[test]
    fn few_keys_share_a_place() {
        let shares = Shares::new(Some(1));
        let taken: Vec<_> = (0..1000).map(|key| shares.take(key)).collect();
        let refused = taken.iter().filter(|share| share.is_none()).count();
        // 7.6 are expected.
        assert!(refused < 50, "{refused}");
    }

    #[test]
    fn a_rate_lets_its_burst_through_at_once_and_then_one_an_interval() {
        let rates = Rates::new(Some(10), Duration::from_secs(2));
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        assert!((0..20).all(|_| rates.take("a", at(0)).is_ok()));
        let wait = rates.take("a", at(0)).unwrap_err();
        assert!(wait <= Duration::from_millis(100), "{wait:?}");
        assert!(rates.take("a", at(110)).is_ok());
        assert!(rates.take("a", at(110)).is_err());
        assert!(
            rates.take("a", at(50)).is_err(),
            "an older clock changes nothing"
        );
        assert!((0..20).all(|_| rates.take("a", at(5000)).is_ok()));
        assert!(rates.take("a", at(5000)).is_err());
    }

    #[test]
    fn a_minutes_worth_may_come_at_once_and_no_more_of_it_than_that() {
        let rates = Rates::a_minute(Some(6));
        let begin = Instant::now();
        assert!((0..6).all(|_| rates.take("a", begin).is_ok()));
        let wait = rates.take("a", begin).unwrap_err();
        assert!((9..=10).contains(&wait.as_secs()), "{wait:?}");
        assert!(rates.take("b", begin).is_ok());
        assert!(rates.take("a", begin + Duration::from_secs(10)).is_ok());
    }

    #[test]
    fn a_rate_below_its_burst_is_never_refused() {
        let rates = Rates::new(Some(1000), Duration::from_secs(1));
        let begin = Instant::now();
        for n in 0..10_000 {
            assert!(
                rates.take("a", begin + Duration::from_millis(n)).is_ok(),
                "{n}"
            );
        }
    }
}
