//! `landfall delete`: jobs that are to be no more.

use std::process::ExitCode;

use super::call::{Call, Command};
use super::error::{Failure, Usage};

/// The command.
pub const COMMAND: Command = Command {
    name: "delete",
    about: "deletes jobs",
    usage: &["[FLAGS] JOB..."],
    text: &[
        "A job's streams are told and end. Its upload and its stage stop, and so does its \
         command under landfall run.",
        "The exit code is 0; 1 if a job couldn't be deleted (the others are); 2 if the call is \
         wrong.",
    ],
    runs_another: false,
    main,
};

fn main(call: Call) -> Result<ExitCode, Failure> {
    let jobs = call.jobs()?;
    if jobs.is_empty() {
        return Err(Usage::Wrong("no job: name one or more, as landfall delete JOB").into());
    }
    let hub = &call.settings.hub;
    let mut client = hub.client()?;
    hub.each(COMMAND.name, &jobs, &mut |job| client.delete(job))
}
