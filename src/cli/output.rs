//! What commands print.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use crate::sys::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::error::Failure;

/// The width of a terminal that doesn't say.
const WIDTH: usize = 80;

/// Prints to stdout. A reader who has had enough ends the command, and that is no failure.
///
/// # Errors
/// It can't be written: the disk that it goes to is full.
pub fn print(text: &str) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::System(error)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Says a line to the user, on stderr, who may not be listening. What was given by others
/// and is told in it can't do anything to a terminal.
pub fn say(text: &str) {
    let line = text.replace(char::is_control, " ");
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Ends the process as soon as nobody is left to read stdout, though there is nothing to
/// be written. For commands that only tell.
pub fn end_with_reader() {
    // Without one, the reader's end is seen with the next line.
    let _ = thread::start("reader", || {
        let out = io::stdout();
        // Asked for nothing, it still tells that the other end is closed.
        let mut polled = [PollFd::new(&out, PollFlags::empty())];
        let closed = loop {
            match poll(&mut polled, None) {
                Err(Errno::INTR) => {}
                closed => break closed,
            }
        };
        if closed.is_ok() {
            std::process::exit(1);
        }
    });
}

/// How wide a text may be: as `COLUMNS` says, or the terminal.
pub fn width() -> usize {
    let said = std::env::var("COLUMNS").ok();
    let said = said.and_then(|columns| columns.parse().ok());
    let told = || {
        Some(
            rustix::termios::tcgetwinsize(io::stdout())
                .ok()?
                .ws_col
                .into(),
        )
    };
    said.or_else(told)
        .filter(|width| *width > 0)
        .unwrap_or(WIDTH)
}
