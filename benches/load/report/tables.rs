//! Which numbers of which scenario are shown, and how.

/// One scenario's table.
pub struct Table {
    pub scenario: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    pub columns: &'static [Column],
    pub charts: &'static [Chart],
}

/// One number of a table.
pub struct Column {
    pub metric: &'static str,
    pub title: &'static str,
    pub decimals: usize,
}

/// Bars of one number, or of several for each server; the axis may be logarithmic.
pub struct Chart {
    pub file: &'static str,
    pub title: &'static str,
    pub metrics: &'static [(&'static str, &'static str)],
    pub logarithmic: bool,
    pub decimals: usize,
}

const fn column(metric: &'static str, title: &'static str, decimals: usize) -> Column {
    Column {
        metric,
        title,
        decimals,
    }
}

pub const TABLES: [Table; 14] = [
    Table {
        scenario: "idle",
        title: "Idle memory",
        about: "Subscribers that receive nothing. User memory is what the server's processes \
                have written to (anonymous and shared pages, from smaps_rollup), above what they \
                had with one subscriber. The slope is between the two largest counts. The \
                machine's column is the fall of MemAvailable less the growth of the load \
                generator; it holds the kernel's part of both ends of each connection, so what \
                send-loop shows there is the floor.",
        columns: &[
            column("bytes_each_1000", "bytes each at 1,000", 1),
            column("bytes_each_5000", "at 5,000", 1),
            column("bytes_each_10000", "at 10,000", 1),
            column("bytes_each_19000", "at 19,000", 1),
            column("slope_bytes", "slope", 1),
            column("machine_bytes_each_19000", "whole machine at 19,000", 0),
        ],
        charts: &[Chart {
            file: "idle",
            title: "User memory per idle subscriber, bytes (logarithmic)",
            metrics: &[("bytes_each_19000", ""), ("bytes_each_2000", "")],
            logarithmic: true,
            decimals: 0,
        }],
    },
    Table {
        scenario: "broadcast",
        title: "One event to 15,000 subscribers",
        about: "CPU from the threads' schedstat, in nanoseconds; publishing is included.",
        columns: &[
            column("cpu_us_per_delivery", "server CPU per delivery, us", 2),
            column("user_us_per_delivery", "of it user, us", 2),
            column("wall_ms", "until the last has it, ms", 1),
            column("generator_us_per_delivery", "load generator's CPU, us", 2),
        ],
        charts: &[Chart {
            file: "broadcast",
            title: "Server CPU per delivery, one event to 15,000 subscribers, microseconds",
            metrics: &[("cpu_us_per_delivery", "")],
            logarithmic: false,
            decimals: 2,
        }],
    },
    Table {
        scenario: "burst",
        title: "500 events to 2,000 subscribers",
        about: "One request at a time over one connection.",
        columns: &[
            column("deliveries_per_s", "deliveries a second", 0),
            column("cpu_us_per_delivery", "server CPU per delivery, us", 3),
            column("events_per_read", "events in one read", 1),
            column("generator_us_per_delivery", "load generator's CPU, us", 3),
        ],
        charts: &[Chart {
            file: "burst",
            title: "Deliveries a second, 500 events to 2,000 subscribers",
            metrics: &[("deliveries_per_s", "")],
            logarithmic: false,
            decimals: 0,
        }],
    },
    Table {
        scenario: "jobs",
        title: "10,000 jobs with one subscriber each",
        about: "Publish to receipt in milliseconds. Landfall is published to with NDJSON over 2 \
                connections; where there is no batch for many jobs, each event is a request of \
                its own, pipelined over 16. A job's events all go over one connection. At the \
                highest rate four events per job are on the way at a time. durable-streams holds \
                a file open per stream, so it has 9,600 jobs.",
        columns: &[
            column("delivered_per_s_10k", "10,000/s: delivered", 0),
            column("p50_ms_10k", "p50", 2),
            column("p99_ms_10k", "p99", 2),
            column("p999_ms_10k", "p99.9", 2),
            column("delivered_per_s_50k", "50,000/s: delivered", 0),
            column("p50_ms_50k", "p50", 2),
            column("p99_ms_50k", "p99", 2),
            column("p999_ms_50k", "p99.9", 2),
            column("delivered_per_s_max", "highest: delivered", 0),
            column("p99_ms_max", "p99", 1),
            column("cpu_us_per_delivery_max", "server CPU, us", 2),
            column(
                "generator_us_per_delivery_max",
                "load generator's CPU, us",
                2,
            ),
        ],
        charts: &[
            Chart {
                file: "jobs",
                title: "Events a second at the highest rate, 10,000 jobs",
                metrics: &[("delivered_per_s_max", "")],
                logarithmic: false,
                decimals: 0,
            },
            Chart {
                file: "jobs-latency",
                title: "Publish to receipt at 50,000 events a second, ms (logarithmic)",
                metrics: &[
                    ("p50_ms_50k", "p50"),
                    ("p99_ms_50k", "p99"),
                    ("p999_ms_50k", "p99.9"),
                ],
                logarithmic: true,
                decimals: 2,
            },
        ],
    },
    Table {
        scenario: "storm",
        title: "15,000 subscribers come back at once",
        about: "All connections are reset. Once the server has closed them (20,000 files are the \
                limit), all connect as fast as the load generator can, each with the \
                Last-Event-ID of 16 events ago. A connection that finds the accept queue full is \
                tried again by the kernel after 1, 3, 7 ... seconds: those are the overflows.",
        columns: &[
            column("most_caught_up_ms", "99 % caught up after, ms", 0),
            column("caught_up_ms", "all, ms", 0),
            column("cpu_us_per_client", "server CPU per client, us", 1),
            column("listen_overflows", "accept queue overflows", 0),
            column("generator_us_per_client", "load generator's CPU, us", 1),
        ],
        charts: &[Chart {
            file: "storm",
            title: "15,000 reconnects with 16 events each: all caught up, ms (logarithmic)",
            metrics: &[("caught_up_ms", "")],
            logarithmic: true,
            decimals: 0,
        }],
    },
    Table {
        scenario: "restart",
        title: "15,000 come back to a server that was killed and started again",
        about: "The listening socket is kept, as systemd keeps it. Each has 200 events of 250 \
                bytes to catch up with, from the journal's rings. Somebody new follows a job \
                with 200 events a second meanwhile; the latency is that stream's.",
        columns: &[
            column("caught_up_ms", "all caught up, ms", 0),
            column("refused", "refused", 0),
            column("listen_overflows", "queue overflows", 0),
            column("cpu_us_per_client", "server CPU each, us", 1),
            column("live_head_ms", "the new one's head, ms", 1),
            column("live_p50_us", "its events' p50, us", 0),
            column("live_p99_us", "p99", 0),
            column("live_max_us", "the longest", 0),
        ],
        charts: &[],
    },
    Table {
        scenario: "single",
        title: "One subscriber, one publisher",
        about: "Publish to receipt, 1,000 events a second.",
        columns: &[
            column("p50_us", "p50, us", 0),
            column("p99_us", "p99, us", 0),
            column("p999_us", "p99.9, us", 0),
        ],
        charts: &[Chart {
            file: "single",
            title: "Publish to receipt, one subscriber, microseconds",
            metrics: &[("p50_us", "p50"), ("p99_us", "p99")],
            logarithmic: false,
            decimals: 0,
        }],
    },
    Table {
        scenario: "kept",
        title: "One subscriber, one publisher, all on disk",
        about: "Publish to receipt, 1,000 events of 2 KB a second. Landfall has its journal, with \
                its default settings; the others keep nothing on disk.",
        columns: &[
            column("p50_us", "p50, us", 0),
            column("p99_us", "p99, us", 0),
            column("p999_us", "p99.9, us", 0),
        ],
        charts: &[],
    },
    Table {
        scenario: "neighbours",
        title: "Short requests while a burst runs",
        about: "Bursts of 500 events to 2,000 subscribers without a pause; over another \
                connection a snapshot of the job (or the nearest to it) each millisecond, timed \
                from when it was due.",
        columns: &[
            column("p50_ms", "p50, ms", 2),
            column("p99_ms", "p99, ms", 2),
            column("answers_per_s", "answers a second", 0),
            column("deliveries_per_s", "deliveries a second", 0),
        ],
        charts: &[Chart {
            file: "neighbours",
            title: "A short request during bursts, p99, ms (logarithmic)",
            metrics: &[("p99_ms", "")],
            logarithmic: true,
            decimals: 1,
        }],
    },
    Table {
        scenario: "slow",
        title: "1,000 subscribers stop reading among 10,000 that don't",
        about: "48 events of 8 KiB, one each 250 ms: 384 KiB for a subscriber. Latency of those \
                that read, with and without the others; memory grown meanwhile, of the server \
                and of the kernel's socket buffers, both ends (from sockstat). Landfall's is \
                bounded by its rings, --stall-memory and the kernel's buffers per socket. Three \
                runs without and three with, in turn, and medians of them: the p99 of a run is \
                as good as its slowest event's, and the machine makes one slow now and then. \
                The ratio is the median of those of the three pairs.",
        columns: &[
            column("p99_without_ms", "p99 without, ms", 1),
            column("p99_with_ms", "p99 with, ms", 1),
            column("p99_ratio", "ratio", 2),
            column("server_mib_without", "server without, MiB", 1),
            column("server_mib_with", "server with, MiB", 1),
            column("sockets_mib_with", "socket buffers with, MiB", 0),
        ],
        charts: &[Chart {
            file: "slow",
            title: "p99 of those that read, ms",
            metrics: &[("p99_without_ms", "without"), ("p99_with_ms", "with")],
            logarithmic: false,
            decimals: 1,
        }],
    },
    Table {
        scenario: "pace",
        title: "A job with 100 events a second, and 10,000 subscribers that want two",
        about: "Frames, and reads of the load generator, for a subscriber in a second; CPU of the \
                server in percent of one core. First without and then with ?maxRate=2.",
        columns: &[
            column("frames_per_s_all", "frames a second", 1),
            column("reads_per_s_all", "reads a second", 1),
            column("cpu_percent_all", "server CPU, %", 1),
            column("frames_per_s_paced", "with maxRate=2: frames", 2),
            column("reads_per_s_paced", "reads", 2),
            column("cpu_percent_paced", "server CPU, %", 1),
            column("frames_ratio", "frames, without : with", 1),
        ],
        charts: &[],
    },
    Table {
        scenario: "proxy",
        title: "One event to 5,000 subscribers behind nginx on the same host",
        about: "nginx has one worker, and reaches the server by TCP over loopback or by a unix \
                socket. CPU per delivery in microseconds.",
        columns: &[
            column("cpu_us_tcp", "by TCP: server", 2),
            column("proxy_us_tcp", "nginx", 2),
            column("wall_ms_tcp", "until the last has it, ms", 1),
            column("cpu_us_unix", "by a unix socket: server", 2),
            column("proxy_us_unix", "nginx", 2),
            column("wall_ms_unix", "until the last has it, ms", 1),
        ],
        charts: &[],
    },
    Table {
        scenario: "rest",
        title: "At rest",
        about: "A second after the start, no connection. Resident memory counts program text \
                (Pss); wake-ups are voluntary context switches of all threads. nchan's program \
                is nginx and the module, and its memory mostly its shared segment.",
        columns: &[
            column("resident_mib", "resident, MiB", 2),
            column("user_mib", "of it written to, MiB", 2),
            column("wakeups_per_s", "wake-ups a second", 1),
            column("binary_mib", "stripped program, MiB", 2),
        ],
        charts: &[Chart {
            file: "rest",
            title: "Resident at rest, MiB",
            metrics: &[("resident_mib", "")],
            logarithmic: false,
            decimals: 1,
        }],
    },
    Table {
        scenario: "micro",
        title: "The pure parts, one at a time",
        about: "Nanoseconds a turn, the median that criterion estimates, in one thread. A \
                request's head is a browser's of 400 bytes, an event 61 bytes of JSON; the ring \
                is full, with 256 events.",
        columns: &[
            column("request/head of a browser", "request head parsed, ns", 0),
            column("request/chunked body", "chunked body decoded, ns", 0),
            column("request/event of a body", "event parsed, ns", 0),
            column("frame/encode", "frame encoded, ns", 0),
            column("ring/append to a full one", "ring append, ns", 0),
            column("ring/read 1", "ring read of 1, ns", 0),
            column("ring/read 16", "of 16, ns", 0),
            column("ring/read 256", "of 256, ns", 0),
            column("hub/publish", "publish, ns", 0),
        ],
        charts: &[],
    },
];
