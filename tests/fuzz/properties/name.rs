//! What a file is called: nothing of a path, nothing that turns a line around, and given back
//! as it was taken.

use landfall::internals::http::disposition::attachment;
use landfall::internals::http::multipart::{FormItem, Multipart};
use landfall::internals::routes::file_name;

/// The input is what a sender calls a file.
pub fn check(input: &[u8]) {
    let asked = String::from_utf8_lossy(input);
    let Ok(name) = file_name(Some(&asked)) else {
        assert!(asked.len() > 1024);
        return;
    };
    assert!((1..=1024).contains(&name.len()), "{name:?}");
    assert!(!name.contains(['/', '\\', '\0']) && name != "." && name != "..");
    let is_odd = |c: char| c.is_control() || turns_a_line(c);
    assert!(!name.contains(is_odd), "{name:?}");
    assert_eq!(file_name(Some(&name)).ok().as_ref(), Some(&name));

    let field = attachment(&name);
    assert!(field.starts_with("attachment; filename=\""));
    assert!(
        field
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic())
    );
    // Who downloads it and uploads it again has it under the same name.
    let part = field.replacen("attachment", "form-data; name=\"file\"", 1);
    let body = format!("--b\r\nContent-Disposition: {part}\r\n\r\nx\r\n--b--\r\n");
    let mut form = Multipart::new(b"multipart/form-data; boundary=b").unwrap();
    let mut rest = body.as_bytes();
    loop {
        let (used, found) = form.parse(rest).expect(&body);
        if let Some(FormItem::File { file_name, .. }) = found {
            assert_eq!(file_name, name);
            return;
        }
        assert!(used > 0 || found.is_some(), "no file: {body}");
        rest = &rest[used..];
    }
}

fn turns_a_line(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}
