//! What becomes of a command whose job is deleted or cancelled: nobody wants its result any
//! more.

use std::io;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::command::{Handle, Signal};
use crate::sys;

/// What SIGTERM gives the command before SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

/// Says that the job was deleted or cancelled.
pub struct Notice(Sender<()>);

/// Hears of it.
pub struct Watchman(Receiver<()>);

/// Both ends.
pub fn watch() -> (Notice, Watchman) {
    let (sender, receiver) = bounded(1);
    (Notice(sender), Watchman(receiver))
}

impl Notice {
    /// Says so.
    pub fn give(&self) {
        // It was said before.
        let _ = self.0.try_send(());
    }
}

impl Watchman {
    /// Ends the command when it is said, if it still runs then.
    pub fn start(self, command: Handle) -> io::Result<()> {
        let work = move || {
            if self.0.recv().is_err() {
                return;
            }
            command.signal(Signal::TERM);
            // A stopped process takes no signal but this until it goes on.
            command.signal(Signal::CONT);
            thread::sleep(GRACE);
            command.signal(Signal::KILL);
        };
        sys::thread::start("deletion", work).map(drop)
    }
}
