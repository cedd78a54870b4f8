//! A response that isn't a stream: a status, a few header fields and a short body.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

/// The statuses there are: a name, the number, and the words behind it (RFC 9110 section 15,
/// RFC 4918, RFC 6585, tus 1.0).
macro_rules! statuses {
    ($($(#[$about:meta])* $status:ident = $code:literal, $reason:literal;)*) => {
        /// The statuses that Landfall answers with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        #[repr(u16)]
        pub enum Status {
            $($(#[$about])* $status = $code,)*
        }

        impl Status {
            /// Every status there is.
            pub const ALL: [Status; [$($code),*].len()] = [$(Status::$status),*];

            /// The number.
            pub fn code(self) -> u16 {
                self as u16
            }

            /// The words behind the number.
            pub fn reason(self) -> &'static str {
                match self {
                    $(Status::$status => $reason,)*
                }
            }
        }
    };
}

statuses! {
    Ok = 200, "OK";
    Created = 201, "Created";
    Accepted = 202, "Accepted";
    NoContent = 204, "No Content";
    PartialContent = 206, "Partial Content";
    NotModified = 304, "Not Modified";
    TemporaryRedirect = 307, "Temporary Redirect";
    PermanentRedirect = 308, "Permanent Redirect";
    BadRequest = 400, "Bad Request";
    Unauthorized = 401, "Unauthorized";
    Forbidden = 403, "Forbidden";
    NotFound = 404, "Not Found";
    MethodNotAllowed = 405, "Method Not Allowed";
    RequestTimeout = 408, "Request Timeout";
    Conflict = 409, "Conflict";
    Gone = 410, "Gone";
    LengthRequired = 411, "Length Required";
    PreconditionFailed = 412, "Precondition Failed";
    BodyTooLarge = 413, "Content Too Large";
    UriTooLong = 414, "URI Too Long";
    UnsupportedMediaType = 415, "Unsupported Media Type";
    RangeNotSatisfiable = 416, "Range Not Satisfiable";
    ExpectationFailed = 417, "Expectation Failed";
    Unprocessable = 422, "Unprocessable Content";
    Locked = 423, "Locked";
    TooManyRequests = 429, "Too Many Requests";
    HeadTooLarge = 431, "Request Header Fields Too Large";
    /// tus: the bytes aren't those that the checksum was made of.
    ChecksumMismatch = 460, "Checksum Mismatch";
    InternalError = 500, "Internal Server Error";
    NotImplemented = 501, "Not Implemented";
    Unavailable = 503, "Service Unavailable";
    VersionNotSupported = 505, "HTTP Version Not Supported";
    InsufficientStorage = 507, "Insufficient Storage";
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: Status,
    fields: Vec<(&'static str, Cow<'static, str>)>,
    lines: Option<Arc<str>>,
    body: Cow<'static, [u8]>,
    /// How long a body is that is sent on its own.
    length: Option<u64>,
}

/// What every answer says that isn't a stream: it is of the type that it says, and its
/// address, in which a token may stand, is nobody else's business.
const SAFETY: &str = "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer";

impl Response {
    /// A response without a body.
    pub fn empty(status: Status) -> Response {
        Response {
            status,
            fields: Vec::new(),
            lines: None,
            body: Cow::Borrowed(b""),
            length: None,
        }
    }

    /// A response whose body is `json`.
    pub fn json(status: Status, json: impl Into<Vec<u8>>) -> Response {
        Response {
            body: Cow::Owned(json.into()),
            ..Response::text(status, "application/json", "")
        }
    }

    /// A response whose body is a text of this media type.
    pub fn text(
        status: Status,
        media_type: &'static str,
        body: impl Into<Cow<'static, str>>,
    ) -> Response {
        Response {
            status,
            fields: vec![("Content-Type", media_type.into())],
            lines: None,
            body: match body.into() {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
            length: None,
        }
    }

    /// `{"error":"..."}`: what is wrong, and what would be right.
    pub fn error(status: Status, message: &str) -> Response {
        Response::json(status, serde_json::json!({ "error": message }).to_string())
    }

    /// What an [`error`](Response::error) says is wrong; empty for other responses.
    pub fn message(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["error"].as_str().unwrap_or_default().to_owned()
    }

    /// The response with one more header field.
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Response {
        self.fields.push((name, value.into()));
        self
    }

    /// The response with this body.
    pub fn with_body(mut self, body: impl Into<Cow<'static, [u8]>>) -> Response {
        self.body = body.into();
        self
    }

    /// The response with a body of this length, which is sent behind it.
    pub fn with_length(mut self, length: u64) -> Response {
        self.length = Some(length);
        self
    }

    /// The response with header lines that are made already, each with its line end.
    pub fn with_lines(mut self, lines: Option<Arc<str>>) -> Response {
        self.lines = lines;
        self
    }

    /// Appends the response to `out`. With `head_only` the body is left out and its
    /// length still given, as HEAD wants it.
    pub fn write(&self, out: &mut Vec<u8>, now: SystemTime, keep_alive: bool, head_only: bool) {
        let mut line = |parts: &[&str]| {
            parts
                .iter()
                .for_each(|part| out.extend_from_slice(part.as_bytes()));
            out.extend_from_slice(b"\r\n");
        };
        let mut code = itoa::Buffer::new();
        line(&[
            "HTTP/1.1 ",
            code.format(self.status.code()),
            " ",
            self.status.reason(),
        ]);
        line(&["Date: ", &httpdate::fmt_http_date(now)]);
        for (name, value) in &self.fields {
            line(&[name, ": ", value]);
        }
        line(&[SAFETY]);
        // A 304 that gave a length would have to give that of the 200 (RFC 9110 section 8.6).
        if !matches!(self.status, Status::NoContent | Status::NotModified) {
            line(&[
                "Content-Length: ",
                itoa::Buffer::new().format(self.length.unwrap_or(self.body.len() as u64)),
            ]);
        }
        line(&[
            "Connection: ",
            if keep_alive { "keep-alive" } else { "close" },
        ]);
        line(&[self.lines.as_deref().unwrap_or_default()]);
        if !head_only {
            out.extend_from_slice(&self.body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_a_head_and_a_body_of_the_length_it_gives() {
        let mut out = Vec::new();
        let response = Response::error(Status::MethodNotAllowed, "no").with("Allow", "GET");
        response.write(&mut out, SystemTime::UNIX_EPOCH, false, false);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 405 Method Not Allowed\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Content-Type: application/json\r\nAllow: GET\r\n\
             X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
             Content-Length: 14\r\n\
             Connection: close\r\n\r\n{\"error\":\"no\"}"
        );
    }

    #[test]
    fn head_has_no_body_and_204_no_length() {
        let mut out = Vec::new();
        Response::json(Status::Ok, "{}").write(&mut out, SystemTime::UNIX_EPOCH, true, true);
        assert!(
            String::from_utf8(out)
                .unwrap()
                .ends_with("Content-Length: 2\r\nConnection: keep-alive\r\n\r\n")
        );
        let mut out = Vec::new();
        Response::empty(Status::NoContent).write(&mut out, SystemTime::UNIX_EPOCH, true, false);
        assert!(!String::from_utf8(out).unwrap().contains("Content-Length"));
    }
}
