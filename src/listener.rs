//! A listening socket, TCP or unix, and the thread that accepts from it.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{Shutdown, SocketFlags};
use socket2::{Domain, Protocol, Type};

use crate::connection::{self, ConnectionConfig, First};
use crate::coroutine;
use crate::metrics::Gauge;
use crate::routes::{Access, Context};
use crate::socket::Socket;

/// Connections that wait to be accepted; the kernel's own limit may be lower.
const BACKLOG: i32 = 4096;
/// How long to wait after a failed accept, for want of file descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// A request that is there at once is read with this; a longer one is read on.
const FIRST_REQUEST_BYTES: usize = 4096;
/// Who may connect to a unix socket: its owner and group.
const SOCKET_MODE: u32 = 0o660;

/// Where to listen, or where it is listened: an address and port, or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address and a port; port 0 picks a free one.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// A socket that listens and isn't accepted from yet: clients wait meanwhile.
pub struct Listener {
    fd: OwnedFd,
    address: Address,
}

/// A thread that accepts.
pub struct Acceptor {
    listener: Arc<Listener>,
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("unix: needs a path, as in unix:/run/landfall.sock".to_owned()),
            Some(path) => Ok(Address::Unix(path.into())),
            None => text.parse().map(Address::Tcp).map_err(|_| {
                format!(
                    "{text:?} is no address: use IP:PORT, as in 127.0.0.1:8080 or [::1]:8080, \
                     or unix:PATH"
                )
            }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "http://{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listener {
    /// Listens at `address`. The file of a unix socket that nobody listens at any more
    /// is replaced.
    ///
    /// # Errors
    /// The address is in use, or not to be had.
    pub fn bind(address: &Address) -> io::Result<Listener> {
        match address {
            Address::Tcp(address) => {
                let socket = socket2::Socket::new(
                    Domain::for_address(*address),
                    Type::STREAM.cloexec(),
                    Some(Protocol::TCP),
                )?;
                socket.set_reuse_address(true)?;
                // Accepted sockets inherit it: a frame goes out when it is written.
                socket.set_tcp_nodelay(true)?;
                socket.bind(&(*address).into())?;
                socket.listen(BACKLOG)?;
                let listener = TcpListener::from(socket);
                let address = Address::Tcp(listener.local_addr()?);
                Ok(Listener {
                    fd: listener.into(),
                    address,
                })
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, PermissionsExt::from_mode(SOCKET_MODE))?;
                Ok(Listener {
                    fd: listener.into(),
                    address: address.clone(),
                })
            }
        }
    }

    /// Where it listens, with the port that was picked.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Starts to accept.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn accept(
        self,
        access: Access,
        context: Arc<Context>,
        config: Arc<ConnectionConfig>,
        connections_max: usize,
    ) -> io::Result<Acceptor> {
        let listener = Arc::new(self);
        let is_stopped = Arc::new(AtomicBool::new(false));
        let loop_ = AcceptLoop {
            listener: listener.clone(),
            is_stopped: is_stopped.clone(),
            access,
            context,
            config,
            connections_max,
        };
        let thread = std::thread::Builder::new()
            .name(format!("accept-{access:?}"))
            .spawn(move || loop_.run())?;
        Ok(Acceptor {
            listener,
            is_stopped,
            thread,
        })
    }
}

impl Acceptor {
    /// Stops accepting, and closes the listening socket. Blocks until it is closed.
    pub fn stop(self) {
        self.is_stopped.store(true, Ordering::Release);
        // It wakes the thread: accept fails from now on.
        let _ = rustix::net::shutdown(&self.listener.fd, Shutdown::Both);
        let _ = self.thread.join();
        if let Address::Unix(path) = &self.listener.address {
            let _ = std::fs::remove_file(path);
        }
    }
}

struct AcceptLoop {
    listener: Arc<Listener>,
    is_stopped: Arc<AtomicBool>,
    access: Access,
    context: Arc<Context>,
    config: Arc<ConnectionConfig>,
    connections_max: usize,
}

impl AcceptLoop {
    fn run(&self) {
        let mut buffer = vec![0; FIRST_REQUEST_BYTES];
        let flags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);
        let metrics = self.context.hub.metrics().clone();
        while !self.is_stopped.load(Ordering::Acquire) {
            match rustix::net::accept_with(&self.listener.fd, flags) {
                Ok(fd) => {
                    metrics.connections_accepted.add(1);
                    self.welcome(Socket::new(fd), &mut buffer);
                }
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => {}
                Err(_) if self.is_stopped.load(Ordering::Acquire) => return,
                Err(error) => {
                    metrics.accept_errors.add(1);
                    log::warn!("{}: accept: {error}", self.listener.address);
                    std::thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
    }

    fn welcome(&self, socket: Socket, buffer: &mut [u8]) {
        let received = match socket.receive(buffer) {
            Ok(0) => return,
            Ok(length) => &buffer[..length],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => &[],
            Err(_) => return,
        };
        let (access, context) = (self.access, &self.context);
        let first = connection::park_if_stream(socket, received, access, context, &self.config);
        let First::Conversation(socket) = first else {
            return;
        };
        let place = Place::take(context);
        if place.0.metrics().connections_open.get() > self.connections_max as i64 {
            connection::refuse(&socket, self.context.busy_retry);
            return;
        }
        let (context, config) = (context.clone(), self.config.clone());
        let received = received.to_vec();
        let spawned = coroutine::spawn(move || {
            connection::serve(socket, received, access, context, &config);
            drop(place);
        });
        if let Err(error) = spawned {
            log::warn!("no coroutine for a connection: {error}");
        }
    }
}

/// A connection's place among those that are counted.
struct Place(crate::hub::Hub);

impl Place {
    fn take(context: &Context) -> Place {
        Place::gauge(&context.hub).add(1);
        Place(context.hub.clone())
    }

    fn gauge(hub: &crate::hub::Hub) -> &Gauge {
        &hub.metrics().connections_open
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        Place::gauge(&self.0).add(-1);
    }
}

/// Removes the file of a unix socket that nobody listens at.
fn remove_stale(path: &Path) -> io::Result<()> {
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("another server listens at {}", path.display()),
        )),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_and_port_or_a_path() {
        let parse = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(parse("127.0.0.1:0"), Ok("http://127.0.0.1:0".into()));
        assert_eq!(parse("[::1]:80"), Ok("http://[::1]:80".into()));
        assert_eq!(parse("unix:/a b"), Ok("unix:/a b".into()));
        for bad in ["", "8080", "localhost", "unix:", "1.2.3.4"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_socket_file_is_replaced_only_when_nobody_listens() {
        let directory = tempfile::tempdir().unwrap();
        let address = Address::Unix(directory.path().join("socket"));
        let first = Listener::bind(&address).unwrap();
        assert!(Listener::bind(&address).is_err());
        drop(first);
        assert!(Listener::bind(&address).is_ok());
    }
}
