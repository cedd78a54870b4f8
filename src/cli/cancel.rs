//! `landfall cancel`: jobs that are to have an end.

use std::process::ExitCode;

use super::call::{Call, Command};
use super::error::{Failure, Usage};

/// The command.
pub const COMMAND: Command = Command {
    name: "cancel",
    about: "cancels jobs",
    usage: &["[FLAGS] JOB..."],
    text: &[
        "The job ends with error and the reason cancelled, and stays. An upload stops at once. \
         A worker hears of it with its next answer; its job ends when the worker says so, or by \
         itself after the server's --cancel-grace. A command under landfall run gets SIGTERM.",
        "The exit code is 0; 1 if a job couldn't be cancelled (the others are); 2 if the call \
         is wrong.",
    ],
    runs_another: false,
    main,
};

fn main(call: Call) -> Result<ExitCode, Failure> {
    let jobs = call.jobs()?;
    if jobs.is_empty() {
        return Err(Usage::Wrong("no job: name one or more, as landfall cancel JOB").into());
    }
    let hub = &call.settings.hub;
    let mut client = hub.client()?;
    hub.each(COMMAND.name, &jobs, &mut |job| client.cancel(job))
}
