//! HTTP/1.1 without a socket (RFC 9110, RFC 9112): heads and bodies are decoded from
//! whatever bytes are there, and "not enough yet" is no error.

#[cfg(any(feature = "server", feature = "client"))]
pub mod address;
#[cfg(any(feature = "server", feature = "client"))]
pub mod base;
#[cfg(feature = "server")]
pub mod body;
#[cfg(feature = "uploads")]
pub mod disposition;
#[cfg(feature = "server")]
pub mod head;
#[cfg(feature = "server")]
pub mod method;
#[cfg(feature = "uploads")]
pub mod multipart;
#[cfg(feature = "server")]
pub mod pace;
#[cfg(feature = "uploads")]
pub mod range;
#[cfg(feature = "server")]
pub mod response;
#[cfg(feature = "server")]
pub mod target;
#[cfg(feature = "uploads")]
pub mod tus;

#[cfg(any(feature = "server", feature = "client"))]
pub use address::Address;
#[cfg(any(feature = "server", feature = "client"))]
pub use base::BasePath;
#[cfg(feature = "server")]
pub use body::{BodyLength, Decoder};
#[cfg(feature = "server")]
pub use head::{Head, HeadError, HeadLimits};
#[cfg(feature = "server")]
pub use method::Method;
#[cfg(feature = "server")]
pub use pace::{BodyPace, PaceLimits, TooSlow};
#[cfg(feature = "uploads")]
pub use range::Range;
#[cfg(feature = "server")]
pub use response::{Response, Status};
