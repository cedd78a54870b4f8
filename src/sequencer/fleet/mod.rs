//! What makes a server one of several: where their order is kept, and who this one is.

mod node_url;
pub(crate) mod url;

use std::fmt;
use std::str::FromStr;

use crate::event::Malformed;
pub use node_url::NodeUrl;
pub use url::RedisUrl;

const WRONG: Malformed = Malformed::new("not a name: use 1 to 64 of A-Z a-z 0-9 . _ -");

crate::sys::config::config! {
    /// How a server belongs to a fleet, whose order of events a Redis keeps.
    ///
    /// ```
    /// use landfall::ServerConfig;
    /// let mut config = ServerConfig::default();
    /// config.fleet.redis = "redis://127.0.0.1:6379/0".parse().ok();
    /// config.fleet.node = "a".parse().unwrap();
    /// ```
    pub struct FleetConfig {
        /// Where the order is kept. Default: nowhere, and then this server is by itself. It takes
        /// a build with the feature `redis`.
        pub redis: Option<RedisUrl> = None,
        /// What the fleet's keys in Redis begin with. Default: `landfall`.
        pub name: FleetName = FleetName("landfall".to_owned()),
        /// What this server is called among the others. Default: the host's name.
        pub node: FleetName = FleetName::of_host(),
        /// Where browsers find this server by itself: others lead there who ask them for an upload
        /// that it holds. Default: nowhere, and they are told its name.
        pub url: Option<NodeUrl> = None,
        /// How many of Redis's replicas have to confirm an event before it is answered. Default: 0.
        pub wait: u32 = 0,
        /// What is kept in Redis of the history of all jobs, in bytes: about so much to twice as
        /// much. Default: 64 MiB.
        pub log_bytes: u64 = 64 << 20,
    }
}

/// A fleet's name, or a node's: 1 to 64 of `A-Z a-z 0-9 . _ -`.
///
/// ```
/// use landfall::config::FleetName;
/// assert_eq!("berlin-1".parse::<FleetName>().unwrap().to_string(), "berlin-1");
/// assert!("a b".parse::<FleetName>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetName(String);

impl FleetName {
    /// The host's name, as far as it is one.
    fn of_host() -> FleetName {
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy().into_owned();
        host.parse()
            .unwrap_or_else(|_| FleetName("node".to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FleetName {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<FleetName, Malformed> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_name = (1..=64).contains(&text.len()) && text.bytes().all(is_part);
        if is_name {
            Ok(FleetName(text.to_owned()))
        } else {
            Err(WRONG)
        }
    }
}

impl fmt::Display for FleetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
