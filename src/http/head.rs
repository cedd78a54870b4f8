//! A request's head, decoded and judged. What breaks RFC 9112 is refused, never
//! guessed at: a guess that differs from a proxy's is how requests are smuggled.

mod fields;
mod line;

use std::fmt;

use super::body::BodyLength;
use super::method::Method;
use super::response::Status;
use super::target::Target;
use fields::Fields;
use line::{has_bare_line_feed, has_request_line, refused, unless_too_long};
pub use line::{has_end, origin_of};

/// The most header fields that a head may have.
const FIELDS_MAX: usize = 64;

/// How large a head may be.
///
/// See [`ConnectionConfig`](crate::config::ConnectionConfig).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The whole head, in bytes: 431 beyond it.
    pub head_bytes: usize,
    /// The request target, in bytes: 414 beyond it.
    pub target_bytes: usize,
}

/// A request's head, as far as Landfall reads one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The method.
    pub method: Method,
    /// The target's path and query, still percent-encoded.
    pub target: Target<'a>,
    /// How the body is delimited.
    pub length: BodyLength,
    /// Whether the connection may serve another request after this one.
    pub keep_alive: bool,
    /// Whether the version is 1.0: no chunks, and no keep-alive unless asked for.
    pub is_1_0: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// `Last-Event-ID`.
    pub last_event_id: Option<&'a [u8]>,
    /// `Content-Type`.
    pub content_type: Option<&'a [u8]>,
    /// Whether `Content-Encoding` says that the body is something else in disguise.
    pub is_encoded: bool,
    /// The host and the port that are asked: those of an absolute target, or else `Host`.
    pub host: Option<&'a [u8]>,
    /// `Origin`.
    pub origin: Option<&'a [u8]>,
    /// `Authorization`.
    pub authorization: Option<&'a [u8]>,
    /// `Cookie`.
    pub cookie: Option<&'a [u8]>,
    /// Whether `Accept-Encoding` names gzip.
    pub takes_gzip: bool,
    others: Vec<(&'a str, &'a [u8])>,
}

/// Why a head is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadError {
    /// What it is answered with.
    pub status: Status,
    /// What is wrong, and what would be right.
    pub message: &'static str,
}

impl<'a> Head<'a> {
    /// Decodes the head at the beginning of `bytes`, and says how many bytes it takes.
    /// None as long as it isn't whole and could still be right.
    ///
    /// # Errors
    /// The head breaks RFC 9112 or a limit. The connection can't be used further.
    pub fn parse(
        bytes: &'a [u8],
        limits: HeadLimits,
    ) -> Result<Option<(Head<'a>, usize)>, HeadError> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        let head_bytes = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return unless_too_long(bytes, limits),
            // Which version it isn't is known at the end of the line.
            Err(httparse::Error::Version) if !has_request_line(bytes) => {
                return unless_too_long(bytes, limits);
            }
            Err(error) => return Err(refused(error, bytes)),
        };
        let target = request.path.unwrap_or_default();
        if target.len() > limits.target_bytes {
            return Err(TARGET_TOO_LONG);
        }
        if head_bytes > limits.head_bytes {
            return Err(HEAD_TOO_LARGE);
        }
        if has_bare_line_feed(&bytes[..head_bytes]) {
            return Err(bad(
                "a line of the head ends with a bare LF: end it with CR LF",
            ));
        }
        let method = Method::parse(request.method.unwrap_or_default()).ok_or(HeadError {
            status: Status::NotImplemented,
            message: "this method isn't known here: use GET, HEAD, POST, PUT, PATCH, DELETE or \
                      OPTIONS",
        })?;
        let is_1_0 = request.version == Some(0);
        let fields = Fields::collect(request.headers)?;
        fields.check_host(is_1_0)?;
        let target = Target::parse(target).ok_or(bad(
            "the request target is malformed: use /path?query or http://host/path?query",
        ))?;
        let head = Head {
            method,
            target,
            length: fields.length(is_1_0)?,
            keep_alive: fields.keep_alive(is_1_0),
            is_1_0,
            expects_continue: fields.expects_continue(is_1_0)?,
            last_event_id: fields.last_event_id,
            content_type: fields.content_type,
            is_encoded: fields.is_encoded,
            host: target.authority().map(str::as_bytes).or(fields.host),
            origin: fields.origin,
            authorization: fields.authorization,
            cookie: fields.cookie,
            takes_gzip: fields.takes_gzip,
            others: fields.others,
        };
        Ok(Some((head, head_bytes)))
    }

    /// Whether only the answer's head is asked for.
    pub fn is_head(&self) -> bool {
        self.method == Method::Head
    }

    /// A field that only few requests have: a key, or one of tus, of ranges or of conditions.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        let other = |(other, _): &&(&str, _)| other.eq_ignore_ascii_case(name);
        self.others.iter().find(other).map(|&(_, value)| value)
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl std::error::Error for HeadError {}

const TARGET_TOO_LONG: HeadError = HeadError {
    status: Status::UriTooLong,
    message: "the request target is too long: name fewer jobs in one request",
};

const HEAD_TOO_LARGE: HeadError = HeadError {
    status: Status::HeadTooLarge,
    message: "the request head is too large: send fewer and shorter header fields",
};

fn bad(message: &'static str) -> HeadError {
    HeadError {
        status: Status::BadRequest,
        message,
    }
}

#[cfg(test)]
mod tests;
