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
mod ending;
mod environment;
mod herald;
pub mod kind;
mod line;
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

use parking_lot::{Mutex, RwLock};

use crate::access::places::Place;
use crate::command::{self, leftover::LeftoverMark};
use crate::event::job::{JobId, LifeId};
use crate::http::Address;
use crate::sequencer::{PublishError, Sequencer};
use crate::sys::durable;
use crate::upload::{Landed, Landing, UploadId};
use attempt::Attempt;
use herald::Bell;
use line::{Line, Ticket, Work};
pub use record::StoredRecord;
pub use retry::RetryError;
use state::FileState;
use stop::{Hurry, Why};
pub use tally::StageCounts;

const HOUR: Duration = Duration::from_secs(60 * 60);

crate::sys::config::config! {
    /// How uploads are processed.
    ///
    /// See [`ServerConfig`](crate::ServerConfig).
    pub struct PipelineConfig {
        /// The file that names the stages, `landfall.toml`. Default: none, and then it is
        /// scanning, transcoding and storing.
        pub file: Option<PathBuf> = None,
        /// The keys at the top of that file that others read. Default: none.
        pub beside: Vec<String> = Vec::new(),
        /// Where clamd listens, for scanning that says nothing of it. Default: none.
        pub clamd: Option<Address> = None,
        /// How long a failed job's upload is kept for a retry. Default: 24 h.
        pub keep_failed: Duration = 24 * HOUR,
        /// How long what clamd found something in is kept. Default: 30 days.
        pub keep_quarantined: Duration = 30 * 24 * HOUR,
    }
}

/// The pipeline of a server. A clone is another handle to the same.
#[derive(Clone)]
pub struct Pipeline(Arc<PipelineCore>);

struct PipelineCore {
    /// The last is what new files go through.
    lines: RwLock<Vec<Arc<Line>>>,
    config: RwLock<PipelineConfig>,
    jobs: Sequencer,
    data: PathBuf,
    lives: Mutex<HashMap<LifeId, UploadLife>>,
    /// Held by who begins a life in the place of one whose upload may be kept, and by who
    /// looks after what is kept.
    turn: Mutex<()>,
    bell: Bell,
    closed: AtomicBool,
    hurry: Hurry,
}

/// A life that the pipeline has the upload of.
enum UploadLife {
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
        durable::create_folder(&data.join("work"))?;
        // Commands work elsewhere, so relative paths would mislead them.
        let data = data.canonicalize()?;
        let uploads = data.join("uploads");
        let line = Line::new(&config, &data, None)?;
        for scratch in line.scratches.all() {
            LeftoverMark::new(scratch.path()).kill_bearers();
            scratch.clear(|upload| uploads.join(upload.to_string()).is_dir())?;
        }
        durable::remove_folder(&data.join("files/tmp"));
        StoredRecord::carry_over(&data, jobs.hub());
        let pipeline = Pipeline(Arc::new(PipelineCore {
            lines: RwLock::new(vec![Arc::new(line)]),
            config: RwLock::new(config),
            jobs,
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

    /// Takes another configuration: uploads that land from now on, and those that are tried
    /// again, go through the stages that it names. Blocks for the disk.
    ///
    /// # Errors
    /// The file says something that can't be, or a directory can't be made. Nothing has changed
    /// then.
    pub fn reload(&self, config: PipelineConfig) -> io::Result<()> {
        let inner = &self.0;
        let now = inner.line();
        let next = Line::new(&config, &inner.data, Some(&now))?;
        *inner.config.write() = config;
        if !next.is_like(&now) {
            let mut lines = inner.lines.write();
            lines.push(Arc::new(next));
            if inner.closed.load(Ordering::Acquire) {
                lines.iter().for_each(|line| line.close());
            }
        }
        inner.bell.ring();
        Ok(())
    }

    /// Cancels what is done for a life of a job that is over: what works on it is stopped,
    /// its upload and its temporary files go, and what a download goes by. Its result stays
    /// among the files. Blocks for the disk.
    pub fn cancel(&self, job: &JobId, life: LifeId) {
        let inner = &self.0;
        let entry = inner.lives.lock().remove(&life);
        let Some(UploadLife::Active { attempt, .. } | UploadLife::Kept(attempt, _)) = entry else {
            return StoredRecord::remove(&inner.data, job, life);
        };
        attempt.stop.say(Why::Cancelled);
        inner.let_go(&attempt);
        let removed = inner.lines().iter().any(|line| {
            let mut queues = line.queues.iter();
            queues.any(|queue| queue.remove(&attempt).is_some())
        });
        if removed {
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
            let (UploadLife::Active { attempt, .. } | UploadLife::Kept(attempt, _)) = entry;
            let job = &attempt.landed.job;
            let now = inner.jobs.hub().life(job);
            let now = now.filter(|now| now.id() == life && !now.is_deleted());
            // Somebody has cancelled it, by another server.
            let is_ended = |now: crate::hub::Life| {
                now.is_over() && matches!(entry, UploadLife::Active { .. }) && !attempt.is_ending()
            };
            if now.is_none_or(is_ended) {
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
            UploadLife::Active { attempt, .. } => Some((attempt.landed.job.clone(), life)),
            UploadLife::Kept(..) => None,
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
            if let UploadLife::Active { attempt, .. } = entry {
                attempt.stop.say(Why::Stopping);
            }
        }
        inner.lines().iter().for_each(|line| line.close());
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
        let lines = self.0.lines();
        let mut queues = lines.iter().flat_map(|line| &line.queues);
        queues.all(|queue| queue.wait_idle(deadline))
    }

    /// Puts work into the line for its next stage.
    fn enqueue(&self, mut work: Work) {
        let inner = &self.0;
        let line = work.ticket.line().clone();
        let index = work.state.completed.len();
        let stage = &line.stages[index];
        let attempt = work.attempt.clone();
        attempt.wait_for(index);
        let queue = &line.queues[index];
        if index == 0 {
            work.tell(queue.len() + 1, Instant::now());
            attempt.queued(index, &stage.name, work.told);
        }
        if queue.push(Box::new(work), stage.concurrency) {
            worker::start(self.clone(), line.clone(), index);
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
        self.0.line().stages.len()
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
        let ticket = inner.ticket();
        let line = ticket.line().clone();
        let attempt = inner.attempt(landed.clone(), state.attempt, &line);
        let failed = state.failure.clone();
        if failed.is_some() || state.done.is_some() {
            attempt.begin_to_end();
        }
        let entry = match failed.as_ref().filter(|failed| !failed.is_infected) {
            Some(failed) => UploadLife::Kept(attempt.clone(), failed.at),
            None => UploadLife::Active {
                attempt: attempt.clone(),
                _place: place,
            },
        };
        match inner.lives.lock().entry(life) {
            hash_map::Entry::Vacant(place) => place.insert(entry),
            hash_map::Entry::Occupied(_) => {
                let upload = landed.upload;
                return error!("{job}: it has an upload already; {upload} stays where it is");
            }
        };
        self.cancel_unless_current(&job, life);
        if inner.ends_as_before(&attempt, &state) {
            return;
        }
        let is_here = state.current == landed.path || line.scratches.hold(&state.current);
        if !line.leads_on_from(&state) || !is_here || !state.current.is_file() {
            let running = state.running.take();
            state = FileState::new(attempt.number, &landed);
            state.running = running;
        }
        let upload = landed.upload.to_string();
        line.scratches.clean(&upload, Some(&state.current));
        self.enqueue(Work::new(attempt, state, ticket));
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

impl PipelineCore {
    /// The line of new files.
    fn line(&self) -> Arc<Line> {
        let lines = self.lines.read();
        lines.last().expect("there always is one").clone()
    }

    /// A place in it for a file.
    fn ticket(&self) -> Ticket {
        let lines = self.lines.read();
        lines.last().expect("there always is one").ticket()
    }

    /// All of them, also those that end.
    fn lines(&self) -> Vec<Arc<Line>> {
        self.lines.read().clone()
    }

    /// Lets go of those that nothing goes through any more and nothing will.
    fn end_lines(&self) {
        let mut lines = self.lines.write();
        let last = lines.len() - 1;
        let mut index = 0;
        lines.retain(|line| {
            let is_over = index < last && line.is_empty();
            index += 1;
            if is_over {
                line.close();
            }
            !is_over
        });
    }

    /// Removes every folder of an upload's stages but the one that holds `keep`.
    fn clean(&self, upload: &str, keep: Option<&Path>) {
        let lines = self.lines();
        let of_all = lines.iter();
        of_all.for_each(|line| line.scratches.clean(upload, keep));
    }

    fn attempt(&self, landed: Arc<Landed>, number: u32, line: &Line) -> Arc<Attempt> {
        Arc::new(Attempt::new(
            landed,
            number,
            &self.jobs,
            line.stages.len(),
            self.hurry.receiver(),
        ))
    }
}
