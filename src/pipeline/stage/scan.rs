//! The stage `scanning`: what a file is by its bytes, its SHA-256, and whether clamd finds
//! something in it.

use std::io;

use super::clamd::{Clamd, ClamdAddress, ClamdError, Verdict};
use crate::pipeline::config::{Table, Wrong};
use crate::pipeline::kind;
use crate::pipeline::task::{Failure, Outcome, Task};

/// What scanning goes by.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where clamd listens; none: files aren't scanned for malware, and `done` says so.
    pub clamd: Option<ClamdAddress>,
    /// What happens where the sender declared another type than the bytes tell.
    pub mismatch: Mismatch,
    /// The types that are let through; none: all.
    pub types: Option<Vec<String>>,
    /// The largest file, in bytes; none: whatever could be uploaded.
    pub max_size: Option<u64>,
}

/// What happens where the sender declared another type than the bytes tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mismatch {
    /// It is told, in `progress` and `done`, and the type that the bytes tell counts.
    #[default]
    Report,
    /// The job ends with `error`.
    Refuse,
}

impl Options {
    pub(in crate::pipeline) fn read(&mut self, table: &mut Table<'_>) -> Result<(), Wrong> {
        if let Some((text, at)) = table.text("clamd")? {
            self.clamd = Some(text.parse().map_err(|error: String| at.wrong(error))?);
        }
        if let Some((text, at)) = table.text("mismatch")? {
            self.mismatch = match text.as_str() {
                "report" => Mismatch::Report,
                "refuse" => Mismatch::Refuse,
                _ => return Err(at.wrong("mismatch is \"report\" or \"refuse\"")),
            };
        }
        if let Some((types, at)) = table.list("types")? {
            if let Some(bad) = types.iter().find(|kind| !kind.contains('/')) {
                let message = format!("{bad:?} is no type: it is \"image/png\" or \"image/*\"");
                return Err(at.wrong(message));
            }
            self.types = Some(types);
        }
        if let Some(size) = table.size("max_size")? {
            self.max_size = Some(size);
        }
        Ok(())
    }
}

/// Scans the task's input.
pub fn run(options: &Options, task: &mut Task<'_>) -> Result<Outcome, Failure> {
    let size = task.attempt.landed.size;
    if let Some(max) = options.max_size.filter(|max| size > *max) {
        return Err(Failure::Lasting(format!(
            "the file has {size} bytes, and {max} are the most: send a smaller one, or raise \
             max_size in landfall.toml"
        )));
    }
    let kind = kind::of_file(task.input).map_err(|error| task.unreadable(&error))?;
    task.facts.content_type = Some(kind.to_owned());
    judge_type(options, task, kind)?;
    let mut clamd = match &options.clamd {
        Some(address) => Some(Clamd::begin(address, task.attempt.stop.receiver()).map_err(away)?),
        None => None,
    };
    let (read, digest) = task.digest(|task, piece| match &mut clamd {
        Some(clamd) => clamd.send(piece, task.deadline).map_err(away),
        None => Ok(()),
    })?;
    if read != size {
        return Err(Failure::Lasting(format!(
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
        Verdict::Found(name) => Err(Failure::Infected(format!(
            "malware was found in the file: {name}. It is in quarantine and won't be processed"
        ))),
    }
}

fn judge_type(options: &Options, task: &mut Task<'_>, actual: &str) -> Result<(), Failure> {
    if let Some(types) = &options.types
        && !types.iter().any(|pattern| kind::matches(pattern, actual))
    {
        let types = types.join(", ");
        return Err(Failure::Lasting(format!(
            "the file is {actual}, and what is taken is {types}"
        )));
    }
    let declared = task
        .attempt
        .landed
        .declared_type
        .clone()
        .unwrap_or_default();
    if kind::agrees(&declared, actual) {
        return Ok(());
    }
    match options.mismatch {
        Mismatch::Refuse => Err(Failure::Lasting(format!(
            "the file was declared as {declared}, but its bytes are {actual}: send it as what \
             it is"
        ))),
        Mismatch::Report => {
            task.note("declaredType", declared);
            Ok(())
        }
    }
}

fn away(error: ClamdError) -> Failure {
    match error {
        ClamdError::Stopped => Failure::Stopped,
        ClamdError::TooLarge => Failure::Lasting(
            "the file is larger than clamd scans, so nobody knows whether it is clean: raise \
             StreamMaxLength in clamd.conf"
                .to_owned(),
        ),
        ClamdError::Refused(answer) => Failure::Passing(format!(
            "clamd can't scan, so nobody knows whether the file is clean; it says: {answer}"
        )),
        ClamdError::Io(error) => {
            let why = match error.kind() {
                io::ErrorKind::TimedOut => "it doesn't answer in time".to_owned(),
                io::ErrorKind::UnexpectedEof => "it closes the connection".to_owned(),
                _ => error.to_string(),
            };
            Failure::Passing(format!(
                "clamd can't be reached, so nobody knows whether the file is clean ({why}): \
                 start it, then retry"
            ))
        }
    }
}
