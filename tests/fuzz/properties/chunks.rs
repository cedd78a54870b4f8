//! A stream's chunks, read as strictly as they are written: whole ones, the last of which
//! ends with a line of its own, and nothing behind the last chunk.

/// The body. A stream that was cut off between two chunks has no last one.
pub fn read(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n");
        let (digits, rest) = bytes.split_at(end.expect("a chunk's size"));
        let digits = std::str::from_utf8(digits).expect("a chunk's size");
        let length = usize::from_str_radix(digits, 16).expect(digits);
        let (chunk, rest) = rest[2..].split_at_checked(length).expect("a cut chunk");
        bytes = rest.strip_prefix(b"\r\n").expect("a chunk's end");
        assert!(chunk.is_empty() || chunk.ends_with(b"\n"), "{chunk:?}");
        assert!(length > 0 || bytes.is_empty(), "more: {bytes:?}");
        body.extend_from_slice(chunk);
    }
    body
}
