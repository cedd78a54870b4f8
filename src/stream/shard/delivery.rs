//! What rows are sent: a job's news to all of its rows, or a row by itself, with what is
//! left over where a socket takes less than it is given.

use std::io;

use super::table::{
    BLOCKED, CLOSING, CONSOLIDATED, ENDED, ENDING, HAS_LEFTOVER, NONE, PLAIN, QUEUED, READING,
};
use super::{Shard, ShardConfig};
use crate::event::frame;
use crate::event::job::EventId;
use crate::event::ring::Batch;
use crate::hub::Core;
use crate::stream::BATCH_MAX_BYTES;
use crate::sys::metrics::Close;

/// How sending to a row went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RowSent {
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
        let upto = followed.strand.as_ref().map(|strand| strand.upto);
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
            if !is_resumed && upto.is_none() {
                core.mark_clean(self.number);
            }
            match row {
                NONE => {
                    self.batch.clear();
                    false
                }
                _ => copy(&core, self.table[row].after, upto, &mut self.batch),
            }
        };
        if has_ended {
            self.batch.add_last_chunk();
        }
        for index in 0..self.jobs[slot as usize]
            .as_ref()
            .map_or(0, |f| f.consolidated.len())
        {
            if let Some(followed) = &self.jobs[slot as usize] {
                self.tell_row(followed.consolidated[index]);
            }
        }
        self.tell_strands(slot);
        while row != NONE {
            let next = self.table[row].next;
            if self.table[row].flags & (BLOCKED | QUEUED | READING) == 0 {
                if *sends == 0 {
                    if let Some(Some(followed)) = self.jobs.get_mut(slot as usize) {
                        followed.walk = row;
                    }
                    self.queue_job(slot);
                    break;
                }
                self.send_news(row, has_ended, sends);
            }
            row = next;
        }
        self.send_gathered(has_ended);
        if row != NONE {
            return;
        }
        if let Some(Some(followed)) = self.jobs.get_mut(slot as usize)
            && std::mem::take(&mut followed.again)
        {
            self.queue_job(slot);
        }
        // Its life may have ended while a strand was walked.
        self.tell_strand(slot);
    }

    /// Sends a row what it hasn't of the batch that was read for all of a job's.
    fn send_news(&mut self, row: u32, has_ended: bool, sends: &mut usize) {
        match self.batch.offset_after(self.table[row].after) {
            // It is further behind than the batch: it needs one of its own.
            None => self.queue_row(row),
            // It has all of the batch; behind the end of a life another may follow.
            Some(offset) if offset == self.batch.frames_end() && self.batch.is_end => {
                self.queue_row(row);
            }
            Some(offset) if offset == self.batch.frames_end() && !has_ended => {
                self.queue_rest(row);
            }
            Some(offset) => {
                *sends -= 1;
                if !self.gather(row, offset, has_ended)
                    && self.send(row, offset, has_ended) == RowSent::All
                {
                    self.queue_rest(row);
                }
            }
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
        let there_ends = there.flags & ENDING != 0;
        let Some(Some(followed)) = self.jobs.get(slot as usize) else {
            return;
        };
        let job = followed.job.clone();
        let upto = self
            .upto(slot)
            .map(|upto| if there_ends { EventId::MAX } else { upto });
        let has_ended = copy(&job.lock(), after, upto, &mut self.batch);
        if self.batch.after > after {
            let (after, oldest) = (EventId(after), EventId(self.batch.after));
            if self.read_job(row, &job, after, oldest) {
                return;
            }
            self.say_expired(row, &job, after, oldest);
        }
        self.forget_reading(row);
        if has_ended {
            self.batch.add_last_chunk();
        }
        if self.send(row, 0, has_ended) == RowSent::All {
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
        line.extend_from_slice(frame::LAST_CHUNK);
        self.add_leftover(row, &line);
        self.table[row].flags |= CLOSING;
        self.batch.clear();
        self.send(row, 0, true);
    }

    /// Adds whole chunks to what a row is sent before anything else.
    pub(super) fn add_leftover(&mut self, row: u32, chunks: &[u8]) {
        if self.table[row].flags & PLAIN == 0 {
            self.add_leftover_bytes(row, chunks);
        } else {
            let mut plain = Vec::new();
            frame::unchunk(chunks, &mut plain);
            self.add_leftover_bytes(row, &plain);
        }
    }

    pub(super) fn add_leftover_bytes(&mut self, row: u32, bytes: &[u8]) {
        self.table[row].flags |= HAS_LEFTOVER;
        let address = self.table.address(row);
        self.leftovers.add(row, address, bytes, self.now);
    }

    /// Whether a row may have so many bytes more; it is closed where it may not.
    fn may_leave(&mut self, row: u32, more: usize) -> bool {
        let address = self.table.address(row);
        let ShardConfig {
            leftover_bytes,
            leftover_bytes_per_address,
            ..
        } = self.config;
        let limit = self
            .leftovers
            .limit(address, more, leftover_bytes, leftover_bytes_per_address);
        if let Some(limit) = limit {
            self.hub.metrics().refused(limit);
            self.close(row, Close::Stalled);
        }
        limit.is_none()
    }

    /// Sends what a row has left over, and the batch from `offset` on. The row is closed
    /// where its stream `has_ended` with that.
    pub(super) fn send(&mut self, row: u32, offset: usize, has_ended: bool) -> RowSent {
        let is_plain = |flags| flags & PLAIN != 0 && !self.batch.bytes.is_empty();
        if !self
            .table
            .get(row)
            .is_some_and(|there| is_plain(there.flags))
        {
            return self.send_batch(row, offset, has_ended);
        }
        let mut plain = std::mem::take(&mut self.plain);
        plain.unchunk(&self.batch);
        let before = self.batch.frames_between(0, offset);
        let offset = before.checked_sub(1).map_or(0, |last| plain.ends[last].1);
        let chunks = std::mem::replace(&mut self.batch, plain);
        let sent = self.send_batch(row, offset, has_ended);
        self.plain = std::mem::replace(&mut self.batch, chunks);
        sent
    }

    fn send_batch(&mut self, row: u32, offset: usize, has_ended: bool) -> RowSent {
        let news = &self.batch.bytes[offset..];
        let Some(there) = self.table.get(row) else {
            return RowSent::Closed;
        };
        let Some(socket) = &there.socket else {
            return RowSent::Closed;
        };
        let (taken, left_bytes) = if there.flags & HAS_LEFTOVER != 0 {
            let leftover = self.leftovers.get(row);
            let left = leftover.map_or(&[][..], |it| &it.bytes[it.sent..]);
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
        self.settle(row, offset, has_ended, taken, left_bytes)
    }

    /// Takes note of what a row's socket took of the `left_bytes` that it had left over and of
    /// the batch from `offset` on.
    pub(super) fn settle(
        &mut self,
        row: u32,
        offset: usize,
        has_ended: bool,
        taken: io::Result<usize>,
        left_bytes: usize,
    ) -> RowSent {
        self.sends += 1;
        let Some(there) = self.table.get(row) else {
            return RowSent::Closed;
        };
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.close(row, Close::ClientGone);
                return RowSent::Closed;
            }
        };
        self.bytes_sent += taken as u64;
        if taken > 0 {
            there.age = 0;
        }
        if taken < left_bytes {
            if let Some(leftover) = self.leftovers.get_mut(row) {
                leftover.sent += taken;
                if taken > 0 {
                    leftover.since = self.now;
                }
            }
            if !self.may_leave(row, 0) {
                return RowSent::Closed;
            }
            self.block(row);
            return RowSent::Blocked;
        }
        let end = offset + taken - left_bytes;
        self.frames_sent += self.batch.frames_between(offset, end) as u64;
        if end < self.batch.bytes.len() {
            return self.keep_rest(row, offset, end, has_ended);
        }
        let newest = self.batch.newest();
        there.after = there.after.max(newest);
        let flags = there.flags;
        there.flags &= !HAS_LEFTOVER;
        if flags & HAS_LEFTOVER != 0 {
            self.forget_leftover(row);
        }
        if !has_ended {
            return RowSent::All;
        }
        let why = match flags & (CLOSING | ENDED) {
            CLOSING if self.drain.is_some() => Close::Drained,
            CLOSING => Close::Aged,
            _ => Close::Ended,
        };
        self.close(row, why);
        RowSent::Closed
    }

    /// The socket took the batch from `offset` to `end` and no more: what is left of a
    /// frame is kept, and what follows it is still in the ring.
    fn keep_rest(&mut self, row: u32, offset: usize, end: usize, has_ended: bool) -> RowSent {
        let frames = self.batch.ends.len();
        let ends = &self.batch.ends;
        let started = ends.partition_point(|&(_, frame_end)| frame_end <= end);
        let last = started.checked_sub(1).map(|last| ends[last]);
        let cut = ends.get(started).copied();
        let frame_start = last.map_or(0, |(_, end)| end);
        if let Some((complete, _)) = last.filter(|_| frame_start >= offset) {
            self.table[row].after = self.table[row].after.max(complete);
        }
        self.forget_leftover(row);
        let mut bytes = Vec::new();
        if end > frame_start || started == frames {
            let all = self.batch.bytes.len();
            let (id, frame_end) = cut.unwrap_or((0, all));
            // With its last frame goes what ends the stream.
            let is_last = has_ended && started + 1 >= frames;
            let upto = if is_last { all } else { frame_end };
            bytes.extend_from_slice(&self.batch.bytes[end..upto]);
            let there = &mut self.table[row];
            there.after = there.after.max(id);
            if is_last {
                there.flags |= CLOSING | ENDED;
            }
        }
        if !self.may_leave(row, bytes.len()) {
            return RowSent::Closed;
        }
        self.add_leftover_bytes(row, &bytes);
        self.block(row);
        RowSent::Blocked
    }

    pub(super) fn forget_leftover(&mut self, row: u32) {
        self.leftovers.remove(row);
    }
}

/// Copies what follows `after` for a job's rows, or for those of a strand that get what is
/// numbered up to `upto`. Says whether their streams end with it.
fn copy(core: &Core, after: u64, upto: Option<EventId>, batch: &mut Batch) -> bool {
    match upto {
        None => core.copy_after(after, BATCH_MAX_BYTES, batch),
        Some(upto) => core.copy_newest(after, upto, BATCH_MAX_BYTES, batch),
    }
}
