//! The walk that finds rows which are idle or stalled.

use std::io;
use std::time::Duration;

use super::Shard;
use super::table::{HAS_LEFTOVER, PLAIN};
use crate::event::frame;
use crate::sys::metrics::Close;

/// Parts of a heartbeat: an idle row is looked at so often in one.
pub(super) const HEARTBEAT_PARTS: u32 = 4;
/// Steps in which the table is gone through in one part.
const PART_STEPS: u32 = 16;

impl Shard {
    /// Looks at the next part of the table, for rows that are idle or stalled. In a
    /// quarter of a heartbeat every row is looked at once.
    pub(super) fn step(&mut self) {
        let part = self.config.heartbeat / HEARTBEAT_PARTS;
        self.next_step = self.now + (part / PART_STEPS).max(Duration::from_millis(1));
        let end = u64::from(self.table.end());
        let (step, steps) = (u64::from(self.next_part), u64::from(PART_STEPS));
        for row in end * step / steps..end * (step + 1) / steps {
            self.look_at(row as u32);
        }
        self.next_part = (self.next_part + 1) % PART_STEPS;
        self.count();
    }

    pub(super) fn look_at(&mut self, row: u32) {
        let Some(there) = self.table.get(row) else {
            return;
        };
        there.age += u8::from(there.flags & HAS_LEFTOVER == 0);
        self.look_at_buffer(row);
        let Some(there) = self.table.get(row) else {
            return;
        };
        if there.flags & HAS_LEFTOVER != 0 {
            let stall = self.config.stall;
            if self
                .leftovers
                .get(row)
                .is_some_and(|left| self.now - left.since >= stall)
            {
                self.close(row, Close::Stalled);
            }
            return;
        }
        if u32::from(there.age) < HEARTBEAT_PARTS {
            return;
        }
        there.age = 0;
        let Some(socket) = &there.socket else { return };
        let comment = if there.flags & PLAIN == 0 {
            frame::HEARTBEAT
        } else {
            frame::PLAIN_HEARTBEAT
        };
        match socket.send(comment) {
            Ok(taken) => {
                self.hub.metrics().heartbeats_sent.add(1);
                if taken < comment.len() {
                    self.add_leftover_bytes(row, &comment[taken..]);
                    self.block(row);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // An idle stream whose buffer is full: it has stalled from here on.
                self.add_leftover_bytes(row, comment);
                self.block(row);
            }
            Err(_) => self.close(row, Close::ClientGone),
        }
    }

    /// How long to sleep. For ever where nobody is parked.
    pub(super) fn until_next_step(&self) -> Option<Duration> {
        let step = self.next_step.saturating_duration_since(self.now);
        let waits = [
            self.until_deadline(),
            self.until_drain(),
            self.admission.until_next(),
            self.rests.until_next(self.now),
        ];
        let next = waits.into_iter().flatten().fold(step, Duration::min);
        (self.table.len() > 0).then_some(next)
    }
}
