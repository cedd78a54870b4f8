//! Bars, and the figures beside them.

use std::time::Duration;

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
}
