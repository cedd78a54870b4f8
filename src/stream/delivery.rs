//! What rows are sent: a job's news to all of its rows, or a row by itself, with what is
//! left over where a socket takes less than it is given.

use std::io;
use std::time::Instant;

use super::Shard;
use super::table::{BLOCKED, CLOSING, CONSOLIDATED, ENDING, HAS_LEFTOVER, NONE, QUEUED, READING};
use crate::event::frame;
use crate::sys::metrics::Close;

/// The most bytes read out of a ring at a time: what one send may carry.
pub(super) const BATCH_MAX_BYTES: usize = 128 * 1024;

/// What a row has yet to be sent before anything else.
pub(super) struct Leftover {
    pub bytes: Vec<u8>,
    pub sent: usize,
    /// When the socket last took something.
    pub since: Instant,
}

/// How sending to a row went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    All,
    Blocked,
    Closed,
}

impl Shard {
    /// Sends a job's news to its rows, as far as the slice goes.
    pub(super) fn serve_job(&mut self, slot: u32, sends: &mut usize) {
        let Some(Some(followed)) = self.jobs.get_mut(slot as usize) else {
            return;
        };
        followed.queued = false;
        let job = followed.job.clone();
        let is_resumed = followed.walk != NONE;
        let mut row = if is_resumed {
            followed.walk
        } else {
            followed.head
        };
        followed.walk = NONE;
        while row != NONE && self.table[row].flags & (BLOCKED | QUEUED | READING) != 0 {
            row = self.table[row].next;
        }
        let has_ended = {
            let mut core = job.lock();
            // From here on the shard hears of newer news. A walk that goes on in the
            // middle reads it too, but not for the rows that it has passed.
            if !is_resumed {
                core.mark_clean(self.number);
            }
            match row {
                NONE => {
                    self.batch.clear();
                    false
                }
                _ => core.copy_after(self.table[row].after, BATCH_MAX_BYTES, &mut self.batch),
            }
        };
        for index in 0..self.jobs[slot as usize]
            .as_ref()
            .map_or(0, |f| f.consolidated.len())
        {
            let row = self.jobs[slot as usize]
                .as_ref()
                .map(|f| f.consolidated[index]);
            row.into_iter().for_each(|row| self.queue_row(row));
        }
        while row != NONE {
            let next = self.table[row].next;
            if self.table[row].flags & (BLOCKED | QUEUED | READING) == 0 {
                if *sends == 0 {
                    if let Some(Some(followed)) = self.jobs.get_mut(slot as usize) {
                        followed.walk = row;
                    }
                    self.queue_job(slot);
                    return;
                }
                match self.batch.offset_after(self.table[row].after) {
                    // It is further behind than the batch: it needs one of its own.
                    None => self.queue_row(row),
                    Some(offset) if offset == self.batch.bytes.len() && !has_ended => {
                        self.queue_rest(row);
                    }
                    Some(offset) => {
                        *sends -= 1;
                        if self.send(row, offset, has_ended) == Sent::All {
                            self.queue_rest(row);
                        }
                    }
                }
            }
            row = next;
        }
        if let Some(Some(followed)) = self.jobs.get_mut(slot as usize)
            && std::mem::take(&mut followed.again)
        {
            self.queue_job(slot);
        }
    }

    /// Sees to it that a row gets what didn't fit in the batch.
    pub(super) fn queue_rest(&mut self, row: u32) {
        if self.batch.cut_short {
            self.queue_row(row);
        }
    }

    /// Serves a row by itself.
    pub(super) fn serve_behind(&mut self, row: u32) {
        self.leave_waiting(row);
        let Some(there) = self.table.get(row) else {
            return;
        };
        there.flags &= !QUEUED;
        if there.flags & (BLOCKED | READING) != 0 {
            return;
        }
        if there.flags & CLOSING != 0 {
            self.batch.clear();
            self.send(row, 0, true);
            return;
        }
        if there.flags & CONSOLIDATED != 0 {
            self.serve_consolidated(row);
            return;
        }
        let (after, slot) = (there.after, there.place);
        let Some(Some(followed)) = self.jobs.get(slot as usize) else {
            return;
        };
        let job = followed.job.clone();
        let has_ended = job
            .lock()
            .copy_after(after, BATCH_MAX_BYTES, &mut self.batch);
        if self.batch.after > after {
            let oldest = self.batch.after;
            if self.read_job(row, &job, after, oldest) {
                return;
            }
            self.say_expired(row, &job, after, oldest);
        }
        self.forget_reading(row);
        if self.send(row, 0, has_ended) == Sent::All {
            if self.batch.cut_short {
                self.queue_row(row);
            } else if self.table[row].flags & ENDING != 0 {
                self.end_with_retry(row);
            }
        }
    }

    /// Ends a stream of which nothing is pending.
    pub(super) fn end_with_retry(&mut self, row: u32) {
        let mut line = Vec::new();
        frame::write_retry(&mut line, self.random.jitter(self.config.retry));
        self.add_leftover(row, &line);
        self.table[row].flags |= CLOSING;
        self.batch.clear();
        self.send(row, 0, true);
    }

    pub(super) fn add_leftover(&mut self, row: u32, bytes: &[u8]) {
        self.table[row].flags |= HAS_LEFTOVER;
        self.leftover_bytes += bytes.len();
        let since = self.now;
        let leftover = self.leftovers.entry(row);
        let leftover = leftover.or_insert(Leftover {
            bytes: Vec::new(),
            sent: 0,
            since,
        });
        leftover.bytes.extend_from_slice(bytes);
    }

    /// Sends what a row has left over, and the batch from `offset` on. The row is closed
    /// where its stream `has_ended` with that.
    pub(super) fn send(&mut self, row: u32, offset: usize, has_ended: bool) -> Sent {
        let news = &self.batch.bytes[offset..];
        let Some(there) = self.table.get(row) else {
            return Sent::Closed;
        };
        let Some(socket) = &there.socket else {
            return Sent::Closed;
        };
        self.sends += 1;
        let (taken, left_bytes) = if there.flags & HAS_LEFTOVER != 0 {
            let leftover = &self.leftovers[&row];
            let left = &leftover.bytes[leftover.sent..];
            match (left.is_empty(), news.is_empty()) {
                (true, true) => (Ok(0), 0),
                (true, false) => (socket.send(news), 0),
                (false, true) => (socket.send(left), left.len()),
                (false, false) => (socket.send_both(left, news), left.len()),
            }
        } else if news.is_empty() {
            (Ok(0), 0)
        } else {
            (socket.send(news), 0)
        };
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.close(row, Close::ClientGone);
                return Sent::Closed;
            }
        };
        self.bytes_sent += taken as u64;
        if taken > 0 {
            there.age = 0;
        }
        if taken < left_bytes {
            if let Some(leftover) = self.leftovers.get_mut(&row) {
                leftover.sent += taken;
                if taken > 0 {
                    leftover.since = self.now;
                }
            }
            self.block(row);
            return Sent::Blocked;
        }
        let end = offset + taken - left_bytes;
        self.frames_sent += self.batch.frames_between(offset, end) as u64;
        if end == self.batch.bytes.len() {
            let newest = self.batch.newest();
            there.after = there.after.max(newest);
            let flags = there.flags;
            there.flags &= !HAS_LEFTOVER;
            if flags & HAS_LEFTOVER != 0 {
                self.forget_leftover(row);
            }
            if has_ended {
                let why = match flags & CLOSING {
                    0 => Close::Ended,
                    _ if self.drain.is_some() => Close::Drained,
                    _ => Close::Aged,
                };
                self.close(row, why);
                return Sent::Closed;
            }
            return Sent::All;
        }
        self.keep_rest(row, offset, end)
    }

    /// The socket took the batch from `offset` to `end` and no more: what is left of a
    /// frame is kept, and what follows it is still in the ring.
    pub(super) fn keep_rest(&mut self, row: u32, offset: usize, end: usize) -> Sent {
        let started = self
            .batch
            .ends
            .partition_point(|&(_, frame_end)| frame_end <= end);
        let frame_start = started
            .checked_sub(1)
            .map_or(0, |last| self.batch.ends[last].1);
        if frame_start > offset || (frame_start == offset && started > 0) {
            let complete = self.batch.ends[started - 1].0;
            self.table[row].after = self.table[row].after.max(complete);
        }
        self.forget_leftover(row);
        let mut bytes = Vec::new();
        if end > frame_start {
            let (id, frame_end) = self.batch.ends[started];
            bytes.extend_from_slice(&self.batch.bytes[end..frame_end]);
            self.table[row].after = id;
        }
        if self.leftover_bytes + bytes.len() > self.config.leftover_bytes {
            self.close(row, Close::Stalled);
            return Sent::Closed;
        }
        self.leftover_bytes += bytes.len();
        self.table[row].flags |= HAS_LEFTOVER;
        self.leftovers.insert(
            row,
            Leftover {
                bytes,
                sent: 0,
                since: self.now,
            },
        );
        self.block(row);
        Sent::Blocked
    }

    pub(super) fn block(&mut self, row: u32) {
        self.table[row].flags |= BLOCKED;
    }

    pub(super) fn forget_leftover(&mut self, row: u32) {
        if let Some(leftover) = self.leftovers.remove(&row) {
            self.leftover_bytes -= leftover.bytes.len();
        }
    }
}
