//! What the server keeps, on disk and in memory.

use super::{FlagGroup, count, duration, size, switch, word};

/// What a restart finds again.
pub const DISK: FlagGroup = FlagGroup {
    title: "Kept on disk",
    commands: &["serve", "check"],
    flags: &[
        word(
            "data",
            "DIR",
            |s| &mut s.server.data,
            "The directory for events, which a restart restores, and for uploads.",
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
            "When events are safe from a loss of power. always: before they are answered. \
             interval=DUR: at most so long after that, but the end of a job before it is \
             answered.",
        )
        .choices(&["always", "interval="])
        .default("interval=200ms"),
        size(
            "journal-bytes",
            |s| &mut s.server.journal.bytes,
            "The most that events take on disk, 4MiB or more. Beyond it the oldest events go, \
             except each job's newest. If nothing else is left, publishing gets 507.",
        )
        // Less would be segments too small to be worth a file.
        .bounds(4 << 20, u64::MAX),
        count(
            "journal-jobs",
            |s| &mut s.server.journal.ended_jobs,
            "Ended jobs that are kept on disk. Beyond it the one that ended first is forgotten.",
        ),
        duration(
            "journal-age",
            |s| &mut s.server.journal.age,
            "How long ended jobs and events are kept on disk. Older jobs are forgotten; older \
             events go, except each job's newest.",
        ),
    ],
};

/// What streams are served from.
pub const MEMORY: FlagGroup = FlagGroup {
    title: "Kept in memory",
    commands: &["serve", "check"],
    flags: &[
        count(
            "ring-events",
            |s| &mut s.server.hub.ring.events,
            "Events of a job that are kept for replay in memory. Beyond it the oldest goes; a \
             client that still needs it is served from the journal, or gets a reset.",
        ),
        size(
            "ring-bytes",
            |s| &mut s.server.hub.ring.bytes,
            "The same in bytes, whichever is reached first, 1GiB at most. The newest two events \
             always stay.",
        ),
        size(
            "memory",
            |s| &mut s.server.hub.memory_bytes,
            "The most that events for replay take in memory, all jobs together. Beyond it ended \
             jobs are forgotten, oldest first; if none is left, new jobs get 503.",
        ),
        count(
            "max-jobs",
            |s| &mut s.server.hub.jobs,
            "Jobs in all. Beyond it ended jobs are forgotten, oldest first; if none is left, \
             new jobs get 503.",
        ),
        count(
            "max-jobs-per-address",
            |s| &mut s.server.hub.jobs_per_address,
            "Jobs that the uploads of one address, or of one token, have begun, or off. Beyond \
             it the first of them that ended is forgotten; if all are running, an upload gets \
             503.",
        ),
        count(
            "max-awaited",
            |s| &mut s.server.hub.awaited,
            "Names without a job that streams wait for, some 300 bytes each. A stream that \
             names one more gets 200 with --busy-retry, and a close.",
        ),
        count(
            "max-awaited-per-address",
            |s| &mut s.server.hub.awaited_per_address,
            "Such names that one address, or one token, was the first to wait for, or off. A \
             stream beyond it gets the same.",
        ),
        duration(
            "deleted-for",
            |s| &mut s.server.hub.deleted_for,
            "How long a deletion is remembered, of the newest 16,384. Until then the job is \
             410, after that 404.",
        ),
        duration(
            "abandoned-after",
            |s| &mut s.server.hub.abandoned_after,
            "How long a running job may go without an event. After that it counts as ended if \
             room is needed.",
        ),
    ],
};

/// Where several servers keep one order.
pub const FLEET: FlagGroup = FlagGroup {
    title: "Several servers, one order",
    commands: &["serve", "check"],
    flags: &[
        word(
            "redis",
            "URL",
            |s| &mut s.server.fleet.redis,
            "The Redis (6.2 or later, or Valkey) that keeps the order of several servers \
             instead of the journal: redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE], \
             redis+unix:///PATH or redis+sentinel://HOST,.../MASTER. It takes a build with the \
             feature redis.",
        )
        .sample("redis://127.0.0.1:6379/0"),
        word(
            "fleet",
            "NAME",
            |s| &mut s.server.fleet.name,
            "What the fleet's keys in Redis begin with. Servers with the same name are one \
             fleet.",
        )
        .default("landfall"),
        word(
            "node",
            "NAME",
            |s| &mut s.server.fleet.node,
            "This server's name, different from every other in the fleet; without it the host's name. At \
             most 16 nodes may keep Redis's log at a time.",
        )
        .sample("a"),
        word(
            "node-url",
            "URL",
            |s| &mut s.server.fleet.url,
            "The URL, with --base-path, at which browsers reach this very server. Other nodes \
             send them there for an upload or a file that is here. Without it they answer 409 \
             and name this node.",
        )
        .sample("https://a.example.com"),
        count(
            "redis-wait",
            |s| &mut s.server.fleet.wait,
            "Replicas of Redis that must confirm an event before it is answered. With fewer \
             replicas, publishers wait.",
        )
        .bounds(0, 100),
        size(
            "redis-log",
            |s| &mut s.server.fleet.log_bytes,
            "History of all jobs that Redis keeps, besides where each stands: at least this, \
             and about twice as much at most. Beyond it the oldest goes.",
        )
        .bounds(1 << 20, 1 << 36),
    ],
};
