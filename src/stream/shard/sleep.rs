//! A shard's thread, its sleep, and who does a little of its work meanwhile.
//!
//! A publisher that finds the shard asleep may send a job's news itself, where that takes
//! few sends: two threads that change places on a core take longer than that. It takes no
//! streams up. So no row is given to another stream between what the poller says of it
//! and the thread that reads that.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
use std::thread;
use std::time::Duration;

use mio::{Events, Poll, Waker};
use parking_lot::{Mutex, MutexGuard};

use super::table::NONE;
use super::{Adoption, Shard, WAKER};
use crate::event::ring::Batch;
use crate::hub::MailboxOwner;
use crate::sys::busy;
use crate::sys::clock;
use crate::sys::vital;

/// Sends that a publisher's own thread makes for a shard that sleeps. With more, the
/// publisher would wait longer for its answer than it takes to wake the shard.
const IN_SLEEP_SENDS: usize = 4;
/// A shard that has worked so long lets others have its core before it goes on: who waits for a
/// short answer would wait till the kernel looks at its clock, 4 ms and more. Shorter runs would
/// take more from a shard whose core is wanted by a program that never rests.
const LONGEST_RUN: Duration = Duration::from_millis(1);
/// Socket events taken from the kernel at a time.
const EVENTS_MAX: usize = 256;
/// A buffer's memory is given back above this when the shard goes to sleep.
const KEPT_BYTES: usize = 2 * 1024;

/// What is woken, or stood in for.
pub(super) struct Sleeper {
    pub waker: Waker,
    pub shard: Weak<Mutex<Shard>>,
}

impl MailboxOwner for Sleeper {
    fn wake(&self) {
        // It fails only when the counter is full: then the wake-up is on its way.
        let _ = self.waker.wake();
    }

    fn stand_in(&self) -> bool {
        let Some(shard) = self.shard.upgrade() else {
            return false;
        };
        let Some(mut shard) = shard.try_lock() else {
            return false;
        };
        // A fault here is the shard's, not the publisher's.
        let served = catch_unwind(AssertUnwindSafe(|| shard.serve_in_sleep()));
        served.unwrap_or_else(|_| vital::end(&format!("shard {}", shard.number)))
    }
}

/// The thread. It lets go of its shard only while it polls, and while it gives way.
pub(super) fn run(shard: &Mutex<Shard>, mut poll: Poll) {
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut shard = shard.lock();
    let mut run_began = shard.now;
    while !shard.turn() {
        let timeout = shard.until_next_turn();
        let goes_on = timeout == Some(Duration::ZERO);
        let gives_way = goes_on && shard.now - run_began >= LONGEST_RUN;
        let polled = MutexGuard::unlocked(&mut shard, || {
            if gives_way {
                busy::tell();
                thread::yield_now();
            }
            poll.poll(&mut events, timeout)
        });
        match polled {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => error!("shard {}: poll: {error}", shard.number),
        }
        shard.wake_up(timeout);
        if gives_way || !goes_on {
            run_began = shard.now;
        }
        for event in events.iter().filter(|event| event.token() != WAKER) {
            shard.socket_event(event);
        }
    }
}

impl Shard {
    /// How long the thread may sleep. None for as long as nothing happens.
    pub(super) fn until_next_turn(&mut self) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        self.rest();
        self.rests.has_new = false;
        if self.mailbox.is_empty() {
            self.until_next_step()
        } else {
            Some(Duration::ZERO)
        }
    }

    pub(super) fn wake_up(&mut self, timeout: Option<Duration>) {
        self.mailbox.awake();
        let before = std::mem::replace(&mut self.now, clock::now());
        let slept = timeout.unwrap_or(Duration::MAX);
        let late = (self.now - before).saturating_sub(slept);
        self.admission.note(late, self.now);
    }

    /// What a turn would find to do, besides what was posted.
    fn has_work(&self) -> bool {
        !self.dirty.is_empty()
            || !self.behind.is_empty()
            || !self.arrivals.is_empty()
            || !self.pieces.1.is_empty()
    }

    /// Serves the job that has news, on another thread, while this one's sleeps. False
    /// where the thread has to be woken after all.
    fn serve_in_sleep(&mut self) -> bool {
        // It has woken by itself since, and only polls between two turns.
        if self.has_work() {
            return false;
        }
        self.now = clock::now();
        self.take_dirty();
        let slot = match self.dirty.len() {
            1 => self.dirty[0],
            _ => return false,
        };
        if self.has_more_rows(slot, IN_SLEEP_SENDS) {
            return false;
        }
        self.dirty.clear();
        self.serve_job(slot, &mut { IN_SLEEP_SENDS });
        for _ in 0..self.behind.len() {
            if let Some(row) = self.behind.pop_front() {
                self.serve_behind(row);
            }
        }
        // The thread's sleep may be longer than a rest that has begun.
        if self.has_work() || self.rests.has_new {
            return false;
        }
        self.rest();
        self.mailbox.is_empty()
    }

    fn has_more_rows(&mut self, slot: u32, count: usize) -> bool {
        let Some(Some(followed)) = self.jobs.get(slot as usize) else {
            return false;
        };
        let (mut row, mut rows) = (followed.head, followed.consolidated.len());
        while row != NONE && rows <= count {
            row = self.table[row].next;
            rows += 1;
        }
        rows > count
    }

    /// What is done before sleeping.
    fn rest(&mut self) {
        self.count();
        if self.batch.bytes.capacity() > KEPT_BYTES {
            self.batch = Batch::default();
        }
        self.plain = Batch::default();
        if self.arrivals.capacity() * size_of::<Adoption>() > KEPT_BYTES {
            self.arrivals = VecDeque::new();
        }
        self.admission.rest();
        if self.behind.capacity() * size_of::<u32>() > KEPT_BYTES {
            self.behind = VecDeque::new();
        }
        self.mailbox.fall_asleep();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use super::super::{Counted, ShardConfig, ShardHandle, Stream};
    use super::*;
    use crate::access::places::Occupant;
    use crate::access::quota::Shares;
    use crate::event::Event;
    use crate::event::job::{EventId, JobId};
    use crate::hub::HubConfig;
    use crate::sequencer::{Saying, Sequencer};
    use crate::stream::SendMemory;
    use crate::stream::opening::Opening;
    use crate::sys::headcount::Headcount;
    use crate::sys::socket::Socket;

    /// A shard whose thread is the test.
    struct House {
        sequencer: Sequencer,
        shard: Arc<Mutex<Shard>>,
        handle: ShardHandle,
        poll: Poll,
    }

    impl House {
        fn new() -> House {
            let sequencer = Sequencer::in_memory_above(HubConfig::default(), EventId(0));
            let poll = Poll::new().unwrap();
            let counted = Counted {
                addresses: Shares::new(None),
                tokens: Shares::new(None),
                streams: Headcount::default(),
                send_memory: SendMemory::new(64 << 20, 128 * 1024),
            };
            let config = ShardConfig::default();
            let (shard, handle) =
                ShardHandle::without_thread(&sequencer, config, counted, &poll).unwrap();
            House {
                sequencer,
                shard,
                handle,
                poll,
            }
        }

        /// A stream that is handed over.
        fn follow(&self, name: &str) -> UnixStream {
            let (ours, theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            self.adopt(name, theirs);
            ours
        }

        fn adopt(&self, name: &str, theirs: UnixStream) {
            theirs.set_nonblocking(true).unwrap();
            let name = name.parse().unwrap();
            let job = self
                .sequencer
                .hub()
                .join(&name, usize::MAX, Occupant::default())
                .unwrap();
            let after = EventId(0);
            self.handle.adopt(Adoption {
                socket: Socket::new(OwnedFd::from(theirs)),
                opening: Opening::new(None, Duration::from_secs(1)),
                stream: Stream::Job {
                    job,
                    after,
                    pace: None,
                },
            });
        }

        /// Has the shard hear what its sockets have to say.
        fn poll(&mut self) -> usize {
            let mut events = Events::with_capacity(8);
            self.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            let mut shard = self.shard.lock();
            let of_sockets = events.iter().filter(|event| event.token() != WAKER);
            of_sockets.map(|event| shard.socket_event(event)).count()
        }

        /// An event that others come with: it wakes the shard, and doesn't stand in for it.
        fn accept(&self, name: &str) {
            let job: JobId = name.parse().unwrap();
            let event = Event::progress("scanning", 1.0).unwrap();
            self.sequencer.say_all(vec![Saying::of(job, event)]);
        }
    }

    fn events(stream: &mut UnixStream) -> usize {
        let mut bytes = [0; 64 * 1024];
        let length = stream.read(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..length])
            .matches("event: progress")
            .count()
    }

    #[test]
    fn a_sleeping_shard_is_stood_in_for() {
        let house = House::new();
        let mut stream = house.follow("a");
        let mut shard = house.shard.lock();
        assert!(!shard.turn());
        shard.rest();
        house.accept("a");
        assert!(shard.serve_in_sleep());
        assert_eq!(events(&mut stream), 1);
    }

    #[test]
    fn a_socket_that_lives_on_in_a_child_ends_no_stream_that_has_its_row() {
        let mut house = House::new();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let inherited = theirs.try_clone().unwrap();
        house.adopt("a", theirs);
        assert!(!house.shard.lock().turn());
        let end = Saying::of("a".parse().unwrap(), Event::done());
        house.sequencer.say_all(vec![end]);
        assert!(!house.shard.lock().turn());
        let mut next = house.follow("b");
        assert!(!house.shard.lock().turn());
        house.poll();
        drop(ours);
        assert!(house.poll() > 0, "the old socket is polled on");
        house.accept("b");
        assert!(!house.shard.lock().turn());
        assert_eq!(events(&mut next), 1);
        drop(inherited);
        drop(next);
        assert!(house.poll() > 0);
        assert_eq!(house.sequencer.hub().streams(&"b".parse().unwrap()), 0);
    }

    #[test]
    fn news_of_two_jobs_is_left_to_the_shard_wherever_it_lies() {
        for turns in 0..8 {
            let house = House::new();
            let mut streams = ["a", "b"].map(|name| house.follow(name));
            let mut shard = house.shard.lock();
            assert!(!shard.turn());
            for _ in 0..turns {
                // The queue's beginning moves on in its memory.
                shard.dirty.push_back(0);
                shard.dirty.pop_front();
            }
            shard.rest();
            for name in ["a", "b"] {
                house.accept(name);
            }
            assert!(!shard.serve_in_sleep());
            assert!(!shard.turn());
            assert_eq!(streams.each_mut().map(events), [1, 1], "after {turns}");
        }
    }

    #[test]
    fn a_shard_that_has_work_is_awake_and_loses_none_of_it() {
        let house = House::new();
        let mut other = house.follow("b");
        let mut streams: Vec<_> = (0..100).map(|_| house.follow("a")).collect();
        let mut shard = house.shard.lock();
        assert!(!shard.turn());
        assert!(!shard.arrivals.is_empty(), "a turn doesn't take them all");
        house.accept("b");
        assert!(!shard.serve_in_sleep());
        while !shard.arrivals.is_empty() {
            assert!(!shard.turn());
        }
        house.accept("a");
        for _ in 0..10 {
            assert!(!shard.turn());
        }
        assert_eq!(streams.iter_mut().map(events).sum::<usize>(), 100);
        assert_eq!(events(&mut other), 1);
    }
}
