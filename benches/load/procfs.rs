//! What the kernel says a process, and the machine, has used.

use std::fs;
use std::ops::Sub;

/// CPU time used so far.
#[derive(Debug, Default, Clone, Copy)]
pub struct Cpu {
    /// Nanoseconds on a core, summed over threads (`schedstat`): exact.
    pub total_ns: u64,
    /// User and system time in ticks of 10 ms (`stat`): for the split only.
    pub user_ticks: u64,
    pub system_ticks: u64,
}

impl Sub for Cpu {
    type Output = Cpu;

    fn sub(self, before: Cpu) -> Cpu {
        Cpu {
            total_ns: self.total_ns.saturating_sub(before.total_ns),
            user_ticks: self.user_ticks.saturating_sub(before.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(before.system_ticks),
        }
    }
}

impl Cpu {
    /// The exact total, split in the proportion of the coarse ticks.
    pub fn user_share(&self) -> f64 {
        let ticks = self.user_ticks + self.system_ticks;
        if ticks == 0 {
            return 0.0;
        }
        self.user_ticks as f64 / ticks as f64
    }
}

/// Sums over the processes of one server.
pub fn cpu(pids: &[u32]) -> Cpu {
    let mut cpu = Cpu::default();
    for pid in pids {
        for task in tasks(*pid) {
            let schedstat = fs::read_to_string(format!("{task}/schedstat")).unwrap_or_default();
            cpu.total_ns += first_number(&schedstat);
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The command name may hold spaces; what follows its `)` is regular.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        cpu.user_ticks += number_at(&fields, 11);
        cpu.system_ticks += number_at(&fields, 12);
    }
    cpu
}

/// Bytes a process has written to and holds alone or shared: its anonymous and
/// shared memory, each page counted once over all of the server's processes.
/// Pages of the program file itself are not counted.
pub fn user_bytes(pids: &[u32]) -> u64 {
    sum_of(pids, "smaps_rollup", &["Pss_Anon:", "Pss_Shmem:"])
}

/// Everything resident, program text too.
pub fn resident_bytes(pids: &[u32]) -> u64 {
    sum_of(pids, "smaps_rollup", &["Pss:"])
}

/// Times a thread of these processes has gone to sleep.
pub fn sleeps(pids: &[u32]) -> u64 {
    pids.iter()
        .flat_map(|pid| tasks(*pid))
        .map(|task| {
            let status = fs::read_to_string(format!("{task}/status")).unwrap_or_default();
            field(&status, "voluntary_ctxt_switches:")
        })
        .sum()
}

/// Open files of a process.
pub fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The process and its children, which is how nginx comes.
pub fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    family.extend(
        children
            .split_whitespace()
            .filter_map(|c| c.parse::<u32>().ok()),
    );
    family
}

/// Bytes that the whole machine has left, and what of the rest is kernel slab.
pub fn machine_available_and_slab_bytes() -> (u64, u64) {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    (
        field(&meminfo, "MemAvailable:") * 1024,
        field(&meminfo, "SUnreclaim:") * 1024,
    )
}

/// Bytes that all TCP sockets of the machine hold in their buffers, both ends of
/// each connection. Unlike the machine's memory nothing else moves it.
pub fn socket_buffer_bytes() -> u64 {
    let sockstat = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let tcp = sockstat.lines().find(|line| line.starts_with("TCP:"));
    let pages = tcp.and_then(|line| line.split_once(" mem "));
    pages.map_or(0, |(_, pages)| first_number(pages) * 4096)
}

/// Connections the kernel refused because a listener's queue was full.
pub fn listen_overflows() -> u64 {
    let netstat = fs::read_to_string("/proc/net/netstat").unwrap_or_default();
    let mut lines = netstat.lines().filter(|line| line.starts_with("TcpExt:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return 0;
    };
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .find(|(name, _)| *name == "ListenOverflows")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}

fn tasks(pid: u32) -> Vec<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path().display().to_string())
        .collect()
}

fn sum_of(pids: &[u32], file: &str, names: &[&str]) -> u64 {
    pids.iter()
        .map(|pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            names
                .iter()
                .map(|name| field(&text, name) * 1024)
                .sum::<u64>()
        })
        .sum()
}

fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .map_or(0, first_number)
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}

fn number_at(fields: &[&str], index: usize) -> u64 {
    fields
        .get(index)
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}
