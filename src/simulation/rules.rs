//! Which changes a job takes: the contract's table of lives, written down a second time.

use crate::event::job::{EventId, JobState, LifeId};
use crate::hub::{
    After, Cancellation, Change, Entry, Life, LifeState, Only, Owner, Refusal, Terms,
};

/// What an entry makes of a job.
///
/// # Errors
/// What it is refused with.
pub fn next(now: Option<&Life>, id: EventId, entry: &Entry) -> Result<Option<Life>, Refusal> {
    if let Change::Forget { last } = entry.change {
        let is_it = now.is_some_and(|life| life.last == last);
        return if is_it { Ok(None) } else { Err(Refusal::Over) };
    }
    let now = now.filter(|life| match life.state {
        LifeState::Deleted { until_ms } => entry.time_ms < until_ms,
        _ => true,
    });
    let begun = |owner, previous_end, terms: &Terms| Life {
        began: id,
        owner,
        state: LifeState::Running,
        previous_end,
        last: id,
        created_ms: entry.time_ms,
        updated_ms: entry.time_ms,
        lease: terms.lease,
        cancelled: None,
        client: terms.client(),
    };
    let is_for = |only: &Option<Only>, life: &Life| match only {
        None => true,
        Some(Only::Life(it)) => *it == LifeId(life.began),
        Some(Only::Entry(it)) => *it == life.last,
        Some(Only::Cancelled(it)) => life.cancelled.is_some_and(|by| by.by == *it),
    };
    let refusal_of = |life: &Life| match life.state {
        LifeState::Running => Refusal::Running,
        LifeState::Done => Refusal::Ended(JobState::Done),
        LifeState::Failed => Refusal::Ended(JobState::Failed),
        LifeState::Deleted { .. } => Refusal::Deleted,
    };
    match (&entry.change, now) {
        (Change::Event { only: Some(_), .. }, None) => Err(Refusal::Over),
        (Change::Event { only, .. }, Some(life)) if !is_for(only, life) => Err(Refusal::Over),
        (Change::Event { .. }, Some(life)) if life.state != LifeState::Running => {
            Err(refusal_of(life))
        }
        (Change::Event { event, terms, .. }, life) => {
            let begun = begun(Owner::Worker, EventId(0), terms);
            let state = match event.name().as_str() {
                "done" => LifeState::Done,
                "error" => LifeState::Failed,
                _ => LifeState::Running,
            };
            Ok(Some(Life {
                state,
                last: id,
                updated_ms: entry.time_ms,
                lease: terms.lease.filter(|_| state == LifeState::Running),
                ..life.cloned().unwrap_or(begun)
            }))
        }
        (
            Change::Begin {
                owner,
                after,
                terms,
            },
            None,
        ) => match after {
            After::Failed(_) => Err(Refusal::NoJob),
            _ => Ok(Some(begun(*owner, EventId(0), terms))),
        },
        (
            Change::Begin {
                owner,
                after,
                terms,
            },
            Some(life),
        ) => {
            let is_deleted = matches!(life.state, LifeState::Deleted { .. });
            let is_failed_upload = life.state == LifeState::Failed && life.owner == Owner::Upload;
            let may = match after {
                After::Running => true,
                After::Ended => life.state != LifeState::Running,
                After::FailedUpload => is_deleted || is_failed_upload,
                After::Failed(it) => is_failed_upload && *it == LifeId(life.began),
            };
            if !may {
                return Err(refusal_of(life));
            }
            let is_running = life.state == LifeState::Running;
            let end = if is_running { id } else { life.last };
            Ok(Some(begun(*owner, end, terms)))
        }
        (Change::Renew { only, .. } | Change::Cancel { only, .. }, None) => Err(match only {
            Some(_) => Refusal::Over,
            None => Refusal::NoJob,
        }),
        (Change::Renew { only, .. } | Change::Cancel { only, .. }, Some(life))
            if only.is_some_and(|it| it != LifeId(life.began)) =>
        {
            Err(Refusal::Over)
        }
        (Change::Renew { .. } | Change::Cancel { .. }, Some(life))
            if life.state != LifeState::Running =>
        {
            Err(refusal_of(life))
        }
        (Change::Cancel { grace_ms, .. }, Some(life)) => match life.cancelled {
            Some(cancelled) => Err(Refusal::Again(cancelled.by)),
            None => Ok(Some(Life {
                last: id,
                cancelled: Some(Cancellation {
                    by: id,
                    grace_ms: *grace_ms,
                }),
                ..life.clone()
            })),
        },
        (Change::Renew { lease, .. }, Some(life)) => Ok(Some(Life {
            last: id,
            lease: Some(*lease),
            ..life.clone()
        })),
        (Change::Delete { .. }, None) => Err(Refusal::NoJob),
        (Change::Delete { only, .. }, Some(life))
            if only.is_some_and(|it| it != LifeId(life.began)) =>
        {
            Err(Refusal::Over)
        }
        (Change::Delete { until_ms, .. }, Some(life)) => match life.state {
            LifeState::Deleted { .. } => Err(Refusal::Deleted),
            _ => Ok(Some(Life {
                state: LifeState::Deleted {
                    until_ms: *until_ms,
                },
                last: id,
                updated_ms: entry.time_ms,
                lease: None,
                ..life.clone()
            })),
        },
        (Change::Forget { .. }, _) => Err(Refusal::Over),
    }
}
