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
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::attempt::Attempt;
use super::config::{Kind, Stage};
use super::scratch::{Scratch, Scratches};
use super::shown;
use super::state::FileState;
use super::task::{Failure, Outcome, Task, backoff};
use crate::progress::Update;
use crate::sys::durable;

/// Takes an attempt through one stage: tells its beginning and its end, tries again what may
/// pass, and keeps what it made. Blocks for as long as that takes.
///
/// # Errors
/// It failed for good, or is to stop.
pub fn run(
    stages: &[Stage],
    index: usize,
    attempt: &Attempt,
    state: &mut FileState,
    data: &Path,
    scratches: &Scratches,
) -> Result<(), Failure> {
    let stage = &stages[index];
    let begun = Instant::now();
    let mut first = Update::percent(0.0);
    if state.running.replace(stage.name.clone()).is_some() {
        first.extra.insert("restarted".into(), true.into());
    }
    let upload = attempt.landed.folder();
    let keep = |error| {
        let why = durable::in_words(&error);
        Failure::Passing(format!("how far it is can't be kept: {why}"))
    };
    state.note(upload).map_err(keep)?;
    attempt.progress(index, &stage.name, first);

    let place = Place {
        scratch: scratches.of(stage),
        upload: attempt.landed.upload.to_string(),
        name: format!("{index}-{}", stage.name),
    };
    let before = state.current.clone();
    let outcome = until_it_passes(stage, index, attempt, state, data, &place)?;
    let mut last = Update::percent(100.0);
    match outcome {
        Outcome::Same => place.remove(),
        Outcome::Made(output) => {
            let synced = fs::File::open(&output).and_then(|file| file.sync_all());
            synced
                .and_then(|()| durable::sync_folder_of(&output))
                .map_err(keep)?;
            state.current = output;
        }
        Outcome::Skipped(reason) => {
            place.remove();
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
        scratches.clean(&place.upload, Some(&state.current));
    }
    attempt.progress(index, &stage.name, last);
    Ok(())
}

/// Whether a stage will find nothing to do, by what a stage before has found out. A file needn't
/// wait for that.
pub fn is_needless(stage: &Stage, state: &FileState) -> bool {
    let Kind::Transcode(_) = &stage.kind else {
        return false;
    };
    let kind = state.facts.content_type.as_deref();
    kind.is_some_and(|kind| !transcode::is_media(kind))
}

/// Tries as often as the stage may. Blocks between the tries, too.
fn until_it_passes(
    stage: &Stage,
    index: usize,
    attempt: &Attempt,
    state: &mut FileState,
    data: &Path,
    place: &Place<'_>,
) -> Result<Outcome, Failure> {
    let mut tries = 0;
    loop {
        match once(stage, index, attempt, state, data, place) {
            Err(Failure::Passing(message)) if tries < stage.retries => {
                tries += 1;
                log::info!(
                    "job {}: stage {} is tried again: {message}",
                    attempt.landed.job,
                    stage.name
                );
                let mut again = Update::percent(0.0);
                again.extra.insert("retry".into(), tries.into());
                again.extra.insert("reason".into(), message.into());
                attempt.progress(index, &stage.name, again);
                let _ = attempt.stop.receiver().recv_timeout(backoff(tries - 1));
                if attempt.stop.said().is_some() {
                    return Err(Failure::Stopped);
                }
            }
            result => return result,
        }
    }
}

/// Where a stage works on an upload.
struct Place<'a> {
    scratch: &'a Scratch,
    upload: String,
    name: String,
}

impl Place<'_> {
    fn make(&self) -> io::Result<PathBuf> {
        self.scratch.make(&self.upload, &self.name)
    }

    fn remove(&self) {
        self.scratch.remove(&self.upload, &self.name);
    }
}

fn once(
    stage: &Stage,
    index: usize,
    attempt: &Attempt,
    state: &mut FileState,
    data: &Path,
    place: &Place<'_>,
) -> Result<Outcome, Failure> {
    let folder = &place.make().map_err(|error| {
        let why = durable::in_words(&error);
        Failure::Passing(format!("the stage's folder can't be made: {why}"))
    })?;
    // What a failed try has found doesn't count.
    let mut facts = state.facts.clone();
    let input = state.current.clone();
    let mut task = Task::new(attempt, index, stage, data, &input, folder, &mut facts);
    let worked = match &stage.kind {
        Kind::Scan(options) => scan::run(options, &mut task),
        Kind::Transcode(options) => transcode::run(options, &mut task),
        Kind::Store(options) => store::run(options, &mut task),
        Kind::Command(options) => command::run(options, &mut task),
    };
    let outcome = worked.map_err(|failure| {
        failure.map(|said| {
            let known = [
                (input.as_path(), "the file"),
                (folder, "its folder"),
                (data, "the data"),
            ];
            let shown = shown::without_paths(&said, &known);
            if shown != said {
                log::debug!("{}: {}: {said}", attempt.landed.job, stage.name);
            }
            shown
        })
    });
    // What stopped it may look like a failure of its own.
    if attempt.stop.said().is_some() && outcome.is_err() {
        return Err(Failure::Stopped);
    }
    if outcome.is_ok() {
        state.facts = facts;
    } else {
        place.remove();
    }
    outcome
}
