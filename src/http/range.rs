//! `Range`: a part of a file (RFC 9110 section 14).

use std::ops::Range as Bytes;

/// What of a file is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Range {
    /// All of it: there is no range, or one that may be passed over, since it is
    /// malformed, of another unit, or of several parts.
    Whole,
    /// These bytes.
    Part(Bytes<u64>),
    /// Bytes that it doesn't have.
    Unsatisfiable,
}

impl Range {
    /// Reads the field's value, for a file of `size` bytes.
    pub fn parse(value: &[u8], size: u64) -> Range {
        let Some(set) = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.split_once('='))
            .filter(|(unit, _)| unit.eq_ignore_ascii_case("bytes"))
            .map(|(_, set)| set.trim())
        else {
            return Range::Whole;
        };
        let Some((first, last)) = set.split_once('-') else {
            return Range::Whole;
        };
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first > last => Range::Whole,
            (Some(first), _) if first >= size && (last.is_empty() || number(last).is_some()) => {
                Range::Unsatisfiable
            }
            (Some(first), Some(last)) => Range::Part(first..last.saturating_add(1).min(size)),
            (Some(first), None) if last.is_empty() => Range::Part(first..size),
            (None, Some(0)) if first.is_empty() => Range::Unsatisfiable,
            (None, Some(_)) if first.is_empty() && size == 0 => Range::Unsatisfiable,
            (None, Some(last)) if first.is_empty() => Range::Part(size.saturating_sub(last)..size),
            _ => Range::Whole,
        }
    }
}

/// Digits alone. More than a file can have is as good as the most.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_the_whole_a_part_or_nothing_that_there_is() {
        let range = |text: &str| Range::parse(text.as_bytes(), 10);
        for (text, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-4", 2..5),
            ("Bytes= 2-4 ", 2..5),
            ("bytes=2-", 2..10),
            ("bytes=9-9", 9..10),
            ("bytes=2-99", 2..10),
            ("bytes=2-99999999999999999999999", 2..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
        ] {
            assert_eq!(range(text), Range::Part(part), "{text}");
        }
        for text in [
            "bytes=10-",
            "bytes=10-11",
            "bytes=99999999999999999999999-",
            "bytes=-0",
        ] {
            assert_eq!(range(text), Range::Unsatisfiable, "{text}");
        }
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=4-2",
            "bytes=+1-2",
            "bytes=1-2,4-5",
            "bytes=10-x",
            "bytes=1-x",
            "bytes=x-1",
            "bytes=1--2",
            "lines=1-2",
        ] {
            assert_eq!(range(text), Range::Whole, "{text}");
        }
        assert_eq!(Range::parse(b"\xff", 10), Range::Whole);
        assert_eq!(Range::parse(b"bytes=0-", 0), Range::Unsatisfiable);
        assert_eq!(Range::parse(b"bytes=-1", 0), Range::Unsatisfiable);
    }
}
