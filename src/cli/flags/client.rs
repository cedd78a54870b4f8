//! What the commands beside the server take.

use super::{Group, duration, list, switch, word};
use crate::event::Lease;

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

/// What a token is good for.
pub const TOKEN: Group = Group {
    title: "The token",
    commands: &["token"],
    flags: &[
        list(
            "jobs",
            "JOB",
            |s| &mut s.token.jobs,
            "Jobs that may be followed: names, or beginnings of them that end in *; * alone for \
             all.",
        ),
        list(
            "publish",
            "JOB",
            |s| &mut s.token.publish,
            "Jobs that may be published to, in the same form; its variable is \
             LANDFALL_TOKEN_PUBLISH.",
        )
        .twin("LANDFALL_TOKEN_PUBLISH"),
        list(
            "upload",
            "JOB",
            |s| &mut s.token.upload,
            "Jobs that an upload may begin, in the same form.",
        ),
        list(
            "cancel",
            "JOB",
            |s| &mut s.token.cancel,
            "Jobs that may be cancelled, also on the public listener, in the same form.",
        ),
        duration(
            "ttl",
            |s| &mut s.token.ttl,
            "How long it is good for, from 1s to 100 years.",
        )
        // A century is as good as for ever.
        .bounds(1_000_000_000, 100 * 366 * 86_400 * 1_000_000_000),
        word("sub", "TEXT", |s| &mut s.token.sub, "Whose it is."),
    ],
};

/// Where a hub serves, as it is told itself, and as whoever talks to it is.
pub const BASE: Group = Group {
    title: "The path",
    commands: &[
        "serve", "check", "run", "watch", "publish", "list", "cancel", "delete", "retry", "upload",
    ],
    flags: &[word(
        "base-path",
        "PATH",
        |s| &mut s.hub.base_path,
        "Everything is below this path, on the public listener and on the publishing one, for a \
         proxy that passes requests on as they are; 404 for what isn't.",
    )
    .default("/")],
};

/// What `check` shows instead.
pub const CHECK: Group = Group {
    title: "An example",
    commands: &["check"],
    flags: &[switch(
        "example",
        |s| &mut s.example,
        "Shows a configuration file with everything that can stand in it, each with what it does \
         and at its default, and checks nothing.",
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
