//! Who waits for a stage, in the order of arrival, and what they are told of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::attempt::Attempt;
use super::state::FileState;

/// The time between two positions that a job is told.
const TOLD_INTERVAL: Duration = Duration::from_secs(1);
/// Up to this position each change is told; beyond it, where the position is by a tenth another
/// than the one that was told last.
const EXACT_POSITIONS: usize = 10;

/// An attempt on its way: what goes from stage to stage.
pub struct Work<T> {
    /// Whose it is.
    pub attempt: Arc<Attempt>,
    /// How far it is.
    pub state: FileState,
    /// Its place in the line of stages that it goes through.
    pub ticket: T,
    /// Since when it waits.
    pub since: Instant,
    /// The position that was told last; 0 where none was.
    pub told: usize,
    /// When one was told last, here or in the line of a stage before.
    pub told_at: Option<Instant>,
}

/// The queue of one stage.
pub struct Queue<T> {
    row: Mutex<Queued<T>>,
    changed: Condvar,
}

struct Queued<T> {
    waiting: VecDeque<Box<Work<T>>>,
    /// Workers that wait for work.
    idle: usize,
    /// All that there are.
    workers: usize,
    closed: bool,
}

impl<T> Work<T> {
    /// Work that waits from now on.
    pub fn new(attempt: Arc<Attempt>, state: FileState, ticket: T) -> Work<T> {
        Work {
            ticket,
            attempt,
            state,
            since: Instant::now(),
            told: 0,
            told_at: None,
        }
    }

    /// A position is told now.
    pub fn tell(&mut self, position: usize, now: Instant) {
        self.told = position;
        self.told_at = Some(now);
    }

    /// Whether a position differs from what was told.
    fn is_news(&self, position: usize) -> bool {
        match self.told {
            0 => true,
            told if position <= EXACT_POSITIONS => told != position,
            told => told.abs_diff(position) * 10 >= told,
        }
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue {
            row: Mutex::new(Queued {
                waiting: VecDeque::new(),
                idle: 0,
                workers: 0,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }
}

impl<T> Queue<T> {
    /// Adds work at the end. True where a worker more is wanted for it, of `most`: the
    /// caller starts it.
    pub fn push(&self, work: Box<Work<T>>, most: usize) -> bool {
        let mut row = self.row.lock();
        row.waiting.push_back(work);
        self.changed.notify_one();
        let is_wanted = row.waiting.len() > row.idle && row.workers < most;
        row.workers += usize::from(is_wanted);
        is_wanted
    }

    /// Waits for work; none once the queue is closed.
    pub fn take(&self) -> Option<Box<Work<T>>> {
        let mut row = self.row.lock();
        loop {
            if row.closed {
                row.workers -= 1;
                self.changed.notify_all();
                return None;
            }
            if let Some(work) = row.waiting.pop_front() {
                return Some(work);
            }
            row.idle += 1;
            self.changed.wait(&mut row);
            row.idle -= 1;
        }
    }

    /// Takes an attempt out of the line.
    pub fn remove(&self, attempt: &Arc<Attempt>) -> Option<Box<Work<T>>> {
        let mut row = self.row.lock();
        let mut waiting = row.waiting.iter();
        let at = waiting.position(|work| Arc::ptr_eq(&work.attempt, attempt))?;
        row.waiting.remove(at)
    }

    /// Each attempt that is to be told its position, of which the next's is 1. And when to ask
    /// again, where somebody's has changed who was told one a moment ago.
    pub fn news(&self, now: Instant) -> (Vec<(Arc<Attempt>, usize)>, Option<Instant>) {
        let mut row = self.row.lock();
        let (mut news, mut again) = (Vec::new(), None);
        for (index, work) in row.waiting.iter_mut().enumerate() {
            let position = index + 1;
            if !work.is_news(position) {
                continue;
            }
            match work.told_at.map(|told_at| told_at + TOLD_INTERVAL) {
                Some(due) if due > now => again = Some(again.map_or(due, |at| due.min(at))),
                _ => {
                    work.tell(position, now);
                    news.push((work.attempt.clone(), position));
                }
            }
        }
        (news, again)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.row.lock().waiting.len()
    }

    /// A worker that was wanted couldn't be started.
    pub fn lose_worker(&self) {
        self.row.lock().workers -= 1;
    }

    /// Lets every worker go when it has done what it is at.
    pub fn close(&self) {
        self.row.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits until every worker has gone. False: not by the deadline.
    pub fn wait_idle(&self, deadline: Instant) -> bool {
        let mut row = self.row.lock();
        while row.workers > 0 {
            if self.changed.wait_until(&mut row, deadline).timed_out() {
                return row.workers == 0;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::job::{EventId, LifeId};
    use crate::hub::HubConfig;
    use crate::sequencer::Sequencer;
    use crate::upload::Landed;

    /// A line of so many, none of which was told anything.
    fn line(length: u64) -> Queue<()> {
        let queue = Queue::default();
        let jobs = Sequencer::in_memory(HubConfig::default());
        for number in 0..length {
            let landed = Landed {
                job: format!("job-{number}").parse().unwrap(),
                life: LifeId(EventId(number)),
                upload: format!("{number:032x}").parse().unwrap(),
                name: "a".into(),
                declared_type: None,
                size: 1,
                path: "/nowhere/data".into(),
            };
            let state = FileState::new(1, &landed);
            let attempt = Arc::new(Attempt::new(
                Arc::new(landed),
                1,
                &jobs,
                1,
                crate::sys::channel::never(),
            ));
            queue.push(Box::new(Work::new(attempt, state, ())), 0);
        }
        queue
    }

    fn positions(queue: &Queue<()>, now: Instant) -> Vec<usize> {
        let (news, _) = queue.news(now);
        news.into_iter().map(|(_, position)| position).collect()
    }

    #[test]
    fn the_first_ten_are_told_each_change_and_others_one_of_a_tenth() {
        let queue = line(100);
        let mut now = Instant::now();
        assert_eq!(positions(&queue, now).len(), 100);
        let mut told = 0;
        for left in (0..100).rev() {
            now += TOLD_INTERVAL;
            queue.row.lock().waiting.pop_front();
            let positions = positions(&queue, now);
            let first = left.min(EXACT_POSITIONS);
            assert!(
                positions.starts_with(&(1..=first).collect::<Vec<_>>()),
                "{left}: {positions:?}"
            );
            told += positions.len();
        }
        // All changes would be 4,950, of which 945 are among the first ten.
        assert!((945..2100).contains(&told), "{told}");
    }

    #[test]
    fn a_job_is_told_one_position_a_second_and_the_last_one_in_the_end() {
        let queue = line(5);
        let now = Instant::now();
        assert_eq!(positions(&queue, now), [1, 2, 3, 4, 5]);
        queue.row.lock().waiting.pop_front();
        let soon = now + TOLD_INTERVAL / 2;
        let (news, again) = queue.news(soon);
        assert!(news.is_empty());
        assert_eq!(again, Some(now + TOLD_INTERVAL));
        queue.row.lock().waiting.pop_front();
        assert_eq!(positions(&queue, now + TOLD_INTERVAL), [1, 2, 3]);
        assert_eq!(queue.news(now + TOLD_INTERVAL).1, None);
    }
}
