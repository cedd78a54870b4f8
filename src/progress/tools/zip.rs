//! zip, which counts what it has done and what is left: `  2/  4   adding: a (stored 0%)` is of
//! six.

use crate::progress::number;
use crate::progress::update::{LineReading, Update};

/// What it does to a file.
const VERBS: [&str; 5] = [
    "adding:",
    "updating:",
    "freshening:",
    "deleting:",
    "copying:",
];

/// Reads a line of `zip -dc`, or of `zip -db`: `[ 19K/ 78K]   adding: a`.
pub(in crate::progress) fn read(line: &str) -> LineReading {
    // Which disk it is of: `1>1: `.
    let disk = line.split_once(": ");
    let disk = disk.filter(|(disk, _)| disk.bytes().all(|b| b.is_ascii_digit() || b == b'>'));
    let mut rest = disk.map_or(line, |(_, rest)| rest).trim_start();
    let (mut done, mut left) = (0.0, 0.0);
    let mut is_counted = false;
    // Of files, and then of bytes, which say more.
    while let Some((now, after, behind)) = counted(rest) {
        (done, left, is_counted) = (now, after, true);
        rest = behind.trim_start();
    }
    if !is_counted || !VERBS.iter().any(|verb| rest.starts_with(verb)) {
        return LineReading::NotMine;
    }
    LineReading::Mine(Update::part(done / f64::max(done + left, 1.0)))
}

/// `2/  4`, or `[ 19K/ 78K]`, and what is behind it.
fn counted(text: &str) -> Option<(f64, f64, &str)> {
    let inner = text.strip_prefix('[');
    let start = inner.unwrap_or(text).trim_start();
    let done = number::starting_at(start, 0)?;
    let rest = start[done.end..].strip_prefix('/')?.trim_start();
    let left = number::starting_at(rest, 0)?;
    let rest = &rest[left.end..];
    let rest = match inner {
        Some(_) => rest.strip_prefix(']')?,
        None => rest,
    };
    Some((done.value, left.value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_measured_by_what_is_left() {
        for (line, percent) in [
            ("0/  6   adding: zd/ (stored 0%)", 0.0),
            ("3/  3   adding: zd/f1 (deflated 80%)", 50.0),
            ("4/  1 updating: 90% off", 80.0),
            ("[   0/ 60M]   adding: half.bin ......", 0.0),
            ("1>1:   3/  3 [ 25K/ 75K]   adding: zd/f2 (stored 0%)", 25.0),
        ] {
            let told = LineReading::Mine(Some(Update::percent(percent)));
            assert_eq!(read(line), told, "{line}");
        }
        for line in [
            "adding: a (deflated 50%)",
            "3/6 files",
            "[3/6] adding a",
            "[3/6",
            "3/",
            "1>1: ",
            "",
        ] {
            assert_eq!(read(line), LineReading::NotMine, "{line}");
        }
    }
}
