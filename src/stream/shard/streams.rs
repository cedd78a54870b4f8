//! The consolidated streams of a shard.

use super::Shard;
use super::delivery::RowSent;
use super::table::{CONSOLIDATED, ENDING, HAS_LEFTOVER, RESTS};
use crate::event::job::EventId;
use crate::stream::consolidated::{Consolidated, Filled, PassFound, Selection};
use crate::sys::socket::Socket;

/// Those streams.
#[derive(Default)]
pub(super) struct ConsolidatedStreams {
    pub places: Vec<Option<Consolidated>>,
    free: Vec<u32>,
    /// Rows that follow whatever job there is.
    all: Vec<u32>,
}

impl Shard {
    pub(super) fn adopt_consolidated(&mut self, socket: Socket, stream: Consolidated) -> u32 {
        let place = self.streams.free.pop().unwrap_or_else(|| {
            self.streams.places.push(None);
            self.streams.places.len() as u32 - 1
        });
        let after = stream.after.0;
        let row = self
            .table
            .insert(socket, place, after, HAS_LEFTOVER | CONSOLIDATED);
        match &stream.selection {
            Selection::Matching { .. } => {
                self.streams.all.push(row);
                self.hub.follow_all(self.number, true);
            }
            Selection::Listed(sources) => {
                let jobs: Vec<_> = sources.iter().map(|source| source.job.clone()).collect();
                for job in jobs {
                    let slot = self.follow(&job);
                    if let Some(Some(followed)) = self.jobs.get_mut(slot as usize) {
                        followed.consolidated.push(row);
                    }
                }
            }
        }
        self.streams.places[place as usize] = Some(stream);
        row
    }

    pub(super) fn leave_consolidated(&mut self, row: u32, place: u32) {
        let Some(stream) = self.streams.places[place as usize].take() else {
            return;
        };
        self.streams.free.push(place);
        match &stream.selection {
            Selection::Matching { .. } => {
                self.streams.all.retain(|&other| other != row);
                if self.streams.all.is_empty() {
                    self.hub.follow_all(self.number, false);
                }
            }
            Selection::Listed(sources) => {
                for source in sources {
                    let slot = source.job.lock().slot_in(self.number);
                    let Some(slot) = slot else { continue };
                    if let Some(Some(followed)) = self.jobs.get_mut(slot as usize) {
                        followed.consolidated.retain(|&other| other != row);
                    }
                    self.unfollow_if_unused(slot);
                }
            }
        }
        stream.leave(&self.hub);
    }

    pub(super) fn queue_followers_of_all(&mut self) {
        for index in 0..self.streams.all.len() {
            self.tell_row(self.streams.all[index]);
        }
    }

    pub(super) fn serve_consolidated(&mut self, row: u32) {
        let (after, place) = (EventId(self.table[row].after), self.table[row].place);
        if self.table[row].flags & (RESTS | ENDING) == RESTS {
            // It takes what was left of a comment.
            self.batch.clear();
            self.send(row, 0, false);
            return;
        }
        let Some(mut stream) = self.streams.places[place as usize].take() else {
            return;
        };
        let PassFound {
            filled,
            since,
            resets,
            has_more,
            has_ended,
        } = stream.pass(&self.sequencer, after, &mut self.batch);
        if !resets.is_empty() {
            self.add_leftover(row, &resets);
        }
        if let Filled::Whole(_) = filled {
            self.table[row].after = self.table[row].after.max(self.batch.after);
        }
        if let Filled::Behind(upto) = filled {
            self.read_many(row, &stream, upto, since);
            self.streams.places[place as usize] = Some(stream);
            return;
        }
        self.forget_reading(row);
        self.streams.places[place as usize] = Some(stream);
        if has_ended {
            self.batch.add_last_chunk();
        }
        let sent = self.send(row, 0, has_ended);
        if let Some(there) = self.table.get(row)
            && let Some(Some(stream)) = self.streams.places.get_mut(place as usize)
        {
            stream.selection.has_reached(EventId(there.after));
        }
        if sent != RowSent::All {
            return;
        }
        if let Filled::Whole(upto) = filled {
            // The jobs that it doesn't list have nothing for it there.
            self.table[row].after = self.table[row].after.max(upto.0);
        }
        if has_more {
            self.queue_row(row);
        } else if self.table[row].flags & ENDING != 0 {
            self.end_with_retry(row);
        } else {
            self.rest_row(row, place);
        }
    }
}
