//! What the commands beside the server take.

use super::value::{One, TextSetting};
use super::{FlagGroup, duration, switch, word};
use crate::cli::hub::{Prefix, StageName};
use crate::event::Lease;
use crate::event::job::{JobId, JobState};
use crate::progress::{Format, Pattern};

/// What a job is called and its command's output means.
pub const RUN: FlagGroup = FlagGroup {
    title: "The job",
    commands: &["run"],
    flags: &[
        word(
            "job",
            "ID",
            |s| &mut s.run.job,
            "The job's name, 1 to 128 of A-Z a-z 0-9 . _ ~ -.",
        )
        .default("a new one, which is printed")
        .also("upload"),
        switch(
            "begin",
            |s| &mut s.run.begin,
            "Begins the job anew before the command starts. If it is still running, that run \
             ends, and its command too.",
        ),
        duration(
            "lease",
            |s| &mut s.run.lease,
            "How long the hub waits for a word from this run, which sends one in time. If this \
             host dies, or can't reach the hub for so long, the job ends with error. The \
             variable is LANDFALL_RUN_LEASE.",
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
            "auto, or number. With number, a line that is just a number from 0 to 100 is a \
             percentage too, as pv -n prints them.",
        )
        .choices(&["auto", "number"])
        .default("auto"),
        word(
            "pattern",
            "REGEX",
            |s| &mut s.run.pattern,
            "A regular expression that finds progress in the output, instead of everything \
             else: with the groups (?<percent>...), or (?<done>...) and (?<total>...), and \
             (?<stage>...). Lines that don't match are ignored.",
        ),
        switch(
            "pty",
            |s| &mut s.run.pty,
            "Runs the command in a terminal, for programs that show progress only there. Its \
             stdout and stderr become one.",
        ),
        duration(
            "hub-wait",
            |s| &mut s.run.hub_wait,
            "How long to try to publish the end after the command has ended. A second signal \
             stops that.",
        )
        .bounds(0, u64::MAX),
    ],
};

/// Which jobs are meant.
pub const SELECTION: FlagGroup = FlagGroup {
    title: "The jobs",
    commands: &["list"],
    flags: &[
        word(
            "prefix",
            "PREFIX",
            |s| &mut s.selection.prefix,
            "Jobs whose names begin with this, as user42.",
        )
        .also("watch"),
        word(
            "state",
            "STATE",
            |s| &mut s.selection.state,
            "Jobs that are running, done, or ended with error.",
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
pub const ALL: FlagGroup = FlagGroup {
    title: "The jobs",
    commands: &["watch"],
    flags: &[switch(
        "all",
        |s| &mut s.selection.all,
        "Every job, and those that come later.",
    )],
};

/// The hub that a command talks to.
pub const HUB: FlagGroup = FlagGroup {
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
            "A file with the publishing key or a token, if the hub asks for one.",
        ),
    ],
};

impl One for JobId {}
impl One for StageName {}
impl One for Pattern {}
impl One for Prefix {}

impl TextSetting for Format {
    fn put(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "auto" => Format::Auto,
            "number" => Format::Number,
            _ => return Err("not a format: use auto or number".to_owned()),
        };
        Ok(())
    }
}

impl TextSetting for Option<JobState> {
    fn put(&mut self, text: &str) -> Result<(), String> {
        let states = [JobState::Running, JobState::Done, JobState::Failed];
        let state = states.into_iter().find(|state| state.as_str() == text);
        *self = Some(state.ok_or("not a state: use running, done or error")?);
        Ok(())
    }
}
