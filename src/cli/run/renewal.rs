//! The lease of a run's job, while its command says nothing.

use std::process;
use std::time::{Duration, Instant, SystemTime};

use crate::event::Lease;

/// So many times within a lease it is renewed: a word or two may be lost.
const TIMES: u32 = 3;

/// When the lease is renewed.
pub struct Renewal {
    /// How long that is.
    pub lease: Lease,
    /// What tells this run's keys from those of another.
    run: String,
    /// How many renewals there were.
    count: u64,
    /// When the next is due.
    due: Instant,
}

impl Renewal {
    /// Of a lease that doesn't run yet.
    pub fn new(lease: Lease) -> Renewal {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = since.unwrap_or_default().as_nanos();
        Renewal {
            lease,
            run: format!("run-{}-{nanos}", process::id()),
            count: 0,
            due: Instant::now(),
        }
    }

    /// How long the job may be without a word before this one gives it a next.
    pub fn interval(&self) -> Duration {
        self.lease.duration() / TIMES
    }

    /// An event has begun it again: the next renewal is due a whole interval from now.
    pub fn begin_anew(&mut self) {
        self.count += 1;
        self.due = Instant::now() + self.interval();
    }

    /// The key to ask with: a new one where a renewal is due, and else that of the last one,
    /// which the hub only answers again, and keeps nowhere.
    pub fn key(&mut self) -> String {
        if self.due <= Instant::now() {
            self.begin_anew();
        }
        format!("{}-{}", self.run, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_new_one_only_when_a_renewal_is_due() {
        let lease = |text: &str| text.parse::<Lease>().unwrap();
        let mut renewal = Renewal::new(lease("24h"));
        let first = renewal.key();
        assert_eq!(renewal.key(), first);
        renewal.begin_anew();
        assert_ne!(renewal.key(), first);
        let mut due = Renewal::new(lease("1s"));
        due.due = Instant::now();
        let first = due.key();
        due.due = Instant::now();
        assert_ne!(due.key(), first);
    }
}
