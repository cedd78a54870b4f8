//! The library on a disk of the test's, without a server.

use std::sync::Arc;

use landfall::internals::event::frame;
use landfall::internals::event::ring::Batch;
use landfall::internals::hub::{Hub, Mailbox};
pub use landfall::internals::sequencer::Health;
use landfall::internals::sequencer::history::{ReplayRequest, What};
use landfall::internals::sequencer::journal::{Journal, JournalConfig, SyncPolicy};
use landfall::{EventId, HubConfig, JobId, Sequencer};

use super::disk::Disk;

pub fn job(number: usize) -> JobId {
    format!("job{number}").parse().unwrap()
}

pub fn hub() -> Hub {
    let config = HubConfig::with(|config| {
        config.ring.events = 10_000;
        config.ring.bytes = 10_000_000;
    });
    Hub::new(config, EventId(0))
}

pub fn open(disk: &Disk, sync: SyncPolicy, bytes: u64) -> Sequencer {
    let config = JournalConfig::with(|config| {
        config.sync = sync;
        config.bytes = bytes;
    });
    open_with(disk, config)
}

pub fn open_with(disk: &Disk, config: JournalConfig) -> Sequencer {
    let hub = hub();
    let journal = Journal::open_in(Arc::new(disk.clone()), config, &hub).unwrap();
    landfall::internals::sequencer(hub, Arc::new(journal))
}

/// What the journal has of a job: numbers and data.
pub fn events(jobs: &Sequencer, number: usize) -> Vec<(u64, String)> {
    let name = job(number);
    let Some(job) = landfall::internals::hub(jobs).find(&name) else {
        return Vec::new();
    };
    if landfall::internals::order(jobs).history(&name).is_none() {
        return Vec::new();
    }
    let (reply, replies) = landfall::internals::channel::bounded(1);
    let upto = job.newest();
    let (mut after, mut cursor, mut found) = (EventId(0), None, Vec::new());
    while after < upto {
        landfall::internals::order(jobs).read(ReplayRequest {
            row: 0,
            ticket: 0,
            what: What::Job {
                job: name.clone(),
                after,
                upto,
            },
            cursor,
            newest: None,
            reply: reply.clone(),
            mailbox: Arc::new(Mailbox::new(|| {})),
        });
        let replay = replies.recv().unwrap();
        found.extend(frames(&replay.batch));
        assert!(replay.reached > after.0);
        after = EventId(replay.reached);
        cursor = replay.cursor_after(after.0);
    }
    found
}

/// What the job's ring has.
pub fn ring(jobs: &Sequencer, number: usize) -> Vec<(u64, String)> {
    let Some(job) = landfall::internals::hub(jobs).find(&job(number)) else {
        return Vec::new();
    };
    let (mut after, mut found, mut batch) = (0, Vec::new(), Batch::default());
    loop {
        job.lock().ring().copy_after(after, usize::MAX, &mut batch);
        if batch.ends.is_empty() {
            return found;
        }
        found.extend(frames(&batch));
        after = batch.newest();
    }
}

fn frames(batch: &Batch) -> Vec<(u64, String)> {
    let mut begin = 0;
    let frame = |&(id, end): &(u64, usize)| {
        let (_, data) = frame::parse(&batch.bytes[begin..end]).unwrap();
        begin = end;
        (id, data.to_owned())
    };
    batch.ends.iter().map(frame).collect()
}
