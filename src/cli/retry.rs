//! `landfall retry`: failed jobs of uploads, tried again.

use std::process::ExitCode;

use super::call::{Call, Command};
use super::error::{Failure, Usage};
use super::output;
use crate::client::ClientError;
use crate::event::json::Object;

/// The command.
pub const COMMAND: Command = Command {
    name: "retry",
    about: "has failed jobs of uploads tried again",
    usage: &["[FLAGS] JOB..."],
    text: &[
        "A job runs again from its first stage, in a new life, as long as its upload is kept. \
         Which attempt that is is printed, a line a job.",
        "The exit code is 0, 1 where one could not be tried again, for which the others are all \
         the same, 2 where the call is wrong.",
    ],
    runs_another: false,
    main,
};

fn main(call: Call) -> Result<ExitCode, Failure> {
    let jobs = call.jobs()?;
    if jobs.is_empty() {
        return Err(Usage::Wrong("no job: name one or more, as landfall retry JOB").into());
    }
    let hub = &call.settings.hub;
    let mut client = hub.client()?;
    hub.each(COMMAND.name, &jobs, &mut |job| {
        let body = client.retry(job)?;
        let attempt = Object::read(&body).and_then(|mut answer| answer.needed_number("attempt"));
        let attempt =
            attempt.map_err(|_| ClientError::Malformed("an answer that can't be read"))?;
        // It has begun, whether anybody reads of it or not.
        let _ = output::print(&format!("{job} attempt {attempt}\n"));
        Ok(())
    })
}
