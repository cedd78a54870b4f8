//! What becomes of a command whose job is deleted or cancelled: nobody wants its result any
//! more, nor that of what it has started.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::command::{Family, Handle, Signal};
use crate::sys;
use crate::sys::channel::{Receiver, Sender, bounded};

/// What SIGTERM gives the command before SIGKILL.
const GRACE: Duration = Duration::from_secs(10);
/// What it gives at least what the command leaves behind.
const LAST_GRACE: Duration = Duration::from_secs(1);
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Says that the job was deleted or cancelled.
pub struct DeletionNotice(Sender<()>);

/// Hears of it.
pub struct Watchman(Receiver<()>);

/// Ends the command when it is said.
pub struct DeletionWatch {
    is_ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Both ends.
pub fn watch() -> (DeletionNotice, Watchman) {
    let (sender, receiver) = bounded(1);
    (DeletionNotice(sender), Watchman(receiver))
}

impl DeletionNotice {
    /// Says so.
    pub fn give(&self) {
        // It was said before.
        let _ = self.0.try_send(());
    }
}

impl Watchman {
    /// Ends the command when it is said, if it still runs then, and what it has started.
    pub fn start(self, command: Handle) -> io::Result<DeletionWatch> {
        let is_ending = Arc::new(AtomicBool::new(false));
        let also = Arc::clone(&is_ending);
        let work = move || {
            if self.0.recv().is_ok() {
                also.store(true, Ordering::Relaxed);
                end(&command);
            }
        };
        let thread = sys::thread::start("deletion", work)?;
        Ok(DeletionWatch { is_ending, thread })
    }
}

impl DeletionWatch {
    /// Waits until what a command that is being ended has started has ended as well.
    pub fn finish(self) {
        if self.is_ending.load(Ordering::Relaxed) {
            let _ = self.thread.join();
        }
    }
}

fn end(command: &Handle) {
    let kill_at = Instant::now() + GRACE;
    let mut family = Family::default();
    command.introduce(&mut family);
    let tell = |signal| {
        command.signal(signal);
    };
    end_by(kill_at, tell, || command.is_running());
    // What it leaves behind, and couldn't end itself.
    command.introduce(&mut family);
    let kill_at = kill_at.max(Instant::now() + LAST_GRACE);
    end_by(
        kill_at,
        |signal| family.signal(signal),
        || family.is_there(),
    );
}

/// Ends what is there by SIGTERM, or else by SIGKILL.
fn end_by(kill_at: Instant, signal: impl Fn(Signal), is_there: impl Fn() -> bool) {
    signal(Signal::TERM);
    // A stopped process takes no signal but this until it goes on.
    signal(Signal::CONT);
    while is_there() {
        if Instant::now() >= kill_at {
            return signal(Signal::KILL);
        }
        thread::sleep(LOOK);
    }
}
