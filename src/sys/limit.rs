//! The limits at which something is refused, by the flags that set them.

use std::fmt;

/// A limit at which something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Connections that aren't streams.
    Connections,
    /// Connections and streams of one client.
    ConnectionsPerAddress,
    /// Streams.
    Streams,
    /// Those of one job.
    StreamsPerJob,
    /// Those of one token.
    StreamsPerToken,
    /// Streams that begin in a second, of one client.
    StreamRate,
    /// What slow readers leave of frames.
    StallMemory,
    /// What those of one client leave.
    StallMemoryPerAddress,
    /// What the kernel holds of streams.
    SendMemory,
    /// Names that streams wait for.
    Awaited,
    /// Those of one client.
    AwaitedPerAddress,
    /// Events in a second, of one publisher.
    EventRate,
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
    /// Those of one client.
    SpoolPerAddress,
    /// Uploads that begin in a minute.
    UploadRate,
    /// Those of one client.
    UploadRatePerAddress,
    /// Downloads at once.
    Downloads,
    /// Those of one client.
    DownloadsPerAddress,
    /// Bytes of an event.
    Event,
    /// Bytes of a body.
    Body,
    /// Bytes of an upload.
    Upload,
    /// Jobs, and the memory that they take.
    Jobs,
    /// Those that uploads of one client have begun.
    JobsPerAddress,
    /// Bytes that stay free on the disk.
    Free,
    /// Bytes of the journal, and the disk that it is on.
    Journal,
}

impl Limit {
    /// All of them.
    pub const ALL: [Limit; 31] = [
        Limit::Connections,
        Limit::ConnectionsPerAddress,
        Limit::Streams,
        Limit::StreamsPerJob,
        Limit::StreamsPerToken,
        Limit::StreamRate,
        Limit::StallMemory,
        Limit::StallMemoryPerAddress,
        Limit::SendMemory,
        Limit::Awaited,
        Limit::AwaitedPerAddress,
        Limit::EventRate,
        Limit::Uploads,
        Limit::UploadsPerAddress,
        Limit::Unfinished,
        Limit::UnfinishedPerAddress,
        Limit::Waiting,
        Limit::WaitingPerAddress,
        Limit::Spool,
        Limit::SpoolPerAddress,
        Limit::UploadRate,
        Limit::UploadRatePerAddress,
        Limit::Downloads,
        Limit::DownloadsPerAddress,
        Limit::Event,
        Limit::Body,
        Limit::Upload,
        Limit::Jobs,
        Limit::JobsPerAddress,
        Limit::Free,
        Limit::Journal,
    ];

    /// The flag that sets it, without dashes.
    pub fn flag(self) -> &'static str {
        match self {
            Limit::Connections => "max-connections",
            Limit::ConnectionsPerAddress => "max-connections-per-address",
            Limit::Streams => "max-streams",
            Limit::StreamsPerJob => "max-streams-per-job",
            Limit::StreamsPerToken => "max-streams-per-token",
            Limit::StreamRate => "max-stream-rate",
            Limit::StallMemory => "stall-memory",
            Limit::StallMemoryPerAddress => "stall-memory-per-address",
            Limit::SendMemory => "send-memory",
            Limit::Awaited => "max-awaited",
            Limit::AwaitedPerAddress => "max-awaited-per-address",
            Limit::EventRate => "max-event-rate",
            Limit::Uploads => "max-uploads",
            Limit::UploadsPerAddress => "max-uploads-per-address",
            Limit::Unfinished => "max-unfinished",
            Limit::UnfinishedPerAddress => "max-unfinished-per-address",
            Limit::Waiting => "max-waiting",
            Limit::WaitingPerAddress => "max-waiting-per-address",
            Limit::Spool => "max-spool",
            Limit::SpoolPerAddress => "max-spool-per-address",
            Limit::UploadRate => "upload-rate",
            Limit::UploadRatePerAddress => "upload-rate-per-address",
            Limit::Downloads => "max-downloads",
            Limit::DownloadsPerAddress => "max-downloads-per-address",
            Limit::Event => "max-event",
            Limit::Body => "max-body",
            Limit::Upload => "max-upload",
            Limit::Jobs => "max-jobs",
            Limit::JobsPerAddress => "max-jobs-per-address",
            Limit::Free => "min-free",
            Limit::Journal => "journal-bytes",
        }
    }

    /// What has been reached, and what to do about it.
    pub fn what(self) -> &'static str {
        match self {
            Limit::Connections => "there are too many connections: try again later",
            Limit::ConnectionsPerAddress => {
                "this address has too many connections: close some, or try again later"
            }
            Limit::Streams => "there are too many streams: try again later",
            Limit::StreamsPerJob => "the job has too many streams: try again later",
            Limit::StreamsPerToken => "the token has too many streams: close some",
            Limit::StreamRate => {
                "too many streams of this address have begun lately: try again later"
            }
            Limit::StallMemory | Limit::StallMemoryPerAddress | Limit::SendMemory => {
                "too much was left of what this stream didn't take: read it sooner"
            }
            Limit::Awaited => "too many names are waited for: try again later",
            Limit::AwaitedPerAddress => {
                "this address, or token, waits for too many names: wait for fewer"
            }
            Limit::EventRate => "too many events: publish fewer a second",
            Limit::Uploads => "too many uploads are being received: try again later",
            Limit::UploadsPerAddress => {
                "this address, or token, has too many uploads on their way: wait for one of them"
            }
            Limit::Unfinished => "too many uploads have begun and aren't whole: try again later",
            Limit::UnfinishedPerAddress => {
                "this address, or token, has begun too many uploads that aren't whole: go on with \
                 them"
            }
            Limit::Waiting => "too many uploads wait to be processed: try again later",
            Limit::WaitingPerAddress => {
                "this address, or token, has too many uploads that wait to be processed: wait for \
                 one of them"
            }
            Limit::Spool => "too much is waiting to be processed: try again later",
            Limit::SpoolPerAddress => {
                "too much of this address, or token, is waiting to be processed: try again later"
            }
            Limit::UploadRatePerAddress => {
                "too many uploads of this address, or token, have begun in the last minute: try \
                 again later"
            }
            Limit::UploadRate => "too many uploads have begun in the last minute: try again later",
            Limit::Downloads => "too many files are being downloaded: try again later",
            Limit::DownloadsPerAddress => {
                "this address, or token, downloads too many files: wait for one of them"
            }
            Limit::Event => "an event is too large",
            Limit::Body => "a body is too large",
            Limit::Upload => "an upload is too large",
            Limit::Jobs => "there is no room for another job: wait for one to end",
            Limit::JobsPerAddress => {
                "this address, or token, has too many uploads that go on: wait for one of them"
            }
            Limit::Free => "the disk has no room for an upload",
            Limit::Journal => "the journal has no room",
        }
    }
}

/// What is wrong, and what would be right.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or raise --{}", self.what(), self.flag())
    }
}
