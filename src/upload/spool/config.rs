//! What a spool takes, and the limits on it.

use std::time::Duration;

/// What a spool takes.
///
/// See [`ServerConfig`](crate::ServerConfig).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SpoolConfig {
    /// The largest upload, in bytes: 413 beyond it. Default: 4 GiB.
    pub upload_bytes: u64,
    /// The most uploads that are being received: 503 beyond it. Each may hold two buffers
    /// of 256 KiB. Default: 32.
    pub uploads: usize,
    /// Those of one address, and those of one token: 503 beyond it. Default: 16.
    pub uploads_per_address: Option<u16>,
    /// The most resumable uploads that have begun and aren't whole: 503 beyond it.
    /// Default: 256.
    pub unfinished: usize,
    /// Those that one address, and one token, has begun: 503 beyond it. Default: 64.
    pub unfinished_per_address: Option<u16>,
    /// The most uploads that are being received or processed, or wait for that: 503 beyond it.
    /// Default: 1,024.
    pub waiting: usize,
    /// Those of one address, and those of one token: 503 beyond it. Default: 256.
    pub waiting_per_address: Option<u16>,
    /// All bytes in the spool, those to come of uploads that are being received and those
    /// that wait for the pipeline included: 507 beyond it. Default: 16 GiB.
    pub spool_bytes: u64,
    /// Those of one address, and those of one token: 507 beyond it. Default: 8 GiB.
    pub spool_bytes_per_address: Option<u64>,
    /// What stays free on the disk: 507 beyond it. Default: 256 MiB.
    pub free_bytes: u64,
    /// A resumable upload that nobody goes on with is removed after so long at most.
    /// Default: 24 h.
    pub expiry: Duration,
    /// One of which nothing has come is removed after so long, and each MiB that has come adds
    /// as much. Default: 10 min.
    pub empty_expiry: Duration,
    /// Uploads that begin, a minute: 429 beyond it. A minute's worth may come at once.
    /// Default: 600.
    pub starts_a_minute: usize,
    /// Those of one address, and those of one token: 429 beyond it. A minute's worth may come at
    /// once. Default: 300.
    pub starts_a_minute_per_address: Option<u32>,
    /// Bytes a second, of all uploads together: they wait beyond it. Default: no limit.
    pub bytes_a_second: Option<u64>,
    /// Threads that read and write files. Default: 4.
    pub disk_threads: usize,
}

impl SpoolConfig {
    /// How long a resumable upload is kept of which so many bytes have come: who has sent little
    /// loses little, and nobody keeps a place for nothing.
    pub(super) fn expiry_of(&self, bytes: u64) -> Duration {
        let empty = self.empty_expiry.as_secs_f64();
        let grown = empty + empty * bytes as f64 / (1 << 20) as f64;
        let grown = Duration::try_from_secs_f64(grown).unwrap_or(Duration::MAX);
        grown.min(self.expiry)
    }
}

crate::sys::with::with!(SpoolConfig);

impl Default for SpoolConfig {
    fn default() -> SpoolConfig {
        SpoolConfig {
            upload_bytes: 4 << 30,
            uploads: 32,
            uploads_per_address: Some(16),
            unfinished: 256,
            unfinished_per_address: Some(64),
            waiting: 1024,
            waiting_per_address: Some(256),
            spool_bytes: 16 << 30,
            spool_bytes_per_address: Some(8 << 30),
            free_bytes: 256 << 20,
            expiry: Duration::from_secs(24 * 60 * 60),
            empty_expiry: Duration::from_secs(10 * 60),
            starts_a_minute: 600,
            starts_a_minute_per_address: Some(300),
            bytes_a_second: None,
            disk_threads: 4,
        }
    }
}
