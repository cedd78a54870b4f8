//! Where connections wait until their first request is there. They cost an entry here
//! and no coroutine, so clients that are slow, or never say anything, take nothing from
//! those that do; and what nearly all come for, a stream, is parked straight from here.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::connection::{self, ConnectionConfig};
use crate::coroutine;
use crate::http::{Head, Method, Response, Status};
use crate::hub::Hub;
use crate::routes::{Access, Context, Plan};
use crate::socket::Socket;

/// A read's buffer. A longer request is read in more than one.
const READ_BYTES: usize = 4096;

/// What those who have said nothing are given when no others are let in.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a lobby needs to know.
pub struct LobbyConfig {
    /// Which requests are served.
    pub access: Access,
    /// How requests are read.
    pub connection: Arc<ConnectionConfig>,
    /// The most connections that wait here. One more takes the place of the one that
    /// has waited longest.
    pub waiting: usize,
    /// The most conversations, of all listeners together: 503 beyond it.
    pub conversations: usize,
}

/// The connections of one listener that wait.
pub struct Lobby {
    context: Arc<Context>,
    config: LobbyConfig,
    guests: Vec<Option<Guest>>,
    free: Vec<usize>,
    /// The guests in the order in which they came. Those that have left since are
    /// passed by, by their ticket.
    queue: VecDeque<(usize, u64)>,
    next_ticket: u64,
    buffer: Vec<u8>,
}

/// A connection that waits.
struct Guest {
    socket: Socket,
    ticket: u64,
    deadline: Instant,
    received: Vec<u8>,
}

impl Lobby {
    /// An empty lobby.
    pub fn new(context: Arc<Context>, config: LobbyConfig) -> Lobby {
        Lobby {
            context,
            config,
            guests: Vec::new(),
            free: Vec::new(),
            queue: VecDeque::new(),
            next_ticket: 0,
            buffer: vec![0; READ_BYTES],
        }
    }

    /// Takes a new connection in, or sees it off at once where its request is there.
    pub fn welcome(&mut self, socket: Socket, registry: &Registry) {
        let Some((socket, received)) = self.listen_to(socket, Vec::new()) else {
            return;
        };
        while self.guests.len() - self.free.len() >= self.config.waiting
            && let Some((place, ticket)) = self.queue.pop_front()
        {
            self.send_away(place, ticket);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.guests.push(None);
            self.guests.len() - 1
        });
        let fd = socket.as_raw_fd();
        if let Err(error) = registry.register(&mut SourceFd(&fd), Token(place), Interest::READABLE)
        {
            log::warn!("a connection can't be polled: {error}");
            self.free.push(place);
            return;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let deadline = Instant::now() + self.config.connection.head_timeout;
        self.guests[place] = Some(Guest {
            socket,
            ticket,
            deadline,
            received,
        });
        self.queue.push_back((place, ticket));
    }

    /// A connection that waits has something to say.
    pub fn attend(&mut self, place: usize, registry: &Registry) {
        let Some(Guest {
            socket,
            ticket,
            deadline,
            received,
        }) = self.guests.get_mut(place).and_then(Option::take)
        else {
            return;
        };
        let fd = socket.as_raw_fd();
        match self.listen_to(socket, received) {
            Some((socket, received)) => {
                self.guests[place] = Some(Guest {
                    socket,
                    ticket,
                    deadline,
                    received,
                });
            }
            None => {
                // Where the socket has been closed, that has taken it out already.
                let _ = registry.deregister(&mut SourceFd(&fd));
                self.free.push(place);
            }
        }
    }

    /// Sees off those who have waited too long. Returns when to look again.
    pub fn expire(&mut self) -> Option<Duration> {
        let now = Instant::now();
        while let Some(&(place, ticket)) = self.queue.front() {
            match &self.guests[place] {
                Some(guest) if guest.ticket == ticket => {
                    if guest.deadline > now {
                        return Some(guest.deadline - now);
                    }
                    self.send_away(place, ticket);
                }
                _ => {}
            }
            self.queue.pop_front();
        }
        None
    }

    /// Nobody else comes: who has connected but hasn't said anything is given a moment.
    pub fn close(&mut self) {
        let last = Instant::now() + GOODBYE;
        let silent = self.guests.iter_mut().flatten();
        for guest in silent.filter(|guest| guest.received.is_empty()) {
            guest.deadline = guest.deadline.min(last);
        }
        let guests = &self.guests;
        let deadline = |&(place, _): &(usize, u64)| guests[place].as_ref().map(|g| g.deadline);
        self.queue.make_contiguous().sort_by_key(deadline);
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.guests.len() == self.free.len()
    }

    /// Reads what there is. Returns the connection where it has to wait on.
    fn listen_to(&mut self, socket: Socket, mut received: Vec<u8>) -> Option<(Socket, Vec<u8>)> {
        loop {
            let length = match socket.receive(&mut self.buffer) {
                // It closed before it asked for anything.
                Ok(0) if received.is_empty() => return None,
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Some((socket, received));
                }
                Err(_) => return None,
            };
            // Nearly always the request is whole and alone, and needs no copy.
            let is_first = received.is_empty();
            if !is_first {
                received.extend_from_slice(&self.buffer[..length]);
            }
            let bytes = if is_first {
                &self.buffer[..length]
            } else {
                &received[..]
            };
            let is_whole = match Head::parse(bytes, self.config.connection.head) {
                Ok(None) => false,
                Ok(Some((head, _))) if is_stream_request(&head) => {
                    let decided = connection::plan(&self.context, &head, self.config.access);
                    if let Some((route, Plan::Stream(opening, stream))) = decided {
                        self.context.hub.metrics().answered(route, Status::Ok);
                        self.context.park(socket, opening, stream);
                        return None;
                    }
                    // The conversation decides anew: this decision has changed nothing.
                    true
                }
                Ok(Some(_)) | Err(_) => true,
            };
            if is_first {
                received.extend_from_slice(&self.buffer[..length]);
            }
            if is_whole {
                break;
            }
        }
        self.converse(socket, received);
        None
    }

    fn converse(&self, socket: Socket, received: Vec<u8>) {
        let place = Conversation::begin(&self.context.hub);
        if place.0.metrics().connections_open.get() > self.config.conversations as i64 {
            let message = "there are too many connections: try again later";
            let seconds = self.context.busy_retry.as_secs().max(1).to_string();
            let response = Response::error(Status::Unavailable, message);
            connection::turn_away(&socket, &response.with("Retry-After", seconds));
            return;
        }
        let (context, config) = (self.context.clone(), self.config.connection.clone());
        let access = self.config.access;
        // Its request is whole: a stop waits for the answer from here on.
        let active = self.context.hub.metrics().clone();
        active.requests_active.add(1);
        let spawned = coroutine::spawn(move || {
            connection::serve(socket, received, access, context, &config);
            drop(place);
        });
        if let Err(error) = spawned {
            active.requests_active.add(-1);
            log::warn!("no coroutine for a connection: {error}");
        }
    }

    /// Closes a connection that has waited too long, with an answer if it has begun to
    /// ask for something.
    fn send_away(&mut self, place: usize, ticket: u64) {
        let guest = &mut self.guests[place];
        if guest.as_ref().is_some_and(|guest| guest.ticket == ticket)
            && let Some(guest) = guest.take()
        {
            self.free.push(place);
            if !guest.received.is_empty() {
                let message = "the request's head wasn't whole in time";
                let response = Response::error(Status::RequestTimeout, message);
                connection::turn_away(&guest.socket, &response);
            }
        }
    }
}

fn is_stream_request(head: &Head<'_>) -> bool {
    head.method == Method::Get && head.target.path().ends_with("/events")
}

/// A conversation's place among those that are counted.
struct Conversation(Hub);

impl Conversation {
    fn begin(hub: &Hub) -> Conversation {
        hub.metrics().connections_open.add(1);
        Conversation(hub.clone())
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.0.metrics().connections_open.add(-1);
    }
}
