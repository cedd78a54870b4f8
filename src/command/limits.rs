//! What a command may take of the host.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Child;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// How many files a command may have open: what they are made for, and not what the server
/// has been given for its streams.
const OPEN_FILES: u64 = 1024;

/// Limits of a command, and of each process that it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The memory that a process may have for itself, in bytes.
    pub memory: u64,
    /// The processes and threads that may come to those which this user has when the command
    /// begins. Who is root has no such limit.
    pub processes: u64,
    /// The largest file, in bytes.
    pub file: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory: 4 << 30,
            processes: 1024,
            file: 16 << 30,
        }
    }
}

impl Limits {
    /// The same, with the processes counted in that this user has now.
    pub fn with_those_of_user(&self) -> Limits {
        Limits {
            processes: self.processes.saturating_add(processes_of_user()),
            ..*self
        }
    }

    /// Sets them, for all of the user's processes together, and that nothing is kept of a
    /// crash.
    pub fn set(&self, child: &Child) {
        for (resource, limit) in [
            (Resource::Data, self.memory),
            (Resource::Nproc, self.processes),
            (Resource::Fsize, self.file),
            (Resource::Nofile, OPEN_FILES),
            (Resource::Core, 0),
        ] {
            let limit = Rlimit {
                current: Some(limit),
                maximum: Some(limit),
            };
            match prlimit(Some(Pid::from_child(child)), resource, limit) {
                // It has ended.
                Err(rustix::io::Errno::SRCH) | Ok(_) => {}
                Err(error) => warn!("a command's limit can't be set: {resource:?}: {error}"),
            }
        }
    }
}

/// How many processes and threads this user has.
fn processes_of_user() -> u64 {
    let user = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = entries.filter(|entry| {
        let is_process = entry.file_name().as_encoded_bytes()[0].is_ascii_digit();
        is_process && entry.metadata().is_ok_and(|it| it.uid() == user)
    });
    let threads = own.map(|entry| match fs::read_dir(entry.path().join("task")) {
        Ok(threads) => threads.count() as u64,
        Err(_) => 1,
    });
    threads.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn limits_hold_for_what_is_running() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let limits = Limits {
            memory: 1 << 24,
            processes: 7,
            file: 1 << 20,
        };
        limits.with_those_of_user().set(&child);
        let path = format!("/proc/{}/limits", child.id());
        let text = fs::read_to_string(path).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let of = |name: &str| -> u64 {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            let numbers: Vec<_> = line[name.len()..].split_whitespace().take(2).collect();
            assert_eq!(numbers[0], numbers[1], "{line}");
            numbers[0].parse().unwrap()
        };
        assert_eq!(of("Max data size"), 1 << 24);
        assert_eq!(of("Max file size"), 1 << 20);
        assert_eq!(of("Max core file size"), 0);
        assert_eq!(of("Max open files"), OPEN_FILES);
        assert!(of("Max processes") > 7);
    }
}
