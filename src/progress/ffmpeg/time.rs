//! Times as ffmpeg writes and takes them, in microseconds.

/// A time in its log: `HH:MM:SS.ffffff`. One before zero is zero.
pub(super) fn clock(text: &str) -> Option<u64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut fields = clock.split(':');
    let (hours, minutes, seconds) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    let whole = number(hours)? * 3600 + number(minutes)? * 60 + number(seconds)?;
    let micros = micros(fraction)?;
    Some(if negative {
        0
    } else {
        whole * 1_000_000 + micros
    })
}

/// A time in its arguments: `[HH:]MM:SS[.m...]`, or seconds, with `s`, `ms` or `us`. The sign
/// is left out.
pub(super) fn argument(text: &str) -> Option<u64> {
    let text = text.strip_prefix('-').unwrap_or(text);
    if text.contains(':') {
        let is_long = text.matches(':').count() == 2;
        return if is_long {
            clock(text)
        } else {
            clock(&format!("0:{text}"))
        };
    }
    // The whole, and one more digit of it for each unit that is smaller.
    let (text, unit) = match text {
        _ if text.ends_with("us") => (&text[..text.len() - 2], 1),
        _ if text.ends_with("ms") => (&text[..text.len() - 2], 1000),
        _ => (text.strip_suffix('s').unwrap_or(text), 1_000_000),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = &fraction[..fraction.len().min(6)];
    Some(number(whole)? * unit + micros(fraction)? * unit / 1_000_000)
}

fn number(text: &str) -> Option<u64> {
    let number = text.parse::<u32>().ok().filter(|_| is_digits(text));
    number.map(u64::from)
}

fn micros(fraction: &str) -> Option<u64> {
    if !is_digits(fraction) || fraction.len() > 6 {
        return None;
    }
    format!("{fraction:0<6}").parse().ok()
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_microsecond() {
        assert_eq!(clock("00:00:10.00"), Some(10_000_000));
        assert_eq!(clock("01:02:03.000004"), Some(3_723_000_004));
        assert_eq!(clock("100:00:00"), Some(360_000_000_000));
        assert_eq!(clock("-00:00:00.04"), Some(0));
        for bad in [
            "N/A",
            "",
            "1:2",
            "1:2:3:4",
            "::",
            "00:00:1e5",
            "00:00:00.1234567",
            "+1:0:0",
        ] {
            assert_eq!(clock(bad), None, "{bad}");
        }
        assert_eq!(clock("99999999999:00:00"), None);
    }

    #[test]
    fn an_argument_may_be_written_in_each_of_ffmpegs_ways() {
        for (text, us) in [
            ("20", 20_000_000),
            ("20.5", 20_500_000),
            ("1:30", 90_000_000),
            ("01:00:00.25", 3_600_250_000),
            ("200ms", 200_000),
            ("1500us", 1500),
            ("2s", 2_000_000),
            ("-10", 10_000_000),
        ] {
            assert_eq!(argument(text), Some(us), "{text}");
        }
        for bad in ["", "x", "1e3", "1:2:3:4", "+5", "99999999999"] {
            assert_eq!(argument(bad), None, "{bad}");
        }
    }
}
