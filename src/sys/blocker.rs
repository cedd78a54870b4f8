//! What a thread or a coroutine waits at.

#[cfg(all(feature = "server", feature = "redis"))]
pub use may::coroutine::is_coroutine;
#[cfg(feature = "server")]
pub use may::sync::Blocker;
#[cfg(not(feature = "server"))]
pub use thread::Blocker;

/// Whether it is a coroutine that calls this.
#[cfg(all(feature = "redis", not(feature = "server")))]
pub fn is_coroutine() -> bool {
    false
}

/// Suspends the coroutine that calls it until those that could go on have. A thread goes on at
/// once.
pub fn let_ready_go_first() {
    #[cfg(feature = "server")]
    if may::coroutine::is_coroutine() {
        may::coroutine::yield_now();
    }
}

/// Without a server there are no coroutines.
#[cfg(not(feature = "server"))]
mod thread {
    use std::time::Duration;

    use parking_lot::{Condvar, Mutex};

    /// What a thread waits at. To be woken before it waits is as good as after.
    pub struct Blocker {
        is_woken: Mutex<bool>,
        woken: Condvar,
    }

    impl Blocker {
        /// Nobody waits yet. A thread can't be cancelled, other than a coroutine.
        pub fn new(_ignores_cancelling: bool) -> Blocker {
            Blocker {
                is_woken: Mutex::new(false),
                woken: Condvar::new(),
            }
        }

        /// Waits to be woken, or for so long.
        ///
        /// # Errors
        /// It wasn't.
        pub fn park(&self, timeout: Option<Duration>) -> Result<(), ()> {
            let mut is_woken = self.is_woken.lock();
            while !*is_woken {
                match timeout {
                    None => self.woken.wait(&mut is_woken),
                    Some(timeout) if self.woken.wait_for(&mut is_woken, timeout).timed_out() => {
                        return Err(());
                    }
                    Some(_) => {}
                }
            }
            *is_woken = false;
            Ok(())
        }

        /// Wakes who waits, or is about to.
        pub fn unpark(&self) {
            *self.is_woken.lock() = true;
            self.woken.notify_one();
        }
    }
}
