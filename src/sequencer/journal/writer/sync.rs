//! What is written and not yet on the medium, and whom that keeps waiting.
//!
//! The invariants:
//! - Only what was written before a sync began is on the medium when it has ended.
//! - A segment gets its name when all of the one before it is on the medium.
//! - One sync is under way at a time, on the syncer's thread or on the writer's.
//! - After one that failed nothing counts as synced that wasn't before it.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::JournalWriter;
use super::batch::DueAnswer;
use crate::event::job::EventId;
use crate::sequencer::journal::files::{File, Files};
use crate::sequencer::journal::record::SegmentNumber;
use crate::sequencer::journal::reply::Reply;
use crate::sequencer::journal::segment::give_name;
use crate::sequencer::journal::{Alarm, JournalShared};
use crate::sys::channel::{self, Receiver, Sender};
use crate::sys::clock;
use crate::sys::vital;

/// A thread that waits for the medium, so that the writer needn't.
pub(in crate::sequencer::journal) struct Syncer {
    pub jobs: Sender<SyncJob>,
    pub results: Receiver<Synced>,
    pub is_busy: bool,
    /// Who waits has the work done first, where there is no thread.
    #[cfg(test)]
    pub before_wait: Option<Box<dyn Fn() + Send>>,
}

/// How far something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sequencer::journal) struct Mark {
    pub segment: SegmentNumber,
    pub bytes: u64,
}

/// What is to be brought to the medium.
pub(in crate::sequencer::journal) struct SyncJob {
    upto: Mark,
    since: Instant,
    /// The segment before it, where the medium may lack the end of that.
    sealed: Option<Arc<dyn File>>,
    file: Arc<dyn File>,
}

/// What has become of that.
pub(in crate::sequencer::journal) struct Synced {
    upto: Mark,
    since: Instant,
    result: io::Result<()>,
}

/// Who waits for the medium.
pub(super) enum SyncWaiter {
    Publisher(DueAnswer),
    Keeper(Reply<io::Result<()>>),
}

/// Numbers that may be given when the record that reserves them is on the medium.
#[derive(Clone, Copy)]
pub(super) struct Reserving {
    pub at: Mark,
    pub last: EventId,
}

impl Syncer {
    pub fn start(shared: Arc<JournalShared>) -> io::Result<Syncer> {
        let (syncer, received, done) = Syncer::without_thread();
        vital::spawn("journal-sync", move || {
            let alarm = Alarm(shared.clone());
            for job in received.iter() {
                if done.send(job.carry_out(&shared)).is_err() {
                    break;
                }
            }
            drop(alarm);
        })?;
        Ok(syncer)
    }

    /// Waits for what it is at.
    fn wait(&mut self) -> io::Result<Synced> {
        #[cfg(test)]
        if let Some(before_wait) = &self.before_wait {
            before_wait();
        }
        let ended = || io::Error::other("what waits for the medium has ended");
        self.results.recv().map_err(|_| ended())
    }

    /// The thread's ends besides: where its jobs come from, and where it says how they went.
    pub fn without_thread() -> (Syncer, Receiver<SyncJob>, Sender<Synced>) {
        let (jobs, received) = channel::bounded(1);
        let (done, results) = channel::bounded(1);
        let syncer = Syncer {
            jobs,
            results,
            is_busy: false,
            #[cfg(test)]
            before_wait: None,
        };
        (syncer, received, done)
    }
}

impl SyncJob {
    /// Blocks until the medium has it.
    pub fn carry_out(self, shared: &JournalShared) -> Synced {
        shared.counters.syncs.add(1);
        Synced {
            upto: self.upto,
            since: self.since,
            result: self.bring(&*shared.files),
        }
    }

    fn bring(&self, files: &dyn Files) -> io::Result<()> {
        if let Some(sealed) = &self.sealed {
            sealed.sync()?;
        }
        self.file.sync()?;
        match self.sealed {
            Some(_) => give_name(files, self.upto.segment),
            None => Ok(()),
        }
    }

    /// The medium begins with it. What is written later isn't part of it.
    #[cfg(test)]
    pub fn begin(&self) {
        self.sealed.iter().for_each(|file| file.begin_sync());
        self.file.begin_sync();
    }
}

impl JournalWriter {
    /// Waits until everything that was written is on the medium.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.syncer.is_busy {
            // The kernel tells of a failure once, whoever it is that asks.
            let synced = self.syncer.wait()?;
            self.take_synced(synced)?;
        }
        match self.job() {
            Some(job) => {
                let synced = job.carry_out(&self.shared);
                self.take_synced(synced)
            }
            None => Ok(()),
        }
    }

    /// Has everything that was written brought to the medium, while the writer goes on.
    pub(super) fn start_sync(&mut self) {
        if self.syncer.is_busy || self.unsynced.is_empty() || self.is_broken {
            return;
        }
        if let Some(job) = self.job() {
            self.syncer.is_busy = true;
            let _ = self.syncer.jobs.send(job);
        }
    }

    /// The same, where somebody waits for it.
    pub(super) fn sync_for_waiters(&mut self) {
        if !self.awaiting.is_empty() || self.reserving.is_some() {
            self.start_sync();
        }
    }

    fn job(&self) -> Option<SyncJob> {
        let active = self.active.as_ref()?;
        Some(SyncJob {
            upto: self.end(),
            since: clock::now(),
            sealed: self.sealed.as_ref().map(|sealed| sealed.file.clone()),
            file: active.file.clone(),
        })
    }

    /// How far the journal is written.
    pub(super) fn end(&self) -> Mark {
        Mark {
            segment: self.segment(),
            bytes: self.active.as_ref().map_or(0, |active| active.bytes),
        }
    }

    /// The syncer has done what it was asked for, or has failed to.
    pub(in crate::sequencer::journal) fn synced(&mut self, synced: Synced) {
        if let Err(error) = self.take_synced(synced) {
            self.failed(&error);
        }
        self.sync_for_waiters();
    }

    fn take_synced(&mut self, synced: Synced) -> io::Result<()> {
        let Synced {
            upto,
            since,
            result,
        } = synced;
        self.syncer.is_busy = false;
        if let Err(error) = result {
            self.is_broken = true;
            self.refuse_waiters(&error);
            return Err(error);
        }
        match &mut self.sealed {
            Some(sealed) if sealed.number == upto.segment => {
                forget_synced(&mut sealed.unsynced, sealed.bytes - upto.bytes);
            }
            _ => {
                self.sealed = None;
                let left = self.end().bytes - upto.bytes;
                forget_synced(&mut self.unsynced, left);
                self.unsynced_since = since;
            }
        }
        if let Some(reserving) = self.reserving.take_if(|it| it.at <= upto) {
            self.reserved = reserving.last;
        }
        for (_, waiter) in self.awaiting.extract_if(.., |(mark, _)| *mark <= upto) {
            match waiter {
                SyncWaiter::Publisher(answer) => answer.give(),
                SyncWaiter::Keeper(reply) => reply.answer(Ok(())),
            }
        }
        Ok(())
    }

    /// How many bytes are written and not synced.
    pub(super) fn unsynced_bytes(&self) -> usize {
        let sealed = self.sealed.as_ref().map_or(0, |it| it.unsynced.len());
        sealed + self.unsynced.len()
    }

    /// What is waited for doesn't come to the medium.
    pub(super) fn refuse_waiters(&mut self, error: &io::Error) {
        let (_, refusal, _) = super::judge(error);
        for (_, waiter) in self.awaiting.drain(..) {
            match waiter {
                SyncWaiter::Publisher(answer) => answer.refuse(refusal),
                SyncWaiter::Keeper(reply) => {
                    reply.answer(Err(io::Error::new(error.kind(), error.to_string())));
                }
            }
        }
    }
}

/// Keeps so many bytes that are left to be synced, those at the end.
fn forget_synced(unsynced: &mut Vec<u8>, left: u64) {
    let synced = unsynced.len().saturating_sub(left as usize);
    unsynced.drain(..synced);
}
