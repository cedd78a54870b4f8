//! What the commands beside the server take.

use super::value::{One, Word};
use super::{Group, duration, switch, word};
use crate::cli::hub::{Prefix, Stage};
use crate::event::Lease;
use crate::event::job::{JobId, JobState};
use crate::progress::{Format, Pattern};

/// What a job is called and its command's output means.
pub const RUN: Group = Group {
    title: "The job",
    commands: &["run"],
    flags: &[
        word(
            "job",
            "ID",
            |s| &mut s.run.job,
            "The job's name, 1 to 128 of A-Z a-z 0-9 . _ ~ -.",
        )
        .default("a new one, which is told")
        .also("upload"),
        switch(
            "begin",
            |s| &mut s.run.begin,
            "Begins the job anew before the command starts, whatever became of it before: one \
             that is still running is ended, and its command with it.",
        ),
        duration(
            "lease",
            |s| &mut s.run.lease,
            "How long the job may be without a word of this run, which gives it one in time: \
             when this host dies, or the hub can't be reached for so long, the job ends with \
             error. Its variable is LANDFALL_RUN_LEASE.",
        )
        .bounds(Lease::MIN.as_nanos() as u64, Lease::MAX.as_nanos() as u64)
        .twin("LANDFALL_RUN_LEASE"),
        word(
            "stage",
            "NAME",
            |s| &mut s.run.stage,
            "The stage until the command names one.",
        )
        .default("the command's name"),
        word(
            "format",
            "FORMAT",
            |s| &mut s.run.format,
            "auto, or number: a line that is nothing but a number from 0 to 100 is a percentage \
             as well, as of pv -n.",
        )
        .choices(&["auto", "number"])
        .default("auto"),
        word(
            "pattern",
            "REGEX",
            |s| &mut s.run.pattern,
            "What is read instead: a regular expression with the groups (?<percent>...), or \
             (?<done>...) and (?<total>...), and (?<stage>...). Lines it doesn't match move nothing.",
        ),
        switch(
            "pty",
            |s| &mut s.run.pty,
            "Gives the command a terminal, for programs that show how far they are only there; \
             its stdout and stderr become one.",
        ),
        duration(
            "hub-wait",
            |s| &mut s.run.hub_wait,
            "How long to try to publish the end once the command has ended; a second signal \
             ends it.",
        )
        .bounds(0, u64::MAX),
    ],
};

/// Which jobs are meant.
pub const SELECTION: Group = Group {
    title: "The jobs",
    commands: &["list"],
    flags: &[
        word(
            "prefix",
            "PREFIX",
            |s| &mut s.selection.prefix,
            "Those whose names begin so, as user42.",
        )
        .also("watch"),
        word(
            "state",
            "STATE",
            |s| &mut s.selection.state,
            "Those that are running, done, or ended with error.",
        )
        .choices(&["running", "done", "error"]),
        switch(
            "json",
            |s| &mut s.selection.json,
            "Prints JSON, for scripts.",
        ),
    ],
};

/// All jobs.
pub const ALL: Group = Group {
    title: "The jobs",
    commands: &["watch"],
    flags: &[switch(
        "all",
        |s| &mut s.selection.all,
        "Every job there is, and those that come.",
    )],
};

/// The hub that a command talks to.
pub const HUB: Group = Group {
    title: "The hub",
    commands: &[
        "run", "watch", "publish", "list", "cancel", "delete", "retry", "upload",
    ],
    flags: &[
        word(
            "hub",
            "ADDR",
            |s| &mut s.hub.address,
            "The hub's publishing listener: http://HOST:PORT or unix:PATH.",
        )
        .default("http://127.0.0.1:8081"),
        word(
            "key",
            "FILE",
            |s| &mut s.hub.key,
            "A file with the publishing key, or a token, where the hub wants one.",
        ),
    ],
};

impl One for JobId {}
impl One for Stage {}
impl One for Pattern {}
impl One for Prefix {}

impl Word for Format {
    fn put(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "auto" => Format::Auto,
            "number" => Format::Number,
            _ => return Err("not a format: use auto or number".to_owned()),
        };
        Ok(())
    }
}

impl Word for Option<JobState> {
    fn put(&mut self, text: &str) -> Result<(), String> {
        let states = [JobState::Running, JobState::Done, JobState::Failed];
        let state = states.into_iter().find(|state| state.as_str() == text);
        *self = Some(state.ok_or("not a state: use running, done or error")?);
        Ok(())
    }
}
