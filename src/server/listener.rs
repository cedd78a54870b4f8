//! A listening socket, TCP or unix, and the thread that accepts from it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, SockAddr, Type};

use crate::http::Address;
use crate::server::house::House;
use crate::server::lobby::{Lobby, LobbyConfig};
use crate::server::sockets::GivenSocket;
use crate::sys::channel::Sender;
use crate::sys::metrics::Metrics;
use crate::sys::socket::Socket;
use crate::sys::vital;

/// Connections that wait to be accepted; the kernel's own limit may be lower.
const BACKLOG: i32 = 4096;
/// How long to wait after a failed accept, for want of file descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// How often that is logged, at most.
const COMPLAINTS_APART: Duration = Duration::from_secs(10);
/// Socket events taken from the kernel at a time.
const EVENTS_MAX: usize = 64;
/// Connections accepted before those that wait are looked at again.
const ACCEPTS_MAX: usize = 64;
/// The longest silence that the kernel counts: 24 days and a half, in milliseconds.
const SILENCE_MAX: Duration = Duration::from_millis(i32::MAX as u64);
const LISTENER: Token = Token(usize::MAX - 1);
const WAKER: Token = Token(usize::MAX);
/// Who may connect to a unix socket: its owner and group.
const SOCKET_MODE: u32 = 0o660;

/// What accepted TCP connections are given.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    /// What the kernel holds for a client that reads slowly, in bytes; Linux counts
    /// its own needs in and doubles it.
    pub send_buffer_bytes: usize,
    /// A peer that acknowledges nothing of what it was sent for so long has vanished.
    pub silence: Duration,
}

/// A socket that listens and isn't accepted from yet: clients wait meanwhile.
pub struct Listener {
    fd: OwnedFd,
    address: Address,
    /// Whether a unix socket's file is removed with it.
    is_own: bool,
}

/// A thread that accepts.
pub struct Acceptor {
    /// The file to be removed with it.
    file: Option<PathBuf>,
    /// Another handle to the socket, until it is closed.
    fd: Option<OwnedFd>,
    door: Arc<Door>,
    thread: JoinHandle<()>,
}

/// What is said to the thread from outside.
struct Door {
    waker: Waker,
    is_closed: AtomicBool,
    /// Nobody is waited for any more.
    is_cut: AtomicBool,
    knocks: Mutex<Vec<Sender<()>>>,
}

/// A handle that asks an acceptor whether it is alive.
#[derive(Clone)]
pub struct Knocker(Arc<Door>);

impl Listener {
    /// Listens at `address`. The file of a unix socket that nobody listens at any more
    /// is replaced.
    ///
    /// # Errors
    /// The address is in use, or not to be had; or it is none.
    pub fn bind(address: &Address, options: SocketOptions) -> io::Result<Listener> {
        match address {
            Address::Tcp(address) => {
                let socket = socket2::Socket::new(
                    Domain::for_address(*address),
                    Type::STREAM.cloexec(),
                    Some(Protocol::TCP),
                )?;
                socket.set_reuse_address(true)?;
                options.set(&socket)?;
                socket.bind(&(*address).into())?;
                socket.listen(BACKLOG)?;
                socket.set_nonblocking(true)?;
                let listener = TcpListener::from(socket);
                let address = Address::Tcp(listener.local_addr()?);
                Ok(Listener {
                    fd: listener.into(),
                    address,
                    is_own: true,
                })
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                let socket = bind_unix(path)?;
                std::fs::set_permissions(path, PermissionsExt::from_mode(SOCKET_MODE))?;
                socket.listen(BACKLOG)?;
                socket.set_nonblocking(true)?;
                let listener = UnixListener::from(OwnedFd::from(socket));
                Ok(Listener {
                    fd: listener.into(),
                    address: address.clone(),
                    is_own: true,
                })
            }
            Address::Host(_) => {
                let message = "a listener needs an IP address, as in 127.0.0.1:8080";
                Err(io::Error::new(io::ErrorKind::InvalidInput, message))
            }
            Address::Off => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    /// Listens with a socket that listens already.
    ///
    /// # Errors
    /// It is no TCP or unix socket that listens.
    pub fn given(given: GivenSocket, options: SocketOptions) -> io::Result<Listener> {
        let socket = socket2::Socket::from(given.fd);
        if !socket.is_listener()? || socket.r#type()? != Type::STREAM {
            let message = "the socket that was given doesn't listen for streams";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let name = socket.local_addr()?;
        let address = match (name.as_socket(), name.as_pathname()) {
            (Some(address), _) => {
                options.set(&socket)?;
                Address::Tcp(address)
            }
            (None, path) => Address::Unix(path.unwrap_or(Path::new("")).to_owned()),
        };
        // The longer queue counts.
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(Listener {
            fd: socket.into(),
            address,
            is_own: given.is_own,
        })
    }

    /// Its socket, where it listens, and whether a unix socket's file is removed with it.
    pub fn into_parts(self) -> (OwnedFd, Address, bool) {
        (self.fd, self.address, self.is_own)
    }

    /// Where it listens, with the port that was picked.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Starts to accept, on a thread of its own.
    ///
    /// # Errors
    /// The system gives no thread or no poller.
    pub fn accept(self, house: Arc<House>, config: LobbyConfig) -> io::Result<Acceptor> {
        let poll = Poll::new()?;
        let fd = self.fd.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&fd), LISTENER, Interest::READABLE)?;
        let door = Arc::new(Door {
            waker: Waker::new(poll.registry(), WAKER)?,
            is_closed: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            knocks: Mutex::new(Vec::new()),
        });
        let file = match &self.address {
            Address::Unix(path) if self.is_own => Some(path.clone()),
            _ => None,
        };
        let handle = self.fd.try_clone()?;
        let accepting = Accepting {
            address: self.address,
            door: door.clone(),
            metrics: house.metrics().clone(),
            lobby: Lobby::new(house, config)?,
            poll,
            next_complaint: None,
        };
        let thread = vital::spawn("accept", move || accepting.run(self.fd))?;
        Ok(Acceptor {
            file,
            fd: Some(handle),
            door,
            thread,
        })
    }
}

impl SocketOptions {
    /// Accepted sockets inherit all of these.
    fn set(&self, listener: &socket2::Socket) -> io::Result<()> {
        // A frame goes out when it is written.
        listener.set_tcp_nodelay(true)?;
        listener.set_send_buffer_size(self.send_buffer_bytes)?;
        listener.set_tcp_user_timeout(Some(self.silence.min(SILENCE_MAX)))
    }
}

impl Acceptor {
    /// A handle to the listening socket, for another process. None where it is closed.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(OwnedFd::as_fd)
    }

    /// Whether the file of a unix socket goes with it.
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// A handle that asks whether it is alive.
    pub fn knocker(&self) -> Knocker {
        Knocker(self.door.clone())
    }

    /// Leaves the file of a unix socket where it is: another process listens at it.
    pub fn keep_file(&mut self) {
        self.file = None;
    }

    /// Stops accepting, and closes the listening socket. Whoever has connected can still
    /// make a request. Never blocks.
    pub fn close(&mut self) {
        if let Some(path) = self.file.take() {
            remove_own(&path);
        }
        self.fd = None;
        self.door.is_closed.store(true, Ordering::Release);
        let _ = self.door.waker.wake();
    }

    /// Whether it is closed and nobody waits there any more.
    pub fn is_empty(&self) -> bool {
        self.thread.is_finished()
    }

    /// Closes it and the connections that wait. Blocks until that is done.
    pub fn stop(mut self) {
        self.door.is_cut.store(true, Ordering::Release);
        self.close();
        let _ = self.thread.join();
    }
}

impl Knocker {
    /// Has the thread send something when it comes to it.
    pub fn knock(&self, answer: Sender<()>) {
        self.0.knocks.lock().push(answer);
        let _ = self.0.waker.wake();
    }
}

struct Accepting {
    address: Address,
    door: Arc<Door>,
    metrics: Arc<Metrics>,
    lobby: Lobby,
    poll: Poll,
    next_complaint: Option<Instant>,
}

impl Accepting {
    fn run(mut self, fd: OwnedFd) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        // The poller tells of new connections once: they are pending until none is left.
        let mut pause = None;
        while !self.door.is_closed.load(Ordering::Acquire) {
            let timeout = pause.or_else(|| self.expire());
            if self.turn(&mut events, timeout) {
                pause = Some(Duration::ZERO);
            }
            if pause.is_some() {
                pause = self.accept_some(&fd);
            }
        }
        // Another process may hold the socket: the poller would go on telling of it.
        let raw = fd.as_raw_fd();
        let _ = self.poll.registry().deregister(&mut SourceFd(&raw));
        drop(fd);
        self.lobby.close();
        while !self.door.is_cut.load(Ordering::Acquire) {
            let timeout = self.expire();
            // Where the last has been seen off, nothing happens any more.
            if self.lobby.is_empty() {
                break;
            }
            self.turn(&mut events, timeout);
        }
    }

    /// Sees off those who have waited too long. Returns when to look again.
    fn expire(&mut self) -> Option<Duration> {
        let next = self.guarded(Lobby::expire);
        next.unwrap_or(Some(Duration::ZERO))
    }

    /// Waits for something to happen, and attends to those who wait. Says whether there are new
    /// connections.
    fn turn(&mut self, events: &mut Events, timeout: Option<Duration>) -> bool {
        let mut is_sought = false;
        match self.poll.poll(events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return false,
            Err(error) => error!("{}: poll: {error}", self.address),
        }
        for event in &*events {
            match event.token() {
                WAKER => {
                    for answer in self.door.knocks.lock().drain(..) {
                        let _ = answer.try_send(());
                    }
                }
                LISTENER => is_sought = true,
                Token(place) => {
                    self.guarded(|lobby, registry| lobby.attend(place, registry));
                }
            }
        }
        is_sought
    }

    /// Accepts what waits, as far as a turn goes. Returns how long to pause before the
    /// rest; none where nobody waits any more.
    fn accept_some(&mut self, fd: &OwnedFd) -> Option<Duration> {
        for _ in 0..ACCEPTS_MAX {
            match self.accept_one(fd) {
                Ok(()) | Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => return None,
                // Where there is no descriptor, the system says that first.
                Err(_) if !is_awaited(fd) => return None,
                Err(error) => {
                    self.metrics.accept_errors.add(1);
                    self.complain(error);
                    // Who has asked for nothing yet makes room for those who may. Where
                    // nobody does, whoever waits to be accepted goes on waiting.
                    let is_full = matches!(error, Errno::MFILE | Errno::NFILE);
                    if !(is_full && self.guarded(Lobby::make_room).unwrap_or(true)) {
                        return Some(ACCEPT_PAUSE);
                    }
                }
            }
        }
        Some(Duration::ZERO)
    }

    /// Says why nothing could be accepted, now and then.
    fn complain(&mut self, error: Errno) {
        let now = Instant::now();
        if self.next_complaint.is_none_or(|next| next <= now) {
            self.next_complaint = Some(now + COMPLAINTS_APART);
            warn!(
                "{}: accept: {error}: where files are too many, raise the limit on open files \
                 or lower --max-streams",
                self.address
            );
        }
    }

    /// A panic costs the connection that it happens at, and not all those that wait.
    fn guarded<T>(&mut self, act: impl FnOnce(&mut Lobby, &Registry) -> T) -> Option<T> {
        let (lobby, registry) = (&mut self.lobby, self.poll.registry());
        let done = catch_unwind(AssertUnwindSafe(|| act(lobby, registry)));
        if done.is_err() {
            self.metrics.panics.add(1);
            self.lobby.recount();
        }
        done.ok()
    }

    fn accept_one(&mut self, fd: &OwnedFd) -> Result<(), Errno> {
        let flags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);
        let (fd, from) = rustix::net::acceptfrom_with(fd, flags)?;
        self.metrics.connections_accepted.add(1);
        let from = from.and_then(|address| SocketAddr::try_from(address).ok());
        let from = from.map(|address| address.ip());
        let socket = Socket::new(fd);
        self.guarded(|lobby, registry| lobby.welcome(socket, from, registry));
        Ok(())
    }
}

/// Whether anybody waits to be accepted.
fn is_awaited(fd: &OwnedFd) -> bool {
    let mut listener = [PollFd::new(fd, PollFlags::IN)];
    // Where that can't be told, accepting tells.
    poll(&mut listener, Some(&Timespec::default())).map_or(true, |ready| ready > 0)
}

/// A unix socket whose file has its mode in the moment that it is there, less the umask: at
/// no time may anyone else connect.
fn bind_unix(path: &Path) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(SOCKET_MODE))?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// Removes the file of a unix socket that nobody listens at.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(there) if there.file_type().is_socket() => {}
        Ok(_) => {
            let message = format!("{} is there and is no socket", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
    }
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

/// Removes the file of this server's own socket, and nothing that is there in its place.
pub fn remove_own(path: &Path) {
    if std::fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket()) {
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: SocketOptions = SocketOptions {
        send_buffer_bytes: 65536,
        silence: Duration::from_secs(30),
    };

    #[test]
    fn a_socket_file_is_replaced_only_when_nobody_listens() {
        let directory = tempfile::tempdir().unwrap();
        let address = Address::Unix(directory.path().join("socket"));
        let options = OPTIONS;
        let first = Listener::bind(&address, options).unwrap();
        assert!(Listener::bind(&address, options).is_err());
        drop(first);
        assert!(Listener::bind(&address, options).is_ok());
    }

    #[test]
    fn what_is_no_socket_stays_where_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let precious = directory.path().join("precious");
        std::fs::write(&precious, "data").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&precious, &link).unwrap();
        let folder = directory.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        for path in [&precious, &link, &folder] {
            let address = Address::Unix(path.clone());
            let error = Listener::bind(&address, OPTIONS).err().unwrap();
            assert!(error.to_string().contains("no socket"), "{error}");
            remove_own(path);
        }
        assert_eq!(std::fs::read_to_string(&link).unwrap(), "data");
    }

    #[test]
    fn a_socket_is_its_users_and_groups_from_its_first_moment() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _socket = bind_unix(&path).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        // Whatever the umask, nobody else has any right.
        assert_eq!(mode(&path) & !SOCKET_MODE, 0);
        std::fs::remove_file(&path).unwrap();
        let _listener = Listener::bind(&Address::Unix(path.clone()), OPTIONS).unwrap();
        assert_eq!(mode(&path), SOCKET_MODE);
    }
}
