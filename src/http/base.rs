//! The path below which everything is served.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::event::Malformed;

/// The longest, in bytes: it is in every target.
const MAX_BYTES: usize = 256;
const WRONG: Malformed =
    Malformed::new("not a path: use one as /landfall, of A-Z a-z 0-9 . _ ~ - between slashes");

/// A path below which everything is served, for a proxy that passes requests on as they are:
/// `/landfall`. It is `/` where nothing is said.
///
/// ```
/// use landfall::config::BasePath;
/// assert_eq!("/tools/landfall/".parse::<BasePath>().unwrap().to_string(), "/tools/landfall");
/// assert!("tools".parse::<BasePath>().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath(Arc<str>);

impl BasePath {
    /// As it stands before a path that begins with a slash: empty for `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The rest of a path that is below it, which begins with a slash.
    pub fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(&*self.0)?;
        rest.starts_with('/').then_some(rest)
    }

    /// Whether a path is this one, without the slash that its page is at.
    pub fn is(&self, path: &str) -> bool {
        !self.0.is_empty() && path == &*self.0
    }
}

impl FromStr for BasePath {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<BasePath, Malformed> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let is_segment = |segment: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
            // A client takes these out of a path.
            !matches!(segment, "" | "." | "..") && segment.bytes().all(fits)
        };
        let mut segments = path.split('/');
        let is_absolute = segments.next() == Some("") && text.starts_with('/');
        if is_absolute && path.len() <= MAX_BYTES && segments.all(is_segment) {
            Ok(BasePath(path.into()))
        } else {
            Err(WRONG)
        }
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_an_absolute_path_that_no_client_changes() {
        for (text, shown) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("/a/b.c~d_e-f", "/a/b.c~d_e-f"),
        ] {
            let base: BasePath = text.parse().unwrap();
            assert_eq!(base.to_string(), shown);
        }
        let long = format!("/{}", "a".repeat(256));
        for text in [
            "", "a", "//", "/a//b", "/.", "/a/..", "/a b", "/a?b", "/a#b", "/é", "/%61", "/a\r\n",
            &long,
        ] {
            assert_eq!(text.parse::<BasePath>(), Err(WRONG), "{text:?}");
        }
    }

    #[test]
    fn what_is_below_it_is_told_from_what_only_begins_so() {
        let base: BasePath = "/a/b".parse().unwrap();
        assert_eq!(base.rest("/a/b/"), Some("/"));
        assert_eq!(base.rest("/a/b/api/jobs"), Some("/api/jobs"));
        for path in ["/a/b", "/a/bc", "/a", "/", "/api/jobs", "/A/b/"] {
            assert_eq!(base.rest(path), None, "{path}");
        }
        assert!(base.is("/a/b") && !base.is("/a/b/"));
        let root = BasePath::default();
        assert_eq!(root.rest("/api/jobs"), Some("/api/jobs"));
        assert!(!root.is("") && !root.is("/"));
        assert_eq!("/".parse(), Ok(root));
    }
}
