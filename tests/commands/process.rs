//! A command that runs beside a test, and not longer than it.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, Output};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How often it is looked whether one has ended, and how many times before it is killed.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: usize = 300;

/// A command that ends with its owner, also where a test fails.
pub struct Process(Option<Child>);

/// Starts a command.
pub trait Start {
    fn start(&mut self) -> Process;
}

impl Start for Command {
    fn start(&mut self) -> Process {
        Process(Some(self.spawn().unwrap()))
    }
}

impl Process {
    /// Waits for its end, and for what it has to say until then.
    pub fn wait_with_output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.0.as_ref().unwrap()
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(child) = &mut self.0 else { return };
        if let Ok(None) = child.try_wait() {
            // What it has started itself ends with it, where it is asked.
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
            for _ in 0..LOOKS {
                if let Ok(Some(_)) = child.try_wait() {
                    return;
                }
                thread::sleep(LOOK);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
