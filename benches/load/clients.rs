//! The subscribers: a table, and the one epoll thread that reads for them all.
//!
//! Edge-triggered, one `recv` a readiness: a read that comes back short has
//! emptied the socket, and a level-triggered poller would ask about each socket
//! twice. All read into one buffer; nothing is kept but each one's place.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::SendFlags;
use socket2::{Domain, Socket, Type};

use crate::clock::now_ns;
use crate::failure::{Context, Result, fail};
use crate::head::{Head, Taken};
use crate::histogram::Histogram;
use crate::sequence::{Scanner, Sequence};
use crate::totals::Totals;

/// Holds what a burst leaves in one socket.
const BUFFER_BYTES: usize = 512 * 1024;
const EPOLL_BATCH: usize = 1024;
/// Connects between two looks at the poller, so that reading goes on meanwhile.
const CONNECTS_PER_TURN: usize = 32;
/// Source addresses in turn, so that no run can use up one address's ports.
const SOURCES: usize = 16;

struct Subscriber {
    socket: Option<OwnedFd>,
    sequence: Sequence,
    head: Head,
}

/// How to connect.
pub struct Connecting<'a> {
    pub address: SocketAddr,
    pub request: &'a dyn Fn(usize) -> Vec<u8>,
    /// The event that each stream begins with.
    pub first: u32,
    /// How many may be without their response head at a time.
    pub window: usize,
    /// SO_RCVBUF of these sockets, 0 for the system's choice.
    pub receive_bytes: usize,
}

/// The table and its poller.
pub struct Clients {
    epoll: OwnedFd,
    ready: Vec<epoll::Event>,
    subscribers: Vec<Subscriber>,
    /// Requests whose socket was not connected yet.
    unsent: HashMap<usize, Vec<u8>>,
    buffer: Vec<u8>,
    scanner: Scanner,
    pub totals: Totals,
    /// Publish to receipt, for those not excluded; only filled when `timed`.
    pub latency: Histogram,
    pub timed: bool,
}

impl Clients {
    pub fn new() -> Result<Self> {
        Ok(Clients {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            ready: Vec::with_capacity(EPOLL_BATCH),
            subscribers: Vec::new(),
            unsent: HashMap::new(),
            buffer: vec![0; BUFFER_BYTES],
            scanner: Scanner::default(),
            totals: Totals::default(),
            latency: Histogram::default(),
            timed: false,
        })
    }

    pub fn len(&self) -> usize {
        self.subscribers.len()
    }

    /// Adds subscribers until there are `count`, and waits for all their heads.
    pub fn connect_up_to(&mut self, count: usize, how: &Connecting, limit: Duration) -> Result<()> {
        let first = self.subscribers.len();
        self.subscribers
            .extend((first..count).map(|_| Subscriber::idle()));
        self.connect(first..count, how, limit)
    }

    /// Adds subscribers that aren't connected.
    pub fn add(&mut self, count: usize) {
        self.subscribers
            .extend((0..count).map(|_| Subscriber::idle()));
    }

    /// Connects every subscriber of the table anew, as fast as can be, and waits
    /// for nothing.
    pub fn reconnect_all(&mut self, how: &Connecting) -> Result<()> {
        for index in 0..self.subscribers.len() {
            self.open(index, how).context("connect")?;
            if (index + 1) % CONNECTS_PER_TURN == 0 {
                self.turn(Duration::ZERO)?;
            }
        }
        Ok(())
    }

    fn connect(
        &mut self,
        range: std::ops::Range<usize>,
        how: &Connecting,
        limit: Duration,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        let already = self.totals.streaming + self.totals.refused;
        let total = range.len();
        let mut opened = 0;
        for index in range {
            self.open(index, how).context("connect")?;
            opened += 1;
            if opened % CONNECTS_PER_TURN == 0 {
                self.turn(Duration::ZERO)?;
            }
            while opened - (self.totals.streaming + self.totals.refused - already) >= how.window {
                self.turn(Duration::from_millis(20))?;
                if Instant::now() > deadline {
                    return fail(format!("only {opened} of {total} connected in time"));
                }
            }
        }
        self.run_until(deadline, |totals| {
            totals.streaming + totals.refused - already >= total
        })
        .context("waiting for response heads")
    }

    fn open(&mut self, index: usize, how: &Connecting) -> Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
        let source = Ipv4Addr::new(127, 0, 0, 2 + (index % SOURCES) as u8);
        if how.receive_bytes > 0 {
            socket.set_recv_buffer_size(how.receive_bytes)?;
        }
        // Closing resets: tens of thousands of ports in TIME_WAIT would weigh
        // on the next measurement.
        socket.set_linger(Some(Duration::ZERO))?;
        socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
        match socket.connect(&how.address.into()) {
            Ok(()) => {}
            Err(e) if e.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(e) => return Err(e.into()),
        }
        let socket: OwnedFd = socket.into();
        let request = (how.request)(index);
        let mut flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        // Over loopback the handshake is mostly done by now.
        match rustix::net::send(&socket, &request, SendFlags::NOSIGNAL) {
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::NOTCONN) => {
                flags |= epoll::EventFlags::OUT;
                self.unsent.insert(index, request);
            }
            Err(e) => return Err(e.into()),
        }
        epoll::add(
            &self.epoll,
            &socket,
            epoll::EventData::new_u64(index as u64),
            flags,
        )?;
        self.subscribers[index] = Subscriber {
            socket: Some(socket),
            sequence: Sequence::starting_at(how.first),
            head: Head::default(),
        };
        Ok(())
    }

    /// Turns until `done`, or fails at the deadline.
    pub fn run_until(
        &mut self,
        deadline: Instant,
        mut done: impl FnMut(&Totals) -> bool,
    ) -> Result<()> {
        while !done(&self.totals) {
            self.turn(Duration::from_millis(10))?;
            if Instant::now() > deadline {
                let before = self.totals.tally.in_order;
                // Were it this side that had overlooked them, it should say so.
                (0..self.subscribers.len()).for_each(|index| self.read(index, false));
                return fail(format!(
                    "timed out with {before} events in order, {} more unread, {} of {} streaming; {}",
                    self.totals.tally.in_order - before,
                    self.totals.streaming,
                    self.subscribers.len(),
                    self.totals.errors()
                ));
            }
        }
        Ok(())
    }

    /// Turns for so long.
    pub fn run_for(&mut self, duration: Duration) -> Result<()> {
        let until = Instant::now() + duration;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            self.turn(left.min(Duration::from_millis(50)))?;
        }
        Ok(())
    }

    /// Waits once, and reads once from everything that is ready.
    pub fn turn(&mut self, wait: Duration) -> Result<()> {
        let timeout = Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        self.ready.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.ready), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        for place in 0..self.ready.len() {
            let event = self.ready[place];
            let (data, flags) = (event.data, event.flags);
            let index = data.u64() as usize;
            if flags.contains(epoll::EventFlags::OUT) {
                self.send_unsent(index);
            }
            if flags.intersects(
                epoll::EventFlags::IN
                    | epoll::EventFlags::RDHUP
                    | epoll::EventFlags::HUP
                    | epoll::EventFlags::ERR,
            ) {
                let ended = flags.intersects(
                    epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR,
                );
                self.read(index, ended);
            }
        }
        Ok(())
    }

    fn send_unsent(&mut self, index: usize) {
        let (Some(request), Some(socket)) = (
            self.unsent.remove(&index),
            self.subscribers[index].socket.as_ref(),
        ) else {
            return;
        };
        match rustix::net::send(socket, &request, SendFlags::NOSIGNAL) {
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::NOTCONN) => {
                self.unsent.insert(index, request);
            }
            Err(_) => self.lose(index),
        }
    }

    fn read(&mut self, index: usize, ended: bool) {
        loop {
            let Some(socket) = self.subscribers[index].socket.as_ref() else {
                return;
            };
            match rustix::io::read(socket, &mut self.buffer[..]) {
                Ok(0) => return self.lose(index),
                Ok(count) => {
                    self.totals.reads += 1;
                    self.totals.bytes += count as u64;
                    self.take(index, count);
                    if count < self.buffer.len() && !ended {
                        return;
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => return self.lose(index),
            }
        }
    }

    fn take(&mut self, index: usize, count: usize) {
        let subscriber = &mut self.subscribers[index];
        let mut body = 0;
        if !subscriber.head.is_over() {
            match subscriber.head.take(&self.buffer[..count]) {
                Taken::All => return,
                Taken::Wrong => {
                    self.totals.refused += 1;
                    subscriber.socket = None;
                    return;
                }
                Taken::UpTo(at) => {
                    self.totals.streaming += 1;
                    body = at;
                }
            }
        }
        let before = self.totals.tally.in_order;
        let latency = &mut self.latency;
        let now = if self.timed { now_ns() } else { 0 };
        self.scanner.feed(
            &mut subscriber.sequence,
            &self.buffer[body..count],
            &mut self.totals.tally,
            |sent_ns| {
                if now > 0 {
                    latency.record(now.saturating_sub(sent_ns));
                }
            },
        );
        if self.totals.tally.in_order != before {
            self.totals.last_event_ns = if now > 0 { now } else { now_ns() };
        }
    }

    fn lose(&mut self, index: usize) {
        if self.subscribers[index].socket.take().is_some() {
            self.totals.closed += 1;
            if self.subscribers[index].head.is_over() {
                self.totals.streaming -= 1;
            }
        }
    }

    /// Resets every connection at once. The totals of events stay.
    pub fn cut_all(&mut self) {
        for subscriber in &mut self.subscribers {
            subscriber.socket = None;
        }
        self.unsent.clear();
        self.totals.streaming = 0;
    }

    /// Stops reading from a subscriber for good; its connection stays.
    pub fn pause(&mut self, index: usize) -> Result<()> {
        if let Some(socket) = self.subscribers[index].socket.as_ref() {
            epoll::delete(&self.epoll, socket)?;
        }
        Ok(())
    }
}

impl Subscriber {
    fn idle() -> Self {
        Subscriber {
            socket: None,
            sequence: Sequence::default(),
            head: Head::default(),
        }
    }
}
