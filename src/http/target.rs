//! A request target: its path and query, percent-decoded once (RFC 3986).

use std::borrow::Cow;
use std::fmt;

use super::base::BasePath;

/// The path and query of a request target, still percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The host and the port that an absolute target has.
    authority: Option<&'a str>,
    path: &'a str,
    query: &'a str,
}

/// The pairs of a query, decoded as they are asked for. An item is None where its
/// percent-encoding is broken.
#[derive(Clone, Debug)]
pub struct Query<'a>(std::str::Split<'a, char>);

impl<'a> Target<'a> {
    /// Takes a target in origin-form, absolute-form or asterisk-form (RFC 9112
    /// section 3.2) apart. None where it is none of these.
    pub fn parse(target: &'a str) -> Option<Target<'a>> {
        if target.contains('#') {
            return None;
        }
        if target == "*" {
            return Some(Target {
                authority: None,
                path: "*",
                query: "",
            });
        }
        let (authority, origin) = match target
            .get(..7)
            .filter(|s| s.eq_ignore_ascii_case("http://"))
        {
            None => (None, target),
            Some(_) => {
                let rest = &target[7..];
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, origin) = rest.split_at(end);
                if authority.is_empty() || !authority.bytes().all(is_host_byte) {
                    return None;
                }
                (Some(authority), origin)
            }
        };
        let (path, query) = origin.split_once('?').unwrap_or((origin, ""));
        let path = match path {
            "" if authority.is_some() => "/",
            path if path.starts_with('/') => path,
            _ => return None,
        };
        Some(Target {
            authority,
            path,
            query,
        })
    }

    /// The host and the port, where the target is an absolute one: they count, and not
    /// `Host` (RFC 9112 section 3.2.2).
    pub fn authority(&self) -> Option<&'a str> {
        self.authority
    }

    /// The path, still percent-encoded.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// The segments of the path. They are split first and decoded then, so that `%2F`
    /// doesn't part one; an item is None where its percent-encoding is broken.
    pub fn segments(&self) -> impl Iterator<Item = Option<Cow<'a, str>>> + use<'a> {
        self.path
            .strip_prefix('/')
            .unwrap_or(self.path)
            .split('/')
            .map(|s| decode(s, false))
    }

    /// The same target as what is below a path sees it. None where it isn't below it; `*` is
    /// below everything.
    pub fn below(&self, base: &BasePath) -> Option<Target<'a>> {
        let path = match self.path {
            "*" => "*",
            path => base.rest(path)?,
        };
        Some(Target { path, ..*self })
    }

    /// The pairs of the query.
    pub fn query(&self) -> Query<'a> {
        Query(self.query.split('&'))
    }
}

/// As it is sent.
impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path)?;
        match self.query {
            "" => Ok(()),
            query => write!(f, "?{query}"),
        }
    }
}

impl<'a> Iterator for Query<'a> {
    type Item = Option<(Cow<'a, str>, Cow<'a, str>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.0.find(|pair| !pair.is_empty())?;
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some(decode(name, true).zip(decode(value, true)))
    }
}

/// Whether a host and its port may have it (RFC 3986 section 3.2.2).
pub(super) fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

/// Percent-decodes once. None for an incomplete escape, and in a path for what isn't
/// UTF-8 then; in a query that becomes U+FFFD.
pub(super) fn decode(text: &str, is_query: bool) -> Option<Cow<'_, str>> {
    if !text
        .bytes()
        .any(|byte| byte == b'%' || (is_query && byte == b'+'))
    {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || (bytes.next()? as char).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            b'+' if is_query => b' ',
            other => other,
        });
    }
    if is_query {
        // As the standard's own parser reads forms: a value is judged by what it is for,
        // and a bad id must not break a stream.
        Some(Cow::Owned(String::from_utf8_lossy(&out).into_owned()))
    } else {
        String::from_utf8(out).ok().map(Cow::Owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_a_target_lead_to_one_path() {
        let parts = |text| Target::parse(text).map(|t| (t.path, t.query));
        assert_eq!(parts("/a/b?c=d?e"), Some(("/a/b", "c=d?e")));
        assert_eq!(parts("http://h:1/a?b"), Some(("/a", "b")));
        assert_eq!(parts("HTTP://h"), Some(("/", "")));
        assert_eq!(parts("http://h?b"), Some(("/", "b")));
        assert_eq!(parts("*"), Some(("*", "")));
        for bad in [
            "",
            "a",
            "http:///a",
            "h:80",
            "/a#b",
            "http://h?b#c",
            "http://h#/a",
            "http://u@h/a",
            "http://h\\/a",
            "ftp://h/",
        ] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }

    #[test]
    fn segments_are_decoded_once_and_after_the_split() {
        let segments = |text| {
            let segments: Vec<_> = Target::parse(text).unwrap().segments().collect();
            segments
                .into_iter()
                .map(|s| s.map(Cow::into_owned))
                .collect::<Vec<_>>()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(segments("/a/%62"), [some("a"), some("b")]);
        assert_eq!(segments("/a%2fb"), [some("a/b")]);
        assert_eq!(segments("/%2561"), [some("%61")]);
        assert_eq!(segments("/a+b"), [some("a+b")]);
        assert_eq!(segments("/%00"), [some("\0")]);
        assert_eq!(segments("/"), [some("")]);
        for bad in ["/%", "/%4", "/%zz", "/%ff", "/%c0%af", "/%-1"] {
            assert_eq!(segments(bad), [None], "{bad}");
        }
    }

    #[test]
    fn what_is_below_a_path_is_seen_without_it_and_every_path_is_below_none() {
        let base = "/a".parse().unwrap();
        let below = |text| {
            let target = Target::parse(text).unwrap();
            target.below(&base).map(|below| (below.path, below.query))
        };
        assert_eq!(below("/a/b?c=d"), Some(("/b", "c=d")));
        assert_eq!(below("http://h/a/"), Some(("/", "")));
        assert_eq!(below("*"), Some(("*", "")));
        assert_eq!(below("/ab"), None);
        assert_eq!(below("/b/a/"), None);
        let target = Target::parse("/b").unwrap();
        assert_eq!(target.below(&BasePath::default()), Some(target));
    }

    #[test]
    fn a_query_is_pairs() {
        let pairs: Vec<_> = Target::parse("/?a=1&&b&a=%20+x=&%=1")
            .unwrap()
            .query()
            .collect();
        let pair = |a: &str, b: &str| Some((a.to_owned().into(), b.to_owned().into()));
        assert_eq!(
            pairs,
            [pair("a", "1"), pair("b", ""), pair("a", "  x="), None]
        );
    }
}
