//! The blocks that rclone prints: of the whole, of its checks, and of each file.

use crate::progress::number;

/// Whether a block has been seen.
#[derive(Default)]
pub(in crate::progress) struct Rclone {
    is_known: bool,
}

impl Rclone {
    /// Reads a line. `None`: it isn't rclone's. In `Some` is the percentage of the whole, where
    /// the line has one.
    pub fn read(&mut self, line: &str) -> Option<Option<f64>> {
        // The last line of the block before isn't ended where nobody watches.
        if let Some((_, transferred)) = line.rsplit_once("Transferred:") {
            let transferred = transferred.trim_start();
            if let Some(percent) = whole(transferred) {
                self.is_known = true;
                return Some(Some(percent));
            }
            return self.is_known.then_some(None);
        }
        let is_part = line.starts_with("Checks:")
            || line.starts_with("* ") && line.contains("% /")
            || line.starts_with("Elapsed time:");
        (self.is_known && is_part).then_some(None)
    }
}

/// The percentage in `15.0 MiB / 60.4 MiB, 25%, 0 B/s, ETA -`. The whole is in bytes: the same
/// without a unit counts files.
fn whole(transferred: &str) -> Option<f64> {
    let done = number::starting_at(transferred, 0)?;
    let rest = transferred[done.end..].trim_start().strip_prefix('/')?;
    let rest = rest.trim_start();
    let total = number::starting_at(rest, 0)?;
    total.unit?;
    let (percent, _) = rest[total.end..].strip_prefix(", ")?.split_once('%')?;
    number::percentage(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_told_and_neither_checks_nor_files() {
        let mut rclone = Rclone::default();
        for (line, expected) in [
            ("Checks: 5 / 5, 100%", None),
            (
                "Transferred:   \t   15.035 MiB / 60.477 MiB, 25%, 0 B/s, ETA -",
                Some(Some(25.0)),
            ),
            ("Checks: 5 / 5, 100%", Some(None)),
            ("Transferred:            1 / 2, 50%", Some(None)),
            ("Transferring:", None),
            ("* Sale 50% off.bin: 24% /60Mi, 0/s, -", Some(None)),
            (
                "* a.bin: 24% /60Mi, 0/s, -Transferred:  30.0 MiB / 60.4 MiB, 50%, 0 B/s, ETA -",
                Some(Some(50.0)),
            ),
            ("Transferred:   \t   0 B / 0 B, -, 0 B/s, ETA -", Some(None)),
        ] {
            assert_eq!(rclone.read(line), expected, "{line}");
        }
    }
}
