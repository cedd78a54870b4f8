//! A shard: the subscribers that are parked, a row each, and the thread that serves
//! them.
//!
//! A turn takes what was posted, then serves jobs with news and rows that are behind,
//! a slice at a time, and polls the sockets in between. News is read out of a job's
//! ring once for all its rows; a row that is behind by more is served by itself.

mod admission;
mod buffers;
#[cfg(test)]
pub(crate) mod by_hand;
mod deadline;
mod delivery;
mod drain;
mod idle;
mod leftover;
#[cfg(feature = "redis")]
mod lost;
pub mod opening;
mod paced;
mod replay;
mod rows;
mod sleep;
mod streams;
mod table;
mod together;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Poll, Registry, Token, Waker};
use parking_lot::Mutex;

use super::{Consolidated, PIECES, SendMemory};
use crate::access::quota::Shares;
use crate::event::Pace;
use crate::event::job::EventId;
use crate::event::ring::Batch;
use crate::hub::{Hub, Job, Mailbox};
use crate::sequencer::Sequencer;
use crate::sequencer::history::Replay;
use crate::sys::channel::{self, Receiver, Sender};
use crate::sys::clock;
use crate::sys::headcount::Headcount;
use crate::sys::random::Random;
use crate::sys::socket::Socket;
use crate::sys::vital;
use admission::Admission;
use drain::Drain;
use leftover::Leftovers;
use opening::Opening;
use paced::{Rests, Strand};
use replay::RowReading;
use sleep::{Sleeper, run};
use table::{NONE, Table};
use together::Together;

/// Sends between two looks at the sockets and the letter box.
const SLICE_SENDS: usize = 64;
/// The shard's own token; rows have theirs below it.
const WAKER: Token = Token(usize::MAX);

crate::sys::config::config! {
    /// How a shard serves its subscribers.
    ///
    /// See [`ServerConfig`](crate::ServerConfig).
    pub struct ShardConfig {
        /// An idle stream gets a comment after so long. Default: 15 s.
        pub heartbeat: Duration = Duration::from_secs(15),
        /// A subscriber that takes nothing for so long is closed. Default: 30 s.
        pub stall: Duration = Duration::from_secs(30),
        /// Memory for what is left of frames that slow readers took in part, all of a
        /// shard's together, in bytes. Default: 4 MiB. Beyond it such a reader is closed;
        /// it resumes with the frame that it has in part.
        pub leftover_bytes: usize = 4 * 1024 * 1024,
        /// Those of the readers at one address; none is no limit. Default: 1 MiB. Beyond it the
        /// same happens.
        pub leftover_bytes_per_address: Option<usize> = Some(1024 * 1024),
        /// What a client is asked to wait before it reconnects, before jitter. Default: 5 s.
        pub retry: Duration = Duration::from_secs(5),
        /// The longest that a stream lasts. Each is given its own time, from half of this to
        /// all of it, in whole seconds; then it ends with a `retry:`, and its client resumes,
        /// elsewhere where there is a balancer. Default: none, and streams last.
        pub max_stream_age: Option<Duration> = None,
        /// The most bytes of replays that a shard begins to send in a second, 4 KiB for each
        /// replay at least. It begins with 256 MiB, and sends more while it is in time with its
        /// work, and fewer while it is late. Streams that have to wait for theirs are open
        /// meanwhile. Default: 1 GiB.
        pub replay_bytes_per_second: usize = 1024 * 1024 * 1024,
        /// A job's news goes to many streams with one system call, by the kernel's io_uring, where
        /// there is one. Default: each has a call of its own.
        pub io_uring: bool = false,
    }
}

/// A stream that a connection hands over.
pub struct Adoption {
    /// The connection.
    pub socket: Socket,
    /// What is sent first.
    pub opening: Opening,
    /// What it follows.
    pub stream: Stream,
}

/// What a stream follows.
pub enum Stream {
    /// One job, after an id.
    Job {
        /// The name, which has counted the stream in.
        job: Arc<Job>,
        /// The number that the client has.
        after: EventId,
        /// How often it gets progress, where there is a limit.
        pace: Option<Pace>,
    },
    /// Several jobs, or all.
    Consolidated(Box<Consolidated>),
}

impl Stream {
    /// Counts it out of its jobs again, where it is not going to be served.
    pub fn leave(self, hub: &Hub) {
        match self {
            Stream::Job { job, .. } => hub.leave(&job),
            Stream::Consolidated(stream) => stream.leave(hub),
        }
    }
}

/// What the streams of all shards are counted by.
#[derive(Clone)]
pub struct Counted {
    /// The connections by address.
    pub addresses: Arc<Shares>,
    /// The streams by token.
    pub tokens: Arc<Shares>,
    /// All streams.
    pub streams: Headcount,
    /// What the kernel holds of them.
    pub send_memory: SendMemory,
}

/// A handle to a running shard.
#[derive(Clone)]
pub struct ShardHandle {
    inbox: Arc<Mutex<Inbox>>,
    mailbox: Arc<Mailbox>,
}

#[derive(Default)]
struct Inbox {
    adoptions: VecDeque<Adoption>,
    /// Every stream is to end, within so long.
    drain: Option<Duration>,
    /// The thread is to end.
    stop: bool,
    /// Who wants to know whether the thread is alive.
    knocks: Vec<Sender<()>>,
}

/// A job that rows of this shard follow.
struct ShardJob {
    job: Arc<Job>,
    /// The first of its rows.
    head: u32,
    /// The row that an unfinished walk goes on with.
    walk: u32,
    /// Whether there is newer news than the unfinished walk has begun with: the rows
    /// that it has passed don't have it.
    again: bool,
    /// Whether it waits to be served.
    queued: bool,
    /// The consolidated streams that list it.
    consolidated: Vec<u32>,
    /// The places of its rows that have a pace.
    strands: Vec<u32>,
    /// What it is where it is the place of such rows itself, and not the job's.
    strand: Option<Box<Strand>>,
}

impl ShardJob {
    fn new(job: Arc<Job>) -> ShardJob {
        ShardJob {
            job,
            head: NONE,
            walk: NONE,
            again: false,
            queued: false,
            consolidated: Vec::new(),
            strands: Vec::new(),
            strand: None,
        }
    }
}

struct Shard {
    number: usize,
    hub: Hub,
    sequencer: Sequencer,
    config: ShardConfig,
    counted: Counted,
    /// Of the thread's poller.
    sockets: Registry,
    inbox: Arc<Mutex<Inbox>>,
    mailbox: Arc<Mailbox>,
    table: Table,
    jobs: Vec<Option<ShardJob>>,
    free_jobs: Vec<u32>,
    streams: streams::ConsolidatedStreams,
    /// Streams that were handed over and have no row yet.
    arrivals: VecDeque<Adoption>,
    /// Jobs with news.
    dirty: VecDeque<u32>,
    /// Rows to be served by themselves.
    behind: VecDeque<u32>,
    /// Rows that wait for their replay.
    admission: Admission,
    rests: Rests,
    leftovers: Leftovers,
    /// Rows that are behind their rings.
    reading: HashMap<u32, Box<RowReading>>,
    next_ticket: u64,
    /// What was read for them: both ends.
    pieces: (Sender<Replay>, Receiver<Replay>),
    batch: Batch,
    /// The same without chunks.
    plain: Batch,
    together: Option<Together>,
    posted: Vec<u32>,
    random: Random,
    began: Instant,
    now: Instant,
    /// No row's deadline is before this, in seconds since the shard began.
    next_deadline: u32,
    /// The next step of the walk that finds idle and stalled rows.
    next_step: Instant,
    next_part: u32,
    drain: Option<Drain>,
    /// The losses that were seen to.
    #[cfg(feature = "redis")]
    losses: u64,
    frames_sent: u64,
    bytes_sent: u64,
    sends: u64,
}

impl ShardHandle {
    /// Starts a shard on a thread of its own.
    ///
    /// # Errors
    /// The system gives no poller or no thread.
    pub fn start(
        sequencer: &Sequencer,
        config: ShardConfig,
        counted: Counted,
    ) -> io::Result<(ShardHandle, JoinHandle<()>)> {
        let poll = Poll::new()?;
        let (shard, handle) = ShardHandle::without_thread(sequencer, config, counted, &poll)?;
        let number = shard.lock().number;
        let name = format!("shard-{number}");
        let thread = vital::spawn(name, move || run(&shard, poll))?;
        Ok((handle, thread))
    }

    fn without_thread(
        sequencer: &Sequencer,
        config: ShardConfig,
        counted: Counted,
        poll: &Poll,
    ) -> io::Result<(Arc<Mutex<Shard>>, ShardHandle)> {
        let waker = Waker::new(poll.registry(), WAKER)?;
        let sockets = poll.registry().try_clone()?;
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let shard = Arc::new_cyclic(|shard| {
            let shard = shard.clone();
            let mailbox = Arc::new(Mailbox::new(Sleeper { waker, shard }));
            Mutex::new(Shard::new(
                sequencer,
                config,
                counted,
                sockets,
                inbox.clone(),
                mailbox,
            ))
        });
        let mailbox = shard.lock().mailbox.clone();
        Ok((shard, ShardHandle { inbox, mailbox }))
    }

    /// Hands a stream over. Never blocks.
    pub fn adopt(&self, adoption: Adoption) {
        self.post(|inbox| inbox.adoptions.push_back(adoption));
    }

    /// Ends every stream, one after the other over `spread`, and those that come later
    /// at once: what is pending goes out, then a `retry:`.
    pub fn drain(&self, spread: Duration) {
        self.post(|inbox| inbox.drain = Some(spread));
    }

    /// Has the thread send something when it comes to it. Never blocks.
    pub fn knock(&self, answer: Sender<()>) {
        self.post(|inbox| inbox.knocks.push(answer));
    }

    /// Ends the thread, whatever is open.
    pub fn stop(&self) {
        self.post(|inbox| inbox.stop = true);
    }

    fn post(&self, change: impl FnOnce(&mut Inbox)) {
        change(&mut self.inbox.lock());
        self.mailbox.post_any();
        self.mailbox.wake();
    }
}

impl Shard {
    fn new(
        sequencer: &Sequencer,
        config: ShardConfig,
        counted: Counted,
        sockets: Registry,
        inbox: Arc<Mutex<Inbox>>,
        mailbox: Arc<Mailbox>,
    ) -> Shard {
        let now = clock::now();
        let number = sequencer
            .hub()
            .register(mailbox.clone())
            .expect("a server has no more shards than there may be");
        #[cfg(feature = "redis")]
        sequencer.hub().attend_losses(number);
        Shard {
            number,
            hub: sequencer.hub().clone(),
            sequencer: sequencer.clone(),
            admission: Admission::new(config.replay_bytes_per_second, now),
            together: config.io_uring.then(Together::new).flatten(),
            config,
            counted,
            sockets,
            inbox,
            mailbox,
            table: Table::new(),
            jobs: Vec::new(),
            free_jobs: Vec::new(),
            streams: streams::ConsolidatedStreams::default(),
            arrivals: VecDeque::new(),
            dirty: VecDeque::new(),
            behind: VecDeque::new(),
            rests: Rests::default(),
            leftovers: Leftovers::default(),
            reading: HashMap::new(),
            next_ticket: 0,
            pieces: channel::bounded(PIECES),
            batch: Batch::default(),
            plain: Batch::default(),
            posted: Vec::new(),
            random: Random::new(),
            began: now,
            now,
            next_deadline: NONE,
            next_step: now,
            next_part: 0,
            drain: None,
            #[cfg(feature = "redis")]
            losses: 0,
            frames_sent: 0,
            bytes_sent: 0,
            sends: 0,
        }
    }

    fn count(&mut self) {
        let metrics = self.hub.metrics();
        for (counter, count) in [
            (&metrics.frames_sent, &mut self.frames_sent),
            (&metrics.stream_bytes_sent, &mut self.bytes_sent),
            (&metrics.sends, &mut self.sends),
        ] {
            if *count > 0 {
                counter.add(std::mem::take(count));
            }
        }
    }

    /// One slice of work. True when the thread is to end.
    fn turn(&mut self) -> bool {
        if self.mailbox.take_any() && self.take_inbox() {
            return true;
        }
        self.take_dirty();
        self.end_rests();

        // Half of a slice each, so that neither a herd that reconnects nor a broadcast
        // delays the other.
        let mut sends = SLICE_SENDS / 2;
        while sends > 0
            && let Some(adoption) = self.arrivals.pop_front()
        {
            self.adopt(adoption);
            sends -= 1;
        }
        self.admit_waiting(&mut sends);
        while sends > 0
            && let Ok(replay) = self.pieces.1.try_recv()
        {
            self.serve_replay(replay);
            sends -= 1;
        }
        while sends > 0
            && let Some(row) = self.behind.pop_front()
        {
            self.serve_behind(row);
            sends -= 1;
        }
        sends += SLICE_SENDS / 2;
        while sends > 0
            && let Some(slot) = self.dirty.pop_front()
        {
            self.serve_job(slot, &mut sends);
        }
        if self.now >= self.next_step {
            self.step();
        }
        self.end_expired();
        self.drain_due();
        false
    }

    fn take_dirty(&mut self) {
        let mut posted = std::mem::take(&mut self.posted);
        self.mailbox.take_dirty(&mut posted);
        for slot in posted.drain(..) {
            match &mut self.jobs[slot as usize] {
                Some(followed) if followed.walk != NONE => followed.again = true,
                _ => self.queue_job(slot),
            }
        }
        self.posted = posted;
    }

    fn take_inbox(&mut self) -> bool {
        let mut inbox = self.inbox.lock();
        if inbox.stop {
            return true;
        }
        // The two change places: a herd's buffer is used again, and not copied.
        if self.arrivals.is_empty() {
            std::mem::swap(&mut self.arrivals, &mut inbox.adoptions);
        } else {
            self.arrivals.append(&mut inbox.adoptions);
        }
        for answer in inbox.knocks.drain(..) {
            let _ = answer.try_send(());
        }
        let drain = inbox.drain.take();
        drop(inbox);
        #[cfg(feature = "redis")]
        self.see_to_losses();
        if let Some(spread) = drain {
            self.begin_drain(spread);
        }
        self.queue_followers_of_all();
        false
    }
}
