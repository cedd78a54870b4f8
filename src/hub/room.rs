//! Which jobs are forgotten when there is no room, and how.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::{Hub, Job, Mailbox, Numbers, each_bit};
use crate::event::job::EventId;

/// Jobs that have ended, in the order in which they did.
#[derive(Default)]
pub(super) struct Ended {
    pub all: VecDeque<Arc<Job>>,
    /// Of those that are in the journal, the ones whose rings are whole.
    pub untrimmed: VecDeque<Arc<Job>>,
}

impl Hub {
    /// Forgets a job that a subscriber began, that has no event and no follower.
    pub fn close_if_empty(&self, job: &Arc<Job>) {
        let mut jobs = self.0.jobs.write();
        if job.lock().forget_if_empty() {
            jobs.remove(job.id());
        }
    }

    /// Takes back a job that was begun for an event which was refused, and that nobody has
    /// found since.
    pub(super) fn take_back(&self, job: &Arc<Job>) {
        let mut jobs = self.0.jobs.write();
        let mut core = job.lock();
        if core.streams() == 0 && core.ring().newest_sequence().is_none() {
            core.forget();
            jobs.remove(job.id());
        }
    }

    /// The jobs that ended first, `most` at most, and how many have ended in all.
    pub(crate) fn first_ended(&self, most: usize) -> (Vec<Arc<Job>>, usize) {
        let ended = self.0.ended.lock();
        (
            ended.all.iter().take(most).cloned().collect(),
            ended.all.len(),
        )
    }

    pub(super) fn is_full(&self) -> bool {
        let hub = &*self.0;
        hub.ring_bytes.load(Ordering::Relaxed) >= hub.config.memory_bytes
            || hub.jobs.read().len() >= hub.config.jobs
    }

    /// Forgets what can be spared first: of jobs that have ended the events that the
    /// journal has as well, then jobs. False where there is nothing.
    pub(super) fn make_room(&self) -> bool {
        let hub = &*self.0;
        let is_short_of_memory = hub.ring_bytes.load(Ordering::Relaxed) >= hub.config.memory_bytes;
        let mut ended = hub.ended.lock();
        if is_short_of_memory && let Some(job) = ended.untrimmed.pop_front() {
            drop(ended);
            let freed = job.lock().trim();
            hub.ring_bytes.fetch_sub(freed, Ordering::Relaxed);
            return true;
        }
        let first = ended.all.pop_front();
        if let (Some(first), Some(untrimmed)) = (&first, ended.untrimmed.front())
            && Arc::ptr_eq(first, untrimmed)
        {
            ended.untrimmed.pop_front();
        }
        drop(ended);
        let Some(job) = first.or_else(|| self.abandoned()) else {
            return false;
        };
        self.let_go(&job);
        true
    }

    /// Forgets a job that has ended long ago. The journal is told, and not waited for.
    pub(crate) fn retire(&self, job: &Arc<Job>) {
        self.let_go(job);
        self.no_longer_ended(job);
    }

    pub(super) fn no_longer_ended(&self, job: &Arc<Job>) {
        let Ended { all, untrimmed } = &mut *self.0.ended.lock();
        for list in [all, untrimmed] {
            list.retain(|ended| !Arc::ptr_eq(ended, job));
        }
    }

    pub(super) fn let_go(&self, job: &Arc<Job>) {
        let hub = &*self.0;
        let mailboxes = hub.mailboxes.read_recursive();
        let mut jobs = hub.jobs.write();
        // A new job of the same name may have taken its place.
        if jobs
            .get(job.id())
            .is_some_and(|there| Arc::ptr_eq(there, job))
        {
            jobs.remove(job.id());
            let (to_wake, last) = self.bury(job, &mailboxes);
            drop(jobs);
            if let Some(journal) = self.journal() {
                journal.note_forgotten(job.id(), last);
            }
            each_bit(to_wake, |shard| mailboxes[shard].wake());
        }
    }

    pub(super) fn abandoned(&self) -> Option<Arc<Job>> {
        let before = SystemTime::now().checked_sub(self.0.config.abandoned_after)?;
        let jobs = self.0.jobs.read();
        jobs.values()
            .find(|job| job.lock().is_silent_since(before))
            .cloned()
    }

    /// What forgetting a job takes, under the lock of `jobs`: a job of the same name
    /// must not begin before this one's last id is remembered. Returns the shards to
    /// wake, as bits, and the last numbers.
    pub(super) fn bury(&self, job: &Arc<Job>, mailboxes: &[Arc<Mailbox>]) -> (u64, Numbers) {
        let hub = &*self.0;
        let mut core = job.lock();
        let (freed, spans) = core.forget();
        hub.ring_bytes.fetch_sub(freed, Ordering::Relaxed);
        if let Some(journal) = self.journal() {
            journal.release(&spans);
        }
        let last = Numbers {
            id: EventId(core.newest_given()),
            sequence: job.newest_sequence(),
        };
        hub.graves.lock().add(job.id().clone(), last);
        hub.forgotten.fetch_max(last.sequence.0, Ordering::AcqRel);
        (core.post_dirty(mailboxes), last)
    }
}
