//! What a spool takes, and the limits on it.

use std::time::Duration;

use super::error::SpoolError;

crate::sys::config::config! {
    /// What a spool takes.
    ///
    /// See [`ServerConfig`](crate::ServerConfig).
    pub struct SpoolConfig {
        /// The largest upload, in bytes: 413 beyond it. Default: 4 GiB.
        pub upload_bytes: u64 = 4 << 30,
        /// The most uploads that are being received: 503 beyond it. Each may hold two buffers
        /// of 256 KiB. Default: 32.
        pub uploads: usize = 32,
        /// Those of one address, and those of one token: 503 beyond it. Default: 16.
        pub uploads_per_address: Option<u16> = Some(16),
        /// The most resumable uploads that have begun and aren't whole: 503 beyond it.
        /// Default: 256.
        pub unfinished: usize = 256,
        /// Those that one address, and one token, has begun: 503 beyond it. Default: 64.
        pub unfinished_per_address: Option<u16> = Some(64),
        /// The most uploads that are being received or processed, or wait for that: 503 beyond it.
        /// Default: 1,024.
        pub waiting: usize = 1024,
        /// Those of one address, and those of one token: 503 beyond it. Default: 256.
        pub waiting_per_address: Option<u16> = Some(256),
        /// All bytes in the spool, those to come of uploads that are being received and those
        /// that wait for the pipeline included: 507 beyond it. Default: 16 GiB.
        pub spool_bytes: u64 = 16 << 30,
        /// Those of one address, and those of one token: 507 beyond it. Default: 8 GiB.
        pub spool_bytes_per_address: Option<u64> = Some(8 << 30),
        /// What stays free on the disk: 507 beyond it. Default: 256 MiB.
        pub free_bytes: u64 = 256 << 20,
        /// A resumable upload that nobody goes on with is removed after so long at most.
        /// Default: 24 h.
        pub expiry: Duration = Duration::from_secs(24 * 60 * 60),
        /// One of which nothing has come is removed after so long, and each MiB that has come adds
        /// as much. Default: 10 min.
        pub empty_expiry: Duration = Duration::from_secs(10 * 60),
        /// Uploads that begin, a minute: 429 beyond it. A minute's worth may come at once.
        /// Default: 600.
        pub starts_a_minute: usize = 600,
        /// Those of one address, and those of one token: 429 beyond it. A minute's worth may come
        /// at once. Default: 300.
        pub starts_a_minute_per_address: Option<u32> = Some(300),
        /// Bytes a second, of all uploads together: they wait beyond it. Default: no limit.
        pub bytes_a_second: Option<u64> = None,
        /// Threads that read and write files. Default: 4.
        pub disk_threads: usize = 4,
    }
}

impl SpoolConfig {
    /// Whether an upload may be so large.
    pub(super) fn check_size(&self, size: Option<u64>) -> Result<(), SpoolError> {
        let max_bytes = self.upload_bytes;
        if size.is_some_and(|size| size > max_bytes) {
            return Err(SpoolError::TooLarge { max_bytes });
        }
        Ok(())
    }

    /// How long a resumable upload is kept of which so many bytes have come: who has sent little
    /// loses little, and nobody keeps a place for nothing.
    pub(super) fn expiry_of(&self, bytes: u64) -> Duration {
        let empty = self.empty_expiry.as_secs_f64();
        let grown = empty + empty * bytes as f64 / (1 << 20) as f64;
        let grown = Duration::try_from_secs_f64(grown).unwrap_or(Duration::MAX);
        grown.min(self.expiry)
    }
}
