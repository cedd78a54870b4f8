//! How fast something grows, and how long it will take.

use std::time::{Duration, Instant};

/// What lies nearer together is one measure.
const STEP: Duration = Duration::from_millis(100);
/// What the speed is measured over.
const WINDOW: Duration = Duration::from_secs(20);
/// What comes sooner behind the first measure is as old as that: a stream begins with what
/// has been, all at once.
const BURST: Duration = Duration::from_millis(500);
/// Nothing is foretold from less.
const LEAST: Duration = Duration::from_secs(2);
/// What is foretold at most.
const ETA_MAX: Duration = Duration::from_secs(99 * 3600);

/// How fast something grows towards its end.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    /// When it was how far.
    measures: Vec<(Instant, f64)>,
}

impl Outlook {
    /// It is so far now. What is less than before begins anew.
    pub fn add(&mut self, now: Instant, value: f64) {
        let measures = &mut self.measures;
        if measures.last().is_some_and(|&(_, last)| value < last) {
            measures.clear();
        }
        let is_within = |at: &(Instant, f64), span| now.saturating_duration_since(at.0) < span;
        match &mut measures[..] {
            [first] if is_within(first, BURST) => first.1 = value,
            [.., before, last] if is_within(before, STEP) => *last = (now, value),
            _ => measures.push((now, value)),
        }
        // One from before the window is kept, so that there is something to measure by.
        while measures.len() > 2 && now.saturating_duration_since(measures[1].0) > WINDOW {
            measures.remove(0);
        }
    }

    /// How much it grows in a second. None where it can't be told yet.
    pub fn per_second(&self, now: Instant) -> Option<f64> {
        let &[(begin, first), .., (_, last)] = &self.measures[..] else {
            return None;
        };
        let span = now.saturating_duration_since(begin);
        (span >= LEAST && last > first).then(|| (last - first) / span.as_secs_f64())
    }

    /// How long it takes until it is `end`. None where it can't be told yet, or is too long
    /// to be worth telling.
    pub fn left(&self, now: Instant, end: f64) -> Option<Duration> {
        let per_second = self.per_second(now)?;
        let (last_at, last) = *self.measures.last()?;
        let from_then = Duration::try_from_secs_f64((end - last).max(0.0) / per_second).ok()?;
        let left = from_then.saturating_sub(now.saturating_duration_since(last_at));
        (left <= ETA_MAX).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_by_the_pace_of_the_last_seconds() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let left = |outlook: &Outlook, now| outlook.left(at(now), 100.0).map(|left| left.as_secs());
        let mut outlook = Outlook::default();
        // What has been comes at once, and says nothing of the pace.
        (0..=40).for_each(|percent| outlook.add(begin, f64::from(percent)));
        assert_eq!(left(&outlook, 0), None);
        outlook.add(at(1), 41.0);
        assert_eq!(left(&outlook, 1), None, "too soon");
        outlook.add(at(2), 42.0);
        assert_eq!(left(&outlook, 2), Some(58));
        // It has slowed down.
        (3..60).for_each(|second| outlook.add(at(second), 42.0 + second as f64 / 10.0));
        let slow = left(&outlook, 59).unwrap();
        assert!((480..=530).contains(&slow), "{slow}");
        // Where nothing comes, it takes longer and longer.
        assert!(left(&outlook, 90).unwrap() > slow);
        // A new stage begins anew.
        outlook.add(at(100), 0.0);
        assert_eq!(left(&outlook, 100), None);
    }
}
