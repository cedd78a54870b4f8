//! Events that are written together.

use std::collections::HashMap;
use std::sync::Arc;

use super::Publishing;
use crate::event::Event;
use crate::event::job::{EventId, JobId, JobState, Sequence};
use crate::hub::{Hub, Job, Numbers, PublishError};
use crate::sequencer::journal::record::{EventRecord, NUMBER_MAX, Origin, PAYLOAD_MAX_BYTES};
use crate::sequencer::journal::reply::Reply;
use crate::sequencer::journal::restore::milliseconds;

/// An answer to a publisher that is due.
pub(super) struct Answer {
    pub reply: Reply<(Vec<EventId>, Option<PublishError>)>,
    pub ids: Vec<EventId>,
    pub error: Option<PublishError>,
}

/// Events that are written together.
#[derive(Default)]
pub(super) struct Batch {
    pub entries: Vec<Entry>,
    pub answers: Vec<(Answer, Need)>,
    pub jobs: HashMap<JobId, Pending>,
    /// The newest number, before the batch and then in it.
    pub sequence: u64,
    /// How many of the notes it holds.
    pub notes: usize,
    /// The last number that may be given once it is on the medium.
    pub reserves: Option<u64>,
}

/// What an answer waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// Nothing was written for it.
    Nothing,
    /// The write.
    Write,
    /// The medium.
    Medium,
}

pub(super) struct Entry {
    pub job: JobId,
    pub event: Event,
    pub numbers: Numbers,
    pub previous: u64,
    pub time_ms: u64,
    pub origin: Option<Origin>,
    /// Where its record is in the buffer.
    pub offset: usize,
    pub bytes: usize,
}

/// What a job will have come to when the batch is written.
pub(super) struct Pending {
    pub job: Arc<Job>,
    pub newest_id: u64,
    pub newest_given: u64,
    pub ended: Option<JobState>,
    pub created_ms: u64,
    pub is_begun: bool,
}

impl Answer {
    pub fn give(self) {
        self.reply.answer((self.ids, self.error));
    }

    pub fn refuse(self, error: PublishError) {
        self.reply.answer((Vec::new(), Some(error)));
    }
}

impl Batch {
    /// Gives an event its numbers, as the hub will have them when the batch is written.
    pub fn number(
        &mut self,
        hub: &Hub,
        publishing: Publishing,
        now_ms: u64,
    ) -> Result<Entry, PublishError> {
        let Publishing {
            job: id,
            only,
            event,
        } = publishing;
        hub.check_size(&event)?;
        // What its names and numbers take is less than this.
        const REST_BYTES: usize = 512;
        if event.data().len() > PAYLOAD_MAX_BYTES - REST_BYTES {
            let max_bytes = PAYLOAD_MAX_BYTES - REST_BYTES;
            return Err(PublishError::TooLarge { max_bytes });
        }
        // Before its name is looked up, by which it would begin anew.
        if only.as_ref().is_some_and(|only| only.lock().is_forgotten()) {
            return Err(PublishError::Forgotten);
        }
        let pending = match self.jobs.get_mut(&id) {
            Some(pending) => pending,
            None => {
                let pending = Pending::new(hub, &id)?;
                self.jobs.entry(id.clone()).or_insert(pending)
            }
        };
        if only.is_some_and(|only| !Arc::ptr_eq(&only, &pending.job)) {
            return Err(PublishError::Forgotten);
        }
        if let Some(state) = pending.ended {
            return Err(PublishError::Ended(state));
        }
        if self.sequence >= NUMBER_MAX || pending.newest_given >= NUMBER_MAX {
            return Err(PublishError::DiskFailing);
        }
        self.sequence += 1;
        let previous = pending.newest_id;
        let numbers = Numbers {
            id: EventId(pending.newest_given + 1),
            sequence: Sequence(self.sequence),
        };
        let origin = (!pending.is_begun).then_some(Origin {
            base: previous,
            created_ms: pending.created_ms.min(now_ms),
        });
        pending.is_begun = true;
        pending.newest_id = numbers.id.0;
        pending.newest_given = numbers.id.0;
        pending.ended = event.name().end_state();
        Ok(Entry {
            job: id,
            event,
            numbers,
            previous,
            time_ms: now_ms,
            origin,
            offset: 0,
            bytes: 0,
        })
    }
}

impl Pending {
    pub fn new(hub: &Hub, id: &JobId) -> Result<Pending, PublishError> {
        loop {
            let job = hub.open(id).ok_or(PublishError::Full)?;
            let core = job.lock();
            if core.is_forgotten() {
                continue;
            }
            return Ok(Pending {
                newest_id: core.newest_id(),
                newest_given: core.newest_given(),
                ended: core.ended(),
                created_ms: milliseconds(core.created_at()),
                is_begun: core.newest_id() != core.base(),
                job: {
                    drop(core);
                    job
                },
            });
        }
    }
}

impl Entry {
    pub fn record(&self) -> EventRecord<'_> {
        EventRecord {
            numbers: self.numbers,
            previous: self.previous,
            time_ms: self.time_ms,
            origin: self.origin,
            job: self.job.as_str(),
            event: self.event.name().as_str(),
            data: self.event.data(),
            names_its_job: self.event.names_its_job(),
        }
    }
}
