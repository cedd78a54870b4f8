//! Word from a thread that has much to do, for the one that waits for it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
#[cfg(any(feature = "serve", test))]
use std::{thread, time::Duration};

static WAITER: OnceLock<Thread> = OnceLock::new();
static IS_AWAITED: AtomicBool = AtomicBool::new(false);

/// Says so. It costs next to nothing where nobody waits for it.
pub fn tell() {
    if IS_AWAITED.load(Ordering::Relaxed)
        && IS_AWAITED.swap(false, Ordering::Relaxed)
        && let Some(waiter) = WAITER.get()
    {
        waiter.unpark();
    }
}

/// Waits for so long that some thread says so, and returns whether one has. It blocks. One thread
/// in the process may do it.
#[cfg(any(feature = "serve", test))]
pub fn wait(most: Duration) -> bool {
    WAITER.get_or_init(thread::current);
    IS_AWAITED.store(true, Ordering::Relaxed);
    thread::park_timeout(most);
    !IS_AWAITED.swap(false, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told_and_else_has_waited() {
        assert!(!wait(Duration::from_millis(1)));
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    tell();
                    thread::yield_now();
                }
            });
            // The thread may be woken for nothing, but then isn't told.
            while !wait(Duration::from_secs(60)) {}
            is_over.store(true, Ordering::Relaxed);
        });
    }
}
