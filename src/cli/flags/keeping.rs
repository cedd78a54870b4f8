//! What the server keeps, on disk and in memory.

use super::{Group, count, duration, size, switch, word};

/// What a restart finds again.
pub const DISK: Group = Group {
    title: "Kept on disk",
    commands: &["serve", "check"],
    flags: &[
        word(
            "data",
            "DIR",
            |s| &mut s.server.data,
            "Where accepted events, which a restart restores, and uploads are kept.",
        )
        .default("./landfall-data"),
        switch(
            "memory-only",
            |s| &mut s.memory_only,
            "Keeps nothing on disk, whatever --data says, and refuses uploads.",
        ),
        word(
            "sync",
            "WHEN",
            |s| &mut s.server.journal.sync,
            "When events are safe from a loss of power: always (before they are answered) or \
             interval=DUR (so long after it at most; the end of a job before it is answered).",
        )
        .choices(&["always", "interval="])
        .default("interval=200ms"),
        size(
            "journal-bytes",
            |s| &mut s.server.journal.bytes,
            "All events on disk, in bytes, 4MiB at least; at it the oldest go, but each job's \
             newest, and then publishing gets 507.",
        )
        // Less would be segments too small to be worth a file.
        .bounds(4 << 20, u64::MAX),
        count(
            "journal-jobs",
            |s| &mut s.server.journal.ended_jobs,
            "Jobs that have ended, on disk; beyond it the first that ended are forgotten.",
        ),
        duration(
            "journal-age",
            |s| &mut s.server.journal.age,
            "How long a job that has ended, and events but each job's newest, are kept on disk; \
             after it they are forgotten.",
        ),
    ],
};

/// What streams are served from.
pub const MEMORY: Group = Group {
    title: "Kept in memory",
    commands: &["serve", "check"],
    flags: &[
        count(
            "ring-events",
            |s| &mut s.server.hub.ring.events,
            "Events kept for replay, per job; beyond it the oldest goes, and who needed it gets \
             a reset.",
        ),
        size(
            "ring-bytes",
            |s| &mut s.server.hub.ring.bytes,
            "Bytes kept for replay, per job, if that is reached first, and 1GiB if it is more; the \
             newest two events are always kept.",
        ),
        size(
            "memory",
            |s| &mut s.server.hub.memory_bytes,
            "All that is kept for replay, in bytes; at it ended jobs are forgotten, oldest \
             first, and then new jobs get 503.",
        ),
        count(
            "max-jobs",
            |s| &mut s.server.hub.jobs,
            "Jobs in all; at it ended ones are forgotten, oldest first, and then new jobs get \
             503.",
        ),
        count(
            "max-jobs-per-address",
            |s| &mut s.server.hub.jobs_per_address,
            "Jobs that uploads of one address, and those of one token, have begun, or off; for one \
             more the first of them that ended is forgotten, and where all go on it gets 503.",
        ),
        count(
            "max-awaited",
            |s| &mut s.server.hub.awaited,
            "Names that streams wait for and that are no jobs', some 300 bytes each; a stream \
             that names one more gets 200, the busy retry and a close.",
        ),
        count(
            "max-awaited-per-address",
            |s| &mut s.server.hub.awaited_per_address,
            "Those that one address, and one token, was the first to wait for, or off; the same \
             beyond it.",
        ),
        duration(
            "deleted-for",
            |s| &mut s.server.hub.deleted_for,
            "How long a deletion is remembered: the job is 410 until then, and 404 after it. Of \
             more than 16,384 deletions the newest are.",
        ),
        duration(
            "abandoned-after",
            |s| &mut s.server.hub.abandoned_after,
            "How long a running job may be without an event; after it, it counts as ended when \
             room is needed.",
        ),
    ],
};

/// Where several servers keep one order.
pub const FLEET: Group = Group {
    title: "Several servers, one order",
    commands: &["serve", "check"],
    flags: &[
        word(
            "redis",
            "URL",
            |s| &mut s.server.fleet.redis,
            "The Redis (6.2 or later, or Valkey) that keeps the order of several servers, in the \
             place of the journal: redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE], \
             redis+unix:///PATH or redis+sentinel://HOST,.../MASTER. It takes a build with the \
             feature redis.",
        )
        .sample("redis://127.0.0.1:6379/0"),
        word(
            "fleet",
            "NAME",
            |s| &mut s.server.fleet.name,
            "What the fleet's keys in Redis begin with: servers of one name are one fleet.",
        )
        .default("landfall"),
        word(
            "node",
            "NAME",
            |s| &mut s.server.fleet.node,
            "What this server is called among the fleet's, each by another name, of which 16 may \
             keep Redis's log at a time; by itself it is the host's name.",
        )
        .sample("a"),
        word(
            "node-url",
            "URL",
            |s| &mut s.server.fleet.url,
            "Where browsers find this server by itself, --base-path included: the others of the \
             fleet lead there who ask for an upload, or its file, that is on this one. Without \
             it they answer 409 and name this node.",
        )
        .sample("https://a.example.com"),
        count(
            "redis-wait",
            |s| &mut s.server.fleet.wait,
            "Replicas of Redis that have to confirm an event before it is answered; without so \
             many, publishers wait.",
        )
        .bounds(0, 100),
        size(
            "redis-log",
            |s| &mut s.server.fleet.log_bytes,
            "What Redis keeps of the history of all jobs, in bytes, besides what each has come \
             to: so much at least and about twice as much at most; beyond it the oldest goes.",
        )
        .bounds(1 << 20, 1 << 36),
    ],
};
