//! Percentages in running text.

/// The last percentage from 0 to 100 in a line: `NN%`, `NN.N%` or `NN,N%`, with or
/// without one space before the sign. Where the line is the rest of a longer one,
/// a number at its very start may be half a number and is not believed.
pub(super) fn last_in(text: &str, continued: bool) -> Option<f64> {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    while let Some(sign) = bytes[..end].iter().rposition(|b| *b == b'%') {
        if let Some(percent) = before_sign(text, sign, continued) {
            return Some(percent);
        }
        end = sign;
    }
    None
}

/// The number from 0 to 100 that a text is, if it is nothing else.
pub(super) fn bare(text: &str) -> Option<f64> {
    let digits_and_point = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let starts_with_digit = text.bytes().next().is_some_and(|b| b.is_ascii_digit());
    if digits_and_point && starts_with_digit {
        in_range(text)
    } else {
        None
    }
}

/// The number that ends at the percent sign at `sign`. Not every sign has one:
/// `%20` in a URL, `50%off` and `-5%` say nothing about progress.
fn before_sign(text: &str, sign: usize, continued: bool) -> Option<f64> {
    let after = text[sign + 1..].chars().next();
    if after.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '%') {
        return None;
    }
    let head = &text[..sign];
    let head = head.strip_suffix(' ').unwrap_or(head);
    let in_number = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
    let number = &head[head.trim_end_matches(in_number).len()..];
    let before = head[..head.len() - number.len()].chars().next_back();
    let glued = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '%' | '/' | '\\');
    if before.is_some_and(glued) || (before.is_none() && continued) {
        return None;
    }
    match number.split_once(',') {
        None => in_range(number),
        // A comma is a decimal point in many languages and parts thousands in others.
        Some((whole, part)) if part.len() <= 2 => in_range(&format!("{whole}.{part}")),
        Some(_) => None,
    }
}

fn in_range(number: &str) -> Option<f64> {
    let starts_with_digit = number.bytes().next().is_some_and(|b| b.is_ascii_digit());
    let percent: f64 = number.parse().ok().filter(|_| starts_with_digit)?;
    (0.0..=100.0).contains(&percent).then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_percentage_of_a_line_counts() {
        for (line, percent) in [
            ("50%", 50.0),
            ("  43.5% done", 43.5),
            ("10% of 20%, then 30%", 30.0),
            ("[ 45.67 %]", 45.67),
            ("12,5%", 12.5),
            ("(99%)", 99.0),
            ("progress:7%|###   |", 7.0),
            ("100.0%", 100.0),
            ("50% of 200%", 50.0),
            ("20% of file%20name", 20.0),
            ("größe 5%", 5.0),
        ] {
            assert_eq!(last_in(line, false), Some(percent), "{line}");
        }
    }

    #[test]
    fn what_is_no_progress_is_not_read_as_such() {
        for line in [
            "",
            "%",
            "%%",
            "5",
            "50%off",
            "a%20b",
            "100%25",
            "-5%",
            "v2%",
            "101%",
            "1e2%",
            "1.2.3%",
            ".5%",
            "1,234%",
            "x_5%",
            "5  %",
            "½%",
            "99999999999999999999999999%",
            "5%%",
        ] {
            assert_eq!(last_in(line, false), None, "{line}");
        }
    }

    #[test]
    fn half_a_number_at_a_cut_is_not_believed() {
        assert_eq!(last_in("0% done", true), None);
        assert_eq!(last_in(" 10% done", true), Some(10.0));
    }

    #[test]
    fn a_bare_number_is_nothing_but_one() {
        assert_eq!(bare("20"), Some(20.0));
        assert_eq!(bare("99.5"), Some(99.5));
        for text in [
            "", ".", "101", "-1", "+1", "1e1", "nan", "inf", "5 6", "5%", "1.2.3",
        ] {
            assert_eq!(bare(text), None, "{text}");
        }
    }
}
