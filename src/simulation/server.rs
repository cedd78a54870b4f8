//! One life of the server, without threads.

use std::io;
use std::sync::Arc;

use super::disk::Disk;
use super::front::Front;
use crate::event::job::{EventId, JobId};
use crate::event::resume::LastEventId;
use crate::hub::{Hub, HubConfig};
use crate::sequencer::Sequencer;
use crate::sequencer::journal::JournalConfig;
use crate::sequencer::journal::by_hand::JournalByHand as Journal;
use crate::stream::ShardConfig;
use crate::stream::by_hand::ShardByHand as Shard;

/// A server that runs.
pub struct Server {
    pub jobs: Sequencer,
    pub journal: Option<Arc<Journal>>,
    pub shard: Shard,
    pub front: Front,
}

/// What of a job isn't to be had any more.
pub struct Gone {
    /// Events up to this number.
    pub of_the_job: u64,
    /// Those of earlier lives are below this.
    pub of_lives: u64,
}

impl Server {
    pub fn in_memory(hub: HubConfig) -> Server {
        Server::of(Sequencer::in_memory(hub), None)
    }

    pub fn with_journal(hub: HubConfig, config: JournalConfig, disk: &Disk) -> io::Result<Server> {
        let hub = Hub::new(hub, EventId(0));
        let journal = Arc::new(Journal::open(Arc::new(disk.clone()), config, &hub)?);
        let jobs = Sequencer::new(hub, journal.clone());
        Ok(Server::of(jobs, Some(journal)))
    }

    fn of(jobs: Sequencer, journal: Option<Arc<Journal>>) -> Server {
        let shard = Shard::new(&jobs, ShardConfig::default());
        let front = Front::new(&jobs, shard.handle());
        jobs.hub().put_all_off();
        // From here on what is applied is told of.
        drop(jobs.hub().drain_tap());
        Server {
            jobs,
            journal,
            shard,
            front,
        }
    }

    /// The newest number.
    pub fn published(&self) -> u64 {
        self.jobs.hub().published().0
    }

    /// The newest number of a job that is forgotten.
    pub fn forgotten(&self) -> u64 {
        self.jobs.hub().forgotten().0
    }

    /// Whether a number was given, and isn't lost.
    pub fn was_given(&self, number: u64) -> bool {
        let number = LastEventId::Number(number);
        self.jobs.hub().find_number(&number).is_some()
    }

    /// What of a job isn't to be had any more.
    pub fn gone(&self, job: &JobId) -> Gone {
        let hub = self.jobs.hub();
        let forgotten = hub.forgotten();
        let Some(there) = hub.find(job) else {
            return Gone {
                of_the_job: forgotten.0,
                of_lives: forgotten.0,
            };
        };
        let history = match there.lock().ring().gone() {
            EventId(0) => None,
            _ => self.jobs.order().history(job),
        };
        let core = there.lock();
        Gone {
            of_the_job: core.gone(history).0,
            of_lives: core.floor(forgotten).0,
        }
    }
}
