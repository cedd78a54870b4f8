//! Events that are no longer in their rings, read back for the streams that need them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::event::job::{EventId, JobId, JobIdHasher};
use crate::event::ring::Batch;
use crate::hub::Mailbox;
use crate::sys::channel::Sender;

/// What a stream asks for.
pub struct ReplayRequest {
    /// The stream, as its shard knows it.
    pub row: u32,
    /// Tells this request from others of the row.
    pub ticket: u64,
    /// Which events.
    pub what: What,
    /// Where the last piece ended.
    pub cursor: Option<Cursor>,
    /// Says of a job which progress event is its newest: those before it aren't wanted. None
    /// where all are.
    pub newest: Option<NewestOf>,
    /// Where the piece goes.
    pub reply: Sender<Replay>,
    /// Who is woken then.
    pub mailbox: Arc<Mailbox>,
}

/// What finds the number of a job's newest progress event.
pub type NewestOf = Box<dyn Fn(&JobId) -> EventId + Send>;

/// Which events.
pub enum What {
    /// Those of a job after a number, and up to another, but none behind the end of the
    /// life that they begin in.
    Job {
        /// The job.
        job: JobId,
        /// The number that the stream has.
        after: EventId,
        /// The last that is wanted.
        upto: EventId,
    },
    /// Those of several jobs after a number, and up to another.
    Many {
        /// Which jobs, and after which numbers.
        jobs: Jobs,
        /// The number that the stream has.
        after: EventId,
        /// The last that is wanted.
        upto: EventId,
        /// What [`Order::kept_from`](super::Order::kept_from) was when it was found that they
        /// are to be had.
        kept_from: EventId,
    },
}

/// Numbers after which jobs begin.
pub type Floors = HashMap<JobId, EventId, JobIdHasher>;

/// The jobs of a consolidated stream.
pub enum Jobs {
    /// These, after these numbers.
    Listed(Vec<(JobId, EventId)>),
    /// Those whose names begin so; some of them after these numbers.
    Matching {
        /// The prefix; an empty one is every job's.
        prefix: Arc<str>,
        /// The numbers.
        floors: Arc<Floors>,
    },
}

/// A piece.
pub struct Replay {
    /// The stream.
    pub row: u32,
    /// Its request's.
    pub ticket: u64,
    /// The frames. Where events before them are missing, `after` is above the stream's.
    pub batch: Batch,
    /// The stream has everything up to here when it has the piece.
    pub reached: u64,
    /// Where each frame's record ends.
    pub cursors: Vec<Cursor>,
    /// Where the piece ends.
    pub end: Option<Cursor>,
    /// Whose events are in it, and which version of each: what
    /// [`Order::is_current`](super::Order::is_current) is asked for.
    pub sources: Vec<(JobId, EventId)>,
}

/// A place between two records, known to who made it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The file.
    pub file: u32,
    /// The byte in it.
    pub offset: u32,
}

impl Replay {
    /// Where to go on for a stream that has the piece up to `id`.
    pub fn cursor_after(&self, id: u64) -> Option<Cursor> {
        let ends = &self.batch.ends;
        match ends.partition_point(|&(frame, _)| frame <= id) {
            all if all == ends.len() => self.end,
            0 => None,
            frames => self.cursors.get(frames - 1).copied(),
        }
    }
}
