//! rsync, which tells with `--progress` how far each file is, and only at its end which it was.

use crate::progress::update::{Reading, Update};

/// What a line of it tells.
struct Row {
    percent: f64,
    /// How many are left to be looked at, of how many.
    left: Option<(f64, f64)>,
}

/// One that tells of each file.
#[derive(Default)]
pub(in crate::progress) struct Rsync {
    /// How many were left after the newest that is done, of how many.
    left: Option<(f64, f64)>,
    told: f64,
}

impl Rsync {
    /// Reads a line.
    pub fn read(&mut self, line: &str) -> Reading {
        let Some(row) = Row::of_line(line) else {
            return Reading::NotMine;
        };
        self.left = row.left.or(self.left);
        let Some((left, all)) = self.left else {
            return Reading::Mine(None);
        };
        let within = match row.left {
            Some(_) => 0.0,
            None => row.percent / 100.0,
        };
        self.told = self.told.max((all - left + within.min(left)) / all);
        Reading::Mine(Update::part(self.told))
    }
}

impl Row {
    /// `  10,944,512  36%   10.02MB/s    0:00:01 (xfr#1, to-chk=1/2)`
    fn of_line(line: &str) -> Option<Row> {
        let mut words = line.split_ascii_whitespace();
        let bytes = words.next()?;
        let percent = words.next()?.strip_suffix('%')?.parse().ok()?;
        let is_row = bytes.starts_with(|c: char| c.is_ascii_digit())
            && words.next()?.ends_with("/s")
            && words.next()?.contains(':');
        if !is_row {
            return None;
        }
        // While it is still looking for more, `ir-chk` counts what was found so far.
        let left = line.split_once("to-chk=").and_then(|(_, counted)| {
            let (left, all) = counted.trim_end_matches(')').split_once('/')?;
            let (left, all): (f64, f64) = (left.parse().ok()?, all.parse().ok()?);
            (all > 0.0 && left <= all).then_some((left, all))
        });
        Some(Row { percent, left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_done_are_counted_and_the_newest_with_them() {
        let mut rsync = Rsync::default();
        let mut told = Vec::new();
        for line in [
            "sending incremental file list",
            "  32,768  50%    0.00kB/s    0:00:00",
            "  65,536 100%   10.14MB/s    0:00:00 (xfr#1, to-chk=3/4)",
            "  32,768  50%   10.02MB/s    0:00:01",
            "  65,536 100%   10.14MB/s    0:00:00 (xfr#2, to-chk=2/4)",
            "  65,536 100%   10.14MB/s    0:00:00 (xfr#3, ir-chk=2/5)",
            "  65,536 100%   10.14MB/s    0:00:00 (xfr#4, to-chk=0/4)",
        ] {
            if let Reading::Mine(Some(update)) = rsync.read(line) {
                told.extend(update.percent);
            }
        }
        assert_eq!(told, [25.0, 37.5, 50.0, 75.0, 100.0]);
    }

    #[test]
    fn other_lines_are_left_alone() {
        for line in ["", "a 5%", "5 5% 5 5", "x 5% 1MB/s 0:00", "5 x% 1MB/s 0:00"] {
            assert_eq!(Rsync::default().read(line), Reading::NotMine, "{line}");
        }
    }
}
