//! Output cut into lines, in bounded memory.

use std::borrow::Cow;

/// The longest line that is read as one, in bytes: no progress line comes near it.
/// A longer one is cut there and goes on as a line of its own.
pub const LINE_MAX_BYTES: usize = 8 * 1024;

/// Collects bytes into lines. A line ends at LF and CR, and at a backspace, with
/// which 7z takes back what it drew instead of starting the line again.
#[derive(Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    continued: bool,
}

/// A line, or a part of one that was too long.
pub(super) struct Line<'a> {
    bytes: &'a [u8],
    continued: bool,
    cut: bool,
}

impl Lines {
    pub(super) fn new() -> Lines {
        Lines::default()
    }

    /// Takes bytes and calls `each` for every line that they end.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        while !bytes.is_empty() {
            let room = LINE_MAX_BYTES - self.buffer.len();
            let window = &bytes[..bytes.len().min(room)];
            if let Some(end) = window.iter().position(|b| matches!(b, b'\n' | b'\r' | 8)) {
                self.buffer.extend_from_slice(&window[..end]);
                bytes = &bytes[end + 1..];
                self.end_line(false, &mut each);
            } else {
                self.buffer.extend_from_slice(window);
                bytes = &bytes[window.len()..];
                if self.buffer.len() == LINE_MAX_BYTES {
                    self.end_line(true, &mut each);
                }
            }
        }
    }

    /// The line that is not ended yet, where it has begun.
    pub(super) fn open(&self) -> Option<Line<'_>> {
        let line = Line {
            bytes: &self.buffer,
            continued: self.continued,
            cut: false,
        };
        (!self.buffer.is_empty()).then_some(line)
    }

    fn end_line(&mut self, cut: bool, each: &mut impl FnMut(Line<'_>)) {
        if !self.buffer.is_empty() {
            each(Line {
                bytes: &self.buffer,
                continued: self.continued,
                cut,
            });
        }
        self.buffer.clear();
        self.continued = cut;
    }
}

impl Line<'_> {
    /// Whether nothing of the line is missing.
    pub(super) fn is_whole(&self) -> bool {
        !self.continued && !self.cut
    }

    /// Whether the line's beginning was cut off, so that its first word may be half.
    pub(super) fn is_continued(&self) -> bool {
        self.continued
    }

    /// Whether the line can't be text.
    pub(super) fn has_nul(&self) -> bool {
        self.bytes.contains(&0)
    }

    /// The line as a terminal would show it: invalid UTF-8 replaced, colours
    /// dropped, other escape sequences and control characters blank.
    pub(super) fn text(&self) -> Cow<'_, str> {
        let text = String::from_utf8_lossy(self.bytes);
        if text.chars().any(char::is_control) {
            Cow::Owned(without_controls(&text))
        } else {
            text
        }
    }
}

fn without_controls(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\x1b' && chars.next_if_eq(&'[').is_some() {
            // A control sequence ends at its first character from @ to ~. Only
            // colours (m) leave their neighbours touching; the rest move the cursor.
            let end = chars.by_ref().find(|c| ('@'..='~').contains(c));
            if end != Some('m') {
                clean.push(' ');
            }
        } else if c == '\x1b' && chars.next_if_eq(&']').is_some() {
            // An operating system command, such as a window's title, ends with BEL
            // or with the string terminator.
            while let Some(c) = chars.next() {
                if c == '\x07' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        } else if c.is_control() {
            clean.push(' ');
        } else {
            clean.push(c);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::new();
        let mut seen = Vec::new();
        for chunk in chunks {
            lines.feed(chunk, |line| seen.push(line.text().into_owned()));
        }
        seen
    }

    #[test]
    fn a_line_ends_at_a_newline_a_carriage_return_or_a_backspace() {
        assert_eq!(
            texts(&[b"a\nb\r\nc\rd\x08\x08e\n"]),
            ["a", "b", "c", "d", "e"]
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_goes_on() {
        let long = [vec![b'x'; LINE_MAX_BYTES + 3], b"\nnext\n".to_vec()].concat();
        let mut lines = Lines::new();
        let mut seen = Vec::new();
        for chunk in long.chunks(1000) {
            lines.feed(chunk, |l| {
                seen.push((l.bytes.len(), l.is_whole(), l.is_continued()))
            });
        }
        let next = (4, true, false);
        assert_eq!(
            seen,
            [(LINE_MAX_BYTES, false, false), (3, false, true), next]
        );
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let mut lines = Lines::new();
        for _ in 0..1000 {
            lines.feed(&[b'x'; 1000], |_| {});
            assert!(lines.buffer.capacity() <= 2 * LINE_MAX_BYTES);
        }
    }

    #[test]
    fn colours_vanish_and_other_escapes_are_blank() {
        assert_eq!(
            texts(&[b"\x1b[1;32m50%\x1b[0m\x1b[Kok\x1b]0;title\x07!\n"]),
            ["50% ok!"]
        );
        assert_eq!(
            texts(&[b"a\x1b[\n", b"\x1b]no end\n", b"\x1b\n", b"\xff\0b\n"]),
            ["a ", "", " ", "\u{fffd} b"]
        );
    }
}
