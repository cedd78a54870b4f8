//! The threads that work: as many a stage as may be at work at once, begun when needed.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Pipeline;
use super::line::{Line, Work};
use super::record::StoredRecord;
use super::stage;
use super::state::{Facts, FileState};
use super::stop::Why;
use super::task::{Passage, StageFailure, hex};
use crate::sys::thread;
use crate::upload::Landed;

/// Starts one more worker of a stage.
pub fn start(pipeline: Pipeline, line: Arc<Line>, index: usize) {
    let name = line.stages[index].name.clone();
    let its = line.clone();
    let started = thread::start(name.clone(), move || {
        let inner = &pipeline.0;
        let nice = i32::from(line.stages[index].nice);
        // On Linux a thread has its own nice level, and hands it to what it starts.
        if nice > 0
            && let Err(error) = rustix::process::setpriority_process(None, nice)
        {
            warn!("a nice level of {nice} can't be had: {error}");
        }
        while let Some(work) = line.queues[index].take() {
            inner.bell.ring();
            work_on(&pipeline, work, &line, index);
        }
    });
    if let Err(error) = started {
        error!("{name}: there is no thread to be had: {error}");
        its.queues[index].lose_worker();
    }
}

fn work_on(pipeline: &Pipeline, mut work: Box<Work>, line: &Line, index: usize) {
    let inner = &pipeline.0;
    let attempt = work.attempt.clone();
    attempt.begin();
    let waited = u64::try_from(work.since.elapsed().as_millis()).unwrap_or(u64::MAX);
    work.state.facts.queued_ms = work.state.facts.queued_ms.saturating_add(waited);
    let stages = &line.stages;
    let tally = &line.tallies[index];
    let state = &mut work.state;
    let passage = Passage {
        attempt: &attempt,
        index,
        stage: &stages[index],
        data: &inner.data,
        scratches: &line.scratches,
    };
    tally.working.add(1);
    let begun = Instant::now();
    let worked = catch_unwind(AssertUnwindSafe(|| match attempt.stop.said() {
        Some(_) => Err(StageFailure::Stopped),
        None => passage.run(state),
    }));
    tally.durations.observe(begun.elapsed());
    tally.working.add(-1);
    let name = &stages[index].name;
    let outcome = match (worked, attempt.stop.said()) {
        (_, Some(Why::Cancelled)) => {
            inner.let_go(&attempt);
            &tally.stopped
        }
        // What was done is kept, and the next life goes on from there.
        (_, Some(Why::Stopping)) | (Ok(Err(StageFailure::Stopped)), None) => &tally.stopped,
        (Ok(Ok(())), None) if index + 1 == stages.len() => {
            match (inner.finish(work), attempt.stop.said()) {
                (_, Some(Why::Cancelled)) => &tally.stopped,
                (true, _) => &tally.done,
                (false, _) => &tally.failed,
            }
        }
        (Ok(Ok(())), None) => {
            work.since = Instant::now();
            work.told = 0;
            if stage::is_needless(&stages[index + 1], &work.state) {
                tally.done.add(1);
                return work_on(pipeline, work, line, index + 1);
            }
            pipeline.enqueue(*work);
            &tally.done
        }
        (Ok(Err(failure)), None) => {
            inner.fail(work, name, failure);
            &tally.failed
        }
        (Err(_), None) => {
            inner.jobs.hub().metrics().panics.add(1);
            let why = "a fault in the server ended it: its log says more".to_owned();
            inner.fail(work, name, StageFailure::Lasting(why));
            &tally.failed
        }
    };
    outcome.add(1);
}

/// What a job has made.
pub struct Made {
    path: Option<PathBuf>,
    location: Option<String>,
    size: u64,
    digest: String,
    is_stored: bool,
}

/// What a job that has all stages behind it has made. Blocks for the disk where nothing was
/// stored.
///
/// # Errors
/// It can't be read.
pub fn result(state: &FileState, landed: &Landed) -> io::Result<Made> {
    if let Some(stored) = state.facts.stored.clone() {
        return Ok(Made {
            path: stored.path,
            location: stored.location,
            size: stored.size,
            digest: stored.digest,
            is_stored: true,
        });
    }
    let (size, digest) = match &state.facts.original_digest {
        Some(digest) if state.current == landed.path => (landed.size, digest.clone()),
        _ => {
            let mut sha = FileHasher(Sha256::new());
            let size = io::copy(&mut File::open(&state.current)?, &mut sha)?;
            (size, hex(&sha.0.finalize()))
        }
    };
    Ok(Made {
        path: None,
        location: None,
        size,
        digest,
        is_stored: false,
    })
}

impl Made {
    /// The data of `done`.
    pub fn done(&self, attempt: u32, facts: &Facts) -> Map<String, Value> {
        let mut durations = Map::new();
        durations.insert("queuedMs".into(), facts.queued_ms.into());
        for (stage, took) in &facts.stages_ms {
            durations.insert(format!("{stage}Ms"), (*took).into());
        }
        let mut done = facts.notes.clone();
        let kind = facts.content_type.as_deref();
        for (key, value) in [
            ("name", Value::from(facts.name.as_str())),
            ("size", self.size.into()),
            ("digest", format!("sha256:{}", self.digest).into()),
            ("contentType", kind.unwrap_or(super::kind::UNKNOWN).into()),
            ("stored", self.is_stored.into()),
            ("durations", durations.into()),
            ("overall", 100.into()),
            ("attempt", attempt.into()),
        ] {
            done.insert(key.to_owned(), value);
        }
        done
    }

    /// What a download goes by; none where nothing was stored.
    pub fn record(&self, upload: String, facts: &Facts) -> Option<StoredRecord> {
        let kind = facts.content_type.clone();
        self.is_stored.then(|| StoredRecord {
            upload,
            path: self.path.clone(),
            location: self.location.clone(),
            name: facts.name.clone(),
            size: self.size,
            digest: format!("sha256:{}", self.digest),
            content_type: kind.unwrap_or_else(|| super::kind::UNKNOWN.to_owned()),
        })
    }
}

struct FileHasher(Sha256);

impl io::Write for FileHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
