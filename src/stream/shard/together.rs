//! A job's news to many of its rows, sent with one system call.

use std::io;
use std::sync::Once;

use super::Shard;
use super::delivery::RowSent;
use super::table::{HAS_LEFTOVER, PLAIN};
use crate::sys::raw::SendRing;

/// Sends that go together at most.
const SENDS_MAX: usize = 64;
/// With fewer, a call for each costs no more.
const SENDS_MIN: usize = 4;

/// What goes together.
pub(super) struct Together {
    ring: SendRing,
    /// Rows, and where in the batch the news of each begins.
    rows: Vec<(u32, usize)>,
    taken: Vec<Option<io::Result<usize>>>,
}

impl Together {
    /// None, with a line in the log, where the kernel doesn't do it.
    pub fn new() -> Option<Together> {
        match SendRing::new(SENDS_MAX as u32) {
            Ok(ring) => Some(Together {
                ring,
                rows: Vec::new(),
                taken: Vec::new(),
            }),
            Err(error) => {
                static SAID: Once = Once::new();
                SAID.call_once(|| {
                    warn!("io_uring can't be used here, each frame is sent by itself: {error}");
                });
                None
            }
        }
    }
}

impl Shard {
    /// Puts a row to those that are sent the batch together. False where it has to be sent to
    /// by itself.
    pub(super) fn gather(&mut self, row: u32, offset: usize, has_ended: bool) -> bool {
        let Some(together) = &mut self.together else {
            return false;
        };
        let there = &self.table[row];
        if there.socket.is_none() || there.flags & (HAS_LEFTOVER | PLAIN) != 0 {
            return false;
        }
        together.rows.push((row, offset));
        if together.rows.len() == SENDS_MAX {
            self.send_gathered(has_ended);
        }
        true
    }

    /// Sends what was gathered of the batch.
    pub(super) fn send_gathered(&mut self, has_ended: bool) {
        let Some(mut together) = self.together.take() else {
            return;
        };
        let mut is_usable = true;
        together.taken.clear();
        if together.rows.len() >= SENDS_MIN {
            let sends = together.rows.iter().filter_map(|&(row, offset)| {
                let socket = self.table[row].socket.as_ref()?;
                Some((socket, &self.batch.bytes[offset..]))
            });
            if let Err(error) = together.ring.send(sends, &mut together.taken) {
                warn!("io_uring is of no use any more, each frame is sent by itself: {error}");
                is_usable = false;
            }
        }
        together.taken.resize_with(together.rows.len(), || None);
        for ((row, offset), taken) in together.rows.drain(..).zip(together.taken.drain(..)) {
            let sent = match taken {
                Some(taken) => self.settle(row, offset, has_ended, taken, 0),
                None => self.send(row, offset, has_ended),
            };
            if sent == RowSent::All {
                self.queue_rest(row);
            }
        }
        self.together = is_usable.then_some(together);
    }
}
