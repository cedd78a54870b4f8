//! Where a hub tells a shard of news, and wakes it only if it sleeps.

use std::sync::atomic::{AtomicBool, Ordering, fence};

use parking_lot::Mutex;

/// A shard's letter box.
pub struct Mailbox {
    dirty: Mutex<Vec<u32>>,
    /// Something happened on some job.
    any: AtomicBool,
    asleep: AtomicBool,
    waker: Box<dyn Fn() + Send + Sync>,
}

impl Mailbox {
    /// A letter box whose owner is woken by `waker`. It must not block.
    pub fn new(waker: impl Fn() + Send + Sync + 'static) -> Mailbox {
        Mailbox {
            dirty: Mutex::default(),
            any: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            waker: Box::new(waker),
        }
    }

    /// There is news of the job in `slot`. The poster sees to it that a slot is posted
    /// once until it is read, so there are at most as many as jobs.
    pub fn post_dirty(&self, slot: u32) {
        self.dirty.lock().push(slot);
    }

    /// There is news of some job.
    pub fn post_any(&self) {
        self.any.store(true, Ordering::Release);
    }

    /// Wakes the owner if it sleeps. To be called after every post.
    pub fn wake(&self) {
        // Either the owner's last look finds the post, or this finds the owner asleep.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            (self.waker)();
        }
    }

    /// The owner takes the slots that were posted, in exchange for an empty list.
    pub fn take_dirty(&self, into: &mut Vec<u32>) {
        std::mem::swap(&mut *self.dirty.lock(), into);
    }

    /// The owner asks whether there was news of some job.
    pub fn take_any(&self) -> bool {
        self.any.load(Ordering::Relaxed) && self.any.swap(false, Ordering::AcqRel)
    }

    /// The owner is about to sleep. From here on it is woken; the caller looks once
    /// more for posts before it does sleep.
    pub fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Whether nothing has been posted.
    pub fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire) && self.dirty.lock().is_empty()
    }

    /// The owner is awake.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }
}
