//! Which node holds the upload that a job began with.
//!
//! The entries say so: an upload's life is begun by the node that has the file.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::event::job::{JobId, LifeId};
use crate::sequencer::neighbours::Neighbour;

/// The nodes, and the uploads that they hold. Cloning it gives another handle to the same.
#[derive(Clone, Default)]
pub struct Holders(Arc<RwLock<Inner>>);

#[derive(Default)]
struct Inner {
    nodes: Vec<Neighbour>,
    uploads: Uploads,
}

/// The lives of jobs that are uploads', and the names of who holds these.
pub type Uploads = BTreeMap<JobId, (LifeId, Arc<str>)>;

impl Holders {
    /// These are the nodes.
    pub fn know(&self, nodes: Vec<Neighbour>) {
        self.0.write().nodes = nodes;
    }

    /// An upload's life has begun.
    pub fn begin(&self, job: &JobId, life: LifeId, node: &str) {
        let mut inner = self.0.write();
        let known = inner.uploads.values().map(|(_, known)| known);
        // There are few names, and most uploads come one after the other to the same.
        let mut known = known.rev().take(4);
        let name = known.find(|known| &***known == node).cloned();
        let name = name.unwrap_or_else(|| node.into());
        inner.uploads.insert(job.clone(), (life, name));
    }

    /// The job is no upload's any more.
    pub fn end(&self, job: &JobId) {
        if self.0.read().uploads.contains_key(job) {
            self.0.write().uploads.remove(job);
        }
    }

    /// Who holds the upload of this life.
    pub fn of(&self, job: &JobId, life: LifeId) -> Option<Neighbour> {
        let inner = self.0.read();
        let (_, name) = inner.uploads.get(job).filter(|(its, _)| *its == life)?;
        let known = inner.nodes.iter().find(|node| *node.name == **name);
        Some(known.cloned().unwrap_or_else(|| Neighbour {
            name: name.to_string(),
            url: String::new(),
        }))
    }

    /// The nodes.
    pub fn nodes(&self) -> Vec<Neighbour> {
        self.0.read().nodes.clone()
    }

    /// Calls `each` with every upload.
    pub fn each(&self, mut each: impl FnMut(&JobId, LifeId, &str)) {
        for (job, (life, name)) in &self.0.read().uploads {
            each(job, *life, name);
        }
    }

    /// How many uploads there are.
    pub fn len(&self) -> usize {
        self.0.read().uploads.len()
    }

    /// Takes what another has.
    pub fn replace_by(&self, other: &Holders) {
        *self.0.write() = std::mem::take(&mut *other.0.write());
    }
}
