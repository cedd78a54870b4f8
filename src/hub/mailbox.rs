//! Where a hub tells a shard of news, and wakes it only if it sleeps.

use std::sync::atomic::{AtomicBool, Ordering, fence};

use parking_lot::Mutex;

/// A shard's letter box.
pub struct Mailbox {
    dirty: Mutex<Vec<u32>>,
    /// Something happened on some job.
    any: AtomicBool,
    asleep: AtomicBool,
    owner: Box<dyn MailboxOwner>,
}

/// Whose letter box it is. Neither call may block.
pub trait MailboxOwner: Send + Sync {
    /// Ends its sleep.
    fn wake(&self);

    /// Has the caller's thread do what was posted, in the place of the owner that sleeps
    /// and goes on sleeping. False where it is too much for that, or the owner is awake.
    fn stand_in(&self) -> bool {
        false
    }
}

impl<F: Fn() + Send + Sync> MailboxOwner for F {
    fn wake(&self) {
        self();
    }
}

impl Mailbox {
    /// A letter box.
    pub fn new(owner: impl MailboxOwner + 'static) -> Mailbox {
        Mailbox {
            dirty: Mutex::default(),
            any: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            owner: Box::new(owner),
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

    /// Wakes the owner if it sleeps. To be called after every post, or else `deliver`.
    pub fn wake(&self) {
        if self.take_sleep() {
            self.owner.wake();
        }
    }

    /// The same, for a single post: where the owner sleeps and it is little, the caller's
    /// thread does what was posted, sooner than another would have woken.
    pub fn deliver(&self) {
        if self.take_sleep() && !self.owner.stand_in() {
            self.owner.wake();
        }
    }

    /// Whether the owner sleeps, and it is the caller's to wake it.
    fn take_sleep(&self) -> bool {
        // Either the owner's last look finds the post, or this finds the owner asleep.
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel)
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
