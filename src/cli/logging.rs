//! The log, on stderr: a line for each thing that an operator wants to know of.
//!
//! Under systemd's journal, which has its own clock, a line begins with its priority; elsewhere
//! with the time. A server hands its lines to a thread that writes them: who reads stderr slowly
//! holds up nobody, and loses lines, which is told.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::sys::channel::{Receiver, Sender, TrySendError, bounded};
use crate::sys::character::is_printable;
use crate::sys::thread;

/// Lines that wait to be written. More are lost.
const LINES_MAX: usize = 4096;
/// How long the end of the process waits for them.
const PATIENCE: Duration = Duration::from_millis(500);
/// What says more than a level.
const VARIABLE: &str = "RUST_LOG";

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people, and for the journal.
    #[default]
    Text,
    /// An object a line, for what gathers logs.
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug, Default)]
pub struct LogSettings {
    /// This and what is worse. Where nothing is said, `RUST_LOG` says it, or else it is info.
    pub level: Option<LevelFilter>,
    /// How.
    pub format: LogFormat,
}

static IS_JSON: AtomicBool = AtomicBool::new(false);
static LINES: OnceLock<Sender<Message>> = OnceLock::new();
static LOST: AtomicU64 = AtomicU64::new(0);

enum Message {
    Line(Vec<u8>),
    /// Answered when what came before has been written.
    Flush(Sender<()>),
}

/// Starts the log, as `RUST_LOG` says it. Other crates are heard where that names them.
pub fn start() {
    let said = std::env::var(VARIABLE).unwrap_or_default();
    let is_in_journal = is_in_journal();
    let mut builder = env_logger::Builder::new();
    let format = move |out: &mut env_logger::fmt::Formatter, record: &Record<'_>| {
        let message = record.args().to_string();
        let line = if IS_JSON.load(Ordering::Relaxed) {
            json(record.level(), &message, SystemTime::now())
        } else {
            let now = (!is_in_journal).then(SystemTime::now);
            text(record.level(), &message, now)
        };
        out.write_all(line.as_bytes())
    };
    builder
        .format(format)
        .target(env_logger::Target::Pipe(Box::new(Stderr)));
    let level = level_of(&said);
    match level {
        Some(_) => builder.filter_module("landfall", LevelFilter::Trace),
        None => builder.parse_filters(&said),
    };
    let logger = builder.build();
    log::set_max_level(level.unwrap_or_else(|| logger.filter()));
    // It is the only one.
    let _ = log::set_boxed_logger(Box::new(Logger(logger)));
}

/// Follows the settings, which may be other ones later.
pub fn set(settings: &LogSettings) {
    IS_JSON.store(settings.format == LogFormat::Json, Ordering::Relaxed);
    let said = std::env::var(VARIABLE).unwrap_or_default();
    if let Some(level) = settings.level.or(level_of(&said)) {
        log::set_max_level(level);
    }
}

/// Has a thread write what is logged from now on, until the process ends.
///
/// # Errors
/// There is no thread to be had.
pub fn detach() -> io::Result<()> {
    let (sender, lines) = bounded(LINES_MAX);
    thread::start("log", move || write_all(&lines))?;
    let _ = LINES.set(sender);
    Ok(())
}

struct Logger(env_logger::Logger);

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.0.log(record);
    }

    /// Waits until what was logged is written, for a moment at most.
    fn flush(&self) {
        let Some(lines) = LINES.get() else { return };
        let (done, is_done) = bounded(1);
        if lines.send_within(Message::Flush(done), PATIENCE) {
            let _ = is_done.recv_timeout(PATIENCE);
        }
    }
}

/// The level, where no more is said than that.
fn level_of(said: &str) -> Option<LevelFilter> {
    match said.trim() {
        "" => Some(LevelFilter::Info),
        said => said.parse().ok(),
    }
}

fn write_all(lines: &Receiver<Message>) {
    for message in lines.iter() {
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let message = format!("{lost} lines of the log were lost: stderr is read too slowly");
            let line = text(Level::Warn, &message, Some(SystemTime::now()));
            let _ = io::stderr().write_all(line.as_bytes());
        }
        match message {
            Message::Line(line) => {
                // Nobody may be reading: that is no reason not to serve.
                let _ = io::stderr().write_all(&line);
            }
            Message::Flush(done) => {
                let _ = done.try_send(());
            }
        }
    }
}

/// Where lines go.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match LINES.get() {
            None => io::stderr().write_all(line)?,
            Some(lines) => {
                if let Err(TrySendError::Full(_)) = lines.try_send(Message::Line(line.to_owned())) {
                    LOST.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether stderr is a stream of systemd's journal.
fn is_in_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let there = rustix::fs::fstat(io::stderr());
    there.is_ok_and(|there| named == format!("{}:{}", there.st_dev, there.st_ino))
}

/// A line for people. Without a time, it is one for the journal.
fn text(level: Level, message: &str, time: Option<SystemTime>) -> String {
    let mut line = match time {
        Some(time) => {
            let time = humantime::format_rfc3339_millis(time);
            format!("{time} {level:<5} ")
        }
        None => format!("<{}>", priority(level)),
    };
    // What was given by others and is told in it begins no line of its own, and does nothing
    // to a terminal.
    for char in message.chars() {
        if is_printable(char) {
            line.push(char);
        } else {
            let _ = write!(line, "{}", char.escape_default());
        }
    }
    line.push('\n');
    line
}

fn json(level: Level, message: &str, time: SystemTime) -> String {
    let time = humantime::format_rfc3339_millis(time);
    let level = level.as_str().to_ascii_lowercase();
    let message = serde_json::Value::from(message);
    format!("{{\"time\":\"{time}\",\"level\":\"{level}\",\"message\":{message}}}\n")
}

/// As syslog counts them.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_is_told_in_it() {
        let begin = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
        let message = "a\nb\u{1b}[1m\u{202e} \"é\"";
        assert_eq!(
            text(Level::Warn, message, Some(begin)),
            "1970-01-01T00:00:01.500Z WARN  a\\nb\\u{1b}[1m\\u{202e} \"é\"\n"
        );
        assert_eq!(
            text(Level::Error, "x", Some(begin)),
            "1970-01-01T00:00:01.500Z ERROR x\n"
        );
        assert_eq!(
            text(Level::Warn, message, None),
            "<4>a\\nb\\u{1b}[1m\\u{202e} \"é\"\n"
        );
        let line = json(Level::Info, message, begin);
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], message);
        assert_eq!(read["level"], "info");
        assert_eq!(read["time"], "1970-01-01T00:00:01.500Z");
    }

    #[test]
    fn a_level_alone_is_ours_and_more_is_for_the_filter() {
        assert_eq!(level_of(""), Some(LevelFilter::Info));
        assert_eq!(level_of("debug"), Some(LevelFilter::Debug));
        assert_eq!(level_of("WARN"), Some(LevelFilter::Warn));
        assert_eq!(level_of("off"), Some(LevelFilter::Off));
        assert_eq!(level_of("landfall=debug,mio=trace"), None);
    }
}
