//! Names: those of jobs, and those that streams only wait for, which are no jobs.
//!
//! A stream follows a name through all of its lives, so it is the name that has the ring
//! and the followers. A name that is neither a job's nor followed is let go.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::elsewhere::FollowedNames;
use super::{Hub, Job};
use crate::access::places::Occupant;
use crate::access::quota::Share;
use crate::event::job::JobId;
use crate::sys::limit::Limit;

impl Hub {
    /// The job of that name, or the name that streams wait for.
    pub fn find(&self, id: &JobId) -> Option<Arc<Job>> {
        self.0.names.read().get(id).cloned()
    }

    /// Counts a client's stream in at a name, where it has fewer than `most`, and a name that
    /// is no job's only where fewer of those are waited for than may be, in all and by one
    /// client. The other half is [`Hub::leave`].
    ///
    /// # Errors
    /// There is no room: at which limit.
    pub fn join(&self, id: &JobId, most: usize, client: Occupant) -> Result<Arc<Job>, Limit> {
        let names = self.0.names.read();
        let name = match names.get(id) {
            Some(name) => name.clone(),
            None => {
                drop(names);
                self.await_name(id, client)?;
                return self.join(id, most, client);
            }
        };
        // The names are held still: nobody takes this one away before it is followed.
        let has_joined = name.lock().join(most);
        drop(names);
        if has_joined {
            self.note_followed(|| FollowedNames::Job(id.clone()));
        }
        has_joined.then_some(name).ok_or(Limit::StreamsPerJob)
    }

    /// Counts a stream out at a name.
    pub fn leave(&self, name: &Arc<Job>) {
        let is_unused = name.lock().leave();
        self.note_followed(|| FollowedNames::Job(name.id().clone()));
        if is_unused {
            self.close_if_unused(name);
        }
    }

    /// How many names are waited for that are no jobs'.
    pub fn awaited(&self) -> usize {
        self.0.awaited.load(Ordering::Acquire)
    }

    /// Sees to it that the name is there, which is counted for the client where it wasn't.
    fn await_name(&self, id: &JobId, client: Occupant) -> Result<(), Limit> {
        if self.awaited() >= self.0.config.awaited {
            return Err(Limit::Awaited);
        }
        let mut shares = [None, None];
        for (share, key) in shares.iter_mut().zip(client.keys()) {
            let taken = self.0.waiters.take(key);
            *share = Some(taken.ok_or(Limit::AwaitedPerAddress)?);
        }
        let mut names = self.0.names.write();
        if let Entry::Vacant(place) = names.entry(id.clone()) {
            let name = Arc::new(Job::new(id.clone()));
            name.lock().waiter = shares.map(|share| share.and_then(Share::into_place));
            place.insert(name);
            self.0.awaited.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Nobody waits for the name any more: it is a job's, or gone.
    pub(super) fn end_wait(&self, name: &Job) {
        self.0.awaited.fetch_sub(1, Ordering::AcqRel);
        let waiter = std::mem::take(&mut name.lock().waiter);
        for slot in waiter.into_iter().flatten() {
            self.0.waiters.give_back(slot);
        }
    }

    /// The name, which is there from now on.
    pub(super) fn name_of(&self, id: &JobId) -> Arc<Job> {
        if let Some(name) = self.find(id) {
            return name;
        }
        let mut names = self.0.names.write();
        let add = || {
            self.0.awaited.fetch_add(1, Ordering::AcqRel);
            Arc::new(Job::new(id.clone()))
        };
        names.entry(id.clone()).or_insert_with(add).clone()
    }

    /// Lets go of a name that is no job's and that nobody follows.
    pub(super) fn close_if_unused(&self, name: &Arc<Job>) {
        if !name.lock().is_unused() {
            return;
        }
        let mut names = self.0.names.write();
        let is_it = names.get(name.id()).is_some_and(|it| Arc::ptr_eq(it, name));
        if is_it && name.lock().is_unused() {
            names.remove(name.id());
            self.end_wait(name);
        }
    }
}
