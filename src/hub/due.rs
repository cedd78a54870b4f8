//! Running jobs that end by themselves where nothing more is said: which of them next, and
//! when.
//!
//! The times here are this process's own, of a clock that never goes back: a lease is time
//! in which the worker could have been heard. So it begins anew with a start, and where it
//! couldn't have been heard. Nothing here accepts or refuses anything: what ends a job is an
//! entry, which holds only if nothing has come to the job since.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::Due;
use super::{Change, Hub, Job, Life, Only, Terms};
use crate::event::job::{EventId, JobId, LifeId};
use crate::event::{Event, Lease};
use crate::sys::channel::Sender;
use crate::sys::clock;

/// How long a job is put off at least: what ends it is tried again no sooner.
const PUT_OFF_LEAST: Duration = Duration::from_secs(1);

/// When a job ends by itself, in nanoseconds from a base, and its life. The hub has another table
/// with such keys: of each kind there is code of 6 kB.
type DueKey = (u64, EventId);

/// Jobs that end by themselves, by when.
#[derive(Default)]
pub(super) struct Dues {
    jobs: BTreeMap<DueKey, Arc<Job>>,
    /// Before all of them. None: there has been none.
    base: Option<Instant>,
    /// When whoever ends them looks again. None: not before it is told to.
    looks_at: Option<Instant>,
    /// Told when that is too late.
    bell: Option<Sender<()>>,
}

impl Dues {
    /// Has whoever ends jobs look again.
    pub(super) fn ring(&self) {
        if let Some(bell) = &self.bell {
            // One that is rung already is as good.
            let _ = bell.try_send(());
        }
    }

    /// A job ends by itself then, or doesn't, and whatever was said before counts no more.
    fn set(&mut self, job: &Arc<Job>, due: Option<Due>) {
        let before = std::mem::replace(&mut job.lock().due, due);
        if let Some(before) = before {
            self.jobs.remove(&self.key(before));
        }
        let Some(due) = due else { return };
        self.base.get_or_insert_with(clock::now);
        self.jobs.insert(self.key(due), job.clone());
        let is_in_time = self.looks_at.is_some_and(|at| at <= due.0);
        if let Some(bell) = self.bell.as_ref().filter(|_| !is_in_time) {
            self.looks_at = Some(due.0);
            // One that is rung already is as good.
            let _ = bell.try_send(());
        }
    }

    fn key(&self, (due, LifeId(life)): Due) -> DueKey {
        (self.nanoseconds(due), life)
    }

    fn nanoseconds(&self, time: Instant) -> u64 {
        let since = |base| time.saturating_duration_since(base);
        self.base.map_or(0, |base| since(base).as_nanos() as u64)
    }

    /// When the first of them ends.
    fn next(&self) -> Option<Instant> {
        let ((due, _), _) = self.jobs.first_key_value()?;
        self.base?.checked_add(Duration::from_nanos(*due))
    }
}

impl Hub {
    /// Rings `bell` whenever a job ends by itself sooner than [`Hub::next_due`] has said.
    pub fn ring_when_due_sooner(&self, bell: Sender<()>) {
        self.0.ledger.lock().dues.bell = Some(bell);
    }

    /// When the next job ends by itself.
    pub fn next_due(&self) -> Option<Instant> {
        let mut ledger = self.0.ledger.lock();
        let next = ledger.dues.next();
        ledger.dues.looks_at = next;
        next
    }

    /// The jobs that are to end by now, those that were to do so first in front, `most` of
    /// them at most, with the changes that end them.
    pub fn overdue(&self, now: Instant, most: usize) -> Vec<(JobId, Change)> {
        let ledger = self.0.ledger.lock();
        let now = ledger.dues.nanoseconds(now);
        let overdue = ledger.dues.jobs.iter();
        let overdue = overdue.take_while(|((due, _), _)| *due <= now).take(most);
        let ends = overdue.filter_map(|(_, job)| {
            let core = job.lock();
            let end = core.life().and_then(end_of)?;
            Some((job.id().clone(), end))
        });
        ends.collect()
    }

    /// A job has all of its lease again: nobody could have been heard.
    pub fn put_off(&self, job: &JobId) {
        let mut ledger = self.0.ledger.lock();
        if let Some(job) = self.find(job) {
            let life = job.lock().life().cloned();
            set_due(&mut ledger.dues, &job, life.as_ref(), PUT_OFF_LEAST);
        }
    }

    /// The same for all jobs.
    pub fn put_all_off(&self) {
        let mut ledger = self.0.ledger.lock();
        let jobs: Vec<_> = ledger.dues.jobs.values().cloned().collect();
        for job in jobs {
            let life = job.lock().life().cloned();
            set_due(&mut ledger.dues, &job, life.as_ref(), Duration::ZERO);
        }
    }

    /// Whether a life goes on that ends by itself unless something is said in less than half
    /// of `lease`.
    pub fn needs_a_word(&self, job: &JobId, life: LifeId, lease: Duration) -> bool {
        let Some(job) = self.find(job) else {
            return false;
        };
        let core = job.lock();
        let is_it = |now: &Life| now.id() == life && !now.is_over();
        let is_late = |(due, _): Due| due < clock::now() + lease / 2;
        core.life().is_some_and(is_it) && core.due.is_none_or(is_late)
    }

    /// Something was said, of which a job has come to `after`.
    pub(super) fn note_word(
        &self,
        dues: &mut Dues,
        job: &Arc<Job>,
        before: Option<&Life>,
        after: Option<&Life>,
    ) {
        let grace = |life: Option<&Life>| life.and_then(|life| life.cancelled.map(|it| it.by));
        let is_over = after.is_none_or(Life::is_over);
        if grace(after).is_some() && grace(before) == grace(after) && !is_over {
            // Whatever it says: it was asked to end.
            return;
        }
        let ends = |life: Option<&Life>| life.is_some_and(Life::ends_by_itself);
        if ends(before) || ends(after) {
            set_due(dues, job, after, Duration::ZERO);
        }
    }
}

fn set_due(dues: &mut Dues, job: &Arc<Job>, life: Option<&Life>, least: Duration) {
    let due = life.filter(|life| life.ends_by_itself()).and_then(|life| {
        let time = match (life.cancelled, life.lease) {
            (Some(cancelled), _) => Duration::from_millis(cancelled.grace_ms),
            (None, lease) => lease?.duration(),
        };
        // What is never reached is as good as none.
        Some((clock::now().checked_add(time.max(least))?, life.id()))
    });
    dues.set(job, due);
}

/// What ends a life that is overdue.
fn end_of(life: &Life) -> Option<Change> {
    let (event, only) = match (life.cancelled, life.lease) {
        (Some(cancelled), _) => (cancelled_event(), Only::Cancelled(cancelled.by)),
        (None, lease) => (stalled(lease?), Only::Entry(life.last)),
    };
    Some(Change::Event {
        event,
        only: Some(only),
        terms: Terms::default(),
    })
}

/// The end of a job that is cancelled, unless its worker says another.
pub fn cancelled_event() -> Event {
    Event::failure(r#"{"message":"the job was cancelled","reason":"cancelled","retryable":false}"#)
}

/// The end of a job whose worker has said nothing for so long.
fn stalled(lease: Lease) -> Event {
    let ms = lease.duration().as_millis();
    let part = match ms % 1000 {
        0 => String::new(),
        ms => format!(".{ms:03}").trim_end_matches('0').to_owned(),
    };
    Event::failure(&format!(
        r#"{{"message":"no word from the worker for {}{part} s","reason":"stalled","retryable":true}}"#,
        ms / 1000
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::job::EventId;
    use crate::hub::{Entry, HubConfig};
    use crate::sys::clock::simulated::Simulated;

    struct Hubs {
        hub: Hub,
        time: Simulated,
    }

    impl Hubs {
        fn new() -> Hubs {
            let time = Simulated::beginning(Duration::from_secs(1_800_000_000));
            let hub = Hub::new(HubConfig::default(), EventId(0));
            Hubs { hub, time }
        }

        fn put(&self, job: &str, change: Change) {
            let entry = Entry {
                job: job.parse().unwrap(),
                time_ms: clock::now_ms(),
                change,
            };
            let id = EventId(self.hub.published().0 + 1);
            let _ = self.hub.apply(id, &entry).unwrap();
        }

        fn event(&self, job: &str, name: &str, lease: &str) {
            self.put(
                job,
                Change::Event {
                    event: Event::new(name, "{}").unwrap(),
                    only: None,
                    terms: Terms {
                        lease: lease.parse().ok(),
                        ..Terms::default()
                    },
                },
            );
        }

        fn renew(&self, job: &str, lease: &str) {
            let lease = lease.parse().unwrap();
            self.put(
                job,
                Change::Renew {
                    lease,
                    only: None,
                    once: None,
                },
            );
        }

        fn overdue(&self) -> Vec<String> {
            let overdue = self.hub.overdue(clock::now(), 9);
            overdue.iter().map(|(job, _)| job.to_string()).collect()
        }

        fn end_overdue(&self) {
            for (job, end) in self.hub.overdue(clock::now(), 9) {
                self.put(job.as_str(), end);
            }
        }

        fn pass(&self, seconds: u64) {
            self.time.pass(Duration::from_secs(seconds));
        }
    }

    #[test]
    fn a_job_without_a_word_ends_with_how_long_that_was() {
        for (text, told) in [("30s", "30 s"), ("2m", "120 s"), ("1250ms", "1.25 s")] {
            let event = stalled(text.parse().unwrap());
            assert_eq!(event.name().as_str(), "error");
            let expected = format!(
                r#"{{"message":"no word from the worker for {told}","reason":"stalled","retryable":true}}"#
            );
            assert_eq!(event.data(), expected);
        }
    }

    #[test]
    fn a_job_is_overdue_when_nothing_was_said_within_its_lease() {
        let jobs = Hubs::new();
        jobs.event("a", "progress", "10s");
        jobs.event("b", "progress", "30s");
        jobs.event("c", "progress", "");
        jobs.pass(9);
        assert!(jobs.overdue().is_empty());
        jobs.renew("a", "10s");
        jobs.pass(9);
        assert!(jobs.overdue().is_empty());
        jobs.pass(1);
        assert_eq!(jobs.overdue(), ["a"]);
        jobs.end_overdue();
        let a = jobs.hub.snapshot(&"a".parse().unwrap()).unwrap();
        let (name, data) = a.last_event.unwrap();
        assert_eq!(name, "error");
        assert!(
            data.contains("for 10 s") && data.contains("stalled"),
            "{data}"
        );
        jobs.pass(3600);
        assert_eq!(jobs.overdue(), ["b"]);
        jobs.end_overdue();
        assert!(jobs.overdue().is_empty());
        assert_eq!(jobs.hub.next_due(), None);
    }

    #[test]
    fn an_event_without_a_lease_and_an_end_leave_nothing_to_wait_for() {
        let jobs = Hubs::new();
        for (job, name) in [("a", "progress"), ("b", "done")] {
            jobs.event(job, "progress", "10s");
            assert!(jobs.hub.next_due().is_some());
            jobs.event(job, name, "");
            assert_eq!(jobs.hub.next_due(), None);
        }
    }

    #[test]
    fn a_job_that_could_not_be_heard_has_all_of_its_lease_again() {
        let jobs = Hubs::new();
        jobs.event("a", "progress", "10s");
        jobs.event("b", "progress", "10s");
        jobs.pass(10);
        jobs.hub.put_off(&"a".parse().unwrap());
        assert_eq!(jobs.overdue(), ["b"]);
        jobs.hub.put_all_off();
        jobs.pass(9);
        assert!(jobs.overdue().is_empty());
        jobs.pass(1);
        assert_eq!(jobs.overdue().len(), 2);
    }

    #[test]
    fn a_cancelled_job_ends_after_its_grace_whatever_is_said_meanwhile() {
        let jobs = Hubs::new();
        let cancel = |job: &str, seconds: u64| {
            let grace_ms = seconds * 1000;
            jobs.put(
                job,
                Change::Cancel {
                    grace_ms,
                    only: None,
                },
            );
        };
        jobs.event("a", "progress", "5s");
        jobs.event("b", "progress", "");
        jobs.event("c", "progress", "5s");
        cancel("a", 30);
        cancel("b", 30);
        cancel("c", 30);
        jobs.event("c", "done", "");
        for _ in 0..29 {
            jobs.pass(1);
            jobs.event("a", "progress", "5s");
            jobs.renew("b", "1h");
            assert!(jobs.overdue().is_empty());
        }
        jobs.pass(1);
        assert_eq!(jobs.overdue(), ["a", "b"]);
        jobs.end_overdue();
        for job in ["a", "b"] {
            let job = jobs.hub.snapshot(&job.parse().unwrap()).unwrap();
            let (name, data) = job.last_event.unwrap();
            assert_eq!(name, "error");
            assert!(data.contains(r#""reason":"cancelled""#), "{data}");
        }
        assert_eq!(jobs.hub.next_due(), None);
    }

    #[test]
    fn what_is_put_off_is_not_due_again_at_once_whatever_its_grace() {
        let jobs = Hubs::new();
        jobs.event("a", "progress", "");
        let grace_ms = 0;
        jobs.put(
            "a",
            Change::Cancel {
                grace_ms,
                only: None,
            },
        );
        assert_eq!(jobs.overdue(), ["a"]);
        jobs.hub.put_off(&"a".parse().unwrap());
        assert!(jobs.overdue().is_empty());
        jobs.pass(1);
        assert_eq!(jobs.overdue(), ["a"]);
    }

    #[test]
    fn a_grace_without_an_end_is_none() {
        let jobs = Hubs::new();
        jobs.event("a", "progress", "");
        let grace_ms = u64::MAX;
        jobs.put(
            "a",
            Change::Cancel {
                grace_ms,
                only: None,
            },
        );
        jobs.pass(3600);
        assert!(jobs.overdue().is_empty());
        jobs.event("a", "done", "");
    }

    #[test]
    fn the_clock_on_the_wall_neither_ends_a_job_nor_keeps_it() {
        let jobs = Hubs::new();
        jobs.event("a", "progress", "10s");
        jobs.time.set_back(Duration::from_secs(3600));
        jobs.pass(10);
        assert_eq!(jobs.overdue(), ["a"]);
    }

    #[test]
    fn the_bell_is_rung_only_where_a_job_is_due_before_the_next_look() {
        let jobs = Hubs::new();
        let (bell, rung) = crate::sys::channel::bounded(1);
        jobs.hub.ring_when_due_sooner(bell);
        let is_rung = || rung.try_recv().is_ok();
        jobs.event("a", "progress", "30s");
        assert!(is_rung());
        jobs.event("a", "progress", "30s");
        jobs.event("b", "progress", "40s");
        assert!(!is_rung());
        jobs.event("c", "progress", "10s");
        assert!(is_rung());
        jobs.event("c", "done", "");
        jobs.event("d", "progress", "20s");
        assert!(!is_rung(), "it looks before that anyway");
        assert_eq!(
            jobs.hub.next_due(),
            Some(clock::now() + Duration::from_secs(20))
        );
    }

    #[test]
    fn a_life_needs_a_word_when_half_of_its_lease_is_over() {
        let jobs = Hubs::new();
        let lease = Duration::from_secs(10);
        let a: JobId = "a".parse().unwrap();
        let needs = |life| jobs.hub.needs_a_word(&a, LifeId(EventId(life)), lease);
        assert!(!needs(1), "there is none");
        jobs.event("a", "progress", "10s");
        assert!(!needs(1));
        jobs.pass(6);
        assert!(needs(1));
        assert!(!needs(2), "it is another");
        jobs.event("a", "progress", "");
        assert!(needs(1), "it has none");
        jobs.event("a", "done", "");
        assert!(!needs(1));
    }
}
