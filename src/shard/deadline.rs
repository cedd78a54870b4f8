//! Streams that end with their tokens. A row has its own deadline, and the shard knows the
//! earliest: only when that has come is the table gone through, once a second at most.

use std::time::{Duration, SystemTime};

use super::table::NONE;
use super::{SLICE_SENDS, Shard};
use crate::metrics::Close;

impl Shard {
    /// Has a row end when the unix clock comes to the second `ends_at`.
    pub(super) fn set_deadline(&mut self, row: u32, ends_at: u64) {
        let deadline = self.deadline(ends_at);
        self.table[row].deadline = deadline;
        self.next_deadline = self.next_deadline.min(deadline);
    }

    /// Ends streams whose tokens have ended, as many as a slice has sends. What is there
    /// for them goes out before, as far as it is taken.
    pub(super) fn end_expired(&mut self) {
        let now = self.seconds();
        if self.next_deadline == NONE || self.next_deadline > now {
            return;
        }
        let mut ends = SLICE_SENDS;
        let mut next = NONE;
        for row in 0..self.table.end() {
            let Some(there) = self.table.get(row) else {
                continue;
            };
            let deadline = there.deadline;
            if deadline <= now && ends > 0 {
                ends -= 1;
                self.serve_behind(row);
                self.close(row, Close::TokenExpired);
            } else {
                next = next.min(deadline);
            }
        }
        self.next_deadline = next;
    }

    /// How long until the earliest deadline. None where no row has one.
    pub(super) fn until_deadline(&self) -> Option<Duration> {
        (self.next_deadline != NONE).then(|| {
            let deadline = self.began + Duration::from_secs(self.next_deadline.into());
            deadline.saturating_duration_since(self.now)
        })
    }

    /// Whole seconds since the shard began.
    fn seconds(&self) -> u32 {
        (self.now - self.began).as_secs() as u32
    }

    /// The first whole second of the shard at which the unix clock has come to `ends_at`,
    /// as both clocks stand now. So a stream ends up to a second late, and never early.
    fn deadline(&self, ends_at: u64) -> u32 {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(ends_at);
        let left = end.duration_since(SystemTime::now()).unwrap_or_default();
        let end = self.began.elapsed() + left;
        let seconds = end.as_secs() + u64::from(end.subsec_nanos() > 0);
        seconds.min(u64::from(NONE - 1)) as u32
    }
}
