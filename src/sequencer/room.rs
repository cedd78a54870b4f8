//! Room for another job: which of those there are is forgotten for it.
//!
//! That is this host's decision, and a change like any other: it gets its place in the
//! order, where it holds only if nothing has come to the job since.

use super::{Proposal, now_ms};
use crate::access::places::CountedBy;
use crate::event::job::{EventId, JobId};
use crate::hub::{Change, Hub, Life};

/// What becomes of the wish for room.
#[derive(Debug)]
pub enum Room {
    /// There is some.
    There,
    /// There is when this job is forgotten, whose newest entry is this.
    After(JobId, EventId),
    /// There is none.
    None,
}

/// Looks for room for one job more. Events of lives before one that was deleted go out of rings
/// first, and where `keeps_history`, those that are kept elsewhere.
pub fn find(hub: &Hub, keeps_history: bool) -> Room {
    while hub.is_full() {
        if hub.is_short_of_memory() && hub.trim_first(keeps_history) {
            continue;
        }
        let first = hub.first_ended(1).0.pop();
        let patience = hub.config().abandoned_after.as_millis() as u64;
        let spared = first.or_else(|| hub.find_abandoned(now_ms().saturating_sub(patience)));
        return spared.map_or(Room::None, |ended| Room::After(ended.job, ended.last));
    }
    Room::There
}

/// The change that lets go of a job whose newest entry is this.
pub fn forget(job: JobId, last: EventId) -> Proposal {
    let change = Change::Forget { last };
    Proposal { job, change }
}

/// Of whom the client is, for whom a change would count a job more than the share: `theirs` says
/// how many there are. A job that is one of theirs already is none more.
pub fn over_share(
    hub: &Hub,
    life: Option<&Life>,
    proposal: &Proposal,
    theirs: impl Fn(CountedBy) -> usize,
) -> Option<CountedBy> {
    let most = hub.config().jobs_per_address? as usize;
    let is_theirs =
        |key: CountedBy| life.is_some_and(|life| life.client.keys().any(|it| it == key));
    let mut keys = proposal.client().keys();
    keys.find(|&key| !is_theirs(key) && theirs(key) >= most)
}

/// Whether a change makes a job more, where it is accepted.
pub fn adds_a_job(hub: &Hub, proposal: &Proposal) -> bool {
    adds_to(hub.life(&proposal.job).as_ref(), proposal)
}

/// Whether a change ends a running job, where it is accepted. The job can be forgotten then.
pub fn ends(hub: &Hub, proposal: &Proposal) -> bool {
    let is_end = match &proposal.change {
        Change::Event { event, .. } => event.name().is_terminal(),
        // It ends when its worker says so, or by itself.
        Change::Cancel { .. } => true,
        Change::Begin { .. } | Change::Renew { .. } => false,
        Change::Delete { .. } | Change::Forget { .. } => true,
    };
    is_end && hub.life(&proposal.job).is_some_and(|life| !life.is_over())
}

/// The same, of a job that has this life.
pub fn adds_to(life: Option<&Life>, proposal: &Proposal) -> bool {
    match (&proposal.change, life) {
        (Change::Event { only: Some(_), .. }, _) => false,
        (Change::Event { .. } | Change::Begin { .. }, None) => true,
        (Change::Event { .. }, Some(life)) => life.is_forgotten_at(now_ms()),
        (Change::Begin { .. }, Some(life)) => life.is_deleted(),
        (
            Change::Renew { .. }
            | Change::Cancel { .. }
            | Change::Delete { .. }
            | Change::Forget { .. },
            _,
        ) => false,
    }
}
