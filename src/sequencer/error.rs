//! Why a change is not made.

use std::fmt;

use crate::hub::Refusal;
use crate::sys::limit::Limit;

/// Why a change is not made. It leaves no trace.
///
/// ```
/// use landfall::{Event, HubConfig, JobState, PublishError, Refusal, Sequencer};
/// let jobs = Sequencer::in_memory(HubConfig::default());
/// let job = "job_8f3a".parse().unwrap();
/// jobs.publish(&job, Event::done()).unwrap();
/// let late = jobs.publish(&job, Event::progress("scanning", 30.0).unwrap());
/// assert_eq!(late, Err(PublishError::Refused(Refusal::Ended(JobState::Done))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// What the entries before it have made of its job.
    Refused(Refusal),
    /// There is no room for another job, and all that there are are running.
    Full,
    /// Uploads of this address, or token, have begun as many jobs as they may, and all are
    /// running.
    Share,
    /// The data is larger than so many bytes.
    TooLarge {
        /// The most bytes of data.
        max_bytes: usize,
    },
    /// The data names another job than the event's own.
    ForeignJob,
    /// The journal has no room: the disk is full, or the journal's limit is reached.
    DiskFull,
    /// The journal can't be written.
    DiskFailing,
    /// Redis, which keeps a fleet's order, can't be reached.
    Away,
    /// It has no room.
    NoRoom,
    /// It takes no writes.
    Denied,
}

impl From<Refusal> for PublishError {
    fn from(refusal: Refusal) -> PublishError {
        PublishError::Refused(refusal)
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::Refused(refusal) => refusal.fmt(f),
            PublishError::Full => f.write_str(
                "there is no room for another job and all jobs are running: try again later, \
                 or raise --max-jobs or --memory",
            ),
            PublishError::Share => Limit::JobsPerAddress.fmt(f),
            PublishError::TooLarge { max_bytes } => {
                write!(
                    f,
                    "the event's data is too large: at most {max_bytes} bytes"
                )
            }
            PublishError::ForeignJob => f.write_str(
                "data.jobId isn't the name of the event's own job: leave it out, and the server \
                 adds the right one",
            ),
            PublishError::DiskFull => f.write_str(
                "there is no room on disk for the event: make room, or raise --journal-bytes, \
                 and publish it again; streams go on meanwhile",
            ),
            PublishError::DiskFailing => f.write_str(
                "the event can't be written to disk, see the server's log: publish it again \
                 later; streams go on meanwhile",
            ),
            PublishError::Away => f.write_str(
                "the fleet's Redis can't be reached, see the server's log: publish it again \
                 later, with an Idempotency-Key where it mustn't come twice; streams go on \
                 meanwhile",
            ),
            PublishError::Denied => f.write_str(
                "the fleet's Redis takes no writes, the server's log says why: publish it again \
                 when it does; streams go on meanwhile",
            ),
            PublishError::NoRoom => f.write_str(
                "the fleet's Redis has no room for the event: raise its maxmemory, and publish \
                 it again; streams go on meanwhile",
            ),
        }
    }
}

impl std::error::Error for PublishError {}
