//! Who follows jobs within the process: a server that has a framework of its own.
//!
//! A subscriber is a consolidated stream without a socket. It reads the jobs' rings itself,
//! when it is asked for the next event, and has no queue. One thread wakes those whose jobs
//! have news.

mod event_stream;
mod waiter;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::PIECES;
use super::consolidated::{Consolidated, Selection};
use crate::access::places::Occupant;
use crate::event::job::JobId;
use crate::event::resume::Start;
use crate::hub::{Hub, Job, Mailbox};
use crate::sequencer::Sequencer;
use crate::sequencer::history::Replay;
use crate::sys::channel::{self, Receiver, Sender};
use crate::sys::limit::Limit;
use crate::sys::order::sort_by;
use crate::sys::vital;
pub use event_stream::{EventStream, SentEvent};
use waiter::Waiter;

/// Follows jobs from within the process, without a listener or a connection.
///
/// ```
/// use landfall::{Event, Follow, HubConfig, Sequencer, Start, Subscribers};
/// let jobs = Sequencer::in_memory(HubConfig::default());
/// let subscribers = Subscribers::of(&jobs)?;
/// let job: landfall::JobId = "job_8f3a".parse().unwrap();
/// let mut stream = subscribers.follow(Follow::Jobs(vec![job.clone()]), &Start::Oldest)?;
///
/// jobs.publish(&job, Event::progress("scanning", 30.0).unwrap()).unwrap();
/// jobs.publish(&job, Event::done()).unwrap();
/// let names: Vec<_> = stream.events().map(|event| event.name().to_owned()).collect();
/// assert_eq!(names, ["progress", "done"]);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// It has one thread, for all of its streams together. Cloning it is cheap and gives another
/// handle to the same. Make one for a [`Sequencer`], and keep it: the server's shards and it
/// are 64 at most. Where the last handle is dropped, its streams end.
#[derive(Clone)]
pub struct Subscribers(Arc<DeskOwner>);

/// What to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Follow {
    /// These jobs, which may have yet to begin. The stream ends when all of them have, as one of
    /// `/api/events?job=` does.
    Jobs(Vec<JobId>),
    /// Every job, also those to come, whose name begins with this; every job at all where it is
    /// empty. The stream doesn't end.
    Prefix(String),
}

/// Ends the thread with the last handle.
struct DeskOwner(Arc<Desk>);

/// What the streams and the thread have in common.
struct Desk {
    sequencer: Sequencer,
    number: usize,
    mailbox: Arc<Mailbox>,
    pieces: (Sender<Replay>, Receiver<Replay>),
    streams: Mutex<OpenStreams>,
    is_closed: AtomicBool,
}

#[derive(Default)]
struct OpenStreams {
    /// By the number that a stream has.
    waiters: HashMap<u32, Arc<Waiter>>,
    next: u32,
    /// The jobs that are followed by name, by their slots.
    jobs: Vec<Option<StreamedJob>>,
    free: Vec<u32>,
    /// The streams of prefixes.
    matching: Vec<u32>,
    /// When streams that rest are woken. One may have been left by then.
    rests: BinaryHeap<Reverse<(Instant, u32)>>,
}

struct StreamedJob {
    job: Arc<Job>,
    streams: Vec<u32>,
}

impl Subscribers {
    /// Those of these jobs.
    ///
    /// # Errors
    /// There is no thread to be had, or the jobs have 64 shards and others of its kind already, which
    /// count for as long as the jobs are there.
    pub fn of(jobs: &Sequencer) -> io::Result<Subscribers> {
        let sleeper: Arc<Mutex<Option<Thread>>> = Arc::default();
        let owner = sleeper.clone();
        let mailbox = Arc::new(Mailbox::new(move || {
            if let Some(thread) = &*owner.lock() {
                thread.unpark();
            }
        }));
        let desk = Arc::new(Desk {
            number: jobs.hub().register(mailbox.clone()).ok_or_else(|| {
                io::Error::other("the jobs have 64 shards and subscribers already")
            })?,
            sequencer: jobs.clone(),
            mailbox,
            pieces: channel::bounded(PIECES),
            streams: Mutex::default(),
            is_closed: AtomicBool::new(false),
        });
        let its = desk.clone();
        let herald = vital::spawn("subscribers", move || its.run())?;
        *sleeper.lock() = Some(herald.thread().clone());
        // It may have fallen asleep before it could be woken.
        herald.thread().unpark();
        Ok(Subscribers(Arc::new(DeskOwner(desk))))
    }

    /// Begins to follow. Never blocks; reading the stream does.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] where no job is named, or a prefix is none of a job's
    /// name; [`io::ErrorKind::QuotaExceeded`] where more jobs would be waited for than may be
    /// (`HubConfig::awaited`).
    pub fn follow(&self, what: Follow, start: &Start) -> io::Result<EventStream> {
        let desk = &self.0.0;
        let stream = match what {
            Follow::Prefix(prefix) => {
                if !prefix.is_empty() {
                    prefix.parse::<JobId>().map_err(invalid)?;
                }
                Consolidated::matching(&desk.sequencer, &prefix, start)
            }
            Follow::Jobs(names) if names.is_empty() => {
                return Err(invalid("there is no job to follow: name one at least"));
            }
            Follow::Jobs(mut names) => {
                sort_by(&mut names, Ord::cmp);
                names.dedup();
                let jobs = join_all(desk.sequencer.hub(), &names)?;
                let jobs = jobs.into_iter().map(|job| (job, None)).collect();
                Consolidated::listed(&desk.sequencer, jobs, start)
            }
        };
        Ok(EventStream::new(desk.clone(), stream))
    }
}

impl fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribers").finish_non_exhaustive()
    }
}

impl Drop for DeskOwner {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::Release);
        self.0.mailbox.post_any();
        self.0.mailbox.wake();
    }
}

impl Desk {
    /// The thread: wakes those that there is news for, until the last handle is dropped.
    fn run(&self) {
        let (mut slots, mut tasks) = (Vec::new(), Vec::new());
        loop {
            self.mailbox.take_dirty(&mut slots);
            let has_any = self.mailbox.take_any();
            self.tell(&mut slots, has_any, &mut tasks);
            while let Ok(replay) = self.pieces.1.try_recv() {
                let waiter = self.streams.lock().waiters.get(&replay.row).cloned();
                tasks.extend(waiter.and_then(|waiter| waiter.give(replay)));
            }
            let is_closed = self.is_closed.load(Ordering::Acquire);
            if is_closed {
                let streams = self.streams.lock();
                tasks.extend(streams.waiters.values().filter_map(|waiter| waiter.tell()));
            }
            tasks.drain(..).for_each(Waker::wake);
            if is_closed {
                return;
            }
            self.mailbox.fall_asleep();
            let rest = self.end_rests(&mut tasks);
            tasks.drain(..).for_each(Waker::wake);
            if self.mailbox.is_empty() && self.pieces.1.is_empty() {
                rest.map_or_else(thread::park, thread::park_timeout);
            }
            self.mailbox.awake();
        }
    }

    /// Has a stream woken then.
    fn rest(&self, until: Instant, number: u32) {
        let rests = &mut self.streams.lock().rests;
        let is_first = rests.peek().is_none_or(|Reverse((next, _))| until < *next);
        rests.push(Reverse((until, number)));
        if is_first {
            self.mailbox.wake();
        }
    }

    /// Tells those whose rest is over. Returns how long the next one's lasts.
    fn end_rests(&self, tasks: &mut Vec<Waker>) -> Option<Duration> {
        let now = Instant::now();
        let mut streams = self.streams.lock();
        while let Some(&Reverse((until, number))) = streams.rests.peek() {
            if until > now {
                return Some(until - now);
            }
            streams.rests.pop();
            let waiter = streams.waiters.get(&number);
            tasks.extend(waiter.and_then(|waiter| waiter.tell()));
        }
        None
    }

    /// Tells those whose jobs have news.
    fn tell(&self, slots: &mut Vec<u32>, has_any: bool, tasks: &mut Vec<Waker>) {
        let streams = self.streams.lock();
        for slot in slots.drain(..) {
            // It may be nobody's by now.
            if let Some(Some(followed)) = streams.jobs.get(slot as usize) {
                followed.job.lock().mark_clean(self.number);
                let waiters = followed.streams.iter();
                tasks.extend(waiters.filter_map(|number| streams.waiters[number].tell()));
            }
        }
        if has_any {
            let waiters = streams.matching.iter();
            tasks.extend(waiters.filter_map(|number| streams.waiters[number].tell()));
        }
    }

    /// Has a stream woken from now on. Returns its number.
    fn join(&self, waiter: &Arc<Waiter>, stream: &Consolidated) -> u32 {
        let mut streams = self.streams.lock();
        let number = streams.free_number();
        streams.waiters.insert(number, waiter.clone());
        match &stream.selection {
            Selection::Matching { .. } => {
                streams.matching.push(number);
                self.sequencer.hub().follow_all(self.number, true);
            }
            Selection::Listed(members) => {
                for member in members {
                    let slot = streams.slot(&member.job, self.number);
                    if let Some(followed) = &mut streams.jobs[slot as usize] {
                        followed.streams.push(number);
                    }
                }
            }
        }
        number
    }

    /// The other half of [`Desk::join`].
    fn leave(&self, number: u32, stream: Consolidated) {
        let hub = self.sequencer.hub();
        let mut streams = self.streams.lock();
        streams.waiters.remove(&number);
        match &stream.selection {
            Selection::Matching { .. } => {
                streams.matching.retain(|&other| other != number);
                if streams.matching.is_empty() {
                    hub.follow_all(self.number, false);
                }
            }
            Selection::Listed(members) => {
                for member in members {
                    streams.leave_job(&member.job, self.number, number);
                }
            }
        }
        drop(streams);
        stream.leave(hub);
    }
}

impl OpenStreams {
    fn free_number(&mut self) -> u32 {
        while self.waiters.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        number
    }

    /// The place of a job, which is followed from now on.
    fn slot(&mut self, job: &Arc<Job>, desk: usize) -> u32 {
        let mut core = job.lock();
        if let Some(slot) = core.slot_in(desk) {
            return slot;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.jobs.push(None);
            self.jobs.len() as u32 - 1
        });
        core.follow(desk, slot);
        self.jobs[slot as usize] = Some(StreamedJob {
            job: job.clone(),
            streams: Vec::new(),
        });
        slot
    }

    fn leave_job(&mut self, job: &Arc<Job>, desk: usize, number: u32) {
        let mut core = job.lock();
        let Some(slot) = core.slot_in(desk) else {
            return;
        };
        let place = &mut self.jobs[slot as usize];
        if let Some(followed) = place {
            followed.streams.retain(|&other| other != number);
            if followed.streams.is_empty() {
                core.unfollow(desk);
                *place = None;
                self.free.push(slot);
            }
        }
    }
}

/// Counts a stream in at each name.
fn join_all(hub: &Hub, names: &[JobId]) -> io::Result<Vec<Arc<Job>>> {
    let mut jobs = Vec::with_capacity(names.len());
    for name in names {
        match hub.join(name, usize::MAX, Occupant::default()) {
            Ok(job) => jobs.push(job),
            Err(limit) => {
                jobs.iter().for_each(|job| hub.leave(job));
                return Err(no_room(limit));
            }
        }
    }
    Ok(jobs)
}

fn no_room(limit: Limit) -> io::Error {
    let message = format!("too many jobs are waited for that have yet to begin: {limit:?}");
    io::Error::new(io::ErrorKind::QuotaExceeded, message)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
