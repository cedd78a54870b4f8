//! What happens to an upload after it has landed: its stages, one after the other, each
//! told as it goes.
//!
//! The invariant: an upload's folder, `uploads/<id>/`, is there until its job has ended
//! well, was cancelled, or has failed and isn't kept any more. Whatever ends the process, the
//! next one finds in it how far the job is, and goes on from there. It goes away by one
//! rename, so that there is no half of it.

mod attempt;
pub mod config;
mod durable;
mod ending;
mod herald;
mod kind;
mod queue;
mod record;
mod stage;
mod state;
mod stop;
mod tally;
mod task;
mod worker;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;

use crate::command::leftover::Mark;
use crate::event::job::JobId;
use crate::hub::Hub;
use crate::upload::{Landed, Landing};
use attempt::Attempt;
use config::{Kind, Plan};
use herald::Bell;
use queue::{Queue, Work};
pub use record::Record;
pub use stage::clamd::ClamdAddress;
use state::State;
use stop::Why;
pub use tally::StageCounts;
use tally::Tally;

/// How uploads are processed.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// The file that names the stages, `landfall.toml`. Default: none, and then it is
    /// scanning, transcoding and storing.
    pub file: Option<PathBuf>,
    /// Where clamd listens, for scanning that says nothing of it. Default: none.
    pub clamd: Option<ClamdAddress>,
    /// How long a failed job's upload is kept for a retry. Default: 24 h.
    pub keep_failed: Duration,
    /// How long what clamd found something in is kept. Default: 30 days.
    pub keep_quarantined: Duration,
}

impl Default for PipelineConfig {
    fn default() -> PipelineConfig {
        let hour = Duration::from_secs(60 * 60);
        PipelineConfig {
            file: None,
            clamd: None,
            keep_failed: 24 * hour,
            keep_quarantined: 30 * 24 * hour,
        }
    }
}

/// The pipeline of a server. A clone is another handle to the same.
#[derive(Clone)]
pub struct Pipeline(Arc<Inner>);

struct Inner {
    plan: Plan,
    config: PipelineConfig,
    hub: Hub,
    data: PathBuf,
    work: PathBuf,
    queues: Vec<Queue>,
    tallies: Vec<Tally>,
    jobs: Mutex<HashMap<JobId, Entry>>,
    bell: Bell,
    closed: AtomicBool,
}

/// A job that the pipeline has.
enum Entry {
    /// It is on its way.
    Active(Arc<Attempt>),
    /// It has failed, at this second of the unix clock, and may be tried again.
    Kept(Arc<Attempt>, u64),
}

/// Why a job isn't tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryError {
    /// It is on its way.
    Running,
    /// There is no failed job of this name whose upload is kept.
    NotKept,
}

impl Pipeline {
    /// Starts it on what is below `data`. What an earlier life left of commands and of
    /// temporary files goes; uploads that had landed come by [`Landing::land`]. Blocks.
    ///
    /// # Errors
    /// The file says something that can't be, or the directories can't be made.
    pub fn start(config: PipelineConfig, hub: Hub, data: &Path) -> io::Result<Pipeline> {
        let mut plan = match &config.file {
            Some(file) => Plan::read(file)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
            None => Plan::default(),
        };
        for stage in &mut plan.stages {
            if let Kind::Scan(options) = &mut stage.kind {
                options.clamd = options.clamd.take().or_else(|| config.clamd.clone());
            }
        }
        durable::create_folder(&data.join("work"))?;
        // Commands work elsewhere, so relative paths would mislead them.
        let data = data.canonicalize()?;
        let work = data.join("work");
        for root in stage::roots(&plan.stages, &work) {
            durable::create_folder(&root)
                .map_err(|error| io::Error::new(error.kind(), format!("{root:?}: {error}")))?;
            Mark::new(&root).kill_bearers();
            clear_root(&root, &data.join("uploads"))?;
        }
        durable::remove_folder(&data.join("files/tmp"));
        let pipeline = Pipeline(Arc::new(Inner {
            queues: plan.stages.iter().map(|_| Queue::default()).collect(),
            tallies: plan.stages.iter().map(|_| Tally::default()).collect(),
            plan,
            config,
            hub,
            work,
            data,
            jobs: Mutex::default(),
            bell: Bell::default(),
            closed: AtomicBool::new(false),
        }));
        herald::start(pipeline.clone())?;
        Ok(pipeline)
    }

    /// Where data is kept.
    pub fn data(&self) -> &Path {
        &self.0.data
    }

    /// Cancels a job: what works on it is stopped, its upload and its temporary files go,
    /// and nothing more is told of it. Of a job that has ended it lets go: its result stays
    /// among the files, and can't be downloaded by the job's name any more. False where
    /// there is no such job here. Blocks for the disk; when it returns, the job won't be
    /// taken up again after a restart.
    pub fn cancel(&self, job: &JobId) -> bool {
        let inner = &self.0;
        let entry = inner.jobs.lock().remove(job);
        let had_record = Record::remove(&inner.data, job).unwrap_or_else(|error| {
            log::error!("{job}: its record can't be removed: {error}");
            false
        });
        let attempt = match entry {
            None => return had_record,
            Some(Entry::Active(attempt) | Entry::Kept(attempt, _)) => attempt,
        };
        attempt.stop.say(Why::Cancelled);
        inner.discard(&attempt);
        if inner
            .queues
            .iter()
            .any(|queue| queue.remove(&attempt).is_some())
        {
            inner.bell.ring();
        }
        true
    }

    /// Tries a failed job again, from its first stage, and returns the attempt's number.
    /// What was told of it is forgotten, and ids go on above. Blocks for the disk.
    ///
    /// # Errors
    /// See [`RetryError`].
    pub fn retry(&self, job: &JobId) -> Result<u32, RetryError> {
        let inner = &self.0;
        let mut jobs = inner.jobs.lock();
        let old = match jobs.get(job) {
            Some(Entry::Active(attempt)) if !attempt.is_over() => return Err(RetryError::Running),
            Some(Entry::Kept(attempt, _)) => attempt.clone(),
            Some(Entry::Active(_)) | None => return Err(RetryError::NotKept),
        };
        old.stop.say(Why::Cancelled);
        let landed = &old.landed;
        let state = State::new(old.number.saturating_add(1), &landed.path, &landed.name);
        if let Err(error) = state.save(landed.folder()) {
            // It runs all the same; after a restart it will have failed.
            log::error!("{job}: its new attempt can't be kept: {error}");
        }
        inner.hub.forget(job);
        let attempt = inner.attempt(landed.clone(), state.attempt);
        jobs.insert(job.clone(), Entry::Active(attempt.clone()));
        drop(jobs);
        self.enqueue(Work::new(attempt, state));
        Ok(old.number.saturating_add(1))
    }

    /// Says that everything is to stop: commands are ended, and every stage that is at work
    /// begins anew when the server is back. Returns at once.
    pub fn halt(&self) {
        let inner = &self.0;
        inner.closed.store(true, Ordering::Release);
        for entry in inner.jobs.lock().values() {
            if let Entry::Active(attempt) = entry {
                attempt.stop.say(Why::Stopping);
            }
        }
        inner.queues.iter().for_each(Queue::close);
        inner.bell.ring();
    }

    /// The same, and blocks until everything has stopped, or `deadline` has passed. Returns
    /// whether everything has.
    pub fn stop(&self, deadline: Instant) -> bool {
        self.halt();
        let mut queues = self.0.queues.iter();
        queues.all(|queue| queue.wait_idle(deadline))
    }

    /// Puts work into the line for its next stage.
    fn enqueue(&self, mut work: Work) {
        let inner = &self.0;
        let index = work.state.completed.len();
        let stage = &inner.plan.stages[index];
        let attempt = work.attempt.clone();
        attempt.wait_for(index);
        let queue = &inner.queues[index];
        if index == 0 {
            work.told = queue.len() + 1;
            attempt.queued(index, &stage.name, work.told);
        }
        if queue.push(Box::new(work), stage.concurrency) {
            worker::start(self.clone(), index);
        }
        inner.bell.ring();
        // Whoever cancelled it in between didn't find it here.
        if attempt.stop.said() == Some(Why::Cancelled) {
            queue.remove(&attempt);
        }
    }
}

impl Landing for Pipeline {
    fn stages(&self) -> usize {
        self.0.plan.stages.len()
    }

    fn land(&self, landed: Landed) {
        let inner = &self.0;
        if inner.closed.load(Ordering::Acquire) {
            // It is on disk, and the next life takes it up.
            return;
        }
        // The same file, by a path that is good everywhere.
        let folder = inner.data.join("uploads").join(landed.upload.to_string());
        let landed = Arc::new(Landed {
            path: folder.join("data"),
            ..landed
        });
        let job = landed.job.clone();
        let known = State::read(&folder).unwrap_or_else(|error| {
            log::error!("{job}: how far it was can't be read, so it begins anew: {error}");
            None
        });
        let new = || State::new(1, &landed.path, &landed.name);
        let mut state = known.unwrap_or_else(new);
        let attempt = inner.attempt(landed.clone(), state.attempt);
        let mut jobs = inner.jobs.lock();
        if jobs.contains_key(&job) {
            let upload = landed.upload;
            return log::error!("{job}: it has an upload already; {upload} stays where it is");
        }
        if let Some(failed) = state.failure.clone().filter(|failed| !failed.is_infected) {
            jobs.insert(job, Entry::Kept(attempt.clone(), failed.at));
            drop(jobs);
            inner.tell_again(&attempt, "error", &failed.data(attempt.number));
            return;
        }
        jobs.insert(job, Entry::Active(attempt.clone()));
        drop(jobs);
        if let Some(failed) = &state.failure {
            if inner.tell_again(&attempt, "error", &failed.data(attempt.number)) {
                inner.quarantine(&attempt);
            }
            return;
        }
        if let Some(Value::Object(done)) = &state.done {
            if inner.tell_again(&attempt, "done", done) {
                inner.settle(&attempt);
            }
            return;
        }
        let stages = &inner.plan.stages;
        let is_of_plan = state.completed.len() < stages.len()
            && stages
                .iter()
                .zip(&state.completed)
                .all(|(s, name)| s.name == *name);
        if !is_of_plan || !state.current.is_file() {
            let running = state.running.take();
            state = State::new(attempt.number, &landed.path, &landed.name);
            state.running = running;
        }
        let upload = landed.upload.to_string();
        stage::clean(stages, &upload, &inner.work, Some(&state.current));
        self.enqueue(Work::new(attempt, state));
    }
}

impl Inner {
    fn attempt(&self, landed: Arc<Landed>, number: u32) -> Arc<Attempt> {
        Arc::new(Attempt::new(
            landed,
            number,
            &self.hub,
            self.plan.stages.len(),
        ))
    }
}

impl Entry {
    fn is_of(&self, attempt: &Arc<Attempt>) -> bool {
        match self {
            Entry::Active(other) | Entry::Kept(other, _) => Arc::ptr_eq(other, attempt),
        }
    }
}

/// Removes what stages made for uploads that aren't there any more.
fn clear_root(root: &Path, uploads: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if !uploads.join(entry.file_name()).is_dir() {
            durable::remove_folder(&entry.path());
        }
    }
    Ok(())
}
