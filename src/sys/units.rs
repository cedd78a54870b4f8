//! Durations and sizes as people write them: one grammar for flags, their twins in the
//! environment, and files.

use std::fmt;
use std::time::Duration;

/// The longest duration, 584 years: a point in time that is so far off is still one.
const LONGEST: Duration = Duration::from_nanos(u64::MAX);

/// A text is no duration, or no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitError {
    /// It isn't a number and a unit of time.
    NotADuration,
    /// It isn't a whole number, with or without a unit of size.
    NotASize,
}

/// A number and a unit: `500ms`, `5s`, `15m`, `24h`, `7d`, or several, `1h 30m`. What is beyond 584
/// years is as good as that.
///
/// # Errors
/// It isn't that.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    let duration = humantime::parse_duration(text);
    let duration = duration.map_err(|_| UnitError::NotADuration)?;
    Ok(duration.min(LONGEST))
}

/// Bytes: a whole number, with `K`, `M`, `G` or `T` for as many times 1,024. `KB` and `KiB`
/// are the same as `K`, in capitals or not.
///
/// # Errors
/// It isn't that, or more than a number holds.
pub fn size(text: &str) -> Result<u64, UnitError> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[digits.len()..].trim_start().to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => Some(0),
        "k" | "kb" | "kib" => Some(1),
        "m" | "mb" | "mib" => Some(2),
        "g" | "gb" | "gib" => Some(3),
        "t" | "tb" | "tib" => Some(4),
        _ => None,
    };
    let bytes = digits.parse::<u64>().ok().zip(power);
    bytes
        .and_then(|(number, power)| number.checked_mul(1 << (10 * power)))
        .ok_or(UnitError::NotASize)
}

/// A duration in the largest unit that leaves no rest: `200ms`, `60s`, `24h`, `7d`.
pub fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [
        (2, 86_400_000, "d"),
        (1, 3_600_000, "h"),
        (2, 60_000, "m"),
        (1, 1000, "s"),
    ];
    let fits = |&(least, unit, _): &(u128, u128, _)| ms >= least * unit && ms.is_multiple_of(unit);
    match units.into_iter().find(fits) {
        Some((_, unit, name)) => format!("{}{name}", ms / unit),
        None => format!("{ms}ms"),
    }
}

/// A size in the largest unit that leaves no rest: `512B`, `64KiB`, `4GiB`.
pub fn show_size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fits = |&(bits, _): &(u32, _)| bytes > 0 && bytes.trailing_zeros() >= bits;
    match units.into_iter().find(fits) {
        Some((bits, name)) => format!("{}{name}", bytes >> bits),
        None => format!("{bytes}B"),
    }
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UnitError::NotADuration => {
                "not a duration: use a number above 0 and a unit, as 500ms, 5s or 15m"
            }
            UnitError::NotASize => {
                "not a size: use bytes above 0, or a number with a unit, as 64KiB, 2MB or 4G"
            }
        })
    }
}

impl std::error::Error for UnitError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_may_have_any_of_the_usual_units() {
        for text in [
            "2G",
            "2GB",
            "2GiB",
            "2 GiB",
            "2gib",
            "2048M",
            "2147483648",
            "2147483648B",
        ] {
            assert_eq!(size(text), Ok(2 << 30), "{text}");
        }
        assert_eq!(size("3k"), Ok(3072));
        assert_eq!(size("1T"), Ok(1 << 40));
        for text in [
            "",
            "G",
            "-1",
            "1.5G",
            "2X",
            "2GG",
            "99999999999T",
            "18446744073709551616",
            "2 G iB",
        ] {
            assert_eq!(size(text), Err(UnitError::NotASize), "{text}");
        }
    }

    #[test]
    fn a_duration_has_a_unit() {
        for (text, ms) in [
            ("500ms", 500),
            ("5s", 5000),
            ("5 sec", 5000),
            ("1h 30m", 5_400_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        let longest = Ok(Duration::from_nanos(u64::MAX));
        assert_eq!(duration("213503982334601d"), longest);
        for text in ["", "5", "s", "-5s", "soon", "5 parsecs"] {
            assert_eq!(duration(text), Err(UnitError::NotADuration), "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        for (ms, shown) in [
            (0, "0ms"),
            (200, "200ms"),
            (60_000, "60s"),
            (300_000, "5m"),
            (3_600_000, "1h"),
            (86_400_000, "24h"),
            (604_800_000, "7d"),
            (90_500, "90500ms"),
        ] {
            let time = Duration::from_millis(ms);
            assert_eq!(show_duration(time), shown);
            assert_eq!(duration(shown), Ok(time));
        }
        for (bytes, shown) in [
            (512, "512B"),
            (64 << 10, "64KiB"),
            (4 << 30, "4GiB"),
            (0, "0B"),
        ] {
            assert_eq!(show_size(bytes), shown);
            assert_eq!(size(shown), Ok(bytes));
        }
    }
}
