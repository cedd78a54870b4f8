//! The head of a form's part.

use super::{FormItem, MultipartError};
use crate::http::target;

/// The most header fields of a part.
const PART_FIELDS_MAX: usize = 16;

/// Encodings that are none.
const PLAIN: [&[u8]; 4] = [b"binary", b"8bit", b"7bit", b"identity"];

/// What a part is, by its head.
pub enum PartHead {
    /// A field that is no file.
    Value { name: String },
    /// A file: what is found then.
    File(FormItem<'static>),
}

impl PartHead {
    /// Reads the head at the beginning of `input`, and says how long it is. None as long as
    /// it isn't whole.
    pub fn parse(input: &[u8]) -> Result<Option<(usize, PartHead)>, MultipartError> {
        let mut fields = [httparse::EMPTY_HEADER; PART_FIELDS_MAX];
        let (length, fields) = match httparse::parse_headers(input, &mut fields) {
            Ok(httparse::Status::Complete(parsed)) => parsed,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(MultipartError::PartHead),
        };
        let field = |name: &str| {
            let mut fields = fields.iter();
            let field = fields.find(|field| field.name.eq_ignore_ascii_case(name));
            field.map(|field| field.value)
        };
        let disposition = field("content-disposition").ok_or(MultipartError::PartHead)?;
        let kind = disposition.split(|&byte| byte == b';').next();
        if !kind
            .unwrap_or_default()
            .trim_ascii()
            .eq_ignore_ascii_case(b"form-data")
        {
            return Err(MultipartError::PartHead);
        }
        let is_plain = |value: &[u8]| {
            PLAIN
                .iter()
                .any(|plain| value.trim_ascii().eq_ignore_ascii_case(plain))
        };
        for name in ["content-encoding", "content-transfer-encoding"] {
            if !field(name).is_none_or(is_plain) {
                return Err(MultipartError::Encoded);
            }
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let name = parameter(disposition, "name").ok_or(MultipartError::PartHead)?;
        let plain = parameter(disposition, "filename").map(|name| unescape(&text(name)));
        // Who sends both means the plain one for readers that don't know the other.
        let file_name = match parameter(disposition, "filename*") {
            None => plain,
            Some(name) => {
                let name = extended(&text(name)).or(plain);
                Some(name.ok_or(MultipartError::ExtendedName)?)
            }
        };
        let head = match file_name {
            None => PartHead::Value {
                name: unescape(&text(name)),
            },
            Some(file_name) => PartHead::File(FormItem::File {
                file_name,
                content_type: field("content-type").map(|value| text(value.to_owned())),
            }),
        };
        Ok(Some((length, head)))
    }
}

/// A parameter of a header field's value, without its quotes. A backslash stands for
/// itself but before a quote: browsers don't escape it.
pub fn parameter(value: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut rest = &value[value.iter().position(|&byte| byte == b';')?..];
    while let [b';', after @ ..] = rest {
        let after = after.trim_ascii_start();
        let equals = after.iter().position(|byte| b"=;".contains(byte))?;
        if after[equals] == b';' {
            rest = &after[equals..];
            continue;
        }
        let is_it = after[..equals]
            .trim_ascii()
            .eq_ignore_ascii_case(name.as_bytes());
        let mut found = Vec::new();
        rest = after[equals + 1..].trim_ascii_start();
        if let [b'"', quoted @ ..] = rest {
            let mut bytes = quoted;
            loop {
                bytes = match bytes {
                    [] => return None,
                    [b'\\', b'"', more @ ..] => {
                        found.push(b'"');
                        more
                    }
                    [b'"', more @ ..] => {
                        rest = more.trim_ascii_start();
                        break;
                    }
                    [byte, more @ ..] => {
                        found.push(*byte);
                        more
                    }
                };
            }
        } else {
            let end = rest.iter().position(|&byte| byte == b';');
            let (token, more) = rest.split_at(end.unwrap_or(rest.len()));
            found.extend_from_slice(token.trim_ascii_end());
            rest = more;
        }
        if is_it {
            return Some(found);
        }
    }
    None
}

/// Undoes what the HTML standard has browsers escape in names, and nothing else.
fn unescape(text: &str) -> String {
    [("%22", "\""), ("%0D", "\r"), ("%0A", "\n")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A value as RFC 8187 has it: `UTF-8''` and percent-encoding.
fn extended(text: &str) -> Option<String> {
    let (charset, rest) = text.split_once('\'')?;
    let (_language, value) = rest.split_once('\'')?;
    let value = target::decode(value, false)?;
    charset
        .eq_ignore_ascii_case("utf-8")
        .then(|| value.into_owned())
}
