//! A terminal for a command that shows how far it is only on one.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Command;

use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions, OutputModes, Winsize};

/// How large it is where this process has none itself.
const SIZE: Winsize = Winsize {
    ws_row: 24,
    ws_col: 100,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

/// A terminal: what is read here was written there.
pub struct Terminal {
    /// The end that is read.
    pub here: File,
    /// The end that the command has.
    pub there: OwnedFd,
}

impl Terminal {
    /// One that changes nothing of what is written to it, as large as this process's own.
    ///
    /// # Errors
    /// The system has none to give.
    pub fn open() -> io::Result<Terminal> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let here = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&here)?;
        rustix::pty::unlockpt(&here)?;
        let there = rustix::pty::ioctl_tiocgptpeer(&here, flags)?;
        let mut modes = rustix::termios::tcgetattr(&there)?;
        modes.output_modes.remove(OutputModes::OPOST);
        modes.local_modes.remove(LocalModes::ECHO);
        rustix::termios::tcsetattr(&there, OptionalActions::Now, &modes)?;
        rustix::termios::tcsetwinsize(&there, size())?;
        Ok(Terminal {
            here: File::from(here),
            there,
        })
    }
}

/// Makes a command's terminal as large as this process's own is now.
pub fn resize(terminal: &OwnedFd) {
    // One that nobody has open any more needs no size.
    let _ = rustix::termios::tcsetwinsize(terminal, size());
}

/// Tells a command which kind it is, where this process has none: a program may do without a
/// bar on one that it doesn't know, or that knows nothing.
pub fn name_for(command: &mut Command) {
    let own = std::env::var_os("TERM");
    if own.is_none_or(|own| own.is_empty() || own == "dumb") {
        command.env("TERM", "xterm");
    }
}

fn size() -> Winsize {
    let own = [
        rustix::termios::tcgetwinsize(io::stdout()),
        rustix::termios::tcgetwinsize(io::stderr()),
        rustix::termios::tcgetwinsize(io::stdin()),
    ];
    let own = own.into_iter().flatten();
    own.into_iter().find(|it| it.ws_col > 0).unwrap_or(SIZE)
}
