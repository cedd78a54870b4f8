//! The thread that tells who waits how far they are, and lets go of what is kept too long
//! and of what is of lives that are over.

use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::sys;

use parking_lot::{Condvar, Mutex};

use super::Pipeline;
use super::line::Line;

/// The time between two looks at the lines.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long it is waited for who needn't wait.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is looked for what is kept too long.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// How often it is looked for lives that are over, as long as there are any.
const LAPSE_INTERVAL: Duration = Duration::from_secs(2);

/// Says that a line has changed. Never blocks.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    /// Says it.
    pub fn ring(&self) {
        *self.rung.lock() = true;
        self.changed.notify_all();
    }

    fn wait(&self, until: Instant) {
        let mut rung = self.rung.lock();
        if !*rung {
            self.changed.wait_until(&mut rung, until);
        }
        *rung = false;
    }
}

/// Tells who waits how far they are. Returns when to do it again, where that is soon.
fn tell_positions(line: &Line) -> Option<Instant> {
    let mut again = None;
    for (index, (stage, queue)) in line.stages.iter().zip(&line.queues).enumerate() {
        let (news, later) = queue.news(Instant::now());
        again = again.into_iter().chain(later).min();
        for (attempt, position) in news {
            attempt.queued(index, &stage.name, position);
        }
    }
    again
}

/// Starts the thread; it ends with the pipeline.
pub fn start(pipeline: Pipeline) -> io::Result<()> {
    let run = move || {
        let inner = &pipeline.0;
        let mut expiry = Instant::now();
        let mut again = None;
        loop {
            let until = if inner.lives.lock().is_empty() {
                expiry
            } else {
                expiry.min(Instant::now() + LAPSE_INTERVAL)
            };
            let until = again.map_or(until, |again| until.min(again));
            inner.bell.wait(until);
            if inner.closed.load(Ordering::Acquire) {
                return;
            }
            thread::sleep(PAUSE);
            again = None;
            for line in inner.lines() {
                again = again.into_iter().chain(tell_positions(&line)).min();
            }
            inner.end_lines();
            let turn = inner.turn.lock();
            if inner.closed.load(Ordering::Acquire) {
                return;
            }
            pipeline.cancel_lapsed();
            pipeline.keep_alive();
            if Instant::now() >= expiry {
                inner.expire();
                expiry = Instant::now() + EXPIRY_INTERVAL;
            }
            drop(turn);
            thread::sleep(INTERVAL);
        }
    };
    sys::thread::start("herald", run).map(drop)
}
