//! HTTP/1.1 without a socket (RFC 9110, RFC 9112): heads and bodies are decoded from
//! whatever bytes are there, and "not enough yet" is no error.

pub mod base;
pub mod body;
pub mod disposition;
pub mod head;
pub mod method;
pub mod multipart;
pub mod pace;
pub mod range;
pub mod response;
pub mod target;
pub mod tus;

pub use base::{BasePath, BasePathError};
pub use body::{BodyLength, Decoder};
pub use head::{Head, HeadError, HeadLimits};
pub use method::Method;
pub use pace::{Pace, PaceLimits, TooSlow};
pub use range::Range;
pub use response::{Response, Status};
