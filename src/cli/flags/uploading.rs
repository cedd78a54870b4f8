//! What uploads may be, and what becomes of them.

use super::{Group, count, duration, size, switch, word};

/// What uploads may be.
pub const UPLOADS: Group = Group {
    title: "Uploads and downloads",
    commands: &["serve", "check"],
    flags: &[
        size(
            "max-upload",
            |s| &mut s.server.spool.upload_bytes,
            "An uploaded file, in bytes; 413 beyond it.",
        )
        .live(),
        count(
            "max-uploads",
            |s| &mut s.server.spool.uploads,
            "Uploads that are being received, each with up to 512 KiB of memory; 503 with \
             Retry-After beyond it.",
        )
        .live(),
        count(
            "max-uploads-per-address",
            |s| &mut s.server.spool.uploads_per_address,
            "Those from one address, and those of one token, or off; 503 with Retry-After beyond \
             it.",
        )
        .live(),
        count(
            "max-unfinished",
            |s| &mut s.server.spool.unfinished,
            "Resumable uploads that have begun and aren't whole; 503 with Retry-After beyond it.",
        )
        .live(),
        count(
            "max-unfinished-per-address",
            |s| &mut s.server.spool.unfinished_per_address,
            "Those that one address, and one token, has begun, or off; 503 with Retry-After \
             beyond it.",
        )
        .live(),
        count(
            "max-waiting",
            |s| &mut s.server.spool.waiting,
            "Uploads that are being received or processed, or wait for that; 503 with Retry-After \
             beyond it.",
        )
        .live(),
        count(
            "max-waiting-per-address",
            |s| &mut s.server.spool.waiting_per_address,
            "Those from one address, and those of one token, or off; 503 with Retry-After beyond \
             it.",
        )
        .live(),
        size(
            "max-spool",
            |s| &mut s.server.spool.spool_bytes,
            "All uploads that are being received, aren't whole, or wait to be processed, in \
             bytes; 507 beyond it.",
        )
        .live(),
        size(
            "max-spool-per-address",
            |s| &mut s.server.spool.spool_bytes_per_address,
            "Those from one address, and those of one token, in bytes, or off; 507 beyond it.",
        )
        .live(),
        size(
            "min-free",
            |s| &mut s.server.spool.free_bytes,
            "Bytes that stay free on the disk; 507 for an upload that would take of them.",
        )
        .live(),
        duration(
            "upload-expiry",
            |s| &mut s.server.spool.expiry,
            "How long a resumable upload that nobody goes on with is kept at most; after it, it \
             is removed, and its job ends with error.",
        )
        .live(),
        duration(
            "upload-expiry-empty",
            |s| &mut s.server.spool.empty_expiry,
            "How long one is kept of which nothing has come; each MiB that has come adds as much, \
             up to --upload-expiry.",
        )
        .live(),
        count(
            "upload-rate",
            |s| &mut s.server.spool.starts_a_minute,
            "Uploads that begin in a minute, in all; 429 with Retry-After beyond it.",
        )
        .live(),
        count(
            "upload-rate-per-address",
            |s| &mut s.server.spool.starts_a_minute_per_address,
            "Those from one address, and those of one token, or off; 429 with Retry-After beyond \
             it.",
        )
        .live(),
        size(
            "upload-bandwidth",
            |s| &mut s.server.spool.bytes_a_second,
            "Bytes that all uploads together bring in a second, or off; they are read more \
             slowly beyond it.",
        )
        .live(),
        switch(
            "downloads",
            |s| &mut s.server.downloads,
            "Lets whoever may follow a job download the file that it has come to.",
        )
        .live(),
        count(
            "max-downloads",
            |s| &mut s.server.downloads_max,
            "Downloads at once, each with up to 256 KiB of memory; 503 with Retry-After beyond \
             it.",
        )
        .live(),
        count(
            "max-downloads-per-address",
            |s| &mut s.server.downloads_per_address,
            "Those of one address, and those of one token, or off; 503 with Retry-After beyond \
             it.",
        )
        .live(),
        count(
            "disk-threads",
            |s| &mut s.server.spool.disk_threads,
            "Threads that write uploads and read files; uploads wait for each other beyond it.",
        ),
    ],
};

/// What becomes of them.
pub const PROCESSING: Group = Group {
    title: "Processing",
    commands: &["serve", "check"],
    flags: &[
        word(
            "clamd",
            "ADDR",
            |s| &mut s.server.pipeline.clamd,
            "Where clamd listens, unix:PATH or HOST:PORT, for scanning that the file gives no \
             other; what it finds ends the job and goes to quarantine.",
        )
        .live()
        .sample("unix:/run/clamav/clamd.ctl"),
        duration(
            "keep-failed",
            |s| &mut s.server.pipeline.keep_failed,
            "How long a failed job's upload can be tried again; after it, it is removed.",
        )
        .live(),
        duration(
            "keep-quarantined",
            |s| &mut s.server.pipeline.keep_quarantined,
            "How long what clamd found something in is kept; after it, it is removed.",
        )
        .live(),
    ],
};
