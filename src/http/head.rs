//! A request's head, decoded and judged. What breaks RFC 9112 is refused, never
//! guessed at: a guess that differs from a proxy's is how requests are smuggled.

use std::fmt;

use super::body::BodyLength;
use super::response::Status;
use super::target::{Target, is_host_byte};

/// The most header fields that a head may have.
const FIELDS_MAX: usize = 64;

/// How large a head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The whole head, in bytes: 431 beyond it.
    pub head_bytes: usize,
    /// The request target, in bytes: 414 beyond it.
    pub target_bytes: usize,
}

/// The methods that RFC 9110 names; any other is 501.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Connect,
    Trace,
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
    /// `Host`.
    pub host: Option<&'a [u8]>,
    /// `Origin`.
    pub origin: Option<&'a [u8]>,
    /// `Authorization`.
    pub authorization: Option<&'a [u8]>,
    /// `Cookie`.
    pub cookie: Option<&'a [u8]>,
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

impl Method {
    /// Every method there is.
    pub const ALL: [Method; 9] = {
        use Method::*;
        [Get, Head, Post, Put, Patch, Delete, Options, Connect, Trace]
    };

    /// The method as it stands in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Connect => "CONNECT",
            Method::Trace => "TRACE",
        }
    }

    fn parse(name: &str) -> Option<Method> {
        Method::ALL
            .into_iter()
            .find(|method| method.as_str() == name)
    }
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
            message: "this method isn't known here: use GET, HEAD, POST, PATCH, DELETE or OPTIONS",
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
            host: fields.host,
            origin: fields.origin,
            authorization: fields.authorization,
            cookie: fields.cookie,
            others: fields.others,
        };
        Ok(Some((head, head_bytes)))
    }

    /// Whether only the answer's head is asked for.
    pub fn is_head(&self) -> bool {
        self.method == Method::Head
    }

    /// A field that only few requests have: one of tus, of ranges or of conditions.
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

/// The fields that a head is judged by.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    transfer_encodings: usize,
    connection_close: bool,
    connection_keep_alive: bool,
    expect: Option<&'a [u8]>,
    last_event_id: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    is_encoded: bool,
    origin: Option<&'a [u8]>,
    authorization: Option<&'a [u8]>,
    cookie: Option<&'a [u8]>,
    others: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Fields<'a> {
    fn collect(headers: &[httparse::Header<'a>]) -> Result<Fields<'a>, HeadError> {
        let mut fields = Fields::default();
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            let value = header.value.trim_ascii();
            if is("host") {
                if fields.host.replace(value).is_some() {
                    return Err(bad("Host is given twice: give it once"));
                }
            } else if is("content-length") {
                if fields.content_length.replace(value).is_some() {
                    return Err(bad("Content-Length is given twice: give it once"));
                }
            } else if is("transfer-encoding") {
                fields.transfer_encodings += 1;
                fields.transfer_encoding = Some(value);
            } else if is("connection") {
                for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                    fields.connection_close |= option.eq_ignore_ascii_case(b"close");
                    fields.connection_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            } else if is("expect") {
                fields.expect = Some(value);
            } else if is("last-event-id") {
                fields.last_event_id.get_or_insert(value);
            } else if is("content-type") {
                fields.content_type.get_or_insert(value);
            } else if is("content-encoding") {
                fields.is_encoded |= value.split(|&byte| byte == b',').any(|coding| {
                    let coding = coding.trim_ascii();
                    !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
                });
            } else if is("origin") {
                if fields.origin.replace(value).is_some() {
                    return Err(bad("Origin is given twice: give it once"));
                }
            } else if is("authorization") {
                if fields.authorization.replace(value).is_some() {
                    return Err(bad("Authorization is given twice: give it once"));
                }
            } else if is("cookie") {
                if fields.cookie.replace(value).is_some() {
                    return Err(bad("Cookie is given twice: give all cookies in one field"));
                }
            } else if is_other(header.name) {
                if fields.others.iter().any(|(name, _)| is(name)) {
                    return Err(bad(
                        "a field of tus, of ranges or of conditions is given twice: give it once",
                    ));
                }
                fields.others.push((header.name, value));
            }
        }
        Ok(fields)
    }

    fn check_host(&self, is_1_0: bool) -> Result<(), HeadError> {
        match self.host {
            None if is_1_0 => Ok(()),
            None => Err(bad("Host is missing: HTTP/1.1 needs it")),
            Some(host) if host.iter().all(|&byte| is_host_byte(byte)) => Ok(()),
            Some(_) => Err(bad(
                "Host is malformed: it is a name or an address, and a port",
            )),
        }
    }

    fn length(&self, is_1_0: bool) -> Result<BodyLength, HeadError> {
        match (self.transfer_encoding, self.content_length) {
            (None, None) => Ok(BodyLength::None),
            (Some(_), Some(_)) => Err(bad(
                "Content-Length and Transfer-Encoding exclude each other: send one",
            )),
            (None, Some(digits)) => content_length(digits).map(BodyLength::Length).ok_or(bad(
                "Content-Length is malformed: it is the body's bytes in decimal digits",
            )),
            (Some(_), None) if is_1_0 => Err(bad("HTTP/1.0 has no Transfer-Encoding")),
            (Some(coding), None) => {
                if self.transfer_encodings == 1 && coding.eq_ignore_ascii_case(b"chunked") {
                    return Ok(BodyLength::Chunked);
                }
                let codings = coding.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
                let chunked = codings
                    .filter(|one| one.eq_ignore_ascii_case(b"chunked"))
                    .count();
                if self.transfer_encodings > 1 || chunked > 1 || coding.is_empty() {
                    return Err(bad("Transfer-Encoding is malformed: send chunked, once"));
                }
                Err(HeadError {
                    status: Status::NotImplemented,
                    message: "this Transfer-Encoding isn't known here: send chunked alone",
                })
            }
        }
    }

    fn keep_alive(&self, is_1_0: bool) -> bool {
        !self.connection_close && (!is_1_0 || self.connection_keep_alive)
    }

    fn expects_continue(&self, is_1_0: bool) -> Result<bool, HeadError> {
        match self.expect {
            Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(!is_1_0),
            None => Ok(false),
            Some(_) => Err(HeadError {
                status: Status::ExpectationFailed,
                message: "the only expectation known here is 100-continue",
            }),
        }
    }
}

/// Whether a field is one of those that [`Head::field`] gives.
fn is_other(name: &str) -> bool {
    let begins = |with: &str| {
        name.get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    begins("upload-")
        || begins("tus-")
        || [
            "range",
            "if-range",
            "if-none-match",
            "x-http-method-override",
        ]
        .iter()
        .any(is)
}

/// Digits alone: a sign, a list and an empty value are all refused.
fn content_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn has_bare_line_feed(head: &[u8]) -> bool {
    let line_feeds = head.iter().enumerate().filter(|&(_, &byte)| byte == b'\n');
    line_feeds
        .into_iter()
        .any(|(at, _)| at == 0 || head[at - 1] != b'\r')
}

/// A head that isn't whole yet, unless it is too long already.
fn unless_too_long<T>(bytes: &[u8], limits: HeadLimits) -> Result<Option<T>, HeadError> {
    let line = bytes
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let target = line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    if target.len() > limits.target_bytes {
        return Err(TARGET_TOO_LONG);
    }
    match bytes.len() >= limits.head_bytes {
        true => Err(HEAD_TOO_LARGE),
        false => Ok(None),
    }
}

fn refused(error: httparse::Error, bytes: &[u8]) -> HeadError {
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
        Error::HeaderValue => bad("a header field's value holds a control character"),
        Error::NewLine => bad("a line of the head doesn't end with CR LF"),
        Error::Token | Error::Status => {
            bad("the request line is malformed: it is METHOD SP target SP HTTP/1.1")
        }
    }
}

/// Whether the request line has come to its end.
fn has_request_line(bytes: &[u8]) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        head_bytes: 8192,
        target_bytes: 6144,
    };

    fn status(head: &str) -> u16 {
        match Head::parse(head.as_bytes(), LIMITS) {
            Ok(Some(_)) => 200,
            Ok(None) => 0,
            Err(error) => error.status.code(),
        }
    }

    fn with(fields: &str) -> String {
        format!("POST /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
    }

    #[test]
    fn a_head_is_the_same_however_it_is_split() {
        let text = "GET /api/jobs/a/events?x=1 HTTP/1.1\r\nHost: a:1\r\n\
                    Last-Event-ID: 7\r\nX: \u{e9}\r\n\r\nrest";
        let whole = text.len() - 4;
        for end in 0..whole {
            assert_eq!(
                Head::parse(&text.as_bytes()[..end], LIMITS),
                Ok(None),
                "{end}"
            );
        }
        let (head, length) = Head::parse(text.as_bytes(), LIMITS).unwrap().unwrap();
        assert_eq!(length, whole);
        assert_eq!(head.method, Method::Get);
        assert_eq!(head.last_event_id, Some(&b"7"[..]));
        assert!(head.keep_alive);
    }

    #[test]
    fn every_way_to_give_a_length_is_judged() {
        let length = |fields: &str| {
            let text = with(fields);
            Head::parse(text.as_bytes(), LIMITS)
                .map(|head| head.unwrap().0.length)
                .map_err(|error| error.status.code())
        };
        assert_eq!(length("A: b"), Ok(BodyLength::None));
        assert_eq!(length("Content-Length: 5"), Ok(BodyLength::Length(5)));
        assert_eq!(
            length("Transfer-Encoding: Chunked"),
            Ok(BodyLength::Chunked)
        );
        for bad in [
            "Content-Length: +5",
            "Content-Length: -5",
            "Content-Length: 5, 5",
            "Content-Length: 5 5",
            "Content-Length: 0x5",
            "Content-Length:",
            "Content-Length: 99999999999999999999999",
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5\r\ncontent-length: 6",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding:",
            "Transfer-Encoding : chunked",
            "Content-Length : 5",
        ] {
            assert_eq!(length(bad), Err(400), "{bad}");
        }
        for unknown in [
            "gzip",
            "gzip, chunked",
            "identity",
            "xchunked",
            "\"chunked\"",
        ] {
            assert_eq!(
                length(&format!("Transfer-Encoding: {unknown}")),
                Err(501),
                "{unknown}"
            );
        }
        assert_eq!(
            status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            400
        );
    }

    #[test]
    fn a_broken_head_is_refused_with_the_right_status() {
        for (expected, head) in [
            (200, "GET / HTTP/1.0\r\n\r\n"),
            (200, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (200, "GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n"),
            (200, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
            (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET /\r\nHost: a\r\n\r\n"),
            (400, "GET x HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET / HTTQ/1.1\r\nHost: a\r\n\r\n"),
            (400, "G@T / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n"),
            (400, "GET / HTTP/1.1\nHost: a\n\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"),
            (417, "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"),
            (501, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (501, "get / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET / HTTP/2.x\r\nHost: a\r\n\r\n"),
            (400, "GET / HTTP/\r\nHost: a\r\n\r\n"),
            (505, "GET / HTTP/2\r\nHost: a\r\n\r\n"),
            (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
            (505, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
            (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ] {
            assert_eq!(status(head), expected, "{head:?}");
            // What is wrong with it doesn't depend on how much of it has come.
            let early = (1..head.len()).find_map(|end| {
                let parsed = Head::parse(&head.as_bytes()[..end], LIMITS);
                parsed.err().map(|error| (end, error.status.code()))
            });
            if let Some((end, early)) = early {
                assert_eq!(early, expected, "{:?}", &head[..end]);
            }
        }
    }

    #[test]
    fn limits_hold_before_the_head_is_whole() {
        let long = "x".repeat(9000);
        assert_eq!(status(&format!("GET /{long}")), 414);
        assert_eq!(
            status(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
            414
        );
        assert_eq!(status(&format!("GET / HTTP/1.1\r\nA: {long}")), 431);
        assert_eq!(status(&with(&format!("A: {long}"))), 431);
        assert_eq!(status(&with(&"A: b\r\n".repeat(70))), 431);
        assert_eq!(status(&"\r\n".repeat(5000)), 431);
    }

    #[test]
    fn what_a_request_is_trusted_by_is_given_once() {
        for field in ["Origin: http://a", "Authorization: Bearer a", "Cookie: a=b"] {
            assert_eq!(status(&with(field)), 200, "{field}");
            let twice = format!("{field}\r\n{}", field.to_lowercase());
            assert_eq!(status(&with(&twice)), 400, "{field}");
        }
    }

    #[test]
    fn fields_that_few_requests_have_are_kept_and_given_once() {
        let text =
            with("upload-OFFSET: 7\r\nTus-Resumable: 1.0.0\r\nRange: bytes=1-\r\nUploads: x");
        let (head, _) = Head::parse(text.as_bytes(), LIMITS).unwrap().unwrap();
        assert_eq!(head.field("Upload-Offset"), Some(&b"7"[..]));
        assert_eq!(head.field("tus-resumable"), Some(&b"1.0.0"[..]));
        assert_eq!(head.field("Range"), Some(&b"bytes=1-"[..]));
        assert_eq!(head.field("Uploads"), None);
        assert_eq!(status(&with("Upload-Offset: 1\r\nupload-offset: 1")), 400);
        assert_eq!(status(&with("Range: a\r\nRange: b")), 400);
    }

    #[test]
    fn keep_alive_follows_version_and_connection() {
        let keeps = |text: &str| {
            Head::parse(text.as_bytes(), LIMITS)
                .unwrap()
                .unwrap()
                .0
                .keep_alive
        };
        assert!(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(!keeps(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"
        ));
        assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
        assert!(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    }
}
