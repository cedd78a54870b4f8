//! Signals to this process, which are meant for the command.

use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithRawSiginfo;

use super::mailbox::UpdateQueue;
use crate::command::{Handle, Signal};
use crate::sys::thread;

/// Signals that are caught, and wait until there is a command.
pub struct Forwarding(SignalsInfo<WithRawSiginfo>);

impl Forwarding {
    /// Catches what ends a process, what a program may have a use of its own for, and that the
    /// terminal's size has changed, from now on.
    pub fn new() -> io::Result<Forwarding> {
        let caught = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH];
        Ok(Forwarding(SignalsInfo::new(caught)?))
    }

    /// Passes them on to the command while it runs; after that those that end hurry the mailbox.
    pub fn start(mut self, command: Handle, mailbox: Arc<UpdateQueue>) -> io::Result<()> {
        let work = move || {
            for info in self.0.forever() {
                let (signal, ends) = match info.si_signo {
                    SIGWINCH => {
                        command.resize();
                        continue;
                    }
                    SIGINT => (Signal::INT, true),
                    SIGHUP => (Signal::HUP, true),
                    SIGQUIT => (Signal::QUIT, true),
                    SIGUSR1 => (Signal::USR1, false),
                    SIGUSR2 => (Signal::USR2, false),
                    _ => (Signal::TERM, true),
                };
                // A key such as ^C is the kernel's signal to all of the terminal's group. Many
                // programs take a second one for the wish to be ended at once.
                let has_it = info.si_code > 0 && command.is_beside();
                let is_running = if has_it {
                    command.is_running()
                } else {
                    command.signal(signal)
                };
                if ends && !is_running {
                    mailbox.hurry();
                }
            }
        };
        thread::start("signals", work).map(drop)
    }
}
