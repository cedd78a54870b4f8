//! How long something takes, as a histogram.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds in seconds for what is done at once: from 50 microseconds to 5 seconds.
pub const QUICK: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
    5.0,
];
/// Bounds in seconds for what takes its time: from a tenth of a second to two hours.
pub const SLOW: &[f64] = &[
    0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 7200.0,
];
/// As many as there are bounds at most, and one for what is above them all.
const BUCKETS: usize = 15;

/// A histogram. Counting costs two additions.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// The bounds in nanoseconds.
    most_ns: [u64; BUCKETS],
    counts: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Default for Histogram {
    /// One of what is done at once.
    fn default() -> Histogram {
        Histogram::new(QUICK)
    }
}

impl Histogram {
    /// One with these bounds, in seconds.
    pub fn new(bounds: &'static [f64]) -> Histogram {
        let most_ns = |index: usize| match bounds.get(index) {
            Some(bound) if index < BUCKETS - 1 => (bound * 1e9).round() as u64,
            _ => u64::MAX,
        };
        Histogram {
            bounds: &bounds[..bounds.len().min(BUCKETS - 1)],
            most_ns: std::array::from_fn(most_ns),
            counts: Default::default(),
            sum_ns: AtomicU64::new(0),
        }
    }

    /// Counts one.
    pub fn observe(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let index = self.most_ns.iter().position(|most| ns <= *most);
        self.counts[index.unwrap_or(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// The time that all have taken together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed))
    }

    /// Appends its samples in Prometheus' text format; `labels` stand before `le`, with a comma
    /// behind each.
    pub fn write(&self, out: &mut String, name: &str, labels: &str) {
        let mut count = 0;
        for (bound, bucket) in self.bounds.iter().zip(&self.counts) {
            count += bucket.load(Ordering::Relaxed);
            let _ = writeln!(
                out,
                "landfall_{name}_bucket{{{labels}le=\"{bound}\"}} {count}"
            );
        }
        let above = &self.counts[self.bounds.len()..];
        let above = above.iter().map(|it| it.load(Ordering::Relaxed));
        count += above.sum::<u64>();
        let sum = self.sum().as_secs_f64();
        let of_all = match labels.trim_end_matches(',') {
            "" => String::new(),
            labels => format!("{{{labels}}}"),
        };
        let _ = writeln!(
            out,
            "landfall_{name}_bucket{{{labels}le=\"+Inf\"}} {count}\n\
             landfall_{name}_sum{of_all} {sum}\nlandfall_{name}_count{of_all} {count}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_in_its_bucket_and_in_all_above() {
        let histogram = Histogram::new(&[0.001, 0.5]);
        for ms in [0, 1, 2, 500, 501, 9000] {
            histogram.observe(Duration::from_millis(ms));
        }
        let mut text = String::new();
        histogram.write(&mut text, "x_seconds", "stage=\"a\",");
        assert_eq!(
            text,
            "landfall_x_seconds_bucket{stage=\"a\",le=\"0.001\"} 2\n\
             landfall_x_seconds_bucket{stage=\"a\",le=\"0.5\"} 4\n\
             landfall_x_seconds_bucket{stage=\"a\",le=\"+Inf\"} 6\n\
             landfall_x_seconds_sum{stage=\"a\"} 10.004\n\
             landfall_x_seconds_count{stage=\"a\"} 6\n"
        );
        let mut text = String::new();
        Histogram::new(QUICK).write(&mut text, "y_seconds", "");
        assert!(text.ends_with("\nlandfall_y_seconds_sum 0\nlandfall_y_seconds_count 0\n"));
    }

    #[test]
    fn bounds_grow_and_there_is_a_bucket_for_each() {
        for bounds in [QUICK, SLOW] {
            assert!(bounds.is_sorted() && bounds.len() < BUCKETS);
        }
    }
}
