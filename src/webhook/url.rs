//! Where a webhook is.

use std::fmt;

use crate::http::Address;

/// An address, `http://` or `https://`. What is shown of it is the host: the rest may be a
/// secret.
#[derive(Clone, PartialEq, Eq)]
pub struct HookUrl {
    /// Whether it is `https`.
    pub is_tls: bool,
    /// What connects there.
    pub address: Address,
    /// The host, and the port where it isn't the usual one: the field `Host`.
    pub host: String,
    /// The path, and the query.
    pub target: String,
}

impl HookUrl {
    /// Reads one.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<HookUrl, String> {
        let wanted = "url is an address, as \"http://127.0.0.1:9000/landfall\"";
        let (is_tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(format!("{wanted}: it begins with http:// or https://")),
        };
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "{wanted}: write spaces and letters beyond ASCII as %20"
            ));
        }
        if text.contains('#') {
            return Err(format!("{wanted}: what follows # is never sent"));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, target) = rest.split_at(end);
        if host.contains('@') {
            let right = "headers = { Authorization = \"Basic ...\" }";
            return Err(format!("url has no user and password in it: give {right}"));
        }
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.contains(']'));
        let port = if is_tls && !has_port { ":443" } else { "" };
        let address = format!("http://{host}{port}").parse();
        Ok(HookUrl {
            is_tls,
            address: address.map_err(|_| format!("{wanted}: a host, and a port after a colon"))?,
            host: host.to_owned(),
            target: match target.strip_prefix('?') {
                None if target.is_empty() => "/".to_owned(),
                None => target.to_owned(),
                Some(_) => format!("/{target}"),
            },
        })
    }

    /// The whole of it.
    #[cfg(feature = "https")]
    pub fn whole(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.host, self.target)
    }
}

impl fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_what_is_asked_for_there() {
        for (text, address, host, target) in [
            ("http://a", "http://a:80", "a", "/"),
            (
                "http://127.0.0.1:9/x",
                "http://127.0.0.1:9",
                "127.0.0.1:9",
                "/x",
            ),
            ("http://[::1]:9/", "http://[::1]:9", "[::1]:9", "/"),
            ("http://a?b=c/d", "http://a:80", "a", "/?b=c/d"),
            ("https://a/b?c=%20", "http://a:443", "a", "/b?c=%20"),
            ("https://[::1]", "http://[::1]:443", "[::1]", "/"),
        ] {
            let url = HookUrl::parse(text).unwrap();
            assert_eq!(url.address.to_string(), address, "{text}");
            assert_eq!((&*url.host, &*url.target), (host, target), "{text}");
            assert_eq!(url.is_tls, text.starts_with("https"));
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_would_be_right() {
        for (text, part) in [
            ("", "http://"),
            ("127.0.0.1:9000", "http:// or https://"),
            ("ftp://a", "http:// or https://"),
            ("unix:/run/a", "http:// or https://"),
            ("http://", "a host"),
            ("http:///a", "a host"),
            ("http://a:x/", "a host"),
            ("http://a b/", "%20"),
            ("http://a/\r\nX: y", "%20"),
            ("http://a/é", "%20"),
            ("http://a/#b", "never sent"),
            ("http://user:word@a/", "Authorization"),
        ] {
            let error = HookUrl::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let url = HookUrl::parse("https://hooks.example/services/T0/B0/secret?token=x").unwrap();
        assert_eq!(format!("{url:?}"), "hooks.example");
    }
}
