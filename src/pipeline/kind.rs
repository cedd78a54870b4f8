//! Content types: what a file's bytes say it is, beside what its sender says.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// How much of a file's beginning is looked at.
const LOOK_BYTES: u64 = 8 * 1024;
/// Of bytes that are neither known nor text.
pub const UNKNOWN: &str = "application/octet-stream";
const TEXT: &str = "text/plain";
const TRANSPORT_STREAM: &str = "video/mp2t";
const PACKET_BEGIN: u8 = 0x47;
/// So many packets don't begin alike by chance.
const PACKETS_MIN: usize = 4;

/// A file's content type by its first bytes. Blocks for the disk.
///
/// # Errors
/// It can't be read.
pub fn of_file(path: &Path) -> io::Result<&'static str> {
    let mut head = Vec::new();
    File::open(path)?.take(LOOK_BYTES).read_to_end(&mut head)?;
    Ok(of_bytes(&head))
}

/// A content type by a file's first bytes: by the signatures that are known, or else text
/// where it is UTF-8 without control characters.
pub fn of_bytes(head: &[u8]) -> &'static str {
    match infer::get(head) {
        Some(kind) => kind.mime_type(),
        None if head.starts_with(b"caff") => "audio/x-caf",
        None if head.get(4..10) == Some(b"ftyp3g") => "video/3gpp",
        None if is_text(head) => TEXT,
        None if is_transport_stream(head) => TRANSPORT_STREAM,
        None => UNKNOWN,
    }
}

/// MPEG's packets of 188 bytes, each of which begins with the same: as broadcast, as cameras write
/// them with the time before each, or with what corrects errors behind it.
fn is_transport_stream(head: &[u8]) -> bool {
    let forms = [(0, 188), (4, 192), (0, 204)];
    forms.into_iter().any(|(first, length)| {
        let mut packets = head.iter().skip(first).step_by(length);
        packets.len() >= PACKETS_MIN && packets.all(|&byte| byte == PACKET_BEGIN)
    })
}

/// Whether a file of the type `actual` may well have been declared as `declared`: the same
/// type, another of the same family, or one that no signature tells.
pub fn agrees(declared: &str, actual: &str) -> bool {
    let declared = essence(declared);
    if declared.is_empty() || declared == UNKNOWN || declared == actual {
        return true;
    }
    let family = |kind: &str| kind.split('/').next().unwrap_or_default().to_owned();
    if infer::is_mime_supported(&declared) {
        // What has signatures would have been told by them.
        let both = (family(&declared), family(actual));
        // Containers such as Ogg and MP4 hold either.
        let is_media = |family: &str| family == "audio" || family == "video";
        return (both.0 == both.1 && both.0 != "application")
            || (is_media(&both.0) && is_media(&both.1));
    }
    match actual {
        UNKNOWN => true,
        // Without a signature it is as good as any text there is, but for a picture's.
        TEXT => !["audio", "video", "font"].contains(&&*family(&declared)),
        _ => family(&declared) == family(actual),
    }
}

/// Whether a type is one of those that a pattern means: `image/png`, `image/*` or `*/*`.
pub fn matches(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix("/*") {
        Some("*") => true,
        Some(family) => kind.split('/').next() == Some(family),
        None => pattern == kind,
    }
}

/// A type without its parameters, in small letters.
fn essence(kind: &str) -> String {
    let essence = kind.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character may be cut in half at the end.
        Err(error) if error.error_len().is_none() && head.len() as u64 == LOOK_BYTES => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\x0c' | '\x1b');
    !text.is_empty() && !text.chars().any(is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    #[test]
    fn bytes_tell_the_type() {
        let mut half = vec![b'a'; LOOK_BYTES as usize - 1];
        half.push(0xc3);
        let mut webm = b"\x1a\x45\xdf\xa3\x42\x82\x84webm".to_vec();
        webm.resize(300, 0);
        for (bytes, kind) in [
            (PNG, "image/png"),
            (&webm, "video/webm"),
            (
                b"PK\x03\x04aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                "application/zip",
            ),
            (b"<!DOCTYPE html><p>", "text/html"),
            ("h\u{e9}llo\r\n\tworld".as_bytes(), "text/plain"),
            (&half, "text/plain"),
            (b"a\0b", "application/octet-stream"),
            (b"\xff\xfe\xfd", "application/octet-stream"),
            (b"", "application/octet-stream"),
        ] {
            assert_eq!(of_bytes(bytes), kind, "{bytes:?}");
        }
    }

    #[test]
    fn a_declared_type_may_be_vague_but_not_false() {
        for (declared, actual) in [
            ("", "image/png"),
            ("application/octet-stream", "image/png"),
            ("IMAGE/PNG; q=1", "image/png"),
            ("video/quicktime", "video/mp4"),
            ("audio/ogg", "video/ogg"),
            ("text/csv", "text/plain"),
            ("application/json", "text/plain"),
            ("image/svg+xml", "text/plain"),
            ("application/x-mine", "application/octet-stream"),
        ] {
            assert!(agrees(declared, actual), "{declared} {actual}");
        }
        for (declared, actual) in [
            ("image/png", "text/html"),
            ("image/png", "text/plain"),
            ("image/png", "application/octet-stream"),
            ("video/mp4", "application/zip"),
            ("application/pdf", "application/zip"),
            ("text/csv", "application/x-executable"),
            ("video/x-unheard", "text/plain"),
        ] {
            assert!(!agrees(declared, actual), "{declared} {actual}");
        }
    }

    #[test]
    fn what_cameras_and_phones_write_is_known() {
        let packets = |before: usize, behind: usize, count: usize| {
            let packet = [vec![9; before], vec![0x47], vec![0; 187], vec![9; behind]].concat();
            packet.repeat(count)
        };
        for (before, behind) in [(0, 0), (4, 0), (0, 16)] {
            let head = packets(before, behind, 5);
            assert_eq!(of_bytes(&head), "video/mp2t", "{before} {behind}");
            assert_eq!(of_bytes(&head[..3 * 188]), UNKNOWN, "{before} {behind}");
        }
        let mut broken = packets(0, 0, 8);
        broken[188 * 6] = 0;
        assert_eq!(of_bytes(&broken), UNKNOWN);
        assert_eq!(of_bytes(&[b'G'; 1000]), "text/plain");
        assert_eq!(of_bytes(b"\0\0\0\x18ftyp3gp4\0\0"), "video/3gpp");
        assert_eq!(of_bytes(b"caff\0\x01\0\0desc"), "audio/x-caf");
    }

    #[test]
    fn a_pattern_means_one_type_a_family_or_all() {
        assert!(matches("image/*", "image/png"));
        assert!(matches("image/png", "image/png"));
        assert!(matches("*/*", "a/b"));
        assert!(!matches("image/*", "video/mp4"));
        assert!(!matches("image/p", "image/png"));
    }
}
