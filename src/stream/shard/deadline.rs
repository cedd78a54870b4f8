//! Streams that end with their tokens, or of age. A row has its own deadline, and the shard
//! knows the earliest: only when that has come is the table gone through, once a second at
//! most.

use std::num::NonZeroU64;
use std::time::Duration;

use super::table::{AGES, BLOCKED, NONE};
use super::{SLICE_SENDS, Shard};
use crate::sys::clock;
use crate::sys::metrics::Close;

impl Shard {
    /// Has a row end when the unix clock comes to the second `ends_at`, or before that of
    /// age.
    pub(super) fn set_deadlines(&mut self, row: u32, ends_at: Option<NonZeroU64>) {
        let token = ends_at.map_or(NONE, |ends_at| self.deadline(ends_at.get()));
        let age = self.config.max_stream_age.map_or(NONE, |max| {
            let age = self.random.between(max / 2, max);
            whole_seconds(self.age() + age)
        });
        let there = &mut self.table[row];
        there.deadline = token.min(age);
        if age < token {
            there.flags |= AGES;
        }
        self.next_deadline = self.next_deadline.min(token).min(age);
    }

    /// Ends streams whose deadlines have come, as many as a slice has sends. What is there
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
                self.end_at_deadline(row);
            } else {
                next = next.min(deadline);
            }
        }
        self.next_deadline = next;
    }

    fn end_at_deadline(&mut self, row: u32) {
        self.serve_behind(row);
        let Some(there) = self.table.get(row) else {
            return;
        };
        if there.flags & AGES == 0 {
            self.close(row, Close::TokenExpired);
            return;
        }
        if there.flags & BLOCKED == 0 {
            self.end_with_retry(row);
        }
        // It isn't waited for: behind an age there may be a token's end.
        self.close(row, Close::Aged);
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

    /// How long ago the shard began.
    fn age(&self) -> Duration {
        clock::now() - self.began
    }

    /// The first whole second of the shard at which the unix clock has come to `ends_at`,
    /// as both clocks stand now. So a stream ends up to a second late, and never early.
    fn deadline(&self, ends_at: u64) -> u32 {
        let left = Duration::from_secs(ends_at).saturating_sub(clock::since_epoch());
        whole_seconds(self.age() + left)
    }
}

fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    seconds.min(u64::from(NONE - 1)) as u32
}
