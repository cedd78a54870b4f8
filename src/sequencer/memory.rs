//! The order of a server that keeps nothing on disk: a lock.

use parking_lot::Mutex;

use super::room::{self, Room};
use super::{Order, Proposal, PublishError, log_end, now_ms};
use crate::event::job::EventId;
use crate::hub::{Entry, Hub, News, Refusal};

/// Entries are numbered and applied under one lock, and kept in the rings alone.
pub struct Memory {
    hub: Hub,
    turn: Mutex<()>,
}

impl Memory {
    /// The order of `hub`, of which nobody else applies entries.
    pub fn new(hub: Hub) -> Memory {
        Memory {
            hub,
            turn: Mutex::new(()),
        }
    }

    fn apply(&self, proposal: Proposal, is_alone: bool) -> Result<EventId, PublishError> {
        let turn = self.turn.lock();
        let applied = self
            .make_room(&proposal)
            .and_then(|()| self.number(proposal));
        drop(turn);
        let (id, news) = match applied {
            // Its first answer is its answer.
            Err(PublishError::Refused(Refusal::Again(id))) => return Ok(id),
            applied => applied?,
        };
        self.hub.tell(news, is_alone);
        Ok(id)
    }

    /// Its turn has come.
    fn number(&self, proposal: Proposal) -> Result<(EventId, News), PublishError> {
        let id = EventId(self.hub.published().0 + 1);
        let Proposal { job, change } = proposal;
        let time_ms = now_ms().max(self.hub.time_ms());
        let entry = Entry {
            job,
            time_ms,
            change,
        };
        // A number whose entry is refused is nobody's, and the next one's.
        let news = self.hub.apply(id, &entry)?;
        log_end(&entry.job, &entry.change);
        Ok((id, news))
    }

    fn make_room(&self, proposal: &Proposal) -> Result<(), PublishError> {
        self.make_room_in_share(proposal)?;
        if !self.hub.is_full() || !room::adds_a_job(&self.hub, proposal) {
            return Ok(());
        }
        loop {
            match room::find(&self.hub, false) {
                Room::There => return Ok(()),
                Room::After(job, last) => {
                    let (_, news) = self.number(room::forget(job, last))?;
                    self.hub.tell(news, false);
                }
                Room::None => return Err(PublishError::Full),
            }
        }
    }

    fn make_room_in_share(&self, proposal: &Proposal) -> Result<(), PublishError> {
        let hub = &self.hub;
        if proposal.client().is_nobody() {
            return Ok(());
        }
        let theirs = |key| hub.first_ended_of(key, 0).1;
        let life = hub.life(&proposal.job);
        while let Some(key) = room::over_share(hub, life.as_ref(), proposal, theirs) {
            let first = hub.first_ended_of(key, 1).0.pop();
            let first = first.ok_or(PublishError::Share)?;
            let (_, news) = self.number(room::forget(first.job, first.last))?;
            hub.metrics().jobs_displaced.add(1);
            hub.tell(news, false);
        }
        Ok(())
    }
}

impl Order for Memory {
    fn put(&self, proposals: Vec<Proposal>) -> (Vec<EventId>, Option<PublishError>) {
        let mut ids = Vec::with_capacity(proposals.len());
        for proposal in proposals {
            match self.apply(proposal, false) {
                Ok(id) => ids.push(id),
                Err(error) => return (ids, Some(error)),
            }
        }
        (ids, None)
    }

    fn put_one(&self, proposal: Proposal) -> Result<EventId, PublishError> {
        self.apply(proposal, true)
    }
}
