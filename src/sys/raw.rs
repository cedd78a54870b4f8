//! What can't be said without `unsafe`: the only module that has it.
//!
//! `may` marks spawning unsafe because a coroutine that overflows its stack, or that
//! reads a thread-local before and after it has waited, is undefined behaviour. Here
//! stacks are 64 KiB with a guard page behind them, large buffers are on the heap, and
//! nothing holds a thread-local across a wait.
//!
//! Of the scheduler's policies neither the standard library nor rustix knows.
//!
//! The kernel reads what a [`SendRing`] is given after the call that queues it has returned.
//! So the ring goes back to its caller only when nothing of it is under way any more.
#![allow(unsafe_code)]

use std::io;

use may::coroutine::Builder;

#[cfg(target_pointer_width = "64")]
pub use with_io_uring::SendRing;
#[cfg(not(target_pointer_width = "64"))]
pub use without::SendRing;

/// Starts a coroutine. What starts one would be code of its own for each kind of body, some 1 KB.
///
/// # Errors
/// There is no memory for its stack.
pub fn spawn(body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    unsafe { Builder::new().spawn(body) }.map(drop)
}

/// Gives a thread of this process the policy SCHED_BATCH, or SCHED_OTHER: see sched(7).
///
/// # Errors
/// There is no such thread, or it isn't allowed.
pub fn set_batch(thread: u32, is_batch: bool) -> io::Result<()> {
    let policy = if is_batch {
        libc::SCHED_BATCH
    } else {
        libc::SCHED_OTHER
    };
    let priority: libc::c_int = 0;
    // By number, as musl's own function does nothing.
    // SAFETY: the kernel reads one number, which is there until the call has returned.
    let called = unsafe { libc::syscall(libc::SYS_sched_setscheduler, thread, policy, &priority) };
    if called == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(target_pointer_width = "64")]
mod with_io_uring {
    use std::io;
    use std::os::fd::AsRawFd;

    use io_uring::squeue::Entry;
    use io_uring::{IoUring, opcode, types};
    use rustix::io::Errno;

    use crate::sys::socket::{SEND, Socket};

    /// Sends to many sockets with one system call (io_uring).
    pub struct SendRing {
        ring: IoUring,
        queued: Vec<Entry>,
    }

    impl SendRing {
        /// A ring for so many sends at once, of which there are a power of two.
        ///
        /// # Errors
        /// The kernel has no io_uring, or it isn't to be used here.
        pub fn new(sends: u32) -> io::Result<SendRing> {
            let ring = IoUring::builder().setup_coop_taskrun().build(sends)?;
            let queued = Vec::new();
            Ok(SendRing { ring, queued })
        }

        /// Sends each socket what the kernel takes of its bytes, and tells of each, in their order,
        /// how many those were; of those that the kernel didn't come to, nothing. Never blocks: a
        /// socket that takes nothing is `WouldBlock`.
        ///
        /// # Errors
        /// The kernel takes no more. The ring is of no use after that.
        pub fn send<'a>(
            &mut self,
            sends: impl Iterator<Item = (&'a Socket, &'a [u8])>,
            taken: &mut Vec<Option<io::Result<usize>>>,
        ) -> io::Result<()> {
            taken.clear();
            self.queued.clear();
            for (place, (socket, bytes)) in sends.enumerate() {
                taken.push(None);
                let fd = types::Fd(socket.as_raw_fd());
                // What doesn't fit in the length is left for the next time.
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                let send = opcode::Send::new(fd, bytes.as_ptr(), length);
                let send = send.flags(SEND.bits() as i32).build();
                self.queued.push(send.user_data(place as u64));
            }
            // SAFETY: bytes and sockets are borrowed for longer than this call lasts, and it ends
            // only when the kernel has none of them any more.
            let queued = unsafe { self.ring.submission().push_multiple(&self.queued) };
            queued.map_err(io::Error::other)?;
            let mut open = taken.len();
            while open > 0 {
                let called = self.ring.submit_and_wait(open);
                for told in self.ring.completion() {
                    open -= 1;
                    taken[told.user_data() as usize] = match told.result() {
                        count @ 0.. => Some(Ok(count as usize)),
                        error if Errno::from_raw_os_error(-error) == Errno::INTR => None,
                        error => Some(Err(io::Error::from_raw_os_error(-error))),
                    };
                }
                if let Err(error) = called
                    && error.kind() != io::ErrorKind::Interrupted
                    // Those that it has are waited for all the same.
                    && self.ring.submission().len() >= open
                {
                    return Err(error);
                }
            }
            Ok(())
        }
    }
}

/// The crate knows the kernel's structures of 64 bits only.
#[cfg(not(target_pointer_width = "64"))]
mod without {
    use std::io;

    use crate::sys::socket::Socket;

    /// There is none.
    pub enum SendRing {}

    impl SendRing {
        /// There is none.
        ///
        /// # Errors
        /// Always.
        pub fn new(_: u32) -> io::Result<SendRing> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// Is never called.
        ///
        /// # Errors
        /// None.
        pub fn send<'a>(
            &mut self,
            _: impl Iterator<Item = (&'a Socket, &'a [u8])>,
            _: &mut Vec<Option<io::Result<usize>>>,
        ) -> io::Result<()> {
            match *self {}
        }
    }
}
