//! dd and tar, which tell how much they have copied and not of how much: that is known by their
//! arguments, or not at all.

use crate::progress::known::Amount;
use crate::progress::number;
use crate::progress::update::{LineReading, Update};

/// Reads `28225536 bytes (28 MB, 27 MiB) copied, 1 s`, `tar: Write checkpoint 100`, and
/// `tar: 100 W: 1013760 (990KiB, 760MiB/s)`.
pub(in crate::progress) fn read(line: &str, of: Option<Amount>) -> LineReading {
    let bytes = match line.split_once(' ') {
        Some((_, rest)) if rest.starts_with("bytes") && rest.contains(" copied, ") => {
            number::starting_at(line, 0).map(|it| it.value)
        }
        Some(("tar:", rest)) => tar(rest, of),
        _ => None,
    };
    let Some(bytes) = bytes else {
        return LineReading::NotMine;
    };
    // The end is told by the command's end: tar pads what it writes.
    let part = of.map(|of| (bytes / of.bytes.max(1) as f64).min(1.0));
    LineReading::Mine(part.and_then(Update::part))
}

fn tar(rest: &str, of: Option<Amount>) -> Option<f64> {
    if let Some((_, count)) = rest.split_once(" checkpoint ") {
        let count: f64 = count.parse().ok()?;
        return Some(count * of.map_or(0, |of| of.record_bytes) as f64);
    }
    let (_, bytes) = rest
        .split_once(" W: ")
        .or_else(|| rest.split_once(" R: "))?;
    bytes.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_copied_is_measured_by_what_there_is() {
        let amount = Some(Amount {
            bytes: 10_240_000,
            record_bytes: 10_240,
        });
        for (line, percent) in [
            (
                "5120000 bytes (5.1 MB, 4.9 MiB) copied, 1 s, 5.1 MB/s",
                50.0,
            ),
            ("512 bytes copied, 1 s, 0.5 kB/s", 0.0),
            ("tar: Write checkpoint 100", 10.0),
            ("tar: Read checkpoint 2000", 100.0),
            ("tar: 200 W: 2048000 (2.0MiB, 299MiB/s)", 20.0),
        ] {
            let told = LineReading::Mine(Some(Update::percent(percent)));
            assert_eq!(read(line, amount), told, "{line}");
            assert_eq!(read(line, None), LineReading::Mine(None), "{line}");
        }
        for line in [
            "5 bytes",
            "tar: a: Cannot stat",
            "tar: x W: y",
            "bytes copied, ",
            "x",
        ] {
            assert_eq!(read(line, amount), LineReading::NotMine, "{line}");
        }
    }
}
