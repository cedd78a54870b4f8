//! Other servers that have the same order, and what is on one of them alone: the uploads.

use super::error::PublishError;
use crate::event::job::{JobId, LifeId};
use crate::sys::channel::Receiver;

/// A server, as the others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// What it is called.
    pub name: String,
    /// Below which address it is found; empty where it says none.
    pub url: String,
}

/// A job that whoever holds its upload is to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// The job.
    pub job: JobId,
    /// The life that has failed.
    pub life: LifeId,
}

/// The servers that have the same order.
pub trait Neighbours: Send + Sync {
    /// This one.
    fn here(&self) -> &Neighbour;

    /// All that are known.
    fn all(&self) -> Vec<Neighbour>;

    /// The one that holds the upload that this life of the job began with. None where it is
    /// no upload's.
    fn holder(&self, job: &JobId, life: LifeId) -> Option<Neighbour>;

    /// The same where that is another than this one.
    fn elsewhere(&self, job: &JobId, life: LifeId) -> Option<Neighbour> {
        let holder = self.holder(job, life)?;
        (holder.name != self.here().name).then_some(holder)
    }

    /// Has the one that holds the upload do an errand, if it is there. Blocks, or suspends
    /// its coroutine, until that is in the order.
    ///
    /// # Errors
    /// It can't be put in order.
    fn ask(&self, errand: Errand) -> Result<(), PublishError>;

    /// What others ask of this one.
    fn errands(&self) -> Receiver<Errand>;
}
