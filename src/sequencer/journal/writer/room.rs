//! Room for events, in the files and in memory: who waits for it, and who is refused.

use std::io::ErrorKind;
use std::time::Duration;

use super::{JournalCommand, JournalWriter, Put};
use crate::sequencer::journal::reply::Reply;
use crate::sequencer::room::{self, forget};
use crate::sequencer::{Proposal, PublishError};
use crate::sys::clock;

/// How long a publisher waits for the keeper to make room.
pub(super) const ROOM_PATIENCE: Duration = Duration::from_secs(5);
/// Jobs that are forgotten together where memory is short.
const FORGET: usize = 64;

/// Whether there is room for events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::sequencer::journal) enum EventRoom {
    There,
    /// The keeper may make some.
    Awaited,
    None,
}

impl JournalWriter {
    /// Forgets jobs until there is memory for another, where one of the changes adds a job.
    pub(super) fn make_memory(&mut self, proposals: &[Proposal]) -> Result<(), PublishError> {
        let hub = self.hub.clone();
        if !hub.is_short_of_memory() || !proposals.iter().any(|p| room::adds_a_job(&hub, p)) {
            return Ok(());
        }
        loop {
            // Their events are here.
            while hub.is_short_of_memory() && hub.trim_first(true) {}
            let (ended, _) = hub.first_ended(FORGET);
            if !hub.is_short_of_memory() || ended.is_empty() {
                return Ok(());
            }
            let mut batch = self.begin(false)?;
            let ended = ended.into_iter().map(|job| forget(job.job, job.last));
            self.add(&mut batch, ended.collect(), None);
            self.finish(batch)?;
        }
    }

    /// Whether there is room beyond the limit, which is for what takes little and makes more: for
    /// deletions always, and for ends of running jobs if the next checkpoint still fits then.
    pub(super) fn room_beyond(&self, proposals: &[Proposal]) -> EventRoom {
        if proposals.iter().all(Proposal::is_deletion) {
            return EventRoom::There;
        }
        let is_end = |it: &Proposal| it.is_deletion() || room::ends(&self.hub, it);
        if !proposals.iter().all(is_end) {
            return self.room();
        }
        match self.shared.room_for(proposals) {
            EventRoom::None => self.room(),
            room => room,
        }
    }

    /// Whether it is worth waiting for room. The keeper is called.
    fn room(&self) -> EventRoom {
        let _ = self.call.try_send(());
        if self.is_exhausted() {
            EventRoom::None
        } else {
            EventRoom::Awaited
        }
    }

    /// Whether the keeper has said that it can't make room, of all that there is.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted_at == Some(self.hub.published())
    }

    pub(super) fn refuse(&mut self, reply: Reply<Put>) {
        let error = self.failed(&ErrorKind::StorageFull.into());
        reply.answer((Vec::new(), Some(error)));
    }

    /// Refuses those that have waited for room for so long.
    pub(super) fn refuse_waiting(&mut self, least: Duration) {
        let now = clock::now();
        while let Some(&(_, since)) = self.waiting.front()
            && now - since >= least
        {
            if let Some((JournalCommand::Put(_, reply), _)) = self.waiting.pop_front() {
                self.refuse(reply);
            }
        }
    }
}
