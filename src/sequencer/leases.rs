//! Leases that run out, and lives that somebody on this host works for.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Proposal, PublishError, Sequencer, now_ms};
use crate::event::Lease;
use crate::event::job::{JobId, LifeId};
use crate::hub::Change;
use crate::sys::channel::{Receiver, Sender, bounded};
use crate::sys::clock;
use crate::sys::vital;

/// What an upload's job has from event to event. Who works for it on this host says that it
/// is there, by [`Sequencer::keep_alive`]; where that host is gone, the job ends.
pub(crate) const UPLOAD_LEASE: Duration = Duration::from_secs(120);

/// Jobs that are ended together.
const TOGETHER: usize = 1024;
/// How often it is looked for deletions that are remembered no more, at most and at least.
const LAPSE_LEAST: Duration = Duration::from_millis(100);
const LAPSE_MOST: Duration = Duration::from_secs(60);
/// When a deletion that couldn't be let go of is tried again.
const LAPSE_RETRY: Duration = Duration::from_secs(5);
/// How long the thread sleeps that has nothing to wait for.
const IDLE: Duration = Duration::from_secs(3600);

/// The thread that ends jobs whose leases have run out, and lets go of deletions that are
/// remembered no more. A [`Server`](crate::Server) has one; whoever has only a [`Sequencer`] keeps
/// this beside it, one for all. The thread ends with it.
///
/// ```
/// use landfall::{HubConfig, LeaseWatch, Sequencer};
/// let jobs = Sequencer::in_memory(HubConfig::default());
/// let watch = LeaseWatch::start(&jobs)?;
/// # drop(watch);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct LeaseWatch {
    is_over: Arc<AtomicBool>,
    bell: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl LeaseWatch {
    /// Starts it. A lease that there is already begins anew with this.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(jobs: &Sequencer) -> io::Result<LeaseWatch> {
        let (bell, rung) = bounded(1);
        let is_over = Arc::new(AtomicBool::new(false));
        jobs.hub().put_all_off();
        jobs.hub().ring_when_due_sooner(bell.clone());
        let (jobs, ends) = (jobs.clone(), is_over.clone());
        let thread = vital::spawn("leases", move || watch(&jobs, &rung, &ends))?;
        Ok(LeaseWatch {
            is_over,
            bell,
            thread: Some(thread),
        })
    }
}

impl fmt::Debug for LeaseWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseWatch").finish_non_exhaustive()
    }
}

impl Drop for LeaseWatch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        let _ = self.bell.try_send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(jobs: &Sequencer, rung: &Receiver<()>, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Acquire) {
        let next = jobs.end_overdue();
        let wait = next.map_or(IDLE, |next| next.saturating_duration_since(clock::now()));
        let lapse = jobs.let_deletions_go();
        let _ = rung.recv_timeout(wait.min(lapse));
    }
}

impl Sequencer {
    /// Ends the jobs whose leases have run out. Returns when the next one does. Blocks as
    /// [`Sequencer::publish`] does.
    pub(crate) fn end_overdue(&self) -> Option<Instant> {
        loop {
            let overdue = self.hub.overdue(clock::now(), TOGETHER);
            if overdue.is_empty() {
                return self.hub.next_due();
            }
            for job in self.put_each(overdue) {
                // It couldn't have been heard either.
                self.hub.put_off(&job);
            }
        }
    }

    /// Lets go of the deletions that are remembered no more, so that streams of their names
    /// wait again. Returns how long nothing more is to be done.
    fn let_deletions_go(&self) -> Duration {
        loop {
            let lapsed = self.hub.lapsed_deletions(now_ms(), TOGETHER);
            if lapsed.is_empty() {
                break;
            }
            let changes = lapsed.into_iter();
            let changes = changes.map(|(job, last)| (job, Change::Forget { last }));
            if !self.put_each(changes.collect()).is_empty() {
                return LAPSE_RETRY;
            }
        }
        match self.hub.next_lapse_ms(now_ms()) {
            // By the clock of the wall, which may be set.
            Some(ms) => Duration::from_millis(ms).clamp(LAPSE_LEAST, LAPSE_MOST),
            None => LAPSE_MOST,
        }
    }

    /// Says that these lives are worked for, where it is time to. Blocks as
    /// [`Sequencer::publish`] does.
    pub(crate) fn keep_alive(&self, lives: impl IntoIterator<Item = (JobId, LifeId)>) {
        let Some(lease) = Lease::new(UPLOAD_LEASE) else {
            return;
        };
        let mut words = Vec::new();
        for (job, life) in lives {
            if self.hub.needs_a_word(&job, life, UPLOAD_LEASE) {
                let only = Some(life);
                let once = None;
                words.push((job, Change::Renew { lease, only, once }));
            }
        }
        self.put_each(words);
    }

    /// Puts changes in order, and passes over those that are refused. Returns the jobs of
    /// those for which something else is in the way.
    fn put_each(&self, changes: Vec<(JobId, Change)>) -> Vec<JobId> {
        let mut left: Vec<Proposal> = changes
            .into_iter()
            .map(|(job, change)| Proposal { job, change })
            .collect();
        while !left.is_empty() {
            let (ids, error) = self.order.put(left.clone());
            match error {
                None => break,
                Some(PublishError::Refused(_)) => drop(left.drain(..=ids.len())),
                Some(error) => {
                    warn!("what is due of leases can't be kept yet: {error}");
                    left.drain(..ids.len());
                    return left.into_iter().map(|proposal| proposal.job).collect();
                }
            }
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Word};
    use crate::hub::{After, HubConfig, LifeState, Owner};
    use crate::sequencer::Saying;
    use crate::sys::clock::simulated::Simulated;

    fn job(name: &str) -> JobId {
        name.parse().unwrap()
    }

    fn jobs() -> Sequencer {
        Sequencer::in_memory(HubConfig::default())
    }

    fn progress(jobs: &Sequencer, name: &str, lease: &str) {
        let event = Event::progress("x", 1.0).unwrap();
        let word = Word::Event(event, lease.parse().ok());
        let job = job(name);
        let key = None;
        jobs.say(Saying {
            job,
            word,
            key,
            life: None,
        })
        .unwrap();
    }

    fn is_running(jobs: &Sequencer, name: &str) -> bool {
        let life = jobs.hub().life(&job(name)).unwrap();
        life.state == LifeState::Running
    }

    #[test]
    fn jobs_end_whose_leases_have_run_out_and_no_others() {
        let time = Simulated::beginning(Duration::from_secs(1_800_000_000));
        let jobs = jobs();
        for number in 0..2000 {
            progress(&jobs, &format!("a{number}"), "10s");
        }
        progress(&jobs, "b", "20s");
        progress(&jobs, "c", "");
        assert_eq!(
            jobs.end_overdue(),
            Some(clock::now() + Duration::from_secs(10))
        );
        time.pass(Duration::from_secs(10));
        let next = jobs.end_overdue();
        assert_eq!(next, Some(clock::now() + Duration::from_secs(10)));
        assert!((0..2000).all(|number| !is_running(&jobs, &format!("a{number}"))));
        assert!(is_running(&jobs, "b") && is_running(&jobs, "c"));
        time.pass(Duration::from_secs(10));
        assert_eq!(jobs.end_overdue(), None);
        assert!(!is_running(&jobs, "b") && is_running(&jobs, "c"));
    }

    #[test]
    fn many_leases_that_are_renewed_in_time_are_hardly_looked_at() {
        const JOBS: u32 = 5000;
        let hour = Duration::from_secs(3600);
        let time = Simulated::beginning(Duration::from_secs(1_800_000_000));
        let jobs = jobs();
        let (bell, rung) = bounded(1);
        jobs.hub().ring_when_due_sooner(bell);
        // As the watch does: it looks when it is told to, or when the time has come.
        let (mut looks, mut next) = (0, None);
        for turn in 0..5 * JOBS {
            progress(&jobs, &format!("job{}", turn % JOBS), "1h");
            time.pass(hour / 2 / JOBS);
            let is_due = next.is_some_and(|next| next <= clock::now());
            if rung.try_recv().is_ok() || is_due {
                looks += 1;
                next = jobs.end_overdue();
            }
        }
        // Once for the first, and then when the first of those that it knew of would have ended.
        assert!(looks <= 6, "{looks} looks in two hours and a half");
        let by_state = jobs.hub().jobs_by_state();
        assert_eq!(by_state[0], (crate::JobState::Running, JOBS as usize));
    }

    #[test]
    fn an_upload_ends_where_nobody_says_any_more_that_it_is_worked_for() {
        let time = Simulated::beginning(Duration::from_secs(1_800_000_000));
        let jobs = jobs();
        let begin = |name: &str| {
            let life = jobs.begin(&job(name), Owner::Upload, After::Ended).unwrap();
            (job(name), life)
        };
        let (kept, lost) = (begin("kept"), begin("lost"));
        let published = jobs.hub().published();
        jobs.keep_alive([kept.clone()]);
        assert_eq!(jobs.hub().published(), published, "it is too early");
        for _ in 0..10 {
            time.pass(UPLOAD_LEASE / 3);
            jobs.keep_alive([kept.clone()]);
            jobs.end_overdue();
        }
        assert!(is_running(&jobs, "kept"));
        assert!(!is_running(&jobs, "lost"));
        // Of what is over nothing is said, and it keeps nobody else waiting.
        let kept_alive = jobs.hub().published();
        time.pass(UPLOAD_LEASE - Duration::from_secs(1));
        jobs.keep_alive([lost, kept]);
        assert!(jobs.hub().published() > kept_alive);
        time.pass(Duration::from_secs(1));
        jobs.end_overdue();
        assert!(is_running(&jobs, "kept"));
    }

    #[test]
    fn the_watch_ends_a_job_by_itself_and_ends_with_its_owner() {
        let jobs = jobs();
        let watch = LeaseWatch::start(&jobs).unwrap();
        progress(&jobs, "a", "1s");
        let deadline = Instant::now() + Duration::from_secs(60);
        while is_running(&jobs, "a") {
            assert!(Instant::now() < deadline, "it goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(watch);
    }
}
