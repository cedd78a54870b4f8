//! Which jobs have ended, and which were deleted: the first to be let go of in front.

use std::collections::{BTreeMap, HashMap, hash_map};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::due::Dues;
use super::keyed::{Keyed, KeyedChanges};
use super::{Hub, Job, Life, LifeState};
use crate::access::places::CountedBy;
use crate::event::job::{EventId, JobId};

/// The most deletions that are remembered. Beyond it the first are forgotten, however long
/// they were to be remembered: a job costs a few hundred bytes as long as it is.
const DELETED_MAX: usize = 16_384;

/// Jobs by what ended them.
#[derive(Default)]
pub(super) struct Ledger {
    ended: BTreeMap<EventId, Arc<Job>>,
    /// Of those that have ended, the ones whose rings may be whole.
    untrimmed: BTreeMap<EventId, Arc<Job>>,
    deleted: BTreeMap<EventId, Arc<Job>>,
    /// Of those that were deleted, the ones whose rings have events of lives before.
    with_past: BTreeMap<EventId, Arc<Job>>,
    pub dues: Dues,
    /// Jobs whose changes came with keys, by when all of those are forgotten.
    keyed: BTreeMap<(u64, EventId), Arc<Job>>,
    /// Those that uploads have begun, by whom they are counted for.
    clients: HashMap<CountedBy, Box<ClientJobs>>,
}

/// The jobs that are counted for a client.
#[derive(Default)]
struct ClientJobs {
    count: usize,
    /// Those that have ended or were deleted, by what did that.
    over: BTreeMap<EventId, Arc<Job>>,
}

impl Ledger {
    /// A job's life has become another.
    pub fn note(&mut self, job: &Arc<Job>, before: Option<&Life>, after: Option<&Life>) {
        if let Some(life) = before {
            self.count_out(life);
        }
        if let Some(life) = after {
            self.count_in(job, life);
        }
        if let Some(life) = before.filter(|life| life.is_over()) {
            self.ended.remove(&life.last);
            self.untrimmed.remove(&life.last);
            self.deleted.remove(&life.last);
            self.with_past.remove(&life.last);
        }
        match after {
            Some(life) if life.is_deleted() => {
                if self.deleted.is_empty() {
                    // Nobody waits yet until it is remembered no more.
                    self.dues.ring();
                }
                self.deleted.insert(life.last, job.clone());
                if job.lock().ring().oldest() < Some(life.last) {
                    self.with_past.insert(life.last, job.clone());
                }
            }
            Some(life) if life.is_over() => {
                self.ended.insert(life.last, job.clone());
                self.untrimmed.insert(life.last, job.clone());
            }
            _ => {}
        }
    }

    fn count_in(&mut self, job: &Arc<Job>, life: &Life) {
        for key in life.client.keys() {
            let theirs = self.clients.entry(key).or_default();
            theirs.count += 1;
            if life.is_over() {
                theirs.over.insert(life.last, job.clone());
            }
        }
    }

    fn count_out(&mut self, life: &Life) {
        for key in life.client.keys() {
            if let hash_map::Entry::Occupied(mut theirs) = self.clients.entry(key) {
                theirs.get_mut().count -= 1;
                theirs.get_mut().over.remove(&life.last);
                if theirs.get().count == 0 {
                    theirs.remove();
                }
            }
        }
    }

    /// The keys of a job's changes were remembered up to `before`, and are up to `after`.
    pub fn note_keys(
        &mut self,
        job: &Arc<Job>,
        before: Option<(u64, EventId)>,
        after: Option<(u64, EventId)>,
    ) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.keyed.remove(&before);
        }
        if let Some(after) = after {
            self.keyed.insert(after, job.clone());
        }
    }

    /// Whether the first deletion is remembered no more, or there are too many.
    pub fn has_deletions_to_go(&self, now_ms: u64) -> bool {
        self.lapse_ms().is_some_and(|first_ms| first_ms <= now_ms)
    }

    /// From when on an entry lets go of deletions.
    fn lapse_ms(&self) -> Option<u64> {
        if self.deleted.len() > DELETED_MAX {
            return Some(0);
        }
        self.first_lapse_ms()
    }

    /// When the first deletion is remembered no more.
    fn first_lapse_ms(&self) -> Option<u64> {
        let (_, first) = self.deleted.first_key_value()?;
        match first.lock().life()?.state {
            LifeState::Deleted { until_ms } => Some(until_ms),
            _ => None,
        }
    }
}

impl Hub {
    /// The jobs that ended first, `most` at most, with their newest entries, and how many
    /// have ended in all.
    pub fn first_ended(&self, most: usize) -> (Vec<Ended>, usize) {
        let ledger = self.0.ledger.lock();
        (first_of(&ledger.ended, most), ledger.ended.len())
    }

    /// The same of those that are counted for a client, deleted ones that are remembered
    /// included, and how many it has in all, running ones included.
    pub fn first_ended_of(&self, client: CountedBy, most: usize) -> (Vec<Ended>, usize) {
        let ledger = self.0.ledger.lock();
        match ledger.clients.get(&client) {
            Some(theirs) => (first_of(&theirs.over, most), theirs.count),
            None => (Vec::new(), 0),
        }
    }

    /// The deletions that are remembered no more at this millisecond, `most` at most, with
    /// the entries that made them.
    pub fn lapsed_deletions(&self, now_ms: u64, most: usize) -> Vec<(JobId, EventId)> {
        let ledger = self.0.ledger.lock();
        let lapsed = ledger.deleted.iter().take(most).filter(|(_, job)| {
            let core = job.lock();
            core.life().is_some_and(|life| life.is_forgotten_at(now_ms))
        });
        lapsed
            .map(|(&last, job)| (job.id().clone(), last))
            .collect()
    }

    /// From which time on an entry lets go of deletions.
    pub fn lapse_ms(&self) -> u64 {
        self.0.ledger.lock().lapse_ms().unwrap_or(u64::MAX)
    }

    /// How many milliseconds after `now_ms` the first deletion is remembered no more.
    pub fn next_lapse_ms(&self, now_ms: u64) -> Option<u64> {
        let first_ms = self.0.ledger.lock().first_lapse_ms()?;
        Some(first_ms.saturating_sub(now_ms))
    }

    /// Whether there is no room for another job.
    pub fn is_full(&self) -> bool {
        self.is_short_of_memory() || self.jobs() >= self.0.config.jobs
    }

    /// Whether the rings and the keys have as much memory as they may.
    pub fn is_short_of_memory(&self) -> bool {
        self.ring_bytes() + self.keys() * size_of::<Keyed>() >= self.0.config.memory_bytes
    }

    /// Lets a job's events go but its newest: those of lives before one that was deleted, and
    /// where they are kept elsewhere, those of the job that ended first and still has them all.
    /// False where there are none.
    pub fn trim_first(&self, keeps_history: bool) -> bool {
        let mut ledger = self.0.ledger.lock();
        let first = match ledger.with_past.pop_first() {
            None if keeps_history => ledger.untrimmed.pop_first(),
            first => first,
        };
        drop(ledger);
        let Some((_, job)) = first else {
            return false;
        };
        let freed = job.lock().trim();
        self.0.ring_bytes.fetch_sub(freed, Ordering::Relaxed);
        true
    }

    /// A running job without an event since `before_ms`, without a stream, and without what
    /// would end it by itself: its worker is gone.
    pub fn find_abandoned(&self, before_ms: u64) -> Option<Ended> {
        let names = self.0.names.read();
        names.values().find_map(|job| {
            let core = job.lock();
            let life = core.life().filter(|life| !life.is_over())?;
            let is_silent = life.updated_ms < before_ms && !life.ends_by_itself();
            let is_abandoned =
                is_silent && core.streams() == 0 && self.streams_elsewhere(job.id()) == 0;
            is_abandoned.then(|| Ended {
                job: job.id().clone(),
                last: life.last,
                at_ms: life.updated_ms,
            })
        })
    }

    /// Lets go of keys that are remembered no more.
    pub(super) fn let_keys_go(&self, ledger: &mut Ledger, now_ms: u64) {
        while let Some(first) = ledger.keyed.first_entry()
            && first.key().0 <= now_ms
        {
            let mut core = first.get().lock();
            self.0.keys.fetch_sub(core.keys().len(), Ordering::Relaxed);
            core.set_keys(KeyedChanges::default());
            drop(core);
            first.remove();
        }
    }

    /// Lets go of deletions that are remembered no more, and of those over the most.
    pub(super) fn let_deletions_go(&self, ledger: &mut Ledger, now_ms: u64) {
        while ledger.has_deletions_to_go(now_ms)
            && let Some((_, job)) = ledger.deleted.pop_first()
        {
            self.let_deletion_go(ledger, &job);
        }
    }

    fn let_deletion_go(&self, ledger: &mut Ledger, job: &Arc<Job>) {
        let mut core = job.lock();
        let Some(life) = core.life().cloned() else {
            return;
        };
        ledger.note_keys(job, core.keys().end(), None);
        self.0.keys.fetch_sub(core.keys().len(), Ordering::Relaxed);
        let freed = core.forget();
        drop(core);
        self.0.ring_bytes.fetch_sub(freed, Ordering::Relaxed);
        self.note_forgotten(job, life.last);
        ledger.note(job, Some(&life), None);
        self.count(job, Some(&life), None);
        self.close_if_unused(job);
    }
}

fn first_of(jobs: &BTreeMap<EventId, Arc<Job>>, most: usize) -> Vec<Ended> {
    let first = jobs.iter().take(most);
    let first = first.map(|(&last, job)| Ended {
        job: job.id().clone(),
        last,
        at_ms: job.lock().life().map_or(0, |life| life.updated_ms),
    });
    first.collect()
}

/// A job that can be let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its name.
    pub job: JobId,
    /// The number of its newest entry.
    pub last: EventId,
    /// When that came, in milliseconds of the unix clock.
    pub at_ms: u64,
}
