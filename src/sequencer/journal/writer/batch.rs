//! Entries that are written together.

use std::collections::{HashMap, VecDeque, hash_map};

use crate::access::places::CountedBy;
use crate::event::job::{EventId, JobId, JobIdHasher};
use crate::hub::keyed::{KEYS_MAX, Keyed};
use crate::hub::{Change, Entry, Hub, Life, Refusal};
use crate::sequencer::journal::codec::PAYLOAD_MAX_BYTES;
use crate::sequencer::journal::index::Index;
use crate::sequencer::journal::record::{ChangeRecord, EntryRecord};
use crate::sequencer::journal::reply::Reply;
use crate::sequencer::room::{self, forget};
use crate::sequencer::{Proposal, PublishError, now_ms};

/// What an entry's record needs besides an event's data is less than this; in a checkpoint
/// it is more than in a segment, by all the keys that a job may have.
const REST_BYTES: usize = 64 * KEYS_MAX;

/// An answer to a publisher that is due.
pub(super) struct DueAnswer {
    pub reply: Reply<(Vec<EventId>, Option<PublishError>)>,
    pub ids: Vec<EventId>,
    pub error: Option<PublishError>,
}

/// What an answer waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AnswerNeed {
    /// Nothing was written for it.
    Nothing,
    /// The write.
    Write,
    /// The medium.
    Medium,
}

/// Entries that are written together.
#[derive(Default)]
pub(super) struct WriteBatch {
    pub entries: Vec<Numbered>,
    pub answers: Vec<(DueAnswer, AnswerNeed)>,
    /// The newest number, before the batch and then in it.
    pub newest: EventId,
    /// The time of the newest entry.
    pub time_ms: u64,
    /// The last number that may be given once it is on the medium.
    pub reserves: Option<EventId>,
    /// It is written to see whether anything can be.
    pub is_probe: bool,
    /// What the jobs that it touches will have come to when it is written.
    jobs: HashMap<JobId, Box<Pending>, JobIdHasher>,
    /// How many jobs more there will be.
    added_jobs: isize,
    /// Jobs that can be forgotten for others, those that ended first in front.
    spare: VecDeque<Proposal>,
    /// How many of those were asked for.
    asked: usize,
    /// How many jobs more are counted for clients.
    added_by: HashMap<CountedBy, isize>,
}

/// An entry with its number.
pub(super) struct Numbered {
    pub id: EventId,
    pub entry: Entry,
    /// The job's event before it.
    pub previous: EventId,
    /// What the job had before that isn't to be read has no higher number, where this is the
    /// first that is.
    pub floor: EventId,
    /// Whether it ends a life that was running, and begins another.
    pub replaces: bool,
    /// Where its record is in the buffer.
    pub offset: usize,
    pub bytes: usize,
}

/// What a job will have come to when the batch is written.
struct Pending {
    life: Option<Life>,
    newest_event: EventId,
    /// What is known of it and not to be read has no higher number.
    floor: EventId,
    /// The keys that come to those which the hub has.
    keys: Vec<Keyed>,
    /// Nothing is remembered of those.
    are_keys_void: bool,
}

impl Pending {
    /// What a job has come to before the batch.
    fn of(hub: &Hub, index: &Index, job: &JobId) -> Pending {
        let newest_event = index.lock().newest(job);
        let there = hub.find(job);
        Pending {
            life: there.as_ref().and_then(|it| it.lock().life().cloned()),
            newest_event,
            // Of a job without events that can be read, streams may have had others.
            floor: match newest_event {
                EventId(0) => there.map_or(EventId(0), |it| it.newest()),
                _ => EventId(0),
            },
            keys: Vec::new(),
            are_keys_void: false,
        }
    }

    /// Whether a change may be made, going by its key.
    fn check_key(&mut self, hub: &Hub, entry: &Entry) -> Result<(), Refusal> {
        let now_ms = entry.time_ms;
        let is_remembered = |life: &Life| !life.is_forgotten_at(now_ms);
        if !self.life.as_ref().is_some_and(is_remembered) {
            self.forget_keys();
        }
        let Some(once) = entry.change.once() else {
            return Ok(());
        };
        let newest = self.keys.iter().rev().take(KEYS_MAX);
        for keyed in newest {
            keyed.check(once, now_ms)?;
        }
        if self.are_keys_void {
            return Ok(());
        }
        hub.check_key(&entry.job, once, now_ms, self.keys.len())
    }

    fn forget_keys(&mut self) {
        self.keys.clear();
        self.are_keys_void = true;
    }
}

impl DueAnswer {
    pub fn give(self) {
        self.reply.answer((self.ids, self.error));
    }

    pub fn refuse(self, error: PublishError) {
        self.reply.answer((Vec::new(), Some(error)));
    }
}

impl WriteBatch {
    /// A batch of entries behind this number, of this time.
    pub fn after(newest: EventId, time_ms: u64) -> WriteBatch {
        WriteBatch {
            newest,
            time_ms,
            ..WriteBatch::default()
        }
    }

    /// Takes a change in, where what the batch and the entries before it make of its job
    /// allows that. Where there is no room for its job, another is forgotten first.
    pub fn take(
        &mut self,
        hub: &Hub,
        index: &Index,
        proposal: Proposal,
    ) -> Result<EventId, PublishError> {
        if let Change::Event { event, .. } = &proposal.change
            && event.data().len() > PAYLOAD_MAX_BYTES - REST_BYTES
        {
            let max_bytes = PAYLOAD_MAX_BYTES - REST_BYTES;
            return Err(PublishError::TooLarge { max_bytes });
        }
        if !proposal.client().is_nobody() {
            self.make_room_in_share(hub, index, &proposal)?;
        }
        if self.is_full(hub) && self.adds_a_job(hub, &proposal) {
            // Their events are here.
            while hub.is_short_of_memory() && hub.trim_first(true) {}
            if self.is_full(hub) {
                let forget = self.find_spare(hub).ok_or(PublishError::Full)?;
                self.number(hub, index, forget)?;
            }
        }
        self.number(hub, index, proposal)
    }

    /// Gives a change its number.
    pub fn number(
        &mut self,
        hub: &Hub,
        index: &Index,
        proposal: Proposal,
    ) -> Result<EventId, PublishError> {
        let Proposal { job, change } = proposal;
        if self.newest >= EventId::MAX {
            return Err(PublishError::DiskFailing);
        }
        let id = EventId(self.newest.0 + 1);
        let entry = Entry {
            job,
            time_ms: self.time_ms,
            change,
        };
        let pending = match self.jobs.entry(entry.job.clone()) {
            hash_map::Entry::Occupied(there) => there.into_mut(),
            hash_map::Entry::Vacant(place) => {
                place.insert(Box::new(Pending::of(hub, index, &entry.job)))
            }
        };
        pending.check_key(hub, &entry)?;
        let mut after = pending.life.clone();
        Life::follow(&mut after, id, &entry)?;
        if after.is_none() {
            pending.forget_keys();
        }
        if let Some(&once) = entry.change.once() {
            pending.keys.push(Keyed { once, id });
        }
        let was_running = pending.life.as_ref().is_some_and(|life| !life.is_over());
        let is_job = |life: Option<&Life>| life.is_some_and(|life| !life.is_deleted());
        self.added_jobs += isize::from(is_job(after.as_ref()));
        self.added_jobs -= isize::from(is_job(pending.life.as_ref()));
        for (life, change) in [(&pending.life, -1), (&after, 1)] {
            let keys = life.iter().flat_map(|life| life.client.keys());
            keys.for_each(|key| *self.added_by.entry(key).or_default() += change);
        }
        let previous = pending.newest_event;
        let replaces = was_running && matches!(entry.change, Change::Begin { .. });
        // What one that is deleted has come after was before it, too.
        let floor = match &entry.change {
            Change::Begin { .. } if replaces => pending.life.as_ref(),
            _ => after.as_ref(),
        };
        let floor = floor.map_or(EventId(0), |life| life.previous_end);
        let floor = floor.max(pending.floor);
        match entry.change {
            Change::Event { .. } => pending.newest_event = id,
            Change::Renew { .. } | Change::Cancel { .. } => {}
            Change::Begin { .. } if !replaces => {}
            Change::Begin { .. } | Change::Delete { .. } | Change::Forget { .. } => {
                pending.newest_event = EventId(0);
                pending.floor = id;
            }
        }
        pending.life = after;
        self.newest = id;
        self.entries.push(Numbered {
            id,
            entry,
            previous,
            floor,
            replaces,
            offset: 0,
            bytes: 0,
        });
        Ok(id)
    }

    fn is_full(&self, hub: &Hub) -> bool {
        let jobs = hub.jobs().saturating_add_signed(self.added_jobs);
        jobs >= hub.config().jobs || hub.is_short_of_memory()
    }

    fn adds_a_job(&self, hub: &Hub, proposal: &Proposal) -> bool {
        match self.jobs.get(&proposal.job) {
            Some(pending) => room::adds_to(pending.life.as_ref(), proposal),
            None => room::adds_a_job(hub, proposal),
        }
    }

    /// Has the jobs go that are more than the share of the one who asks for this.
    fn make_room_in_share(
        &mut self,
        hub: &Hub,
        index: &Index,
        proposal: &Proposal,
    ) -> Result<(), PublishError> {
        let life = match self.jobs.get(&proposal.job) {
            Some(pending) => pending.life.clone(),
            None => hub.life(&proposal.job),
        };
        loop {
            let added = |key| self.added_by.get(&key).copied().unwrap_or_default();
            let theirs = |key| {
                let (_, count) = hub.first_ended_of(key, 0);
                count.saturating_add_signed(added(key))
            };
            let Some(key) = room::over_share(hub, life.as_ref(), proposal, theirs) else {
                return Ok(());
            };
            // Of those that the batch touches another may be the first by now.
            let (first, _) = hub.first_ended_of(key, self.jobs.len() + 1);
            let mut first = first.into_iter();
            let first = first.find(|ended| !self.jobs.contains_key(&ended.job));
            let first = first.ok_or(PublishError::Share)?;
            self.number(hub, index, forget(first.job, first.last))?;
            hub.metrics().jobs_displaced.add(1);
        }
    }

    /// The next job to be forgotten: none that this batch touches.
    fn find_spare(&mut self, hub: &Hub) -> Option<Proposal> {
        loop {
            while let Some(spare) = self.spare.pop_front() {
                if !self.jobs.contains_key(&spare.job) {
                    return Some(spare);
                }
            }
            let asked = self.asked;
            self.asked = asked.saturating_mul(8).max(8);
            let (ended, _) = hub.first_ended(self.asked);
            let next = ended.into_iter().skip(asked);
            self.spare = next.map(|ended| forget(ended.job, ended.last)).collect();
            if self.spare.is_empty() {
                let patience = hub.config().abandoned_after.as_millis() as u64;
                let abandoned = hub.find_abandoned(now_ms().saturating_sub(patience))?;
                let is_free = !self.jobs.contains_key(&abandoned.job);
                return is_free.then(|| forget(abandoned.job, abandoned.last));
            }
        }
    }
}

impl Numbered {
    pub fn record(&self) -> EntryRecord<'_> {
        let Entry {
            job,
            time_ms,
            change,
        } = &self.entry;
        EntryRecord {
            id: self.id,
            time_ms: *time_ms,
            job: job.as_str(),
            change: match change {
                Change::Event { event, terms, .. } => ChangeRecord::Event {
                    previous: self.previous,
                    name: event.name().as_str(),
                    data: event.data(),
                    names_its_job: event.names_its_job(),
                    terms: terms.clone(),
                },
                Change::Begin { owner, terms, .. } => ChangeRecord::Begin {
                    owner: *owner,
                    replaces: self.replaces,
                    terms: terms.clone(),
                },
                Change::Renew { lease, once, .. } => ChangeRecord::Renew {
                    lease: *lease,
                    once: once.clone(),
                },
                Change::Cancel { grace_ms, .. } => ChangeRecord::Cancel {
                    grace_ms: *grace_ms,
                },
                Change::Delete { until_ms, .. } => ChangeRecord::Delete {
                    until_ms: *until_ms,
                },
                Change::Forget { last } => ChangeRecord::Forget { last: *last },
            },
        }
    }
}

impl AnswerNeed {
    /// What the answer waits for, of who has asked for a change.
    pub fn of(change: &Change) -> AnswerNeed {
        match change {
            Change::Event { event, .. } if !event.name().is_terminal() => AnswerNeed::Write,
            Change::Renew { .. } | Change::Forget { .. } => AnswerNeed::Write,
            Change::Event { .. }
            | Change::Begin { .. }
            | Change::Cancel { .. }
            | Change::Delete { .. } => AnswerNeed::Medium,
        }
    }
}
