//! Where the server listens, whom it lets in, and how it serves them.

use super::{Group, count, duration, list, size, switch, word};
use crate::event::Lease;

/// What says the rest.
pub const FILE: Group = Group {
    title: "The configuration file",
    commands: &["serve", "check"],
    flags: &[word(
        "config",
        "FILE",
        |s| &mut s.file,
        if cfg!(feature = "uploads") {
            "The configuration file: any other of these flags under its own name, the webhooks \
             that are told of events, and the stages that uploads go through, which are scanning, \
             transcoding and storing where it names none."
        } else {
            "The configuration file: any other of these flags under its own name."
        },
    )
    .default("landfall.toml, if there")],
};

/// Where it listens.
pub const LISTENERS: Group = Group {
    title: "Listeners",
    commands: &["serve", "check"],
    flags: &[
        word(
            "listen",
            "ADDR",
            |s| &mut s.server.listen,
            "The public listener, for browsers: IP:PORT, where port 0 picks a free one, or \
             unix:PATH.",
        )
        .default("127.0.0.1:8080"),
        word(
            "publish",
            "ADDR",
            |s| &mut s.server.publish,
            "The publishing listener, for workers: IP:PORT or unix:PATH (mode 0660); everything \
             public is served here as well.",
        )
        .default("127.0.0.1:8081"),
        word(
            "ops",
            "ADDR",
            |s| &mut s.server.ops,
            "The monitoring listener, IP:PORT, unix:PATH (mode 0660) or off: /metrics, /healthz, \
             /readyz and /jobs.",
        )
        .default("127.0.0.1:8082"),
    ],
};

/// Whom it lets in.
pub const ACCESS: Group = Group {
    title: "Access",
    commands: &["serve", "check"],
    flags: &[
        list(
            "token-key",
            "FILE",
            |s| &mut s.server.auth.token_keys,
            "A file with a key for tokens (HS256, 32 bytes or more, as of openssl rand -hex 32): \
             the first signs, all verify, and SIGHUP has the server read them again; with one, \
             subscribing on the public listener takes a token whose claim \"jobs\" covers the \
             job.",
        )
        .live()
        .sample("/etc/landfall/token.key")
        .also("token"),
        word(
            "token-cookie",
            "NAME",
            |s| &mut s.server.auth.token_cookie,
            "The cookie that a token may be in; Authorization: Bearer comes before it, ?token= \
             after it.",
        )
        .live()
        .default("landfall_token"),
        duration(
            "query-token-max-ttl",
            |s| &mut s.server.auth.query_token_max_ttl,
            "The longest life of a token in ?token=, from its iat, or else from now; 401 beyond \
             it.",
        )
        .live(),
        word(
            "publish-key",
            "FILE",
            |s| &mut s.server.auth.publish_key,
            "A file with the key that workers show as Authorization: Bearer (16 characters or \
             more): everything on the publishing listener takes it then, or a token whose claim \
             \"publish\" (or \"jobs\", to subscribe) covers the job; without it, who reaches a \
             listener on loopback or a unix socket may publish and subscribe, but a token that \
             is shown is held to.",
        )
        .live()
        .sample("/etc/landfall/publish.key"),
        switch(
            "insecure",
            |s| &mut s.server.auth.insecure,
            "Lets everybody publish at a publishing listener that others can reach.",
        )
        .live(),
        list(
            "cors-origin",
            "ORIGIN",
            |s| &mut s.server.auth.cors_origins,
            "Web pages that may read answers, with cookies, and change things, as \
             https://app.example; * lets pages of every origin read what is on the public \
             listener, without cookies.",
        )
        .live()
        .sample("https://app.example"),
        list(
            "host",
            "NAME",
            |s| &mut s.server.auth.hosts,
            "Names that Host may have, besides addresses, localhost and names without a dot, \
             where nothing has to be shown: on an open publishing listener, for uploads, and for \
             /jobs; 403 for others.",
        )
        .live()
        .sample("landfall.example"),
    ],
};

/// What publishers may do.
pub const PUBLISHING: Group = Group {
    title: "Publishing",
    commands: &["serve", "check"],
    flags: &[
        size(
            "max-event",
            |s| &mut s.server.hub.event_bytes,
            "An event's data, in bytes, 1GiB at most; 413 beyond it.",
        )
        // Two of them fit in any ring.
        .bounds(1, 1 << 30),
        size(
            "max-body",
            |s| &mut s.server.body_bytes,
            "A publishing request's body, in bytes; 413 beyond it.",
        )
        .live(),
        duration(
            "max-body-time",
            |s| &mut s.server.connection.body_time,
            "How long a publishing request's body may take until it is whole; 408 beyond it.",
        ),
        count(
            "max-event-rate",
            |s| &mut s.server.quotas.event_rate,
            "Events a second, over two seconds, of one publisher, which is a token, or an \
             address with the publishing key, or an address; or off; 429 with Retry-After beyond \
             it.",
        )
        .live(),
        duration(
            "lease",
            |s| &mut s.server.hub.lease,
            "How long a worker's job may be without a word, 1s to 24h, where its events and its \
             PUT say no lease of their own; after it the job ends with error; or off.",
        )
        .bounds(Lease::MIN.as_nanos() as u64, Lease::MAX.as_nanos() as u64),
        duration(
            "idempotency-window",
            |s| &mut s.server.hub.idempotency_window,
            "How long a key (Idempotency-Key, or \"key\" in a line) is remembered, of a job the \
             newest 1024, and as long as the job is; after it the same key is a new one.",
        ),
        duration(
            "cancel-grace",
            |s| &mut s.server.hub.cancel_grace,
            "How long the worker of a job that is cancelled may take to end it; after it the job \
             ends by itself.",
        ),
    ],
};

/// How streams are served.
pub const STREAMS: Group = Group {
    title: "Streams",
    commands: &["serve", "check"],
    flags: &[
        duration(
            "retry",
            |s| &mut s.server.shard.retry,
            "What clients wait before they reconnect, plus up to half as much at random.",
        ),
        duration(
            "busy-retry",
            |s| &mut s.server.busy_retry,
            "The same for a stream that there is no room for.",
        )
        .live(),
        duration(
            "heartbeat",
            |s| &mut s.server.shard.heartbeat,
            "How long a stream may be idle before it gets a comment.",
        ),
        duration(
            "stall",
            |s| &mut s.server.shard.stall,
            "How long a client may take nothing of its stream; it is closed after it.",
        ),
        size(
            "stall-memory",
            |s| &mut s.server.shard.leftover_bytes,
            "What slow readers leave of frames, in bytes, per shard; beyond it they are closed.",
        ),
        size(
            "stall-memory-per-address",
            |s| &mut s.server.shard.leftover_bytes_per_address,
            "What those of one address leave, in bytes, per shard, or off; the same beyond it.",
        ),
        size(
            "send-buffer",
            |s| &mut s.server.send_buffer_bytes,
            "What the kernel holds for a slow reader, in bytes; its stream waits beyond it.",
        ),
        size(
            "send-memory",
            |s| &mut s.server.send_memory_bytes,
            "What it holds for all of them, in bytes; beyond it those that take nothing are closed.",
        ),
        count(
            "max-streams",
            |s| &mut s.server.streams,
            "Streams in all; one more gets 200, the busy retry and a close.",
        )
        .live()
        .sample("50000")
        .default("open files - 1088"),
        count(
            "max-streams-per-job",
            |s| &mut s.server.quotas.streams_per_job,
            "Streams of one job, or off; one more gets 200, the busy retry and a close.",
        )
        .live(),
        count(
            "max-streams-per-token",
            |s| &mut s.server.quotas.streams_per_token,
            "Streams of one token, up to 65535, or off; one more gets 200, the busy retry and a \
             close.",
        )
        .live(),
        count(
            "max-stream-rate",
            |s| &mut s.server.quotas.stream_rate,
            "Streams that begin in a second from one address, over ten seconds, or off; one more \
             gets 200, the busy retry and a close.",
        )
        .live(),
        duration(
            "max-stream-age",
            |s| &mut s.server.shard.max_stream_age,
            "A stream ends with a retry after half of this to all of it, at random, so that \
             streams spread over the servers behind a balancer; or off.",
        ),
        size(
            "replay-rate",
            |s| &mut s.server.shard.replay_bytes_per_second,
            "Bytes of replays that each shard begins to send in a second at most, a replay \
             counting as 4KiB at least: as many as the host can stand, fewer while the shard is \
             late with its work; a stream whose replay waits is open, with its retry.",
        ),
        switch(
            "io-uring",
            |s| &mut s.server.shard.io_uring,
            "Sends a job's news to many streams with one system call, by io_uring, where the \
             kernel lets it; else the log says why, and each has a call of its own.",
        ),
        count(
            "shards",
            |s| &mut s.server.shards,
            "Threads that serve streams, 64 at most.",
        )
        .sample("2")
        .bounds(1, 64)
        .default("one a core"),
    ],
};

/// What connections may do.
pub const CONNECTIONS: Group = Group {
    title: "Connections and requests",
    commands: &["serve", "check"],
    flags: &[
        count(
            "max-connections",
            |s| &mut s.server.connections,
            "Connections that aren't streams, three quarters of them at most on the public \
             listener; one more gets 503.",
        ),
        count(
            "max-connections-per-address",
            |s| &mut s.server.quotas.connections_per_address,
            "Connections and streams of one address (IPv6: of one /64), up to 65535, or off; one \
             more stream gets 200, the busy retry and a close, all else 429.",
        )
        .live(),
        list(
            "trusted-proxy",
            "NET",
            |s| &mut s.server.quotas.trusted_proxies,
            "Addresses behind which there are many clients, as 10.0.0.0/8: nothing is counted by \
             them.",
        )
        .live()
        .default("127.0.0.0/8,::1"),
        count(
            "max-requests",
            |s| &mut s.server.connection.requests,
            "Requests on one connection; the last is answered with a close.",
        ),
        size(
            "max-head",
            |s| &mut s.server.connection.head.head_bytes,
            "A request's head, in bytes; 431 beyond it.",
        ),
        size(
            "max-target",
            |s| &mut s.server.connection.head.target_bytes,
            "A request's target, in bytes; 414 beyond it.",
        ),
        duration(
            "head-timeout",
            |s| &mut s.server.connection.head_timeout,
            "How long a request's head may take until it is whole; 408 beyond it.",
        ),
        duration(
            "body-timeout",
            |s| &mut s.server.connection.body_timeout,
            "How long a body may bring nothing, or an answer not be taken; 408 beyond it.",
        ),
        size(
            "min-body-rate",
            |s| &mut s.server.connection.body_bytes_per_second,
            "Bytes that a body brings in a second, on average over --body-timeout; 408 below it.",
        ),
        duration(
            "idle-timeout",
            |s| &mut s.server.connection.idle_timeout,
            "How long a connection may be without a request; it is closed after it.",
        ),
    ],
};

/// What it says of itself.
pub const LOG: Group = Group {
    title: "The log",
    commands: &["serve", "check"],
    flags: &[
        word(
            "log-level",
            "LEVEL",
            |s| &mut s.log.level,
            "What is logged to stderr: error, warn, info or debug, each with what is worse, or off; \
             without it RUST_LOG says it.",
        )
        .choices(&["error", "warn", "info", "debug", "off"])
        .sample("info")
        .live(),
        word(
            "log-format",
            "FORMAT",
            |s| &mut s.log.format,
            "How it is logged: text, where a line begins with the time, or with its priority where systemd's \
             journal reads it; or json, an object a line with time, level and message.",
        )
        .choices(&["text", "json"])
        .default("text")
        .live(),
    ],
};

/// How it ends.
pub const STOPPING: Group = Group {
    title: "Stopping",
    commands: &["serve", "check"],
    flags: &[
        duration(
            "drain",
            |s| &mut s.server.drain,
            "What SIGTERM gives clients to take what is pending, which is cut off after it; a \
             second one ends at once.",
        ),
        duration(
            "drain-spread",
            |s| &mut s.server.drain_spread,
            "The time over which SIGTERM ends the streams, at most half of --drain.",
        ),
        duration(
            "handover-timeout",
            |s| &mut s.server.handover,
            "What a server that SIGUSR2 starts has to be ready; it is killed after it, and the \
             old one goes on.",
        ),
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
        |s| &mut s.server.base_path,
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
