//! Where browsers find one server of a fleet by itself.

use std::fmt;
use std::str::FromStr;

use crate::event::Malformed;

/// The longest, in bytes: it stands in the head of an answer.
const MAX_BYTES: usize = 512;
const WRONG: Malformed =
    Malformed::new("not where a server is found: use http://HOST[:PORT][/PATH], or https://");

/// An address below which a server of a fleet is found by itself, its base path included.
///
/// ```
/// use landfall::config::NodeUrl;
/// let url: NodeUrl = "https://a.example.com/".parse().unwrap();
/// assert_eq!(url.to_string(), "https://a.example.com");
/// assert!("a.example.com".parse::<NodeUrl>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUrl(String);

impl NodeUrl {
    /// The text, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeUrl {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<NodeUrl, Malformed> {
        let url = text.trim_end_matches('/');
        let scheme = ["http://", "https://"];
        let rest = scheme.iter().find_map(|scheme| url.strip_prefix(scheme));
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&byte);
        let is_one = |rest: &str| !rest.starts_with(['/', ':']) && rest.bytes().all(fits);
        match rest {
            Some(rest) if !rest.is_empty() && url.len() <= MAX_BYTES && is_one(rest) => {
                Ok(NodeUrl(url.to_owned()))
            }
            _ => Err(WRONG),
        }
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_stand_in_a_head_or_leads_nowhere_is_none() {
        for text in ["http://a", "https://a.b:8443/landfall/", "http://[::1]:80"] {
            let url = text.parse::<NodeUrl>().unwrap();
            assert_eq!(url.as_str(), text.trim_end_matches('/'));
        }
        for text in [
            "",
            "a",
            "ftp://a",
            "http://",
            "http:///a",
            "http://a\r\nb",
            "http://a?b",
            "http://a#b",
            "http://u@a",
            "http://:80",
            "http://a b",
        ] {
            assert_eq!(text.parse::<NodeUrl>(), Err(WRONG), "{text:?}");
        }
    }
}
