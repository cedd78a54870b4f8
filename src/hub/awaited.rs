//! Names: those of jobs, and those that streams only wait for, which are no jobs.
//!
//! A stream follows a name through all of its lives, so it is the name that has the ring
//! and the followers. A name that is neither a job's nor followed is let go.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Hub, Job};
use crate::event::job::JobId;

impl Hub {
    /// The job of that name, or the name that streams wait for.
    pub fn find(&self, id: &JobId) -> Option<Arc<Job>> {
        self.0.names.read().get(id).cloned()
    }

    /// Counts a stream in at a name, where it has fewer than `most`, and a name that is no
    /// job's only where fewer of those are waited for than may be. The other half is
    /// [`Hub::leave`].
    pub fn join(&self, id: &JobId, most: usize) -> Option<Arc<Job>> {
        let names = self.0.names.read();
        let name = match names.get(id) {
            Some(name) => name.clone(),
            None => {
                drop(names);
                if self.awaited() >= self.0.config.awaited {
                    return None;
                }
                self.name_of(id);
                return self.join(id, most);
            }
        };
        // The names are held still: nobody takes this one away before it is followed.
        let has_joined = name.lock().join(most);
        drop(names);
        has_joined.then_some(name)
    }

    /// Counts a stream out at a name.
    pub fn leave(&self, name: &Arc<Job>) {
        if name.lock().leave() {
            self.close_if_unused(name);
        }
    }

    /// How many names are waited for that are no jobs'.
    pub fn awaited(&self) -> usize {
        self.0.awaited.load(Ordering::Acquire)
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
            self.0.awaited.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
