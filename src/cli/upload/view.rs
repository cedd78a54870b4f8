//! How an upload looks: a bar on stderr, where that is a terminal.

use std::io::Stderr;
use std::time::{Duration, Instant};

use crate::cli::bar::{bar, bytes, clock};
use crate::cli::output;
use crate::cli::screen::{Colour, Screen, ScreenLine, cut};
use crate::cli::words::printable;
use crate::progress::Outlook;

/// How often it is drawn at most.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// A name's columns at most.
const NAME_MAX: usize = 30;

/// What the terminal shows of a file's upload.
pub struct UploadView {
    screen: Option<Screen<Stderr>>,
    name: String,
    size: u64,
    at: u64,
    outlook: Outlook,
    began: Instant,
    drawn_at: Option<Instant>,
}

impl UploadView {
    /// A view of a file that nothing was sent of.
    pub fn new(name: &str, size: u64) -> UploadView {
        UploadView {
            screen: Screen::on(std::io::stderr()),
            name: printable(name),
            size,
            at: 0,
            outlook: Outlook::default(),
            began: Instant::now(),
            drawn_at: None,
        }
    }

    /// It goes on there.
    pub fn begin(&mut self, at: u64) {
        self.outlook = Outlook::default();
        self.sent(at);
    }

    /// So many bytes are on their way or there.
    pub fn sent(&mut self, at: u64) {
        let now = Instant::now();
        self.at = at;
        self.outlook.add(now, at as f64);
        let is_due = self
            .drawn_at
            .is_none_or(|drawn| now.duration_since(drawn) >= DRAW_EVERY);
        if is_due {
            self.drawn_at = Some(now);
            self.draw(now, None);
        }
    }

    /// Says something about the connection.
    pub fn say(&mut self, text: &str) {
        let line = self.line(Instant::now(), None);
        match &mut self.screen {
            Some(screen) => drop(screen.print(&printable(text), &[line])),
            None => output::say(&format!("landfall upload: {}: {text}", self.name)),
        }
    }

    /// It has ended, well or not.
    pub fn end(&mut self, is_well: bool) {
        if is_well {
            self.at = self.size;
        }
        self.draw(Instant::now(), Some(is_well));
    }

    fn draw(&mut self, now: Instant, end: Option<bool>) {
        let line = self.line(now, end);
        if let Some(screen) = &mut self.screen {
            let _ = screen.draw(&[line]);
        }
    }

    fn line(&self, now: Instant, end: Option<bool>) -> ScreenLine {
        let columns = self
            .screen
            .as_ref()
            .map_or(80, |screen| screen.size().columns);
        let percent = match self.size {
            0 if end.is_some() => 100.0,
            0 => 0.0,
            size => self.at as f64 / size as f64 * 100.0,
        };
        let mut line = ScreenLine::default();
        let name = cut(&self.name, NAME_MAX.min(columns / 3));
        line.push(Colour::Plain, name);
        if columns >= 60 {
            let columns = (columns / 3).min(32);
            line.push(Colour::Plain, " ");
            line.push(Colour::Cyan, bar(percent, columns));
        }
        let elapsed = clock(now.duration_since(self.began));
        let of = format!("{} of {}", bytes(self.at), bytes(self.size));
        line.push(
            Colour::Plain,
            format!(" {:3}% {of} {elapsed}", percent as u64),
        );
        match end {
            Some(true) => line.push(Colour::Green, " ✓"),
            Some(false) => line.push(Colour::Red, " ✗"),
            None => {
                if let Some(rate) = self.outlook.per_second(now) {
                    line.push(Colour::Dim, format!(" {}/s", bytes(rate as u64)));
                }
                if let Some(left) = self.outlook.left(now, self.size as f64) {
                    line.push(Colour::Dim, format!(" ETA {}", clock(left)));
                }
            }
        }
        line
    }
}
