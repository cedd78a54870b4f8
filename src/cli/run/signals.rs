//! Signals to this process, which are meant for the command.

use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::mailbox::Mailbox;
use crate::command::{Handle, Signal};
use crate::sys::thread;

/// Signals that are caught, and wait until there is a command.
pub struct Forwarding(Signals);

impl Forwarding {
    /// Catches SIGINT, SIGTERM and SIGHUP from now on.
    pub fn new() -> io::Result<Forwarding> {
        Ok(Forwarding(Signals::new([SIGINT, SIGTERM, SIGHUP])?))
    }

    /// Passes them on to the command while it runs; after that they hurry the mailbox.
    pub fn start(mut self, command: Handle, mailbox: Arc<Mailbox>) -> io::Result<()> {
        let work = move || {
            for signal in self.0.forever() {
                let signal = match signal {
                    SIGINT => Signal::INT,
                    SIGHUP => Signal::HUP,
                    _ => Signal::TERM,
                };
                if !command.signal(signal) {
                    mailbox.hurry();
                }
            }
        };
        thread::start("signals", work).map(drop)
    }
}
