//! Bodies: the same however they are cut, and by a second, slower reading.

use landfall::internals::http::body::{BodyError, BodyLength, Decoder};

use super::each_cut;

/// The input's first byte is how the body is delimited: 0 by chunks, else by that length.
pub fn check(input: &[u8]) {
    let Some((&first, input)) = input.split_first() else {
        return;
    };
    if first != 0 {
        let length = usize::from(first);
        let body = &input[..input.len().min(length)];
        each_cut(input, |pieces| {
            let decoded = decode(BodyLength::Length(length as u64), pieces);
            assert_eq!(decoded.body, body);
            assert_eq!(decoded.used, body.len());
            assert_eq!(decoded.end, Ok(body.len() == length));
        });
        return;
    }
    let whole = decode(BodyLength::Chunked, &[input]);
    each_cut(input, |pieces| {
        assert_eq!(decode(BodyLength::Chunked, pieces), whole);
    });
    match (whole.end, read(input)) {
        (Ok(true), Some((body, used))) => {
            assert_eq!(whole.body, body);
            assert_eq!(whole.used, used);
            // Without its last byte it isn't whole.
            let cut = decode(BodyLength::Chunked, &[&input[..used - 1]]);
            assert_eq!(cut.end, Ok(false));
        }
        (Err(BodyError::Overhead), _) | (Ok(false) | Err(_), None) => {}
        (end, read) => panic!("the decoder says {end:?}, a plain reading {read:?}"),
    }
}

#[derive(Debug, PartialEq)]
struct Decoded {
    body: Vec<u8>,
    used: usize,
    /// Whether it is whole.
    end: Result<bool, BodyError>,
}

fn decode(length: BodyLength, pieces: &[&[u8]]) -> Decoded {
    let mut decoder = Decoder::new(length);
    let (mut body, mut used) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() && !decoder.is_done() {
            match decoder.decode(rest) {
                Ok((taken, data)) => {
                    assert!(taken > 0 && data.len() <= taken);
                    body.extend_from_slice(data);
                    used += taken;
                    rest = &rest[taken..];
                }
                Err(error) => {
                    // How far it got before depends on the cut.
                    let (used, end) = (0, Err(error));
                    return Decoded { body, used, end };
                }
            }
        }
    }
    let end = Ok(decoder.is_done());
    Decoded { body, used, end }
}

/// A whole chunked body and how long it is, by RFC 9112 section 7.1.
fn read(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut rest = input;
    loop {
        let line = line(&mut rest)?;
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let (size, extension) = line.split_at(digits);
        let is_extension = extension.trim_ascii_start().starts_with(b";");
        let is_text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
        if !(1..=15).contains(&digits)
            || !(extension.is_empty() || is_extension)
            || !extension.iter().all(is_text)
        {
            return None;
        }
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
    while !line(&mut rest)?.is_empty() {}
    Some((body, input.len() - rest.len()))
}

/// Takes a line that ends with CR LF and has neither in it.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| b"\r\n".contains(byte))?;
    let line = &rest[..end];
    *rest = rest[end..].strip_prefix(b"\r\n")?;
    Some(line)
}
