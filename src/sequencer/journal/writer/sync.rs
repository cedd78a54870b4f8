//! What is written and not yet on the medium, and whom that keeps waiting.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use super::Writer;
use crate::sequencer::PublishError;
use crate::sequencer::journal::files::File;
use crate::sequencer::journal::record::SegmentNumber;
use crate::sequencer::journal::{Alarm, Shared};
use crate::sys::clock;
use crate::sys::vital;

/// A thread that waits for the medium, so that the writer needn't.
pub(in crate::sequencer::journal) struct Syncer {
    pub jobs: Sender<Job>,
    pub results: Receiver<Synced>,
    pub is_busy: bool,
    pub since: Instant,
    /// Who waits has the work done first, where there is no thread.
    #[cfg(test)]
    pub before_wait: Option<Box<dyn Fn() + Send>>,
}

/// A segment that is to be brought to the medium, up to a byte.
pub(in crate::sequencer::journal) type Job = (SegmentNumber, u64, Arc<dyn File>);
/// What has become of that.
pub(in crate::sequencer::journal) type Synced = (SegmentNumber, u64, io::Result<()>);

impl Syncer {
    pub fn start(shared: Arc<Shared>) -> io::Result<Syncer> {
        let (syncer, received, done) = Syncer::without_thread();
        vital::spawn("journal-sync", move || {
            let alarm = Alarm(shared.clone());
            for (segment, upto, file) in received {
                shared.counters.syncs.add(1);
                if done.send((segment, upto, file.sync())).is_err() {
                    break;
                }
            }
            drop(alarm);
        })?;
        Ok(syncer)
    }

    /// Waits for what it is at.
    fn wait(&self) -> io::Result<()> {
        #[cfg(test)]
        if let Some(before_wait) = &self.before_wait {
            before_wait();
        }
        let ended = || io::Error::other("what waits for the medium has ended");
        let (_, _, result) = self.results.recv().map_err(|_| ended())?;
        result
    }

    /// The thread's ends besides: where its jobs come from, and where it says how they went.
    pub fn without_thread() -> (Syncer, Receiver<Job>, Sender<Synced>) {
        let (jobs, received) = crossbeam_channel::bounded(1);
        let (done, results) = crossbeam_channel::bounded(1);
        let syncer = Syncer {
            jobs,
            results,
            is_busy: false,
            since: clock::now(),
            #[cfg(test)]
            before_wait: None,
        };
        (syncer, received, done)
    }
}

impl Writer {
    /// Waits until everything that was written is on the medium.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(active) = &self.active else {
            return Ok(());
        };
        self.shared.counters.syncs.add(1);
        let synced = active.file.sync();
        // The kernel tells of a failure once, whoever it is that asks.
        let other = match self.syncer.is_busy {
            true => self.syncer.wait(),
            false => Ok(()),
        };
        self.syncer.is_busy = false;
        if let Err(error) = synced.and(other) {
            self.is_broken = true;
            return Err(error);
        }
        self.unsynced.clear();
        self.answer_awaiting(u64::MAX, None);
        Ok(())
    }

    pub(super) fn start_sync(&mut self) {
        if let Some(active) = &self.active
            && !self.syncer.is_busy
            && !self.unsynced.is_empty()
            && !self.is_broken
        {
            self.syncer.is_busy = true;
            self.syncer.since = clock::now();
            let job = (active.number, active.bytes, active.file.clone());
            let _ = self.syncer.jobs.send(job);
        }
    }

    pub(in crate::sequencer::journal) fn synced(
        &mut self,
        segment: SegmentNumber,
        upto: u64,
        result: io::Result<()>,
    ) {
        self.syncer.is_busy = false;
        let Some(active) = &self.active else { return };
        match result {
            // It was synced as a whole when the next one began.
            _ if segment != active.number => {}
            Ok(()) => {
                let left = (active.bytes - upto) as usize;
                let synced = self.unsynced.len().saturating_sub(left);
                self.unsynced.drain(..synced);
                self.unsynced_since = self.syncer.since;
                self.answer_awaiting(upto, None);
            }
            Err(error) => {
                self.is_broken = true;
                let error = self.failed(&error);
                self.answer_awaiting(u64::MAX, Some(error));
            }
        }
        if !self.awaiting.is_empty() {
            self.start_sync();
        }
    }

    pub(super) fn answer_awaiting(&mut self, upto: u64, error: Option<PublishError>) {
        let (due, rest) = std::mem::take(&mut self.awaiting)
            .into_iter()
            .partition::<Vec<_>, _>(|&(bytes, _)| bytes <= upto);
        self.awaiting = rest;
        for (_, answer) in due {
            match error {
                Some(error) => answer.refuse(error),
                None => answer.give(),
            }
        }
    }
}
