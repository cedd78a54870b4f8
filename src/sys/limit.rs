//! The limits at which something is refused, by the flags that set them.

use std::fmt;

/// The limits there are: a name, the flag, and what has been reached, and what to do about it.
macro_rules! limits {
    ($($limit:ident, $flag:literal, $what:literal;)*) => {
        /// A limit at which something is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Limit {
            $(#[doc = concat!("What `--", $flag, "` sets.")] $limit,)*
        }

        impl Limit {
            /// All of them.
            pub const ALL: [Limit; [$($flag),*].len()] = [$(Limit::$limit),*];

            /// The flag that sets it, without dashes.
            pub fn flag(self) -> &'static str {
                match self {
                    $(Limit::$limit => $flag,)*
                }
            }

            /// What has been reached, and what to do about it.
            pub fn what(self) -> &'static str {
                match self {
                    $(Limit::$limit => $what,)*
                }
            }
        }
    };
}

limits! {
    Connections, "max-connections", "there are too many connections: try again later";
    ConnectionsPerAddress, "max-connections-per-address",
        "this address has too many connections: close some, or try again later";
    Streams, "max-streams", "there are too many streams: try again later";
    StreamsPerJob, "max-streams-per-job", "the job has too many streams: try again later";
    StreamsPerToken, "max-streams-per-token", "the token has too many streams: close some";
    StreamRate, "max-stream-rate",
        "too many streams of this address have begun lately: try again later";
    StallMemory, "stall-memory",
        "too much was left of what this stream didn't take: read it sooner";
    StallMemoryPerAddress, "stall-memory-per-address",
        "too much was left of what this stream didn't take: read it sooner";
    SendMemory, "send-memory", "too much was left of what this stream didn't take: read it sooner";
    Awaited, "max-awaited", "too many names are waited for: try again later";
    AwaitedPerAddress, "max-awaited-per-address",
        "this address, or token, waits for too many names: wait for fewer";
    EventRate, "max-event-rate", "too many events: publish fewer a second";
    Uploads, "max-uploads", "too many uploads are being received: try again later";
    UploadsPerAddress, "max-uploads-per-address",
        "this address, or token, has too many uploads on their way: wait for one of them";
    Unfinished, "max-unfinished", "too many uploads have begun and aren't whole: try again later";
    UnfinishedPerAddress, "max-unfinished-per-address",
        "this address, or token, has begun too many uploads that aren't whole: go on with them";
    Waiting, "max-waiting", "too many uploads wait to be processed: try again later";
    WaitingPerAddress, "max-waiting-per-address",
        "this address, or token, has too many uploads that wait to be processed: wait for one of \
         them";
    Spool, "max-spool", "too much is waiting to be processed: try again later";
    SpoolPerAddress, "max-spool-per-address",
        "too much of this address, or token, is waiting to be processed: try again later";
    UploadRate, "upload-rate", "too many uploads have begun in the last minute: try again later";
    UploadRatePerAddress, "upload-rate-per-address",
        "too many uploads of this address, or token, have begun in the last minute: try again \
         later";
    Downloads, "max-downloads", "too many files are being downloaded: try again later";
    DownloadsPerAddress, "max-downloads-per-address",
        "this address, or token, downloads too many files: wait for one of them";
    Event, "max-event", "an event is too large";
    Body, "max-body", "a body is too large";
    Upload, "max-upload", "an upload is too large";
    Jobs, "max-jobs", "there is no room for another job: wait for one to end";
    JobsPerAddress, "max-jobs-per-address",
        "this address, or token, has too many uploads that go on: wait for one of them";
    Free, "min-free", "the disk has no room for an upload";
    Journal, "journal-bytes", "the journal has no room";
}

/// What is wrong, and what would be right.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or raise --{}", self.what(), self.flag())
    }
}
