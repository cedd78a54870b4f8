//! The fields that a head is judged by, each as often as it may be there.

use super::{HeadError, bad};
use crate::http::body::BodyLength;
use crate::http::response::Status;
use crate::http::target::is_host_byte;

/// The fields that a head is judged by.
#[derive(Default)]
pub struct Fields<'a> {
    pub host: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    transfer_encodings: usize,
    connection_close: bool,
    connection_keep_alive: bool,
    expect: Option<&'a [u8]>,
    pub last_event_id: Option<&'a [u8]>,
    pub content_type: Option<&'a [u8]>,
    pub is_encoded: bool,
    pub origin: Option<&'a [u8]>,
    pub authorization: Option<&'a [u8]>,
    pub cookie: Option<&'a [u8]>,
    pub takes_gzip: bool,
    pub others: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Fields<'a> {
    pub fn collect(headers: &[httparse::Header<'a>]) -> Result<Fields<'a>, HeadError> {
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
            } else if is("accept-encoding") {
                fields.takes_gzip |= names_gzip(value);
            } else if is_other(header.name) {
                if fields.others.iter().any(|(name, _)| is(name)) {
                    return Err(bad(
                        "a key, or a field of tus, of ranges or of conditions is given twice: give it \
                         once",
                    ));
                }
                fields.others.push((header.name, value));
            }
        }
        Ok(fields)
    }

    pub fn check_host(&self, is_1_0: bool) -> Result<(), HeadError> {
        match self.host {
            None if is_1_0 => Ok(()),
            None => Err(bad("Host is missing: HTTP/1.1 needs it")),
            Some(host) if host.iter().all(|&byte| is_host_byte(byte)) => Ok(()),
            Some(_) => Err(bad(
                "Host is malformed: it is a name or an address, and a port",
            )),
        }
    }

    pub fn length(&self, is_1_0: bool) -> Result<BodyLength, HeadError> {
        match (self.transfer_encoding, self.content_length) {
            (None, None) => Ok(BodyLength::None),
            (Some(_), Some(_)) => Err(bad(
                "Content-Length and Transfer-Encoding exclude each other: send one",
            )),
            (None, Some(digits)) => content_length(digits).map(BodyLength::Length).ok_or(bad(
                "Content-Length is malformed: it is the body's bytes in decimal digits",
            )),
            (Some(_), None) if is_1_0 => Err(bad(
                "HTTP/1.0 has no Transfer-Encoding: send Content-Length",
            )),
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

    pub fn keep_alive(&self, is_1_0: bool) -> bool {
        !self.connection_close && (!is_1_0 || self.connection_keep_alive)
    }

    pub fn expects_continue(&self, is_1_0: bool) -> Result<bool, HeadError> {
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

/// Whether a field is one of those that `Head::field` gives.
fn is_other(name: &str) -> bool {
    let begins = |with: &str| {
        name.get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    begins("upload-")
        || begins("tus-")
        || [
            "idempotency-key",
            "range",
            "if-range",
            "if-match",
            "if-none-match",
            "x-http-method-override",
        ]
        .iter()
        .any(is)
}

/// Whether a value of Accept-Encoding names gzip (RFC 9110 section 12.5.3).
fn names_gzip(codings: &[u8]) -> bool {
    codings.split(|&byte| byte == b',').any(|coding| {
        let mut parts = coding.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let is_gzip = parts.next().is_some_and(|name| {
            name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip")
        });
        let is_refused = |weight: &[u8]| {
            let weight = weight.strip_prefix(b"q=").or(weight.strip_prefix(b"Q="));
            weight.is_some_and(|it| it.iter().all(|byte| matches!(byte, b'0' | b'.')))
        };
        is_gzip && !parts.any(is_refused)
    })
}

/// Digits alone: a sign, a list and an empty value are all refused.
fn content_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
