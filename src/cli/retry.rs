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
    about: "tries failed jobs of uploads again",
    usage: &["[FLAGS] JOB..."],
    text: &[
        "A job runs again from its first stage, in a new life, while its upload is kept. Each \
         job's new attempt is printed on a line.",
        "The exit code is 0; 1 if a job couldn't be tried again (the others are); 2 if the call \
         is wrong.",
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
