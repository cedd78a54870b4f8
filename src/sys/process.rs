//! What the process takes of the system, by the names that Prometheus' clients give it.

use std::fmt::Write;
use std::fs;

use rustix::process::{Resource, getrlimit};

/// Linux counts times for programs in hundredths of a second, whatever it runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// Appends it. What the system doesn't tell is left out.
pub fn write(out: &mut String) {
    let mut sample = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            let _ = writeln!(
                out,
                "# HELP process_{name} {help}\n# TYPE process_{name} {kind}\nprocess_{name} {value}"
            );
        }
    };
    let stat = Stat::read();
    let field = |number: usize| stat.as_ref().and_then(|stat| stat.field(number));
    let cpu = field(14).zip(field(15));
    let cpu = cpu.map(|(user, system)| (user + system) / TICKS_A_SECOND);
    let help = "User and system CPU time spent, in seconds.";
    sample("cpu_seconds_total", "counter", help, cpu);
    let started = field(22).zip(booted_at());
    let started = started.map(|(ticks, booted)| booted + ticks / TICKS_A_SECOND);
    let help = "When the process started, in seconds of the unix clock.";
    sample("start_time_seconds", "gauge", help, started);
    let help = "Threads of the process.";
    sample("threads", "gauge", help, field(20));
    let help = "Virtual memory, in bytes.";
    sample("virtual_memory_bytes", "gauge", help, field(23));
    let help = "Resident memory, in bytes.";
    sample("resident_memory_bytes", "gauge", help, resident());
    let open = fs::read_dir("/proc/self/fd").ok();
    // The one that is read with is among them.
    let open = open.map(|entries| entries.count().saturating_sub(1) as f64);
    sample("open_fds", "gauge", "Open file descriptors.", open);
    let most = getrlimit(Resource::Nofile).current.map(|most| most as f64);
    sample("max_fds", "gauge", "The most that may be open.", most);
}

/// `/proc/self/stat`, or a thread's, behind its name, which may hold anything.
pub struct Stat(String);

impl Stat {
    /// Of the process. None where the system doesn't tell.
    pub fn read() -> Option<Stat> {
        Stat::of("self")
    }

    /// Of what has this name in `/proc`. None where there is no such thing.
    pub fn of(name: &str) -> Option<Stat> {
        let text = fs::read_to_string(format!("/proc/{name}/stat")).ok()?;
        let (_, rest) = text.rsplit_once(')')?;
        Some(Stat(rest.to_owned()))
    }

    /// A number, by its place as proc(5) counts them.
    pub fn field(&self, number: usize) -> Option<f64> {
        let field = self.0.split_ascii_whitespace().nth(number - 3)?;
        field.parse().ok()
    }
}

fn booted_at() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_told_and_is_about_right() {
        let mut text = String::new();
        write(&mut text);
        let value = |name: &str| -> f64 {
            let begin = format!("process_{name} ");
            let found = text.lines().find_map(|line| line.strip_prefix(&begin));
            found
                .unwrap_or_else(|| panic!("{name}: {text}"))
                .parse()
                .unwrap()
        };
        assert!(value("cpu_seconds_total") >= 0.0 && value("threads") >= 1.0);
        assert!(value("resident_memory_bytes") > 1e6);
        assert!(value("virtual_memory_bytes") >= value("resident_memory_bytes"));
        assert!(value("open_fds") >= 3.0 && value("max_fds") >= value("open_fds"));
        let now = crate::sys::clock::since_epoch().as_secs_f64();
        let age = now - value("start_time_seconds");
        assert!((-2.0..100_000.0).contains(&age), "{age}");
    }
}
