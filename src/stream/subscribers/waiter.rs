//! Who waits for news of a stream: a thread, or a task.

use std::task::Waker;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::sequencer::history::Replay;

/// What a stream is told between two looks.
#[derive(Default)]
pub struct Waiter {
    told: Mutex<Told>,
    changed: Condvar,
}

#[derive(Default)]
struct Told {
    has_news: bool,
    /// What was read back for it; it asks for one piece at a time.
    replay: Option<Box<Replay>>,
    task: Option<Waker>,
}

impl Waiter {
    /// There is news. Returns the task that is to be woken, which may do anything then: nothing
    /// of the desk's may be locked.
    #[must_use]
    pub fn tell(&self) -> Option<Waker> {
        let mut told = self.told.lock();
        told.has_news = true;
        let task = told.task.take();
        drop(told);
        self.changed.notify_one();
        task
    }

    /// A piece has been read back. Returns the same.
    #[must_use]
    pub fn give(&self, replay: Replay) -> Option<Waker> {
        self.told.lock().replay = Some(Box::new(replay));
        self.tell()
    }

    /// The stream is about to look: what comes from here on is news.
    pub fn look(&self) -> Option<Box<Replay>> {
        let mut told = self.told.lock();
        told.has_news = false;
        told.replay.take()
    }

    /// Blocks until there is news. False where there is none by then.
    pub fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut told = self.told.lock();
        while !told.has_news {
            match deadline {
                None => self.changed.wait(&mut told),
                Some(at) if self.changed.wait_until(&mut told, at).timed_out() => break,
                Some(_) => {}
            }
        }
        told.has_news
    }

    /// Has a task woken at the next news. False where there is news already.
    #[cfg_attr(not(feature = "futures"), allow(dead_code))]
    pub fn register(&self, task: &Waker) -> bool {
        let mut told = self.told.lock();
        if !told.has_news {
            told.task = Some(task.clone());
        }
        !told.has_news
    }
}
