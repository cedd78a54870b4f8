//! Reads on a coroutine while little comes.
//!
//! Publishers' connections are coroutines of one thread. What that thread reads back of the log it
//! answers them without waking anybody: with an event by itself, most of the cost is that. The
//! reader's own thread sleeps meanwhile, and goes on where there is something to wait for, or much
//! to do, which would keep connections waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::sys::channel::{TryRecvError, bounded};
use parking_lot::Mutex;

use super::LogReader;
use super::now::LENT;
use crate::sys::coroutine::{SocketWatch, configure, spawn};
use crate::sys::vital;

/// How often it is seen to that the coroutine doesn't wait for too long.
const LOOK: Duration = Duration::from_millis(500);

/// How often the connection was lent to the writer, 0 where it isn't, and the thread that sees to
/// it that it isn't for too long.
struct Lends {
    turn: Arc<AtomicU64>,
    thread: Thread,
}

/// Has a coroutine read until there is something that is the thread's. Blocks as long.
pub fn ride(reader: LogReader) -> LogReader {
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
    let lent = Arc::new(AtomicU64::new(0));
    let lends = Lends {
        turn: lent.clone(),
        thread: thread::current(),
    };
    let started = spawn(Box::new(move || {
        let taken = taken.lock().take();
        if let Some((mut reader, watch)) = taken {
            reader.read_on(&watch, &lends);
            drop(watch);
            let _ = back.send(reader);
            lends.thread.unpark();
        }
    }));
    if started.is_err()
        && let Some((reader, _)) = seat.lock().take()
    {
        return reader;
    }
    loop {
        let turn = lent.load(Ordering::Acquire);
        thread::park_timeout(if turn == 0 { LOOK } else { LENT });
        match returned.try_recv() {
            Ok(reader) => return reader,
            Err(TryRecvError::Empty) if turn == lent.load(Ordering::Acquire) => waker.wakeup(),
            Err(TryRecvError::Empty) => {}
            // It has panicked.
            Err(TryRecvError::Disconnected) => vital::end("fleet-reader"),
        }
    }
}

impl LogReader {
    /// Reads what comes, as far as that is done without waiting. What could be written only once
    /// that was read back goes then.
    fn read_on(&mut self, watch: &SocketWatch, lends: &Lends) {
        let Some(pen) = self.pen.clone() else {
            return;
        };
        pen.is_ridden.store(true, Ordering::Release);
        let mut turn = 0;
        while self.is_calm() {
            let writer = pen.writer.try_lock();
            let is_lent = writer.is_some_and(|mut writer| self.lend(&mut writer));
            if is_lent {
                turn += 1;
                if lends.turn.swap(turn, Ordering::AcqRel) == 0 {
                    lends.thread.unpark();
                }
            } else {
                lends.turn.store(0, Ordering::Release);
                if !self.ask_now() {
                    break;
                }
            }
            pen.move_on();
            loop {
                watch.wait();
                // While it has the connection, the writer is never held for long.
                let is_over = if is_lent {
                    self.take_back(&mut pen.writer.lock())
                } else {
                    self.hear_now()
                };
                if is_over {
                    break;
                }
            }
        }
        pen.is_ridden.store(false, Ordering::Release);
        pen.move_on();
    }
}
