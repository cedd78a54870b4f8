//! From the name of a stage to what it does, and what becomes of its result.

pub mod clamd;
pub mod command;
pub mod complaint;
pub mod demuxer;
#[cfg(feature = "s3")]
pub mod s3;
pub mod scan;
pub mod store;
pub mod transcode;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

use super::config::{Stage, StageKind};
use super::shown;
use super::state::FileState;
use super::task::{Outcome, Passage, StageFailure, Task, backoff};
use crate::progress::Update;
use crate::sys::durable;

impl Passage<'_> {
    /// Takes the attempt through the stage: tells its beginning and its end, tries again what may
    /// pass, and keeps what it made. Blocks for as long as that takes.
    ///
    /// # Errors
    /// It failed for good, or is to stop.
    pub fn run(&self, state: &mut FileState) -> Result<(), StageFailure> {
        let Passage { attempt, stage, .. } = self;
        let begun = Instant::now();
        let mut first = Update::percent(0.0);
        if state.running.replace(stage.name.clone()).is_some() {
            first.extra.insert("restarted".into(), true.into());
        }
        let upload = attempt.landed.folder();
        let keep = |error| {
            let why = durable::in_words(&error);
            StageFailure::Passing(format!("how far it is can't be kept: {why}"))
        };
        state.note(upload).map_err(keep)?;
        self.tell(first);
        let before = state.current.clone();
        let outcome = self.until_it_passes(state)?;
        let mut last = Update::percent(100.0);
        match outcome {
            Outcome::Same => self.remove(),
            Outcome::Made(output) => {
                let synced = fs::File::open(&output).and_then(|file| file.sync_all());
                synced
                    .and_then(|()| durable::sync_folder_of(&output))
                    .map_err(keep)?;
                state.current = output;
            }
            Outcome::Skipped(reason) => {
                self.remove();
                last.extra.insert("skipped".into(), true.into());
                last.extra.insert("reason".into(), reason.into());
            }
        }
        state.running = None;
        state.completed.push(stage.name.clone());
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        state.facts.stages_ms.push((stage.name.clone(), took));
        state.save(upload).map_err(keep)?;
        if state.current != before && before != attempt.landed.path {
            // What the stage before made has been used up.
            let upload = attempt.landed.upload.to_string();
            self.scratches.clean(&upload, Some(&state.current));
        }
        self.tell(last);
        Ok(())
    }

    /// Tries as often as the stage may. Blocks between the tries, too.
    fn until_it_passes(&self, state: &mut FileState) -> Result<Outcome, StageFailure> {
        let Passage { attempt, stage, .. } = self;
        let mut tries = 0;
        loop {
            match self.once(state) {
                Err(StageFailure::Passing(message)) if tries < stage.retries => {
                    tries += 1;
                    let (job, name) = (&attempt.landed.job, &stage.name);
                    info!("job {job}: stage {name} is tried again: {message}");
                    let mut again = Update::percent(0.0);
                    again.extra.insert("retry".into(), tries.into());
                    again.extra.insert("reason".into(), message.into());
                    self.tell(again);
                    let _ = attempt.stop.receiver().recv_timeout(backoff(tries - 1));
                    if attempt.stop.said().is_some() {
                        return Err(StageFailure::Stopped);
                    }
                }
                result => return result,
            }
        }
    }

    fn once(&self, state: &mut FileState) -> Result<Outcome, StageFailure> {
        let folder = &self.folder().map_err(|error| {
            let why = durable::in_words(&error);
            StageFailure::Passing(format!("the stage's folder can't be made: {why}"))
        })?;
        // What a failed try has found doesn't count.
        let mut facts = state.facts.clone();
        let input = state.current.clone();
        let mut task = Task::new(*self, &input, folder, &mut facts);
        let worked = match &self.stage.kind {
            StageKind::Scan(options) => scan::run(options, &mut task),
            StageKind::Transcode(options) => transcode::run(options, &mut task),
            StageKind::Store(options) => store::run(options, &mut task),
            StageKind::Command(options) => command::run(options, &mut task),
        };
        let outcome = worked.map_err(|failure| {
            failure.map(|said| {
                let known = [
                    (input.as_path(), "the file"),
                    (folder, "its folder"),
                    (self.data, "the data"),
                ];
                let shown = shown::without_paths(&said, &known);
                if shown != said {
                    // Whoever reads the log may know of paths.
                    let (job, stage) = (&self.attempt.landed.job, &self.stage.name);
                    info!("job {job}: stage {stage} says in full: {said}");
                }
                shown
            })
        });
        // What stopped it may look like a failure of its own.
        if self.attempt.stop.said().is_some() && outcome.is_err() {
            return Err(StageFailure::Stopped);
        }
        if outcome.is_ok() {
            state.facts = facts;
        } else {
            self.remove();
        }
        outcome
    }

    fn tell(&self, update: Update) {
        self.attempt.progress(self.index, &self.stage.name, update);
    }

    /// Makes the folder that it works in.
    fn folder(&self) -> io::Result<PathBuf> {
        let (upload, name) = self.names();
        self.scratches.of(self.stage).make(&upload, &name)
    }

    /// Removes it.
    fn remove(&self) {
        let (upload, name) = self.names();
        self.scratches.of(self.stage).remove(&upload, &name);
    }

    fn names(&self) -> (String, String) {
        let upload = self.attempt.landed.upload.to_string();
        (upload, format!("{}-{}", self.index, self.stage.name))
    }
}

/// Whether a stage will find nothing to do, by what a stage before has found out. A file needn't
/// wait for that.
pub fn is_needless(stage: &Stage, state: &FileState) -> bool {
    let StageKind::Transcode(_) = &stage.kind else {
        return false;
    };
    let kind = state.facts.content_type.as_deref();
    kind.is_some_and(|kind| !transcode::is_media(kind))
}
