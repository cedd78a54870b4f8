//! An order of entries: what gives changes their numbers, and what it promises.

use super::error::PublishError;
use super::history::ReplayRequest;
use super::neighbours::Neighbours;
use crate::access::places::Occupant;
use crate::event::job::{EventId, JobId};
use crate::hub::Change;

/// A change that is to get its place in the order.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The job.
    pub job: JobId,
    /// The change.
    pub change: Change,
}

impl Proposal {
    /// Whether it takes something away and adds nothing.
    pub(crate) fn is_deletion(&self) -> bool {
        matches!(self.change, Change::Delete { .. } | Change::Forget { .. })
    }

    /// Whom a life that it begins is counted for.
    pub(super) fn client(&self) -> Occupant {
        match &self.change {
            Change::Begin { terms, .. } => terms.client(),
            _ => Occupant::default(),
        }
    }
}

/// What puts entries in order.
pub trait Order: Send + Sync {
    /// Puts changes in order, in turn, up to the first that is refused. Blocks its thread,
    /// or suspends its coroutine, until they are applied. Returns the numbers of those that
    /// were accepted, and why the next one wasn't.
    fn put(&self, proposals: Vec<Proposal>) -> (Vec<EventId>, Option<PublishError>);

    /// The same for one that has no others right behind it.
    ///
    /// # Errors
    /// Why it wasn't accepted.
    fn put_one(&self, proposal: Proposal) -> Result<EventId, PublishError> {
        let (ids, error) = self.put(vec![proposal]);
        match (ids.first(), error) {
            (Some(id), None) => Ok(*id),
            (_, error) => Err(error.unwrap_or(PublishError::DiskFailing)),
        }
    }

    /// The number before the oldest event of a job that [`Order::read`] has. None where it
    /// has none that the job's ring hasn't.
    fn history(&self, job: &JobId) -> Option<EventId> {
        let _ = job;
        None
    }

    /// What was given up to this number can't be read back. It is asked for before
    /// [`Order::history`] is, and a request for many jobs is answered only where it is still
    /// that.
    fn kept_from(&self) -> EventId {
        EventId(0)
    }

    /// Whether what was read of these jobs is of no life that has been deleted, replaced or
    /// forgotten since.
    fn is_current(&self, sources: &[(JobId, EventId)]) -> bool {
        let _ = sources;
        true
    }

    /// Has events read for a stream that is behind its ring. Never blocks. A stream waits
    /// for the answer, so there are no more requests than streams.
    fn read(&self, request: ReplayRequest) {
        drop(request);
    }

    /// Whether a number that nothing here has yet may have been given elsewhere.
    fn may_come(&self, id: EventId) -> bool {
        let _ = id;
        false
    }

    /// Whether changes can be put in order now.
    fn health(&self) -> Health {
        Health::Good
    }

    /// The servers that have the same order. None where this one is by itself.
    fn neighbours(&self) -> Option<&dyn Neighbours> {
        None
    }

    /// Adds what it has counted, as Prometheus reads it.
    fn write_metrics(&self, out: &mut String) {
        let _ = out;
    }

    /// Ends it: all is on the medium then, and nothing is accepted any more. Blocks.
    fn close(&self) {}
}

/// Whether changes can be put in order.
// Only what is elsewhere can be away.
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// They can.
    Good,
    /// There is no room.
    Full,
    /// What keeps them fails.
    Failing,
    /// What keeps them can't be reached.
    Away,
    /// What keeps them, elsewhere, has no room.
    NoRoom,
    /// It takes no writes.
    Denied,
}
