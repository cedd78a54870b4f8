//! Where something listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::event::Malformed;

/// Where something listens: `HOST:PORT`, `unix:PATH`, or `off`, which is nowhere. `http://` may
/// stand before a host, and the port is 80 then where none is said.
///
/// ```
/// use landfall::Address;
/// let hub: Address = "http://hub.example:8081".parse()?;
/// assert_eq!(hub, Address::Host("hub.example:8081".into()));
/// let publish: Address = "unix:/run/landfall/publish".parse()?;
/// assert_eq!(publish, Address::Unix("/run/landfall/publish".into()));
/// assert_eq!("off".parse(), Ok(Address::Off));
/// assert!("https://hub.example".parse::<Address>().is_err());
/// # Ok::<(), landfall::Malformed>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port. For a listener, port 0 picks a free one.
    Tcp(SocketAddr),
    /// A host's name and a port, for whoever connects: a listener needs an IP address.
    Host(String),
    /// The path of a unix socket.
    Unix(PathBuf),
    /// Nowhere.
    Off,
}

impl Address {
    /// The IP address and port. None where there is none.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(address) => Some(*address),
            Address::Host(_) | Address::Unix(_) | Address::Off => None,
        }
    }

    /// What stands in the field `Host`, and what a name is looked up by.
    #[cfg(feature = "client")]
    pub(crate) fn authority(&self) -> String {
        match self {
            Address::Tcp(address) => address.to_string(),
            Address::Host(authority) => authority.clone(),
            Address::Unix(_) | Address::Off => "localhost".to_owned(),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Tcp(address)
    }
}

impl FromStr for Address {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Address, Malformed> {
        let wrong = |why| Err(Malformed::from(format!("{text:?} is no address: {why}")));
        if text == "off" {
            return Ok(Address::Off);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            // A path with NUL or too long for the system is found out when it is used.
            return match path {
                "" => wrong("unix: needs the path of a socket, as in unix:/run/landfall.sock"),
                path => Ok(Address::Unix(path.into())),
            };
        }
        if text.starts_with("https://") {
            return wrong("only http is spoken; put a TLS proxy between");
        }
        let (authority, usual_port) = match text.strip_prefix("http://") {
            Some(rest) => (rest.strip_suffix('/').unwrap_or(rest), Some("80")),
            None => (text, None),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, usual_port),
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let is_name = !host.is_empty() && host.bytes().all(fits);
        let is_port = |port: &&str| port.parse::<u16>().is_ok() && !port.starts_with('+');
        match port.filter(is_port).map(|port| format!("{host}:{port}")) {
            Some(whole) => match whole.parse() {
                Ok(address) => Ok(Address::Tcp(address)),
                Err(_) if is_name => Ok(Address::Host(whole)),
                Err(_) => wrong("use IP:PORT, as in 127.0.0.1:8080 or [::1]:8080, or HOST:PORT"),
            },
            None => wrong("use IP:PORT, as in 127.0.0.1:8080 or [::1]:8080, or unix:PATH"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "http://{address}"),
            Address::Host(authority) => write!(f, "http://{authority}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Off => f.write_str("off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_port_a_url_a_path_or_off() {
        for (text, shown) in [
            ("127.0.0.1:0", "http://127.0.0.1:0"),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://127.0.0.1:8081/", "http://127.0.0.1:8081"),
            ("http://127.0.0.1", "http://127.0.0.1:80"),
            ("[::1]:8081", "http://[::1]:8081"),
            ("http://[::1]", "http://[::1]:80"),
            ("localhost:8080", "http://localhost:8080"),
            ("http://hub", "http://hub:80"),
            ("unix:/run/a b.sock", "unix:/run/a b.sock"),
            ("unix:relative", "unix:relative"),
            ("off", "off"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown, "{text}");
            assert_eq!(shown.parse(), Ok(address), "{shown}");
        }
        let is_ip = |text: &str| text.parse::<Address>().unwrap().tcp().is_some();
        assert!(is_ip("[::1]:80") && !is_ip("hub:80") && !is_ip("unix:/a"));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "8080",
            "hub",
            "1.2.3.4",
            "http://",
            "https://hub",
            "unix:",
            ":80",
            "http://:80",
            "hub:",
            "hub:x",
            "hub:65536",
            "hub:+1",
            "127.0.0.1:+1",
            "hub/path:80",
            "hub:80/",
            "http://hub:80/path",
            "a b:80",
            "hub\r\n:80",
            "::1",
            "::1:80",
            "user@hub:80",
            "[::1:80",
            "[::1]]x:1",
            "[hub]:80",
            "ftp://hub:80",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
