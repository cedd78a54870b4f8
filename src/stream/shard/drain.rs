//! The end of all streams, one after the other: their clients come back as they went.

use std::time::{Duration, Instant};

use super::Shard;
use super::table::ENDING;

/// The least that a shard sleeps between two parts of a drain.
const PAUSE: Duration = Duration::from_millis(1);

/// A drain that has begun.
pub(super) struct Drain {
    since: Instant,
    spread: Duration,
    /// The rows that there were.
    rows: Vec<u32>,
    /// How many of them have had their turn.
    done: usize,
}

impl Shard {
    /// Has every row end within `spread`. A second drain changes nothing.
    pub(super) fn begin_drain(&mut self, spread: Duration) {
        if self.drain.is_some() {
            return;
        }
        let rows = (0..self.table.end()).filter(|&row| self.table.get(row).is_some());
        self.drain = Some(Drain {
            since: self.now,
            spread,
            rows: rows.collect(),
            done: 0,
        });
    }

    /// Ends the rows whose turn has come.
    pub(super) fn drain_due(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        let due = drain.due(self.now);
        let rows: Vec<u32> = drain.rows[drain.done..due].to_vec();
        drain.done = due;
        for row in rows {
            if let Some(there) = self.table.get(row) {
                there.flags |= ENDING;
                self.leave_waiting(row);
                self.queue_row(row);
            }
        }
    }

    /// How long until the next row's turn. None where no row has one.
    pub(super) fn until_drain(&self) -> Option<Duration> {
        let drain = self.drain.as_ref()?;
        let count = drain.rows.len();
        (drain.done < count).then(|| (drain.spread / count as u32).max(PAUSE))
    }
}

impl Drain {
    /// How many rows' turns have come by `now`: the first at once, the last before the
    /// spread has passed.
    fn due(&self, now: Instant) -> usize {
        let past = now.saturating_duration_since(self.since);
        if past >= self.spread {
            return self.rows.len();
        }
        let share = past.as_secs_f64() / self.spread.as_secs_f64();
        let due = (self.rows.len() as f64 * share) as usize + 1;
        due.clamp(self.done, self.rows.len())
    }
}
