//! What time it is. A simulation has a time of its own, on its thread alone.

use std::time::{Duration, Instant, SystemTime};

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Now, of a clock that never goes back.
pub fn now() -> Instant {
    #[cfg(test)]
    if let Some(now) = simulated::now() {
        return now;
    }
    Instant::now()
}

/// So long from now; a century, where that is more than a clock can tell.
pub fn after(time: Duration) -> Instant {
    let now = now();
    now.checked_add(time).unwrap_or_else(|| now + CENTURY)
}

/// How long it is since the unix epoch.
pub fn since_epoch() -> Duration {
    #[cfg(test)]
    if let Some(since) = simulated::since_epoch() {
        return since;
    }
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default()
}

/// Sleeps. In a simulation time passes, and nothing else happens meanwhile.
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
pub fn sleep(time: Duration) {
    #[cfg(test)]
    if simulated::sleep(time) {
        return;
    }
    std::thread::sleep(time);
}

/// Milliseconds of the unix clock.
pub fn now_ms() -> u64 {
    since_epoch().as_millis() as u64
}

#[cfg(test)]
pub mod simulated {
    //! A time that stands still unless it is told to go on.

    use std::cell::Cell;
    use std::time::{Duration, Instant};

    thread_local! {
        static NOW: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
    }

    /// The time of this thread is a simulation's as long as this lives.
    pub struct Simulated(());

    impl Simulated {
        /// It begins so long after the unix epoch.
        pub fn beginning(since_epoch: Duration) -> Simulated {
            NOW.set(Some((Instant::now(), since_epoch)));
            Simulated(())
        }

        /// Time passes.
        pub fn pass(&self, time: Duration) {
            let (now, since_epoch) = NOW.get().expect("it is simulated");
            NOW.set(Some((now + time, since_epoch + time)));
        }

        /// Somebody sets the unix clock ahead.
        #[cfg_attr(not(feature = "redis"), allow(dead_code))]
        pub fn set_ahead(&self, time: Duration) {
            let (now, since_epoch) = NOW.get().expect("it is simulated");
            NOW.set(Some((now, since_epoch + time)));
        }

        /// Somebody sets the unix clock back.
        pub fn set_back(&self, time: Duration) {
            let (now, since_epoch) = NOW.get().expect("it is simulated");
            NOW.set(Some((now, since_epoch.saturating_sub(time))));
        }
    }

    impl Drop for Simulated {
        fn drop(&mut self) {
            NOW.set(None);
        }
    }

    pub(super) fn sleep(time: Duration) -> bool {
        let now = NOW.get();
        NOW.set(now.map(|(now, since_epoch)| (now + time, since_epoch + time)));
        now.is_some()
    }

    pub(super) fn now() -> Option<Instant> {
        NOW.get().map(|(now, _)| now)
    }

    pub(super) fn since_epoch() -> Option<Duration> {
        NOW.get().map(|(_, since_epoch)| since_epoch)
    }
}
