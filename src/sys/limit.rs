//! The limits at which something is refused, by the flags that set them.

/// A limit at which something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Uploads that are being received.
    Uploads,
    /// Those of one client.
    UploadsPerAddress,
    /// Resumable uploads that aren't whole.
    Unfinished,
    /// Those of one client.
    UnfinishedPerAddress,
    /// Uploads that are being received or wait to be processed.
    Waiting,
    /// Those of one client.
    WaitingPerAddress,
    /// Bytes of uploads that lie on the disk or are to come.
    Spool,
    /// Uploads that begin in a minute.
    UploadRate,
}

impl Limit {
    /// All of them.
    pub const ALL: [Limit; 8] = [
        Limit::Uploads,
        Limit::UploadsPerAddress,
        Limit::Unfinished,
        Limit::UnfinishedPerAddress,
        Limit::Waiting,
        Limit::WaitingPerAddress,
        Limit::Spool,
        Limit::UploadRate,
    ];

    /// The flag that sets it, without dashes.
    pub fn flag(self) -> &'static str {
        match self {
            Limit::Uploads => "max-uploads",
            Limit::UploadsPerAddress => "max-uploads-per-address",
            Limit::Unfinished => "max-unfinished",
            Limit::UnfinishedPerAddress => "max-unfinished-per-address",
            Limit::Waiting => "max-waiting",
            Limit::WaitingPerAddress => "max-waiting-per-address",
            Limit::Spool => "max-spool",
            Limit::UploadRate => "upload-rate",
        }
    }
}
