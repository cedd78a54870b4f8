//! Where a hub listens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A hub's address: `http://HOST:PORT`, `HOST:PORT` or `unix:PATH`.
///
/// ```
/// use landfall::HubAddress;
/// let address: HubAddress = "http://hub.example:8081".parse().unwrap();
/// assert_eq!(address, HubAddress::Tcp("hub.example:8081".into()));
/// assert!("https://hub.example".parse::<HubAddress>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum HubAddress {
    /// A host and a port, `127.0.0.1:8081`, with brackets around an IPv6 address.
    Tcp(String),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// Why a text is no address.
///
/// ```
/// let error = "unix:".parse::<landfall::HubAddress>().unwrap_err();
/// assert!(error.to_string().contains("the path of a socket"));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressError(String);

impl HubAddress {
    /// What stands in the Host header.
    pub(super) fn host(&self) -> &str {
        match self {
            HubAddress::Tcp(authority) => authority,
            HubAddress::Unix(_) => "localhost",
        }
    }
}

impl FromStr for HubAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<HubAddress, AddressError> {
        let wrong = |why| Err(AddressError(format!("{text:?} is no hub address: {why}")));
        if let Some(path) = text.strip_prefix("unix:") {
            // A path with NUL or too long for the system is found out on connecting.
            return if path.is_empty() {
                wrong("unix: is followed by the path of a socket")
            } else {
                Ok(HubAddress::Unix(path.into()))
            };
        }
        if text.starts_with("https://") {
            return wrong("only http is spoken; put a TLS proxy between");
        }
        let authority = text.strip_prefix("http://").unwrap_or(text);
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let bad = |c: char| {
            !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']'))
        };
        if authority.is_empty() || authority.contains(bad) {
            return wrong("it is http://HOST:PORT or unix:PATH");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (authority, "80"),
        };
        let bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        if host.is_empty() || bare_ipv6 || port.parse::<u16>().is_err() || port.starts_with('+') {
            return wrong("it is http://HOST:PORT, with brackets around an IPv6 address");
        }
        Ok(HubAddress::Tcp(format!("{host}:{port}")))
    }
}

impl fmt::Display for HubAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HubAddress::Tcp(authority) => write!(f, "http://{authority}"),
            HubAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_a_host_and_port_or_a_unix_path() {
        for (text, shown) in [
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://127.0.0.1:8081/", "http://127.0.0.1:8081"),
            ("127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://hub", "http://hub:80"),
            ("[::1]:8081", "http://[::1]:8081"),
            ("http://[::1]", "http://[::1]:80"),
            ("unix:/run/landfall.sock", "unix:/run/landfall.sock"),
            ("unix:relative", "unix:relative"),
        ] {
            assert_eq!(
                text.parse::<HubAddress>().unwrap().to_string(),
                shown,
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "http://",
            "https://hub",
            "unix:",
            ":80",
            "hub:",
            "hub:x",
            "hub:65536",
            "hub:+1",
            "hub/path:80",
            "a b:80",
            "hub\r\n:80",
            "::1",
            "user@hub:80",
            "[::1:80",
            "[::1]]x:1",
        ] {
            assert!(text.parse::<HubAddress>().is_err(), "{text:?}");
        }
    }
}
