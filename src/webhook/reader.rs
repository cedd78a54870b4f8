//! Reads the one order from a position on: what is in the rings from there, and what isn't from
//! where the order keeps it. Nothing is queued for a reader.

use std::borrow::Cow;
use std::collections::BinaryHeap;
use std::sync::Arc;

use serde::Deserialize;

use crate::event::frame;
use crate::event::job::{EventId, JobId};
use crate::event::ring::Batch;
use crate::hub::{Hub, Job, Mailbox};
use crate::sequencer::Sequencer;
use crate::sequencer::history::{Cursor, Jobs, Replay, ReplayRequest, What};
use crate::sys::channel;

/// Events that are looked at together.
const TOGETHER: usize = 256;

/// A reader of the one order.
pub struct OrderReader {
    jobs: Sequencer,
    batch: Batch,
    /// Where the last piece ended that was read back.
    cursor: Option<Cursor>,
    /// How many jobs had been forgotten when it was read last. None before that.
    forgettings: Option<u64>,
    /// The newest number that is known to be gone.
    gone: EventId,
}

/// An event that was found.
pub struct Seen<'a> {
    /// Its number.
    pub id: EventId,
    /// Its job.
    pub job: &'a JobId,
    /// Its name.
    pub name: &'a str,
    /// Where it was read back from, if it was.
    pub place: Option<Cursor>,
}

/// How far it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Everything up to here was shown.
    pub upto: EventId,
    /// How many jobs have lost events before that, which weren't.
    pub gaps: u64,
}

impl OrderReader {
    /// A reader that has read nothing.
    pub fn new(jobs: Sequencer) -> OrderReader {
        OrderReader {
            jobs,
            batch: Batch::default(),
            cursor: None,
            forgettings: None,
            gone: EventId(0),
        }
    }

    /// Shows `take` what jobs that are wanted have after a number, the oldest first, until it
    /// takes no more, or that is enough for once. Blocks for the disk.
    pub fn read(
        &mut self,
        after: EventId,
        wants: impl Fn(&JobId) -> bool,
        take: impl FnMut(Seen<'_>) -> bool,
    ) -> Reach {
        let hub = self.jobs.hub().clone();
        let upto = hub.published();
        let kept_from = self.jobs.order().kept_from();
        let mut gaps = 0;
        let jobs = wanted_after(&hub, after, &wants);
        // Looked at after the jobs: one that is gone from among them is found here.
        let forgettings = hub.forgettings();
        let has_missed = match self.forgettings.replace(forgettings) {
            None => hub.forgotten() > after,
            Some(count) => hub.has_forgotten(count, after, &wants),
        };
        gaps += u64::from(has_missed);
        let (upto, is_behind) = self.fill(&jobs, after, upto, kept_from, &mut gaps);
        if is_behind {
            let what = What::Many {
                jobs: Jobs::Matching {
                    prefix: "".into(),
                    floors: Arc::default(),
                },
                after,
                upto,
                kept_from,
            };
            return self.read_back(what, after, gaps, wants, take);
        }
        self.cursor = None;
        let stopped = show(&self.batch, |_| true, |_| None, take);
        let upto = stopped.map_or(upto, |(before, _)| before);
        Reach { upto, gaps }
    }

    /// Fills the batch with what the rings have after `after`. Returns up to where that is all
    /// of it; or that some isn't there, and is to be read back.
    fn fill(
        &mut self,
        jobs: &[Arc<Job>],
        after: EventId,
        mut upto: EventId,
        kept_from: EventId,
        gaps: &mut u64,
    ) -> (EventId, bool) {
        self.batch.clear();
        let mut oldest = BinaryHeap::new();
        let mut is_behind = false;
        // What is known to be gone isn't counted again.
        let known = after.max(self.gone);
        for (index, job) in jobs.iter().enumerate() {
            let is_short = job.lock().ring().gone() > after;
            let history = is_short.then(|| self.jobs.order().history(job.id()));
            let core = job.lock();
            let gone = core.gone(history.flatten());
            if gone > known {
                *gaps += 1;
                self.gone = self.gone.max(gone);
            }
            is_behind |= core.ring().gone() > after.max(gone);
            for number in core.ring().numbers(after, upto) {
                if oldest.len() == TOGETHER {
                    if oldest.peek().is_some_and(|&(newest, _)| number > newest) {
                        break;
                    }
                    oldest.pop();
                }
                oldest.push((number, index));
            }
        }
        // What can't be read back, and is in rings, comes from there, in its place.
        if is_behind && kept_from.min(upto) <= after {
            return (upto, true);
        }
        if is_behind {
            upto = upto.min(kept_from);
        }
        let is_full = oldest.len() == TOGETHER;
        let oldest = oldest.into_sorted_vec();
        if is_full && let Some(&(newest, _)) = oldest.last() {
            upto = upto.min(newest);
        }
        for (number, index) in oldest.into_iter().filter(|&(number, _)| number <= upto) {
            if !jobs[index].lock().ring().copy_one(number, &mut self.batch) {
                // It has gone since, which the next look finds.
                return (EventId(self.batch.newest().max(after.0)), false);
            }
        }
        (upto, false)
    }

    fn read_back(
        &mut self,
        what: What,
        after: EventId,
        gaps: u64,
        wants: impl Fn(&JobId) -> bool,
        take: impl FnMut(Seen<'_>) -> bool,
    ) -> Reach {
        let nothing = Reach { upto: after, gaps };
        let begins = self.cursor.take();
        let Some(replay) = ask(&self.jobs, what, begins) else {
            return nothing;
        };
        let gaps = gaps + u64::from(replay.batch.after > after.0);
        let place = |id: u64| replay.cursor_after(id - 1).or(begins);
        let stopped = show(&replay.batch, wants, place, take);
        let whole = (EventId(replay.reached.max(after.0)), replay.end);
        let (upto, cursor) = stopped.unwrap_or(whole);
        self.cursor = cursor;
        Reach { upto, gaps }
    }
}

/// Shows `take` the events of a batch. Where it takes one no more, says what is before that, and
/// where it is.
fn show(
    batch: &Batch,
    wants: impl Fn(&JobId) -> bool,
    place: impl Fn(u64) -> Option<Cursor>,
    mut take: impl FnMut(Seen<'_>) -> bool,
) -> Option<(EventId, Option<Cursor>)> {
    let mut begin = 0;
    for &(id, end) in &batch.ends {
        let frame = &batch.bytes[begin..end];
        begin = end;
        let Some((name, data)) = frame::parse(frame) else {
            continue;
        };
        let Some(job) = job_of(data).filter(&wants) else {
            continue;
        };
        let place = place(id);
        let seen = Seen {
            id: EventId(id),
            job: &job,
            name,
            place,
        };
        if !take(seen) {
            return Some((EventId(id - 1), place));
        }
    }
    None
}

/// The name and the data of a job's event. None where it isn't kept any more, or its life was
/// deleted. It is found sooner where its place is known. Blocks for the disk.
pub fn read_one(
    jobs: &Sequencer,
    job: &JobId,
    id: EventId,
    place: Option<Cursor>,
) -> Option<(String, String)> {
    let mut batch = Batch::default();
    let name = jobs.hub().find(job)?;
    if !name.lock().ring().copy_one(id, &mut batch) {
        let what = What::Job {
            job: job.clone(),
            after: EventId(id.0 - 1),
            upto: id,
        };
        batch = ask(jobs, what, place)?.batch;
    }
    let (first, end) = *batch.ends.first()?;
    let (name, data) = frame::parse(&batch.bytes[..end])?;
    (first == id.0).then(|| (name.to_owned(), data.to_owned()))
}

/// Has events read back. None where nobody does, or what they are of is no more.
fn ask(jobs: &Sequencer, what: What, cursor: Option<Cursor>) -> Option<Replay> {
    let (reply, replies) = channel::bounded(1);
    jobs.order().read(ReplayRequest {
        row: 0,
        ticket: 0,
        what,
        cursor,
        newest: None,
        reply,
        // Who asks waits for the answer.
        mailbox: Arc::new(Mailbox::new(|| ())),
    });
    let replay: Replay = replies.recv().ok()?;
    let is_current = jobs.order().is_current(&replay.sources);
    is_current.then_some(replay)
}

fn wanted_after(hub: &Hub, after: EventId, wants: impl Fn(&JobId) -> bool) -> Vec<Arc<Job>> {
    let mut jobs = Vec::new();
    hub.jobs_after(after, |job| {
        if wants(job.id()) {
            jobs.push(job.clone());
        }
    });
    jobs
}

/// The job that an event's data names.
fn job_of(data: &str) -> Option<JobId> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(rename = "jobId", borrow)]
        job: Cow<'a, str>,
    }
    let named: Named<'_> = serde_json::from_slice(data.as_bytes()).ok()?;
    named.job.parse().ok()
}
