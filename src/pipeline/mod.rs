//! What happens to an upload after it has landed: its stages, one after the other, each
//! told as it goes.
//!
//! Two invariants:
//! - An upload's folder, `uploads/<id>/`, is there until its job has ended well, its life is
//!   over, or it has failed and isn't kept any more. Whatever ends the process, the next one
//!   finds in it how far the job is, and goes on from there. It goes away by one rename, so
//!   that there is no half of it.
//! - An upload is of one life of its job, and nothing is told to another. Who ends that life
//!   has the upload cancelled afterwards; who takes up an upload, or makes something for it,
//!   looks afterwards whether its life goes on.

mod attempt;
pub mod config;
pub(crate) mod durable;
mod ending;
mod environment;
mod herald;
pub mod kind;
mod queue;
mod record;
mod retry;
mod scratch;
pub mod shown;
pub mod stage;
mod state;
mod stop;
mod tally;
pub mod task;
mod worker;

use std::collections::{HashMap, hash_map};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::access::places::Place;
use crate::command::{self, leftover::Mark};
use crate::event::job::{JobId, LifeId};
use crate::sequencer::{PublishError, Sequencer};
use crate::upload::{Landed, Landing, UploadId};
use attempt::Attempt;
pub use config::ClamdAddress;
use config::{Kind, StagePlan};
use herald::Bell;
use queue::{Queue, Work};
pub use record::StoredRecord;
pub use retry::RetryError;
use scratch::Scratches;
use state::FileState;
use stop::{Hurry, Why};
pub use tally::StageCounts;
use tally::Tally;

/// How uploads are processed.
///
/// See [`ServerConfig`](crate::ServerConfig).
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// The file that names the stages, `landfall.toml`. Default: none, and then it is
    /// scanning, transcoding and storing.
    pub file: Option<PathBuf>,
    /// The keys at the top of that file that others read. Default: none.
    pub beside: Vec<String>,
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
            beside: Vec::new(),
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
    plan: StagePlan,
    config: PipelineConfig,
    jobs: Sequencer,
    data: PathBuf,
    scratches: Scratches,
    queues: Vec<Queue>,
    tallies: Vec<Tally>,
    lives: Mutex<HashMap<LifeId, Entry>>,
    /// Held by who begins a life in the place of one whose upload may be kept, and by who
    /// looks after what is kept.
    turn: Mutex<()>,
    bell: Bell,
    closed: AtomicBool,
    hurry: Hurry,
}

/// A life that the pipeline has the upload of.
enum Entry {
    /// It is on its way, and has a place among those that are or wait for that.
    Active {
        attempt: Arc<Attempt>,
        _place: Option<Place>,
    },
    /// It has failed, at this second of the unix clock, and may be tried again.
    Kept(Arc<Attempt>, u64),
}

impl Pipeline {
    /// Starts it on what is below `data`. What an earlier process left of commands and of
    /// temporary files goes; uploads that had landed come by [`Landing::land`]. Blocks.
    ///
    /// # Errors
    /// The file says something that can't be, or the directories can't be made.
    pub fn start(config: PipelineConfig, jobs: Sequencer, data: &Path) -> io::Result<Pipeline> {
        let mut plan = match &config.file {
            Some(file) => StagePlan::read(file, &config.beside)
                .map_err(|wrong| io::Error::new(io::ErrorKind::InvalidInput, wrong.join("; ")))?,
            None => StagePlan::default(),
        };
        for stage in &mut plan.stages {
            if let Kind::Scan(options) = &mut stage.kind {
                options.clamd = options.clamd.take().or_else(|| config.clamd.clone());
            }
        }
        durable::create_folder(&data.join("work"))?;
        // Commands work elsewhere, so relative paths would mislead them.
        let data = data.canonicalize()?;
        let uploads = data.join("uploads");
        let scratches = Scratches::open(&plan.stages, &data)?;
        for scratch in scratches.all() {
            Mark::new(scratch.path()).kill_bearers();
            scratch.clear(|upload| uploads.join(upload.to_string()).is_dir())?;
        }
        durable::remove_folder(&data.join("files/tmp"));
        StoredRecord::carry_over(&data, jobs.hub());
        let pipeline = Pipeline(Arc::new(Inner {
            queues: plan.stages.iter().map(|_| Queue::default()).collect(),
            tallies: plan.stages.iter().map(|_| Tally::default()).collect(),
            plan,
            config,
            jobs,
            scratches,
            data,
            lives: Mutex::default(),
            turn: Mutex::default(),
            bell: Bell::default(),
            closed: AtomicBool::new(false),
            hurry: Hurry::new(),
        }));
        command::cage::look();
        herald::start(pipeline.clone())?;
        Ok(pipeline)
    }

    /// Cancels what is done for a life of a job that is over: what works on it is stopped,
    /// its upload and its temporary files go, and what a download goes by. Its result stays
    /// among the files. Blocks for the disk.
    pub fn cancel(&self, job: &JobId, life: LifeId) {
        let inner = &self.0;
        let entry = inner.lives.lock().remove(&life);
        let Some(Entry::Active { attempt, .. } | Entry::Kept(attempt, _)) = entry else {
            return StoredRecord::remove(&inner.data, job, life);
        };
        attempt.stop.say(Why::Cancelled);
        inner.let_go(&attempt);
        let mut queues = inner.queues.iter();
        if queues.any(|queue| queue.remove(&attempt).is_some()) {
            inner.bell.ring();
        }
    }

    /// Whoever ended a life before it was here didn't find it, so that is looked for now.
    /// Blocks for the disk.
    fn cancel_unless_current(&self, job: &JobId, life: LifeId) {
        if !self.0.jobs.hub().is_current(job, life) {
            self.cancel(job, life);
        }
    }

    /// Cancels what is done for lives that are over, where whoever ended them didn't. Blocks
    /// for the disk.
    fn cancel_lapsed(&self) {
        let inner = &self.0;
        let mut lapsed = Vec::new();
        for (&life, entry) in &*inner.lives.lock() {
            let (Entry::Active { attempt, .. } | Entry::Kept(attempt, _)) = entry;
            let job = &attempt.landed.job;
            if !inner.jobs.hub().is_current(job, life) {
                lapsed.push((job.clone(), life));
            }
        }
        for (job, life) in lapsed {
            self.cancel(&job, life);
        }
    }

    /// Says that uploads are on their way, where no stage has said anything of them.
    fn keep_alive(&self) {
        let inner = &self.0;
        let lives = inner.lives.lock();
        let active = lives.iter().filter_map(|(&life, entry)| match entry {
            Entry::Active { attempt, .. } => Some((attempt.landed.job.clone(), life)),
            Entry::Kept(..) => None,
        });
        let active: Vec<_> = active.collect();
        drop(lives);
        inner.jobs.keep_alive(active);
    }

    /// Says that everything is to stop: commands are ended, and every stage that is at work
    /// begins anew when the server is back. Returns at once.
    pub fn halt(&self) {
        let inner = &self.0;
        inner.closed.store(true, Ordering::Release);
        for entry in inner.lives.lock().values() {
            if let Entry::Active { attempt, .. } = entry {
                attempt.stop.say(Why::Stopping);
            }
        }
        inner.queues.iter().for_each(Queue::close);
        inner.bell.ring();
    }

    /// The same, and commands are killed whatever they were given to end. Returns at once.
    pub fn hurry(&self) {
        self.halt();
        self.0.hurry.say();
    }

    /// The same as [`Pipeline::halt`], and blocks until everything has stopped, or `deadline` has passed. Returns
    /// whether everything has.
    pub fn stop(&self, deadline: Instant) -> bool {
        self.halt();
        drop(self.0.turn.lock());
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
            work.tell(queue.len() + 1, Instant::now());
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

    fn land(&self, landed: Landed, place: Option<Place>) {
        let inner = &self.0;
        if inner.closed.load(Ordering::Acquire) {
            // It is on disk, and the next process takes it up.
            return;
        }
        // The same file, by a path that is good everywhere.
        let folder = inner.data.join("uploads").join(landed.upload.to_string());
        let landed = Arc::new(Landed {
            path: folder.join("data"),
            ..landed
        });
        let (job, life) = (landed.job.clone(), landed.life);
        let mut state = FileState::of(&landed);
        let attempt = inner.attempt(landed.clone(), state.attempt);
        let failed = state.failure.clone();
        let entry = match failed.as_ref().filter(|failed| !failed.is_infected) {
            Some(failed) => Entry::Kept(attempt.clone(), failed.at),
            None => Entry::Active {
                attempt: attempt.clone(),
                _place: place,
            },
        };
        match inner.lives.lock().entry(life) {
            hash_map::Entry::Vacant(place) => place.insert(entry),
            hash_map::Entry::Occupied(_) => {
                let upload = landed.upload;
                return log::error!("{job}: it has an upload already; {upload} stays where it is");
            }
        };
        self.cancel_unless_current(&job, life);
        if inner.ends_as_before(&attempt, &state) {
            return;
        }
        let is_here = state.current == landed.path || inner.scratches.hold(&state.current);
        if !inner.is_of_plan(&state) || !is_here || !state.current.is_file() {
            let running = state.running.take();
            state = FileState::new(attempt.number, &landed);
            state.running = running;
        }
        let upload = landed.upload.to_string();
        inner.scratches.clean(&upload, Some(&state.current));
        self.enqueue(Work::new(attempt, state));
    }

    fn take_over(
        &self,
        job: &JobId,
        begin: &dyn Fn() -> Result<LifeId, PublishError>,
    ) -> Result<LifeId, PublishError> {
        let _turn = self.0.turn.lock();
        let before = self.0.jobs.hub().life(job);
        let life = begin()?;
        if let Some(before) = before {
            self.cancel(job, before.id());
        }
        Ok(life)
    }

    fn discard(&self, upload: UploadId) {
        self.0.discard(upload);
    }
}

impl Inner {
    fn is_of_plan(&self, state: &FileState) -> bool {
        let stages = &self.plan.stages;
        let mut both = stages.iter().zip(&state.completed);
        state.completed.len() < stages.len() && both.all(|(stage, name)| stage.name == *name)
    }

    fn attempt(&self, landed: Arc<Landed>, number: u32) -> Arc<Attempt> {
        Arc::new(Attempt::new(
            landed,
            number,
            &self.jobs,
            self.plan.stages.len(),
            self.hurry.receiver(),
        ))
    }
}
