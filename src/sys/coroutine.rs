//! Where coroutines begin and pause.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::time::{Duration, Instant};

#[cfg(feature = "redis")]
use may::io::WaitIoWaker;
use may::io::{CoIo, WaitIo};
use may::sync::Blocker;
use parking_lot::Mutex;
use rustix::event::EventfdFlags;

use super::channel::{self, Receiver, RecvTimeoutError, Sender};
pub use super::raw::spawn;
use super::sorted::Sorted;
use super::thread;

/// The stack of a coroutine, in machine words: 64 KiB. Only what is touched is resident.
const STACK_WORDS: usize = 64 * 1024 / size_of::<usize>();
/// Coroutines that are kept for the next connections. `may`'s own default of 1,000 is
/// 8 MB from the start.
const POOL: usize = 16;
/// How often a worker with nothing to do looks around. `may`'s own default is 10 ms.
const IDLE_POLL_NS: u64 = 1_000_000_000;
/// Conversations that begin, or go on after their turn, in one turn of the worker.
const STARTS: usize = 16;

/// Sets the scheduler up. Called before anything else of it is used; later calls do
/// nothing.
pub fn configure() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let config = may::config();
        config.set_pool_capacity(POOL).set_stack_size(STACK_WORDS);
        config.set_timeout_ns(IDLE_POLL_NS);
        // The shards' threads need the cores as well: the kernel knows best.
        config.set_worker_pin(false);
        // One, since `may` 0.3.51 looks at a socket's state once more after it has parked
        // the coroutine that waits for it. Another worker may have run that to its end by
        // then, and the state is gone: a crash in some 100,000 requests on a busy machine.
        config.set_workers(1);
    });
}

/// Starts coroutines, a few in each turn of their worker, and lets those go on that had theirs.
/// A worker polls its sockets only when no coroutine is queued on it: were they queued as they
/// come, a flood of short conversations, or a few that never have to wait, would keep all
/// others waiting.
pub struct Starter {
    queue: Mutex<VecDeque<Next>>,
    signal: OwnedFd,
    is_signalled: AtomicBool,
}

enum Next {
    Start(Box<dyn FnOnce() + Send>),
    GoOn(Arc<Blocker>),
}

impl Starter {
    /// The one that there is. Its first call starts it.
    ///
    /// # Errors
    /// The system gives no descriptor, or no memory for a stack.
    pub fn get() -> io::Result<&'static Starter> {
        static STARTER: OnceLock<Starter> = OnceLock::new();
        if let Some(starter) = STARTER.get() {
            return Ok(starter);
        }
        let flags = EventfdFlags::CLOEXEC.union(EventfdFlags::NONBLOCK);
        let signal = rustix::event::eventfd(0, flags)?;
        let io = CoIo::new(signal.try_clone()?)?;
        let mut is_mine = false;
        let starter = STARTER.get_or_init(|| {
            is_mine = true;
            Starter {
                queue: Mutex::default(),
                signal,
                is_signalled: AtomicBool::new(false),
            }
        });
        if is_mine {
            spawn(Box::new(move || starter.run(&io)))?;
        }
        Ok(starter)
    }

    /// Has a coroutine started soon. Never blocks.
    pub fn start(&self, body: impl FnOnce() + Send + 'static) {
        self.push(Next::Start(Box::new(body)));
    }

    /// Suspends the coroutine that calls it until its worker has looked at its sockets, and
    /// those that they woke have had their turn.
    pub fn let_others_go_first(&self) {
        let blocker = Arc::new(Blocker::new(true));
        self.push(Next::GoOn(blocker.clone()));
        let _ = blocker.park(None);
    }

    fn push(&self, next: Next) {
        self.queue.lock().push_back(next);
        self.signal();
    }

    fn run(&self, io: &CoIo<OwnedFd>) {
        loop {
            // It comes back from here by way of the poller.
            io.wait_io();
            self.is_signalled.store(false, Ordering::SeqCst);
            for _ in 0..STARTS {
                match self.queue.lock().pop_front() {
                    None => break,
                    Some(Next::GoOn(blocker)) => blocker.unpark(),
                    Some(Next::Start(body)) => {
                        if let Err(error) = spawn(body) {
                            warn!("no coroutine for a connection: {error}");
                        }
                    }
                }
            }
            if !self.queue.lock().is_empty() {
                self.signal();
            }
        }
    }

    fn signal(&self) {
        if !self.is_signalled.swap(true, Ordering::SeqCst) {
            // Each write is an event of its own; the counter would take centuries to fill.
            let _ = rustix::io::write(&self.signal, &1_u64.to_ne_bytes());
        }
    }
}

/// A socket that a coroutine waits at. Meanwhile nobody else can.
#[cfg(feature = "redis")]
pub struct SocketWatch(CoIo<Arc<OwnedFd>>);

#[cfg(feature = "redis")]
impl SocketWatch {
    /// Waits at this socket: it itself, as another descriptor of it would still be polled when this
    /// is gone.
    ///
    /// # Errors
    /// The system can't poll it.
    pub fn new(socket: Arc<OwnedFd>) -> io::Result<SocketWatch> {
        Ok(SocketWatch(CoIo::new(socket)?))
    }

    /// Suspends the coroutine until something has come, or it is woken. May return without.
    pub fn wait(&self) {
        self.0.wait_io();
    }

    /// Wakes the coroutine from other threads.
    pub fn waker(&self) -> WaitIoWaker {
        self.0.waker()
    }
}

#[cfg(feature = "redis")]
impl Drop for SocketWatch {
    fn drop(&mut self) {
        // `may` has made it a socket at which nobody can wait.
        let _ = rustix::io::ioctl_fionbio(self.0.inner(), false);
    }
}

/// Suspends the coroutine, or blocks the thread, that calls it. A coroutine's worker polls
/// its sockets meanwhile. `may`'s own sleep isn't used: beside reads that time out it writes
/// to memory that was freed (0.3.51).
pub fn pause(duration: Duration) {
    static PAUSES: OnceLock<Sender<(Instant, Arc<Blocker>)>> = OnceLock::new();
    let pauses = PAUSES.get_or_init(|| {
        // As many as there are connections, at most.
        let (sender, receiver) = channel::unbounded();
        if let Err(error) = thread::start("pauses", move || wake(&receiver)) {
            error!("no thread for pauses: {error}");
        }
        sender
    });
    let blocker = Arc::new(Blocker::new(true));
    if pauses
        .send((Instant::now() + duration, blocker.clone()))
        .is_ok()
    {
        let _ = blocker.park(None);
    }
}

/// Wakes those whose pauses are over.
fn wake(receiver: &Receiver<(Instant, Arc<Blocker>)>) {
    let mut pausing = Sorted::default();
    for number in 0_u64.. {
        let next = match pausing.first() {
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(&((end, _), _)) => receiver.recv_deadline(end),
        };
        match next {
            Ok((end, blocker)) => pausing.insert((end, number), blocker),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        while let Some(&(first, _)) = pausing.first()
            && first.0 <= now
            && let Some(blocker) = pausing.remove(&first)
        {
            blocker.unpark();
        }
    }
}
