//! What must hold of the jobs: every entry that was applied, and what it has made of its job.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::rules;
use crate::event::Event;
use crate::event::job::{EventId, JobId, JobState};
use crate::hub::{Change, Entry, Hub, Life, LifeState, Listing, Once, Only, Refusal};
use crate::sequencer::Proposal;
use crate::sequencer::journal::by_hand::ToldOf;
use crate::sys::clock;

/// All that was ever applied.
pub struct Model {
    pub jobs: Vec<JobModel>,
    numbers: HashMap<JobId, usize>,
    /// What streams are to show, by number.
    pub told: BTreeMap<u64, Told>,
    /// The highest number that was ever given.
    pub newest: u64,
    /// The time of the newest entry.
    pub time_ms: u64,
    /// All that was applied and isn't lost.
    pub entries: Vec<(EventId, Entry)>,
    /// A running job that has been quiet for longer may be forgotten.
    pub abandoned_ms: u64,
    /// What a start has found above this number may not be on the medium.
    pub settled: Option<u64>,
    /// Entries that a server must not lose with the power.
    pub promised: BTreeSet<u64>,
}

/// A job.
pub struct JobModel {
    pub name: JobId,
    /// What it has come to, and by which entries.
    pub history: Vec<(u64, Option<Life>)>,
    /// What of it streams still are to show.
    live: Vec<u64>,
    /// The changes that came with keys, the first in front.
    keys: Vec<(EventId, Once)>,
    /// What came up to this number may be there or not: a disk has lost what lies between.
    pub uncertain: u64,
}

/// A frame that streams are to show.
#[derive(Clone, Debug)]
pub struct Told {
    pub job: usize,
    pub event: String,
    pub data: String,
    /// The life that it is of.
    pub life: EventId,
    /// The step in which its life was deleted or replaced: nobody is to see it since.
    pub void_since: Option<u64>,
    /// Its job was forgotten: who hasn't seen it is to hear that it is gone.
    pub is_forgotten: bool,
}

impl Model {
    pub fn new(names: &[JobId]) -> Model {
        let job = |name: &JobId| JobModel {
            name: name.clone(),
            history: vec![(0, None)],
            live: Vec::new(),
            keys: Vec::new(),
            uncertain: 0,
        };
        Model {
            jobs: names.iter().map(job).collect(),
            numbers: names.iter().cloned().zip(0..).collect(),
            told: BTreeMap::new(),
            newest: 0,
            time_ms: 0,
            entries: Vec::new(),
            abandoned_ms: 0,
            settled: None,
            promised: BTreeSet::new(),
        }
    }

    /// The time, as the order has it.
    pub fn now_ms(&self) -> u64 {
        clock::now_ms().max(self.time_ms)
    }

    pub fn number_of(&self, name: &JobId) -> usize {
        self.numbers[name]
    }

    /// Takes an entry that the server has applied. Panics where it mustn't have.
    pub fn apply(&mut self, id: EventId, entry: &Entry, step: u64) {
        assert!(
            id.0 > self.newest,
            "{id} was given, and {} before it",
            self.newest
        );
        assert!(entry.time_ms >= self.time_ms, "{id}: time goes back");
        if let Err(refusal) = self.take(id, entry, step) {
            panic!("{id} of {} was accepted: {refusal:?}", entry.job);
        }
    }

    /// Takes an entry that was accepted.
    fn take(&mut self, id: EventId, entry: &Entry, step: u64) -> Result<(), Refusal> {
        let number = self.number_of(&entry.job);
        self.newest = id.0;
        self.time_ms = entry.time_ms;
        self.entries.push((id, entry.clone()));
        // A deletion is let go of by an entry of its own, or by the next of another kind.
        if !matches!(entry.change, Change::Forget { .. }) {
            self.let_deletions_go();
        }
        let before = self.jobs[number].life().cloned();
        self.jobs[number].check_key(entry)?;
        let after = rules::next(before.as_ref(), id, entry)?;
        if let Change::Event {
            only: Some(Only::Entry(_)),
            ..
        } = entry.change
        {
            let has_lease = before.as_ref().is_some_and(|life| life.lease.is_some());
            assert!(has_lease, "{id}: {} has ended by itself", entry.job);
        }
        if let Change::Forget { .. } = entry.change {
            let may_be = before.as_ref().is_some_and(|life| {
                let abandoned = life.updated_ms + self.abandoned_ms < entry.time_ms;
                life.is_over() || abandoned
            });
            assert!(may_be, "{id}: {} goes on, and is forgotten", entry.job);
        }
        let is_replaced = matches!(entry.change, Change::Begin { .. })
            && before
                .as_ref()
                .is_some_and(|life| life.state == LifeState::Running);
        let began = |life: &Option<Life>| life.as_ref().map_or(EventId(0), |life| life.began);
        let (previous, life) = (began(&before), began(&after));
        match &entry.change {
            Change::Event { event, .. } => {
                let data = told_data(event, &entry.job);
                self.tell(id, number, event.name().as_str(), data, life);
            }
            Change::Renew { .. } | Change::Cancel { .. } => {}
            Change::Begin { .. } if !is_replaced => {}
            Change::Begin { .. } | Change::Delete { .. } => {
                self.make_void(number, previous, step);
                let data = data_of(&entry.job, "{}");
                self.tell(id, number, "deleted", data, previous);
            }
            Change::Forget { .. } => self.forget(number),
        }
        let job = &mut self.jobs[number];
        if !job.remembers_at(entry.time_ms) || after.is_none() {
            job.keys.clear();
        }
        job.keys.extend(entry.change.once().map(|once| (id, *once)));
        job.history.push((id.0, after));
        Ok(())
    }

    /// A disk has lost these entries. Returns the jobs of which it can't be known what they
    /// have come to: some of what came later is there, or a checkpoint has been `told` of it.
    pub fn lose(&mut self, is_lost: impl Fn(u64) -> bool, told: &ToldOf) -> BTreeSet<usize> {
        if !self.entries.iter().any(|(id, _)| is_lost(id.0)) {
            return BTreeSet::new();
        }
        let was_uncertain = |job: &usize| self.jobs[*job].uncertain > 0;
        let mut uncertain: BTreeSet<_> = (0..self.jobs.len()).filter(was_uncertain).collect();
        let names: Vec<_> = self.jobs.iter().map(|job| job.name.clone()).collect();
        let before = std::mem::replace(self, Model::new(&names));
        self.abandoned_ms = before.abandoned_ms;
        self.promised = before.promised;
        let mut has_lost = BTreeSet::new();
        for (id, entry) in before.entries {
            let job = self.number_of(&entry.job);
            if is_lost(id.0) {
                has_lost.insert(job);
                if told.has(entry.job.as_str(), id) {
                    uncertain.insert(job);
                }
                continue;
            }
            if has_lost.contains(&job) {
                uncertain.insert(job);
            }
            if uncertain.contains(&job) {
                self.take_uncertain(id, &entry);
            } else {
                let taken = self.take(id, &entry, 0);
                assert!(taken.is_ok(), "{id} was accepted");
            }
        }
        // Nobody promised what was found and never brought to the medium, nor its numbers.
        self.newest = self.newest.max(before.settled.unwrap_or(before.newest));
        uncertain
    }

    /// Whether an entry is accepted.
    pub fn accepts(&self, id: EventId, entry: &Entry) -> bool {
        let job = &self.jobs[self.number_of(&entry.job)];
        job.check_key(entry).is_ok() && rules::next(job.life(), id, entry).is_ok()
    }

    /// Takes an entry of a job of which it isn't known what it has come to.
    pub fn take_uncertain(&mut self, id: EventId, entry: &Entry) {
        let taken = self.take(id, entry, 0);
        let number = self.number_of(&entry.job);
        match &entry.change {
            Change::Event { event, .. } if taken.is_err() => {
                let data = told_data(event, &entry.job);
                self.tell(id, number, event.name().as_str(), data, EventId(0));
            }
            Change::Begin { .. } | Change::Delete { .. } => {
                self.told.entry(id.0).or_insert(Told {
                    job: number,
                    event: "deleted".into(),
                    data: data_of(&entry.job, "{}"),
                    life: EventId(0),
                    void_since: None,
                    is_forgotten: false,
                });
            }
            _ => {}
        }
    }

    /// What a job has come to is what the server says.
    pub fn adopt(&mut self, job: usize, hub: &Hub) {
        let life = hub.life(&self.jobs[job].name);
        let newest = self.newest;
        self.jobs[job].uncertain = newest;
        self.jobs[job].history.push((newest, life));
        self.jobs[job].keys = keys_of(hub, &self.jobs[job].name);
    }

    /// Whether a change is one that was made already, by this entry: by its key, or as the
    /// worker was asked to end the job before.
    pub fn is_again(&self, id: EventId, proposal: &Proposal) -> bool {
        let mut entries = self.entries.iter().rev();
        let Some((_, entry)) = entries.find(|(of, _)| *of == id) else {
            return false;
        };
        let is_same = match (&entry.change, &proposal.change) {
            (Change::Cancel { .. }, Change::Cancel { .. }) => true,
            (one, other) => one
                .once()
                .zip(other.once())
                .is_some_and(|(one, other)| one.key == other.key && one.content == other.content),
        };
        is_same && entry.job == proposal.job
    }

    fn tell(&mut self, id: EventId, job: usize, event: &str, data: String, life: EventId) {
        let told = Told {
            job,
            event: event.to_owned(),
            data,
            life,
            void_since: None,
            is_forgotten: false,
        };
        self.told.insert(id.0, told);
        self.jobs[job].live.push(id.0);
    }

    /// Nobody is to see anything of a life from now on.
    fn make_void(&mut self, job: usize, life: EventId, step: u64) {
        for id in &self.jobs[job].live {
            if let Some(told) = self.told.get_mut(id)
                && told.life == life
            {
                told.void_since = Some(step);
            }
        }
    }

    fn forget(&mut self, job: usize) {
        let job = &mut self.jobs[job];
        for id in job.live.drain(..) {
            if let Some(told) = self.told.get_mut(&id) {
                told.is_forgotten = true;
            }
        }
    }

    /// Deletions are remembered for a time.
    fn let_deletions_go(&mut self) {
        for job in 0..self.jobs.len() {
            let life = self.jobs[job].life();
            if life.is_some_and(|life| life.is_forgotten_at(self.time_ms)) {
                self.forget(job);
                let newest = self.newest;
                self.jobs[job].history.push((newest, None));
            }
        }
    }

    /// Whether it is progress, and newer progress of its job has come.
    pub fn is_replaced(&self, id: u64, told: &Told) -> bool {
        let is_progress = |it: &Told| it.event == "progress" && it.job == told.job;
        let mut newer = self.told.range(id + 1..);
        is_progress(told) && newer.any(|(_, it)| is_progress(it))
    }

    /// Whether an event is of a job that is forgotten by now.
    pub fn is_forgotten(&self, told: &Told) -> bool {
        let life = self.jobs[told.job].life();
        let now_ms = self.now_ms();
        told.is_forgotten || life.is_some_and(|life| life.is_forgotten_at(now_ms))
    }

    /// Whether a refusal is right at one of a job's states since the number `since`.
    pub fn may_refuse(&self, entry: &Entry, refusal: Refusal, since: u64) -> bool {
        let job = &self.jobs[self.number_of(&entry.job)];
        let first = job.history.partition_point(|&(id, _)| id <= since);
        let states = &job.history[first.saturating_sub(1)..];
        let id = EventId(self.newest + 1);
        if refusal == Refusal::OtherContent {
            // One that is let go of meanwhile may still have been known when it was asked.
            return self.entries.iter().any(|(_, it)| {
                let both = it.change.once().zip(entry.change.once());
                it.job == entry.job
                    && both.is_some_and(|(one, other)| {
                        one.key == other.key
                            && one.content != other.content
                            && one.until_ms > entry.time_ms
                    })
            });
        }
        states
            .iter()
            .any(|(_, life)| rules::next(life.as_ref(), id, entry) == Err(refusal))
    }

    /// Holds what the server says of a job against what it must be.
    pub fn check(&self, hub: &Hub, number: usize) {
        let job = &self.jobs[number];
        let name = &job.name;
        let now_ms = self.now_ms();
        let remembered = |life: &Life| !life.is_forgotten_at(now_ms);
        let expected = job.life().cloned().filter(remembered);
        let life = hub.life(name).filter(remembered);
        assert_eq!(life, expected, "what {name} has come to");
        let snapshot = hub.snapshot(name);
        if expected.is_some() {
            let known = |mut keys: Vec<(EventId, Once)>| {
                keys.retain(|(_, once)| once.until_ms > now_ms);
                keys
            };
            let there = known(keys_of(hub, name));
            assert_eq!(there, known(job.keys.clone()), "the keys of {name}");
        }
        let Some(life) = expected.filter(|life| !life.is_deleted()) else {
            assert_eq!(snapshot, None, "there is no job {name}");
            return;
        };
        let snapshot = snapshot.unwrap_or_else(|| panic!("{name} has no snapshot"));
        let state = match life.state {
            LifeState::Done => JobState::Done,
            LifeState::Failed => JobState::Failed,
            _ => JobState::Running,
        };
        assert_eq!(snapshot.state, state, "{name}'s snapshot");
        assert_eq!(snapshot.began, life.began, "{name}'s snapshot");
        if job.uncertain >= life.began.0 {
            return;
        }
        let newest = job.live.last().map(|id| (*id, &self.told[id]));
        let newest = newest.filter(|(_, told)| told.life == life.began && told.event != "deleted");
        let expected = newest.map(|(id, _)| EventId(id));
        assert_eq!(snapshot.last_event_id, expected, "{name}'s snapshot");
        let expected = newest.map(|(_, told)| (told.event.clone(), told.data.clone()));
        assert_eq!(snapshot.last_event, expected, "{name}'s snapshot");
    }

    /// The same for all, and for the list of them.
    pub fn check_all(&self, hub: &Hub) {
        (0..self.jobs.len()).for_each(|job| self.check(hub, job));
        let mut expected: Vec<_> = self.jobs.iter().filter(|job| job.is_there()).collect();
        expected.sort_by(|a, b| a.name.cmp(&b.name));
        let expected: Vec<_> = expected.iter().map(|job| job.name.clone()).collect();
        let listed: Vec<_> = hub.snapshots().into_iter().map(|it| it.job).collect();
        assert_eq!(listed, expected, "the list of jobs");
        assert_eq!(hub.jobs(), expected.len(), "the number of jobs");
        let rings = self.jobs.iter().filter_map(|job| hub.find(&job.name));
        let bytes: usize = rings.map(|it| it.lock().ring().allocated_bytes()).sum();
        assert_eq!(hub.ring_bytes(), bytes, "the memory of all rings");
        self.check_list(hub);
    }
}

impl Model {
    /// Holds the list, read in small pages, against the lives that there are.
    fn check_list(&self, hub: &Hub) {
        let began = |job: &JobModel| Some((job.life()?.began, job.name.clone()));
        let there = self.jobs.iter().filter(|job| job.is_there());
        let mut expected: Vec<_> = there.filter_map(began).collect();
        expected.sort_by(|a, b| b.cmp(a));
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let page = hub.list(&Listing {
                prefix: "",
                state: None,
                after,
                limit: 3,
                bytes: usize::MAX,
            });
            assert_eq!(page.at, hub.published(), "the number of the list");
            let jobs = page.jobs.into_iter();
            listed.extend(jobs.map(|it| (it.began, it.job)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed, expected, "the list of jobs, the newest first");
    }
}

/// The keys that the server knows of a job.
fn keys_of(hub: &Hub, job: &JobId) -> Vec<(EventId, Once)> {
    let job = hub.find(job);
    let keys = job.map(|job| {
        job.lock()
            .keys()
            .iter()
            .map(|it| (it.id, it.once))
            .collect()
    });
    keys.unwrap_or_default()
}

impl JobModel {
    /// What becomes of a change with a key, by those before it.
    fn check_key(&self, entry: &Entry) -> Result<(), Refusal> {
        let Some(once) = entry.change.once() else {
            return Ok(());
        };
        if !self.remembers_at(entry.time_ms) {
            return Ok(());
        }
        let mut known = self.keys.iter().rev();
        match known.find(|(_, it)| it.key == once.key) {
            Some((_, it)) if it.until_ms <= entry.time_ms => Ok(()),
            Some((id, it)) if it.content == once.content => Err(Refusal::Again(*id)),
            Some(_) => Err(Refusal::OtherContent),
            None => Ok(()),
        }
    }

    fn remembers_at(&self, now_ms: u64) -> bool {
        self.life()
            .is_some_and(|life| !life.is_forgotten_at(now_ms))
    }

    /// What it has come to.
    pub fn life(&self) -> Option<&Life> {
        self.history.last()?.1.as_ref()
    }

    /// Whether there is a job of that name.
    pub fn is_there(&self) -> bool {
        self.life().is_some_and(|life| !life.is_deleted())
    }

    /// The newest number that a stream is to show.
    pub fn newest(&self) -> Option<u64> {
        self.live.last().copied()
    }
}

/// The data of an event on the wire.
fn told_data(event: &Event, job: &JobId) -> String {
    if event.names_its_job() {
        event.data().to_owned()
    } else {
        data_of(job, event.data())
    }
}

/// The same of one that doesn't name its job.
fn data_of(job: &JobId, data: &str) -> String {
    let rest = data.strip_prefix('{').expect("it is an object");
    let comma = if rest == "}" { "" } else { "," };
    format!("{{\"jobId\":\"{}\"{comma}{rest}", job.as_str())
}
