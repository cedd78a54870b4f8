//! Why an upload is refused, or fails.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::sequencer::PublishError;
use crate::sys::limit::Limit;

/// Why an upload is refused, or fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolError {
    /// It is, or would be, larger than so many bytes.
    TooLarge {
        /// The most bytes.
        max_bytes: u64,
    },
    /// More comes than its length says.
    LongerThanSaid,
    /// The disk has no room for it.
    DiskFull,
    /// There are as many as may be, in all or of this client, or as many bytes.
    Full(Limit),
    /// The uploads are another process's by now.
    Closed,
    /// Too many have begun lately.
    TooOften {
        /// In all, or of this client.
        limit: Limit,
        /// When one may.
        retry_after: Duration,
    },
    /// There is no upload of this name, or none any more.
    NotFound,
    /// It has landed already.
    Landed,
    /// It has come to another offset.
    Offset {
        /// That one.
        offset: u64,
    },
    /// It has another length.
    SizeKnown,
    /// Another request goes on with it.
    Locked,
    /// Another request goes on with it, in the place of this one.
    TakenOver,
    /// The bytes aren't those that the checksum was made of.
    Checksum,
    /// It was removed, or the life of its job that it is of is over.
    Cancelled,
    /// Its job doesn't begin, or takes no events.
    Publish(PublishError),
    /// The disk fails.
    Io(io::ErrorKind),
}

impl SpoolError {
    /// The limit that it is for.
    pub(super) fn limit(&self) -> Option<Limit> {
        match self {
            SpoolError::Full(limit) | SpoolError::TooOften { limit, .. } => Some(*limit),
            SpoolError::TooLarge { .. } => Some(Limit::Upload),
            SpoolError::DiskFull => Some(Limit::Free),
            _ => None,
        }
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SpoolError::TooLarge { max_bytes } => {
                return write!(
                    f,
                    "the upload is too large: at most {max_bytes} bytes, as --max-upload says"
                );
            }
            SpoolError::LongerThanSaid => {
                "more bytes came than the upload has by its length: begin it anew with the \
                 right one"
            }
            SpoolError::DiskFull => {
                "there is no room on the server's disk: free some, or lower --min-free"
            }
            SpoolError::Full(limit) => return limit.fmt(f),
            SpoolError::Closed => "another server is taking over: try again in a moment",
            SpoolError::TooOften { limit, .. } => return limit.fmt(f),
            SpoolError::NotFound => "there is no such upload, or it has expired: begin it anew",
            SpoolError::Landed => {
                "the upload is whole and being processed: DELETE /api/jobs/{job} cancels that"
            }
            SpoolError::Offset { offset } => {
                return write!(f, "the upload has come to byte {offset}: go on from there");
            }
            SpoolError::SizeKnown => {
                "the upload has another length, which can't change any more: leave it out"
            }
            SpoolError::Locked => {
                "another request goes on with this upload: wait until that has ended"
            }
            SpoolError::TakenOver => {
                "another request goes on with this upload: ask how far it has come, and go on there"
            }
            SpoolError::Checksum => {
                "the bytes don't match their checksum and were dropped: send them again"
            }
            SpoolError::Cancelled => {
                "the upload was cancelled, or its job deleted or ended meanwhile: begin it anew"
            }
            SpoolError::Publish(error) => return error.fmt(f),
            SpoolError::Io(kind) => {
                return write!(f, "the server's disk fails ({kind}): see its log");
            }
        })
    }
}

impl std::error::Error for SpoolError {}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> SpoolError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SpoolError::DiskFull,
            kind => SpoolError::Io(kind),
        }
    }
}

/// What a life's event that isn't taken means to the upload: one that is refused for what its
/// job has come to is over.
impl From<PublishError> for SpoolError {
    fn from(error: PublishError) -> SpoolError {
        match error {
            PublishError::Refused(_) => SpoolError::Cancelled,
            error => SpoolError::Publish(error),
        }
    }
}
