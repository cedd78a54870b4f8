//! How large the kernel's buffers of rows are, and what they hold.

use std::time::Duration;

use super::Shard;
use super::table::{BLOCKED, HAS_LEFTOVER, LARGE};
use crate::sys::limit::Limit;
use crate::sys::metrics::Close;

/// What a stream may take nothing for while more is held than may be. It is enough for one that
/// was only overtaken by a burst.
const PATIENCE: Duration = Duration::from_secs(1);
/// Quarters of a heartbeat after which a row counts as idle.
const IDLE_PARTS: u8 = 2;

impl Shard {
    /// The socket has taken less than it was given: nothing is sent until it has room.
    pub(super) fn block(&mut self, row: u32) {
        let there = &mut self.table[row];
        if there.flags & (BLOCKED | LARGE) == 0 {
            self.counted.send_memory.hold_small();
            self.tell_held(1, false);
        }
        self.table[row].flags |= BLOCKED;
    }

    /// The socket has room again: whoever reads gets a large buffer, where there is room for
    /// that.
    pub(super) fn unblock(&mut self, row: u32) {
        let there = &mut self.table[row];
        let flags = there.flags;
        there.flags &= !BLOCKED;
        if flags & (BLOCKED | LARGE) != BLOCKED {
            return;
        }
        self.counted.send_memory.let_go(false);
        self.tell_held(-1, false);
        if self.counted.send_memory.small().is_none() || !self.counted.send_memory.hold_large() {
            return;
        }
        let large = self.counted.send_memory.large();
        let there = &mut self.table[row];
        let socket = there.socket.as_ref();
        if socket.is_some_and(|socket| socket.set_send_buffer(large).is_ok()) {
            there.flags |= LARGE;
            self.tell_held(1, true);
        } else {
            self.counted.send_memory.let_go(true);
        }
    }

    /// A row goes, or has nothing to say: its buffer is small again.
    pub(super) fn give_buffer_back(&mut self, row: u32) {
        let there = &mut self.table[row];
        let flags = there.flags;
        there.flags &= !(BLOCKED | LARGE);
        let is_large = flags & LARGE != 0;
        if flags & (BLOCKED | LARGE) != 0 {
            self.counted.send_memory.let_go(is_large);
            self.tell_held(-1, is_large);
        }
    }

    /// Looks whether a row has a buffer that it doesn't need, or that nobody has room for. It may
    /// be closed.
    pub(super) fn look_at_buffer(&mut self, row: u32) {
        let is_over = self.counted.send_memory.is_over();
        let there = &self.table[row];
        if there.flags & HAS_LEFTOVER == 0 {
            if there.flags & LARGE != 0 && (is_over || there.age >= IDLE_PARTS) {
                self.make_small(row);
            }
            return;
        }
        let waits = |since| self.now - since >= PATIENCE;
        if is_over && self.leftovers.get(row).is_some_and(|it| waits(it.since)) {
            self.hub.metrics().refused(Limit::SendMemory);
            self.close(row, Close::Stalled);
        }
    }

    /// A row has a small buffer from now on. What a large one holds stays until it is taken.
    pub(super) fn make_small(&mut self, row: u32) {
        self.give_buffer_back(row);
        let small = self.counted.send_memory.small();
        if let (Some(small), Some(socket)) = (small, &self.table[row].socket)
            && let Err(error) = socket.set_send_buffer(small)
        {
            debug!("shard {}: a buffer stays as it is: {error}", self.number);
        }
    }

    fn tell_held(&self, count: i64, is_large: bool) {
        let bytes = self.counted.send_memory.held_by(is_large) as i64;
        self.hub.metrics().send_memory.add(count * bytes);
    }
}
