//! What a command has started, and what that has in turn: found by who is whose parent. What has
//! made itself a stranger, as daemons do, isn't found, and is meant to live on.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Processes, each by a descriptor: its number may become another's.
#[derive(Default)]
pub struct Family(Vec<(Pid, OwnedFd)>);

impl Family {
    /// Adds what `parent`, which must not have been collected, and those that are known have
    /// started, and what that has.
    pub fn look(&mut self, parent: Option<Pid>) {
        let processes = processes();
        // Those that still live can't have passed on their numbers before this list was made.
        let mut parents: Vec<Pid> = self.living().chain(parent).collect();
        let mut at = 0;
        while let Some(&parent) = parents.get(at) {
            at += 1;
            for &(pid, _) in processes.iter().filter(|(_, its)| *its == parent) {
                if parents.contains(&pid) {
                    continue;
                }
                // First the descriptor, and then whether it is the right one.
                let process = pidfd_open(pid, PidfdFlags::empty());
                if let Ok(process) = process
                    && parent_of(pid) == Some(parent)
                {
                    parents.push(pid);
                    self.0.push((pid, process));
                }
            }
        }
    }

    /// Sends a signal to those that are known, parents before their children: a shell whose
    /// command ended first would go on to its next line.
    pub fn signal(&self, signal: Signal) {
        for (_, process) in &self.0 {
            // It can only fail where the process has ended, or is another user's.
            let _ = pidfd_send_signal(process, signal);
        }
    }

    /// Whether one of those that are known lives.
    pub fn is_there(&self) -> bool {
        self.living().next().is_some()
    }

    fn living(&self) -> impl Iterator<Item = Pid> {
        let at_once = Timespec::default();
        let lives = move |process: &OwnedFd| {
            let mut end = [PollFd::new(process, PollFlags::IN)];
            matches!(poll(&mut end, Some(&at_once)), Ok(0))
        };
        let living = self.0.iter().filter(move |(_, process)| lives(process));
        living.map(|&(pid, _)| pid)
    }
}

/// Every process, with its parent.
fn processes() -> Vec<(Pid, Pid)> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let pids = pids.filter_map(Pid::from_raw);
    pids.filter_map(|pid| Some((pid, parent_of(pid)?)))
        .collect()
}

/// Its name, which stands before its parent and may be anything, is in brackets.
fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let behind_name = &stat[memchr::memrchr(b')', &stat)? + 1..];
    let parent = std::str::from_utf8(behind_name).ok()?;
    Pid::from_raw(parent.split_whitespace().nth(1)?.parse().ok()?)
}
