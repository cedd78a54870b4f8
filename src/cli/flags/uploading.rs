//! What uploads may be, and what becomes of them.

use super::{FlagGroup, count, duration, size, switch, word};

/// What uploads may be.
pub const UPLOADS: FlagGroup = FlagGroup {
    title: "Uploads and downloads",
    commands: &["serve", "check"],
    flags: &[
        size(
            "max-upload",
            |s| &mut s.server.spool.upload_bytes,
            "An uploaded file. More gets 413.",
        )
        .live(),
        count(
            "max-uploads",
            |s| &mut s.server.spool.uploads,
            "Uploads that are being received, each with up to 512 KiB of memory. One more gets \
             503 with Retry-After.",
        )
        .live(),
        count(
            "max-uploads-per-address",
            |s| &mut s.server.spool.uploads_per_address,
            "Those of one address, and of one token, or off. One more gets 503 with \
             Retry-After.",
        )
        .live(),
        count(
            "max-unfinished",
            |s| &mut s.server.spool.unfinished,
            "Resumable uploads that have begun and aren't complete. One more gets 503 with \
             Retry-After.",
        )
        .live(),
        count(
            "max-unfinished-per-address",
            |s| &mut s.server.spool.unfinished_per_address,
            "Those of one address, and of one token, or off. One more gets 503 with \
             Retry-After.",
        )
        .live(),
        count(
            "max-waiting",
            |s| &mut s.server.spool.waiting,
            "Uploads that are being received, being processed, or waiting for that. One more \
             gets 503 with Retry-After.",
        )
        .live(),
        count(
            "max-waiting-per-address",
            |s| &mut s.server.spool.waiting_per_address,
            "Those of one address, and of one token, or off. One more gets 503 with \
             Retry-After.",
        )
        .live(),
        size(
            "max-spool",
            |s| &mut s.server.spool.spool_bytes,
            "The most disk for uploads that are being received, aren't complete, or wait to be \
             processed. More gets 507.",
        )
        .live(),
        size(
            "max-spool-per-address",
            |s| &mut s.server.spool.spool_bytes_per_address,
            "The same for one address, and for one token, or off. More gets 507.",
        )
        .live(),
        size(
            "min-free",
            |s| &mut s.server.spool.free_bytes,
            "Space on the disk that stays free. An upload that would need it gets 507.",
        )
        .live(),
        duration(
            "upload-expiry",
            |s| &mut s.server.spool.expiry,
            "How long a resumable upload is kept that nobody continues. After that it is \
             removed, and its job ends with error.",
        )
        .live(),
        duration(
            "upload-expiry-empty",
            |s| &mut s.server.spool.empty_expiry,
            "The same for one of which nothing has arrived. Each MiB that arrives adds as much, \
             up to --upload-expiry.",
        )
        .live(),
        count(
            "upload-rate",
            |s| &mut s.server.spool.starts_a_minute,
            "Uploads that may begin in a minute, in all. More get 429 with Retry-After.",
        )
        .live(),
        count(
            "upload-rate-per-address",
            |s| &mut s.server.spool.starts_a_minute_per_address,
            "Those of one address, and of one token, or off. More get 429 with Retry-After.",
        )
        .live(),
        size(
            "upload-bandwidth",
            |s| &mut s.server.spool.bytes_a_second,
            "Bytes a second that all uploads together may bring, or off. Beyond it the server \
             reads them more slowly.",
        )
        .live(),
        switch(
            "downloads",
            |s| &mut s.server.downloads,
            "Lets everybody who may follow a job download its result.",
        )
        .live(),
        count(
            "max-downloads",
            |s| &mut s.server.downloads_max,
            "Downloads at a time, each with up to 256 KiB of memory. One more gets 503 with \
             Retry-After.",
        )
        .live(),
        count(
            "max-downloads-per-address",
            |s| &mut s.server.downloads_per_address,
            "Those of one address, and of one token, or off. One more gets 503 with \
             Retry-After.",
        )
        .live(),
        count(
            "disk-threads",
            |s| &mut s.server.spool.disk_threads,
            "Threads that write uploads and read files. With more uploads than threads, they \
             take turns.",
        ),
    ],
};

/// What becomes of them.
pub const PROCESSING: FlagGroup = FlagGroup {
    title: "Processing",
    commands: &["serve", "check"],
    flags: &[
        word(
            "clamd",
            "ADDR",
            |s| &mut s.server.pipeline.clamd,
            "Where clamd listens, unix:PATH or HOST:PORT, for scanning stages that don't say it \
             themselves. An infected file ends its job with error and goes to quarantine.",
        )
        .live()
        .sample("unix:/run/clamav/clamd.ctl"),
        duration(
            "keep-failed",
            |s| &mut s.server.pipeline.keep_failed,
            "How long a failed job's upload is kept for a retry. After that it is removed.",
        )
        .live(),
        duration(
            "keep-quarantined",
            |s| &mut s.server.pipeline.keep_quarantined,
            "How long an infected file is kept. After that it is removed.",
        )
        .live(),
    ],
};
