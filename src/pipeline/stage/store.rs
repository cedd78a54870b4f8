//! The stage `storing`: the result by the address of its content, `files/<aa>/<sha256>`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[cfg(feature = "s3")]
use super::s3;
use crate::pipeline::config::{Table, Wrong};
use crate::pipeline::durable;
use crate::pipeline::kind;
use crate::pipeline::state::Stored;
use crate::pipeline::task::{Failure, Outcome, Task};

/// Where results are kept.
#[derive(Clone, Debug, Default)]
pub enum Options {
    /// In the data directory.
    #[default]
    Files,
    /// In an S3-compatible store.
    #[cfg(feature = "s3")]
    S3(s3::Options),
}

impl Options {
    pub(in crate::pipeline) fn read(&mut self, table: &mut Table<'_>) -> Result<(), Wrong> {
        let Some((to, at)) = table.text("to")? else {
            return Ok(());
        };
        *self = match to.as_str() {
            "files" => Options::Files,
            #[cfg(feature = "s3")]
            "s3" => Options::S3(s3::Options::read(at, table)?),
            #[cfg(not(feature = "s3"))]
            "s3" => {
                let message = "this binary is built without s3: build it with --features s3, or \
                               use to = \"files\"";
                return Err(at.wrong(message));
            }
            _ => return Err(at.wrong("to is \"files\" or \"s3\"")),
        };
        Ok(())
    }
}

/// Stores the task's input.
pub fn run(options: &Options, task: &mut Task<'_>) -> Result<Outcome, Failure> {
    if task.facts.content_type.is_none() {
        let kind = kind::of_file(task.input).map_err(|error| task.unreadable(&error))?;
        task.facts.content_type = Some(kind.to_owned());
    }
    let stored = match options {
        Options::Files => into_files(task)?,
        #[cfg(feature = "s3")]
        Options::S3(options) => s3::put(options, task)?,
    };
    task.facts.stored = Some(stored);
    Ok(Outcome::Same)
}

/// What is wrong where the upload isn't any more what was scanned.
pub fn check_digest(task: &Task<'_>, digest: &str) -> Result<(), Failure> {
    let is_original = task.input == task.attempt.landed.path;
    match &task.facts.original_digest {
        Some(scanned) if is_original && scanned != digest => Err(Failure::Lasting(
            "the file has changed since it was scanned: something else writes to the data \
             directory, or its disk is failing; send it again"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}

fn into_files(task: &mut Task<'_>) -> Result<Stored, Failure> {
    let failed = |error: io::Error| {
        Failure::Passing(format!("it can't be stored: {}", durable::in_words(&error)))
    };
    let temporary = task
        .data
        .join("files/tmp")
        .join(task.attempt.landed.upload.to_string());
    durable::create_folder(&task.data.join("files/tmp")).map_err(failed)?;
    let _ = fs::remove_file(&temporary);
    // A link costs nothing; between two file systems there is none, so it is copied.
    let copy = match fs::hard_link(task.input, &temporary) {
        Ok(()) => None,
        Err(_) => Some(File::create_new(&temporary).map_err(failed)?),
    };
    let stored = place(task, copy, &temporary, failed);
    let _ = fs::remove_file(&temporary);
    stored
}

fn place(
    task: &mut Task<'_>,
    mut copy: Option<File>,
    temporary: &Path,
    failed: impl Fn(io::Error) -> Failure + Copy,
) -> Result<Stored, Failure> {
    let (size, digest) = task.digest(|_, piece| match &mut copy {
        Some(copy) => copy.write_all(piece).map_err(failed),
        None => Ok(()),
    })?;
    check_digest(task, &digest)?;
    let path = PathBuf::from("files").join(&digest[..2]).join(&digest);
    let place = task.data.join(&path);
    durable::create_folder(place.parent().unwrap_or(task.data)).map_err(failed)?;
    // The same content may be there already; one of another size is a damaged one.
    if !place.metadata().is_ok_and(|there| there.len() == size) {
        let file = copy.map_or_else(|| File::open(temporary), Ok);
        file.and_then(|file| file.sync_all()).map_err(failed)?;
        fs::rename(temporary, &place).map_err(failed)?;
        durable::sync_folder_of(&place).map_err(failed)?;
    }
    Ok(Stored {
        path: Some(path),
        location: None,
        size,
        digest,
    })
}
