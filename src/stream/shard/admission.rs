//! Who comes back with a replay due is let in as fast as the host can stand. A replay is paid
//! for in bytes, from a bucket that fills faster and faster while the shard is in time with its
//! work, and more slowly while it finds that it is late.
//! Who has to wait is a row as any other: it has its head and its `retry:`, and gets
//! comments; only its events wait.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Shard;
use super::table::{CONSOLIDATED, QUEUED, WAITING};

/// What a replay costs at least, in bytes: a call to the kernel has its price too.
const COST_MIN: f64 = 4096.0;
/// What the bucket holds at most, in bytes: so much is sent without a look at what else there
/// is. It is what the rate brings in so long, but between these.
const BURST_TIME: Duration = Duration::from_millis(2);
const BURST_MIN: f64 = 32.0 * COST_MIN;
const BURST_MAX: f64 = 128.0 * COST_MIN;
/// Bytes a second that are sent before it is known what the host can stand.
const RATE_FIRST: f64 = 256.0 * 1024.0 * 1024.0;
/// How often the rate is looked at while somebody waits.
const WINDOW: Duration = Duration::from_millis(10);
/// A shard that comes to its work later than this has too much of it, or its host has.
const LATE: Duration = Duration::from_millis(4);
/// What the rate becomes in a window that was late, and in one that wasn't.
const SLOWER: f64 = 0.7;
const FASTER: f64 = 1.2;
/// Bytes a second that are sent however late the shard is: nobody waits for ever.
const RATE_MIN: f64 = 100.0 * COST_MIN;
/// The longest sleep while somebody waits: how late it ends says how busy the host is.
const TICK: Duration = Duration::from_millis(2);

/// The bucket of one shard, and who waits for it.
pub(super) struct Admission {
    /// Bytes a second, at most.
    ceiling: f64,
    rate: f64,
    /// The bytes in the bucket. A replay that costs more than there is leaves a debt.
    level: f64,
    filled: Instant,
    window_ends: Instant,
    /// The most that the shard has been late in this window.
    latest: Duration,
    pub waiting: VecDeque<u32>,
}

impl Admission {
    pub fn new(ceiling: usize, now: Instant) -> Admission {
        let ceiling = (ceiling as f64).max(RATE_MIN);
        Admission {
            ceiling,
            rate: ceiling.min(RATE_FIRST),
            level: BURST_MIN,
            filled: now,
            window_ends: now,
            latest: Duration::ZERO,
            waiting: VecDeque::new(),
        }
    }

    /// The shard has come to its work so late.
    pub fn note(&mut self, late: Duration, now: Instant) {
        self.latest = self.latest.max(late);
        if now < self.window_ends {
            return;
        }
        if !self.waiting.is_empty() {
            let factor = if self.latest > LATE { SLOWER } else { FASTER };
            self.rate = (self.rate * factor).clamp(RATE_MIN, self.ceiling);
        }
        self.latest = Duration::ZERO;
        self.window_ends = now + WINDOW;
    }

    /// Gives the memory of a herd back.
    pub fn rest(&mut self) {
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
    }

    /// Whether a replay may begin.
    fn is_open(&mut self, now: Instant) -> bool {
        let past = now.saturating_duration_since(self.filled);
        let most = (self.rate * BURST_TIME.as_secs_f64()).clamp(BURST_MIN, BURST_MAX);
        self.level = (self.level + past.as_secs_f64() * self.rate).min(most);
        self.filled = now;
        self.level > 0.0
    }

    /// A replay has begun with so many bytes.
    fn pay(&mut self, bytes: u64) {
        self.level -= (bytes as f64).max(COST_MIN);
    }

    /// How long to sleep at most. None where nobody waits.
    pub fn until_next(&self) -> Option<Duration> {
        if self.waiting.is_empty() {
            return None;
        }
        let wait = Duration::from_secs_f64((-self.level).max(0.0) / self.rate);
        Some(wait.clamp(Duration::from_millis(1), TICK))
    }
}

impl Shard {
    /// Serves a row that has just come: at once, or, where a replay is due that has to
    /// wait, with its head alone.
    pub(super) fn admit(&mut self, row: u32) {
        let is_free = self.admission.waiting.is_empty();
        if !self.is_behind(row) {
            self.serve_behind(row);
            return;
        }
        if is_free && self.admission.is_open(self.now) {
            self.replay(row);
            return;
        }
        self.table[row].flags |= WAITING | QUEUED;
        self.admission.waiting.push_back(row);
        self.hub.metrics().replays_waiting.add(1);
        self.batch.clear();
        self.send(row, 0, false);
    }

    /// Lets in those whose turn has come, as far as the slice goes.
    pub(super) fn admit_waiting(&mut self, sends: &mut usize) {
        while *sends > 0
            && let Some(&row) = self.admission.waiting.front()
        {
            // One that has left since, or ended, costs nothing.
            let waits = self
                .table
                .get(row)
                .is_some_and(|it| it.flags & WAITING != 0);
            if waits {
                if !self.admission.is_open(self.now) {
                    return;
                }
                *sends -= 1;
                self.replay(row);
            }
            self.admission.waiting.pop_front();
        }
    }

    fn replay(&mut self, row: u32) {
        // Until they are counted, they are summed up here.
        let before = self.bytes_sent;
        self.serve_behind(row);
        self.admission.pay(self.bytes_sent.saturating_sub(before));
    }

    /// A row waits no more.
    pub(super) fn leave_waiting(&mut self, row: u32) {
        if let Some(there) = self.table.get(row)
            && there.flags & WAITING != 0
        {
            there.flags &= !(WAITING | QUEUED);
            self.hub.metrics().replays_waiting.add(-1);
        }
    }

    /// Whether events are there that a row hasn't been sent.
    fn is_behind(&mut self, row: u32) -> bool {
        let Some(there) = self.table.get(row) else {
            return false;
        };
        let (after, place) = (there.after, there.place);
        if there.flags & CONSOLIDATED != 0 {
            return after < self.hub.published().0;
        }
        match self.jobs.get(place as usize) {
            Some(Some(followed)) => followed.job.newest().0 > after,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(admission: &mut Admission, bytes: u64, now: Instant) -> usize {
        let admit = || admission.is_open(now).then(|| admission.pay(bytes));
        std::iter::from_fn(admit).count()
    }

    #[test]
    fn a_few_come_in_at_once_and_a_herd_at_the_rate() {
        let now = Instant::now();
        let mut admission = Admission::new(1000 * COST_MIN as usize, now);
        assert_eq!(admitted(&mut admission, 1, now), 32);
        let now = now + Duration::from_millis(10);
        assert_eq!(admitted(&mut admission, 1, now), 10);
        let now = now + Duration::from_secs(60);
        assert_eq!(admitted(&mut admission, 1, now), 32, "nothing is saved up");
    }

    #[test]
    fn a_large_replay_costs_what_it_sends_and_is_waited_for_by_the_next() {
        let now = Instant::now();
        let mut admission = Admission::new(1 << 20, now);
        assert_eq!(admitted(&mut admission, 1 << 20, now), 1);
        assert_eq!(
            admitted(&mut admission, 1, now + Duration::from_millis(800)),
            0
        );
        assert!(admitted(&mut admission, 1, now + Duration::from_millis(900)) > 0);
    }

    /// How long it takes to let 2,000 in, each with 60 KiB, on a host that can send 400 MB a
    /// second, where every turn takes so much longer.
    fn catch_up(ceiling: usize, late: Duration) -> Duration {
        let began = Instant::now();
        let mut now = began;
        let mut admission = Admission::new(ceiling, now);
        admission.waiting = (0..2000).collect();
        while !admission.waiting.is_empty() {
            // A turn takes a little, also one that sends nothing.
            let mut took = late + Duration::from_micros(1);
            for _ in 0..32 {
                if !admission.is_open(now) || admission.waiting.pop_front().is_none() {
                    break;
                }
                admission.pay(60 << 10);
                took += SENDING;
            }
            now += took + admission.until_next().unwrap_or_default();
            admission.note(took, now);
        }
        now - began
    }

    const SENDING: Duration = Duration::from_nanos((60 << 10) * 1000 / 400);

    #[test]
    fn a_host_that_is_idle_lets_a_herd_in_as_fast_as_it_sends_but_for_its_sleeps() {
        let idle = catch_up(1 << 30, Duration::ZERO);
        let needed = 2000 * SENDING;
        assert!(idle < needed * 2, "{idle:?} for {needed:?}");
        let limited = catch_up(64 << 20, Duration::ZERO);
        assert!(limited > needed * 5, "{limited:?} for {needed:?}");
    }

    #[test]
    fn a_host_that_is_busy_lets_a_herd_in_slowly() {
        let idle = catch_up(1 << 30, Duration::ZERO);
        let busy = catch_up(1 << 30, LATE * 2);
        assert!(busy > idle * 20, "{busy:?} instead of {idle:?}");
    }

    #[test]
    fn the_rate_falls_while_the_shard_is_late_and_recovers_and_keeps_its_bounds() {
        let mut now = Instant::now();
        let mut admission = Admission::new(10_000_000, now);
        let mut after = |late: u64, windows: usize| {
            admission.waiting.push_back(0);
            for _ in 0..windows {
                now += WINDOW;
                admission.note(Duration::from_millis(late), now);
            }
            admission.rate
        };
        assert_eq!(after(1, 5), 10_000_000.0);
        assert!(after(20, 1) < 10_000_000.0);
        assert_eq!(after(20, 100), RATE_MIN);
        assert_eq!(after(1, 100), 10_000_000.0);
    }

    #[test]
    fn a_shard_for_which_nobody_waits_keeps_its_rate() {
        let now = Instant::now();
        let mut admission = Admission::new(10_000_000, now);
        admission.note(Duration::from_secs(1), now + WINDOW);
        assert_eq!(admission.rate, 10_000_000.0);
        assert_eq!(admission.until_next(), None);
    }
}
