//! What a token is good for.

use super::{Group, duration, list, word};

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
