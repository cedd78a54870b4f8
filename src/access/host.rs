//! The names that a server goes by. A page whose own name is made to resolve to a
//! loopback address (DNS rebinding) reaches a server that trusts who can reach it; what
//! gives it away is the name that it has in `Host`.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::event::Malformed;

const NO_HOST: Malformed =
    Malformed::new("not a host's name: use a name without a scheme or a port, as in hub.example");

/// A name of a host, without a port.
///
/// ```
/// use landfall::config::HostName;
/// assert!("hub.example".parse::<HostName>().is_ok());
/// assert!("hub.example:8081".parse::<HostName>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl FromStr for HostName {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<HostName, Malformed> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if !name.is_empty() && name.len() <= 253 && name.bytes().all(fits_name) {
            Ok(HostName(name))
        } else {
            Err(NO_HOST)
        }
    }
}

/// Whether the value of `Host` is a name of this server: an address, which no one can
/// make resolve to another; `localhost`; a name without a dot, as containers and hosts
/// of a local network have, which public DNS doesn't give out; or one of `names`.
pub fn is_known(host: &[u8], names: &[HostName]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    if let Some(rest) = host.strip_prefix('[') {
        return rest
            .split_once(']')
            .is_some_and(|(address, port)| address.parse::<Ipv6Addr>().is_ok() && is_port(port));
    }
    let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
    if !is_port(port) {
        return false;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if !name.bytes().all(fits_name) {
        return false;
    }
    let is_local = !name.contains('.')
        || name
            .get(name.len().saturating_sub(10)..)
            .is_some_and(|end| end.eq_ignore_ascii_case(".localhost"));
    is_local
        || name.parse::<IpAddr>().is_ok()
        || names.iter().any(|known| known.0.eq_ignore_ascii_case(name))
}

/// Whether `Host` and an origin's authority name the same host and port, the ports of
/// http and https left out or not: behind a proxy the scheme isn't known here.
pub fn is_same(host: &[u8], authority: &str) -> bool {
    let bare = |text: &[u8]| {
        let text = text.to_ascii_lowercase();
        let own = [&b":80"[..], b":443"];
        let end = own.into_iter().find(|port| text.ends_with(port));
        text[..text.len() - end.map_or(0, <[u8]>::len)].to_vec()
    };
    !host.is_empty() && bare(host) == bare(authority.as_bytes())
}

fn fits_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(host: &str) -> bool {
        is_known(host.as_bytes(), &["hub.example".parse().unwrap()])
    }

    #[test]
    fn addresses_local_names_and_configured_ones_are_known() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8081",
            "10.1.2.3:80",
            "[::1]:8081",
            "[::1]",
            "localhost",
            "LOCALHOST:8081",
            "localhost.",
            "app.localhost:1",
            "landfall:8081",
            "a",
            "",
            "hub.example",
            "HUB.example.:8081",
        ] {
            assert!(known(host), "{host}");
        }
    }

    #[test]
    fn dns_rebinding_by_a_name_that_anyone_may_own_is_told_by_host() {
        for host in [
            "evil.example",
            "evil.example:8081",
            "127.0.0.1.evil.example",
            "hub.example.evil.test",
            "xhub.example",
            "localhost.evil.test",
            "evil-localhost.test",
            "127.0.0.1.",
            "[evil.example]",
            "[::1]x",
            "[::1",
            "::1",
            "a:b",
            "a:80:90",
            "hub.example:80@evil.example",
            "127.1.evil",
            "evil%2eexample",
            "]a",
        ] {
            let is_address = host == "127.0.0.1.";
            assert_eq!(known(host), is_address, "{host}");
        }
        assert!(!is_known(b"\xff.example", &[]));
    }

    #[test]
    fn an_origin_is_the_host_itself_or_it_is_foreign() {
        assert!(is_same(b"a.example", "a.example"));
        assert!(is_same(b"A.example:443", "a.example"));
        assert!(is_same(b"a.example:8080", "a.example:8080"));
        assert!(is_same(b"[::1]:8081", "[::1]:8081"));
        for (host, authority) in [
            ("a.example:8080", "a.example"),
            ("a.example", "a.example:8443"),
            ("a.example", "b.a.example"),
            ("", ""),
        ] {
            assert!(!is_same(host.as_bytes(), authority), "{host} {authority}");
        }
    }

    #[test]
    fn a_name_has_no_scheme_and_no_port() {
        for bad in ["", ".", "http://a", "a:80", "a/b", "*.a", "a b"] {
            assert_eq!(bad.parse::<HostName>(), Err(NO_HOST), "{bad}");
        }
        assert_eq!("A.b.".parse::<HostName>(), Ok(HostName("a.b".into())));
    }
}
