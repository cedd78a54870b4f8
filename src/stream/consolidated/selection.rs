//! Which jobs a consolidated stream follows.

use std::sync::Arc;

use crate::event::job::{EventId, JobId};
use crate::event::resume::LastEventId;
use crate::hub::{Hub, Job};
use crate::sequencer::history::{Floors, Jobs};

/// The jobs of a consolidated stream.
pub enum Selection {
    /// These names, each of which has counted the stream in.
    Listed(Vec<Member>),
    /// Every job there is and will be whose name begins with the prefix, and where some of
    /// them begin.
    Matching {
        /// The prefix; empty for every job.
        prefix: Arc<str>,
        /// The numbers after which jobs begin that are not to begin with the oldest.
        floors: Arc<Floors>,
    },
}

/// A name to follow, and the number after which it is to begin, where it has one of its own.
pub type Listed = (Arc<Job>, Option<LastEventId>);

/// A name of a consolidated stream.
pub struct Member {
    pub job: Arc<Job>,
    /// Its events up to this number are not missed: the stream began after them, or
    /// has said that they are gone.
    floor: EventId,
    /// The stream has seen its end, and no beginning since.
    has_ended: bool,
}

impl Member {
    pub fn new(job: Arc<Job>, floor: EventId) -> Member {
        Member {
            job,
            floor,
            has_ended: false,
        }
    }
}

impl Selection {
    /// Whether a job is one of them.
    pub fn follows(&self, job: &JobId) -> bool {
        match self {
            Selection::Listed(members) => members.iter().any(|it| it.job.id() == job),
            Selection::Matching { prefix, .. } => job.as_str().starts_with(&**prefix),
        }
    }

    /// The jobs, as those who read events back know them.
    pub fn jobs(&self) -> Jobs {
        match self {
            Selection::Listed(members) => {
                let jobs = members.iter().map(|it| (it.job.id().clone(), it.floor));
                Jobs::Listed(jobs.collect())
            }
            Selection::Matching { prefix, floors } => Jobs::Matching {
                prefix: prefix.clone(),
                floors: floors.clone(),
            },
        }
    }

    /// Those with events after `after`, and the number after which each begins.
    pub(super) fn with_news(&self, hub: &Hub, after: EventId) -> Vec<(Arc<Job>, EventId)> {
        let mut jobs = Vec::new();
        match self {
            Selection::Listed(members) => {
                for member in members.iter().filter(|it| it.job.newest() > after) {
                    jobs.push((member.job.clone(), member.floor));
                }
            }
            Selection::Matching { prefix, floors } => hub.jobs_after(after, |job| {
                if job.id().as_str().starts_with(&**prefix) {
                    let floor = floors.get(job.id()).copied().unwrap_or(EventId(0));
                    jobs.push((job.clone(), floor));
                }
            }),
        }
        jobs
    }

    /// A job goes on after this number.
    pub(super) fn raise_floor(&mut self, job: &Arc<Job>, floor: EventId) {
        match self {
            Selection::Listed(members) => {
                let mut members = members.iter_mut();
                if let Some(member) = members.find(|member| Arc::ptr_eq(&member.job, job)) {
                    member.floor = floor;
                }
            }
            Selection::Matching { floors, .. } => {
                Arc::make_mut(floors).insert(job.id().clone(), floor);
            }
        }
    }

    /// The client has everything up to `after`: what begins before that needs no number.
    pub fn has_reached(&mut self, after: EventId) {
        if let Selection::Matching { floors, .. } = self
            && !floors.is_empty()
        {
            Arc::make_mut(floors).retain(|_, floor| *floor > after);
        }
    }

    /// Whether every name has ended for a client that has everything up to `after`.
    pub(super) fn has_ended_after(&mut self, after: EventId) -> bool {
        let Selection::Listed(members) = self else {
            return false;
        };
        let mut all = true;
        for member in members {
            let core = member.job.lock();
            // Of a job that was forgotten, what was seen of it counts.
            if let Some(life) = core.life() {
                let is_seen = core.newest() <= after.max(member.floor);
                member.has_ended = life.is_over() && is_seen;
            }
            all &= member.has_ended;
        }
        all
    }

    /// Counts the stream out of them again.
    pub(super) fn leave(self, hub: &Hub) {
        match self {
            Selection::Listed(members) => members.iter().for_each(|it| hub.leave(&it.job)),
            Selection::Matching { prefix, .. } => hub.leave_matching(&prefix),
        }
    }
}
