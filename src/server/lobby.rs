//! Where connections wait until their first request is there. They cost an entry here
//! and no coroutine, so clients that are slow, or never say anything, take nothing from
//! those that do; and what nearly all come for, a stream, is parked straight from here.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::http::{Head, HeadError, HeadLimits, Response, Status, head};
use crate::routes::{self, Access, Label, Peer, Plan};
use crate::server::connection::{self, ConnectionConfig};
use crate::server::house::House;
use crate::sys::clock;
use crate::sys::coroutine::Starter;
use crate::sys::headcount::{Headcount, Presence};
use crate::sys::limit::Limit;
use crate::sys::order::sort_by_key;
use crate::sys::socket::Socket;

/// A read's buffer. A longer request is read in more than one.
const READ_BYTES: usize = 4096;

/// What those who have said nothing are given when no others are let in.
const GOODBYE: Duration = Duration::from_secs(1);

/// However many connections there are, each listener lets so many wait: its clients must
/// be able to come in through a crowd at another.
const GUESTS_MIN: usize = 32;

/// What a lobby needs to know.
pub struct LobbyConfig {
    /// Which requests are served.
    pub access: Access,
    /// How requests are read.
    pub connection: Arc<ConnectionConfig>,
    /// The most connections of all listeners that aren't streams. One more that waits
    /// takes the place of the one that has waited longest at its listener.
    pub connections: usize,
    /// The most conversations of this listener: 503 beyond it.
    pub conversations: usize,
}

/// The connections of one listener that wait.
pub struct Lobby {
    house: Arc<House>,
    config: LobbyConfig,
    guests: Vec<Option<Guest>>,
    free: Vec<usize>,
    /// The guests in the order in which they came. Those that have left since are
    /// passed by, by their ticket.
    queue: VecDeque<(usize, u64)>,
    /// The same of those whose addresses have more than their share: they go first.
    over: VecDeque<(usize, u64)>,
    next_ticket: u64,
    /// The conversations that came from here.
    conversations: Headcount,
    starter: &'static Starter,
    buffer: Vec<u8>,
}

/// A connection that waits.
struct Guest {
    socket: Socket,
    peer: Peer,
    ticket: u64,
    deadline: Instant,
    received: Vec<u8>,
    /// Counted as one that waits.
    _waiting: Option<Presence>,
}

impl Lobby {
    /// An empty lobby.
    ///
    /// # Errors
    /// The system gives no descriptor, or no memory, for what starts conversations.
    pub fn new(house: Arc<House>, config: LobbyConfig) -> io::Result<Lobby> {
        Ok(Lobby {
            house,
            config,
            guests: Vec::new(),
            free: Vec::new(),
            queue: VecDeque::new(),
            over: VecDeque::new(),
            next_ticket: 0,
            conversations: Headcount::default(),
            starter: Starter::get()?,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Takes a new connection in, or sees it off at once where its request is there.
    pub fn welcome(&mut self, socket: Socket, from: Option<IpAddr>, registry: &Registry) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let guest = Guest {
            socket,
            peer: self.house.context.quotas.peer(from),
            ticket,
            deadline: clock::after(self.config.connection.head_timeout),
            received: Vec::new(),
            _waiting: None,
        };
        let Some(mut guest) = self.listen_to(guest) else {
            return;
        };
        while self.is_crowded() && self.make_room(registry) {}
        let place = self.free.pop().unwrap_or_else(|| {
            self.guests.push(None);
            self.guests.len() - 1
        });
        let fd = guest.socket.as_raw_fd();
        if let Err(error) = registry.register(&mut SourceFd(&fd), Token(place), Interest::READABLE)
        {
            warn!("a connection can't be polled: {error}");
            self.free.push(place);
            return;
        }
        if guest.peer.is_over() {
            self.over.push_back((place, ticket));
        } else {
            self.queue.push_back((place, ticket));
        }
        guest._waiting = Some(self.house.census.waiting.one());
        self.guests[place] = Some(guest);
    }

    /// A connection that waits has something to say.
    pub fn attend(&mut self, place: usize, registry: &Registry) {
        let Some(guest) = self.guests.get_mut(place).and_then(Option::take) else {
            return;
        };
        let fd = guest.socket.as_raw_fd();
        match self.listen_to(guest) {
            Some(guest) => self.guests[place] = Some(guest),
            None => {
                // Where the socket has been closed, that has taken it out already.
                let _ = registry.deregister(&mut SourceFd(&fd));
                self.leave(place);
            }
        }
    }

    /// Sees off those who have waited too long. Returns when to look again.
    pub fn expire(&mut self, registry: &Registry) -> Option<Duration> {
        while self.is_crowded() && self.make_room(registry) {}
        let now = Instant::now();
        let next = |lobby: &mut Lobby, of_over: bool| {
            loop {
                let queue = if of_over { &lobby.over } else { &lobby.queue };
                let &(place, ticket) = queue.front()?;
                if let Some(guest) = &lobby.guests[place]
                    && guest.ticket == ticket
                {
                    if guest.deadline > now {
                        return Some(guest.deadline - now);
                    }
                    lobby.send_away(place, ticket);
                }
                if of_over {
                    lobby.over.pop_front()
                } else {
                    lobby.queue.pop_front()
                };
            }
        };
        let (over, others) = (next(self, true), next(self, false));
        over.into_iter().chain(others).min()
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
        sort_by_key(self.queue.make_contiguous(), deadline);
        sort_by_key(self.over.make_contiguous(), deadline);
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.guests.len() == self.free.len()
    }

    /// Sends one away who has waited longest. False where nobody waits.
    pub fn make_room(&mut self, registry: &Registry) -> bool {
        while let Some((place, ticket)) = self.over.pop_front().or_else(|| self.queue.pop_front()) {
            if !self.is_there(place, ticket) {
                continue;
            }
            // What it asks for may have come, and not been looked at yet.
            self.attend(place, registry);
            if self.send_away(place, ticket) {
                return true;
            }
        }
        false
    }

    fn is_there(&self, place: usize, ticket: u64) -> bool {
        let guest = self.guests[place].as_ref();
        guest.is_some_and(|guest| guest.ticket == ticket)
    }

    /// Finds the places of those whom a panic took.
    pub fn recount(&mut self) {
        let places = 0..self.guests.len();
        self.free = places
            .filter(|&place| self.guests[place].is_none())
            .collect();
    }

    /// Whether somebody has to go before another may wait.
    fn is_crowded(&self) -> bool {
        let census = &self.house.census;
        let all = census.waiting.get() + census.conversations.get();
        self.guests.len() - self.free.len() >= GUESTS_MIN && all >= self.config.connections
    }

    /// Reads what there is. Returns the guest where it has to wait on.
    fn listen_to(&mut self, mut guest: Guest) -> Option<Guest> {
        let mut received = std::mem::take(&mut guest.received);
        loop {
            let length = match guest.socket.receive(&mut self.buffer) {
                // It closed before it asked for anything.
                Ok(0) if received.is_empty() => return None,
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    guest.received = received;
                    return Some(guest);
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
            let is_whole = match parse(bytes, self.config.connection.head) {
                Ok(None) => false,
                Ok(Some(head))
                    if routes::is_for_stream(
                        &head,
                        self.config.access,
                        &self.house.context.base,
                    ) =>
                {
                    match self.answer_stream(&head, guest) {
                        Some(there) => guest = there,
                        None => return None,
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
        guest.received = received;
        self.converse(guest);
        None
    }

    /// Sees a stream off to its shard, or its client home. Returns the guest where a
    /// conversation has to answer it.
    fn answer_stream(&self, head: &Head<'_>, guest: Guest) -> Option<Guest> {
        let decided = connection::plan(&self.house, head, self.config.access, &guest.peer);
        let (route, plan) = match decided {
            Some(decided) => decided,
            None => return Some(guest),
        };
        let status = match plan {
            Plan::Stream(opening, stream) => {
                self.house.park(guest.socket, guest.peer, opening, stream);
                Status::Ok
            }
            // Without a conversation, of which there may be too many: a stream must not
            // get a 503 for it.
            Plan::EmptyStream(bytes) => {
                connection::send_last(&guest.socket, &bytes);
                Status::Ok
            }
            Plan::Answer(response) if guest.peer.is_over() || self.is_full() => {
                let gate = self.house.context.gate();
                let response = response.with_lines(gate.cors_lines(head, self.config.access));
                connection::turn_away(&guest.socket, &response);
                response.status
            }
            _ => return Some(guest),
        };
        self.house.answered(route, status);
        None
    }

    fn converse(&self, guest: Guest) {
        let Guest {
            socket,
            peer,
            received,
            ..
        } = guest;
        let refusal = if peer.is_over() {
            Some((Limit::ConnectionsPerAddress, Status::TooManyRequests))
        } else if self.is_full() {
            Some((Limit::Connections, Status::Unavailable))
        } else {
            None
        };
        if let Some((limit, status)) = refusal {
            self.house.context.jobs.hub().metrics().refused(limit);
            let seconds = self
                .house
                .context
                .rules()
                .busy_retry
                .as_secs()
                .max(1)
                .to_string();
            let response = Response::error(status, &limit.to_string());
            let gate = self.house.context.gate();
            let cors = gate.cors_lines_for(head::origin_of(&received), self.config.access);
            let response = response.with("Retry-After", seconds).with_lines(cors);
            self.house.answered(Label::NONE, status);
            connection::turn_away(&socket, &response);
            return;
        }
        let census = &self.house.census;
        let counted = (census.conversations.one(), self.conversations.one());
        // Its request is whole: a stop waits for the answer from here on.
        let unanswered = census.unanswered.one();
        let (house, config) = (self.house.clone(), self.config.connection.clone());
        let access = self.config.access;
        self.starter.start(move || {
            let caller = (socket, peer);
            connection::serve(caller, received, access, house, &config, unanswered);
            drop(counted);
        });
    }

    /// Whether there is no room for another conversation.
    fn is_full(&self) -> bool {
        self.conversations.get() >= self.config.conversations
            || self.house.census.conversations.get() >= self.config.connections
    }

    /// Closes a connection that has waited too long, with an answer if it has begun to
    /// ask for something. False where it has left.
    fn send_away(&mut self, place: usize, ticket: u64) -> bool {
        let guest = &mut self.guests[place];
        let Some(guest) = guest.take_if(|guest| guest.ticket == ticket) else {
            return false;
        };
        self.leave(place);
        if !guest.received.is_empty() {
            let message = "the request's head wasn't whole in time: send it at once";
            let response = Response::error(Status::RequestTimeout, message);
            self.house.answered(Label::NONE, Status::RequestTimeout);
            connection::turn_away(&guest.socket, &response);
        }
        true
    }

    fn leave(&mut self, place: usize) {
        self.free.push(place);
    }
}

fn parse(bytes: &[u8], limits: HeadLimits) -> Result<Option<Head<'_>>, HeadError> {
    Ok(Head::parse(bytes, limits)?.map(|(head, _)| head))
}
