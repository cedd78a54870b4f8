//! Streams that have had what is lost: they end, and their clients come back with a number
//! that is answered with `reset`.

use super::Shard;
use super::table::{BLOCKED, ENDING, HAS_LEFTOVER};
use crate::sys::metrics::Close;

impl Shard {
    /// Ends the streams whose numbers are lost. They get nothing else before that.
    pub(super) fn see_to_losses(&mut self) {
        let losses = self.hub.losses();
        if losses == self.losses {
            return;
        }
        self.losses = losses;
        for row in 0..self.table.end() {
            let Some(there) = self.table.get(row) else {
                continue;
            };
            let (after, flags) = (there.after, there.flags);
            if !self.hub.is_lost(after) {
                continue;
            }
            self.leave_waiting(row);
            self.forget_reading(row);
            if flags & (BLOCKED | HAS_LEFTOVER) == 0 {
                self.end_with_retry(row);
            }
            // One whose socket takes nothing now is cut off.
            self.close(row, Close::Lost);
        }
        self.hub.see_to_losses(self.number);
    }

    /// Has a stream that has just come end where its number was lost on its way.
    pub(super) fn end_if_lost(&mut self, row: u32) {
        if self.losses > 0 && self.hub.is_lost(self.table[row].after) {
            self.table[row].flags |= ENDING;
        }
    }
}
