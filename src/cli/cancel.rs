//! `landfall cancel`: jobs that are to have an end.

use std::process::ExitCode;

use super::call::{Call, Command};
use super::error::{Failure, Usage};

/// The command.
pub const COMMAND: Command = Command {
    name: "cancel",
    about: "has jobs end with error",
    usage: &["[FLAGS] JOB..."],
    text: &[
        "An upload is broken off at once. A worker is told with its next answer, and its job \
         ends when it says so, or by itself after the server's --cancel-grace; a command that \
         landfall run runs gets SIGTERM. Unlike one that is deleted the job stays, with its \
         error.",
        "The exit code is 0, 1 where one could not be cancelled, for which the others are all \
         the same, 2 where the call is wrong.",
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
