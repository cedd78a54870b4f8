//! The stage `storing`: the result by the address of its content, `files/<aa>/<sha256>`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

#[cfg(feature = "s3")]
use super::s3;
use crate::pipeline::config::Storing;
use crate::pipeline::kind;
use crate::pipeline::state::Stored;
use crate::pipeline::task::{Outcome, StageFailure, Task};
use crate::sys::durable;

/// What is stored is this user's alone.
const MODE: u32 = 0o600;

/// Stores the task's input.
pub fn run(options: &Storing, task: &mut Task<'_>) -> Result<Outcome, StageFailure> {
    if task.facts.content_type.is_none() {
        let kind = kind::of_file(task.input).map_err(|error| task.unreadable(&error))?;
        task.facts.content_type = Some(kind.to_owned());
    }
    let stored = match options {
        Storing::Files => into_files(task)?,
        #[cfg(feature = "s3")]
        Storing::S3(options) => s3::put(options, task)?,
    };
    task.facts.stored = Some(stored);
    Ok(Outcome::Same)
}

fn into_files(task: &mut Task<'_>) -> Result<Stored, StageFailure> {
    let failed = |error: io::Error| {
        StageFailure::Passing(format!("it can't be stored: {}", durable::in_words(&error)))
    };
    let temporary = task
        .passage
        .data
        .join("files/tmp")
        .join(task.passage.attempt.landed.upload.to_string());
    durable::create_folder(&task.passage.data.join("files/tmp")).map_err(failed)?;
    let _ = fs::remove_file(&temporary);
    // A link costs nothing; between two file systems there is none, so it is copied.
    let copy = match fs::hard_link(task.input, &temporary) {
        Ok(()) => None,
        Err(_) => {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(MODE);
            Some(options.open(&temporary).map_err(failed)?)
        }
    };
    let stored = place(task, copy, &temporary, failed);
    let _ = fs::remove_file(&temporary);
    stored
}

fn place(
    task: &mut Task<'_>,
    mut copy: Option<File>,
    temporary: &Path,
    failed: impl Fn(io::Error) -> StageFailure + Copy,
) -> Result<Stored, StageFailure> {
    let (size, digest) = task.digest(|_, piece| match &mut copy {
        Some(copy) => copy.write_all(piece).map_err(failed),
        None => Ok(()),
    })?;
    task.check_digest(&digest)?;
    let path = PathBuf::from("files").join(&digest[..2]).join(&digest);
    let place = task.passage.data.join(&path);
    durable::create_folder(place.parent().unwrap_or(task.passage.data)).map_err(failed)?;
    // The same content may be there already; one of another size is a damaged one.
    if !place.metadata().is_ok_and(|there| there.len() == size) {
        let file = copy.map_or_else(|| File::open(temporary), Ok);
        let kept = file.and_then(|file| {
            // What a command made has a mode that the command chose.
            file.set_permissions(Permissions::from_mode(MODE))?;
            file.sync_all()
        });
        kept.map_err(failed)?;
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
