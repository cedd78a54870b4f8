//! A few lines at the end of a terminal, drawn anew as they change.
//!
//! A frame is one write, in which no line wraps: what doesn't fit is cut off, here where the
//! width of its characters is known, else by the terminal. So what was drawn is always as
//! high as it is said to be, and the next frame stands where it stood.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

/// A terminal that doesn't say how large it is.
const SIZE: Size = Size {
    columns: 80,
    rows: 24,
};

/// The end of a terminal.
pub struct Screen<T> {
    terminal: T,
    has_colours: bool,
    /// The widths of the lines that stand there.
    drawn: Vec<usize>,
}

/// How large a terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

/// A line: texts, each in its colour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScreenLine(Vec<(Colour, String)>);

/// How a text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// As the terminal's other texts.
    Plain,
    /// What matters less.
    Dim,
    /// What has gone well.
    Green,
    /// What hasn't.
    Red,
    /// What goes on.
    Cyan,
}

impl<T: Write + AsFd + IsTerminal> Screen<T> {
    /// A screen, where there is a terminal that can be drawn on.
    pub fn on(terminal: T) -> Option<Screen<T>> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if is_dumb || !terminal.is_terminal() {
            return None;
        }
        Some(Screen {
            terminal,
            has_colours: has_colours(),
            drawn: Vec::new(),
        })
    }

    /// How large the terminal is now.
    pub fn size(&self) -> Size {
        let told = rustix::termios::tcgetwinsize(&self.terminal).ok();
        let size = told.map(|told| Size {
            columns: told.ws_col.into(),
            rows: told.ws_row.into(),
        });
        size.filter(|size| size.columns > 0 && size.rows > 0)
            .unwrap_or(SIZE)
    }

    /// Draws lines in the place of those before. There may be one fewer than the terminal
    /// has rows.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&mut self, lines: &[ScreenLine]) -> io::Result<()> {
        self.show("", lines)
    }

    /// Prints a text above the lines, where it stays. It wraps.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn print(&mut self, text: &str, lines: &[ScreenLine]) -> io::Result<()> {
        self.show(&format!("{text}\n"), lines)
    }

    /// The same with a line, which is cut off.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn print_line(&mut self, line: &ScreenLine, lines: &[ScreenLine]) -> io::Result<()> {
        let mut above = String::new();
        line.write(&mut above, self.size().columns, self.has_colours);
        self.show(&format!("{above}\n"), lines)
    }

    fn show(&mut self, above: &str, lines: &[ScreenLine]) -> io::Result<()> {
        let columns = self.size().columns;
        let mut frame = back(&self.drawn, columns);
        frame += above;
        // No line wraps.
        frame += "\x1b[?7l";
        self.drawn.clear();
        for line in lines {
            self.drawn
                .push(line.write(&mut frame, columns, self.has_colours));
            frame += "\n";
        }
        frame += "\x1b[?7h";
        self.terminal.write_all(frame.as_bytes())?;
        self.terminal.flush()
    }
}

/// What leads back to the beginning of what was drawn, and clears it.
fn back(drawn: &[usize], columns: usize) -> String {
    // Where the terminal has become narrower, it has broken lines in two.
    let rows = drawn.iter().map(|width| width.div_ceil(columns).max(1));
    match rows.sum::<usize>() {
        0 => "\r\x1b[J".to_owned(),
        rows => format!("\r\x1b[{rows}A\x1b[J"),
    }
}

/// Whether colours are wanted (no-color.org).
pub fn has_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl ScreenLine {
    /// Adds a text.
    pub fn push(&mut self, colour: Colour, text: impl Into<String>) {
        self.0.push((colour, text.into()));
    }

    /// Writes it, cut off at a width. Returns how wide it is then.
    pub fn write(&self, out: &mut String, columns: usize, has_colours: bool) -> usize {
        let total: usize = self.0.iter().map(|(_, text)| width(text)).sum();
        let mut room = if total > columns {
            columns.saturating_sub(1)
        } else {
            total
        };
        let mut used = 0;
        for (colour, text) in &self.0 {
            let fitting = cut(text, room);
            let width = width(fitting);
            (room, used) = (room - width, used + width);
            match colour.code().filter(|_| has_colours && !fitting.is_empty()) {
                Some(code) => {
                    let _ = write!(out, "\x1b[{code}m{fitting}\x1b[0m");
                }
                None => out.push_str(fitting),
            }
            if fitting.len() < text.len() {
                break;
            }
        }
        if total > columns && columns > 0 {
            out.push('…');
            used += 1;
        }
        used
    }
}

impl Colour {
    fn code(self) -> Option<&'static str> {
        match self {
            Colour::Plain => None,
            Colour::Dim => Some("2"),
            Colour::Green => Some("32"),
            Colour::Red => Some("31"),
            Colour::Cyan => Some("36"),
        }
    }
}

/// The beginning of a text that isn't wider than `room`.
pub fn cut(text: &str, room: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += char_width(*c);
        used > room
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// How many columns a text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// How many columns a character takes: nearly always as here, and where it isn't, the
/// terminal cuts the line off.
fn char_width(c: char) -> usize {
    match u32::from(c) {
        0x20..0x300 => 1,
        // What stands above, below or within the character before it.
        0x300..0x370 | 0x483..0x48a | 0x591..0x5be | 0x64b..0x660 | 0x200b..0x2010 => 0,
        0x1ab0..0x1b00 | 0x1dc0..0x1e00 | 0x20d0..0x2100 | 0xfe00..0xfe10 | 0xfe20..0xfe30 => 0,
        // The scripts of the east, and pictures.
        0x1100..0x1160 | 0x2e80..0xa4d0 | 0xac00..0xd7a4 | 0xf900..0xfb00 | 0xfe30..0xfe70 => 2,
        0xff00..0xff61 | 0xffe0..0xffe7 | 0x1f300..0x1fb00 | 0x20000..0x3fffe => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &ScreenLine, columns: usize, has_colours: bool) -> (String, usize) {
        let mut out = String::new();
        let width = line.write(&mut out, columns, has_colours);
        (out, width)
    }

    #[test]
    fn a_line_is_cut_off_at_the_width_and_says_so() {
        let mut line = ScreenLine::default();
        line.push(Colour::Plain, "job ");
        line.push(Colour::Green, "done");
        line.push(Colour::Plain, " well");
        let plain = |columns| written(&line, columns, false);
        assert_eq!(plain(80), ("job done well".into(), 13));
        assert_eq!(plain(13), ("job done well".into(), 13));
        assert_eq!(plain(12), ("job done we…".into(), 12));
        assert_eq!(plain(6), ("job d…".into(), 6));
        assert_eq!(plain(1), ("…".into(), 1));
        assert_eq!(plain(0), (String::new(), 0));
        let coloured = "job \x1b[32md\x1b[0m…";
        assert_eq!(written(&line, 6, true), (coloured.into(), 6));
    }

    #[test]
    fn wide_characters_take_two_columns_and_marks_none() {
        assert_eq!(width("日本"), 4);
        assert_eq!(width("e\u{301}"), 1);
        assert_eq!(width("🎬"), 2);
        let mut line = ScreenLine::default();
        line.push(Colour::Plain, "日本語");
        assert_eq!(written(&line, 6, false), ("日本語".into(), 6));
        assert_eq!(written(&line, 5, false), ("日本…".into(), 5));
        assert_eq!(written(&line, 4, false), ("日…".into(), 3));
    }

    #[test]
    fn the_next_frame_stands_where_the_last_one_did_also_in_a_narrower_terminal() {
        assert_eq!(back(&[], 80), "\r\x1b[J");
        assert_eq!(back(&[80, 0, 10], 80), "\r\x1b[3A\x1b[J");
        assert_eq!(back(&[80, 0, 10], 40), "\r\x1b[4A\x1b[J");
        assert_eq!(back(&[80, 0, 10], 39), "\r\x1b[5A\x1b[J");
    }
}
