//! Numbers as programs write them: with a decimal point or comma, with thousands parted,
//! with a unit behind them.

/// A number in a text, and how far it reaches.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Number {
    /// Its value, in bytes where it has a unit.
    pub value: f64,
    /// What its unit multiplies by; `None` where it has none.
    pub unit: Option<f64>,
    /// Where it begins.
    pub start: usize,
    /// Where it and its unit end.
    pub end: usize,
}

/// The value of a text that is digits with points and commas, as `43`, `43.5`, `43,5`,
/// `62,914,560` and `1.234,5` are.
pub(super) fn value(text: &str) -> Option<f64> {
    let starts_with_digit = text.bytes().next().is_some_and(|b| b.is_ascii_digit());
    let in_number = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b',');
    // Beyond this no program counts, and a float no longer does.
    if !starts_with_digit || text.len() > 32 || !text.bytes().all(in_number) {
        return None;
    }
    let Some(last) = text.rfind(['.', ',']) else {
        return text.parse().ok();
    };
    let sign = &text[last..=last];
    let other = if sign == "," { "." } else { "," };
    let (whole, part) = (&text[..last], &text[last + 1..]);
    let is_thousands = sign == "," && part.len() == 3 && !whole.contains('.');
    if whole.contains(sign) || is_thousands {
        return grouped(text, sign);
    }
    let whole = if whole.contains(other) {
        grouped(whole, other)?.to_string()
    } else {
        whole.to_owned()
    };
    format!("{whole}.{part}").parse().ok()
}

/// The percentage that a text is, if it is nothing but a number.
pub(super) fn percentage(text: &str) -> Option<f64> {
    let percent = value(text).filter(|_| !text.contains(','))?;
    (0.0..=100.0).contains(&percent).then_some(percent)
}

/// The newest of `0...10...20...`, as GDAL writes it, a dot at a time. What no dot follows may be
/// half of one.
pub(super) fn dotted(text: &str) -> Option<f64> {
    let row = &text[text.find("0...10.")?..];
    let row = row.strip_suffix(" - done.").map_or(row, |_| "0.100.");
    let is_row = row.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let numbers = row.rsplit_once('.').filter(|_| is_row)?.0;
    percentage(numbers.trim_end_matches('.').rsplit('.').next()?)
}

/// A number whose digits are parted into threes.
fn grouped(text: &str, sign: &str) -> Option<f64> {
    let mut groups = text.split(sign);
    let first = groups.next().is_some_and(|it| (1..=3).contains(&it.len()));
    let are_threes = first && groups.all(|it| it.len() == 3);
    let digits = text.replace(sign, "");
    let are_digits = digits.bytes().all(|b| b.is_ascii_digit());
    (are_threes && are_digits).then(|| digits.parse().ok())?
}

/// The number that ends at `end`, its unit included.
pub(super) fn ending_at(text: &str, end: usize) -> Option<Number> {
    let head = &text[..end];
    let digits = head.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let letters = &head[digits.len()..];
    let digits = if letters.is_empty() {
        digits
    } else {
        digits.trim_end_matches(is_blank)
    };
    let mut start = digits.trim_end_matches(is_digit).len();
    // Dots that lead to it are none of it: `...20`.
    if digits[start..].starts_with("..") {
        start = digits.len() - digits[start..].trim_start_matches('.').len();
    }
    let unit = match letters {
        "" => None,
        letters => Some(unit(letters)?),
    };
    number(&digits[start..], unit, start, end)
}

/// The number that begins at `start`, with its unit.
pub(super) fn starting_at(text: &str, start: usize) -> Option<Number> {
    let rest = &text[start..];
    let after = rest.trim_start_matches(is_digit);
    let digits = rest[..rest.len() - after.len()].trim_end_matches(['.', ',']);
    let after = &rest[digits.len()..];
    // A unit may stand behind a blank; a word that is none is no part of the number.
    let spaced = after.trim_start_matches(is_blank);
    let letters = spaced.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let letters = &spaced[..spaced.len() - letters.len()];
    let end = start + digits.len();
    // `2/4 b.txt` is of a file.
    let behind = &spaced[letters.len()..];
    let is_name = behind.starts_with(['.', '_', '-']) && !behind[1..].starts_with([' ', '.']);
    match unit(letters).filter(|_| !is_name || behind.len() == 1) {
        Some(unit) => {
            let end = start + rest.len() - spaced.len() + letters.len();
            number(digits, Some(unit), start, end)
        }
        None => number(digits, None, start, end),
    }
}

/// The same for one whose digits blanks may part into threes: `5 678`.
pub(super) fn starting_in_groups(text: &str, start: usize) -> Option<Number> {
    let first = text[start..].trim_start_matches(|c: char| c.is_ascii_digit());
    let mut end = text.len() - first.len();
    let is_first = (1..=3).contains(&(end - start));
    while let Some(rest) = text[end..].strip_prefix(is_blank).filter(|_| is_first) {
        if rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len())
            != 3
        {
            break;
        }
        end = text.len() - rest.len() + 3;
    }
    let digits = text[start..end].replace(is_blank, "");
    let number = starting_at(&format!("{digits}{}", &text[end..]), 0)?;
    Some(Number {
        start,
        end: end + number.end - digits.len(),
        ..number
    })
}

/// That which ends at `end`, if its digits are parted so and have no unit.
pub(super) fn ending_in_groups(text: &str, end: usize) -> Option<Number> {
    let mut digits = String::new();
    let mut head = &text[..end];
    loop {
        let rest = head.trim_end_matches(|c: char| c.is_ascii_digit());
        let group = &head[rest.len()..];
        digits.insert_str(0, group);
        match rest.strip_suffix(is_blank) {
            Some(before) if group.len() == 3 && before.ends_with(|c: char| c.is_ascii_digit()) => {
                head = before;
            }
            _ if group.len() == digits.len() => return None,
            _ => return number(&digits, None, rest.len(), end).filter(|_| group.len() <= 3),
        }
    }
}

fn number(digits: &str, unit: Option<f64>, start: usize, end: usize) -> Option<Number> {
    Some(Number {
        value: value(digits)? * unit.unwrap_or(1.0),
        unit,
        start,
        end,
    })
}

/// What a unit of data multiplies by.
fn unit(letters: &str) -> Option<f64> {
    let lower = letters.to_ascii_lowercase();
    if matches!(lower.as_str(), "b" | "byte" | "bytes") {
        return Some(1.0);
    }
    let (prefix, rest) = lower.split_at_checked(1)?;
    let power = "kmgtp".find(prefix)? as i32 + 1;
    match rest {
        "" | "i" | "ib" => Some(1024_f64.powi(power)),
        // Which of the two it is, nothing says; it is the same on both sides.
        "b" | "bytes" => Some(1000_f64.powi(power)),
        _ => None,
    }
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '.' | ',')
}

/// A space, or one of those at which no line is broken.
pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{2009}' | '\u{202f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_and_commas_are_read_as_they_are_meant() {
        for (text, expected) in [
            ("43", 43.0),
            ("43.5", 43.5),
            ("43,5", 43.5),
            ("0,25", 0.25),
            ("43.125", 43.125),
            ("1,234", 1234.0),
            ("62,914,560", 62_914_560.0),
            ("1.234.567", 1_234_567.0),
            ("1,234.5", 1234.5),
            ("1.234,5", 1234.5),
        ] {
            assert_eq!(value(text), Some(expected), "{text}");
        }
        for text in [
            "",
            ".5",
            ",5",
            "1.2.3",
            "1,2,3",
            "12,34,567",
            "1e5",
            "+1",
            "1.2,3.4",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn the_newest_of_a_row_is_told_when_it_is_whole() {
        for (text, expected) in [
            ("0...10.", Some(10.0)),
            ("in.tif [1/1] : 0...10...20...3", Some(20.0)),
            (
                "0...10...20...30...40...50...60...70...80...90...100 - done.",
                Some(100.0),
            ),
            ("0...10...20 files", None),
            ("0...1", None),
        ] {
            assert_eq!(dotted(text), expected, "{text}");
        }
    }

    #[test]
    fn blanks_part_digits_into_threes() {
        let behind = |text: &str| starting_in_groups(text, 0).map(|it| (it.value, it.end));
        assert_eq!(behind("5 678 MB"), Some((5678e6, 8)));
        assert_eq!(behind("5\u{202f}678\u{202f}901."), Some((5_678_901.0, 13)));
        assert_eq!(behind("5 67"), Some((5.0, 1)));
        assert_eq!(behind("1234 678"), Some((1234.0, 4)));
        let before = |text: &str| ending_in_groups(text, text.len()).map(|it| it.value);
        assert_eq!(before("a 1 234 567"), Some(1_234_567.0));
        for text in ["234", "a 234", "1234 567", "1 23", ""] {
            assert_eq!(before(text), None, "{text}");
        }
    }

    #[test]
    fn a_percentage_is_nothing_but_a_number() {
        assert_eq!(percentage("20"), Some(20.0));
        assert_eq!(percentage("99.5"), Some(99.5));
        for text in [
            "", ".", "101", "-1", "+1", "1e1", "nan", "inf", "5 6", "5%", "1.2.3", "5,5",
        ] {
            assert_eq!(percentage(text), None, "{text}");
        }
    }

    #[test]
    fn a_unit_belongs_to_its_number() {
        let behind = |text: &str| ending_at(text, text.len()).map(|it| it.value);
        assert_eq!(behind("read 4.5 MiB"), Some(4.5 * 1_048_576.0));
        assert_eq!(behind("read 512 B"), Some(512.0));
        assert_eq!(behind("12"), Some(12.0));
        assert_eq!(behind("12 files"), None);
        assert_eq!(behind("12kb"), Some(12_000.0));
        assert_eq!(behind("a...12"), Some(12.0));
        let ahead = |text: &str| starting_at(text, 0).map(|it| (it.value, it.end));
        assert_eq!(ahead("60Mi, 3Mi/s"), Some((62_914_560.0, 4)));
        assert_eq!(ahead("60.0 MB 5.0 MB/s"), Some((60e6, 7)));
        assert_eq!(ahead("40 files"), Some((40.0, 2)));
        assert_eq!(ahead("4 b.txt"), Some((4.0, 1)));
        assert_eq!(ahead("4 MB."), Some((4e6, 4)));
        assert_eq!(ahead("7: x"), Some((7.0, 1)));
        assert_eq!(ahead("7."), Some((7.0, 1)));
        assert_eq!(ahead("x"), None);
    }
}
