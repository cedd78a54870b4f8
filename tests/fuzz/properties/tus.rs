//! What tus has in its header fields: numbers, metadata and checksums.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use landfall::internals::http::tus::{Checksum, Metadata, TusError, number};

/// The input is the field's value, and a second line the bytes of which it is a checksum.
pub fn check(input: &[u8]) {
    let end = input.iter().position(|&byte| byte == b'\n');
    let (value, content) = input.split_at(end.unwrap_or(input.len()));
    match number("x", value) {
        Ok(number) => {
            assert!(number <= i64::MAX as u64);
            let digits = std::str::from_utf8(value).unwrap();
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
            // What no file can have is the most that one can.
            let all: u128 = digits.parse().unwrap_or(u128::MAX);
            assert_eq!(all.min(i64::MAX as u128), u128::from(number));
        }
        Err(error) => assert_eq!(error, TusError::Number("x")),
    }
    if let Ok(metadata) = Metadata::parse(value) {
        let mut keys = Vec::new();
        for pair in metadata
            .as_str()
            .split(',')
            .filter(|_| !metadata.as_str().is_empty())
        {
            let (key, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
            assert!(!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()));
            let bytes = STANDARD.decode(value).expect("no base64");
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert_eq!(metadata.get(key), Some(text));
            assert!(!keys.contains(&key), "{key} is there twice");
            keys.push(key);
        }
        // It goes back into a header field as it is.
        assert!(!metadata.as_str().contains(char::is_control));
        assert_eq!(Metadata::parse(metadata.as_str().as_bytes()), Ok(metadata));
    }
    if let Ok(mut whole) = Checksum::parse(value) {
        let mut parts = whole.clone();
        whole.update(content);
        content.chunks(3).for_each(|part| parts.update(part));
        assert_eq!(whole.matches(), parts.matches());
    }
}
