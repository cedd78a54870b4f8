//! Downloads: a range lies within its file, and a name within its header field.

use landfall::internals::http::disposition::attachment;
use landfall::internals::http::range::Range;
use landfall::internals::http::target::Target;

/// The input is `Range`, and a second line as long as the file, or its name.
pub fn check(input: &[u8]) {
    let end = input.iter().position(|&byte| byte == b'\n');
    let (value, rest) = input.split_at(end.unwrap_or(input.len()));
    for size in [rest.len() as u64, 0, 1, u64::MAX] {
        if let Range::Part(part) = Range::parse(value, size) {
            assert!(
                part.start < part.end && part.end <= size,
                "{part:?} of {size}"
            );
            let again = format!("bytes={}-{}", part.start, part.end - 1);
            assert_eq!(Range::parse(again.as_bytes(), size), Range::Part(part));
        }
    }
    for name in [value, rest] {
        let name = String::from_utf8_lossy(name);
        let field = attachment(&name);
        assert!(
            field.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
            "{field}"
        );
        assert_eq!(field.matches('"').count(), 2, "{field}");
        if let Some((_, encoded)) = field.split_once("\"; filename*=UTF-8''") {
            let path = format!("/{encoded}").replace('#', "%23");
            let decoded: Vec<_> = Target::parse(&path).expect("a path").segments().collect();
            assert_eq!(decoded, [Some(name)]);
        }
    }
}
