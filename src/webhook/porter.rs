//! The threads that send a webhook's requests: a bounded number, each one request at a time.

use std::io;
use std::sync::Arc;

use super::HookEvent;
use super::config::Hook;
use super::reader::read_one;
use super::request::{DeliveryEnd, HookLine};
use crate::event::job::{EventId, JobId};
use crate::sequencer::Sequencer;
use crate::sequencer::history::Cursor;
use crate::sys::channel::{Receiver, Sender, bounded};
use crate::sys::vital;

/// The porters of a webhook. They end with this, each with its request.
pub struct Porters {
    parcels: Sender<PorterParcel>,
    /// What they come back with.
    pub delivered: Receiver<Delivered>,
    /// How many aren't back.
    pub busy: usize,
    count: usize,
}

/// An event for a porter.
pub struct PorterParcel {
    /// Its number.
    pub id: EventId,
    /// Its job.
    pub job: JobId,
    /// When it came, in milliseconds of the unix clock.
    pub time_ms: u64,
    /// Where it was read back from, if it was.
    pub place: Option<Cursor>,
}

/// What became of it.
pub struct Delivered {
    /// Its number.
    pub id: EventId,
    /// How the request ended. None: the event isn't kept any more.
    pub end: Option<DeliveryEnd>,
}

impl Porters {
    /// Starts them. What the ids of their requests begin with is the `mark`.
    ///
    /// # Errors
    /// There are no threads to be had.
    pub fn start(hook: &Arc<Hook>, jobs: &Sequencer, mark: &str) -> io::Result<Porters> {
        let count = hook.concurrency;
        let (parcels, given) = bounded(count);
        let (settled, delivered) = bounded(count);
        let mark: Arc<str> = mark.into();
        for _ in 0..count {
            let (hook, jobs, mark) = (hook.clone(), jobs.clone(), mark.clone());
            let (given, settled) = (given.clone(), settled.clone());
            vital::spawn("webhook-send", move || {
                carry(&hook, &jobs, &mark, &given, &settled);
            })?;
        }
        Ok(Porters {
            parcels,
            delivered,
            busy: 0,
            count,
        })
    }

    /// Whether one has nothing to do.
    pub fn has_room(&self) -> bool {
        self.busy < self.count
    }

    /// Gives one an event. Never blocks where one has nothing to do.
    pub fn send(&mut self, parcel: PorterParcel) {
        self.busy += usize::from(self.parcels.send(parcel).is_ok());
    }
}

/// Sends what is given, one after the other.
fn carry(
    hook: &Hook,
    jobs: &Sequencer,
    mark: &str,
    given: &Receiver<PorterParcel>,
    settled: &Sender<Delivered>,
) {
    for parcel in given.iter() {
        let id = parcel.id;
        let end = deliver(hook, jobs, mark, &parcel);
        if settled.send(Delivered { id, end }).is_err() {
            return;
        }
    }
}

fn deliver(
    hook: &Hook,
    jobs: &Sequencer,
    mark: &str,
    parcel: &PorterParcel,
) -> Option<DeliveryEnd> {
    let PorterParcel { id, job, .. } = parcel;
    // Where nobody is there, the event needn't be read.
    let line = match HookLine::open(hook) {
        Ok(line) => line,
        Err(end) => return Some(end),
    };
    let (name, data) = read_one(jobs, job, *id, parcel.place)?;
    let event = HookEvent {
        job: job.as_str(),
        name: &name,
        id: *id,
        time_ms: parcel.time_ms,
        data: &data,
    };
    Some(line.send(hook, &format!("msg_{mark}_{id}"), &event))
}
