//! rsync, which tells with `--progress` how far each file is, and only at its end which it was;
//! and names its files in lines of their own, whatever they are called.

use crate::progress::update::{LineReading, Update};

/// What a line of it tells.
struct RsyncLine {
    percent: f64,
    /// It is of the first file that was copied, and that is done.
    is_first_done: bool,
    /// How many are left to be looked at, of how many.
    left: Option<(f64, f64)>,
}

/// One that runs.
#[derive(Default)]
pub(in crate::progress) struct Rsync {
    is_running: bool,
    /// It tells of each file, and not of all.
    tells_files: bool,
    /// How many were left after the newest that is done, of how many.
    left: Option<(f64, f64)>,
    told: f64,
}

impl Rsync {
    /// One that this process started.
    pub fn started(tells_files: bool) -> Rsync {
        Rsync {
            is_running: true,
            tells_files,
            ..Rsync::default()
        }
    }

    /// Reads a line.
    pub fn read(&mut self, line: &str) -> LineReading {
        if line.ends_with("ing incremental file list") || line.starts_with("building file list") {
            *self = Rsync::started(self.tells_files);
        }
        if !self.is_running {
            return LineReading::NotMine;
        }
        if line.starts_with("total size is ") {
            self.is_running = false;
        }
        LineReading::Mine(RsyncLine::of_line(line).and_then(|row| self.take(&row)))
    }

    fn take(&mut self, row: &RsyncLine) -> Option<Update> {
        self.left = row.left.or(self.left);
        // Of all it would be done with more to come.
        let has_more = row.left.is_some_and(|(left, _)| left > 0.0);
        self.tells_files |= row.is_first_done && has_more;
        if !self.tells_files {
            return Some(Update::percent(row.percent));
        }
        let (left, all) = self.left?;
        let within = match row.left {
            Some(_) => 0.0,
            None => row.percent / 100.0,
        };
        self.told = self.told.max((all - left + within.min(left)) / all);
        Update::part(self.told)
    }
}

impl RsyncLine {
    /// `  10,944,512  36%   10.02MB/s    0:00:01 (xfr#1, to-chk=1/2)`
    fn of_line(line: &str) -> Option<RsyncLine> {
        let mut words = line.split_ascii_whitespace();
        let bytes = words.next()?;
        let percent: f64 = words.next()?.strip_suffix('%')?.parse().ok()?;
        let is_row = bytes.starts_with(|c: char| c.is_ascii_digit())
            && words.next()?.ends_with("/s")
            && words.next()?.contains(':');
        if !is_row || !(0.0..=100.0).contains(&percent) {
            return None;
        }
        // While it is still looking for more, `ir-chk` counts what was found so far.
        let left = line.split_once("to-chk=").and_then(|(_, counted)| {
            let (left, all) = counted.trim_end_matches(')').split_once('/')?;
            let (left, all): (f64, f64) = (left.parse().ok()?, all.parse().ok()?);
            (all > 0.0 && left <= all).then_some((left, all))
        });
        Some(RsyncLine {
            percent,
            is_first_done: line.contains("(xfr#1,") && percent == 100.0,
            left,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(mut rsync: Rsync, lines: &[&str]) -> Vec<f64> {
        let read = |line: &&str| match rsync.read(line) {
            LineReading::Mine(update) => update?.percent,
            LineReading::NotMine => None,
        };
        lines.iter().filter_map(read).collect()
    }

    const FILES: [&str; 8] = [
        "sending incremental file list",
        "50% off.pdf",
        "  32,768  50%    0.00kB/s    0:00:00",
        "  65,536 100%   10.14MB/s    0:00:00 (xfr#1, to-chk=3/4)",
        "  32,768  50%   10.02MB/s    0:00:01",
        "  65,536 100%   10.14MB/s    0:00:00 (xfr#2, to-chk=2/4)",
        "  65,536 100%   10.14MB/s    0:00:00 (xfr#3, ir-chk=2/5)",
        "  65,536 100%   10.14MB/s    0:00:00 (xfr#4, to-chk=0/4)",
    ];

    #[test]
    fn files_that_are_done_are_counted_and_the_newest_with_them() {
        let expected = [25.0, 37.5, 50.0, 75.0, 100.0];
        assert_eq!(told(Rsync::started(true), &FILES), expected);
        // Where nothing is known of it, its first file is taken for all.
        let expected = [50.0, 25.0, 37.5, 50.0, 75.0, 100.0];
        assert_eq!(told(Rsync::default(), &FILES), expected);
    }

    #[test]
    fn what_is_of_all_is_told_as_it_is() {
        let lines = [
            "sending incremental file list",
            "99% a",
            "  32,768  10%    0.00kB/s    0:00:00",
            "  65,536  40%   10.14MB/s    0:00:00 (xfr#1, to-chk=3/4)",
            "  99,536 100%   10.14MB/s    0:00:00 (xfr#4, to-chk=0/4)",
            "total size is 99,536  speedup is 1.00",
        ];
        assert_eq!(told(Rsync::default(), &lines), [10.0, 40.0, 100.0]);
        let mut ended = Rsync::started(false);
        ended.read(lines[5]);
        assert_eq!(ended.read("5%"), LineReading::NotMine);
    }

    #[test]
    fn other_lines_are_left_alone() {
        for line in ["", "a 5%", "5 5% 5 5", "x 5% 1MB/s 0:00", "5 x% 1MB/s 0:00"] {
            assert_eq!(Rsync::default().read(line), LineReading::NotMine, "{line}");
            assert_eq!(
                Rsync::started(true).read(line),
                LineReading::Mine(None),
                "{line}"
            );
        }
    }
}
