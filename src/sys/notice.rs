//! What may happen very often, and is logged once a minute at most, with how often it was.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The time between two lines.
const INTERVAL: Duration = Duration::from_secs(60);

/// What happens. A line is logged soon after it has happened first, and the next one a minute
/// later, if it has happened again by then.
#[derive(Debug, Default)]
pub struct Notice {
    count: AtomicU64,
    state: Mutex<Logged>,
}

#[derive(Debug, Default)]
struct Logged {
    told: Option<(Instant, u64)>,
    last: Option<String>,
}

impl Notice {
    /// It has happened.
    pub fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// It has happened, and this is what is worth knowing of it. That is asked for once a line.
    pub fn add_with(&self, what: impl FnOnce() -> String) {
        self.add();
        let mut state = self.state.lock();
        if state.last.is_none() {
            state.last = Some(what());
        }
    }

    /// How often it has happened in all.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// How often it has since the last line, and what was said of the first time, where it is
    /// time for a line, or at any time `at_last`.
    pub fn take(&self, now: Instant, at_last: bool) -> Option<(u64, Option<String>)> {
        let mut state = self.state.lock();
        let count = self.count();
        let (told_at, told) = state.told.unzip();
        let new = count - told.unwrap_or(0);
        let is_time = at_last || told_at.is_none_or(|at| now.duration_since(at) >= INTERVAL);
        if new == 0 || !is_time {
            return None;
        }
        state.told = Some((now, count));
        Some((new, state.last.take()))
    }
}

/// How often, in words.
pub fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        _ => format!("{count} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_what_follows_once_a_minute() {
        let (notice, now) = (Notice::default(), Instant::now());
        assert_eq!(notice.take(now, false), None);
        notice.add_with(|| "a".to_owned());
        notice.add_with(|| panic!("one is enough"));
        assert_eq!(notice.take(now, false), Some((2, Some("a".to_owned()))));
        notice.add();
        notice.add_with(|| "c".to_owned());
        assert_eq!(notice.take(now + INTERVAL / 2, false), None);
        let told = notice.take(now + INTERVAL, false);
        assert_eq!(told, Some((2, Some("c".to_owned()))));
        assert_eq!(notice.take(now + INTERVAL * 5, false), None);
        notice.add();
        assert!(notice.take(now + INTERVAL, true).is_some(), "at the end");
        assert_eq!(notice.count(), 5);
    }
}
