//! What publishers have asked for, and what became of it.

use std::collections::BTreeMap;

use super::model::Model;
use crate::event::job::EventId;
use crate::hub::{Change, Entry, Only};
use crate::sequencer::journal::by_hand::Written;
use crate::sequencer::{Proposal, PublishError};

/// Changes that one publisher wants made, in turn.
pub struct Put {
    pub number: u64,
    proposals: Vec<Proposal>,
    /// The newest number when it was asked for, and the time.
    since: u64,
    since_ms: u64,
    /// The earliest time that it has been since: somebody may have set the clock back.
    earliest_ms: u64,
    /// How often the disk had failed then.
    failures: u64,
    was_healthy: bool,
}

/// Puts that have no answer yet, in their order.
#[derive(Default)]
pub struct Puts {
    open: Vec<Put>,
    /// Those that couldn't be written, since when nothing was: something of them may stand on
    /// the disk.
    failed: Vec<Put>,
    /// Those that couldn't be written earlier.
    given_up: Vec<Put>,
    /// What was applied and isn't answered yet.
    unclaimed: BTreeMap<u64, Entry>,
    next: u64,
}

/// An answer.
pub struct Answer {
    pub number: u64,
    pub ids: Vec<EventId>,
    pub error: Option<PublishError>,
}

/// What an answer is held against.
pub struct Circumstances<'a> {
    pub model: &'a Model,
    /// How often the disk has failed.
    pub failures: u64,
    /// It was written the last time.
    pub is_healthy: bool,
    /// There may be no room for an event, or for a job.
    pub is_tight: bool,
}

impl Puts {
    /// Somebody asks for changes. Returns the put's number.
    pub fn begin(&mut self, proposals: &[Proposal], now: &Circumstances<'_>) -> u64 {
        self.next += 1;
        let now_ms = now.model.now_ms();
        self.open.push(Put {
            number: self.next,
            proposals: proposals.to_vec(),
            since: now.model.newest,
            since_ms: now_ms,
            earliest_ms: now_ms,
            failures: now.failures,
            was_healthy: now.is_healthy,
        });
        self.next
    }

    /// Somebody has set the clock back.
    pub fn set_back(&mut self, model: &Model) {
        for put in &mut self.open {
            put.earliest_ms = put.earliest_ms.min(model.now_ms());
        }
    }

    pub fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// An entry was applied: it is what somebody asked for.
    pub fn applied(&mut self, id: EventId, entry: &Entry) {
        // The server itself forgets jobs, and ends those whose leases have run out.
        let is_own = match &entry.change {
            Change::Forget { .. } => true,
            Change::Event { only, .. } => {
                matches!(only, Some(Only::Entry(_) | Only::Cancelled(_)))
            }
            _ => false,
        };
        if is_own {
            return;
        }
        let is_it = |it: &Proposal| it.job == entry.job && is_same(&it.change, &entry.change);
        let is_asked_for = self.open.iter().any(|put| put.proposals.iter().any(is_it));
        assert!(is_asked_for, "{id}: nobody has asked for {entry:?}");
        self.unclaimed.insert(id.0, entry.clone());
        self.given_up.append(&mut self.failed);
    }

    /// Every put is answered: everything that was applied is what somebody was told of, or
    /// was told that it may not have come to the medium.
    pub fn check_rest(&self) {
        assert!(self.open.is_empty(), "a put isn't answered");
        for (id, entry) in &self.unclaimed {
            let is_it = |it: &Proposal| it.job == entry.job && is_same(&it.change, &entry.change);
            let mut failed = self.failed.iter().chain(&self.given_up);
            let is_known = failed.any(|put| put.proposals.iter().any(is_it));
            assert!(
                is_known,
                "{id} was applied, and nobody told of it: {entry:?}"
            );
        }
    }

    /// The process has ended, and this entry stands on the disk though it wasn't applied: it
    /// is what somebody asked for who has no answer. What that may have been.
    pub fn find(&self, written: &Written) -> Vec<Entry> {
        let puts = self.failed.iter().chain(&self.open);
        let all = puts.flat_map(|put| &put.proposals);
        let alike = all.filter(|it| it.job.as_str() == written.job && written.is(&it.change));
        let mut found: Vec<Entry> = alike
            .map(|it| Entry {
                job: it.job.clone(),
                time_ms: written.time_ms,
                change: it.change.clone(),
            })
            .collect();
        found.extend(written.own());
        assert!(!found.is_empty(), "nobody has asked for {written:?}");
        found
    }

    /// Nobody waits any more. What they asked for, and isn't there, may still stand on a disk
    /// that fails.
    pub fn clear(&mut self) {
        self.failed.append(&mut self.open);
        self.given_up.clear();
        self.unclaimed.clear();
    }

    /// A put was answered. Panics where that isn't what has become of it. Returns the numbers
    /// of what was accepted, and is to outlast a loss of power.
    pub fn answered(&mut self, answer: &Answer, now: &Circumstances<'_>) -> Vec<u64> {
        let place = self.open.iter().position(|put| put.number == answer.number);
        let put = self.open.remove(place.expect("a put is answered once"));
        let asked = &put.proposals;
        for (index, id) in answer.ids.iter().enumerate() {
            let it = asked.get(index);
            let is_it = |entry: &Entry| {
                it.is_some_and(|it| it.job == entry.job && is_same(&it.change, &entry.change))
            };
            let entry = self.unclaimed.get(&id.0);
            if !entry.is_some_and(is_it) && it.is_some_and(|it| now.model.is_again(*id, it)) {
                continue;
            }
            let entry = self.unclaimed.remove(&id.0);
            let entry = entry.unwrap_or_else(|| panic!("{id} is none, or somebody else's"));
            assert!(is_it(&entry), "{id} is {entry:?}, and not {it:?}");
        }
        let Some(error) = answer.error else {
            assert_eq!(answer.ids.len(), asked.len(), "all of it was accepted");
            return put.promised(&answer.ids);
        };
        let is_disk = matches!(error, PublishError::DiskFull | PublishError::DiskFailing);
        if is_disk {
            let has_failed = now.failures > put.failures;
            assert!(
                has_failed || !put.was_healthy || !now.is_healthy || now.is_tight,
                "{asked:?} was answered {error:?} of a disk that works"
            );
            self.failed.push(put);
            return Vec::new();
        }
        let proposal = asked.get(answer.ids.len());
        let proposal = proposal.unwrap_or_else(|| panic!("{error:?} of nothing"));
        match error {
            PublishError::Refused(refusal) => {
                // It was refused at some time since it was asked for.
                let times = [put.since_ms, put.earliest_ms, now.model.now_ms()];
                let entry = |time_ms| Entry {
                    job: proposal.job.clone(),
                    time_ms,
                    change: proposal.change.clone(),
                };
                let since = answer
                    .ids
                    .last()
                    .map_or(put.since, |id| id.0.max(put.since));
                let may_be = |ms| now.model.may_refuse(&entry(ms), refusal, since);
                assert!(
                    times.into_iter().any(may_be),
                    "{proposal:?} was refused: {refusal:?}"
                );
            }
            PublishError::Full | PublishError::Share => {
                assert!(now.is_tight, "{proposal:?} was answered {error:?}")
            }
            other => panic!("{proposal:?} was answered {other:?}"),
        }
        put.promised(&answer.ids)
    }
}

impl Put {
    /// What is on the medium when it is answered, and all before it.
    fn promised(&self, ids: &[EventId]) -> Vec<u64> {
        let all = self.proposals.iter().zip(ids);
        let terminal = all.filter(|(proposal, _)| match &proposal.change {
            Change::Event { event, .. } => event.name().is_terminal(),
            Change::Begin { .. } | Change::Cancel { .. } | Change::Delete { .. } => true,
            Change::Renew { .. } | Change::Forget { .. } => false,
        });
        terminal.map(|(_, id)| id.0).collect()
    }
}

fn is_same(one: &Change, other: &Change) -> bool {
    one == other && !matches!(one, Change::Forget { .. })
}
