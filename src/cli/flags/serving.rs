//! Where the server listens, whom it lets in, and how it serves them.

use super::{FlagGroup, count, duration, list, size, switch, word};
use crate::event::Lease;

/// What says the rest.
pub const FILE: FlagGroup = FlagGroup {
    title: "The configuration file",
    commands: &["serve", "check"],
    flags: &[word(
        "config",
        "FILE",
        |s| &mut s.file,
        if cfg!(feature = "uploads") {
            "The configuration file. It takes each of these flags under its own name, webhooks, and \
             the stages of uploads. Without stages there, they are scanning, transcoding and storing."
        } else {
            "The configuration file. It takes each of these flags under its own name."
        },
    )
    .default("landfall.toml, if there")],
};

/// Where it listens.
pub const LISTENERS: FlagGroup = FlagGroup {
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
            "The publishing listener, for workers: IP:PORT or unix:PATH (mode 0660). It also \
             serves everything public.",
        )
        .default("127.0.0.1:8081"),
        word(
            "ops",
            "ADDR",
            |s| &mut s.server.ops,
            "The monitoring listener: IP:PORT, unix:PATH (mode 0660) or off. It serves \
             /metrics, /healthz, /readyz and /jobs.",
        )
        .default("127.0.0.1:8082"),
    ],
};

/// Whom it lets in.
pub const ACCESS: FlagGroup = FlagGroup {
    title: "Access",
    commands: &["serve", "check"],
    flags: &[
        list(
            "token-key",
            "FILE",
            |s| &mut s.server.auth.token_keys,
            "A file with a key for tokens, as openssl rand -hex 32 makes it (HS256, 32 bytes or \
             more). With several, the first signs and all verify. With one, the public listener \
             wants a token whose claim \"jobs\" covers the job.",
        )
        .live()
        .sample("/etc/landfall/token.key")
        .also("token"),
        word(
            "token-cookie",
            "NAME",
            |s| &mut s.server.auth.token_cookie,
            "The cookie that may carry a token. Authorization: Bearer comes before it, ?token= \
             after it.",
        )
        .live()
        .default("landfall_token"),
        duration(
            "query-token-max-ttl",
            |s| &mut s.server.auth.query_token_max_ttl,
            "The longest life of a token in ?token=, from its iat, or else from now. A longer \
             one gets 401.",
        )
        .live(),
        word(
            "publish-key",
            "FILE",
            |s| &mut s.server.auth.publish_key,
            "A file with the key that workers send as Authorization: Bearer, 16 characters or \
             more. The publishing listener then wants it, or a token whose claim \"publish\" \
             (or \"jobs\", to follow) covers the job. Without it, everybody who reaches a \
             listener on loopback or a unix socket may publish and follow, but a token that is \
             sent still limits its sender.",
        )
        .live()
        .sample("/etc/landfall/publish.key"),
        switch(
            "insecure",
            |s| &mut s.server.auth.insecure,
            "Lets the publishing listener be reached from other hosts without a key: everybody \
             may publish.",
        )
        .live(),
        list(
            "cors-origin",
            "ORIGIN",
            |s| &mut s.server.auth.cors_origins,
            "Origins whose pages may read answers, with cookies, and change things, as \
             https://app.example. With *, pages of every origin may read what is public, \
             without cookies.",
        )
        .live()
        .sample("https://app.example"),
        list(
            "host",
            "NAME",
            |s| &mut s.server.auth.hosts,
            "Names that Host may have, besides addresses, localhost and names without a dot. It \
             counts where nobody has to show a key or a token: on an open publishing listener, \
             for uploads, and for /jobs. Other names get 403.",
        )
        .live()
        .sample("landfall.example"),
    ],
};

/// What publishers may do.
pub const PUBLISHING: FlagGroup = FlagGroup {
    title: "Publishing",
    commands: &["serve", "check"],
    flags: &[
        size(
            "max-event",
            |s| &mut s.server.hub.event_bytes,
            "An event's data, 1GiB at most. More gets 413.",
        )
        // Two of them fit in any ring.
        .bounds(1, 1 << 30),
        size(
            "max-body",
            |s| &mut s.server.body_bytes,
            "The body of a publishing request. More gets 413.",
        )
        .live(),
        duration(
            "max-body-time",
            |s| &mut s.server.connection.body_time,
            "How long the body of a publishing request may take to arrive. After that it gets \
             408.",
        ),
        count(
            "max-event-rate",
            |s| &mut s.server.quotas.event_rate,
            "Events a second of one publisher, over two seconds, or off. A publisher is a token, or an \
             address. More get 429 with Retry-After.",
        )
        .live(),
        duration(
            "lease",
            |s| &mut s.server.hub.lease,
            "How long a worker's job may go without a word if the worker gives no lease of its \
             own, 1s to 24h, or off. After that the job ends with error.",
        )
        .bounds(Lease::MIN.as_nanos() as u64, Lease::MAX.as_nanos() as u64),
        duration(
            "idempotency-window",
            |s| &mut s.server.hub.idempotency_window,
            "How long a key (Idempotency-Key, or \"key\" in a line) is remembered: the newest \
             1,024 of a job, while the job is remembered. After that the same key counts as \
             new.",
        ),
        duration(
            "cancel-grace",
            |s| &mut s.server.hub.cancel_grace,
            "How long a worker may take to end a cancelled job. After that the job ends by \
             itself.",
        ),
    ],
};

/// How streams are served.
pub const STREAMS: FlagGroup = FlagGroup {
    title: "Streams",
    commands: &["serve", "check"],
    flags: &[
        duration(
            "retry",
            |s| &mut s.server.shard.retry,
            "How long clients wait before they reconnect, plus up to half as much at random.",
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
            "How long a client may take nothing of its stream. After that the stream is closed.",
        ),
        size(
            "stall-memory",
            |s| &mut s.server.shard.leftover_bytes,
            "The most that one shard keeps of frames which slow readers have taken in part. \
             Beyond it their streams are closed.",
        ),
        size(
            "stall-memory-per-address",
            |s| &mut s.server.shard.leftover_bytes_per_address,
            "The same for the slow readers of one address, or off.",
        ),
        size(
            "send-buffer",
            |s| &mut s.server.send_buffer_bytes,
            "The most that the kernel holds for one slow reader. Beyond it the stream waits for \
             its client.",
        ),
        size(
            "send-memory",
            |s| &mut s.server.send_memory_bytes,
            "The most that the kernel holds for all streams. Beyond it streams whose clients \
             take nothing are closed.",
        ),
        count(
            "max-streams",
            |s| &mut s.server.streams,
            "Streams in all. One more gets 200 with --busy-retry, and a close.",
        )
        .live()
        .sample("50000")
        .default("open files - 1088"),
        count(
            "max-streams-per-job",
            |s| &mut s.server.quotas.streams_per_job,
            "Streams of one job, or off. One more gets 200 with --busy-retry, and a close.",
        )
        .live(),
        count(
            "max-streams-per-token",
            |s| &mut s.server.quotas.streams_per_token,
            "Streams of one token, up to 65535, or off. One more gets 200 with --busy-retry, and a close.",
        )
        .live(),
        count(
            "max-stream-rate",
            |s| &mut s.server.quotas.stream_rate,
            "Streams a second that one address may open, over ten seconds, or off. One more \
             gets 200 with --busy-retry, and a close.",
        )
        .live(),
        duration(
            "max-stream-age",
            |s| &mut s.server.shard.max_stream_age,
            "Ends each stream, with a retry, at a random time from half of this on, so that \
             clients spread over the servers behind a balancer; or off.",
        ),
        size(
            "replay-rate",
            |s| &mut s.server.shard.replay_bytes_per_second,
            "The most bytes of replays a second that each shard begins to send, each replay \
             counting as 4KiB or more. It sends fewer while it is late with its work. A stream \
             whose replay waits is open.",
        ),
        switch(
            "io-uring",
            |s| &mut s.server.shard.io_uring,
            "Sends a job's news to many streams with one system call, by io_uring. If the \
             kernel doesn't allow it, the log says so, and streams are served without it.",
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
pub const CONNECTIONS: FlagGroup = FlagGroup {
    title: "Connections and requests",
    commands: &["serve", "check"],
    flags: &[
        count(
            "max-connections",
            |s| &mut s.server.connections,
            "Connections that aren't streams; the public listener gets three quarters of them \
             at most. One more gets 503.",
        ),
        count(
            "max-connections-per-address",
            |s| &mut s.server.quotas.connections_per_address,
            "Connections and streams of one address (IPv6: one /64), up to 65535, or off. One \
             more stream gets 200 with --busy-retry, and a close; anything else gets 429.",
        )
        .live(),
        list(
            "trusted-proxy",
            "NET",
            |s| &mut s.server.quotas.trusted_proxies,
            "Addresses that many clients share, such as a proxy's, as 10.0.0.0/8. Limits by \
             address don't count them.",
        )
        .live()
        .default("127.0.0.0/8,::1"),
        count(
            "max-requests",
            |s| &mut s.server.connection.requests,
            "Requests on one connection. The last one's answer closes it.",
        ),
        size(
            "max-head",
            |s| &mut s.server.connection.head.head_bytes,
            "A request's head. More gets 431.",
        ),
        size(
            "max-target",
            |s| &mut s.server.connection.head.target_bytes,
            "A request's target. More gets 414.",
        ),
        duration(
            "head-timeout",
            |s| &mut s.server.connection.head_timeout,
            "How long a request's head may take to arrive. After that it gets 408.",
        ),
        duration(
            "body-timeout",
            |s| &mut s.server.connection.body_timeout,
            "How long a body may bring nothing, or an answer may wait to be taken. After that \
             the request gets 408, or the connection is closed.",
        ),
        size(
            "min-body-rate",
            |s| &mut s.server.connection.body_bytes_per_second,
            "Bytes a second that a body must bring, on average over --body-timeout. Fewer get \
             408.",
        ),
        duration(
            "idle-timeout",
            |s| &mut s.server.connection.idle_timeout,
            "How long a connection may be without a request. After that it is closed.",
        ),
    ],
};

/// What it says of itself.
pub const LOG: FlagGroup = FlagGroup {
    title: "The log",
    commands: &["serve", "check"],
    flags: &[
        word(
            "log-level",
            "LEVEL",
            |s| &mut s.log.level,
            "What goes to the log on stderr: error, warn, info or debug, each with everything \
             worse, or off. Without it RUST_LOG decides.",
        )
        .choices(&["error", "warn", "info", "debug", "off"])
        .sample("info")
        .live(),
        word(
            "log-format",
            "FORMAT",
            |s| &mut s.log.format,
            "What a line of the log looks like. text: it begins with the time, or with its priority if \
             systemd's journal reads it. json: it is an object with time, level and message.",
        )
        .choices(&["text", "json"])
        .default("text")
        .live(),
    ],
};

/// How it ends.
pub const STOPPING: FlagGroup = FlagGroup {
    title: "Stopping",
    commands: &["serve", "check"],
    flags: &[
        duration(
            "drain",
            |s| &mut s.server.drain,
            "How long clients have after SIGTERM to take what is pending. Then it is cut off. A \
             second signal stops at once.",
        ),
        duration(
            "drain-spread",
            |s| &mut s.server.drain_spread,
            "The time over which SIGTERM ends the streams, at most half of --drain.",
        ),
        duration(
            "handover-timeout",
            |s| &mut s.server.handover,
            "How long the server that SIGUSR2 starts may take to be ready. After that it is \
             killed, and the old one goes on.",
        ),
    ],
};

/// Where a hub serves, as it is told itself, and as whoever talks to it is.
pub const BASE: FlagGroup = FlagGroup {
    title: "The path",
    commands: &[
        "serve", "check", "run", "watch", "publish", "list", "cancel", "delete", "retry", "upload",
    ],
    flags: &[word(
        "base-path",
        "PATH",
        |s| &mut s.server.base_path,
        "Serves everything below this path, on the public and on the publishing listener, \
             for a proxy that passes paths on unchanged. Other paths get 404.",
    )
    .default("/")],
};

/// What `check` shows instead.
pub const CHECK: FlagGroup = FlagGroup {
    title: "An example",
    commands: &["check"],
    flags: &[switch(
        "example",
        |s| &mut s.example,
        "Prints a configuration file with every setting, what it does and its default, and \
             checks nothing.",
    )],
};
