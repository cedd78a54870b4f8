//! Listening sockets that a server is given instead of binding them: by systemd, or by the
//! server whose place it takes.

use std::os::fd::OwnedFd;

use listenfd::ListenFd;

/// What a socket can be given for, in the order of sockets without names.
const NAMES: [&str; 2] = ["public", "publish"];

/// Sockets that listen already. A listener without one binds its address.
#[derive(Default)]
pub struct Sockets {
    /// The public listener's.
    pub public: Option<GivenSocket>,
    /// The publishing listener's.
    pub publish: Option<GivenSocket>,
    /// The monitoring listener's.
    pub ops: Option<GivenSocket>,
    /// Asks that server to let go of the data directory. Never blocks.
    pub claim: Option<Box<dyn FnOnce()>>,
}

/// A socket that listens already.
#[derive(Debug)]
pub struct GivenSocket {
    /// The socket.
    pub fd: OwnedFd,
    /// Whether the file of a unix socket goes with this server.
    pub is_own: bool,
}

impl Sockets {
    /// The sockets of `LISTEN_FDS`, as systemd gives them: for what `LISTEN_FDNAMES` says,
    /// `public` or `publish`, or in this order where it says neither. Takes the variables
    /// out of the environment, so it has to be called before any thread is started.
    ///
    /// # Errors
    /// There are more sockets than listeners, or what is given isn't a stream socket: the
    /// text says what would be right.
    pub fn from_environment() -> Result<Sockets, String> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut given = ListenFd::from_env();
        let mut sockets = Sockets::default();
        for (index, name) in assign(&names, given.len())?.into_iter().enumerate() {
            let fd = take(&mut given, index)
                .ok_or_else(|| format!("LISTEN_FDS: the one for {name} is no stream socket"))?;
            let place = match name {
                "public" => &mut sockets.public,
                _ => &mut sockets.publish,
            };
            *place = Some(GivenSocket { fd, is_own: false });
        }
        Ok(sockets)
    }
}

fn take(given: &mut ListenFd, index: usize) -> Option<OwnedFd> {
    if let Ok(Some(listener)) = given.take_tcp_listener(index) {
        return Some(listener.into());
    }
    given.take_unix_listener(index).ok()?.map(OwnedFd::from)
}

/// What each of `count` sockets is for.
fn assign(names: &str, count: usize) -> Result<Vec<&'static str>, String> {
    let known = |name: &str| NAMES.into_iter().find(|known| *known == name);
    let names: Vec<&str> = names.split(':').collect();
    if names.contains(&"ops") {
        return Err(
            "LISTEN_FDNAMES: ops can't be given: the monitoring listener binds --ops \
                    by itself"
                .to_owned(),
        );
    }
    let right = "name one public and one publish (FileDescriptorName=), or give at most two \
                 without these names: the public one first";
    if !names.iter().any(|name| known(name).is_some()) {
        if count > NAMES.len() {
            return Err(format!("LISTEN_FDS: {count} sockets are too many: {right}"));
        }
        return Ok(NAMES[..count].to_vec());
    }
    let mut places = Vec::new();
    for name in names.iter().take(count) {
        match known(name) {
            Some(name) if !places.contains(&name) => places.push(name),
            Some(name) => return Err(format!("LISTEN_FDNAMES: two are called {name}: {right}")),
            None => return Err(format!("LISTEN_FDNAMES: {name:?} is no listener: {right}")),
        }
    }
    if places.len() < count {
        return Err(format!("LISTEN_FDNAMES: there are too few names: {right}"));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_told_apart_by_their_names_or_else_by_their_order() {
        assert_eq!(assign("", 0), Ok(vec![]));
        assert_eq!(assign("", 1), Ok(vec!["public"]));
        assert_eq!(assign("landfall.socket", 1), Ok(vec!["public"]));
        assert_eq!(assign("unknown:unknown", 2), Ok(vec!["public", "publish"]));
        assert_eq!(assign("publish", 1), Ok(vec!["publish"]));
        assert_eq!(assign("publish:public", 2), Ok(vec!["publish", "public"]));
    }

    #[test]
    fn sockets_that_nobody_could_use_are_refused_with_what_would_be_right() {
        for (names, count, part) in [
            ("", 3, "at most two"),
            ("public:public", 2, "two are called public"),
            ("public:web", 2, "\"web\""),
            ("public", 2, "too few names"),
            ("public:publish:ops", 3, "--ops"),
        ] {
            let error = assign(names, count).unwrap_err();
            assert!(error.contains(part), "{names}: {error}");
        }
    }
}
