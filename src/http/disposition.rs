//! `Content-Disposition` for a name that may be any text (RFC 6266, RFC 8187).

use std::fmt::Write;

/// `attachment` with the file's name: in full as `filename*`, and for clients that don't
/// know that as `filename`, where what isn't plain ASCII is an underscore.
///
/// ```
/// use landfall::internals::http::disposition::attachment;
/// assert_eq!(
///     attachment("a\"é.mp4"),
///     r#"attachment; filename="a__.mp4"; filename*=UTF-8''a%22%C3%A9.mp4"#
/// );
/// ```
pub fn attachment(name: &str) -> String {
    // A percent sign would be decoded by some clients, in plain names too.
    let is_plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !"\"\\%/".contains(c);
    let plain: String = name
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    let mut field = format!(r#"attachment; filename="{plain}""#);
    if plain != name {
        field.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            // attr-char, RFC 8187 section 3.2.1.
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                field.push(byte as char);
            } else {
                let _ = write!(field, "%{byte:02X}");
            }
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_given_once() {
        assert_eq!(
            attachment("clip 1.mp4"),
            r#"attachment; filename="clip 1.mp4""#
        );
    }

    #[test]
    fn no_name_ends_the_field_or_begins_another() {
        for name in [
            "a\"; filename=\"b.exe",
            "a\r\nX: y",
            "a\\\"b",
            "a\0b",
            "../../etc/passwd",
            "%22",
            "é",
            "\u{202e}gpj.exe",
            "",
        ] {
            let field = attachment(name);
            assert!(field.bytes().all(|b| (0x20..0x7f).contains(&b)), "{field}");
            let plain = field.strip_prefix(r#"attachment; filename=""#).unwrap();
            let (plain, rest) = plain.split_once('"').unwrap();
            assert!(!plain.contains(['\\', '/', '%']), "{field}");
            if !rest.is_empty() {
                let value = rest.strip_prefix("; filename*=UTF-8''").unwrap();
                let is_attr = |b: u8| b.is_ascii_alphanumeric() || b"!#$&+-.^_`|~%".contains(&b);
                assert!(value.bytes().all(is_attr), "{field}");
            }
        }
    }
}
