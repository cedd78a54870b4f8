//! What the kernel holds of streams that their clients haven't taken: a budget for all of them
//! together.
//!
//! A stream begins with a small buffer. One that has filled it, and then takes something, is
//! shown to read: it gets a large one, as long as the budget has room for that, and gives it back
//! when it has been idle for a while. One that reads nothing stays small.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a stream begins with, in bytes. Linux doubles it.
const SMALL_BYTES: usize = 16 * 1024;
/// What the kernel takes beyond a full buffer, since it fills its last segment: half of what a
/// client has room for, as measured on loopback.
const SEGMENT_BYTES: usize = 16 * 1024;

/// The budget. Clones share it.
#[derive(Clone, Debug)]
pub struct SendMemory(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    most: usize,
    small: usize,
    large: usize,
    used: AtomicUsize,
}

impl SendMemory {
    /// A budget of so many bytes, for streams whose buffers have `buffer_bytes` at most.
    pub fn new(most: usize, buffer_bytes: usize) -> SendMemory {
        SendMemory(Arc::new(Budget {
            most,
            small: buffer_bytes.min(SMALL_BYTES),
            large: buffer_bytes,
            used: AtomicUsize::new(0),
        }))
    }

    /// The size of a small buffer, in bytes, as the kernel is asked for it. None where there is
    /// but one size.
    pub fn small(&self) -> Option<usize> {
        (self.0.small < self.0.large).then_some(self.0.small)
    }

    /// The size of a large buffer, in bytes.
    pub fn large(&self) -> usize {
        self.0.large
    }

    /// What a full buffer may hold, in bytes.
    pub fn held_by(&self, is_large: bool) -> usize {
        let asked = if is_large { self.0.large } else { self.0.small };
        2 * asked + SEGMENT_BYTES
    }

    /// Counts a small buffer that is full.
    pub fn hold_small(&self) {
        self.0.used.fetch_add(self.held_by(false), Ordering::AcqRel);
    }

    /// Counts a large buffer, full or not, where there is room for it.
    pub fn hold_large(&self) -> bool {
        let more = self.held_by(true);
        let with = |used: usize| Some(used + more).filter(|&used| used <= self.0.most);
        let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
        self.0.used.fetch_update(set, fetch, with).is_ok()
    }

    /// One that was counted holds nothing any more.
    pub fn let_go(&self, is_large: bool) {
        let less = self.held_by(is_large);
        self.0.used.fetch_sub(less, Ordering::AcqRel);
    }

    /// Whether more is held than may be.
    pub fn is_over(&self) -> bool {
        self.0.used.load(Ordering::Acquire) > self.0.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_buffers_are_given_while_there_is_room_and_small_ones_always() {
        let memory = SendMemory::new(1 << 20, 128 * 1024);
        let given = (0..10).filter(|_| memory.hold_large()).count();
        assert_eq!(given, 3);
        assert!(!memory.is_over());
        (0..6).for_each(|_| memory.hold_small());
        assert!(memory.is_over());
        memory.let_go(true);
        assert!(!memory.is_over() && !memory.hold_large());
        (0..6).for_each(|_| memory.let_go(false));
        assert!(memory.hold_large());
    }

    #[test]
    fn a_buffer_that_is_to_be_small_anyway_has_one_size() {
        assert_eq!(SendMemory::new(1 << 20, 8 * 1024).small(), None);
        assert_eq!(
            SendMemory::new(1 << 20, 128 * 1024).small(),
            Some(16 * 1024)
        );
    }
}
