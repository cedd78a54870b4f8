//! Output cut into lines, in bounded memory.

use std::borrow::Cow;

/// The longest line that is read as one, in bytes: no progress line comes near it.
/// A longer one is cut there and goes on as a line of its own.
pub const LINE_MAX_BYTES: usize = 8 * 1024;

/// How a terminal is told of progress, which it shows on its tab or in the taskbar.
const REPORT: &[u8] = b"\x1b]9;4;";

/// Collects bytes into lines. A line ends at LF and CR, at a backspace, with which 7z
/// takes back what it drew instead of starting the line again, and where the cursor is
/// moved elsewhere, as by wget2, which draws for ever without ending a line.
#[derive(Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    continued: bool,
    escape: Escape,
    /// What ended the line before.
    before: LineEnd,
    /// How many newlines came since there was text.
    feeds: usize,
    /// A newline followed the last carriage return at once: these lines end with both.
    is_crlf: bool,
}

/// What ended a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum LineEnd {
    /// A newline: it stays.
    #[default]
    Newline,
    /// A carriage return.
    Return,
    /// The cursor went elsewhere.
    Move,
    /// It was too long, and goes on.
    Cut,
}

/// How much of an escape sequence has been seen.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Escape {
    #[default]
    None,
    Begun,
    Control,
    /// A command to the terminal, such as its title.
    Command,
}

/// A line, or a part of one that was too long.
pub(super) struct OutputLine<'a> {
    bytes: &'a [u8],
    continued: bool,
    cut: bool,
    redrawn: bool,
    depth: usize,
}

impl Lines {
    pub(super) fn new() -> Lines {
        Lines::default()
    }

    /// Takes bytes and calls `each` for every line that they end.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(OutputLine<'_>)) {
        while let Some(&first) = bytes.first() {
            if self.escape != Escape::None {
                bytes = self.escape(first, bytes, &mut each);
                continue;
            }
            let room = LINE_MAX_BYTES - self.buffer.len();
            let window = &bytes[..bytes.len().min(room)];
            let special = |b: &u8| matches!(b, b'\n' | b'\r' | 8 | 0x1b);
            let Some(at) = window.iter().position(special) else {
                self.push(window, &mut each);
                bytes = &bytes[window.len()..];
                continue;
            };
            self.buffer.extend_from_slice(&window[..at]);
            bytes = &bytes[at + 1..];
            match window[at] {
                0x1b => {
                    self.escape = Escape::Begun;
                    self.push(b"\x1b", &mut each);
                }
                b'\n' => self.end_line(LineEnd::Newline, &mut each),
                b'\r' => self.end_line(LineEnd::Return, &mut each),
                _ => self.end_line(LineEnd::Move, &mut each),
            }
        }
    }

    /// The line that is not ended yet, where it has begun.
    pub(super) fn open(&self) -> Option<OutputLine<'_>> {
        let line = OutputLine {
            bytes: &self.buffer,
            continued: self.continued,
            cut: false,
            redrawn: matches!(self.before, LineEnd::Return | LineEnd::Move),
            depth: 0,
        };
        (!self.buffer.is_empty()).then_some(line)
    }

    /// Takes one byte of an escape sequence. Returns what comes next.
    fn escape<'b>(
        &mut self,
        byte: u8,
        bytes: &'b [u8],
        each: &mut impl FnMut(OutputLine<'_>),
    ) -> &'b [u8] {
        let (escape, moves) = match (self.escape, byte) {
            (Escape::Begun, b'[') => (Escape::Control, false),
            (Escape::Begun, b']') | (Escape::Command, b' '..) => (Escape::Command, false),
            // To another line, and to and from the place that was kept.
            (Escape::Begun, b'7' | b'8' | b'D' | b'E' | b'M') => (Escape::None, true),
            (Escape::Control, 0x20..=0x3f) => (Escape::Control, false),
            (Escape::Control, b'A' | b'B' | b'E'..=b'H' | b'd' | b'f' | b's' | b'u') => {
                (Escape::None, true)
            }
            (Escape::Control, 0x40..=0x7e) => (Escape::None, false),
            // None that is known, or a broken one: the byte is like any other.
            _ => {
                if self.escape == Escape::Command {
                    self.end_command(each);
                }
                self.escape = Escape::None;
                return bytes;
            }
        };
        self.escape = escape;
        self.push(&bytes[..1], each);
        if moves {
            self.end_line(LineEnd::Move, each);
        }
        &bytes[1..]
    }

    /// Takes a report out of the line in which it stands: it is a line of its own.
    fn end_command(&mut self, each: &mut impl FnMut(OutputLine<'_>)) {
        let start = self.buffer.iter().rposition(|b| *b == 0x1b).unwrap_or(0);
        if self.buffer[start..].starts_with(REPORT) {
            each(OutputLine {
                bytes: &self.buffer[start..],
                continued: false,
                cut: false,
                redrawn: false,
                depth: 0,
            });
            self.buffer.truncate(start);
        }
    }

    fn push(&mut self, bytes: &[u8], each: &mut impl FnMut(OutputLine<'_>)) {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= LINE_MAX_BYTES {
            self.end_line(LineEnd::Cut, each);
        }
    }

    fn end_line(&mut self, end: LineEnd, each: &mut impl FnMut(OutputLine<'_>)) {
        let is_empty = self.buffer.is_empty();
        if self.before == LineEnd::Return {
            self.is_crlf = is_empty && end == LineEnd::Newline;
        }
        if !is_empty {
            let moved = |end| match end {
                LineEnd::Return => !self.is_crlf,
                LineEnd::Move => true,
                LineEnd::Newline | LineEnd::Cut => false,
            };
            each(OutputLine {
                bytes: &self.buffer,
                continued: self.continued,
                cut: end == LineEnd::Cut,
                redrawn: moved(self.before) || moved(end),
                depth: if end == LineEnd::Move { self.feeds } else { 0 },
            });
            self.feeds = 0;
        }
        self.feeds += usize::from(end == LineEnd::Newline);
        self.buffer.clear();
        self.continued = end == LineEnd::Cut;
        self.before = end;
    }
}

impl OutputLine<'_> {
    /// Whether nothing of the line is missing.
    pub(super) fn is_whole(&self) -> bool {
        !self.continued && !self.cut
    }

    /// Whether the line's beginning was cut off, so that its first word may be half.
    pub(super) fn is_continued(&self) -> bool {
        self.continued
    }

    /// Whether it is drawn over another, or another over it: so does what shows how
    /// far it is, and prose doesn't.
    pub(super) fn is_redrawn(&self) -> bool {
        self.redrawn
    }

    /// How many rows below the place to which the cursor goes back behind it.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// What a terminal is told of progress, where the line is that: `1;50`.
    pub(super) fn report(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes.strip_prefix(REPORT)?).ok()
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
        } else if c == '\x1b' {
            // Any other sequence is a few bytes that say which, and one that ends it.
            while chars.next_if(|c| (' '..='/').contains(c)).is_some() {}
            chars.next_if(|c| ('0'..='~').contains(c));
            clean.push(' ');
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

    #[test]
    fn a_line_ends_where_the_cursor_goes_elsewhere() {
        let wget2 = b"\x1b[s\x1b[2A\x1b[1Gdl  3%\x1b[u\x1b[s\x1b[2A\x1b[1Gdl  6%\x1b[K\x1b[u";
        let clean = |chunks: &[&[u8]]| {
            let seen = texts(chunks).into_iter().map(|text| text.trim().to_owned());
            seen.filter(|text| !text.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(clean(&[wget2]), ["dl  3%", "dl  6%"]);
        let single: Vec<_> = wget2.chunks(1).collect();
        assert_eq!(clean(&single), ["dl  3%", "dl  6%"]);
        assert_eq!(
            clean(&[b"\x1b7\x1b[24;0f20%\x1b8a\x1b[1\nb\n"]),
            ["20%", "a", "b"]
        );
    }

    #[test]
    fn a_line_that_is_drawn_over_is_told_from_one_that_stays() {
        let redrawn = |text: &[u8]| {
            let mut lines = Lines::new();
            let mut seen = Vec::new();
            lines.feed(text, |line| seen.push(line.is_redrawn()));
            seen
        };
        assert_eq!(
            redrawn(b"a\nb\rc\rd\ne\n"),
            [false, true, true, true, false]
        );
        assert_eq!(redrawn(b"a\x08b\n"), [true, true]);
        // The first can't be known.
        assert_eq!(redrawn(b"a\r\nb\r\nc\r\n"), [true, false, false]);
        assert_eq!(redrawn(b"a\r\nb\r\nc\rd\r"), [true, false, false, true]);
    }
}
