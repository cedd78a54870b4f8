//! `landfall serve`: the server.

mod life;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use crate::sequencer::journal::Sync;
use crate::server::ServerConfig;

/// A flag: its name, its value's shape, its default, what it does, how it is set. One whose
/// value ends with `...` may be repeated, and is set once to all its values, with commas
/// between them; one without a value is set to `true`.
struct Flag {
    name: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
    set: fn(&mut ServerConfig, &str) -> Result<(), String>,
}

/// Where data is kept when nothing else is said.
const DATA: &str = "./landfall-data";
/// What names the stages when nothing else is said.
const CONFIG: &str = "landfall.toml";

/// Less would be segments too small to be worth a file.
const JOURNAL_MIN_BYTES: usize = 4 << 20;

const FLAGS: &[Flag] = &[
    Flag {
        name: "listen",
        value: "ADDR",
        default: "127.0.0.1:8080",
        help: "public listener: IP:PORT or unix:PATH; port 0 picks a free one",
        set: |config, text| set(&mut config.listen, text.parse()),
    },
    Flag {
        name: "publish",
        value: "ADDR",
        default: "127.0.0.1:8081",
        help: "publishing listener, for workers: IP:PORT or unix:PATH (mode 0660)",
        set: |config, text| set(&mut config.publish, text.parse()),
    },
    Flag {
        name: "ops",
        value: "ADDR",
        default: "127.0.0.1:8082",
        help: "monitoring listener: /metrics, /healthz, /readyz, /jobs",
        set: |config, text| {
            set(
                &mut config.ops,
                text.parse().map_err(|_| format!("{text:?} is not IP:PORT")),
            )
        },
    },
    Flag {
        name: "token-key",
        value: "FILE...",
        default: "",
        help: "a key for tokens (HS256, 32 bytes or more); repeatable: the first signs, all \
               verify, SIGHUP reads them again. With one, subscribing on the public listener \
               takes a token whose claim \"jobs\" covers the job",
        set: |config, text| set(&mut config.auth.token_keys, list(text)),
    },
    Flag {
        name: "token-cookie",
        value: "NAME",
        default: "landfall_token",
        help: "the cookie that a token may be in; Authorization: Bearer comes before it, \
               ?token= after it",
        set: |config, text| set(&mut config.auth.token_cookie, text.parse()),
    },
    Flag {
        name: "query-token-max-ttl",
        value: "DUR",
        default: "5m",
        help: "the longest life of a token in ?token=, from its iat, or else from now; 401 \
               beyond it",
        set: |config, text| set(&mut config.auth.query_token_max_ttl, duration(text)),
    },
    Flag {
        name: "publish-key",
        value: "FILE",
        default: "",
        help: "the key that workers show as Authorization: Bearer (16 characters or more). \
               With one, everything on the publishing listener takes it, or a token whose \
               claim \"publish\" (or \"jobs\", to subscribe) covers the job. Without one, who \
               reaches a listener on loopback or a unix socket may publish and subscribe; a \
               token that is shown is held to",
        set: |config, text| {
            config.auth.publish_key = list::<PathBuf>(text)?.pop();
            Ok(())
        },
    },
    Flag {
        name: "insecure",
        value: "",
        default: "false",
        help: "lets everybody publish at a publishing listener that others can reach",
        set: |config, text| set(&mut config.auth.insecure, switch(text)),
    },
    Flag {
        name: "cors-origin",
        value: "ORIGIN...",
        default: "",
        help: "web pages that may read answers, with cookies, and change things, as \
               https://app.example; repeatable; * lets pages of every origin read what is on \
               the public listener, without cookies",
        set: |config, text| set(&mut config.auth.cors_origins, list(text)),
    },
    Flag {
        name: "host",
        value: "NAME...",
        default: "",
        help: "a name that Host may have, repeatable; addresses, localhost and names without \
               a dot always may. It counts where nothing has to be shown: on an open \
               publishing listener, for uploads, and for /jobs; 403 for others",
        set: |config, text| set(&mut config.auth.hosts, list(text)),
    },
    Flag {
        name: "data",
        value: "DIR",
        default: DATA,
        help: "where what is kept on disk is kept: accepted events, which a restart restores, \
               and uploads",
        set: |config, text| {
            config.data = Some(PathBuf::from(text));
            Ok(())
        },
    },
    Flag {
        name: "sync",
        value: "WHEN",
        default: "interval=200ms",
        help: "when events are safe from a loss of power: always (before they are answered) \
               or interval=DUR (so long after it at most; the end of a job before it is \
               answered)",
        set: |config, text| {
            config.journal.sync = match text.split_once('=') {
                None if text == "always" => Sync::Always,
                Some(("interval", interval)) => Sync::Interval(duration(interval)?),
                _ => return Err("not a way to sync: use always or interval=200ms".to_owned()),
            };
            Ok(())
        },
    },
    Flag {
        name: "journal-bytes",
        value: "SIZE",
        default: "256MiB",
        help: "all events on disk; at it the oldest go, but each job's newest, and then \
               publishing gets 507",
        set: |config, text| match size(text)? {
            bytes if bytes < JOURNAL_MIN_BYTES => Err("at least 4MiB".to_owned()),
            bytes => {
                config.journal.bytes = bytes as u64;
                Ok(())
            }
        },
    },
    Flag {
        name: "journal-jobs",
        value: "N",
        default: "10000",
        help: "jobs that have ended, with a journal; beyond it the first that ended are \
               forgotten",
        set: |config, text| set(&mut config.journal.ended_jobs, positive(text)),
    },
    Flag {
        name: "journal-age",
        value: "DUR",
        default: "7d",
        help: "a job that ended so long ago is forgotten, and older events go, but each \
               job's newest",
        set: |config, text| set(&mut config.journal.age, duration(text)),
    },
    Flag {
        name: "ring-events",
        value: "N",
        default: "256",
        help: "events kept for replay per job; older ones are a reset",
        set: |config, text| set(&mut config.hub.ring.events, positive(text)),
    },
    Flag {
        name: "ring-bytes",
        value: "SIZE",
        default: "64KiB",
        help: "bytes kept for replay per job, if that is reached first",
        set: |config, text| set(&mut config.hub.ring.bytes, size(text)),
    },
    Flag {
        name: "memory",
        value: "SIZE",
        default: "64MiB",
        help: "all rings together; at it ended jobs are forgotten, oldest first, and then \
               new jobs get 503",
        set: |config, text| set(&mut config.hub.memory_bytes, size(text)),
    },
    Flag {
        name: "max-jobs",
        value: "N",
        default: "20000",
        help: "jobs in all; at it the same happens",
        set: |config, text| set(&mut config.hub.jobs, positive(text)),
    },
    Flag {
        name: "deleted-for",
        value: "DUR",
        default: "1h",
        help: "how long a deletion is remembered: the job is 410 for so long, and then 404",
        set: |config, text| set(&mut config.hub.deleted_for, duration(text)),
    },
    Flag {
        name: "max-awaited",
        value: "N",
        default: "100000",
        help: "names that streams wait for and that are no jobs'; a stream that names one more \
               gets 200, the busy retry and a close",
        set: |config, text| set(&mut config.hub.awaited, positive(text)),
    },
    Flag {
        name: "abandoned-after",
        value: "DUR",
        default: "24h",
        help: "a running job without events or streams for so long counts as ended there",
        set: |config, text| set(&mut config.hub.abandoned_after, duration(text)),
    },
    Flag {
        name: "max-event",
        value: "SIZE",
        default: "64KiB",
        help: "an event's data; 413 beyond it",
        set: |config, text| set(&mut config.hub.event_bytes, size(text)),
    },
    Flag {
        name: "max-body",
        value: "SIZE",
        default: "1MiB",
        help: "a publishing request's body; 413 beyond it",
        set: |config, text| set(&mut config.body_bytes, size(text)),
    },
    Flag {
        name: "max-upload",
        value: "SIZE",
        default: "4GiB",
        help: "an uploaded file; 413 beyond it",
        set: |config, text| set(&mut config.spool.upload_bytes, bytes(text)),
    },
    Flag {
        name: "max-uploads",
        value: "N",
        default: "32",
        help: "uploads that are being received; 503 beyond it. Each holds up to 512 KiB of \
               memory",
        set: |config, text| set(&mut config.spool.uploads, positive(text)),
    },
    Flag {
        name: "max-unfinished",
        value: "N",
        default: "256",
        help: "resumable uploads that have begun and aren't whole; 503 beyond it",
        set: |config, text| set(&mut config.spool.unfinished, positive(text)),
    },
    Flag {
        name: "max-spool",
        value: "SIZE",
        default: "16GiB",
        help: "all uploads that are being received, aren't whole, or wait to be processed; \
               507 beyond it",
        set: |config, text| set(&mut config.spool.spool_bytes, bytes(text)),
    },
    Flag {
        name: "min-free",
        value: "SIZE",
        default: "256MiB",
        help: "what stays free on the disk; 507 for an upload that would take of it",
        set: |config, text| set(&mut config.spool.free_bytes, bytes(text)),
    },
    Flag {
        name: "upload-expiry",
        value: "DUR",
        default: "24h",
        help: "a resumable upload that nobody goes on with is removed after so long",
        set: |config, text| set(&mut config.spool.expiry, duration(text)),
    },
    Flag {
        name: "upload-rate",
        value: "N",
        default: "600",
        help: "uploads that begin in a minute, in all; 429 beyond it",
        set: |config, text| set(&mut config.spool.starts_a_minute, positive(text)),
    },
    Flag {
        name: "upload-bandwidth",
        value: "SIZE",
        default: "none",
        help: "what all uploads together bring in a second; they are read more slowly beyond it",
        set: |config, text| {
            config.spool.bytes_a_second = match text {
                "none" => None,
                text => Some(bytes(text)?),
            };
            Ok(())
        },
    },
    Flag {
        name: "downloads",
        value: "",
        default: "false",
        help: "lets whoever may follow a job download the file that it has come to",
        set: |config, text| set(&mut config.downloads, switch(text)),
    },
    Flag {
        name: "max-downloads",
        value: "N",
        default: "64",
        help: "downloads at once; 503 beyond it. Each holds up to 256 KiB of memory",
        set: |config, text| set(&mut config.downloads_max, positive(text)),
    },
    Flag {
        name: "disk-threads",
        value: "N",
        default: "4",
        help: "threads that write uploads and read files",
        set: |config, text| set(&mut config.spool.disk_threads, positive(text)),
    },
    Flag {
        name: "config",
        value: "FILE",
        default: "landfall.toml, if there",
        help: "names the stages that uploads go through; without one it is scanning, \
               transcoding and storing",
        set: |config, text| {
            config.pipeline.file = Some(PathBuf::from(text));
            Ok(())
        },
    },
    Flag {
        name: "clamd",
        value: "ADDR",
        default: "",
        help: "where clamd listens, unix:PATH or HOST:PORT, for scanning that landfall.toml \
               gives no other; what it finds ends the job and goes to quarantine",
        set: |config, text| {
            config.pipeline.clamd = list(text)?.pop();
            Ok(())
        },
    },
    Flag {
        name: "keep-failed",
        value: "DUR",
        default: "24h",
        help: "a failed job's upload can be tried again for so long, and is then removed",
        set: |config, text| set(&mut config.pipeline.keep_failed, duration(text)),
    },
    Flag {
        name: "keep-quarantined",
        value: "DUR",
        default: "30days",
        help: "what clamd found something in is removed after so long",
        set: |config, text| set(&mut config.pipeline.keep_quarantined, duration(text)),
    },
    Flag {
        name: "retry",
        value: "DUR",
        default: "5s",
        help: "what clients wait before they reconnect, plus up to half as much at random",
        set: |config, text| set(&mut config.shard.retry, duration(text)),
    },
    Flag {
        name: "busy-retry",
        value: "DUR",
        default: "30s",
        help: "the same for a stream that there is no room for",
        set: |config, text| set(&mut config.busy_retry, duration(text)),
    },
    Flag {
        name: "heartbeat",
        value: "DUR",
        default: "15s",
        help: "an idle stream gets a comment after so long",
        set: |config, text| set(&mut config.shard.heartbeat, duration(text)),
    },
    Flag {
        name: "stall",
        value: "DUR",
        default: "30s",
        help: "a stream whose client takes nothing for so long is closed",
        set: |config, text| set(&mut config.shard.stall, duration(text)),
    },
    Flag {
        name: "stall-memory",
        value: "SIZE",
        default: "4MiB",
        help: "what slow readers leave of frames, per shard; beyond it they are closed",
        set: |config, text| set(&mut config.shard.leftover_bytes, size(text)),
    },
    Flag {
        name: "send-buffer",
        value: "SIZE",
        default: "128KiB",
        help: "what the kernel holds for a slow reader; it waits beyond it",
        set: |config, text| set(&mut config.send_buffer_bytes, size(text)),
    },
    Flag {
        name: "max-streams",
        value: "N",
        default: "open files - 1088",
        help: "streams in all; one more gets 200, the busy retry and a close",
        set: |config, text| set(&mut config.streams, positive(text)),
    },
    Flag {
        name: "max-connections",
        value: "N",
        default: "1024",
        help: "connections that aren't streams, three quarters of them at most on the \
               public listener; one more gets 503",
        set: |config, text| set(&mut config.connections, positive(text)),
    },
    Flag {
        name: "max-connections-per-address",
        value: "N",
        default: "256",
        help: "connections and streams of one address (IPv6: of one /64), up to 65535, or \
               off; one more stream gets 200, the busy retry and a close, all else 429",
        set: |config, text| set(&mut config.quotas.connections_per_address, limit(text)),
    },
    Flag {
        name: "max-stream-rate",
        value: "N",
        default: "50",
        help: "streams that begin in a second from one address, over ten seconds, or off; \
               one more gets 200, the busy retry and a close",
        set: |config, text| set(&mut config.quotas.stream_rate, limit(text)),
    },
    Flag {
        name: "trusted-proxy",
        value: "NET...",
        default: "127.0.0.0/8,::1",
        help: "addresses behind which there are many clients, as 10.0.0.0/8: nothing is \
               counted by them; repeatable",
        set: |config, text| set(&mut config.quotas.trusted_proxies, list(text)),
    },
    Flag {
        name: "max-streams-per-job",
        value: "N",
        default: "65536",
        help: "streams of one job, or off; one more gets 200, the busy retry and a close",
        set: |config, text| set(&mut config.quotas.streams_per_job, limit(text)),
    },
    Flag {
        name: "max-streams-per-token",
        value: "N",
        default: "1024",
        help: "streams of one token, up to 65535, or off; the same",
        set: |config, text| set(&mut config.quotas.streams_per_token, limit(text)),
    },
    Flag {
        name: "max-uploads-per-address",
        value: "N",
        default: "16",
        help: "uploads that are received from one address at once, up to 65535, or off; 503 with \
               Retry-After beyond it",
        set: |config, text| set(&mut config.quotas.uploads_per_address, limit(text)),
    },
    Flag {
        name: "max-event-rate",
        value: "N",
        default: "10000",
        help: "events a second, over two seconds, of one publisher, or off: a token, or an \
               address with the publishing key, or an address; 429 with Retry-After beyond it",
        set: |config, text| set(&mut config.quotas.event_rate, limit(text)),
    },
    Flag {
        name: "max-requests",
        value: "N",
        default: "1000000",
        help: "requests on one connection; the last is answered with a close",
        set: |config, text| set(&mut config.connection.requests, positive(text)),
    },
    Flag {
        name: "max-head",
        value: "SIZE",
        default: "8KiB",
        help: "a request's head; 431 beyond it",
        set: |config, text| set(&mut config.connection.head.head_bytes, size(text)),
    },
    Flag {
        name: "max-target",
        value: "SIZE",
        default: "6KiB",
        help: "a request's target; 414 beyond it",
        set: |config, text| set(&mut config.connection.head.target_bytes, size(text)),
    },
    Flag {
        name: "head-timeout",
        value: "DUR",
        default: "10s",
        help: "a request's head must be whole after so long; 408 beyond it",
        set: |config, text| set(&mut config.connection.head_timeout, duration(text)),
    },
    Flag {
        name: "body-timeout",
        value: "DUR",
        default: "30s",
        help: "a body must go on, and an answer be taken, after so long; 408 beyond it",
        set: |config, text| set(&mut config.connection.body_timeout, duration(text)),
    },
    Flag {
        name: "min-body-rate",
        value: "SIZE",
        default: "512B",
        help: "what a body brings in a second, on average over the body timeout; 408 below it",
        set: |config, text| set(&mut config.connection.body_bytes_per_second, size(text)),
    },
    Flag {
        name: "max-body-time",
        value: "DUR",
        default: "5m",
        help: "a publishing request's body must be whole after so long; 408 beyond it",
        set: |config, text| set(&mut config.connection.body_time, duration(text)),
    },
    Flag {
        name: "idle-timeout",
        value: "DUR",
        default: "60s",
        help: "a connection without a request is closed after so long",
        set: |config, text| set(&mut config.connection.idle_timeout, duration(text)),
    },
    Flag {
        name: "replay-rate",
        value: "SIZE",
        default: "64MiB",
        help: "what each shard begins to send of replays in a second, at most, a replay \
               counting as 4KiB at least; less while it is late with its work. A stream whose \
               replay waits is open, with its retry",
        set: |config, text| set(&mut config.shard.replay_bytes_per_second, size(text)),
    },
    Flag {
        name: "max-stream-age",
        value: "DUR",
        default: "off",
        help: "a stream ends with a retry after half of this to all of it, at random, so \
               that streams spread over the servers behind a balancer",
        set: |config, text| {
            config.shard.max_stream_age = match text {
                "off" => None,
                age => Some(duration(age)?),
            };
            Ok(())
        },
    },
    Flag {
        name: "drain",
        value: "DUR",
        default: "10s",
        help: "what SIGTERM gives clients to take what is pending; a second one ends at once",
        set: |config, text| set(&mut config.drain, duration(text)),
    },
    Flag {
        name: "drain-spread",
        value: "DUR",
        default: "5s",
        help: "the time over which SIGTERM ends the streams, at most half of --drain",
        set: |config, text| set(&mut config.drain_spread, duration(text)),
    },
    Flag {
        name: "handover-timeout",
        value: "DUR",
        default: "60s",
        help: "what a server that SIGUSR2 starts has to be ready; the old one goes on beyond it",
        set: |config, text| set(&mut config.handover, duration(text)),
    },
    Flag {
        name: "shards",
        value: "N",
        default: "one a core",
        help: "threads that serve streams, at most 64",
        set: |config, text| match positive(text)? {
            shards if shards <= 64 => {
                config.shards = shards;
                Ok(())
            }
            _ => Err("at most 64".to_owned()),
        },
    },
];

/// Runs the server until SIGTERM or SIGINT.
pub fn main(mut parser: lexopt::Parser) -> Result<ExitCode, String> {
    let Some(config) = read(&mut parser)? else {
        print!("{}", help());
        return Ok(ExitCode::SUCCESS);
    };
    if let Err(error) = life::run(config) {
        eprintln!("landfall: {error}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the environment and then the arguments. None where help is asked for.
fn read(parser: &mut lexopt::Parser) -> Result<Option<ServerConfig>, String> {
    use lexopt::Arg::{Long, Short};
    let mut config = ServerConfig {
        data: Some(PathBuf::from(DATA)),
        ..ServerConfig::default()
    };
    let twin = std::env::var("LANDFALL_MEMORY_ONLY").unwrap_or_default();
    let mut memory_only =
        switch(&twin).map_err(|why| format!("LANDFALL_MEMORY_ONLY={twin}: {why}"))?;
    for flag in FLAGS {
        let name = format!("LANDFALL_{}", flag.name.replace('-', "_").to_uppercase());
        if let Ok(value) = std::env::var(&name) {
            (flag.set)(&mut config, &value).map_err(|why| format!("{name}={value}: {why}"))?;
        }
    }
    let mut repeated: Vec<(&Flag, String)> = Vec::new();
    loop {
        let name = match parser.next().map_err(|error| error.to_string())? {
            None => break,
            Some(Short('h') | Long("help")) => return Ok(None),
            Some(Long("memory-only")) => {
                memory_only = true;
                continue;
            }
            Some(Long(name)) => name.to_owned(),
            Some(other) => {
                let why = other.unexpected();
                return Err(format!("{why}: see landfall serve --help"));
            }
        };
        let Some(flag) = FLAGS.iter().find(|flag| flag.name == name) else {
            return Err(format!(
                "there is no flag --{name}: see landfall serve --help"
            ));
        };
        if flag.value.is_empty() {
            (flag.set)(&mut config, "true").map_err(|why| format!("--{name}: {why}"))?;
            continue;
        }
        let value = parser.value().map_err(|error| error.to_string())?;
        let value = value
            .to_str()
            .ok_or_else(|| format!("--{name}: the value isn't UTF-8"))?;
        match repeated.iter_mut().find(|(other, _)| other.name == name) {
            Some((_, values)) => {
                values.push(',');
                values.push_str(value);
            }
            None if flag.value.ends_with("...") => repeated.push((flag, value.to_owned())),
            None => {
                (flag.set)(&mut config, value).map_err(|why| format!("--{name} {value}: {why}"))?;
            }
        }
    }
    // Together, so that they replace what the environment says.
    for (flag, values) in repeated {
        let name = flag.name;
        (flag.set)(&mut config, &values).map_err(|why| format!("--{name} {values}: {why}"))?;
    }
    // Whatever came first: who asks for nothing on disk means it.
    if memory_only {
        config.data = None;
    }
    if config.pipeline.file.is_none() && Path::new(CONFIG).exists() {
        config.pipeline.file = Some(PathBuf::from(CONFIG));
    }
    Ok(Some(config))
}

fn help() -> String {
    let mut out = String::from(
        "landfall serve: runs the server.\n\n\
         Each flag has a twin in the environment: --ring-events is LANDFALL_RING_EVENTS.\n\
         DUR is a number and a unit, as 500ms, 5s, 15m or 24h; SIZE is bytes, or a number\n\
         with KiB, MiB or GiB. What ends with ... may be repeated, and its twin takes a list\n\
         with commas.\n\n",
    );
    for flag in FLAGS {
        let name = format!("--{} {}", flag.name, flag.value);
        let default = if flag.default.is_empty() {
            "none"
        } else {
            flag.default
        };
        let _ = writeln!(out, "  {name:<24} {} [{default}]", flag.help);
    }
    let _ = writeln!(
        out,
        "  {:<24} keeps nothing on disk, whatever --data says [false]",
        "--memory-only"
    );
    out
}

fn set<T, E: ToString>(field: &mut T, value: Result<T, E>) -> Result<(), String> {
    *field = value.map_err(|error| error.to_string())?;
    Ok(())
}

/// A list with commas; an empty text is an empty list.
fn list<T: FromStr<Err: ToString>>(text: &str) -> Result<Vec<T>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().map_err(|error: T::Err| error.to_string()))
        .collect()
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" | "" => Ok(false),
        _ => Err("not a switch: use true or false".to_owned()),
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match usize::from_str(text) {
        Ok(0) | Err(_) => Err("not a whole number above 0".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// A number above 0, or none where the limit is off.
fn limit<T: TryFrom<usize>>(text: &str) -> Result<Option<T>, String> {
    if text == "off" {
        return Ok(None);
    }
    let number = positive(text).map_err(|why| format!("{why}, or off"))?;
    match T::try_from(number) {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err("too large: give a smaller number, or off".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("not a duration: use a number and a unit, as 500ms, 5s or 15m".to_owned()),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    size(text).map(|bytes| bytes as u64)
}

fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => 0,
    };
    match digits
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
    {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err("not a size: use bytes, or a number with KiB, MiB or GiB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Option<ServerConfig>, String> {
        read(&mut lexopt::Parser::from_args(arguments))
    }

    #[test]
    fn every_default_in_the_help_is_the_default() {
        let described = ["max-streams", "shards", "data", "config"];
        let expected = format!("{:?}", ServerConfig::default());
        for flag in FLAGS.iter().filter(|flag| !described.contains(&flag.name)) {
            let mut config = ServerConfig::default();
            (flag.set)(&mut config, flag.default).unwrap();
            assert_eq!(format!("{config:?}"), expected, "--{}", flag.name);
        }
    }

    #[test]
    fn a_wrong_value_says_what_would_be_right() {
        for (arguments, part) in [
            (["--ring-events", "0"], "above 0"),
            (["--ring-bytes", "64kb"], "KiB"),
            (["--retry", "5"], "5s"),
            (["--retry", "0s"], "5s"),
            (["--max-connections-per-address", "0"], "off"),
            (["--max-streams-per-token", "70000"], "smaller"),
            (["--trusted-proxy", "10.0.0.0/40"], "10.0.0.0/8"),
            (["--listen", "8080"], "IP:PORT"),
            (["--no-such", "1"], "--help"),
            (["stray", "1"], "--help"),
        ] {
            let message = parse(&arguments).unwrap_err();
            assert!(message.contains(part), "{arguments:?}: {message}");
        }
        for (arguments, part) in [
            (["--cors-origin", "https://a/"], "without a path"),
            (["--host", "http://a"], "without a scheme"),
            (["--token-cookie", "a b"], "cookie"),
        ] {
            let message = parse(&arguments).unwrap_err();
            assert!(message.contains(part), "{arguments:?}: {message}");
        }
        let data = |arguments: &[&str]| parse(arguments).unwrap().unwrap().data;
        assert_eq!(data(&[]), Some(PathBuf::from(DATA)));
        assert_eq!(data(&["--data", "/a"]), Some(PathBuf::from("/a")));
        assert_eq!(data(&["--memory-only", "--data", "/a"]), None);
        assert!(parse(&["--help"]).unwrap().is_none());
        assert_eq!(
            parse(&["--ring-bytes=2KiB"])
                .unwrap()
                .unwrap()
                .hub
                .ring
                .bytes,
            2048
        );
    }

    #[test]
    fn repeated_flags_keep_their_order_and_switches_take_no_value() {
        let arguments = [
            "--token-key=a",
            "--insecure",
            "--token-key",
            "b",
            "--token-key=c,d",
        ];
        let auth = parse(&arguments).unwrap().unwrap().auth;
        assert_eq!(auth.token_keys, ["a", "b", "c", "d"].map(PathBuf::from));
        assert!(auth.insecure);
        assert!(switch("maybe").is_err());
    }
}
