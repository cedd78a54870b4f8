//! Bars, and the figures beside them.

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

/// A bar of so many columns, brackets among them, at so many percent.
pub fn bar(percent: f64, columns: usize) -> String {
    let inside = columns.saturating_sub(2);
    let filled = (percent.clamp(0.0, 100.0) / 100.0 * inside as f64) as usize;
    let mut bar = String::with_capacity(columns);
    bar.push('[');
    for column in 0..inside {
        bar.push(match column {
            _ if column < filled => '=',
            _ if column == filled => '>',
            _ => ' ',
        });
    }
    bar.push(']');
    bar
}

/// A span as a clock shows it: `0:42`, `1:02:03`.
pub fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Bytes in a few digits: `512 B`, `1.5 MiB`, `234 GiB`.
pub fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ if value < 9.95 => format!("{value:.1} {}", units[unit]),
        _ => format!("{value:.0} {}", units[unit]),
    }
}

/// How fast something grows towards its end.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// When it was how far.
    measures: Vec<(Instant, f64)>,
}

impl Pace {
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
    fn a_bar_is_as_full_as_it_says_and_as_wide_as_it_may_be() {
        for (percent, columns, text) in [
            (0.0, 12, "[>         ]"),
            (43.0, 12, "[====>     ]"),
            (99.9, 12, "[=========>]"),
            (100.0, 12, "[==========]"),
            (-5.0, 6, "[>   ]"),
            (1e9, 6, "[====]"),
            (50.0, 2, "[]"),
            (50.0, 0, "[]"),
        ] {
            assert_eq!(bar(percent, columns), text);
        }
    }

    #[test]
    fn figures_are_short() {
        let clock = |seconds| clock(Duration::from_secs(seconds));
        assert_eq!(
            [clock(0), clock(62), clock(3723)],
            ["0:00", "1:02", "1:02:03"]
        );
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 << 20, "10 MiB"),
            (1023 << 20, "1.0 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn what_is_left_is_told_by_the_pace_of_the_last_seconds() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let left = |pace: &Pace, now| pace.left(at(now), 100.0).map(|left| left.as_secs());
        let mut pace = Pace::default();
        // What has been comes at once, and says nothing of the pace.
        (0..=40).for_each(|percent| pace.add(begin, f64::from(percent)));
        assert_eq!(left(&pace, 0), None);
        pace.add(at(1), 41.0);
        assert_eq!(left(&pace, 1), None, "too soon");
        pace.add(at(2), 42.0);
        assert_eq!(left(&pace, 2), Some(58));
        // It has slowed down.
        (3..60).for_each(|second| pace.add(at(second), 42.0 + second as f64 / 10.0));
        let slow = left(&pace, 59).unwrap();
        assert!((480..=530).contains(&slow), "{slow}");
        // Where nothing comes, it takes longer and longer.
        assert!(left(&pace, 90).unwrap() > slow);
        // A new stage begins anew.
        pace.add(at(100), 0.0);
        assert_eq!(left(&pace, 100), None);
    }
}
