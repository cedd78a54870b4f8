//! Cross-origin requests (the Fetch standard's CORS protocol): which web pages may read
//! answers, and the header lines that say so.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use crate::event::Malformed;

const NO_ORIGIN: Malformed = Malformed::new(
    "not an origin: use a scheme and a host, as in https://app.example, without a path, \
             or * for pages of every origin without their cookies",
);

/// Request headers that a page of another origin may send.
const ALLOWED_HEADERS: &str = "Authorization, Cache-Control, Content-Type, Idempotency-Key, If-Match, If-None-Match, \
     If-Range, Last-Event-ID, Range, Tus-Resumable, Upload-Checksum, Upload-Defer-Length, Upload-Length, Upload-Metadata, \
     Upload-Offset, X-HTTP-Method-Override, X-Request-ID, X-Requested-With";
/// How long a browser may keep the answer to a preflight, in seconds. Browsers cap it
/// themselves, at two hours or above.
const PREFLIGHT_MAX_AGE: &str = "7200";

/// An origin as browsers write it: `https://app.example`, without a path, with a port
/// only where it isn't the scheme's own. `null`, which any sandboxed page has, is none.
///
/// ```
/// use landfall::config::Origin;
/// let origin: Origin = "HTTPS://App.example:443".parse().unwrap();
/// assert_eq!(origin.as_str(), "https://app.example");
/// assert!("https://app.example/".parse::<Origin>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// What `--cors-origin` takes: an origin, or `*`.
///
/// ```
/// use landfall::config::Allowed;
/// assert_eq!("*".parse(), Ok(Allowed::Any));
/// assert!("https://app.example".parse::<Allowed>().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Allowed {
    /// Pages of this origin, with the visitor's cookies.
    Exactly(Origin),
    /// Pages of every origin, without cookies.
    Any,
}

/// The pages that may read answers.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    exact: Vec<(Origin, CorsLines)>,
    any: bool,
}

/// Header lines, each with its line end.
pub type CorsLines = Arc<str>;

impl Origin {
    /// The origin as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its host and port, without the port that is the scheme's own.
    pub fn authority(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, rest)| rest)
    }
}

impl FromStr for Origin {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Origin, Malformed> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").ok_or(NO_ORIGIN)?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let is_authority = !authority.is_empty()
            && authority
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
        if !is_scheme || !is_authority {
            return Err(NO_ORIGIN);
        }
        let own_port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => "",
        };
        let authority = authority.strip_suffix(own_port).unwrap_or(authority);
        Ok(Origin(format!("{scheme}://{authority}")))
    }
}

impl FromStr for Allowed {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Allowed, Malformed> {
        match text {
            "*" => Ok(Allowed::Any),
            _ => text.parse().map(Allowed::Exactly),
        }
    }
}

impl Cors {
    /// Lets pages of these origins read.
    pub fn new(allowed: &[Allowed]) -> Cors {
        let mut cors = Cors::default();
        for one in allowed {
            match one {
                Allowed::Any => cors.any = true,
                Allowed::Exactly(origin) => {
                    let lines = format!(
                        "Access-Control-Allow-Origin: {}\r\n\
                         Access-Control-Allow-Credentials: true\r\n\
                         Access-Control-Expose-Headers: Retry-After\r\n\
                         Vary: Origin\r\n",
                        origin.as_str()
                    );
                    cors.exact.push((origin.clone(), lines.into()));
                }
            }
        }
        cors
    }

    /// The same without `*`.
    pub fn without_any(&self) -> Cors {
        Cors {
            any: false,
            ..self.clone()
        }
    }

    /// Whether every page may read, without cookies.
    pub fn allows_any(&self) -> bool {
        self.any
    }

    /// Whether pages of this origin are named.
    pub fn names(&self, origin: &[u8]) -> bool {
        self.lines_of(origin).is_some()
    }

    /// What an answer to a request from `origin` says. None where no origin is
    /// configured. Costs no allocation where an origin is named.
    pub fn lines(&self, origin: Option<&[u8]>) -> Option<CorsLines> {
        if !self.any && self.exact.is_empty() {
            return None;
        }
        if let Some(lines) = origin.and_then(|origin| self.lines_of(origin)) {
            return Some(lines.clone());
        }
        // A cache must not give to one page what was said to another.
        let vary = if self.exact.is_empty() {
            ""
        } else {
            "Vary: Origin\r\n"
        };
        let any = if self.any {
            "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Retry-After\r\n"
        } else {
            ""
        };
        Some(format!("{any}{vary}").into())
    }

    /// What the answer to a preflight says besides, where pages of this origin may ask:
    /// names and values.
    pub fn preflight(
        &self,
        origin: Option<&[u8]>,
        methods: &str,
    ) -> Option<[(&'static str, Cow<'static, str>); 3]> {
        let is_allowed = self.any || self.names(origin?);
        (origin.is_some() && is_allowed).then_some([
            ("Access-Control-Allow-Methods", methods.to_owned().into()),
            ("Access-Control-Allow-Headers", ALLOWED_HEADERS.into()),
            ("Access-Control-Max-Age", PREFLIGHT_MAX_AGE.into()),
        ])
    }

    fn lines_of(&self, origin: &[u8]) -> Option<&CorsLines> {
        // Browsers write origins as they are kept here: byte by byte is right.
        self.exact
            .iter()
            .find(|(exact, _)| exact.as_str().as_bytes() == origin)
            .map(|(_, lines)| lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str]) -> Cors {
        let allowed: Vec<_> = origins.iter().map(|text| text.parse().unwrap()).collect();
        Cors::new(&allowed)
    }

    fn lines(origins: &[&str], origin: Option<&str>) -> Option<String> {
        cors(origins)
            .lines(origin.map(str::as_bytes))
            .map(|lines| lines.to_string())
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        let parse = |text: &str| text.parse::<Origin>().map(|origin| origin.0);
        for (text, origin) in [
            ("https://a.example", "https://a.example"),
            ("HTTP://A.example:8080", "http://a.example:8080"),
            ("http://a:80", "http://a"),
            ("https://a:80", "https://a:80"),
            ("https://[::1]:443", "https://[::1]"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(parse(text), Ok(origin.to_owned()));
        }
        for bad in [
            "",
            "null",
            "a.example",
            "https://",
            "://a",
            "https://a/",
            "https://*.example",
            "https://a b",
            "https://u@a",
            "https://a,https://b",
            "https://a\r\nX: y",
            "1a://b",
        ] {
            assert_eq!(parse(bad), Err(NO_ORIGIN), "{bad}");
        }
    }

    #[test]
    fn without_a_configured_origin_nothing_is_said() {
        assert_eq!(lines(&[], Some("https://a")), None);
        assert_eq!(cors(&[]).preflight(Some(b"https://a"), "GET"), None);
    }

    #[test]
    fn an_exact_origin_is_echoed_with_credentials_and_no_other_is() {
        let echoed = lines(&["https://a", "https://b"], Some("https://b")).unwrap();
        assert!(echoed.contains("Access-Control-Allow-Origin: https://b\r\n"));
        assert!(echoed.contains("Access-Control-Allow-Credentials: true\r\n"));
        assert!(echoed.contains("Vary: Origin\r\n"));
        for foreign in [
            None,
            Some("https://c"),
            Some("https://b.evil"),
            Some("http://b"),
            Some("https://b:8443"),
            Some("null"),
            Some(""),
        ] {
            let lines = lines(&["https://a", "https://b"], foreign).unwrap();
            assert_eq!(lines, "Vary: Origin\r\n", "{foreign:?}");
        }
    }

    #[test]
    fn a_star_lets_every_page_read_and_never_with_credentials() {
        let any = lines(&["*"], Some("https://a")).unwrap();
        assert!(any.starts_with("Access-Control-Allow-Origin: *\r\n"));
        assert!(!any.contains("Credentials") && !any.contains("Vary"));
        let mixed = ["*", "https://a"];
        assert!(
            lines(&mixed, Some("https://a"))
                .unwrap()
                .contains("Credentials: true")
        );
        let other = lines(&mixed, Some("https://b")).unwrap();
        assert!(other.contains("Origin: *") && other.contains("Vary") && !other.contains("Cred"));
    }

    #[test]
    fn a_preflight_is_answered_to_those_who_may_ask() {
        let fields = cors(&["https://a"]).preflight(Some(b"https://a"), "GET, POST");
        let [methods, headers, age] = fields.unwrap();
        assert_eq!(
            methods,
            ("Access-Control-Allow-Methods", "GET, POST".into())
        );
        for name in ["Last-Event-ID", "Authorization", "Content-Type"] {
            assert!(headers.1.contains(name), "{name}");
        }
        assert_eq!(age.0, "Access-Control-Max-Age");
        assert_eq!(
            cors(&["https://a"]).preflight(Some(b"https://b"), "GET"),
            None
        );
        assert_eq!(cors(&["https://a"]).preflight(None, "GET"), None);
        assert!(cors(&["*"]).preflight(Some(b"https://b"), "GET").is_some());
        assert!(
            cors(&["*"])
                .without_any()
                .preflight(Some(b"https://b"), "GET")
                .is_none()
        );
    }
}
