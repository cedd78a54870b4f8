//! What a token is good for.

use super::{FlagGroup, duration, list, word};

/// What a token is good for.
pub const TOKEN: FlagGroup = FlagGroup {
    title: "The token",
    commands: &["token"],
    flags: &[
        list(
            "jobs",
            "JOB",
            |s| &mut s.token.jobs,
            "Jobs that the token's holder may follow: names, or prefixes that end in *, or * \
             for all.",
        ),
        list(
            "publish",
            "JOB",
            |s| &mut s.token.publish,
            "Jobs to publish to, in the same form. The variable is LANDFALL_TOKEN_PUBLISH.",
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
            "Jobs to cancel, also on the public listener, in the same form.",
        ),
        duration(
            "ttl",
            |s| &mut s.token.ttl,
            "How long the token is valid, 1s to 100 years.",
        )
        // A century is as good as for ever.
        .bounds(1_000_000_000, 100 * 366 * 86_400 * 1_000_000_000),
        word("sub", "TEXT", |s| &mut s.token.sub, "Whose token it is."),
    ],
};
