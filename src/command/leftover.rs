//! What a command leaves running: found by a mark in its environment, which every
//! process inherits, also one that left its group and its session.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};

/// The variable that is the mark. A command may use it: it is the directory that it
/// works in.
pub const MARK: &str = "LANDFALL_WORK";

/// The directory of one command, or one that holds many such directories.
#[derive(Clone, Debug)]
pub struct LeftoverMark(PathBuf);

impl LeftoverMark {
    /// The mark of a command that works in `directory`.
    pub fn new(directory: &Path) -> LeftoverMark {
        LeftoverMark(directory.to_owned())
    }

    /// Gives the mark to a command that isn't started yet.
    pub fn put_on(&self, command: &mut Command) {
        command.env(MARK, &self.0);
    }

    /// Kills every process that bears this mark, or one of a directory below it, until
    /// there is none. What cleared its environment or belongs to another user isn't found.
    pub fn kill_bearers(&self) {
        // A process may fork between the look and the kill, so look until none is found;
        // one that only forks and never sleeps must not hold this up for ever.
        for _ in 0..LOOKS_MAX {
            if self.kill_once() == 0 {
                return;
            }
            // What was killed takes a moment to be gone.
            std::thread::sleep(LOOK_PAUSE);
        }
        warn!("{}: processes keep coming here", self.0.display());
    }

    fn kill_once(&self) -> usize {
        let Ok(processes) = fs::read_dir("/proc") else {
            return 0;
        };
        let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter_map(Pid::from_raw)
            .filter(|pid| *pid != rustix::process::getpid())
            .filter(|&pid| self.kill(pid))
            .count()
    }

    fn kill(&self, pid: Pid) -> bool {
        // By descriptor, so that what is killed is what was looked at.
        let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
            return false;
        };
        let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
        environment.is_ok_and(|environment| self.is_in(&environment))
            && rustix::process::pidfd_send_signal(&process, Signal::KILL).is_ok()
    }

    fn is_in(&self, environment: &[u8]) -> bool {
        environment.split(|&byte| byte == 0).any(|variable| {
            let value = variable.strip_prefix(MARK.as_bytes());
            let value = value.and_then(|rest| rest.strip_prefix(b"="));
            value.is_some_and(|value| {
                Path::new(std::ffi::OsStr::from_bytes(value)).starts_with(&self.0)
            })
        })
    }
}

/// How often the processes are looked through for one mark.
const LOOKS_MAX: usize = 100;
const LOOK_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_whole_and_below_and_nowhere_else() {
        let mark = LeftoverMark::new(Path::new("/data/work/up_1"));
        for bears in [
            &b"A=b\0LANDFALL_WORK=/data/work/up_1\0"[..],
            b"LANDFALL_WORK=/data/work/up_1/2-x",
        ] {
            assert!(mark.is_in(bears));
        }
        for free in [
            &b""[..],
            b"LANDFALL_WORK=/data/work/up_12\0",
            b"XLANDFALL_WORK=/data/work/up_1\0",
            b"LANDFALL_WORKS=/data/work/up_1\0",
        ] {
            assert!(!mark.is_in(free));
        }
    }

    #[test]
    fn what_left_its_session_is_killed_by_its_mark() {
        let folder = tempfile::tempdir().unwrap();
        let mark = LeftoverMark::new(folder.path());
        let mut command = Command::new("setsid");
        mark.put_on(command.args(["sleep", "600"]));
        let mut child = command.spawn().unwrap();
        // Between fork and exec it has this process's own environment.
        while child.try_wait().unwrap().is_none() {
            mark.kill_bearers();
        }
        assert!(!child.wait().unwrap().success());
    }
}
