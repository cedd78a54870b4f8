//! What a person is shown of what went wrong: nothing of where things lie on the server.

use std::path::Path;

/// A text without the server's paths. `known` says what to call some; of any other that
/// begins at the root the last part is left.
pub fn without_paths(text: &str, known: &[(&Path, &str)]) -> String {
    let mut text = text.to_owned();
    for (path, name) in known {
        if let Some(path) = path.to_str().filter(|path| path.len() > 1) {
            text = replace(&text, path, name);
        }
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('/') {
        let (before, from) = rest.split_at(at);
        let length = from.find(ends_path).unwrap_or(from.len());
        let (path, after) = from.split_at(length);
        shown.push_str(before.strip_suffix("file:").unwrap_or(before));
        shown.push_str(match path {
            _ if !is_root(before) || is_host(before, path) => path,
            _ => path
                .rsplit('/')
                .find(|part| !part.is_empty())
                .unwrap_or("/"),
        });
        rest = after;
    }
    shown + rest
}

/// Puts a name in the place of a path and of all below it, which ends where the path does or
/// goes on with a slash: then what is below is left.
fn replace(text: &str, path: &str, name: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(path) {
        let after = &rest[at + path.len()..];
        out.push_str(&rest[..at]);
        match after.chars().next() {
            Some('/') => rest = &after[1..],
            next if next.is_none_or(ends_path) => {
                out.push_str(name);
                rest = after;
            }
            _ => {
                out.push_str(path);
                rest = after;
            }
        }
    }
    out + rest
}

fn ends_path(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\'' | '"' | '`' | ':' | ',' | ';' | ')' | ']' | '>' | '|'
        )
}

/// Whether a slash behind this is the root: not one within a word, as in "and/or".
fn is_root(before: &str) -> bool {
    !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '*'))
}

/// Whether these are the slashes of a URL, which isn't a file's.
fn is_host(before: &str, path: &str) -> bool {
    path.starts_with("//") && before.ends_with(':') && !before.ends_with("file:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_by_its_last_part_or_by_its_name() {
        let known = [
            (Path::new("/data dir/uploads/1/data"), "the file"),
            (Path::new("/data dir"), "the data"),
        ];
        for (text, shown) in [
            (
                "/data dir/uploads/1/data: Invalid data",
                "the file: Invalid data",
            ),
            (
                "can't open '/data dir/uploads/1/data'",
                "can't open 'the file'",
            ),
            ("/data dir/work/x: full", "work/x: full"),
            ("/data dir: full", "the data: full"),
            (
                "sh: 1: /opt/x/run.sh: not found",
                "sh: 1: run.sh: not found",
            ),
            (
                "a (/usr/lib/a.so) is bad, /etc/b too",
                "a (a.so) is bad, b too",
            ),
            ("file:///etc/passwd", "passwd"),
            ("http://host/a/b: refused", "http://host/a/b: refused"),
            (
                "and/or 3/4 N/A image/png a / b",
                "and/or 3/4 N/A image/png a / b",
            ),
            ("=/etc/x", "=x"),
            ("/", "/"),
            ("/etc/", "etc"),
            ("\u{e9}/x", "\u{e9}/x"),
            ("", ""),
        ] {
            assert_eq!(without_paths(text, &known), shown, "{text}");
        }
    }
}
