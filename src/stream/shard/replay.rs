//! Rows that are behind their rings: what they need is read back, a piece at a time, and
//! nobody waits for them meanwhile.

use std::sync::Arc;

use super::Shard;
use super::delivery::RowSent;
use super::table::{BLOCKED, CONSOLIDATED, ENDING, READING};
use crate::event::frame;
use crate::event::job::{EventId, JobId};
use crate::event::resume::ResetReason;
use crate::hub::Job;
use crate::sequencer::history::{Cursor, Replay, ReplayRequest, What};
use crate::stream::consolidated::{Consolidated, Since, history};
use crate::stream::paced::newest_of;

/// A row that is read for, or was until it couldn't take more.
#[derive(Default)]
pub(super) struct RowReading {
    ticket: u64,
    cursor: Option<Cursor>,
    /// So many jobs had been forgotten before it was found that it is to be had.
    forgettings: u64,
}

impl Shard {
    /// Has a job's events between `after` and `upto`, the number before its ring's oldest,
    /// read for a row. False where they aren't to be had.
    pub(super) fn read_job(
        &mut self,
        row: u32,
        job: &Arc<Job>,
        after: EventId,
        upto: EventId,
    ) -> bool {
        let Some(kept) = history(&self.sequencer, job, after).filter(|&kept| kept < upto) else {
            return false;
        };
        if after < kept {
            self.say_expired(row, job, after, kept);
        }
        let what = What::Job {
            job: job.id().clone(),
            after: after.max(kept),
            upto,
        };
        let is_paced = self.upto(self.table[row].place).is_some();
        self.request(row, what, 0, is_paced);
        true
    }

    /// Has events up to `upto` read for a consolidated row.
    pub(super) fn read_many(
        &mut self,
        row: u32,
        stream: &Consolidated,
        upto: EventId,
        since: Since,
    ) {
        let what = What::Many {
            jobs: stream.selection.jobs(),
            after: EventId(self.table[row].after),
            upto,
            kept_from: since.kept_from,
        };
        self.request(row, what, since.forgettings, stream.is_paced());
    }

    /// What a row is behind by has been sent, or nobody needs it.
    pub(super) fn forget_reading(&mut self, row: u32) {
        self.reading.remove(&row);
    }

    /// Sends a piece to the row that it was read for.
    pub(super) fn serve_replay(&mut self, mut replay: Replay) {
        let row = replay.row;
        let reading = self.reading.get(&row);
        if reading.is_none_or(|reading| reading.ticket != replay.ticket) {
            return;
        }
        let Some(there) = self.table.get(row) else {
            return;
        };
        there.flags &= !READING;
        if there.flags & BLOCKED != 0 {
            // A comment went before it. It is read again when there is room.
            return;
        }
        let (after, slot) = (there.after, there.place);
        let is_consolidated = there.flags & CONSOLIDATED != 0;
        // What was deleted meanwhile is in it, and nobody is to see that any more; what was
        // forgotten isn't, which the stream has to say first.
        let is_current = self.sequencer.order().is_current(&replay.sources);
        let is_outdated = !is_current || self.has_missed(row, EventId(after));
        if is_outdated && let Some(reading) = self.reading.get_mut(&row) {
            reading.cursor = None;
            self.queue_row(row);
            return;
        }
        std::mem::swap(&mut self.batch, &mut replay.batch);
        if self.batch.after > after && !is_consolidated {
            let job = self.jobs[slot as usize].as_ref().map(|f| f.job.clone());
            if let Some(job) = job {
                self.say_expired(row, &job, EventId(after), EventId(self.batch.after));
            }
        }
        let has_ended = !is_consolidated && self.batch.is_end;
        if has_ended {
            self.batch.add_last_chunk();
        }
        let sent = self.send(row, 0, has_ended);
        std::mem::swap(&mut self.batch, &mut replay.batch);
        if let Some(there) = self.table.get(row) {
            if sent == RowSent::All {
                there.after = there.after.max(replay.reached);
            }
            let cursor = replay.cursor_after(there.after);
            if let Some(reading) = self.reading.get_mut(&row) {
                reading.cursor = cursor;
            }
            if sent == RowSent::All {
                self.queue_row(row);
            }
        }
    }

    /// Whether a job of a consolidated row was forgotten since a piece was asked for that
    /// would have been in it.
    fn has_missed(&self, row: u32, after: EventId) -> bool {
        let (there, reading) = (&self.table[row], &self.reading[&row]);
        if there.flags & CONSOLIDATED == 0 {
            return false;
        }
        let Some(Some(stream)) = self.streams.places.get(there.place as usize) else {
            return false;
        };
        let is_followed = |job: &JobId| stream.selection.follows(job);
        self.hub
            .has_forgotten(reading.forgettings, after, is_followed)
    }

    fn request(&mut self, row: u32, what: What, forgettings: u64, is_paced: bool) {
        // The head, or a reset, goes before what may take a while.
        self.batch.clear();
        self.batch.after = self.table[row].after;
        if self.send(row, 0, false) != RowSent::All {
            return;
        }
        if self.table[row].flags & ENDING != 0 {
            // It isn't kept from ending by all that there is to read.
            self.end_with_retry(row);
            return;
        }
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let reading = self.reading.entry(row).or_default();
        reading.ticket = ticket;
        reading.forgettings = forgettings;
        self.table[row].flags |= READING;
        self.sequencer.order().read(ReplayRequest {
            row,
            ticket,
            what,
            cursor: reading.cursor,
            newest: is_paced.then(|| newest_of(&self.hub)),
            reply: self.pieces.0.clone(),
            mailbox: self.mailbox.clone(),
        });
    }

    pub(super) fn say_expired(&mut self, row: u32, job: &Job, after: EventId, id: EventId) {
        let mut reset = Vec::new();
        let (reason, last) = (ResetReason::Expired, after.to_string());
        frame::write_reset(&mut reset, job.id().as_str(), reason, &last, id);
        self.hub.metrics().resets_sent.add(1);
        self.add_leftover(row, &reset);
        self.table[row].after = id.0;
    }
}
