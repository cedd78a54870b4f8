//! Lists of jobs, the newest life first, in pages.
//!
//! A page tells what jobs had come to at one number, though nothing is held still while it
//! is made: what has been applied by then is there to be read, and what a job has got since
//! is left out of it. So a stream after that number goes on where the page ends. A page
//! begins where a life began, which doesn't change: whatever begins or ends meanwhile, no
//! job is passed over, and none comes twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Hub, Job, Life, Snapshot};
use crate::event::job::{EventId, JobState};

/// How many lives are taken at once from among all of them, which waits for nobody.
const CHUNK: usize = 256;
/// The most jobs that are looked at for one page; where more would have to be, the page
/// ends early.
const EXAMINED_MAX: usize = 1 << 16;

/// What a list is to have.
#[derive(Clone, Debug)]
pub struct Listing<'a> {
    /// What the names begin with; empty for all.
    pub prefix: &'a str,
    /// The state of the jobs; none for whichever.
    pub state: Option<JobState>,
    /// [`Page::next`] of the page before; none for the first.
    pub after: Option<EventId>,
    /// The most jobs; there may be fewer.
    pub limit: usize,
    /// The most bytes of the events' data, where it is more than one event.
    pub bytes: usize,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// The jobs stood so at this number.
    pub at: EventId,
    /// They, the newest life first.
    pub jobs: Vec<Snapshot>,
    /// What the next page comes after. None where this is the last.
    pub next: Option<EventId>,
}

/// The lives that there are, by the numbers that they began with. A deleted one is none.
#[derive(Default)]
pub(super) struct Lives(Mutex<BTreeMap<EventId, Arc<Job>>>);

impl Lives {
    /// A job's life has become another.
    pub fn note(&self, job: &Arc<Job>, before: Option<&Life>, after: Option<&Life>) {
        let began = |life: &Life| (!life.is_deleted()).then_some(life.began);
        let (before, after) = (before.and_then(began), after.and_then(began));
        if before == after {
            return;
        }
        let mut lives = self.0.lock();
        if let Some(before) = before {
            lives.remove(&before);
        }
        if let Some(after) = after {
            lives.insert(after, job.clone());
        }
    }

    /// The newest of those that began before `before`.
    fn before(&self, before: EventId) -> Vec<(EventId, Arc<Job>)> {
        let lives = self.0.lock();
        let newest = lives.range(..before).rev().take(CHUNK);
        newest.map(|(began, job)| (*began, job.clone())).collect()
    }
}

impl Hub {
    /// A page of the list of jobs.
    pub fn list(&self, listing: &Listing<'_>) -> Page {
        let at = self.published();
        let mut page = Page {
            at,
            jobs: Vec::new(),
            next: None,
        };
        let mut seen = listing.after.unwrap_or(EventId(at.0 + 1));
        let (mut bytes, mut examined) = (0, 0);
        loop {
            let lives = self.0.lives.before(seen);
            let is_last = lives.len() < CHUNK;
            for (began, job) in lives {
                if job.id().as_str().starts_with(listing.prefix)
                    && let Some(snapshot) = job.snapshot_at(at)
                    && listing.state.is_none_or(|state| state == snapshot.state)
                {
                    let event = snapshot.last_event.as_ref();
                    bytes += event.map_or(0, |(_, data)| data.len());
                    let is_full = page.jobs.len() == listing.limit || bytes > listing.bytes;
                    if is_full && !page.jobs.is_empty() {
                        page.next = Some(seen);
                        return page;
                    }
                    page.jobs.push(self.with_all_streams(snapshot));
                }
                seen = began;
            }
            examined += CHUNK;
            if is_last {
                return page;
            }
            if examined >= EXAMINED_MAX {
                page.next = Some(seen);
                return page;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::hub::HubConfig;
    use crate::sequencer::Sequencer;

    fn jobs() -> Sequencer {
        let config = HubConfig {
            jobs: usize::MAX,
            ..HubConfig::default()
        };
        Sequencer::in_memory_above(config, EventId(100))
    }

    fn publish(jobs: &Sequencer, job: &str, event: &str) -> EventId {
        let event = Event::new(event, "{}").unwrap();
        jobs.publish(&job.parse().unwrap(), event).unwrap()
    }

    fn listing(limit: usize) -> Listing<'static> {
        Listing {
            prefix: "",
            state: None,
            after: None,
            limit,
            bytes: usize::MAX,
        }
    }

    fn names(page: &Page) -> Vec<&str> {
        page.jobs.iter().map(|it| it.job.as_str()).collect()
    }

    #[test]
    fn the_newest_life_comes_first_and_a_page_goes_on_where_the_last_one_ended() {
        let jobs = jobs();
        for name in ["a", "b", "c", "d", "e"] {
            publish(&jobs, name, "progress");
        }
        publish(&jobs, "a", "done");
        let first = jobs.hub().list(&listing(2));
        assert_eq!(names(&first), ["e", "d"]);
        assert_eq!(first.at, EventId(106));
        // What begins, ends or goes meanwhile shifts nothing.
        publish(&jobs, "f", "progress");
        jobs.delete(&"e".parse().unwrap(), None).unwrap();
        let begin = crate::hub::After::Ended;
        let id = "a".parse().unwrap();
        jobs.begin(&id, crate::hub::Owner::Worker, begin).unwrap();
        let after = first.next;
        let second = jobs.hub().list(&Listing {
            after,
            ..listing(2)
        });
        assert_eq!(names(&second), ["c", "b"]);
        assert_eq!(second.next, None, "a has begun anew, and is in front");
        assert_eq!(
            names(&jobs.hub().list(&listing(9))),
            ["a", "f", "d", "c", "b"]
        );
    }

    #[test]
    fn a_list_takes_a_prefix_and_a_state_and_a_page_that_is_just_full_is_the_last() {
        let jobs = jobs();
        for (name, event) in [
            ("x.1", "done"),
            ("y.1", "error"),
            ("x.2", "error"),
            ("x.3", "progress"),
            ("x", "done"),
        ] {
            publish(&jobs, name, event);
        }
        let list = |prefix, state, limit| {
            jobs.hub().list(&Listing {
                prefix,
                state,
                ..listing(limit)
            })
        };
        let page = list("x.", None, 3);
        assert_eq!(names(&page), ["x.3", "x.2", "x.1"]);
        assert_eq!(page.next, None);
        assert_eq!(names(&list("", Some(JobState::Failed), 9)), ["x.2", "y.1"]);
        assert_eq!(names(&list("x", Some(JobState::Done), 9)), ["x", "x.1"]);
        assert_eq!(names(&list("z", None, 9)), [""; 0]);
        assert!(list("x", None, 3).next.is_some());
    }

    #[test]
    fn a_page_ends_where_its_events_are_too_much_but_has_one_at_least() {
        let jobs = jobs();
        for name in ["a", "b", "c"] {
            let data = serde_json::json!({ "text": "x".repeat(100) }).to_string();
            let event = Event::new("log", &data).unwrap();
            jobs.publish(&name.parse().unwrap(), event).unwrap();
        }
        let list = |bytes| {
            let listing = Listing {
                bytes,
                ..listing(9)
            };
            jobs.hub().list(&listing)
        };
        assert_eq!(names(&list(300)), ["c", "b"]);
        assert_eq!(names(&list(1)), ["c"]);
        assert_eq!(list(1).next, list(1).jobs.last().map(|it| it.began));
    }

    #[test]
    fn what_has_come_since_the_number_of_a_page_is_not_in_it() {
        let jobs = jobs();
        publish(&jobs, "a", "progress");
        let at = publish(&jobs, "a", "log");
        publish(&jobs, "a", "progress");
        publish(&jobs, "a", "done");
        publish(&jobs, "b", "done");
        let hub = jobs.hub();
        let find = |name: &str| hub.find(&name.parse().unwrap()).unwrap();
        let snapshot = find("a").snapshot_at(at).unwrap();
        assert_eq!(snapshot.state, JobState::Running);
        assert_eq!(snapshot.last_event_id, Some(at));
        assert_eq!(snapshot.last_event.unwrap().0, "log");
        assert_eq!(find("b").snapshot_at(at), None, "it began later");
        // Where that isn't kept, it is shown as it is now.
        let config = HubConfig {
            ring: crate::event::ring::RingLimits {
                events: 1,
                bytes: 0,
            },
            ..HubConfig::default()
        };
        let jobs = Sequencer::in_memory_above(config, EventId(0));
        let at = publish(&jobs, "a", "progress");
        publish(&jobs, "a", "done");
        let job = jobs.hub().find(&"a".parse().unwrap()).unwrap();
        let snapshot = job.snapshot_at(at).unwrap();
        assert_eq!(snapshot.state, JobState::Done);
        assert_eq!(snapshot.last_event.unwrap().0, "done");
    }

    #[test]
    fn so_many_jobs_that_do_not_match_end_a_page_early() {
        let jobs = jobs();
        publish(&jobs, "wanted", "done");
        for n in 0..EXAMINED_MAX {
            publish(&jobs, &format!("other-{n}"), "done");
        }
        let wanted = Listing {
            prefix: "wanted",
            ..listing(9)
        };
        let page = jobs.hub().list(&wanted);
        assert_eq!(names(&page), [""; 0]);
        let after = page.next;
        assert!(after.is_some());
        let page = jobs.hub().list(&Listing { after, ..wanted });
        assert_eq!(names(&page), ["wanted"]);
    }
}
