//! Where a request says who it is: `Authorization: Bearer`, a cookie, or `?token=`, the
//! first of them that is there. What is there and wrong isn't made up for by the next.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use hmac_sha256::Hash;

use crate::event::Malformed;
use crate::http::Head;

/// What a request shows. Nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential<'a> {
    /// Where it was.
    pub source: CredentialSource,
    /// What stands there.
    pub text: Cow<'a, str>,
}

/// Where a credential was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// `Authorization: Bearer`.
    Bearer,
    /// The cookie. A browser sends it whether the page means to or not.
    Cookie,
    /// `?token=`. It may end up in a proxy's log.
    Query,
}

/// The name of a cookie: 1 to 64 of `A-Z a-z 0-9 . _ -`.
///
/// ```
/// use landfall::config::CookieName;
/// assert!("landfall_token".parse::<CookieName>().is_ok());
/// assert!("my token".parse::<CookieName>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieName(String);

/// Why a credential can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// What stands there isn't ASCII without spaces.
    BadCharacter(CredentialSource),
    /// The cookie is there twice, and not the same: one may be planted.
    TwoCookies,
    /// The parameter is there twice.
    TwoParameters,
    /// The query's percent-encoding is broken.
    BadQuery,
}

impl<'a> Credential<'a> {
    /// What the request shows; none where it shows nothing, or only what is empty.
    ///
    /// # Errors
    /// It can't be read, or there are two.
    pub fn find(
        head: &Head<'a>,
        cookie: &CookieName,
    ) -> Result<Option<Credential<'a>>, CredentialError> {
        if let Some(text) = head.authorization.and_then(bearer) {
            return credential(
                CredentialSource::Bearer,
                Cow::Borrowed(ascii(text, CredentialSource::Bearer)?),
            );
        }
        let in_cookie = match head.cookie {
            Some(cookies) => find_cookie(cookies, cookie)?,
            None => None,
        };
        if let Some(text) = in_cookie {
            return credential(
                CredentialSource::Cookie,
                Cow::Borrowed(ascii(text, CredentialSource::Cookie)?),
            );
        }
        let mut found = None;
        for pair in head.target.query() {
            let (name, value) = pair.ok_or(CredentialError::BadQuery)?;
            if name == "token" && found.replace(value).is_some() {
                return Err(CredentialError::TwoParameters);
            }
        }
        match found.filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => {
                ascii(text.as_bytes(), CredentialSource::Query)?;
                credential(CredentialSource::Query, text)
            }
        }
    }
}

impl FromStr for CookieName {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<CookieName, Malformed> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            Ok(CookieName(text.to_owned()))
        } else {
            Err(Malformed::new(
                "not a cookie's name: use 1 to 64 of A-Z a-z 0-9 . _ -",
            ))
        }
    }
}

impl Credential<'_> {
    /// A number for it, the same in every process, that tells nothing of it.
    pub fn fingerprint(&self) -> u64 {
        Hash::hash(self.text.as_bytes())
            .iter()
            .take(8)
            .fold(0, |number, &byte| number << 8 | u64::from(byte))
    }
}

impl fmt::Display for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for CookieName {
    fn default() -> CookieName {
        CookieName("landfall_token".to_owned())
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:?})", self.source)
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CredentialError::BadCharacter(_) => {
                "the token holds characters that no token has: send it as it was given"
            }
            CredentialError::TwoCookies => {
                "there are two different cookies with a token: remove one, or give them the \
                 same Path and Domain"
            }
            CredentialError::TwoParameters => "the query has two tokens: give it one",
            CredentialError::BadQuery => {
                "the query's percent-encoding is broken: % and two digits, of UTF-8"
            }
        })
    }
}

impl CredentialError {
    /// Where it is, where the words don't say.
    pub fn source(&self) -> Option<CredentialSource> {
        match self {
            CredentialError::BadCharacter(source) => Some(*source),
            _ => None,
        }
    }
}

impl std::error::Error for CredentialError {}

fn credential(
    source: CredentialSource,
    text: Cow<'_, str>,
) -> Result<Option<Credential<'_>>, CredentialError> {
    Ok(Some(Credential { source, text }))
}

/// What follows the scheme. None where the scheme is another: that is for a proxy.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let end = value.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = value.split_at(end);
    scheme
        .eq_ignore_ascii_case(b"bearer")
        .then(|| rest.trim_ascii())
        .filter(|text| !text.is_empty())
}

/// The cookie's value, where it is there and not empty. Names are case-sensitive, and a
/// value may be quoted (RFC 6265 section 4.1.1).
fn find_cookie<'a>(
    cookies: &'a [u8],
    name: &CookieName,
) -> Result<Option<&'a [u8]>, CredentialError> {
    let mut found = None;
    for pair in cookies.split(|&byte| byte == b';') {
        let Some(equals) = pair.iter().position(|&byte| byte == b'=') else {
            continue;
        };
        if pair[..equals].trim_ascii() != name.0.as_bytes() {
            continue;
        }
        let value = pair[equals + 1..].trim_ascii();
        let inner = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""));
        let value = inner.unwrap_or(value);
        if value.is_empty() {
            continue;
        }
        if found.is_some_and(|other| other != value) {
            return Err(CredentialError::TwoCookies);
        }
        found = Some(value);
    }
    Ok(found)
}

fn ascii(text: &[u8], source: CredentialSource) -> Result<&str, CredentialError> {
    let text = std::str::from_utf8(text).ok();
    text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or(CredentialError::BadCharacter(source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadLimits;

    type Found = Result<Option<(CredentialSource, String)>, CredentialError>;

    fn find(query: &str, fields: &[u8]) -> Found {
        let start = format!("GET /x{query} HTTP/1.1\r\nHost: a\r\n");
        let bytes = [start.as_bytes(), fields, b"\r\n"].concat();
        let limits = HeadLimits {
            head_bytes: 1 << 20,
            target_bytes: 1 << 20,
        };
        let (head, _) = Head::parse(&bytes, limits).unwrap().unwrap();
        Credential::find(&head, &CookieName::default())
            .map(|found| found.map(|found| (found.source, found.text.into_owned())))
    }

    fn some(source: CredentialSource, text: &str) -> Found {
        Ok(Some((source, text.to_owned())))
    }

    #[test]
    fn bearer_comes_before_the_cookie_and_the_cookie_before_the_query() {
        let (bearer, cookie) = (
            "Authorization: Bearer b\r\n",
            "Cookie: landfall_token=c\r\n",
        );
        let all = format!("{bearer}{cookie}");
        assert_eq!(
            find("?token=q", all.as_bytes()),
            some(CredentialSource::Bearer, "b")
        );
        assert_eq!(
            find("?token=q", cookie.as_bytes()),
            some(CredentialSource::Cookie, "c")
        );
        assert_eq!(find("?token=q", b""), some(CredentialSource::Query, "q"));
        assert_eq!(find("", b""), Ok(None));
    }

    #[test]
    fn the_scheme_s_case_does_not_count_and_other_schemes_are_a_proxy_s() {
        let of = |value: &str| find("?token=q", format!("Authorization: {value}\r\n").as_bytes());
        for value in ["bearer b", "BEARER b", "Bearer   b"] {
            assert_eq!(of(value), some(CredentialSource::Bearer, "b"), "{value}");
        }
        for value in ["Basic b", "Bearer", "Bearer ", "Bearerb", ""] {
            assert_eq!(of(value), some(CredentialSource::Query, "q"), "{value}");
        }
        assert_eq!(
            of("Bearer b c"),
            Err(CredentialError::BadCharacter(CredentialSource::Bearer))
        );
    }

    #[test]
    fn cookies_are_found_among_others_quoted_or_not() {
        let of = |value: &str| find("", format!("Cookie: {value}\r\n").as_bytes());
        for value in [
            "landfall_token=c",
            "a=b; landfall_token=c; d=e",
            "a=b;landfall_token=c",
            ";; landfall_token = c ;",
            "landfall_token=\"c\"",
            "landfall_token=; landfall_token=c",
            "junk; landfall_token=c; =; =x",
            "xlandfall_token=d; landfall_token=c; landfall_tokenx=d",
            "a=\"x\"; landfall_token=c",
        ] {
            assert_eq!(of(value), some(CredentialSource::Cookie, "c"), "{value}");
        }
        for value in [
            "",
            "landfall_token",
            "landfall_token=",
            "Landfall_Token=c",
            "a=landfall_token=c",
        ] {
            assert_eq!(of(value), Ok(None), "{value}");
        }
        // Half a quotation is part of the value, and then no token.
        assert_eq!(
            of("landfall_token=\"c"),
            some(CredentialSource::Cookie, "\"c")
        );
        assert_eq!(
            of("landfall_token=a=b"),
            some(CredentialSource::Cookie, "a=b")
        );
    }

    #[test]
    fn duplicate_cookies_are_refused_unless_they_are_the_same() {
        let of = |value: &str| find("", format!("Cookie: {value}\r\n").as_bytes());
        let two = Err(CredentialError::TwoCookies);
        assert_eq!(of("landfall_token=a; landfall_token=b"), two);
        assert_eq!(of("landfall_token=a; x=y; landfall_token=\"b\""), two);
        let same = of("landfall_token=a; landfall_token=\"a\"");
        assert_eq!(same, some(CredentialSource::Cookie, "a"));
    }

    #[test]
    fn a_query_of_10000_pairs_is_gone_through_once() {
        let pairs = "a=b&".repeat(10_000);
        assert_eq!(
            find(&format!("?{pairs}token=q"), b""),
            some(CredentialSource::Query, "q")
        );
        assert_eq!(
            find(&format!("?token=q&{pairs}"), b""),
            some(CredentialSource::Query, "q")
        );
        let twice = format!("?token=q&{pairs}&token=q");
        assert_eq!(find(&twice, b""), Err(CredentialError::TwoParameters));
    }

    #[test]
    fn what_no_token_holds_is_refused_wherever_it_stands() {
        assert_eq!(
            find("?%74oken=%71", b""),
            some(CredentialSource::Query, "q")
        );
        assert_eq!(find("?token=", b""), Ok(None));
        assert_eq!(find("?Token=q", b""), Ok(None));
        for (query, error) in [
            (
                "?token=%00",
                CredentialError::BadCharacter(CredentialSource::Query),
            ),
            (
                "?token=a%20b",
                CredentialError::BadCharacter(CredentialSource::Query),
            ),
            (
                "?token=a+b",
                CredentialError::BadCharacter(CredentialSource::Query),
            ),
            (
                "?token=%0d%0a",
                CredentialError::BadCharacter(CredentialSource::Query),
            ),
            (
                "?token=%c3%a9",
                CredentialError::BadCharacter(CredentialSource::Query),
            ),
            // An overlong slash.
            (
                "?token=%c0%af",
                CredentialError::BadCharacter(CredentialSource::Query),
            ),
            (
                "?token=%e0%80%af",
                CredentialError::BadCharacter(CredentialSource::Query),
            ),
            ("?token=%", CredentialError::BadQuery),
            ("?token=%zz", CredentialError::BadQuery),
        ] {
            assert_eq!(find(query, b""), Err(error), "{query}");
        }
        for (fields, source) in [
            (
                &b"Cookie: landfall_token=\xc3\xa9\r\n"[..],
                CredentialSource::Cookie,
            ),
            (b"Cookie: landfall_token=a b\r\n", CredentialSource::Cookie),
            (b"Authorization: Bearer \xff\r\n", CredentialSource::Bearer),
            (b"Authorization: Bearer a\tb\r\n", CredentialSource::Bearer),
        ] {
            let error = CredentialError::BadCharacter(source);
            assert_eq!(find("", fields), Err(error));
        }
    }

    #[test]
    fn nothing_prints_a_credential() {
        let credential = Credential {
            source: CredentialSource::Query,
            text: "secret".into(),
        };
        assert_eq!(format!("{credential:?}"), "Credential(Query)");
    }
}
