//! A word to whatever works on a job that it is to stop.

use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;

use crate::sys::channel::{Receiver, Sender, bounded};

/// Why work is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Why {
    /// The job is cancelled: what it left goes.
    Cancelled = 1,
    /// The server stops: the stage begins anew when it is back.
    Stopping = 2,
}

/// A word to all that works that it is to stop at once. Said once, and heard by everyone.
pub struct Hurry {
    sender: Mutex<Option<Sender<()>>>,
    receiver: Receiver<()>,
}

impl Hurry {
    /// Nothing is said yet.
    pub fn new() -> Hurry {
        let (sender, receiver) = bounded(0);
        Hurry {
            sender: Mutex::new(Some(sender)),
            receiver,
        }
    }

    /// Says it. Never blocks.
    pub fn say(&self) {
        self.sender.lock().take();
    }

    /// What is closed once it is said.
    pub fn receiver(&self) -> Receiver<()> {
        self.receiver.clone()
    }
}

/// Said once, and heard by everyone who asks or waits. Never blocks.
pub struct Stop {
    why: AtomicU8,
    sender: Mutex<Option<Sender<()>>>,
    receiver: Receiver<()>,
}

impl Stop {
    /// Nothing is said yet.
    pub fn new() -> Stop {
        let (sender, receiver) = bounded(0);
        Stop {
            why: AtomicU8::new(0),
            sender: Mutex::new(Some(sender)),
            receiver,
        }
    }

    /// Says it. That a job is cancelled outweighs that the server stops.
    pub fn say(&self, why: Why) {
        match why {
            Why::Cancelled => self.why.store(why as u8, Ordering::Release),
            Why::Stopping => {
                let _ =
                    self.why
                        .compare_exchange(0, why as u8, Ordering::AcqRel, Ordering::Acquire);
            }
        }
        self.sender.lock().take();
    }

    /// Why, where it was said.
    pub fn said(&self) -> Option<Why> {
        match self.why.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Why::Cancelled),
            _ => Some(Why::Stopping),
        }
    }

    /// What is closed once it is said.
    pub fn receiver(&self) -> &Receiver<()> {
        &self.receiver
    }
}
