//! What publishers have asked for, and what became of it.

use super::model::Model;
use crate::event::job::EventId;
use crate::hub::{Change, Entry};
use crate::sequencer::{Proposal, PublishError};
use crate::sys::clock;

/// Changes that one publisher wants made, in turn.
pub struct Put {
    pub number: u64,
    proposals: Vec<Proposal>,
    /// What those of them that were applied are numbered.
    bound: Vec<u64>,
    /// The newest number when it was asked for.
    since: u64,
}

/// Puts that have no answer yet, in their order.
#[derive(Default)]
pub struct Puts {
    pub open: Vec<Put>,
    next: u64,
}

impl Puts {
    /// Somebody asks for changes. Returns the put's number.
    pub fn begin(&mut self, proposals: &[Proposal], model: &Model) -> u64 {
        self.next += 1;
        self.open.push(Put {
            number: self.next,
            proposals: proposals.to_vec(),
            bound: Vec::new(),
            since: model.newest,
        });
        self.next
    }

    /// An entry was applied: it is what somebody asked for, and is that for the first time.
    pub fn bind(&mut self, id: EventId, entry: &Entry) {
        let put = self.open.iter_mut().find(|put| {
            let next = put.proposals.get(put.bound.len());
            next.is_some_and(|it| it.job == entry.job && is_same(&it.change, &entry.change))
        });
        match put {
            Some(put) => put.bound.push(id.0),
            None => {
                // The server itself forgets jobs.
                let is_forget = matches!(entry.change, Change::Forget { .. });
                assert!(is_forget, "{id}: nobody has asked for {entry:?}");
            }
        }
    }

    /// A put was answered. Panics where that isn't what has become of it.
    pub fn answered(
        &mut self,
        number: u64,
        ids: &[EventId],
        error: Option<PublishError>,
        model: &Model,
    ) {
        let place = self.open.iter().position(|put| put.number == number);
        let put = self.open.remove(place.expect("a put is answered once"));
        let ids: Vec<u64> = ids.iter().map(|id| id.0).collect();
        let Some(error) = error else {
            assert_eq!(ids, put.bound, "the numbers of {:?}", put.proposals);
            assert_eq!(ids.len(), put.proposals.len(), "all of it was accepted");
            return;
        };
        assert_eq!(ids, put.bound, "the numbers of {:?}", put.proposals);
        let Some(proposal) = put.proposals.get(ids.len()) else {
            panic!("{error:?} and nothing it could be of");
        };
        match error {
            PublishError::Refused(refusal) => {
                let entry = Entry {
                    job: proposal.job.clone(),
                    time_ms: clock::now_ms().max(model.time_ms),
                    change: proposal.change.clone(),
                };
                let since = ids.last().copied().unwrap_or(put.since);
                assert!(
                    model.may_refuse(&entry, refusal, since),
                    "{entry:?} was refused: {refusal:?}"
                );
            }
            PublishError::Full => {}
            other => panic!("{proposal:?} was answered {other:?}"),
        }
    }
}

fn is_same(one: &Change, other: &Change) -> bool {
    one == other && !matches!(one, Change::Forget { .. })
}
