//! `multipart/form-data` (RFC 7578), as a plain HTML form sends a file: taken apart as it
//! comes, with nothing of a file held but what may be the beginning of its end.

mod part;

use std::fmt;

use part::{PartHead, parameter};

/// The longest boundary (RFC 2046 section 5.1.1).
const BOUNDARY_MAX_BYTES: usize = 70;
/// The longest head of a part, and all that may stand before the first: room for a name of
/// 1 KiB in both ways that there are to write it.
const PART_HEAD_MAX_BYTES: usize = 6144;
/// The longest value of a field that is no file.
const VALUE_MAX_BYTES: usize = 1024;
/// The most fields that are no files, of a form.
const VALUES_MAX: usize = 16;

/// Takes a form apart, whatever pieces it arrives in.
#[derive(Clone, Debug)]
pub struct Multipart {
    /// CR LF, two hyphens and the boundary.
    delimiter: Vec<u8>,
    state: Within,
    values: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Within {
    /// Nothing has been found yet: the first delimiter may do without its CR LF.
    Start,
    Preamble {
        skipped: usize,
    },
    AfterDelimiter,
    PartHead,
    Value {
        name: String,
    },
    File,
    FileEnd,
    End,
}

/// What comes of a look at what there is.
enum FormStep<'a> {
    /// So many bytes were used, and nothing was found.
    Used(usize),
    /// More has to come first.
    Wait,
    /// This was found, in so many bytes.
    Found(usize, FormItem<'a>),
    /// Nothing else counts.
    Over,
}

/// Something that is found in a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormItem<'a> {
    /// A field that is no file, whole.
    Value {
        /// Its name.
        name: String,
        /// Its value; what isn't UTF-8 is U+FFFD.
        value: String,
    },
    /// A file begins.
    File {
        /// The name that it has with the client, which may be empty.
        file_name: String,
        /// Its `Content-Type`.
        content_type: Option<String>,
    },
    /// More of the file.
    Data(&'a [u8]),
    /// The file is whole.
    FileEnd,
    /// The form is whole. What follows counts for nothing.
    End,
}

/// Why a form is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultipartError {
    /// `Content-Type` has no boundary, or one that is none.
    Boundary,
    /// The first delimiter doesn't come.
    NoDelimiter,
    /// After a delimiter comes neither a line's end nor the form's.
    Delimiter,
    /// A part's head is malformed or too long, or doesn't name the part.
    PartHead,
    /// A file is named by `filename*` alone, and that can't be read: it isn't UTF-8.
    ExtendedName,
    /// A part isn't sent as it is.
    Encoded,
    /// A field that is no file is too long, or there are too many.
    Value,
}

impl Multipart {
    /// Begins with a form whose `Content-Type` this is.
    ///
    /// # Errors
    /// [`MultipartError::Boundary`].
    pub fn new(content_type: &[u8]) -> Result<Multipart, MultipartError> {
        let boundary = parameter(content_type, "boundary").ok_or(MultipartError::Boundary)?;
        let is_fit = |byte: &u8| (0x20..0x7f).contains(byte);
        if !(1..=BOUNDARY_MAX_BYTES).contains(&boundary.len()) || !boundary.iter().all(is_fit) {
            return Err(MultipartError::Boundary);
        }
        Ok(Multipart {
            delimiter: [b"\r\n--", &boundary[..]].concat(),
            state: Within::Start,
            values: 0,
        })
    }

    /// Reads `input` until something is found, and returns how many bytes of it were used
    /// and what was found. Where nothing was, what wasn't used is to be given again, with
    /// more behind it: never more than a part's head or value.
    ///
    /// # Errors
    /// The form is malformed, or beyond a limit.
    pub fn parse<'a>(
        &mut self,
        input: &'a [u8],
    ) -> Result<(usize, Option<FormItem<'a>>), MultipartError> {
        let mut used = 0;
        loop {
            match self.step(&input[used..])? {
                FormStep::Used(length) => used += length,
                FormStep::Wait => return Ok((used, None)),
                FormStep::Found(length, found) => return Ok((used + length, Some(found))),
                FormStep::Over => return Ok((input.len(), None)),
            }
        }
    }

    fn step<'a>(&mut self, rest: &'a [u8]) -> Result<FormStep<'a>, MultipartError> {
        match &mut self.state {
            Within::Start => Ok(self.start(rest)),
            Within::Preamble { .. } => self.preamble(rest),
            Within::AfterDelimiter => self.after_delimiter(rest),
            Within::PartHead => self.part_head(rest),
            Within::Value { name } => {
                let name = std::mem::take(name);
                self.value(name, rest)
            }
            Within::File => Ok(self.file(rest)),
            Within::FileEnd => {
                self.state = Within::AfterDelimiter;
                Ok(FormStep::Found(self.delimiter.len(), FormItem::FileEnd))
            }
            Within::End => Ok(FormStep::Over),
        }
    }

    fn start<'a>(&mut self, rest: &[u8]) -> FormStep<'a> {
        let bare = &self.delimiter[2..];
        if rest.starts_with(bare) {
            self.state = Within::AfterDelimiter;
            return FormStep::Used(bare.len());
        }
        if bare.starts_with(rest) {
            return FormStep::Wait;
        }
        self.state = Within::Preamble { skipped: 0 };
        FormStep::Used(0)
    }

    fn preamble<'a>(&mut self, rest: &[u8]) -> Result<FormStep<'a>, MultipartError> {
        let (before, is_found) = search(rest, &self.delimiter);
        let skipped = match self.state {
            Within::Preamble { skipped } => skipped + before,
            _ => before,
        };
        if skipped > PART_HEAD_MAX_BYTES {
            return Err(MultipartError::NoDelimiter);
        }
        if is_found {
            self.state = Within::AfterDelimiter;
            return Ok(FormStep::Used(before + self.delimiter.len()));
        }
        self.state = Within::Preamble { skipped };
        Ok(if before > 0 {
            FormStep::Used(before)
        } else {
            FormStep::Wait
        })
    }

    fn after_delimiter<'a>(&mut self, rest: &[u8]) -> Result<FormStep<'a>, MultipartError> {
        // White space may have been put behind it on the way.
        let padding = rest.iter().take_while(|byte| b" \t".contains(byte)).count();
        if padding > PART_HEAD_MAX_BYTES {
            return Err(MultipartError::Delimiter);
        }
        match &rest[padding..] {
            [b'\r', b'\n', ..] => {
                self.state = Within::PartHead;
                Ok(FormStep::Used(padding + 2))
            }
            [b'-', b'-', ..] if padding == 0 => {
                self.state = Within::End;
                Ok(FormStep::Found(rest.len(), FormItem::End))
            }
            [] | [b'\r'] => Ok(FormStep::Wait),
            [b'-'] if padding == 0 => Ok(FormStep::Wait),
            _ => Err(MultipartError::Delimiter),
        }
    }

    fn part_head<'a>(&mut self, rest: &[u8]) -> Result<FormStep<'a>, MultipartError> {
        let head = PartHead::parse(rest)?;
        let length = head.as_ref().map_or(rest.len(), |(length, _)| *length);
        if length > PART_HEAD_MAX_BYTES {
            return Err(MultipartError::PartHead);
        }
        Ok(match head {
            None => FormStep::Wait,
            Some((length, PartHead::Value { name })) => {
                self.values += 1;
                if self.values > VALUES_MAX {
                    return Err(MultipartError::Value);
                }
                self.state = Within::Value { name };
                FormStep::Used(length)
            }
            Some((length, PartHead::File(file))) => {
                self.state = Within::File;
                FormStep::Found(length, file)
            }
        })
    }

    fn value<'a>(&mut self, name: String, rest: &[u8]) -> Result<FormStep<'a>, MultipartError> {
        let (length, is_found) = search(rest, &self.delimiter);
        if length > VALUE_MAX_BYTES {
            return Err(MultipartError::Value);
        }
        if !is_found {
            self.state = Within::Value { name };
            return Ok(FormStep::Wait);
        }
        self.state = Within::AfterDelimiter;
        let value = String::from_utf8_lossy(&rest[..length]).into_owned();
        let used = length + self.delimiter.len();
        Ok(FormStep::Found(used, FormItem::Value { name, value }))
    }

    fn file<'a>(&mut self, rest: &'a [u8]) -> FormStep<'a> {
        let (length, is_found) = search(rest, &self.delimiter);
        if is_found {
            self.state = Within::FileEnd;
        }
        if length > 0 {
            return FormStep::Found(length, FormItem::Data(&rest[..length]));
        }
        if is_found {
            FormStep::Used(0)
        } else {
            FormStep::Wait
        }
    }
}

/// Whether `content_type` is that of a form with files.
pub fn is_form(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|&byte| byte == b';');
    let kind = &content_type[..end.unwrap_or(content_type.len())];
    kind.trim_ascii()
        .eq_ignore_ascii_case(b"multipart/form-data")
}

/// Where `delimiter` begins in `input`, and whether it is whole there; else how many bytes
/// can't be part of one.
fn search(input: &[u8], delimiter: &[u8]) -> (usize, bool) {
    let mut at = 0;
    while let Some(next) = input[at..].iter().position(|&byte| byte == delimiter[0]) {
        at += next;
        let rest = &input[at..];
        if rest.starts_with(delimiter) {
            return (at, true);
        }
        if delimiter.starts_with(rest) {
            return (at, false);
        }
        at += 1;
    }
    (input.len(), false)
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MultipartError::Boundary => {
                "Content-Type has no boundary, or one that is longer than 70 characters: name the form's"
            }
            MultipartError::NoDelimiter => "the form's first boundary doesn't come: begin with the one that Content-Type names",
            MultipartError::Delimiter => {
                "behind a boundary of the form comes neither a line's end nor --: send one of them"
            }
            MultipartError::PartHead => {
                "a part of the form has a malformed head, or one longer than 6 KiB, or its \
                 Content-Disposition isn't form-data with a name"
            }
            MultipartError::ExtendedName => {
                "the form's filename* is malformed or in another charset: it is UTF-8'' and the \
                 name in percent-encoded UTF-8"
            }
            MultipartError::Encoded => {
                "a part of the form with Content-Encoding, or with a Content-Transfer-Encoding \
                 such as base64, isn't taken here: send it as it is"
            }
            MultipartError::Value => {
                "the form has more than 16 fields besides the file, or one longer than 1 KiB"
            }
        })
    }
}

impl std::error::Error for MultipartError {}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &[u8] = b"multipart/form-data; boundary=----xYz";

    fn value(name: &str, value: &str) -> FormItem<'static> {
        FormItem::Value {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    fn file(file_name: &str, content_type: Option<&str>) -> FormItem<'static> {
        FormItem::File {
            file_name: file_name.to_owned(),
            content_type: content_type.map(str::to_owned),
        }
    }

    /// What is found besides data, and all data, where the form comes in these pieces.
    fn parse(pieces: &[&[u8]]) -> Result<(Vec<FormItem<'static>>, Vec<u8>, bool), MultipartError> {
        let mut form = Multipart::new(TYPE)?;
        let (mut founds, mut data) = (Vec::new(), Vec::new());
        let mut held = Vec::new();
        for piece in pieces {
            held.extend_from_slice(piece);
            let mut at = 0;
            loop {
                let (used, found) = form.parse(&held[at..])?;
                at += used;
                match found {
                    None => break,
                    Some(FormItem::Data(bytes)) => data.extend_from_slice(bytes),
                    Some(FormItem::Value { name, value }) => {
                        founds.push(FormItem::Value { name, value });
                    }
                    Some(FormItem::File {
                        file_name,
                        content_type,
                    }) => founds.push(FormItem::File {
                        file_name,
                        content_type,
                    }),
                    Some(FormItem::FileEnd) => founds.push(FormItem::FileEnd),
                    Some(FormItem::End) => founds.push(FormItem::End),
                }
            }
            held.drain(..at);
        }
        Ok((founds, data, form.state == Within::End))
    }

    const FORM: &str = "------xYz\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\na.b\r\n\
        ------xYz\r\nContent-Disposition: form-data; name=\"f\"; filename=\"c\\d%22\\\" %41.mp4\"\r\n\
        Content-Type: video/mp4\r\n\r\n--\r\n-\r\n------xY\r\r\n------x\0é\r\n\r\n------xYz--\r\nend";

    #[test]
    fn a_form_is_the_same_however_it_is_split() {
        let whole = FORM.as_bytes();
        let expected = (
            vec![
                value("job", "a.b"),
                file("c\\d\"\" %41.mp4", Some("video/mp4")),
                FormItem::FileEnd,
                FormItem::End,
            ],
            "--\r\n-\r\n------xY\r\r\n------x\0é\r\n"
                .as_bytes()
                .to_vec(),
            true,
        );
        assert_eq!(parse(&[whole]).unwrap(), expected);
        for split in 0..whole.len() {
            let (first, second) = whole.split_at(split);
            assert_eq!(parse(&[first, second]).unwrap(), expected, "{split}");
        }
        let bytes: Vec<_> = whole.chunks(1).collect();
        assert_eq!(parse(&bytes).unwrap(), expected);
    }

    #[test]
    fn a_form_that_is_cut_off_is_never_whole() {
        let end = FORM.rfind("--\r\nend").unwrap() + 2;
        for cut in 0..end {
            let (_, _, is_done) = parse(&[&FORM.as_bytes()[..cut]]).unwrap();
            assert!(!is_done, "{cut}");
        }
        assert!(parse(&[&FORM.as_bytes()[..end]]).unwrap().2);
    }

    #[test]
    fn names_are_read_as_clients_write_them() {
        let named = |parameters: &str| {
            let form = format!(
                "x\r\n------xYz \t\r\ncontent-disposition: FORM-DATA; {parameters}\r\n\r\n\r\n------xYz--"
            );
            parse(&[form.as_bytes()]).map(|(mut founds, ..)| founds.remove(0))
        };
        assert_eq!(named(r#"name=a; filename=b.c"#), Ok(file("b.c", None)));
        assert_eq!(named(r#"name="a"; filename="""#), Ok(file("", None)));
        assert_eq!(
            named(r#"filename="é;=.x" ; name="a""#),
            Ok(file("é;=.x", None))
        );
        assert_eq!(
            named("name=a; filename*=utf-8''%e2%82%ac%20x"),
            Ok(file("€ x", None))
        );
        for both in [
            r#"name=a; filename="=?utf-8?B?w7YudHh0?="; filename*=utf-8''%C3%B6.txt"#,
            r#"name=a; filename*=UTF-8'de'%C3%B6.txt; filename=o.txt"#,
        ] {
            assert_eq!(named(both), Ok(file("ö.txt", None)), "{both}");
        }
        for unread in ["iso-8859-1''%f6.txt", "utf-8''%f6", "utf-8''%", "x", ""] {
            assert_eq!(
                named(&format!("name=a; filename*={unread}")),
                Err(MultipartError::ExtendedName),
                "{unread}"
            );
            assert_eq!(
                named(&format!("name=a; filename*={unread}; filename=o.txt")),
                Ok(file("o.txt", None)),
                "{unread}"
            );
        }
        assert_eq!(named(r#"x; name="a""#), Ok(value("a", "")));
        for bad in ["", "filename=b", r#"name="a"#] {
            assert_eq!(named(bad), Err(MultipartError::PartHead), "{bad}");
        }
    }

    #[test]
    fn a_part_that_is_encoded_is_refused() {
        let parsed = |field: &str| {
            let form = format!(
                "------xYz\r\nContent-Disposition: form-data; name=a\r\n{field}\r\n\r\nx\r\n------xYz--"
            );
            parse(&[form.as_bytes()]).map(drop)
        };
        for plain in ["binary", "8bit", "7BIT", "identity"] {
            assert_eq!(
                parsed(&format!("Content-Transfer-Encoding: {plain}")),
                Ok(())
            );
        }
        assert_eq!(parsed("content-encoding: identity"), Ok(()));
        for field in [
            "Content-Encoding: gzip",
            "Content-Transfer-Encoding: base64",
            "content-transfer-encoding: quoted-printable",
        ] {
            assert_eq!(parsed(field), Err(MultipartError::Encoded), "{field}");
        }
    }

    #[test]
    fn what_is_no_form_or_too_much_is_refused() {
        let fails = |text: &str| parse(&[text.as_bytes()]).unwrap_err();
        assert_eq!(fails(&"x".repeat(7000)), MultipartError::NoDelimiter);
        assert_eq!(fails("------xYzz\r\n"), MultipartError::Delimiter);
        assert_eq!(fails("------xYz\r\n\r\nx"), MultipartError::PartHead);
        assert_eq!(
            fails("------xYz\r\na b: c\r\n\r\n"),
            MultipartError::PartHead
        );
        let long = "x".repeat(7000);
        assert_eq!(
            fails(&format!("------xYz\r\na: {long}")),
            MultipartError::PartHead
        );
        let part = "------xYz\r\nContent-Disposition: form-data; name=a\r\n\r\n";
        assert_eq!(fails(&format!("{part}{long}")), MultipartError::Value);
        let many = format!("{part}\r\n").repeat(17);
        assert_eq!(fails(&many), MultipartError::Value);
        for bad in [
            &b"multipart/form-data"[..],
            b"multipart/form-data; boundary=",
            b"multipart/form-data; boundary=\"\"",
            b"multipart/form-data; boundary=\"a",
            b"multipart/form-data; boundary=\xff",
            &[b"multipart/form-data; boundary=", &[b'a'; 71][..]].concat(),
        ] {
            assert!(Multipart::new(bad).is_err());
        }
    }

    #[test]
    fn the_type_of_a_form_is_told_from_others() {
        assert!(is_form(TYPE) && is_form(b"Multipart/Form-Data;boundary=a"));
        assert!(!is_form(b"multipart/form-datax") && !is_form(b"") && !is_form(b"text/plain"));
    }
}
