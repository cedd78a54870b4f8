//! The one order of entries: who numbers them, keeps them, and has the hub apply them.
//!
//! A publisher's change is first admitted, which is a matter of this host: its size, its
//! memory, its disk. Then it gets its place in the order, and the hub accepts or refuses it
//! by what came before. What an [`Order`] promises:
//!
//! - Entries are applied one at a time, in the order of their numbers, each once.
//! - A number is answered when the entry is applied and kept as promised.
//! - What can't be kept changes nothing.

mod error;
pub mod fleet;
pub mod history;
pub mod journal;
mod leases;
mod memory;
mod neighbours;
mod order;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod room;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::access::places::Occupant;
#[cfg(feature = "server")]
use crate::event::Beginning;
use crate::event::job::{EventId, JobId, LifeId};
use crate::event::{Content, Event, IdempotencyKey, Lease, Word};
use crate::hub::due::cancelled_event;
use crate::hub::{After, Change, Hub, HubConfig, Once, Only, Owner, Refusal, Snapshot, Terms};
use crate::sys::clock;
pub(crate) use crate::sys::clock::now_ms;
use crate::sys::limit::Limit;
pub use error::PublishError;
pub use fleet::{FleetConfig, FleetName, NodeUrl, RedisUrl};
use journal::Journal;
pub use journal::{JournalConfig, SyncPolicy};
pub use leases::LeaseWatch;
use leases::UPLOAD_LEASE;
use memory::Memory;
pub use neighbours::Neighbours;
#[cfg(any(feature = "uploads", feature = "redis"))]
pub use neighbours::{Errand, Neighbour};
pub use order::{Health, Order, Proposal};

/// The jobs of one server: their hub, and what puts the changes to them in order. Cloning
/// it is cheap and gives another handle to the same.
///
/// ```
/// use landfall::{Event, HubConfig, Sequencer};
/// let jobs = Sequencer::in_memory(HubConfig::default());
/// let job = "job_8f3a".parse().unwrap();
/// let first = jobs.publish(&job, Event::progress("scanning", 30.0).unwrap()).unwrap();
/// let second = jobs.publish(&job, Event::done()).unwrap();
/// assert!(second > first);
/// // `done` ends a job: nothing follows it.
/// assert!(jobs.publish(&job, Event::done()).is_err());
/// ```
#[derive(Clone)]
pub struct Sequencer {
    hub: Hub,
    order: Arc<dyn Order>,
}

/// What a worker says of a job.
///
/// ```
/// use landfall::{Event, HubConfig, Saying, Sequencer, Word};
/// let jobs = Sequencer::in_memory(HubConfig::default());
/// let job = "job_8f3a".parse().unwrap();
/// // Where nothing more is heard for 30 s, the job ends with `error`.
/// let word = Word::Event(Event::progress("scanning", 30.0).unwrap(), Some("30s".parse().unwrap()));
/// jobs.say(Saying { job, word, key: None, life: None }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    /// The job.
    pub job: JobId,
    /// What.
    pub word: Word,
    /// By what it is known when it is said again: then it is answered as the first time.
    pub key: Option<IdempotencyKey>,
    /// The life that it is of, where it is to be of no other: once that is over, it is refused.
    pub life: Option<LifeId>,
}

impl Saying {
    /// An event, and nothing besides.
    pub fn of(job: JobId, event: Event) -> Saying {
        Saying {
            job,
            word: Word::Event(event, None),
            key: None,
            life: None,
        }
    }
}

/// Why a build without `redis` can't take part in a fleet.
#[cfg(not(feature = "redis"))]
pub(crate) fn without_redis(redis: &RedisUrl) -> String {
    format!("{redis}: this build is for one server by itself: build it with --features redis")
}

impl Sequencer {
    /// Jobs that are kept in memory alone. Their numbers start from the clock, in
    /// microseconds, so that one from an earlier life is recognisably old.
    pub fn in_memory(config: HubConfig) -> Sequencer {
        let base = clock::since_epoch().as_micros() as u64;
        Sequencer::in_memory_above(config, EventId(base.min(EventId::MAX.0 / 2)))
    }

    /// The same, with numbers above `base`.
    pub(crate) fn in_memory_above(config: HubConfig, base: EventId) -> Sequencer {
        let hub = Hub::new(config, base);
        Sequencer {
            order: Arc::new(Memory::new(hub.clone())),
            hub,
        }
    }

    /// Jobs that are kept in a journal in the directory `path`, which is created where it
    /// isn't there. The first number ever is 1. Blocks until all that it holds is restored.
    ///
    /// What is damaged is reported in the log and skipped. Where nothing can be written,
    /// what is there is restored, and publishing is refused until it can.
    ///
    /// # Errors
    /// The directory can't be created or listed, a newer version has written in it, or another
    /// journal is open there, in this process or in another ([`io::ErrorKind::ResourceBusy`]).
    pub fn with_journal(
        path: &Path,
        config: JournalConfig,
        hub: HubConfig,
    ) -> io::Result<Sequencer> {
        let hub = Hub::new(hub, EventId(0));
        Ok(Sequencer {
            order: Arc::new(Journal::open(path, config, &hub)?),
            hub,
        })
    }

    /// Jobs of a fleet, whose order the Redis that `fleet` names keeps. Blocks until all that
    /// there is was applied.
    ///
    /// # Errors
    /// It isn't there, or isn't one that a fleet can use, or this build has no `redis`.
    pub fn with_fleet(fleet: &FleetConfig, hub: HubConfig) -> io::Result<Sequencer> {
        let Some(redis) = &fleet.redis else {
            return Ok(Sequencer::in_memory(hub));
        };
        #[cfg(feature = "redis")]
        {
            let hub = Hub::new(hub, EventId(0));
            let order = Arc::new(redis::Fleet::join(fleet, redis, &hub)?);
            Ok(Sequencer { hub, order })
        }
        #[cfg(not(feature = "redis"))]
        {
            let message = without_redis(redis);
            Err(io::Error::new(io::ErrorKind::Unsupported, message))
        }
    }

    /// Any other order, by which `hub` is kept.
    #[cfg(feature = "internals")]
    pub(crate) fn new(hub: Hub, order: Arc<dyn Order>) -> Sequencer {
        Sequencer { hub, order }
    }

    /// Publishes one event and returns its number. Never blocks on a subscriber. With a
    /// journal it blocks, or suspends its coroutine, until the journal has the event.
    ///
    /// # Errors
    /// See [`PublishError`]. A refused event leaves no trace.
    pub fn publish(&self, job: &JobId, event: Event) -> Result<EventId, PublishError> {
        self.say(Saying::of(job.clone(), event))
    }

    /// Publishes what a worker says, an event or that it is there, and returns its number.
    /// Blocks as [`Sequencer::publish`] does.
    ///
    /// # Errors
    /// As [`Sequencer::publish`]. Where there is no job, only an event begins one.
    pub fn say(&self, saying: Saying) -> Result<EventId, PublishError> {
        let began = clock::now();
        let proposal = self.proposal(saying);
        let published = proposal.and_then(|proposal| self.order.put_one(proposal));
        self.measure(began);
        published.inspect_err(|error| self.count(error))
    }

    /// Publishes one event to this life of an upload's job, and never to another: what an
    /// old attempt still says isn't news of the new one. The life ends if nothing more is
    /// said of it for two minutes.
    ///
    /// # Errors
    /// As [`Sequencer::publish`].
    pub(crate) fn publish_in(
        &self,
        job: &JobId,
        life: LifeId,
        event: Event,
    ) -> Result<EventId, PublishError> {
        self.admit(job, &event)?;
        let change = Change::Event {
            event,
            only: Some(Only::Life(life)),
            terms: Terms {
                lease: Lease::new(UPLOAD_LEASE),
                ..Terms::default()
            },
        };
        self.put_one(job, change)
    }

    /// Publishes what workers say in turn, up to the first that is refused. With a journal
    /// that is one write, and it blocks as [`Sequencer::publish`] does. Returns the numbers
    /// of what was accepted, and why the next one wasn't.
    pub fn say_all(&self, sayings: Vec<Saying>) -> (Vec<EventId>, Option<PublishError>) {
        let began = clock::now();
        let mut refused = None;
        let mut proposals = Vec::with_capacity(sayings.len());
        for saying in sayings {
            match self.proposal(saying) {
                Ok(proposal) => proposals.push(proposal),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        let (ids, error) = self.order.put(proposals);
        self.measure(began);
        let error = error.or(refused);
        error.iter().for_each(|error| self.count(error));
        (ids, error)
    }

    /// Begins a life of a job.
    ///
    /// # Errors
    /// The life before is none that `after` allows, or see [`PublishError`].
    ///
    /// ```
    /// use landfall::{After, Event, HubConfig, Owner, Saying, Sequencer};
    /// let jobs = Sequencer::in_memory(HubConfig::default());
    /// let job = "job_8f3a".parse().unwrap();
    /// let first = jobs.begin(&job, Owner::Worker, After::Ended).unwrap();
    /// // It is running now: a new life has to say that it may end that one.
    /// assert!(jobs.begin(&job, Owner::Worker, After::Ended).is_err());
    /// let second = jobs.begin(&job, Owner::Worker, After::Running).unwrap();
    /// // What belongs to a life that is over changes nothing.
    /// let end = Saying::of(job, Event::done());
    /// assert!(jobs.say(Saying { life: Some(first), ..end.clone() }).is_err());
    /// assert!(jobs.say(Saying { life: Some(second), ..end }).is_ok());
    /// ```
    pub fn begin(&self, job: &JobId, owner: Owner, after: After) -> Result<LifeId, PublishError> {
        let lease = match owner {
            Owner::Worker => self.default_lease(),
            Owner::Upload => Lease::new(UPLOAD_LEASE),
        };
        let terms = Terms {
            lease,
            ..Terms::default()
        };
        self.begin_on(job, owner, after, terms)
    }

    /// Begins a life that is an upload's, and counted for its client.
    ///
    /// # Errors
    /// As [`Sequencer::begin`].
    pub(crate) fn begin_upload(
        &self,
        job: &JobId,
        after: After,
        client: Occupant,
    ) -> Result<LifeId, PublishError> {
        let terms = Terms {
            lease: Lease::new(UPLOAD_LEASE),
            client: (!client.is_nobody()).then(|| Box::new(client)),
            ..Terms::default()
        };
        self.begin_on(job, Owner::Upload, after, terms)
    }

    /// The same for a worker, whose first word has to follow within the lease. Asked for
    /// again with its key, the life is the one that has begun.
    ///
    /// # Errors
    /// As [`Sequencer::begin`].
    #[cfg(feature = "server")]
    pub(crate) fn begin_with(
        &self,
        job: &JobId,
        after: After,
        beginning: Beginning,
        key: Option<IdempotencyKey>,
    ) -> Result<LifeId, PublishError> {
        let what = format!("{after:?}");
        let content = beginning.content(what.as_bytes());
        let terms = Terms {
            lease: beginning.lease.or_else(|| self.default_lease()),
            once: key.map(|key| Box::new(self.once(key, content))),
            ..Terms::default()
        };
        self.begin_on(job, Owner::Worker, after, terms)
    }

    /// Deletes a job, or this life of it: its streams are told and end, and nothing of it
    /// is seen any more. Blocks as [`Sequencer::publish`] does.
    ///
    /// # Errors
    /// There is none, or it was deleted already, or see [`PublishError`].
    pub fn delete(&self, job: &JobId, only: Option<LifeId>) -> Result<EventId, PublishError> {
        self.put_one(job, self.deletion(only))
    }

    /// Has a job end with `error`: an upload's at once, a worker's when its worker says so,
    /// and by itself after the grace. Returns its life, and who began that. Blocks as
    /// [`Sequencer::publish`] does.
    ///
    /// # Errors
    /// There is none, or it was deleted or has ended, or see [`PublishError`].
    pub fn cancel(&self, job: &JobId) -> Result<(LifeId, Owner), PublishError> {
        loop {
            let life = self.hub.life(job).ok_or(Refusal::NoJob)?;
            let (id, owner) = (life.id(), life.owner);
            let change = match owner {
                Owner::Upload => Change::Event {
                    event: cancelled_event(),
                    only: Some(Only::Life(id)),
                    terms: Terms::default(),
                },
                Owner::Worker => Change::Cancel {
                    grace_ms: in_ms(self.hub.config().cancel_grace),
                    only: Some(id),
                },
            };
            match self.put_one(job, change) {
                Ok(_) => return Ok((id, owner)),
                // Another life has begun since it was looked up.
                Err(PublishError::Refused(Refusal::Over)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What a job has come to. None where there is none, or it was deleted.
    pub fn snapshot(&self, job: &JobId) -> Option<Snapshot> {
        self.hub.snapshot(job)
    }

    /// What every job has come to, in no order.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        self.hub.snapshots()
    }

    /// How many streams get a job's events.
    pub fn streams(&self, job: &JobId) -> usize {
        self.hub.streams(job)
    }

    /// Ends it: all is on the medium then, and nothing is published any more. Blocks. A
    /// [`Server`](crate::Server) does this when it stops.
    pub fn close(&self) {
        self.order.close();
    }

    /// The state of the jobs.
    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// What puts changes in order.
    pub(crate) fn order(&self) -> &dyn Order {
        &*self.order
    }

    /// A deletion.
    pub(crate) fn deletion(&self, only: Option<LifeId>) -> Change {
        let until_ms = self.ms_after(self.hub.config().deleted_for);
        Change::Delete { until_ms, only }
    }

    /// What a change with this key, which says this, is known by.
    fn once(&self, key: IdempotencyKey, content: Content) -> Once {
        Once {
            key,
            content,
            until_ms: self.ms_after(self.hub.config().idempotency_window),
        }
    }

    /// The millisecond of the unix clock so long from now, as the order has the time: that
    /// doesn't go back where somebody sets the clock back.
    fn ms_after(&self, time: Duration) -> u64 {
        let now_ms = now_ms().max(self.hub.time_ms());
        now_ms.saturating_add(in_ms(time))
    }

    fn begin_on(
        &self,
        job: &JobId,
        owner: Owner,
        after: After,
        terms: Terms,
    ) -> Result<LifeId, PublishError> {
        let change = Change::Begin {
            owner,
            after,
            terms,
        };
        self.put_one(job, change).map(LifeId)
    }

    /// What a worker's word is to change.
    fn proposal(&self, saying: Saying) -> Result<Proposal, PublishError> {
        let Saying {
            job,
            word,
            key,
            life,
        } = saying;
        let once = key.map(|key| Box::new(self.once(key, word.content())));
        let change = match word {
            Word::Alive(lease) => Change::Renew {
                lease,
                only: life,
                once,
            },
            Word::Event(event, lease) => {
                self.admit(&job, &event)?;
                let lease = lease.or_else(|| self.default_lease_of(&job));
                Change::Event {
                    event,
                    only: life.map(Only::Life),
                    terms: Terms {
                        lease,
                        once,
                        ..Terms::default()
                    },
                }
            }
        };
        Ok(Proposal { job, change })
    }

    /// The lease of a job of which nobody says one. Of an upload's the pipeline speaks, which
    /// has its own.
    fn default_lease_of(&self, job: &JobId) -> Option<Lease> {
        let lease = self.default_lease()?;
        let life = self.hub.life(job);
        let is_upload = life.is_some_and(|life| life.owner == Owner::Upload);
        (!is_upload).then_some(lease)
    }

    /// The lease of a worker's job that says none.
    fn default_lease(&self) -> Option<Lease> {
        self.hub.config().lease
    }

    fn put_one(&self, job: &JobId, change: Change) -> Result<EventId, PublishError> {
        let job = job.clone();
        let put = self.order.put_one(Proposal { job, change });
        put.inspect_err(|error| self.count(error))
    }

    /// Counts how long publishing has taken.
    fn measure(&self, began: Instant) {
        let took = clock::now().duration_since(began);
        self.hub.metrics().publish_latency.observe(took);
    }

    /// Counts what was refused at a limit.
    fn count(&self, error: &PublishError) {
        let limit = match error {
            PublishError::Full => Limit::Jobs,
            PublishError::Share => Limit::JobsPerAddress,
            PublishError::TooLarge { .. } => Limit::Event,
            PublishError::DiskFull => Limit::Journal,
            PublishError::Refused(_)
            | PublishError::ForeignJob
            | PublishError::DiskFailing
            | PublishError::Away
            | PublishError::NoRoom
            | PublishError::Denied => {
                return;
            }
        };
        self.hub.metrics().refused(limit);
    }

    fn admit(&self, job: &JobId, event: &Event) -> Result<(), PublishError> {
        let max_bytes = self.hub.config().event_bytes;
        if event.data().len() > max_bytes {
            return Err(PublishError::TooLarge { max_bytes });
        }
        if !event.speaks_for(job) {
            return Err(PublishError::ForeignJob);
        }
        Ok(())
    }
}

impl fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequencer").finish_non_exhaustive()
    }
}

fn in_ms(time: Duration) -> u64 {
    time.as_millis().min(u64::MAX.into()) as u64
}

/// Logs the end of a job, which somebody may wait for.
fn log_end(job: &JobId, change: &Change) {
    let Change::Event { event, .. } = change else {
        return;
    };
    if !event.name().is_terminal() || !log::log_enabled!(log::Level::Info) {
        return;
    }
    let name = event.name();
    let data =
        serde_json::from_slice::<serde_json::Value>(event.data().as_bytes()).unwrap_or_default();
    match data.get("message").and_then(|message| message.as_str()) {
        Some(message) => info!("job {job} ended: {name}: {message}"),
        None => info!("job {job} ended: {name}"),
    }
}
