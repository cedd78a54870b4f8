//! Who waits for a stage, in the order of arrival, and what they are told of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::attempt::Attempt;
use super::state::State;

/// An attempt on its way: what goes from stage to stage.
pub struct Work {
    /// Whose it is.
    pub attempt: Arc<Attempt>,
    /// How far it is.
    pub state: State,
    /// Since when it waits.
    pub since: Instant,
    /// The position that was told last; 0 where none was.
    pub told: usize,
}

/// The queue of one stage.
#[derive(Default)]
pub struct Queue {
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Box<Work>>,
    /// Workers that wait for work.
    idle: usize,
    /// All that there are.
    workers: usize,
    closed: bool,
}

impl Work {
    /// Work that waits from now on.
    pub fn new(attempt: Arc<Attempt>, state: State) -> Work {
        Work {
            attempt,
            state,
            since: Instant::now(),
            told: 0,
        }
    }
}

impl Queue {
    /// Adds work at the end. True where a worker more is wanted for it, of `most`: the
    /// caller starts it.
    pub fn push(&self, work: Box<Work>, most: usize) -> bool {
        let mut line = self.line.lock();
        line.waiting.push_back(work);
        self.changed.notify_one();
        let is_wanted = line.waiting.len() > line.idle && line.workers < most;
        line.workers += usize::from(is_wanted);
        is_wanted
    }

    /// Waits for work; none once the queue is closed.
    pub fn take(&self) -> Option<Box<Work>> {
        let mut line = self.line.lock();
        loop {
            if line.closed {
                line.workers -= 1;
                self.changed.notify_all();
                return None;
            }
            if let Some(work) = line.waiting.pop_front() {
                return Some(work);
            }
            line.idle += 1;
            self.changed.wait(&mut line);
            line.idle -= 1;
        }
    }

    /// Takes an attempt out of the line.
    pub fn remove(&self, attempt: &Arc<Attempt>) -> Option<Box<Work>> {
        let mut line = self.line.lock();
        let mut waiting = line.waiting.iter();
        let at = waiting.position(|work| Arc::ptr_eq(&work.attempt, attempt))?;
        line.waiting.remove(at)
    }

    /// Each attempt whose position has changed since this was asked last, and its position;
    /// the next is 1.
    pub fn news(&self) -> Vec<(Arc<Attempt>, usize)> {
        let mut line = self.line.lock();
        let mut news = Vec::new();
        for (index, work) in line.waiting.iter_mut().enumerate() {
            let position = index + 1;
            if std::mem::replace(&mut work.told, position) != position {
                news.push((work.attempt.clone(), position));
            }
        }
        news
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.line.lock().waiting.len()
    }

    /// A worker that was wanted couldn't be started.
    pub fn lose_worker(&self) {
        self.line.lock().workers -= 1;
    }

    /// Lets every worker go when it has done what it is at.
    pub fn close(&self) {
        self.line.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits until every worker has gone. False: not by the deadline.
    pub fn wait_idle(&self, deadline: Instant) -> bool {
        let mut line = self.line.lock();
        while line.workers > 0 {
            if self.changed.wait_until(&mut line, deadline).timed_out() {
                return line.workers == 0;
            }
        }
        true
    }
}
