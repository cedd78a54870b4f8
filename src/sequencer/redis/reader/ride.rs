//! Reads on a coroutine while little comes.
//!
//! Publishers' connections are coroutines of one thread. What that thread reads back of the log it
//! answers them without waking anybody: with an event by itself, most of the cost is that. The
//! reader's own thread sleeps meanwhile, and goes on where there is something to wait for, or much
//! to do, which would keep connections waiting.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::sys::channel::{RecvTimeoutError, bounded};
use parking_lot::Mutex;

use super::Reader;
use crate::sys::coroutine::{SocketWatch, configure, spawn};
use crate::sys::vital;

/// How often it is seen to that the coroutine doesn't wait for too long.
const LOOK: Duration = Duration::from_millis(500);

/// Has a coroutine read until there is something that is the thread's. Blocks as long.
pub fn ride(reader: Reader) -> Reader {
    configure();
    let socket = reader.link.as_ref().and_then(|link| link.socket());
    let Some(Ok(watch)) = socket.map(SocketWatch::new) else {
        return reader;
    };
    let waker = watch.waker();
    let (back, returned) = bounded(1);
    // Where no coroutine can be started, the reader is still there.
    let seat = Arc::new(Mutex::new(Some((reader, watch))));
    let taken = seat.clone();
    let started = spawn(Box::new(move || {
        let taken = taken.lock().take();
        if let Some((mut reader, watch)) = taken {
            reader.read_on(&watch);
            drop(watch);
            let _ = back.send(reader);
        }
    }));
    if started.is_err()
        && let Some((reader, _)) = seat.lock().take()
    {
        return reader;
    }
    loop {
        match returned.recv_timeout(LOOK) {
            Ok(reader) => return reader,
            Err(RecvTimeoutError::Timeout) => waker.wakeup(),
            // It has panicked.
            Err(RecvTimeoutError::Disconnected) => vital::end("fleet-reader"),
        }
    }
}

impl Reader {
    /// Reads what comes, as far as that is done without waiting. What could be written only once
    /// that was read back goes then.
    fn read_on(&mut self, watch: &SocketWatch) {
        let pen = self.pen.clone();
        let is_ridden = |is| {
            if let Some(pen) = &pen {
                pen.is_ridden.store(is, Ordering::Release);
                pen.move_on();
            }
        };
        is_ridden(true);
        while self.is_calm() && self.ask_now() {
            watch.wait();
            while self.reads_until.is_some() && !self.hear_now() {
                watch.wait();
            }
            if let Some(pen) = &pen {
                pen.move_on();
            }
        }
        is_ridden(false);
    }
}
