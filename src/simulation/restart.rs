//! What a start has to find: what was there before, and what somebody asked for who has no
//! answer.

use std::collections::BTreeMap;

use super::model::Model;
use super::puts::Puts;
use super::server::Server;

use crate::event::job::EventId;
use crate::hub::{Change, Hub};
use crate::sequencer::journal::by_hand::{Contents, Written};

/// What there was when a server ended.
pub struct Left {
    /// What the next one sees.
    pub seen: Contents,
    /// What was on the medium for sure, where the power was lost.
    pub kept: Option<Contents>,
}

impl Left {
    /// Has the model know what is lost, and what was written and never answered. Panics where
    /// something is lost that must not be.
    pub fn reconcile(&self, model: &mut Model, puts: &mut Puts) -> Vec<usize> {
        let seen = by_number(&self.seen.entries);
        let is_seen = |id: u64| id <= self.seen.dropped.0 || seen.contains_key(&id);
        match &self.kept {
            None => {
                let missing = model.entries.iter().find(|(id, _)| !is_seen(id.0));
                assert!(
                    missing.is_none(),
                    "it was applied, and isn't written: {missing:?}"
                );
            }
            Some(kept) => {
                let numbers = by_number(&kept.entries);
                let is_kept = |id: &u64| *id <= kept.dropped.0 || numbers.contains_key(id);
                let missing = model.promised.iter().find(|id| !is_kept(id));
                assert!(
                    missing.is_none(),
                    "{missing:?} was promised, and isn't kept"
                );
            }
        }
        for (id, entry) in &model.entries {
            if let Some(written) = seen.get(&id.0) {
                let is_it = written.job == entry.job.as_str() && written.is(&entry.change);
                assert!(is_it, "{id} was {entry:?}, and is {written:?}");
            }
        }
        let newest = model.newest;
        let settled = match self.kept {
            // What was found at the start before this one may still not be on the medium.
            None => Some(model.settled.unwrap_or(newest)),
            Some(_) => None,
        };
        let mut uncertain = model.lose(|id| !is_seen(id), &self.seen.told);
        for (id, written) in seen.range(newest + 1..) {
            let id = EventId(*id);
            let found = puts.find(written);
            let accepted = found.iter().find(|entry| model.accepts(id, entry));
            let job = model.number_of(&found[0].job);
            match accepted {
                Some(entry) if !uncertain.contains(&job) => model.apply(id, entry, 0),
                _ => {
                    // Something that it was accepted for is lost.
                    assert!(self.kept.is_some(), "{id} was accepted: {found:?}");
                    uncertain.insert(job);
                    model.take_uncertain(id, &found[0]);
                }
            }
        }
        model.settled = settled;
        puts.clear();
        uncertain.into_iter().collect()
    }
}

impl Left {
    /// Where an event doesn't follow on what there is of its job, either what ended the life before
    /// it is lost, and nothing of that life is to be shown as if it went on; or events are lost,
    /// and whoever hasn't had them is to be told.
    pub fn check_gone(&self, server: &Server) {
        let mut newest = BTreeMap::new();
        let mut gone = BTreeMap::new();
        // Where each job's newest end stands.
        let mut ends = BTreeMap::new();
        for written in by_number(&self.seen.entries).into_values() {
            let job = written.job.as_str();
            if written.is_end {
                // What comes behind it has nothing before it to follow on.
                newest.insert(job, EventId(0));
                ends.insert(job, written.id);
                gone.remove(job);
            }
            let Some(previous) = written.previous else {
                // Where the end before a beginning is lost, it deletes that life, which streams are
                // shown.
                if matches!(written.change, Change::Begin { .. }) {
                    gone.remove(job);
                }
                continue;
            };
            let dropped = self.seen.dropped.min(previous);
            let known = newest.insert(job, written.id).unwrap_or(dropped);
            if known != previous && !self.seen.told.has(job, written.id) {
                gone.insert(job, (known, previous));
            }
        }
        for (job, (known, previous)) in gone {
            let name = job.parse().expect("it is a name");
            let Some(there) = server.jobs.hub().find(&name) else {
                continue;
            };
            let last = known.max(previous);
            let end = ends.get(job).copied().unwrap_or_default();
            let in_ring = there.lock().ring().gone();
            assert!(in_ring >= last, "{job} goes on after {known}");
            // Else what there is before it is read from the journal, and the gap is found then.
            if previous < known || known.max(end) <= self.seen.dropped {
                let of_the_job = server.gone(&name).of_the_job;
                assert!(of_the_job >= last.0, "{job} is read from {of_the_job} on");
            }
        }
    }
}

fn by_number(entries: &[Written]) -> BTreeMap<u64, &Written> {
    let mut all = BTreeMap::new();
    for written in entries {
        // One that isn't above those before it is none.
        if all
            .last_key_value()
            .is_none_or(|(&last, _)| written.id.0 > last)
        {
            all.insert(written.id.0, written);
        }
    }
    all
}

/// Holds what a start has found against what there was.
pub fn check(model: &mut Model, hub: &Hub, uncertain: &[usize]) {
    let published = hub.published().0;
    assert!(
        published >= model.entries.last().map_or(0, |(id, _)| id.0),
        "numbers go on from {published}"
    );
    for &job in uncertain {
        model.adopt(job, hub);
    }
    model.check_all(hub);
}
