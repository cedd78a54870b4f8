//! From the name of a stage to what it does, and what becomes of its result.

pub mod clamd;
pub mod command;
mod complaint;
mod demuxer;
#[cfg(feature = "s3")]
pub mod s3;
pub mod scan;
pub mod store;
pub mod transcode;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::attempt::Attempt;
use super::config::{Kind, Stage};
use super::durable;
use super::shown;
use super::state::State;
use super::task::{Failure, Outcome, Task, backoff};
use crate::progress::Update;

/// Takes an attempt through one stage: tells its beginning and its end, tries again what may
/// pass, and keeps what it made. Blocks for as long as that takes.
///
/// # Errors
/// It failed for good, or is to stop.
pub fn run(
    stages: &[Stage],
    index: usize,
    attempt: &Attempt,
    state: &mut State,
    data: &Path,
    work: &Path,
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

    let folder = folder(attempt, index, stage, work);
    let before = state.current.clone();
    let mut tries = 0;
    let outcome = loop {
        match once(stage, index, attempt, state, data, &folder) {
            Err(Failure::Passing(message)) if tries < stage.retries => {
                tries += 1;
                log::warn!("{}: {}: {message}", attempt.landed.job, stage.name);
                let mut again = Update::percent(0.0);
                again.extra.insert("retry".into(), tries.into());
                again.extra.insert("reason".into(), message.into());
                attempt.progress(index, &stage.name, again);
                let _ = attempt.stop.receiver().recv_timeout(backoff(tries - 1));
                if attempt.stop.said().is_some() {
                    return Err(Failure::Stopped);
                }
            }
            result => break result?,
        }
    };
    let mut last = Update::percent(100.0);
    match outcome {
        Outcome::Same => durable::remove_folder(&folder),
        Outcome::Made(output) => {
            let synced = fs::File::open(&output).and_then(|file| file.sync_all());
            synced
                .and_then(|()| durable::sync_folder_of(&output))
                .map_err(keep)?;
            state.current = output;
        }
        Outcome::Skipped(reason) => {
            durable::remove_folder(&folder);
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
        if let Some(folder) = before.parent() {
            durable::remove_folder(folder);
        }
    }
    attempt.progress(index, &stage.name, last);
    Ok(())
}

/// Removes every folder of an attempt's stages but the one that holds `keep`.
pub fn clean(stages: &[Stage], upload: &str, work: &Path, keep: Option<&Path>) {
    for root in roots(stages, work) {
        let folder = root.join(upload);
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        let mut is_empty = true;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if keep.is_some_and(|keep| keep.starts_with(&path)) {
                is_empty = false
            } else {
                durable::remove_folder(&path)
            }
        }
        if is_empty {
            durable::remove_folder(&folder);
        }
    }
}

/// The folders in which stages make theirs.
pub fn roots(stages: &[Stage], work: &Path) -> Vec<PathBuf> {
    let mut roots: Vec<_> = stages.iter().map(|stage| root(stage, work)).collect();
    roots.push(work.to_owned());
    roots.sort();
    roots.dedup();
    roots
}

/// A stage's output directory may be another server's as well: this one's part of it is
/// named after where its own work is.
fn root(stage: &Stage, work: &Path) -> PathBuf {
    use sha2::{Digest, Sha256};
    use std::os::unix::ffi::OsStrExt;
    match &stage.output_dir {
        None => work.to_owned(),
        Some(folder) => {
            let whose = Sha256::digest(work.as_os_str().as_bytes());
            folder.join(format!("landfall-{}", super::task::hex(&whose[..6])))
        }
    }
}

fn folder(attempt: &Attempt, index: usize, stage: &Stage, work: &Path) -> PathBuf {
    let upload = root(stage, work).join(attempt.landed.upload.to_string());
    upload.join(format!("{index}-{}", stage.name))
}

fn once(
    stage: &Stage,
    index: usize,
    attempt: &Attempt,
    state: &mut State,
    data: &Path,
    folder: &Path,
) -> Result<Outcome, Failure> {
    durable::remove_folder(folder);
    durable::create_folder(folder).map_err(|error| {
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
                log::warn!("{}: {}: {said}", attempt.landed.job, stage.name);
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
        durable::remove_folder(folder);
    }
    outcome
}
