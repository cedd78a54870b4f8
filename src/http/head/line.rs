//! What can be said of a head before it is read: its request line, and how long it is.

use super::{HEAD_TOO_LARGE, HeadError, HeadLimits, TARGET_TOO_LONG, bad};
use crate::http::response::Status;

/// Whether a line ends with a bare LF.
pub fn has_bare_line_feed(head: &[u8]) -> bool {
    let mut bytes = head.iter().enumerate();
    bytes.any(|(at, &byte)| byte == b'\n' && (at == 0 || head[at - 1] != b'\r'))
}

/// A head that isn't whole yet, unless it is too long already.
pub fn unless_too_long<T>(bytes: &[u8], limits: HeadLimits) -> Result<Option<T>, HeadError> {
    let line = bytes
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let target = line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    if target.len() > limits.target_bytes {
        return Err(TARGET_TOO_LONG);
    }
    if bytes.len() >= limits.head_bytes {
        return Err(HEAD_TOO_LARGE);
    }
    Ok(None)
}

/// Why httparse doesn't take a head.
pub fn refused(error: httparse::Error, bytes: &[u8]) -> HeadError {
    use httparse::Error;
    match error {
        Error::TooManyHeaders => HEAD_TOO_LARGE,
        Error::Version if has_other_version(bytes) => HeadError {
            status: Status::VersionNotSupported,
            message: "this version of HTTP isn't spoken here: use HTTP/1.1",
        },
        Error::Version => bad("the request line is malformed: it is METHOD SP target SP HTTP/1.1"),
        Error::HeaderName => bad(
            "a header field's name is malformed: it has no space, before the colon neither, \
             and no line begins with one",
        ),
        Error::HeaderValue => bad("a header field's value holds a control character: leave it out"),
        Error::NewLine => bad("a line of the head doesn't end with CR LF: end it so"),
        Error::Token | Error::Status => {
            bad("the request line is malformed: it is METHOD SP target SP HTTP/1.1")
        }
    }
}

/// The value of `Origin` in a head that isn't taken, or of which only this has come.
pub fn origin_of(head: &[u8]) -> Option<&[u8]> {
    let mut fields = head.split(|&byte| byte == b'\n').skip(1);
    fields.find_map(|field| {
        let colon = field.iter().position(|&byte| byte == b':')?;
        let is_it = field[..colon].eq_ignore_ascii_case(b"origin");
        is_it.then(|| field[colon + 1..].trim_ascii())
    })
}

/// Whether a head has come to its end, however malformed it is.
pub fn has_end(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n")
}

/// Whether the request line has come to its end.
pub fn has_request_line(bytes: &[u8]) -> bool {
    request_line(bytes).nth(1).is_some()
}

/// The request line, and then whatever follows its end.
fn request_line(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_end = |byte: &u8| b"\r\n".contains(byte);
    let start = bytes.iter().position(|byte| !is_end(byte)).unwrap_or(0);
    bytes[start..].splitn(2, is_end)
}

/// Whether the request line ends with a version that HTTP could have: `HTTP/2.0`.
fn has_other_version(bytes: &[u8]) -> bool {
    let line = request_line(bytes).next().unwrap_or_default();
    let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    let Some(number) = version.strip_prefix(b"HTTP/") else {
        return false;
    };
    if [&b"1.0"[..], b"1.1"].contains(&number) {
        return false;
    }
    let parts: Vec<_> = number.split(|&byte| byte == b'.').collect();
    let digits = |part: &&[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    parts.len() <= 2 && parts.iter().all(digits)
}
