//! A shard's thread, its sleep, and who does a little of its work meanwhile.
//!
//! A publisher that finds the shard asleep may send a job's news itself, where that takes
//! few sends: two threads that change places on a core take longer than that. It takes no
//! streams up. So no row is given to another stream between what the poller says of it
//! and the thread that reads that.

use std::collections::VecDeque;
use std::io;
use std::sync::Weak;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Waker};
use parking_lot::{Mutex, MutexGuard};

use super::table::NONE;
use super::{Adoption, Shard, WAKER};
use crate::hub::Owner;
use crate::ring::Batch;

/// Sends that a publisher's own thread makes for a shard that sleeps. With more, the
/// publisher would wait longer for its answer than it takes to wake the shard.
const IN_SLEEP_SENDS: usize = 4;
/// Socket events taken from the kernel at a time.
const EVENTS_MAX: usize = 256;
/// A buffer's memory is given back above this when the shard goes to sleep.
const KEPT_BYTES: usize = 2 * 1024;

/// What is woken, or stood in for.
pub(super) struct Sleeper {
    pub waker: Waker,
    pub shard: Weak<Mutex<Shard>>,
}

impl Owner for Sleeper {
    fn wake(&self) {
        // It fails only when the counter is full: then the wake-up is on its way.
        let _ = self.waker.wake();
    }

    fn stand_in(&self) -> bool {
        let Some(shard) = self.shard.upgrade() else {
            return false;
        };
        let shard = shard.try_lock();
        shard.is_some_and(|mut shard| shard.serve_in_sleep())
    }
}

/// The thread. It lets go of its shard only while it polls.
pub(super) fn run(shard: &Mutex<Shard>, mut poll: Poll) {
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut shard = shard.lock();
    while !shard.turn() {
        let timeout = shard.until_next_turn();
        let polled = MutexGuard::unlocked(&mut shard, || poll.poll(&mut events, timeout));
        match polled {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => log::error!("shard {}: poll: {error}", shard.number),
        }
        shard.wake_up(timeout);
        for event in events.iter().filter(|event| event.token() != WAKER) {
            shard.socket_event(event);
        }
    }
}

impl Shard {
    /// How long the thread may sleep. None for as long as nothing happens.
    fn until_next_turn(&mut self) -> Option<Duration> {
        let has_work = !self.dirty.is_empty()
            || !self.behind.is_empty()
            || !self.arrivals.is_empty()
            || !self.pieces.1.is_empty();
        if has_work {
            return Some(Duration::ZERO);
        }
        self.rest();
        match self.mailbox.is_empty() {
            true => self.until_next_step(),
            false => Some(Duration::ZERO),
        }
    }

    fn wake_up(&mut self, timeout: Option<Duration>) {
        self.mailbox.awake();
        let before = std::mem::replace(&mut self.now, Instant::now());
        let slept = timeout.unwrap_or(Duration::MAX);
        let late = (self.now - before).saturating_sub(slept);
        self.admission.note(late, self.now);
    }

    /// Serves the job that has news, on another thread, while this one's sleeps. False
    /// where the thread has to be woken after all.
    fn serve_in_sleep(&mut self) -> bool {
        self.now = Instant::now();
        self.take_dirty();
        let [slot] = self.dirty.as_slices().0 else {
            return false;
        };
        let slot = *slot;
        if self.has_more_rows(slot, IN_SLEEP_SENDS) {
            return false;
        }
        self.dirty.clear();
        self.serve_job(slot, &mut { IN_SLEEP_SENDS });
        for _ in 0..self.behind.len() {
            let row = self.behind.pop_front();
            row.into_iter().for_each(|row| self.serve_behind(row));
        }
        let is_done = self.dirty.is_empty() && self.behind.is_empty();
        if is_done {
            self.rest();
        }
        is_done && self.mailbox.is_empty()
    }

    fn has_more_rows(&mut self, slot: u32, count: usize) -> bool {
        let Some(Some(followed)) = self.jobs.get(slot as usize) else {
            return false;
        };
        let (mut row, mut rows) = (followed.head, followed.consolidated.len());
        while row != NONE && rows <= count {
            row = self.table[row].next;
            rows += 1;
        }
        rows > count
    }

    /// What is done before sleeping.
    fn rest(&mut self) {
        self.count();
        if self.batch.bytes.capacity() > KEPT_BYTES {
            self.batch = Batch::default();
        }
        if self.arrivals.capacity() * size_of::<Adoption>() > KEPT_BYTES {
            self.arrivals = VecDeque::new();
        }
        self.admission.rest();
        if self.behind.capacity() * size_of::<u32>() > KEPT_BYTES {
            self.behind = VecDeque::new();
        }
        self.mailbox.fall_asleep();
    }
}
