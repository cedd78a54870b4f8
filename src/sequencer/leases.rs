//! Leases that run out, and lives that somebody on this host works for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Proposal, PublishError, Sequencer, now_ms};
use crate::event::Lease;
use crate::event::job::{JobId, LifeId};
use crate::hub::Change;
use crate::sys::clock;

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

/// The thread that ends jobs whose leases have run out. It ends with this.
pub(crate) struct Watch {
    is_over: Arc<AtomicBool>,
    bell: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts it.
    pub fn start(jobs: &Sequencer) -> io::Result<Watch> {
        let (bell, rung) = bounded(1);
        let is_over = Arc::new(AtomicBool::new(false));
        jobs.hub().put_all_off();
        jobs.hub().ring_when_due_sooner(bell.clone());
        let (jobs, ends) = (jobs.clone(), is_over.clone());
        let thread = std::thread::Builder::new()
            .name("leases".into())
            .spawn(move || watch(&jobs, &rung, &ends))?;
        Ok(Watch {
            is_over,
            bell,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
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
                words.push((job, Change::Renew { lease, only }));
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
                    log::warn!("jobs without a word can't be ended yet: {error}");
                    left.drain(..ids.len());
                    return left.into_iter().map(|proposal| proposal.job).collect();
                }
            }
        }
        Vec::new()
    }
}
