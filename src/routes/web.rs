//! The files for browsers, embedded in the binary: `GET /`, `/landfall.js` and their like.
//!
//! They say nothing of any job, so they need no token. A page of another origin may
//! import the client where it may follow streams: `--cors-origin` decides on both.

use super::packed::Packed;
use super::{Answer, Plan};
use crate::http::{BasePath, Head, Response, Status};

/// A file that is served as it is.
struct WebFile {
    path: &'static str,
    media_type: &'static str,
    body: Packed,
}

/// What the page may do: it has no inline script or style, and asks nobody else for
/// anything. Other sites may not frame it, lest their visitors click on it unawares.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'self'";

const SCRIPT: &str = "text/javascript";

static FILES: [WebFile; 5] = [
    WebFile::new(
        "",
        "text/html; charset=utf-8",
        include_bytes!(concat!(env!("OUT_DIR"), "/index.html.gz")),
    ),
    WebFile::new(
        "page.css",
        "text/css",
        include_bytes!(concat!(env!("OUT_DIR"), "/page.css.gz")),
    ),
    WebFile::new(
        "page.js",
        SCRIPT,
        include_bytes!(concat!(env!("OUT_DIR"), "/page.js.gz")),
    ),
    WebFile::new(
        "landfall.js",
        SCRIPT,
        include_bytes!(concat!(env!("OUT_DIR"), "/landfall.js.gz")),
    ),
    // There is no registered type for TypeScript.
    WebFile::new(
        "landfall.d.ts",
        "text/plain; charset=utf-8",
        include_bytes!(concat!(env!("OUT_DIR"), "/landfall.d.ts.gz")),
    ),
];

/// The file of that name, or 304 where the client has it already. Caches ask each time.
pub fn get(head: &Head<'_>, _: &BasePath, name: &str) -> Answer {
    let file = WebFile::at(name).ok_or_else(not_found)?;
    Ok(file.get(head))
}

/// Whether there is a file of that name.
pub fn has(name: &str) -> bool {
    WebFile::at(name).is_some()
}

/// The answer to a path that isn't served.
pub fn not_found() -> Response {
    let message = "nothing is served at this path: see openapi.json on the publishing listener for the paths there are";
    Response::error(Status::NotFound, message)
}

impl WebFile {
    fn at(path: &str) -> Option<&'static WebFile> {
        FILES.iter().find(|file| file.path == path)
    }

    fn get(&'static self, head: &Head<'_>) -> Plan {
        // The files keep their names from one version to the next, and what isn't the same bytes
        // has another tag.
        let kind = if head.takes_gzip { "z" } else { "" };
        let tag = format!("\"{:016x}{kind}\"", self.body.digest());
        let response = match head.field("If-None-Match") {
            Some(tags) if names(tags, tag.as_bytes()) => {
                Response::empty(Status::NotModified).with("Vary", "Accept-Encoding")
            }
            _ => self.body.answer(head, self.media_type),
        };
        let mut response = response.with("Cache-Control", "no-cache");
        if self.path.is_empty() {
            response = response.with("Content-Security-Policy", POLICY);
        }
        Plan::Answer(response.with("ETag", tag))
    }

    const fn new(path: &'static str, media_type: &'static str, file: &'static [u8]) -> WebFile {
        WebFile {
            path,
            media_type,
            body: Packed::new(file),
        }
    }
}

/// Whether the value of If-None-Match, `*` or tags with commas between, names `tag`
/// (RFC 9110 section 13.1.2: the comparison is weak).
pub fn names(tags: &[u8], tag: &[u8]) -> bool {
    let mut tags = tags.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    tags.any(|one| one == b"*" || one.strip_prefix(b"W/").unwrap_or(one) == tag)
}

/// Whether the value of If-Match, `*` or tags with commas between, names what has this tag, or
/// none (RFC 9110 section 13.1.1: the comparison is strong, so a weak tag names nothing).
pub fn names_exactly(tags: &[u8], tag: Option<&[u8]>) -> bool {
    let mut tags = tags.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    tags.any(|one| one == b"*" || Some(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_among_others_weak_or_not() {
        for tags in [
            r#""a""#,
            r#"W/"a""#,
            r#""b", "a""#,
            r#""b" ,W/"a","c""#,
            "*",
        ] {
            assert!(names(tags.as_bytes(), br#""a""#), "{tags}");
        }
        for tags in ["", "a", r#""b""#, r#""aa""#, r#"w/"a""#] {
            assert!(!names(tags.as_bytes(), br#""a""#), "{tags}");
        }
    }
}
