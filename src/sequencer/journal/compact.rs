//! What keeps the journal within its limits: a thread that forgets jobs that ended long
//! ago, and writes segments anew without what nobody needs.
//!
//! The invariants:
//! - A segment is replaced by a whole file under the same name, in one step. A crash
//!   leaves the old one or the new one, or beside the new one others whose events it
//!   holds too: a start takes each once.
//! - What a start needs to know of what is dropped (ids that were given, jobs that are
//!   forgotten) is in the new file, or is known by what follows.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::record::{EventRecord, MAGIC, Origin, Record, SegmentNumber, encode};
use super::restore::milliseconds;
use super::scan::{Piece, Scan};
use super::segment::{Segment, Span, file_name};
use super::{Health, Journal, Shared};
use crate::event::job::{EventId, JobId, Sequence};
use crate::hub::{Hub, Job, Numbers, WeakHub};

/// How often it looks, when nothing calls it.
const LOOK: Duration = Duration::from_secs(5);
/// Jobs that are forgotten together.
const FORGET: usize = 256;

/// What is kept of a segment that is written anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keep {
    /// All events that are needed.
    Needed,
    /// Each job's newest event.
    Newest,
}

/// Starts the thread. It ends with the other end of `calls`, or with the hub.
pub(super) fn start(
    shared: Arc<Shared>,
    hub: WeakHub,
    calls: Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("journal-keep".into())
        .spawn(move || {
            let keeper = Keeper { shared, hub };
            while calls.recv_timeout(LOOK) != Err(RecvTimeoutError::Disconnected) {
                if !keeper.look() {
                    return;
                }
            }
        })
}

fn forget(hub: &Hub, jobs: &[Arc<Job>]) -> bool {
    jobs.iter().for_each(|job| hub.retire(job));
    !jobs.is_empty()
}

struct Keeper {
    shared: Arc<Shared>,
    hub: WeakHub,
}

impl Keeper {
    /// Does what there is to do. False where the hub is gone.
    fn look(&self) -> bool {
        while let Some(hub) = self.hub.upgrade() {
            if self.shared.is_closing.load(Ordering::Acquire) {
                return false;
            }
            if self.forget_old(&hub) {
                continue;
            }
            let (worked, is_stuck) = match self.compact(&hub) {
                Ok(worked) => (worked, false),
                Err(error) => {
                    log::error!("journal: it can't be compacted: {error}");
                    (false, true)
                }
            };
            let is_short = self.shared.is_short_of_room();
            let forgot = !worked && is_short && !is_stuck && self.forget_first(&hub);
            if let Some(journal) = hub.journal()
                && (is_short || worked)
            {
                // Whoever waits for room hears of every step, and when there is no other.
                journal.tell_of_room(!worked && !forgot);
            }
            if !worked && !forgot {
                return true;
            }
        }
        false
    }

    /// Forgets the jobs that ended before the age, and those over the limit.
    fn forget_old(&self, hub: &Hub) -> bool {
        let config = &self.shared.config;
        let before = SystemTime::now().checked_sub(config.age);
        let mut jobs = Vec::new();
        let (ended, count) = hub.first_ended(FORGET);
        for job in ended {
            let is_over = count > config.ended_jobs + jobs.len();
            if !is_over && before.is_none_or(|before| job.snapshot().updated_at >= before) {
                break;
            }
            jobs.push(job);
        }
        forget(hub, &jobs)
    }

    /// Forgets some of the jobs that ended first: room is needed.
    fn forget_first(&self, hub: &Hub) -> bool {
        forget(hub, &hub.first_ended(FORGET).0)
    }

    /// Writes what needs it most anew. False where nothing does.
    fn compact(&self, hub: &Hub) -> io::Result<bool> {
        let Some((run, keep)) = self.choose() else {
            return Ok(false);
        };
        self.rewrite(hub, &run, keep).map(|()| true)
    }

    /// The segments to write anew as one, and what of them.
    fn choose(&self) -> Option<(Vec<SegmentNumber>, Keep)> {
        let config = &self.shared.config;
        let segment_bytes = config.segment_bytes();
        let is_short = self.shared.is_short_of_room();
        let old_ms = milliseconds(SystemTime::now()).saturating_sub(config.age.as_millis() as u64);
        let segments = self.shared.segments.lock();
        let mut sealed: Vec<(SegmentNumber, Segment)> =
            segments.iter().map(|(number, s)| (*number, *s)).collect();
        drop(segments);
        // The last one is being written.
        sealed.pop();
        if self.shared.health() != Health::Failing {
            let damaged = sealed.iter().find(|(_, segment)| segment.is_damaged);
            if let Some((number, _)) = damaged {
                return Some((vec![*number], Keep::Needed));
            }
        }
        // One without events has no age; it is small, and merged.
        let is_old = |segment: &Segment| (1..old_ms).contains(&segment.newest_ms);
        let is_due = |segment: &Segment| is_short || is_old(segment);
        let due = sealed.iter().position(|(_, s)| !s.is_minimal && is_due(s));
        if let Some(due) = due {
            // With the one before it, which has what is left of all before that.
            let first = match due.checked_sub(1) {
                Some(before)
                    if sealed[before].1.is_minimal && sealed[before].1.bytes < segment_bytes =>
                {
                    before
                }
                _ => due,
            };
            let run = sealed[first..=due].iter().map(|(number, _)| *number);
            return Some((run.collect(), Keep::Newest));
        }
        let dead_parts = if is_short { 8 } else { 2 };
        let is_sparse = |s: &Segment| {
            s.bytes >= segment_bytes / 16
                && s.bytes - s.live_bytes.min(s.bytes) > s.bytes / dead_parts
        };
        if let Some((number, _)) = sealed.iter().find(|(_, segment)| is_sparse(segment)) {
            return Some((vec![*number], Keep::Needed));
        }
        // Restarts leave small ones behind.
        let small = sealed
            .windows(2)
            .find(|pair| pair.iter().all(|(_, s)| s.bytes < segment_bytes / 4))?;
        Some((
            small.iter().map(|(number, _)| *number).collect(),
            Keep::Needed,
        ))
    }

    /// Writes adjacent segments anew as one, the first of them.
    fn rewrite(&self, hub: &Hub, run: &[SegmentNumber], keep: Keep) -> io::Result<()> {
        let shared = &*self.shared;
        let first = run[0];
        let is_oldest = shared.segments.lock().keys().next() == Some(&first);
        let mut output = Output::new(first);
        for &number in run {
            let bytes = shared.segments.lock().get(&number).map_or(0, |s| s.bytes);
            let mut content = vec![0; bytes as usize];
            let read = shared
                .files
                .open(&file_name(number), false)?
                .read_at(0, &mut content)?;
            content.truncate(read);
            for piece in Scan::new(&content, number) {
                if let Piece::Record { record, .. } = piece {
                    output.take(hub, &record, run, keep, is_oldest);
                }
            }
        }
        output.finish(hub);
        // What is left out is known by records that are on the medium, from here on.
        hub.journal().map_or(Ok(()), Journal::flush)?;
        let is_minimal = keep == Keep::Newest || {
            let segments = shared.segments.lock();
            run.iter()
                .all(|n| segments.get(n).is_some_and(|s| s.is_minimal))
        };
        shared
            .spare_bytes
            .store(output.bytes.len() as u64, Ordering::Release);
        let done = self.replace(run, output, is_minimal);
        shared.spare_bytes.store(0, Ordering::Release);
        done
    }

    fn replace(&self, run: &[SegmentNumber], output: Output, is_minimal: bool) -> io::Result<()> {
        let shared = &*self.shared;
        let first = run[0];
        let name = file_name(first);
        if output.is_empty {
            return self.drop_run(run, &output);
        }
        let new = format!("{name}.new");
        let file = shared.files.open(&new, true)?;
        let written = file.write_at(0, &output.bytes).and_then(|()| file.sync());
        if let Err(error) = written {
            let _ = shared.files.remove(&new);
            return Err(error);
        }
        let compacted = output.bytes.len() as u64;
        shared.counters.compacted_bytes.add(compacted);
        // From here to the end of it the readers wait: spans and files don't match.
        shared.segments.begin_change();
        let renamed = shared.files.rename(&new, &name);
        if let Err(error) = renamed {
            shared.segments.end_change();
            let _ = shared.files.remove(&new);
            return Err(error);
        }
        let live_bytes = output.hand_over(run);
        let before: Vec<Segment> = {
            let segments = shared.segments.lock();
            run.iter()
                .filter_map(|number| segments.get(number).copied())
                .collect()
        };
        let newest_ms = before.iter().map(|s| s.newest_ms).max().unwrap_or(0);
        let newest_sequence = before.iter().map(|s| s.newest_sequence).max().unwrap_or(0);
        let segment = Segment {
            bytes: compacted,
            live_bytes,
            newest_ms,
            newest_sequence,
            is_minimal,
            is_damaged: false,
            generation: before.first().map_or(0, |s| s.generation) + 1,
        };
        shared.segments.replace(run, Some(segment));
        shared.segments.end_change();
        // The new name has to last before the others go.
        shared.files.sync_names()?;
        for number in &run[1..] {
            shared.files.remove(&file_name(*number))?;
        }
        shared.files.sync_names()
    }

    /// Nothing of a run is needed.
    fn drop_run(&self, run: &[SegmentNumber], output: &Output) -> io::Result<()> {
        let shared = &*self.shared;
        shared.segments.begin_change();
        output.hand_over(run);
        shared.segments.replace(run, None);
        shared.segments.end_change();
        for number in run {
            shared.files.remove(&file_name(*number))?;
        }
        shared.files.sync_names()
    }
}

/// A segment that is written anew.
struct Output {
    number: SegmentNumber,
    bytes: Vec<u8>,
    is_empty: bool,
    /// The jobs that it has events of, or had.
    jobs: HashMap<JobId, Moved>,
    /// Jobs whose oldest events may be gone.
    born: HashSet<JobId>,
}

/// A job's events, from the old place to the new one.
struct Moved {
    job: Arc<Job>,
    base: u64,
    created_ms: u64,
    newest_id: u64,
    before_oldest: u64,
    span: Option<Span>,
}

impl Output {
    fn new(number: SegmentNumber) -> Output {
        Output {
            number,
            bytes: MAGIC.to_vec(),
            is_empty: true,
            jobs: HashMap::new(),
            born: HashSet::new(),
        }
    }

    /// Adds the numbers above which jobs begin whose last ids aren't kept any more, and
    /// where jobs began whose oldest events aren't.
    fn finish(&mut self, hub: &Hub) {
        for id in std::mem::take(&mut self.born) {
            let has_events = self.jobs.get(&id).is_some_and(|moved| moved.span.is_some());
            let Some(job) = hub.find(&id).filter(|_| !has_events) else {
                continue;
            };
            let core = job.lock();
            // One that has events before these has its own beginning with them.
            let goes_on = core
                .spans()
                .last()
                .is_some_and(|last| last.segment > self.number);
            let is_first = core
                .spans()
                .first()
                .is_none_or(|first| first.segment >= self.number);
            let origin = Origin {
                base: core.base(),
                created_ms: milliseconds(core.created_at()),
            };
            drop(core);
            if goes_on && is_first {
                let job = id.as_str();
                self.put(&Record::Born { job, origin });
            }
        }
        let floor = hub.floor();
        if floor.sequence.0 > 0 {
            self.put(&Record::Floor(floor));
        }
    }

    fn take(
        &mut self,
        hub: &Hub,
        record: &Record<'_>,
        run: &[SegmentNumber],
        keep: Keep,
        is_oldest: bool,
    ) {
        match record {
            Record::Event(event) => self.event(hub, event, run, keep),
            // Without it, what older segments have of the job would come back.
            Record::Forget { job, .. } => {
                let is_needed = !is_oldest || job.parse().is_ok_and(|job| hub.remembers(&job));
                if is_needed {
                    self.put(record);
                }
            }
            Record::Gap { .. } => self.put(record),
            // Whoever still needs it gets it anew.
            Record::Born { job, .. } => {
                if let Ok(job) = job.parse() {
                    self.born.insert(job);
                }
            }
            // What is written has its own, and the floor is there already.
            Record::Open { .. } | Record::Close | Record::Floor(_) => {}
        }
    }

    fn put(&mut self, record: &Record<'_>) {
        self.is_empty = false;
        encode(&mut self.bytes, self.number, record);
    }

    fn event(&mut self, hub: &Hub, event: &EventRecord<'_>, run: &[SegmentNumber], keep: Keep) {
        let Ok(id) = event.job.parse::<JobId>() else {
            return;
        };
        if !self.jobs.contains_key(&id) {
            self.born.insert(id.clone());
        }
        let moved = match self.jobs.entry(id) {
            Entry::Occupied(moved) => moved.into_mut(),
            Entry::Vacant(place) => {
                let Some(moved) = hub.find(place.key()).and_then(|job| Moved::new(job, run)) else {
                    return;
                };
                place.insert(moved)
            }
        };
        let event_id = event.numbers.id.0;
        let is_needed = event_id > moved.base && event_id > moved.before_oldest;
        if !is_needed || keep == Keep::Newest && event_id != moved.newest_id {
            return;
        }
        let is_first = moved.span.is_none();
        let origin = match event.origin {
            None if is_first => Some(Origin {
                base: moved.base,
                created_ms: moved.created_ms,
            }),
            origin => origin,
        };
        let record = Record::Event(EventRecord {
            origin,
            ..event.clone()
        });
        let offset = self.bytes.len();
        encode(&mut self.bytes, self.number, &record);
        self.is_empty = false;
        let bytes = (self.bytes.len() - offset) as u32;
        match &mut moved.span {
            Some(span) => span.bytes += bytes,
            None => {
                moved.span = Some(Span {
                    segment: self.number,
                    offset: offset as u32,
                    bytes,
                    before: Numbers {
                        id: EventId(event.previous),
                        sequence: Sequence(event.numbers.sequence.0 - 1),
                    },
                });
            }
        }
    }

    /// Tells the jobs where their events are now. Returns the bytes that are needed.
    fn hand_over(&self, run: &[SegmentNumber]) -> u64 {
        let mut live_bytes = 0;
        for moved in self.jobs.values() {
            let mut core = moved.job.lock();
            if core.is_forgotten() {
                continue;
            }
            core.change_spans(|spans| {
                let begin = spans.partition_point(|span| span.segment < run[0]);
                let end = spans.partition_point(|span| span.segment <= run[run.len() - 1]);
                let mut span = moved.span;
                if let (Some(span), Some(old)) = (&mut span, spans.get(begin))
                    && span.before.id == old.before.id
                {
                    span.before = old.before;
                }
                live_bytes += span.map_or(0, |span| u64::from(span.bytes));
                spans.splice(begin..end, span);
            });
        }
        live_bytes
    }
}

impl Moved {
    /// None for a job that has nothing there.
    fn new(job: Arc<Job>, run: &[SegmentNumber]) -> Option<Moved> {
        let core = job.lock();
        let is_there = core.spans().iter().any(|span| run.contains(&span.segment));
        if core.is_forgotten() || !is_there {
            return None;
        }
        Some(Moved {
            base: core.base(),
            created_ms: milliseconds(core.created_at()),
            newest_id: core.newest_id(),
            before_oldest: core.spans().first().map_or(0, |span| span.before.id.0),
            span: None,
            job: {
                drop(core);
                job
            },
        })
    }
}
