//! Streams that other servers have of the same jobs, and what they are to know of those here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

use super::Hub;
use super::prefixes::Prefixes;
use crate::event::job::{JobId, JobIdHasher};

/// What a stream follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FollowedNames {
    /// A job, by its name.
    Job(JobId),
    /// Every job whose name begins so.
    Prefix(Arc<str>),
}

#[derive(Default)]
pub(super) struct Elsewhere {
    /// Whether there are others at all.
    has_others: AtomicBool,
    theirs: RwLock<Theirs>,
    /// What has got more streams here, or fewer.
    changed: Mutex<HashSet<FollowedNames>>,
}

/// The streams of all others together.
#[derive(Default)]
struct Theirs {
    jobs: HashMap<JobId, usize, JobIdHasher>,
    prefixes: Prefixes,
}

impl Elsewhere {
    /// In a build that can't be in a fleet there are none, and no code for them.
    fn has_others(&self) -> bool {
        cfg!(any(feature = "redis", test)) && self.has_others.load(Ordering::Acquire)
    }
}

impl Hub {
    /// There are others, who are to know of the streams here.
    pub fn have_others(&self) {
        self.0.elsewhere.has_others.store(true, Ordering::Release);
    }

    /// What has got more streams here, or fewer, since this was called last, and how many it
    /// has now: `most` of it at most. Where it is to be `everything`, all that has any.
    pub fn take_followed(&self, everything: bool, most: usize) -> Vec<(FollowedNames, usize)> {
        let mut changed = self.0.elsewhere.changed.lock();
        if everything {
            let names = self.0.names.read();
            let followed = names.values().filter(|name| name.lock().streams() > 0);
            changed.extend(followed.map(|name| FollowedNames::Job(name.id().clone())));
            let prefixes = self.0.prefixes.lock();
            changed.extend(prefixes.all().map(FollowedNames::Prefix));
        }
        let taken: Vec<FollowedNames> = changed.iter().take(most).cloned().collect();
        for it in &taken {
            changed.remove(it);
        }
        drop(changed);
        let count = |followed: FollowedNames| {
            let streams = match &followed {
                FollowedNames::Job(job) => self.find(job).map_or(0, |name| name.lock().streams()),
                FollowedNames::Prefix(prefix) => self.0.prefixes.lock().count(prefix),
            };
            (followed, streams)
        };
        taken.into_iter().map(count).collect()
    }

    /// Whether any stream is here.
    pub fn is_followed(&self) -> bool {
        let is_followed = |name: &Arc<super::Job>| name.lock().streams() > 0;
        self.0.prefixes.lock().all().next().is_some()
            || self.0.names.read().values().any(is_followed)
    }

    /// Another server has so many streams of something, where it had `before`.
    pub fn follow_elsewhere(&self, followed: &FollowedNames, before: usize, now: usize) {
        let mut theirs = self.0.elsewhere.theirs.write();
        match followed {
            FollowedNames::Job(job) => {
                let count = theirs.jobs.entry(job.clone()).or_insert(0);
                *count = (*count + now).saturating_sub(before);
                if *count == 0 {
                    theirs.jobs.remove(job);
                }
            }
            FollowedNames::Prefix(prefix) => {
                theirs.prefixes.join(prefix, now);
                theirs.prefixes.leave(prefix, before);
            }
        }
    }

    /// How many streams others have of a job.
    pub(super) fn streams_elsewhere(&self, job: &JobId) -> usize {
        let elsewhere = &self.0.elsewhere;
        if !elsewhere.has_others() {
            return 0;
        }
        let theirs = elsewhere.theirs.read();
        theirs.jobs.get(job).copied().unwrap_or(0) + theirs.prefixes.streams_of(job.as_str())
    }

    /// Something has got a stream more here, or one fewer.
    pub(super) fn note_followed(&self, followed: impl FnOnce() -> FollowedNames) {
        let elsewhere = &self.0.elsewhere;
        if elsewhere.has_others() {
            elsewhere.changed.lock().insert(followed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::places::Occupant;
    use crate::event::job::EventId;
    use crate::hub::HubConfig;

    fn job(name: &str) -> JobId {
        name.parse().unwrap()
    }

    #[test]
    fn streams_of_others_count_and_those_here_are_told_once() {
        let hub = Hub::new(HubConfig::default(), EventId(0));
        let name = hub.join(&job("ab"), 9, Occupant::default()).unwrap();
        assert_eq!(hub.take_followed(false, 9), [], "nobody wants to know");
        hub.have_others();
        assert_eq!(
            hub.take_followed(true, 9),
            [(FollowedNames::Job(job("ab")), 1)]
        );
        let prefix: Arc<str> = "a".into();
        hub.join_matching(&prefix);
        hub.leave(&name);
        let mut told = hub.take_followed(false, 9);
        told.sort();
        let of_prefix = FollowedNames::Prefix(prefix.clone());
        assert_eq!(
            told,
            [(FollowedNames::Job(job("ab")), 0), (of_prefix.clone(), 1)]
        );
        assert_eq!(hub.take_followed(false, 9), []);
        assert_eq!(hub.streams(&job("ab")), 1);
        hub.follow_elsewhere(&FollowedNames::Job(job("ab")), 0, 5);
        hub.follow_elsewhere(&of_prefix, 0, 3);
        assert_eq!((hub.streams(&job("ab")), hub.streams(&job("ac"))), (9, 4));
        hub.follow_elsewhere(&FollowedNames::Job(job("ab")), 5, 0);
        hub.follow_elsewhere(&of_prefix, 3, 1);
        assert_eq!((hub.streams(&job("ab")), hub.streams(&job("c"))), (2, 0));
    }
}
