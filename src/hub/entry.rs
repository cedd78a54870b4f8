//! What changes anything: entries, in the one order.

use crate::access::places::Occupant;
use crate::event::job::{EventId, JobId, LifeId};
use crate::event::{Content, Event, IdempotencyKey, Lease, PastEvent};

/// A change to one job. Whether it is accepted depends on the entries before it alone, and
/// on what it says itself.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The job.
    pub job: JobId,
    /// When it was put in order, in milliseconds of the unix clock. It never goes back
    /// from one entry to the next.
    pub time_ms: u64,
    /// What it changes.
    pub change: Change,
}

/// What an entry changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An event. It begins a life where there is no job.
    Event {
        /// The event.
        event: Event,
        /// What of the job it is for, where it is for nothing else.
        only: Option<Only>,
        /// What it says besides.
        terms: Terms,
    },
    /// A life begins.
    Begin {
        /// Who begins it.
        owner: Owner,
        /// What it may come after.
        after: After,
        /// What it says besides.
        terms: Terms,
    },
    /// The worker is still there.
    Renew {
        /// How long the job may be without another word.
        lease: Lease,
        /// The life that is meant, where no other is.
        only: Option<LifeId>,
        /// What it is known by when it is asked for again.
        once: Option<Box<Once>>,
    },
    /// The worker is asked to end the job.
    Cancel {
        /// How long it may take, in milliseconds: then the job ends by itself.
        grace_ms: u64,
        /// The life that is meant, where no other is.
        only: Option<LifeId>,
    },
    /// The job is deleted.
    Delete {
        /// Until when that is remembered, in milliseconds of the unix clock.
        until_ms: u64,
        /// The life that is meant, where no other is.
        only: Option<LifeId>,
    },
    /// The job is forgotten: of age, or since there is no room.
    Forget {
        /// Its newest entry. If it has had another since, nothing is forgotten.
        last: EventId,
    },
}

/// An event that was accepted before, with what it said besides.
#[derive(Clone, Copy, Debug)]
pub struct PastEntry<'a> {
    /// Its number.
    pub id: EventId,
    /// When it was put in order, in milliseconds of the unix clock.
    pub time_ms: u64,
    /// The event.
    pub event: PastEvent<'a>,
    /// How long its job may be without another word.
    pub lease: Option<Lease>,
}

/// What of a job an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// This life.
    Life(LifeId),
    /// What the job has come to by this entry, its newest: it is refused once there is
    /// another.
    Entry(EventId),
    /// A life whose worker was asked by this entry to end it.
    Cancelled(EventId),
}

/// What an event, or a beginning, says besides. What few of them say lies apart, since entries
/// are moved many times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How long the job may be without another word: then it ends. None: as long as it likes.
    pub lease: Option<Lease>,
    /// What it is known by when it is asked for again.
    pub once: Option<Box<Once>>,
    /// Of a beginning: whom the life is counted for. None: nobody.
    pub client: Option<Box<Occupant>>,
}

/// What a change is known by when it is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once {
    /// What its publisher calls it.
    pub key: IdempotencyKey,
    /// What it says. Who says something else means another change.
    pub content: Content,
    /// Until when that is remembered, in milliseconds of the unix clock.
    pub until_ms: u64,
}

impl Terms {
    /// Whom the life is counted for.
    pub fn client(&self) -> Occupant {
        self.client.as_deref().copied().unwrap_or_default()
    }
}

impl Change {
    /// What it is known by when it is asked for again.
    pub fn once(&self) -> Option<&Once> {
        match self {
            Change::Event { terms, .. } | Change::Begin { terms, .. } => terms.once.as_deref(),
            Change::Renew { once, .. } => once.as_deref(),
            Change::Cancel { .. } | Change::Delete { .. } | Change::Forget { .. } => None,
        }
    }

    /// Has it known by nothing.
    pub(super) fn forget_key(&mut self) {
        match self {
            Change::Event { terms, .. } | Change::Begin { terms, .. } => terms.once = None,
            Change::Renew { once, .. } => *once = None,
            Change::Cancel { .. } | Change::Delete { .. } | Change::Forget { .. } => {}
        }
    }
}

/// Who began a life, and speaks for it.
///
/// See [`Sequencer::begin`](crate::Sequencer::begin).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// A worker, by an event or by asking.
    Worker,
    /// An upload.
    Upload,
}

/// What a life may come after, besides none and a deletion.
///
/// See [`Sequencer::begin`](crate::Sequencer::begin).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum After {
    /// An upload that ended with `error`: what anybody may do.
    FailedUpload,
    /// A life that has ended.
    Ended,
    /// Any: one that is running is deleted first.
    Running,
    /// This life, an upload's that ended with `error`: it is tried again. No other, and not
    /// none.
    Failed(LifeId),
}
