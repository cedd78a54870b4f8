//! A state that comes from elsewhere, in the place of the one that is here: each job's at
//! once, and whoever follows it goes on doing so.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::keyed::KeyedChanges;
use super::{Hub, Job, Life, each_bit, grow};
use crate::event::job::{EventId, JobId};

impl Hub {
    /// Numbers begin above this one.
    pub fn begin_above(&self, base: EventId) {
        self.0.base.store(base.0, Ordering::Release);
    }

    /// Calls `each` with every job, deleted ones included: its name, its life, its keys, its
    /// newest frame, and the number of the event before that, or the newest that isn't kept.
    pub fn each_kept(
        &self,
        mut each: impl FnMut(&JobId, &Life, &KeyedChanges, Option<Vec<u8>>, EventId),
    ) {
        let names: Vec<_> = self.0.names.read().values().cloned().collect();
        for name in names {
            let core = name.lock();
            let Some(life) = core.life().cloned() else {
                continue;
            };
            let ring = core.ring();
            let frame = ring.newest_frame();
            let newest = ring.newest().unwrap_or_default();
            let before = EventId(newest.0.saturating_sub(1));
            let gone = ring
                .frame_upto(before)
                .map_or(ring.gone(), |(before, _)| before);
            let keys = core.keys().clone();
            drop(core);
            each(name.id(), &life, &keys, frame, gone);
        }
    }

    /// Takes the state of another hub, whose own is of no use after that. Streams are told of it
    /// when `then` has returned.
    pub fn replace_by(&self, other: &Hub, then: impl FnOnce()) {
        let mut ledger = self.0.ledger.lock();
        let mut names: Vec<Arc<Job>> = self.0.names.read().values().cloned().collect();
        let theirs: Vec<Arc<Job>> = other.0.names.read().values().cloned().collect();
        let is_new = |name: &&Arc<Job>| self.find(name.id()).is_none();
        let new: Vec<_> = theirs.iter().filter(is_new).cloned().collect();
        names.extend(new.iter().map(|name| self.name_of(name.id())));
        *self.0.lost.lock() = other.lost();
        for (to, from) in [
            (&self.0.base, &other.0.base),
            (&self.0.published, &other.0.published),
            (&self.0.time_ms, &other.0.time_ms),
            (&self.0.forgotten, &other.0.forgotten),
        ] {
            to.store(from.load(Ordering::Acquire), Ordering::Release);
        }
        for name in &names {
            let their = other.find(name.id());
            let their = their.unwrap_or_else(|| Arc::new(Job::new(name.id().clone())));
            let mut core = name.lock();
            let before = core.life().cloned();
            let (keys, end) = (core.keys().len(), core.keys().end());
            let bytes = core.ring().allocated_bytes();
            core.exchange(&mut their.lock(), self.0.config.ring);
            let after = core.life().cloned();
            grow(&self.0.keys, core.keys().len(), keys);
            grow(&self.0.ring_bytes, core.ring().allocated_bytes(), bytes);
            ledger.note_keys(name, end, core.keys().end());
            name.set_newest(core.newest());
            drop(core);
            self.0.lives.note(name, before.as_ref(), after.as_ref());
            self.count(name, before.as_ref(), after.as_ref());
            ledger.note(name, before.as_ref(), after.as_ref());
            self.note_word(&mut ledger.dues, name, before.as_ref(), after.as_ref());
            if let (Some(before), None) = (&before, &after) {
                self.0.forgettings.lock().note(name.id(), before.last);
            }
            self.close_if_unused(name);
        }
        drop(ledger);
        then();
        let mailboxes = self.0.mailboxes.read_recursive();
        let mut shards = self.0.followers_of_all.load(Ordering::Acquire);
        for name in &names {
            let mut core = name.lock();
            if core.is_followed() {
                shards |= core.post_dirty(&mailboxes);
            }
        }
        each_bit(shards, |shard| {
            mailboxes[shard].post_any();
            mailboxes[shard].wake();
        });
    }
}
