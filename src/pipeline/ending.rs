//! How jobs end, and what is kept of them: for how long, and where.

use std::collections::hash_map;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::attempt::{Attempt, Ending};
use super::line::Work;
use super::state::{FileState, JobFailure, unix_now};
use super::stop::Why;
use super::task::StageFailure;
use super::{PipelineCore, StoredRecord, UploadLife, worker};
use crate::event::job::LifeId;
use crate::sys::durable;
use crate::sys::order::sort_by;
use crate::upload::{Landed, UploadId};

/// The most failed jobs whose uploads are kept; beyond it the oldest goes.
const KEPT_MAX: usize = 10_000;

impl PipelineCore {
    /// Ends a job well: what was stored is on record, and then it is told. False where that
    /// fails, and the job with it.
    pub(super) fn finish(&self, mut work: Box<Work>) -> bool {
        let attempt = work.attempt.clone();
        if let Err(why) = self.conclude(&attempt, &mut work.state) {
            let line = work.ticket.line().clone();
            let stage = line.stages.last().map_or("", |stage| &stage.name);
            self.fail(work, stage, StageFailure::Passing(why));
            return false;
        }
        if let Some(Value::Object(done)) = &work.state.done {
            match attempt.end("done", done) {
                Ending::Told => self.settle(&attempt),
                Ending::Refused => self.let_go(&attempt),
                Ending::Untold => {}
            }
        }
        true
    }

    pub(super) fn conclude(&self, attempt: &Attempt, state: &mut FileState) -> Result<(), String> {
        let Landed { job, life, .. } = &*attempt.landed;
        let result = worker::result(state, &attempt.landed).map_err(|e| durable::in_words(&e))?;
        let done = result.done(attempt.number, &state.facts);
        if let Some(record) = result.record(attempt.landed.upload.to_string(), &state.facts) {
            let kept = record.write(&self.data, job, *life);
            kept.map_err(|error| durable::in_words(&error))?;
        }
        state.done = Some(Value::Object(done));
        let saved = state.save(attempt.landed.folder());
        saved.map_err(|error| durable::in_words(&error))
    }

    /// Ends a job that failed. What it was made of is kept for a retry, or put away.
    pub(super) fn fail(&self, mut work: Box<Work>, stage: &str, failure: StageFailure) {
        let is_infected = matches!(failure, StageFailure::Infected(_));
        let retryable = matches!(failure, StageFailure::Passing(_) | StageFailure::Lasting(_));
        let (StageFailure::Passing(message)
        | StageFailure::Lasting(message)
        | StageFailure::Unfit(message)
        | StageFailure::Infected(message)) = failure
        else {
            // The next process goes on with it.
            return;
        };
        let attempt = work.attempt.clone();
        let landed = &attempt.landed;
        if attempt.stop.said() == Some(Why::Cancelled) {
            // What it failed for may be that everything was taken away.
            return self.let_go(&attempt);
        }
        let upload = landed.upload.to_string();
        warn!("job {}: stage {stage} failed: {message}", landed.job);
        // First, so that there is room to keep what follows.
        self.clean(&upload, None);
        let failed = JobFailure {
            stage: stage.to_owned(),
            message,
            at: unix_now(),
            is_infected,
            retryable,
        };
        let data = failed.data(attempt.number, &landed.name);
        let at = failed.at;
        work.state.failure = Some(failed);
        if let Err(error) = work.state.save(landed.folder()) {
            error!("{}: that it failed can't be kept: {error}", landed.job);
        }
        let mut lives = self.lives.lock();
        let Some(entry) = lives.get_mut(&landed.life) else {
            drop(lives);
            return self.let_go(&attempt);
        };
        if !is_infected {
            // Before it is told: whoever hears of it may retry at once.
            *entry = UploadLife::Kept(attempt.clone(), at);
        }
        drop(lives);
        match attempt.end("error", &data) {
            Ending::Told if is_infected => self.quarantine(&attempt),
            // Where it isn't here any more, what it was made of is a retry's by now.
            Ending::Refused if self.strike_off(&attempt) => self.let_go(&attempt),
            Ending::Told | Ending::Refused | Ending::Untold => {}
        }
    }

    /// Tells the end that an attempt has had in an earlier process, which may have told it. False
    /// where it has had none.
    pub(super) fn ends_as_before(&self, attempt: &Arc<Attempt>, state: &FileState) -> bool {
        if let Some(failed) = &state.failure {
            match self.tell_again(
                attempt,
                "error",
                &failed.data(attempt.number, &attempt.landed.name),
            ) {
                Ending::Told if failed.is_infected => self.quarantine(attempt),
                Ending::Refused => self.let_go(attempt),
                Ending::Told | Ending::Untold => {
                    self.let_go_if_old(attempt.landed.life, failed.at);
                }
            }
            return true;
        }
        let Some(Value::Object(done)) = &state.done else {
            return false;
        };
        match self.tell_again(attempt, "done", done) {
            Ending::Told => self.settle(attempt),
            Ending::Refused => self.let_go(attempt),
            Ending::Untold => {}
        }
        true
    }

    fn tell_again(&self, attempt: &Attempt, event: &str, data: &Map<String, Value>) -> Ending {
        let Landed { job, life, .. } = &*attempt.landed;
        match self.jobs.hub().life(job) {
            Some(now) if now.id() == *life && now.job_state().is_some() && now.is_over() => {
                Ending::Told
            }
            _ => attempt.end(event, data),
        }
    }

    /// Lets go of a job that has ended well.
    pub(super) fn settle(&self, attempt: &Arc<Attempt>) {
        self.discard(attempt.landed.upload);
        self.strike_off(attempt);
    }

    /// Lets go of all of an attempt whose life is over.
    pub(super) fn let_go(&self, attempt: &Attempt) {
        self.strike_off(attempt);
        self.discard(attempt.landed.upload);
        StoredRecord::remove(&self.data, &attempt.landed.job, attempt.landed.life);
    }

    /// Strikes an attempt off. False where it wasn't here any more.
    pub(super) fn strike_off(&self, attempt: &Attempt) -> bool {
        let mut lives = self.lives.lock();
        lives.remove(&attempt.landed.life).is_some()
    }

    /// Removes an upload and all that was made of it.
    pub(super) fn discard(&self, upload: UploadId) {
        let upload = upload.to_string();
        let gone = self.data.join("work").join(format!("{upload}.gone"));
        let folder = self.data.join("uploads").join(&upload);
        match durable::rename(&folder, &gone) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                error!("{}: can't be moved away: {error}", folder.display());
            }
            _ => durable::remove_folder(&gone),
        }
        self.clean(&upload, None);
    }

    /// Puts an upload where nobody comes across it.
    pub(super) fn quarantine(&self, attempt: &Attempt) {
        let upload = attempt.landed.upload.to_string();
        let place = self.data.join("quarantine").join(upload);
        let moved = durable::create_folder(&self.data.join("quarantine"))
            .and_then(|()| durable::rename(attempt.landed.folder(), &place));
        if let Err(error) = moved {
            error!("{}: can't be put in quarantine: {error}", place.display());
        }
        self.strike_off(attempt);
    }

    /// Removes the upload of a failed life that was kept long enough while no process ran.
    pub(super) fn let_go_if_old(&self, life: LifeId, at: u64) {
        if !is_old(at, self.config.read().keep_failed) {
            return;
        }
        let mut lives = self.lives.lock();
        if let hash_map::Entry::Occupied(entry) = lives.entry(life)
            && let UploadLife::Kept(attempt, _) = entry.get()
        {
            let upload = attempt.landed.upload;
            entry.remove();
            drop(lives);
            self.discard(upload);
        }
    }

    /// Removes what has been kept long enough.
    pub(super) fn expire(&self) {
        let mut old = Vec::new();
        let mut lives = self.lives.lock();
        let mut kept: Vec<_> = lives
            .iter()
            .filter_map(|(life, entry)| match entry {
                UploadLife::Kept(_, at) => Some((*at, *life)),
                UploadLife::Active { .. } => None,
            })
            .collect();
        sort_by(&mut kept, Ord::cmp);
        let surplus = kept.len().saturating_sub(KEPT_MAX);
        for (index, (at, life)) in kept.into_iter().enumerate() {
            if (index < surplus || is_old(at, self.config.read().keep_failed))
                && let Some(UploadLife::Kept(attempt, _)) = lives.remove(&life)
            {
                old.push(attempt);
            }
        }
        drop(lives);
        for attempt in old {
            self.discard(attempt.landed.upload);
        }
        StoredRecord::sweep(&self.data, self.jobs.hub());
        let quarantine = fs::read_dir(self.data.join("quarantine"));
        for path in quarantine
            .into_iter()
            .flatten()
            .filter_map(|e| Some(e.ok()?.path()))
        {
            if is_old(quarantined_at(&path), self.config.read().keep_quarantined) {
                durable::remove_folder(&path);
            }
        }
    }
}

/// When something was put in quarantine, in seconds of the unix clock. Where what is known of it
/// can't be read, its folder says so: it isn't older than that.
fn quarantined_at(folder: &Path) -> u64 {
    let state = FileState::read(folder).ok().flatten();
    if let Some(failed) = state.and_then(|state| state.failure) {
        return failed.at;
    }
    let changed = fs::metadata(folder).and_then(|metadata| metadata.modified());
    let since = changed.map(|at| at.duration_since(UNIX_EPOCH).unwrap_or_default());
    since.map_or_else(|_| unix_now(), |since| since.as_secs())
}

fn is_old(at: u64, keep: Duration) -> bool {
    unix_now().saturating_sub(at) >= keep.as_secs()
}
