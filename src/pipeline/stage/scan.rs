//! The stage `scanning`: what a file is by its bytes, its SHA-256, and whether clamd finds
//! something in it.

use std::io;

use super::clamd::{Clamd, ClamdError, Verdict};
use crate::pipeline::config::{Mismatch, Scanning};
use crate::pipeline::kind;
use crate::pipeline::task::{Outcome, StageFailure, Task};
use crate::sys::durable;

/// Scans the task's input.
pub fn run(options: &Scanning, task: &mut Task<'_>) -> Result<Outcome, StageFailure> {
    let size = task.passage.attempt.landed.size;
    if let Some(max) = options.max_size.filter(|max| size > *max) {
        return Err(StageFailure::Unfit(format!(
            "the file has {size} bytes, and {max} are the most: send a smaller one, or raise \
             max_size in landfall.toml"
        )));
    }
    let kind = kind::of_file(task.input).map_err(|error| task.unreadable(&error))?;
    task.facts.content_type = Some(kind.to_owned());
    judge_type(options, task, kind)?;
    let mut clamd = match &options.clamd {
        Some(address) => {
            Some(Clamd::begin(address, task.passage.attempt.stop.receiver()).map_err(away)?)
        }
        None => None,
    };
    let (read, digest) = task.digest(|task, piece| match &mut clamd {
        Some(clamd) => clamd.send(piece, task.deadline).map_err(away),
        None => Ok(()),
    })?;
    if read != size {
        return Err(StageFailure::Unfit(format!(
            "the file has {read} bytes and was uploaded with {size}: its upload is damaged, \
             send it again"
        )));
    }
    task.facts.original_digest = Some(digest);
    let Some(clamd) = clamd else {
        task.note("malware", "not scanned");
        return Ok(Outcome::Same);
    };
    match clamd.finish(task.deadline).map_err(away)? {
        Verdict::Clean => {
            task.note("malware", "none found");
            Ok(Outcome::Same)
        }
        Verdict::Found(name) => Err(StageFailure::Infected(format!(
            "malware was found in the file: {name}. It is in quarantine and won't be processed"
        ))),
    }
}

fn judge_type(options: &Scanning, task: &mut Task<'_>, actual: &str) -> Result<(), StageFailure> {
    if let Some(types) = &options.types
        && !types.iter().any(|pattern| kind::matches(pattern, actual))
    {
        let types = types.join(", ");
        return Err(StageFailure::Unfit(format!(
            "the file is {actual}, but only {types} is accepted"
        )));
    }
    let declared = task
        .passage
        .attempt
        .landed
        .declared_type
        .clone()
        .unwrap_or_default();
    if kind::agrees(&declared, actual) {
        return Ok(());
    }
    match options.mismatch {
        Mismatch::Refuse => Err(StageFailure::Unfit(format!(
            "the file was declared as {declared}, but its bytes are {actual}: send it as what \
             it is"
        ))),
        Mismatch::Report => {
            task.note("declaredType", declared);
            Ok(())
        }
    }
}

fn away(error: ClamdError) -> StageFailure {
    match error {
        ClamdError::Stopped => StageFailure::Stopped,
        ClamdError::TooLarge => StageFailure::Unfit(
            "the file is larger than clamd scans, so nobody knows whether it is clean: raise \
             StreamMaxLength in clamd.conf"
                .to_owned(),
        ),
        ClamdError::Refused(answer) => StageFailure::Passing(format!(
            "clamd can't scan, so nobody knows whether the file is clean; it says: {answer}"
        )),
        ClamdError::Io(error) => {
            let why = match error.kind() {
                io::ErrorKind::TimedOut => "it doesn't answer in time".to_owned(),
                io::ErrorKind::UnexpectedEof => "it closes the connection".to_owned(),
                _ => durable::in_words(&error),
            };
            StageFailure::Passing(format!(
                "clamd can't be reached, so nobody knows whether the file is clean ({why}): \
                 start it, then retry"
            ))
        }
    }
}
