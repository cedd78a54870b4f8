//! The lives of a job: what an entry makes of one, and which are refused.
//!
//! The invariant: [`Life::after`] is a function of the life before and the entry. It knows
//! no clock, no memory, and nobody who is connected. So whoever applies the same entries
//! in the same order has the same lives. What came with a key is held against the keys
//! before it first, of which the same is true.

use super::entry::{After, Change, Entry, Only, Owner};
use super::error::Refusal;
use crate::access::places::Occupant;
use crate::event::Lease;
use crate::event::job::{EventId, JobState, LifeId};

/// A life of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// The number of the entry that began it.
    pub began: EventId,
    /// Who began it.
    pub owner: Owner,
    /// What it has come to.
    pub state: LifeState,
    /// The number of the entry that ended the life before; zero where none is known.
    pub previous_end: EventId,
    /// The number of its newest entry.
    pub last: EventId,
    /// When it began, in milliseconds of the unix clock.
    pub created_ms: u64,
    /// When its newest entry came, but for words that nobody sees.
    pub updated_ms: u64,
    /// How long it may be without another word, where it mustn't be for ever.
    pub lease: Option<Lease>,
    /// That its worker was asked to end it.
    pub cancelled: Option<Cancellation>,
    /// Whom it is counted for: nobody but for an upload's.
    pub client: Occupant,
}

/// That a worker was asked to end a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancellation {
    /// The number of the entry that asks.
    pub by: EventId,
    /// How long the worker may take, in milliseconds.
    pub grace_ms: u64,
}

/// What a life has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeState {
    /// It goes on.
    Running,
    /// It ended with `done`.
    Done,
    /// It ended with `error`.
    Failed,
    /// It was deleted, which is remembered until this millisecond of the unix clock.
    Deleted {
        /// That one.
        until_ms: u64,
    },
}

impl Life {
    /// The life after `entry`, which is numbered `id`, where `before` is the one before it.
    /// None where the job is forgotten.
    ///
    /// # Errors
    /// The entry is refused, and changes nothing.
    pub fn after(
        before: Option<&Life>,
        id: EventId,
        entry: &Entry,
    ) -> Result<Option<Life>, Refusal> {
        let mut life = before.cloned();
        Life::follow(&mut life, id, entry)?;
        Ok(life)
    }

    /// Makes a life what it is after `entry`, as [`Life::after`] does.
    ///
    /// # Errors
    /// The entry is refused, and what there is now is of no use.
    pub fn follow(life: &mut Option<Life>, id: EventId, entry: &Entry) -> Result<(), Refusal> {
        if let Change::Forget { last } = entry.change {
            // A deletion that is remembered no more is let go of so, too.
            let is_it = life.take().is_some_and(|life| life.last == last);
            return if is_it { Ok(()) } else { Err(Refusal::Over) };
        }
        life.take_if(|life| life.is_forgotten_at(entry.time_ms));
        match &entry.change {
            Change::Event { event, only, terms } => {
                if only.is_none() && life.is_none() {
                    *life = Some(Life::begin(None, id, entry, Owner::Worker));
                }
                let life = life.as_mut().ok_or(Refusal::Over)?;
                if only.is_some_and(|only| !life.is_meant_by(only)) {
                    return Err(Refusal::Over);
                }
                life.go_on(id, entry.time_ms, event.name().end_state(), terms.lease)
            }
            Change::Begin {
                owner,
                after,
                terms,
            } => {
                match life {
                    Some(life) => life.check_may_be_followed(*after)?,
                    None if matches!(after, After::Failed(_)) => return Err(Refusal::NoJob),
                    None => {}
                }
                let begun = Life::begin(life.as_ref(), id, entry, *owner);
                *life = Some(Life {
                    lease: terms.lease,
                    client: terms.client(),
                    ..begun
                });
                Ok(())
            }
            Change::Renew { lease, only, .. } => {
                let life = Life::running(life, *only)?;
                life.last = id;
                life.lease = Some(*lease);
                Ok(())
            }
            Change::Cancel { grace_ms, only } => {
                let life = Life::running(life, *only)?;
                if let Some(cancelled) = life.cancelled {
                    return Err(Refusal::Again(cancelled.by));
                }
                life.last = id;
                life.cancelled = Some(Cancellation {
                    by: id,
                    grace_ms: *grace_ms,
                });
                Ok(())
            }
            Change::Delete { until_ms, only } => {
                let life = life.as_mut().ok_or(Refusal::NoJob)?;
                if only.is_some_and(|only| only != life.id()) {
                    return Err(Refusal::Over);
                }
                if life.is_deleted() {
                    return Err(Refusal::Deleted);
                }
                let until_ms = *until_ms;
                life.state = LifeState::Deleted { until_ms };
                life.last = id;
                life.updated_ms = entry.time_ms;
                life.lease = None;
                Ok(())
            }
            Change::Forget { .. } => Err(Refusal::Over),
        }
    }

    /// Goes on with an event, which may end it.
    ///
    /// # Errors
    /// It is over.
    pub(super) fn go_on(
        &mut self,
        id: EventId,
        time_ms: u64,
        end: Option<JobState>,
        lease: Option<Lease>,
    ) -> Result<(), Refusal> {
        self.check_running()?;
        self.last = id;
        self.updated_ms = time_ms;
        self.lease = lease;
        match end {
            Some(JobState::Done) => self.state = LifeState::Done,
            Some(JobState::Failed) => self.state = LifeState::Failed,
            Some(JobState::Running) | None => {}
        }
        if self.is_over() {
            self.lease = None;
        }
        Ok(())
    }

    /// What names it.
    pub fn id(&self) -> LifeId {
        LifeId(self.began)
    }

    /// Whether it was deleted.
    pub fn is_deleted(&self) -> bool {
        matches!(self.state, LifeState::Deleted { .. })
    }

    /// Whether it was deleted, and that is remembered no more at this millisecond.
    pub fn is_forgotten_at(&self, now_ms: u64) -> bool {
        matches!(self.state, LifeState::Deleted { until_ms } if until_ms <= now_ms)
    }

    /// Whether anything can follow in it.
    pub fn is_over(&self) -> bool {
        self.state != LifeState::Running
    }

    /// Whether it ends if nothing more is said.
    pub fn ends_by_itself(&self) -> bool {
        !self.is_over() && (self.lease.is_some() || self.cancelled.is_some())
    }

    /// Its state as the API has it; none where it was deleted.
    pub fn job_state(&self) -> Option<JobState> {
        match self.state {
            LifeState::Running => Some(JobState::Running),
            LifeState::Done => Some(JobState::Done),
            LifeState::Failed => Some(JobState::Failed),
            LifeState::Deleted { .. } => None,
        }
    }

    fn begin(before: Option<&Life>, id: EventId, entry: &Entry, owner: Owner) -> Life {
        let previous_end = before.map_or(EventId(0), |life| {
            // One that is running ends with this.
            if life.is_over() { life.last } else { id }
        });
        Life {
            began: id,
            owner,
            state: LifeState::Running,
            previous_end,
            last: id,
            created_ms: entry.time_ms,
            updated_ms: entry.time_ms,
            lease: None,
            cancelled: None,
            client: Occupant::default(),
        }
    }

    /// The life before, where it is running, and is the one that is meant.
    fn running(before: &mut Option<Life>, only: Option<LifeId>) -> Result<&mut Life, Refusal> {
        let life = match (before, only) {
            (Some(life), Some(only)) if only != life.id() => return Err(Refusal::Over),
            (Some(life), _) => life,
            (None, Some(_)) => return Err(Refusal::Over),
            (None, None) => return Err(Refusal::NoJob),
        };
        life.check_running()?;
        Ok(life)
    }

    fn is_meant_by(&self, only: Only) -> bool {
        match only {
            Only::Life(life) => life == self.id(),
            Only::Entry(entry) => entry == self.last,
            Only::Cancelled(by) => self.cancelled.is_some_and(|it| it.by == by),
        }
    }

    fn check_running(&self) -> Result<(), Refusal> {
        match self.job_state() {
            Some(JobState::Running) => Ok(()),
            Some(ended) => Err(Refusal::Ended(ended)),
            None => Err(Refusal::Deleted),
        }
    }

    fn check_may_be_followed(&self, after: After) -> Result<(), Refusal> {
        let refusal = match self.job_state() {
            Some(JobState::Running) => Refusal::Running,
            Some(ended) => Refusal::Ended(ended),
            None => Refusal::Deleted,
        };
        let may_be = match after {
            After::Running => true,
            After::Ended => self.is_over(),
            After::FailedUpload => {
                let has_failed = self.state == LifeState::Failed && self.owner == Owner::Upload;
                self.is_deleted() || has_failed
            }
            After::Failed(life) => {
                let is_it = life == self.id() && self.owner == Owner::Upload;
                is_it && self.state == LifeState::Failed
            }
        };
        if may_be { Ok(()) } else { Err(refusal) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::hub::Terms;

    const HOUR_MS: u64 = 3_600_000;

    /// A job of which every entry is put in order here.
    #[derive(Default)]
    struct Lives {
        life: Option<Life>,
        last: u64,
        now_ms: u64,
    }

    impl Lives {
        fn put(&mut self, change: Change) -> Result<EventId, Refusal> {
            self.last += 1;
            let entry = Entry {
                job: "j".parse().unwrap(),
                time_ms: self.now_ms,
                change,
            };
            let id = EventId(self.last);
            self.life = Life::after(self.life.as_ref(), id, &entry)?;
            Ok(id)
        }

        fn event(&mut self, name: &str) -> Result<EventId, Refusal> {
            let event = Event::new(name, "{}").unwrap();
            self.put(Change::Event {
                event,
                only: None,
                terms: Terms::default(),
            })
        }

        fn event_of(&mut self, only: Only, name: &str) -> Result<EventId, Refusal> {
            self.put(Change::Event {
                event: Event::new(name, "{}").unwrap(),
                only: Some(only),
                terms: Terms::default(),
            })
        }

        fn leased(&mut self, name: &str, lease: &str) -> Result<EventId, Refusal> {
            self.put(Change::Event {
                event: Event::new(name, "{}").unwrap(),
                only: None,
                terms: Terms {
                    lease: lease.parse().ok(),
                    ..Terms::default()
                },
            })
        }

        fn renew(&mut self, lease: &str, only: Option<LifeId>) -> Result<EventId, Refusal> {
            let lease = lease.parse().unwrap();
            let once = None;
            self.put(Change::Renew { lease, only, once })
        }

        fn cancel(&mut self, only: Option<LifeId>) -> Result<EventId, Refusal> {
            let grace_ms = 5000;
            self.put(Change::Cancel { grace_ms, only })
        }

        fn begin(&mut self, owner: Owner, after: After) -> Result<EventId, Refusal> {
            self.put(Change::Begin {
                owner,
                after,
                terms: Terms::default(),
            })
        }

        fn delete(&mut self) -> Result<EventId, Refusal> {
            let until_ms = self.now_ms + HOUR_MS;
            self.put(Change::Delete {
                until_ms,
                only: None,
            })
        }

        fn id(&self) -> LifeId {
            self.life.as_ref().unwrap().id()
        }
    }

    #[test]
    fn an_event_begins_a_life_and_done_and_error_end_it() {
        for (name, state) in [("done", JobState::Done), ("error", JobState::Failed)] {
            let mut job = Lives::default();
            assert_eq!(job.event("progress"), Ok(EventId(1)));
            assert_eq!(job.id(), LifeId(EventId(1)));
            assert_eq!(job.event(name), Ok(EventId(2)));
            assert_eq!(job.event("progress"), Err(Refusal::Ended(state)));
            assert_eq!(job.delete(), Ok(EventId(4)));
        }
    }

    #[test]
    fn a_deleted_job_is_gone_as_long_as_that_is_remembered_and_then_there_is_none() {
        let mut job = Lives::default();
        assert_eq!(job.delete(), Err(Refusal::NoJob));
        job.event("progress").unwrap();
        job.delete().unwrap();
        job.now_ms += HOUR_MS - 1;
        assert_eq!(job.event("progress"), Err(Refusal::Deleted));
        assert_eq!(job.delete(), Err(Refusal::Deleted));
        job.now_ms += 1;
        assert_eq!(job.delete(), Err(Refusal::NoJob));
        assert!(job.event("progress").is_ok());
    }

    #[test]
    fn a_new_life_is_asked_for_where_there_is_none_or_the_last_is_over() {
        let mut job = Lives::default();
        let begin = |job: &mut Lives, after| job.begin(Owner::Worker, after);
        assert_eq!(begin(&mut job, After::Ended), Ok(EventId(1)));
        assert_eq!(begin(&mut job, After::Ended), Err(Refusal::Running));
        assert_eq!(begin(&mut job, After::Running), Ok(EventId(3)));
        assert_eq!(job.life.as_ref().unwrap().previous_end, EventId(3));
        job.event("done").unwrap();
        assert_eq!(begin(&mut job, After::Ended), Ok(EventId(5)));
        assert_eq!(job.life.as_ref().unwrap().previous_end, EventId(4));
        job.delete().unwrap();
        assert_eq!(begin(&mut job, After::Ended), Ok(EventId(7)));
    }

    #[test]
    fn an_upload_takes_no_job_but_a_deleted_one_or_an_upload_that_failed() {
        let upload = |job: &mut Lives| job.begin(Owner::Upload, After::FailedUpload);
        let mut job = Lives::default();
        assert!(upload(&mut job).is_ok());
        assert_eq!(upload(&mut job), Err(Refusal::Running));
        job.event("error").unwrap();
        assert!(upload(&mut job).is_ok());
        job.event("done").unwrap();
        assert_eq!(upload(&mut job), Err(Refusal::Ended(JobState::Done)));
        assert!(job.begin(Owner::Upload, After::Ended).is_ok());
        job.delete().unwrap();
        assert!(upload(&mut job).is_ok());

        let mut job = Lives::default();
        job.event("error").unwrap();
        assert_eq!(upload(&mut job), Err(Refusal::Ended(JobState::Failed)));
    }

    #[test]
    fn an_upload_that_failed_is_tried_again_and_nothing_else_is() {
        let mut job = Lives::default();
        let again = |job: &mut Lives, life| job.begin(Owner::Upload, After::Failed(life));
        let none = LifeId(EventId(1));
        assert_eq!(again(&mut job, none), Err(Refusal::NoJob));
        job.begin(Owner::Upload, After::FailedUpload).unwrap();
        let first = job.id();
        assert_eq!(again(&mut job, first), Err(Refusal::Running));
        job.event("error").unwrap();
        assert!(again(&mut job, first).is_ok());
        job.event("error").unwrap();
        let failed = Refusal::Ended(JobState::Failed);
        assert_eq!(again(&mut job, first), Err(failed));
        job.delete().unwrap();
        let second = job.id();
        assert_eq!(again(&mut job, second), Err(Refusal::Deleted));
    }

    #[test]
    fn nothing_of_an_old_life_reaches_a_new_one() {
        let mut job = Lives::default();
        job.event("progress").unwrap();
        let old = job.id();
        let of_old = Only::Life(old);
        assert!(job.event_of(of_old, "progress").is_ok());
        assert!(job.renew("5s", Some(old)).is_ok());
        job.begin(Owner::Worker, After::Running).unwrap();
        assert_eq!(job.event_of(of_old, "done"), Err(Refusal::Over));
        assert_eq!(job.renew("5s", Some(old)), Err(Refusal::Over));
        let only = Some(old);
        let delete = Change::Delete { until_ms: 9, only };
        assert_eq!(job.put(delete), Err(Refusal::Over));
        let none = &mut Lives::default();
        assert_eq!(none.event_of(of_old, "progress"), Err(Refusal::Over));
        assert_eq!(none.renew("5s", Some(old)), Err(Refusal::Over));
    }

    #[test]
    fn the_next_event_sets_renews_or_ends_a_lease_and_so_does_the_end() {
        let mut job = Lives::default();
        let lease = |job: &Lives| job.life.as_ref().and_then(|life| life.lease);
        let of = |text: &str| text.parse().ok();
        assert_eq!(job.renew("5s", None), Err(Refusal::NoJob));
        job.leased("progress", "5s").unwrap();
        assert_eq!(lease(&job), of("5s"));
        job.renew("7s", None).unwrap();
        assert_eq!(lease(&job), of("7s"));
        job.leased("progress", "1m").unwrap();
        assert_eq!(lease(&job), of("1m"));
        job.event("progress").unwrap();
        assert_eq!(lease(&job), None);
        job.renew("7s", None).unwrap();
        job.leased("done", "5s").unwrap();
        assert_eq!(lease(&job), None);
        let ended = Refusal::Ended(JobState::Done);
        assert_eq!(job.renew("7s", None), Err(ended));
        job.begin(Owner::Worker, After::Ended).unwrap();
        assert_eq!(lease(&job), None);
        job.leased("progress", "5s").unwrap();
        job.delete().unwrap();
        assert_eq!(lease(&job), None);
        assert_eq!(job.renew("7s", None), Err(Refusal::Deleted));
    }

    #[test]
    fn a_word_that_nobody_sees_is_an_entry_and_changes_no_time_that_is_shown() {
        let mut job = Lives::default();
        job.leased("progress", "5s").unwrap();
        let before = job.life.clone().unwrap();
        job.now_ms += 1000;
        let renewed = job.renew("5s", None).unwrap();
        let after = job.life.clone().unwrap();
        assert_eq!(after.last, renewed);
        assert_eq!(after.updated_ms, before.updated_ms);
    }

    #[test]
    fn what_is_for_a_jobs_newest_entry_is_refused_once_there_is_another() {
        let mut job = Lives::default();
        let first = job.leased("progress", "5s").unwrap();
        let second = job.renew("5s", None).unwrap();
        let stalled = job.event_of(Only::Entry(first), "error");
        assert_eq!(stalled, Err(Refusal::Over));
        assert!(job.event_of(Only::Entry(second), "error").is_ok());
        let again = job.event_of(Only::Entry(second), "error");
        assert_eq!(again, Err(Refusal::Over));
    }

    #[test]
    fn a_life_is_cancelled_once_and_goes_on_until_it_is_ended() {
        let mut job = Lives::default();
        assert_eq!(job.cancel(None), Err(Refusal::NoJob));
        job.leased("progress", "5s").unwrap();
        let life = job.id();
        let by = job.cancel(Some(life)).unwrap();
        assert_eq!(job.cancel(None), Err(Refusal::Again(by)));
        let cancelled = job.life.as_ref().unwrap().cancelled.unwrap();
        assert_eq!((cancelled.by, cancelled.grace_ms), (by, 5000));
        assert!(job.event("progress").is_ok());
        assert!(job.renew("5s", None).is_ok());
        // It ends by itself whatever was said meanwhile.
        assert!(job.event_of(Only::Cancelled(by), "error").is_ok());
        assert!(job.life.as_ref().unwrap().cancelled.is_some());
        let failed = Refusal::Ended(JobState::Failed);
        assert_eq!(job.cancel(None), Err(failed));
        let again = job.event_of(Only::Cancelled(by), "error");
        assert_eq!(again, Err(failed));
        job.begin(Owner::Worker, After::Ended).unwrap();
        assert_eq!(job.life.as_ref().unwrap().cancelled, None);
        assert_eq!(job.cancel(Some(life)), Err(Refusal::Over));
        let of_old = job.event_of(Only::Cancelled(by), "error");
        assert_eq!(of_old, Err(Refusal::Over));
        job.delete().unwrap();
        assert_eq!(job.cancel(None), Err(Refusal::Deleted));
    }

    #[test]
    fn a_job_is_forgotten_unless_something_came_since() {
        let mut job = Lives::default();
        let last = job.event("done").unwrap();
        assert_eq!(
            job.put(Change::Forget { last: EventId(9) }),
            Err(Refusal::Over)
        );
        job.put(Change::Forget { last }).unwrap();
        assert_eq!(job.life, None);
    }
}
