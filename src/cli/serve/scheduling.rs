//! The policy by which the kernel schedules the server's threads.
//!
//! A worker that has sent an event wakes a thread of the server, and has mostly nothing more to
//! do. Where that thread pushes it aside, it keeps its core all the same, and the reader that the
//! event is for has to go to another core, which has to be woken. So while cores are idle the
//! server's threads push nobody aside (SCHED_BATCH), but the shards, which have events for many.
//! Where cores are busy all of them do, as everybody does: a program that computes would keep
//! them waiting for milliseconds, and so would a shard.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::io::Errno;

use crate::sys::busy;
use crate::sys::process::Stat;
use crate::sys::raw::set_batch;
use crate::sys::thread;

/// How long it looks at what the cores do, at first and then.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_secs(1);
/// SCHED_OTHER and SCHED_BATCH, as proc(5) has them.
const POLICIES: [f64; 2] = [0.0, 3.0];

/// How the names of the shards' threads begin.
const SHARDS: &str = "shard-";

/// Starts the thread that sees to it. It ends where somebody has given the process another
/// policy, or it isn't allowed to.
pub fn start() {
    let policy = || Stat::read()?.field(41);
    if !policy().is_some_and(|policy| POLICIES.contains(&policy)) {
        return;
    }
    let started = thread::start("scheduling", || {
        if let Err(error) = keep() {
            debug!("scheduling: {error}");
        }
    });
    if let Err(error) = started {
        error!("scheduling: {error}");
    }
}

fn keep() -> io::Result<()> {
    let mut before = CoreTimes::read()?;
    std::thread::sleep(FIRST_LOOK);
    let mut is_batch = None;
    loop {
        let now = CoreTimes::read()?;
        let are_idle = now.are_idle_since(before);
        if is_batch != Some(are_idle) {
            is_batch = Some(are_idle);
            set_all(are_idle)?;
        }
        before = now;
        if are_idle {
            if !busy::wait(LOOK) {
                continue;
            }
            // A shard has much to do, and answers to others shouldn't wait for it.
            is_batch = Some(false);
            set_all(false)?;
            before = CoreTimes::read()?;
        }
        std::thread::sleep(LOOK);
    }
}

fn set_all(is_batch: bool) -> io::Result<()> {
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?;
        let Some(Ok(thread)) = task.file_name().to_str().map(str::parse) else {
            continue;
        };
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        match set_batch(thread, is_batch && !name.starts_with(SHARDS)) {
            // It has ended meanwhile.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
            set => set?,
        }
    }
    Ok(())
}

/// What the machine's cores have done since it started, in hundredths of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CoreTimes {
    idle: u64,
    all: u64,
}

impl CoreTimes {
    fn read() -> io::Result<CoreTimes> {
        let stat = fs::read_to_string("/proc/stat")?;
        CoreTimes::parse(&stat).ok_or(io::ErrorKind::InvalidData.into())
    }

    /// Of what proc(5) says of `/proc/stat`.
    fn parse(stat: &str) -> Option<CoreTimes> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let (mut idle, mut all, mut count) = (0_u64, 0_u64, 0);
        // Those behind them, of guests, are in the first two.
        for time in line.split_ascii_whitespace().take(8) {
            let time = time.parse().ok()?;
            all = all.checked_add(time)?;
            if matches!(count, 3 | 4) {
                idle += time;
            }
            count += 1;
        }
        (count > 4).then_some(CoreTimes { idle, all })
    }

    /// Whether the cores were idle for at least half of the time since `before`.
    fn are_idle_since(self, before: CoreTimes) -> bool {
        let idle = self.idle.saturating_sub(before.idle);
        idle >= self.all.saturating_sub(before.all) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_that_wait_for_a_disk_are_idle_and_those_taken_by_other_machines_are_not() {
        let at = |stat| CoreTimes::parse(stat).unwrap();
        let before = at("cpu  10 0 10 70 10 0 0 0 5 5\ncpu0 1 2 3\n");
        assert_eq!((before.idle, before.all), (80, 100));
        assert!(at("cpu  30 0 40 90 40 0 0 0 0 0\n").are_idle_since(before));
        assert!(!at("cpu  10 0 10 80 20 0 0 30 0 0\n").are_idle_since(before));
        // Nothing has passed, or the kernel takes some of it back.
        assert!(before.are_idle_since(before));
        assert!(at("cpu  10 0 10 60 10 0 0 0 0 0\n").are_idle_since(before));
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        for stat in [
            "",
            "cpu  1 2 3 4\n",
            "cpu0 1 2 3 4 5 6 7 8\n",
            "cpu  1 2 3 x 5 6 7 8\n",
            "cpu  1 2 3 18446744073709551615 5 6 7 8\n",
        ] {
            assert_eq!(CoreTimes::parse(stat), None, "{stat:?}");
        }
        assert!(CoreTimes::read().is_ok());
    }

    #[test]
    fn a_thread_pushes_nobody_aside_and_then_does_again() {
        let told = std::thread::spawn(|| {
            let policy = || Stat::of("thread-self").unwrap().field(41).unwrap();
            // The one that calls it.
            let own = 0;
            set_batch(own, true).unwrap();
            let first = policy();
            set_batch(own, false).unwrap();
            [policy(), first]
        });
        assert_eq!(told.join().unwrap(), POLICIES);
    }
}
