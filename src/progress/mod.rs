//! What a command prints, read as progress.
//!
//! A [`Reader`] is fed the bytes of a command's stdout and stderr, cut anywhere,
//! and yields an [`Update`] for every line that says how far the work is. A
//! [`Throttle`] thins updates to what watchers can use. Neither does I/O nor looks
//! at a clock, and neither can be made to panic or to grow by what a command prints.

mod bar;
mod bars;
mod ffmpeg;
mod json;
mod known;
mod lines;
mod measure;
mod number;
mod outlook;
mod pattern;
mod phases;
mod place;
mod script;
mod shapes;
mod shell;
mod throttle;
mod tools;
mod update;
mod words;

#[cfg(feature = "cli")]
pub use ffmpeg::Material;
pub use known::Known;
#[cfg(feature = "cli")]
pub use known::{Amount, arguments};
pub use outlook::Outlook;
pub use pattern::Pattern;
#[cfg(feature = "cli")]
pub use shell::commands;
pub use throttle::Throttle;
pub use update::{Source, Update, overall};

use bars::{BarReading, Bars};
use ffmpeg::Ffmpeg;
use lines::{Lines, OutputLine};
use measure::TextLine;
use phases::Phases;
use shapes::Shapes;
use tools::Tools;
use update::LineReading;

/// The longest stage name that is taken from a command, in bytes: it is a label.
/// A longer one is ignored.
pub const STAGE_MAX_BYTES: usize = 128;
/// How much of the last stderr line is kept for an error message, in bytes.
pub const ERROR_LINE_MAX_BYTES: usize = 512;

/// How a command's output is to be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Everything that says by itself that it is progress.
    #[default]
    Auto,
    /// That, and lines that are nothing but a number from 0 to 100, as `pv -n` has.
    Number,
    /// Nothing: it is something else that the command prints.
    Ignore,
}

/// Reads the output of one command.
///
/// ```
/// use landfall::internals::progress::{Format, Reader, Source};
/// let mut reader = Reader::new(Format::Auto);
/// let mut seen = Vec::new();
/// reader.feed(Source::Stderr, b"copying  4", |update| seen.push(update.percent));
/// reader.feed(Source::Stderr, b"3%\r", |update| seen.push(update.percent));
/// assert_eq!(seen, [Some(43.0)]);
/// ```
pub struct Reader {
    format: Format,
    /// What is to be read, and nothing else.
    pattern: Option<Pattern>,
    stdout: Lines,
    stderr: Lines,
    ffmpeg: Ffmpeg,
    tools: Tools,
    shapes: Shapes,
    phases: Phases,
    bars: Bars,
    /// Stdout has had a NUL: it is what the command makes, not what it says.
    stdout_is_data: bool,
    /// The terminal is told how far it is, so that what is drawn there has nothing to add.
    is_reported: bool,
    last_error_line: String,
}

impl Reader {
    /// A reader for a command that has printed nothing yet.
    pub fn new(format: Format) -> Reader {
        Reader {
            format,
            pattern: None,
            stdout: Lines::new(),
            stderr: Lines::new(),
            ffmpeg: Ffmpeg::new(),
            tools: Tools::default(),
            shapes: Shapes::default(),
            phases: Phases::default(),
            bars: Bars::default(),
            stdout_is_data: false,
            is_reported: false,
            last_error_line: String::new(),
        }
    }

    /// A reader for a command of which this is known.
    pub fn knowing(format: Format, known: Known) -> Reader {
        Reader {
            tools: Tools::knowing(&known),
            ffmpeg: Ffmpeg::of_plans(known.ffmpegs),
            ..Reader::new(format)
        }
    }

    /// The same reader, which reads what this pattern matches, where there is one, and nothing
    /// else.
    pub fn with_pattern(mut self, pattern: Option<Pattern>) -> Reader {
        self.pattern = pattern;
        self
    }

    /// A reader for an ffmpeg that is asked for `-progress` and says nothing of its input,
    /// which is known to last so long.
    pub fn of_ffmpeg(duration_seconds: Option<f64>) -> Reader {
        Reader {
            ffmpeg: Ffmpeg::of_input(duration_seconds),
            ..Reader::new(Format::Auto)
        }
    }

    /// The same reader of a command that is this stage, where it names none itself.
    pub fn of_stage(mut self, stage: Option<String>) -> Reader {
        self.phases.belong_to(stage);
        self
    }

    /// Takes the next bytes of one output and calls `each` for what they say. The
    /// updates depend on the bytes alone, not on how they are cut.
    pub fn feed(&mut self, source: Source, bytes: &[u8], mut each: impl FnMut(Update)) {
        // The lines are taken out while they are read, as reading a line needs the rest.
        let mut lines = std::mem::take(self.lines(source));
        lines.feed(bytes, |line| {
            if let Some(update) = self.read(source, &line, true) {
                each(update);
            }
        });
        *self.lines(source) = lines;
    }

    /// Reads the lines that are not ended yet. Tools such as rsync and curl begin
    /// their lines with a carriage return and so leave the newest one open; call
    /// this when the command has printed nothing for a moment. The line is read
    /// again when it ends.
    pub fn pause(&mut self, mut each: impl FnMut(Update)) {
        for source in [Source::Stdout, Source::Stderr] {
            let lines = std::mem::take(self.lines(source));
            // What ffmpeg leaves open is never progress.
            let line = lines.open().filter(|_| !self.ffmpeg.is_running());
            let update = line.and_then(|line| self.read(source, &line, false));
            *self.lines(source) = lines;
            if let Some(update) = update {
                each(update);
            }
        }
    }

    /// Ends both outputs and reads what was left without a newline.
    pub fn finish(&mut self, mut each: impl FnMut(Update)) {
        for source in [Source::Stdout, Source::Stderr] {
            self.feed(source, b"\n", &mut each);
        }
    }

    /// The last line on stderr that was not blank, without control characters and
    /// at most [`ERROR_LINE_MAX_BYTES`] long; empty where there was none.
    pub fn last_error_line(&self) -> &str {
        &self.last_error_line
    }

    fn lines(&mut self, source: Source) -> &mut Lines {
        match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        }
    }

    fn read(&mut self, source: Source, line: &OutputLine<'_>, ended: bool) -> Option<Update> {
        if source == Source::Stdout {
            self.stdout_is_data |= line.has_nul();
            if self.stdout_is_data {
                return None;
            }
        }
        let is_open = self.format != Format::Ignore && self.pattern.is_none();
        if let Some(report) = line.report().filter(|_| is_open) {
            return self.read_report(report);
        }
        let text = line.text();
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return None;
        }
        if source == Source::Stderr && ended {
            trimmed[..floor_char(trimmed, ERROR_LINE_MAX_BYTES)]
                .clone_into(&mut self.last_error_line);
        }
        if self.format == Format::Ignore {
            return None;
        }
        if let Some(pattern) = &self.pattern {
            return pattern.read(trimmed).map(Update::before_the_end);
        }
        if trimmed.starts_with('{') && line.is_whole() && ended {
            return json::read(trimmed, &mut self.tools);
        }
        if self.is_reported {
            return None;
        }
        let mut update = self.read_text(source, line, &text, ended)?;
        // rclone finds more to do meanwhile, and falls back by that.
        if !trimmed.contains(", ETA ") {
            self.phases.number(&mut update);
        }
        Some(update.before_the_end())
    }

    /// Reads what a terminal is told, its state and a percentage: 1 is that it goes on, 2 that it
    /// has failed, and 4 that it waits.
    fn read_report(&mut self, report: &str) -> Option<Update> {
        let (state, percent) = report.split_once(';').unwrap_or((report, ""));
        let percent = number::percentage(percent);
        let percent = match state {
            "1" => percent,
            // All of it is no more than a colour then.
            "2" | "4" => percent.filter(|percent| *percent < 100.0),
            // It has ended, or can't tell.
            _ => {
                self.is_reported = false;
                None
            }
        };
        let mut update = Update::percent(percent?);
        self.is_reported = true;
        self.phases.number(&mut update);
        Some(update.before_the_end())
    }

    fn read_text(
        &mut self,
        source: Source,
        line: &OutputLine<'_>,
        text: &str,
        ended: bool,
    ) -> Option<Update> {
        let trimmed = text.trim();
        if line.is_whole() && ended {
            if self.format == Format::Number
                && let Some(percent) = number::percentage(trimmed)
            {
                return Some(Update::percent(percent));
            }
            match self.ffmpeg.read(source, trimmed) {
                LineReading::NotMine => {}
                LineReading::Mine(update) => return update,
            }
        }
        if let LineReading::Mine(update) = self.tools.read(trimmed, ended) {
            return update;
        }
        if let Some(percent) = number::dotted(trimmed) {
            return Some(Update::percent(percent));
        }
        let text = script::in_ascii(text);
        let row = TextLine {
            text: &text,
            redrawn: line.is_redrawn(),
            continued: line.is_continued(),
        };
        let measure = measure::best(row);
        let believed = match (&measure, ended) {
            (_, true) => self.shapes.believe(measure.as_ref(), row.redrawn),
            (Some(measure), false) => self.shapes.would_believe(measure, row.redrawn),
            (None, false) => false,
        };
        let measure = measure.filter(|_| believed)?;
        let (stage, percent) = match self.bars.take(&measure, line.depth()) {
            BarReading::Inner => return None,
            BarReading::Together(percent) => (self.phases.home(), percent),
            BarReading::Itself => self.phases.take(&measure),
        };
        Some(Update {
            stage,
            ..Update::percent(percent)
        })
    }
}

/// The greatest index up to `at` where `text` may be cut.
fn floor_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests;
