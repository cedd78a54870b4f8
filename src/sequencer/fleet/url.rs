//! Where Redis is: `redis://[user[:password]@]host[:port][/database]`, and what else it may be.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::event::Malformed;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const WRONG_SHAPE: Malformed = Malformed::new(
    "not where Redis is: use redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE], \
     redis+unix:///PATH or redis+sentinel://HOST[:PORT],.../MASTER[/DATABASE]",
);
const WRONG_NUMBER: Malformed = Malformed::new(
    "not where Redis is: a port is 1 to 65535, a database a whole number, and what isn't a letter \
     or a digit of a password is written as % and two digits",
);
const WRONG_TLS: Malformed = Malformed::new(
    "this server speaks no TLS to Redis: use redis:// on a network of your own, or a tunnel, as \
     stunnel's",
);

/// Where Redis is, and as whom to speak to it.
///
/// ```
/// use landfall::config::RedisUrl;
/// let url: RedisUrl = "redis://:secret@127.0.0.1:6379/2".parse().unwrap();
/// assert_eq!(url.to_string(), "redis://127.0.0.1:6379/2");
/// assert!("http://127.0.0.1".parse::<RedisUrl>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    pub(crate) whereabouts: Whereabouts,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: u32,
}

/// How it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// There.
    At(Endpoint),
    /// These know where the master of that name is.
    Sentinels(Vec<Endpoint>, String),
}

/// Where something listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A host and a port.
    Tcp(String),
    /// A socket's path.
    Unix(PathBuf),
}

impl FromStr for RedisUrl {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<RedisUrl, Malformed> {
        let (scheme, rest) = text.split_once("://").ok_or(WRONG_SHAPE)?;
        // Valkey is spoken to likewise.
        let scheme = scheme.replacen("valkey", "redis", 1);
        match &*scheme {
            "redis" | "redis+sentinel" => {}
            "redis+unix" | "unix" => return unix(rest),
            "rediss" => return Err(WRONG_TLS),
            _ => return Err(WRONG_SHAPE),
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (who, hosts) = match authority.rsplit_once('@') {
            Some((who, hosts)) => (who, hosts),
            None => ("", authority),
        };
        let (user, password) = match who.split_once(':') {
            Some((user, password)) => (user, Some(unescape(password)?)),
            None => (who, None),
        };
        let user = unescape(user)?;
        let (whereabouts, database) = if scheme == "redis" {
            (Whereabouts::At(tcp(hosts, PORT)?), path)
        } else {
            let (name, database) = path.split_once('/').unwrap_or((path, ""));
            if name.is_empty() {
                return Err(WRONG_SHAPE);
            }
            let places = hosts.split(',').map(|host| tcp(host, SENTINEL_PORT));
            let places = places.collect::<Result<_, _>>()?;
            (Whereabouts::Sentinels(places, unescape(name)?), database)
        };
        Ok(RedisUrl {
            whereabouts,
            user: (!user.is_empty()).then_some(user),
            password,
            database: number(database)?,
        })
    }
}

fn unix(rest: &str) -> Result<RedisUrl, Malformed> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !path.starts_with('/') {
        return Err(WRONG_SHAPE);
    }
    let mut url = RedisUrl {
        whereabouts: Whereabouts::At(Endpoint::Unix(unescape(path)?.into())),
        user: None,
        password: None,
        database: 0,
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("db", database)) => url.database = number(database)?,
            Some(("user", user)) => url.user = Some(unescape(user)?),
            Some(("pass", password)) => url.password = Some(unescape(password)?),
            _ => return Err(WRONG_SHAPE),
        }
    }
    Ok(url)
}

fn tcp(host: &str, port: u16) -> Result<Endpoint, Malformed> {
    // An address of IPv6 has colons of its own, in brackets.
    let (name, after) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(WRONG_SHAPE)?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = match after.strip_prefix(':') {
        Some(port) => port.parse().map_err(|_| WRONG_NUMBER)?,
        None if after.is_empty() => port,
        None => return Err(WRONG_SHAPE),
    };
    if name.is_empty() || port == 0 || name.contains(['?', '#', ' ']) {
        return Err(WRONG_SHAPE);
    }
    Ok(Endpoint::Tcp(if host.starts_with('[') {
        format!("[{name}]:{port}")
    } else {
        format!("{name}:{port}")
    }))
}

fn number(text: &str) -> Result<u32, Malformed> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| WRONG_NUMBER)
}

/// The text without percent-encoding.
fn unescape(text: &str) -> Result<String, Malformed> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(byte.ok_or(WRONG_NUMBER)?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| WRONG_NUMBER)
}

/// Without its password, for logs.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.database;
        match &self.whereabouts {
            Whereabouts::At(place @ Endpoint::Tcp(_)) => write!(f, "redis://{place}/{database}"),
            Whereabouts::At(Endpoint::Unix(path)) => {
                write!(f, "redis+unix://{}?db={database}", path.display())
            }
            Whereabouts::Sentinels(places, name) => {
                f.write_str("redis+sentinel://")?;
                for (index, place) in places.iter().enumerate() {
                    write!(f, "{}{place}", if index > 0 { "," } else { "" })?;
                }
                write!(f, "/{name}/{database}")
            }
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => f.write_str(address),
            Endpoint::Unix(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<RedisUrl, Malformed> {
        text.parse()
    }

    #[test]
    fn every_part_but_the_host_may_be_left_out() {
        let whole = url("redis://me:p%40ss:w@example:7000/3").unwrap();
        assert_eq!(whole.user.as_deref(), Some("me"));
        assert_eq!(whole.password.as_deref(), Some("p@ss:w"));
        assert_eq!(whole.database, 3);
        assert_eq!(whole.to_string(), "redis://example:7000/3");
        let least = url("redis://example").unwrap();
        assert_eq!((least.user.clone(), least.password.clone()), (None, None));
        assert_eq!(least.to_string(), "redis://example:6379/0");
        assert_eq!(
            url("redis://:p@[::1]:1/").unwrap().to_string(),
            "redis://[::1]:1/0"
        );
    }

    #[test]
    fn it_may_be_a_socket_or_what_sentinels_say() {
        let socket = url("redis+unix:///run/redis.sock?db=2&pass=x").unwrap();
        assert_eq!(socket.to_string(), "redis+unix:///run/redis.sock?db=2");
        assert_eq!(socket.password.as_deref(), Some("x"));
        let watched = url("redis+sentinel://a,b:7/main/1").unwrap();
        assert_eq!(watched.to_string(), "redis+sentinel://a:26379,b:7/main/1");
    }

    #[test]
    fn a_valkey_is_named_as_a_redis_is() {
        for (scheme, other) in [
            ("valkey://me:p@a:1/2", "redis://me:p@a:1/2"),
            ("valkey+unix:///a?db=2", "redis+unix:///a?db=2"),
            ("valkey+sentinel://a/main", "redis+sentinel://a/main"),
        ] {
            assert_eq!(url(scheme), url(other));
        }
        assert_eq!(url("valkeys://a"), Err(WRONG_TLS));
        assert_eq!(url("redisvalkey://a"), Err(WRONG_SHAPE));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "127.0.0.1:6379",
            "http://a",
            "redis://",
            "redis://:6379",
            "redis+sentinel://a",
            "redis+unix://a",
            "redis://[::1",
            "redis://a b",
        ] {
            assert_eq!(url(text), Err(WRONG_SHAPE), "{text}");
        }
        for text in [
            "redis://a:x",
            "redis://a:70000",
            "redis://a/x",
            "redis://:%zz@a",
            "redis://:%f@a",
        ] {
            assert_eq!(url(text), Err(WRONG_NUMBER), "{text}");
        }
        assert_eq!(url("rediss://a"), Err(WRONG_TLS));
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = url("redis://me:secret@a").unwrap();
        assert!(!format!("{url} {url:?}").contains("secret"));
    }
}
