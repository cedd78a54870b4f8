//! What a start puts back.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::job::{Core, Job};
use super::keyed::KeyedChanges;
use super::{Change, Entry, Hub, Life, PastEntry, Refusal, grow};
use crate::event::Event;
use crate::event::job::{EventId, JobId};

impl Hub {
    /// Puts a job back as it was, with its newest event, of which the number comes first.
    /// Its earlier events, if they are kept, come by [`Hub::restore`] afterwards, and its
    /// newest one with [`Hub::settle`], unless that has come so as well.
    pub fn load(&self, job: &JobId, life: Life, gone: EventId) {
        let mut ledger = self.0.ledger.lock();
        let name = self.name_of(job);
        let before = name.lock().life().cloned();
        let limits = self.0.config.ring;
        self.change_ring(&name, |core| core.load(life.clone(), gone, limits, &name));
        self.0.lives.note(&name, before.as_ref(), Some(&life));
        self.note(&mut ledger, &name, before.as_ref(), Some(&life));
    }

    /// Puts the keys of a job's changes back.
    pub fn load_keys(&self, job: &JobId, keys: KeyedChanges) {
        let mut ledger = self.0.ledger.lock();
        let Some(job) = self.find(job) else { return };
        let mut core = job.lock();
        grow(&self.0.keys, keys.len(), core.keys().len());
        ledger.note_keys(&job, core.keys().end(), keys.end());
        core.set_keys(keys);
    }

    /// Takes events of a job, one after the other, that were accepted before, with no other
    /// entry of the job between them, and none that had a key: up to the first that doesn't go on
    /// with the life that is here. Returns how many those are.
    pub fn go_on<'a, 'b: 'a>(
        &self,
        name: &Arc<Job>,
        events: impl Iterator<Item = &'a PastEntry<'b>>,
    ) -> usize {
        let mut ledger = self.0.ledger.lock();
        let mut core = name.lock();
        let before = core.life().cloned();
        let (done, counted, change) = core.go_on(events, self.0.config.ring, name);
        let after = core.life().cloned();
        name.set_newest(core.newest());
        drop(core);
        grow(&self.0.ring_bytes, change.added, change.freed);
        self.note(&mut ledger, name, before.as_ref(), after.as_ref());
        self.0.metrics.events_published.add(counted);
        done
    }

    /// Takes an entry that was accepted before. Its job, where it is as new as that already, is
    /// given its event and nothing else. Where an event of the job between
    /// this one and what is here `is_missing`, streams are told so. Returns whether it is
    /// here now and wasn't.
    pub fn restore(&self, id: EventId, entry: &Entry, is_missing: bool) -> bool {
        let there = self.find(&entry.job);
        let known = there.as_ref().and_then(|job| {
            let core = job.lock();
            core.life().filter(|life| life.last >= id).cloned()
        });
        if let (Some(job), Some(life)) = (&there, known) {
            self.let_lapsed_go(entry);
            let Change::Event { event, .. } = &entry.change else {
                return false;
            };
            if life.is_deleted() {
                return false;
            }
            let mut core = job.lock();
            let change = core.append_old(id, event, is_missing, self.0.config.ring, job);
            job.set_newest(core.newest());
            drop(core);
            grow(&self.0.ring_bytes, change.added, change.freed);
            return change.is_news;
        }
        if is_missing && let Some(job) = there {
            self.change_ring(&job, |core| core.lose_before(id));
        }
        // Nobody follows anything yet.
        match self.apply(id, entry) {
            Err(Refusal::Again(_) | Refusal::OtherContent) => {
                // That its key was free by then is lost.
                let mut entry = entry.clone();
                entry.change.forget_key();
                self.apply(id, &entry).is_ok()
            }
            applied => applied.is_ok(),
        }
    }

    /// Lets go of deletions that were remembered no more when the entry came, as applying it
    /// would: what is restored from before it may have brought them back.
    pub fn let_lapsed_go(&self, entry: &Entry) {
        let mut ledger = self.0.ledger.lock();
        if !matches!(entry.change, Change::Forget { .. }) {
            self.let_deletions_go(&mut ledger, entry.time_ms);
        }
    }

    /// Puts a job's newest event in its ring, where nothing of it is there.
    pub fn settle(&self, job: &JobId, id: EventId, event: &Event) {
        let Some(name) = self.find(job) else { return };
        let mut core = name.lock();
        let is_wanted = core.ring().newest().is_none();
        let is_of_it = core
            .life()
            .is_some_and(|life| !life.is_deleted() && id <= life.last);
        if is_wanted && is_of_it {
            let change = core.append_old(id, event, false, self.0.config.ring, &name);
            name.set_newest(core.newest());
            self.0.ring_bytes.fetch_add(change.added, Ordering::Relaxed);
        }
    }

    /// Lets a job's events after this number go, which were of a life that is over: nobody is to
    /// see them or to miss them. Where that was deleted, it is the `deletion` that they see.
    pub fn void_after(&self, job: &JobId, after: EventId, deletion: Option<EventId>) {
        if let Some(name) = self.find_undeleted(job) {
            let limits = self.0.config.ring;
            self.change_ring(&name, |core| {
                core.make_void_after(after);
                if let Some(id) = deletion {
                    core.append_deletion(id, limits, &name);
                }
            });
        }
    }

    /// Lets a job's events before this number go, which streams are told of: how their life
    /// ended isn't known.
    pub fn lose_before(&self, job: &JobId, id: EventId) {
        if let Some(name) = self.find_undeleted(job) {
            self.change_ring(&name, |core| core.lose_before(id));
        }
    }

    fn find_undeleted(&self, job: &JobId) -> Option<Arc<Job>> {
        let is_there = |life: &Life| !life.is_deleted();
        self.find(job)
            .filter(|name| name.lock().life().is_some_and(is_there))
    }

    fn change_ring(&self, name: &Job, change: impl FnOnce(&mut Core)) {
        let mut core = name.lock();
        let before = core.ring().allocated_bytes();
        change(&mut core);
        let after = core.ring().allocated_bytes();
        name.set_newest(core.newest());
        grow(&self.0.ring_bytes, after, before);
    }

    /// Numbers up to `newest` were given, some of which may be `lost`.
    pub fn reach(&self, newest: EventId, lost: Option<Range<u64>>) {
        self.0.published.fetch_max(newest.0, Ordering::AcqRel);
        let mut all = self.0.lost.lock();
        all.extend(lost.filter(|lost| !lost.is_empty()));
    }

    /// The newest entry had this time, or one before it.
    pub fn reach_time(&self, time_ms: u64) {
        self.0.time_ms.fetch_max(time_ms, Ordering::AcqRel);
    }

    /// The numbers that may have been given, and are lost.
    pub fn lost(&self) -> Vec<Range<u64>> {
        self.0.lost.lock().clone()
    }

    /// Jobs whose newest event was numbered so may have been forgotten.
    pub fn reach_forgotten(&self, newest: EventId) {
        self.0.forgotten.fetch_max(newest.0, Ordering::AcqRel);
    }

    /// Calls `each` with every job, deleted ones included: its name, its life, the keys of
    /// its changes, and its newest frame.
    pub fn each_life(&self, mut each: impl FnMut(&JobId, &Life, &KeyedChanges, Option<Vec<u8>>)) {
        let names: Vec<_> = self.0.names.read().values().cloned().collect();
        for name in names {
            let core = name.lock();
            let Some(life) = core.life().cloned() else {
                continue;
            };
            let frame = core.ring().newest_frame();
            let keys = core.keys().clone();
            drop(core);
            each(name.id(), &life, &keys, frame);
        }
    }
}
