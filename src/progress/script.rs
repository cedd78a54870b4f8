//! Numbers in the digits and signs of other scripts, as `١٠٪` and `１０％` are.

use std::borrow::Cow;

/// Where the digits of a script begin: Arabic, Persian, Devanagari, Bengali, Thai, full width.
const ZEROS: [char; 6] = [
    '\u{660}', '\u{6f0}', '\u{966}', '\u{9e6}', '\u{e50}', '\u{ff10}',
];

/// The text with its digits and the signs beside them as ASCII has them, and without the marks
/// that say in which direction it is written.
pub(super) fn in_ascii(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| ascii(c) == Some(c)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter_map(ascii).collect())
}

/// What a character is in ASCII; itself, where it is nothing there. `None`: it is no more than a
/// direction.
fn ascii(c: char) -> Option<char> {
    if c < '\u{600}' {
        return Some(c);
    }
    Some(match c {
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            return None;
        }
        '\u{66a}' | '\u{fe6a}' | '\u{ff05}' => '%',
        '\u{66b}' | '\u{ff0e}' => '.',
        '\u{66c}' | '\u{ff0c}' => ',',
        '\u{ff0f}' => '/',
        '\u{ff1a}' => ':',
        _ => {
            let digit = |zero: &char| (c as u32).checked_sub(*zero as u32);
            let digit = ZEROS.iter().filter_map(digit).find(|digit| *digit < 10);
            digit.and_then(|it| char::from_digit(it, 10)).unwrap_or(c)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_signs_of_other_scripts_are_read_as_those_of_ascii() {
        for (text, expected) in [
            ("４０％ 完了", "40% 完了"),
            ("التقدم: ٤٠٫٥٪", "التقدم: 40.5%"),
            ("\u{200f}۳۰٪\u{200f}", "30%"),
            ("१२/४०", "12/40"),
            ("plain ½ é 50%", "plain ½ é 50%"),
        ] {
            assert_eq!(in_ascii(text), expected);
        }
        assert!(matches!(in_ascii("a 5% é"), Cow::Borrowed(_)));
    }
}
