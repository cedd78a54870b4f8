//! Why an entry is refused.

use std::fmt;

use crate::event::job::{EventId, JobState};

/// Why an entry changes nothing: what the entries before it have made of its job.
///
/// See [`PublishError`](crate::PublishError).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such job.
    NoJob,
    /// The job is running.
    Running,
    /// The job has ended.
    Ended(JobState),
    /// The job was deleted.
    Deleted,
    /// The life that it was meant for is over.
    Over,
    /// It was made already, with this number: whoever asks for it again is answered with
    /// that.
    Again(EventId),
    /// Another change of the job was made with its key.
    OtherContent,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoJob => {
                f.write_str("there is no job of this name: it begins with its first event")
            }
            Refusal::Running => f.write_str(
                "the job is running: wait for its end, or choose another name; a PUT on \
                 the publishing listener with ?replace=true ends it and begins anew",
            ),
            Refusal::Ended(state) => write!(
                f,
                "the job has ended with {}: begin it anew with PUT /api/jobs/{{job}} on the \
                 publishing listener, or choose another name",
                state.as_str()
            ),
            Refusal::Deleted => f.write_str(
                "the job was deleted: begin it anew with PUT /api/jobs/{job} on the publishing \
                 listener, or choose another name",
            ),
            Refusal::Over => f.write_str(
                "the life of the job that this belongs to is over: say it again if the new life \
                 is meant",
            ),
            Refusal::Again(id) => write!(f, "this was done already, with the number {id}"),
            Refusal::OtherContent => f.write_str(
                "the key was used for something else of this job: choose a new one for each \
                 change, and the same one only to ask for the same again",
            ),
        }
    }
}

impl std::error::Error for Refusal {}
