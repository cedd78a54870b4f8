//! What a webhook hasn't got yet: the numbers of events, and when each is tried next.
//!
//! Two invariants:
//! - Of a job, only the oldest event is tried.
//! - It holds no event itself, and no more numbers than it is let: what comes behind them
//!   stays in the order.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::event::job::{EventId, JobId};
use crate::sequencer::history::Cursor;
use crate::sys::sorted::Sorted;

/// The numbers.
#[derive(Default)]
pub struct HookBacklog(Sorted<EventId, Undelivered>);

/// An event that the receiver hasn't taken.
#[derive(Clone, Debug)]
pub struct Undelivered {
    /// Its job.
    pub job: JobId,
    /// Its name.
    pub name: Box<str>,
    /// How often it was tried.
    pub tries: u32,
    /// When it came, in milliseconds of the unix clock.
    pub time_ms: u64,
    /// When it was tried first, likewise; zero before that.
    pub since_ms: u64,
    /// When it is tried next.
    pub due: Instant,
    /// It is being tried.
    pub is_busy: bool,
    /// There was nobody to hear the last try.
    pub is_unheard: bool,
    /// Its life was deleted while it was being tried.
    pub is_void: bool,
    /// Where it was read back from, if it was.
    pub place: Option<Cursor>,
}

impl HookBacklog {
    /// Adds an event.
    pub fn add(&mut self, id: EventId, event: Undelivered) {
        self.0.insert(id, event);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (EventId, &Undelivered)> {
        self.0.iter().map(|(id, event)| (*id, event))
    }

    /// One of them.
    pub fn get_mut(&mut self, id: EventId) -> Option<&mut Undelivered> {
        self.0.get_mut(&id)
    }

    /// Takes one out.
    pub fn remove(&mut self, id: EventId) -> Option<Undelivered> {
        self.0.remove(&id)
    }

    /// The oldest that is to be tried now.
    pub fn next(&self, now: Instant) -> Option<EventId> {
        let mut ready = self.ready();
        ready.find_map(|(id, event)| (event.due <= now).then_some(id))
    }

    /// How long until the next is to be tried.
    pub fn until_next(&self, now: Instant) -> Option<Duration> {
        let soonest = self.ready().map(|(_, event)| event.due).min()?;
        Some(soonest.saturating_duration_since(now))
    }

    /// Takes out what a job had before it was deleted, and says how many that were; what is
    /// being tried is tried no more.
    pub fn void(&mut self, job: &JobId) -> usize {
        let before = self.len();
        self.0.retain(|event| event.is_busy || event.job != *job);
        let voided = before - self.len();
        let mut left = self.0.values_mut();
        if let Some(event) = left.find(|event| event.job == *job) {
            event.is_void = true;
        }
        voided
    }

    /// Somebody hears again: what nobody heard is tried now.
    pub fn heard(&mut self, now: Instant) {
        for event in self.0.values_mut().filter(|event| event.is_unheard) {
            event.due = event.due.min(now);
        }
    }

    /// Nothing is tried later than this.
    pub fn hasten(&mut self, latest: Instant) {
        for event in self.0.values_mut() {
            event.due = event.due.min(latest);
        }
    }

    /// The oldest of each job, where it isn't being tried.
    fn ready(&self) -> impl Iterator<Item = (EventId, &Undelivered)> {
        let mut seen = HashSet::new();
        let oldest = self
            .iter()
            .filter(move |(_, event)| seen.insert(&event.job));
        oldest.filter(|(_, event)| !event.is_busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(backlog: &mut HookBacklog, id: u64, job: &str, due: Instant) {
        let event = Undelivered {
            job: job.parse().unwrap(),
            name: "done".into(),
            tries: 0,
            time_ms: 0,
            since_ms: 0,
            due,
            is_busy: false,
            is_unheard: false,
            is_void: false,
            place: None,
        };
        backlog.add(EventId(id), event);
    }

    #[test]
    fn of_a_job_only_the_oldest_is_tried_and_other_jobs_go_on() {
        let mut backlog = HookBacklog::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(5);
        add(&mut backlog, 1, "a", later);
        add(&mut backlog, 2, "a", now);
        assert_eq!(backlog.next(now), None);
        assert_eq!(backlog.until_next(now), Some(Duration::from_secs(5)));
        add(&mut backlog, 3, "b", now);
        assert_eq!(backlog.next(now), Some(EventId(3)));
        assert_eq!(backlog.until_next(later), Some(Duration::ZERO));
        assert_eq!(backlog.next(later), Some(EventId(1)));
        backlog.get_mut(EventId(1)).unwrap().is_busy = true;
        backlog.get_mut(EventId(3)).unwrap().is_busy = true;
        assert_eq!(backlog.next(later), None);
        assert_eq!(backlog.until_next(later), None);
        backlog.remove(EventId(1));
        assert_eq!(backlog.next(now), Some(EventId(2)));
    }

    #[test]
    fn what_was_deleted_is_not_tried_and_what_nobody_heard_is_tried_once_somebody_does() {
        let mut backlog = HookBacklog::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(5);
        add(&mut backlog, 1, "a", now);
        add(&mut backlog, 2, "b", later);
        add(&mut backlog, 3, "c", later);
        assert_eq!(backlog.void(&"a".parse().unwrap()), 1);
        assert_eq!(backlog.len(), 2);
        backlog.get_mut(EventId(3)).unwrap().is_unheard = true;
        backlog.heard(now);
        assert_eq!(backlog.next(now), Some(EventId(3)));
    }
}
