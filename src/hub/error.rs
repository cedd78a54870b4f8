//! Why an event is refused.

use std::fmt;

use crate::event::job::JobState;

/// Why an event is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// The job has ended.
    Ended(JobState),
    /// The hub has no room for another job, and all that it has are running.
    Full,
    /// The data is larger than so many bytes.
    TooLarge {
        /// The most bytes of data.
        max_bytes: usize,
    },
    /// Given numbers don't lie above the ones that the job or the hub has.
    NotAbove,
    /// The journal has no room: the disk is full, or the journal's limit is reached.
    DiskFull,
    /// The journal can't be written.
    DiskFailing,
    /// The very job that it was meant for has been forgotten.
    Forgotten,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::Ended(state) => write!(
                f,
                "the job has ended with {}: publish to a new job, or delete this one first",
                state.as_str()
            ),
            PublishError::Full => f.write_str(
                "there is no room for another job and all jobs are running: try again later, \
                 or raise --max-jobs or --memory",
            ),
            PublishError::TooLarge { max_bytes } => {
                write!(
                    f,
                    "the event's data is too large: at most {max_bytes} bytes"
                )
            }
            PublishError::NotAbove => f.write_str("the event's numbers have been given already"),
            PublishError::DiskFull => f.write_str(
                "there is no room on disk for the event: make room, or raise --journal-bytes, \
                 and publish it again; streams go on meanwhile",
            ),
            PublishError::DiskFailing => f.write_str(
                "the event can't be written to disk, see the server's log: publish it again \
                 later; streams go on meanwhile",
            ),
            PublishError::Forgotten => f.write_str("the job has been forgotten"),
        }
    }
}

impl std::error::Error for PublishError {}
