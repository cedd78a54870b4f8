//! Forms: taken apart the same however they are cut, and nothing of a file is lost.

use landfall::internals::http::multipart::MultipartError;
use landfall::internals::http::multipart::{FormItem, Multipart};

use super::each_cut;

/// The most that is given again, with more behind it.
const HELD_MAX_BYTES: usize = 8 * 1024;

/// The input's first line is `Content-Type`, the rest is the body.
pub fn check(input: &[u8]) {
    let end = input.iter().position(|&byte| byte == b'\n');
    let (content_type, body) = input.split_at(end.unwrap_or(input.len()));
    let body = body.get(1..).unwrap_or_default();
    if Multipart::new(content_type).is_err() {
        return;
    }
    let whole = read(content_type, &[body]);
    each_cut(body, |pieces| assert_eq!(read(content_type, pieces), whole));
    let Ok(parts) = whole else { return };
    let mut is_open = false;
    for part in &parts {
        match part {
            Part::File { content, .. } => {
                assert!(!is_open);
                let is_there = body
                    .windows(content.len().max(1))
                    .any(|bytes| bytes == content);
                assert!(
                    content.is_empty() || is_there,
                    "not sent like that: {content:?}"
                );
                is_open = true;
            }
            Part::FileEnd => assert!(std::mem::take(&mut is_open), "an end without a file"),
            Part::Value { .. } | Part::End => assert!(!is_open, "a part within a file"),
        }
    }
    let ends = parts.iter().filter(|part| **part == Part::End).count();
    assert!(ends == 0 || (ends == 1 && parts.last() == Some(&Part::End)));
}

#[derive(Debug, PartialEq)]
enum Part {
    Value {
        name: String,
        value: String,
    },
    File {
        name: String,
        kind: Option<String>,
        content: Vec<u8>,
    },
    FileEnd,
    End,
}

fn read(content_type: &[u8], pieces: &[&[u8]]) -> Result<Vec<Part>, MultipartError> {
    let mut form = Multipart::new(content_type)?;
    let (mut parts, mut held) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let (used, found) = form.parse(&held)?;
            let is_over = found.is_none();
            match found {
                Some(FormItem::Value { name, value }) => parts.push(Part::Value { name, value }),
                Some(FormItem::File {
                    file_name,
                    content_type,
                }) => parts.push(Part::File {
                    name: file_name,
                    kind: content_type,
                    content: Vec::new(),
                }),
                Some(FormItem::Data(data)) => match parts.last_mut() {
                    Some(Part::File { content, .. }) => content.extend_from_slice(data),
                    other => panic!("data of {other:?}"),
                },
                Some(FormItem::FileEnd) => parts.push(Part::FileEnd),
                Some(FormItem::End) => parts.push(Part::End),
                None => {}
            }
            held.drain(..used);
            if is_over {
                break;
            }
        }
        assert!(
            held.len() <= HELD_MAX_BYTES,
            "{} bytes are held",
            held.len()
        );
    }
    Ok(parts)
}
