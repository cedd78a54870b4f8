//! Reads events back for streams that are behind their rings.
//!
//! Threads of their own read, a piece at a time, and hand it to the shard that asked. A
//! stream asks for the next piece when it has sent the last, so what is held for it is
//! one piece while it is behind, and nothing else.
//!
//! Two invariants:
//! - A piece holds no event of a life that was void before the piece was handed over. The
//!   index says which are; it is asked before a piece is read, and again after. The shard
//!   asks once more before it sends it.
//! - A piece of many jobs has all that there was when the shard looked for what is gone.

mod window;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::index::KnownJob;
use super::record::{ChangeRecord, EntryRecord, SegmentNumber};
use super::segment::SegmentsGone;
use super::{Alarm, JournalShared};
use crate::event::Event;
use crate::event::frame::{DELETED, Frame, FrameKind};
use crate::event::job::{EventId, JobId};
use crate::event::ring::Batch;
use crate::sequencer::history::{Cursor, Jobs, NewestOf, Replay, ReplayRequest, What};
use crate::sys::channel::Receiver;
use crate::sys::vital;

/// Threads that read.
const READERS: usize = 2;
/// The most bytes of frames in a piece, but for a frame that is larger by itself.
const PIECE_BYTES: usize = 128 * 1024;
/// How often a piece is read anew, where lives in it were void meanwhile, or segments
/// dropped. Beyond it the stream asks again.
const TRIES: usize = 16;

/// What comes after an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The next one.
    Next,
    /// Nothing: it was the last of the piece.
    Last,
    /// Nothing: it belongs to another piece itself.
    Stop,
}

/// What becomes of a piece.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PieceOutcome {
    Whole,
    /// What it was read from isn't there any more, or void.
    Again,
}

/// A stretch of a segment.
#[derive(Clone, Copy)]
struct Stretch {
    segment: SegmentNumber,
    begin: u32,
    /// None where it goes on to the segment's end.
    end: Option<u32>,
}

/// Where events of a job are.
struct PlaceInJob {
    stretch: Stretch,
    /// They come after this one.
    after: EventId,
    /// The number that its next stretch comes after.
    next: Option<EventId>,
    /// What was known of it.
    known: KnownJob,
}

/// An event that was read.
struct EventRecord<'a> {
    id: EventId,
    previous: EventId,
    job: &'a str,
    name: &'a str,
    data: &'a str,
    names_its_job: bool,
}

/// A job of a consolidated stream.
struct ReadSource {
    job: JobId,
    /// Events up to this one aren't wanted.
    floor: EventId,
    /// Which of them aren't void.
    known: KnownJob,
}

/// Starts the threads. They end with the other end of `requests`.
pub(super) fn start(
    shared: &Arc<JournalShared>,
    requests: &Receiver<ReplayRequest>,
) -> io::Result<()> {
    for _ in 0..READERS {
        let (shared, requests) = (shared.clone(), requests.clone());
        vital::spawn("journal-read", move || {
            let alarm = Alarm(shared.clone());
            for request in requests.iter() {
                shared.counters.reads.add(1);
                let (reply, mailbox) = (request.reply.clone(), request.mailbox.clone());
                let replay = shared.answer(request);
                // A shard takes its pieces before it does anything else; one that is
                // gone needs none.
                if reply.send(replay).is_ok() {
                    mailbox.post_any();
                    mailbox.wake();
                }
            }
            drop(alarm);
        })?;
    }
    Ok(())
}

impl JournalShared {
    pub(super) fn answer(&self, request: ReplayRequest) -> Replay {
        let (after, upto) = match request.what {
            What::Job { after, upto, .. } | What::Many { after, upto, .. } => (after, upto),
        };
        let mut replay = Replay {
            row: request.row,
            ticket: request.ticket,
            batch: Batch::default(),
            reached: after.0,
            cursors: Vec::new(),
            end: None,
            sources: Vec::new(),
        };
        for _ in 0..TRIES {
            replay.begin(after);
            let read = match &request.what {
                What::Job { job, .. } => self.read_job(&mut replay, job, upto, &request),
                What::Many {
                    jobs, kept_from, ..
                } => self.read_many(&mut replay, jobs, upto, *kept_from, &request),
            };
            match read {
                Ok(PieceOutcome::Whole) => return replay,
                Ok(PieceOutcome::Again) => {}
                Err(error) => {
                    error!("journal: events can't be read back: {error}");
                    if replay.batch.ends.is_empty() {
                        replay.batch.after = upto.0;
                    }
                    replay.reached = replay.batch.newest();
                    return replay;
                }
            }
        }
        replay.begin(after);
        replay
    }

    /// Where a job's events after `last` begin, or the oldest where those are gone. `version` is
    /// the job's at the first look, and has to stay so.
    ///
    /// # Errors
    /// It is to be read again, or there is nothing to read.
    fn place_of(
        &self,
        job: &JobId,
        version: &mut Option<EventId>,
        last: EventId,
        upto: EventId,
    ) -> Result<PlaceInJob, PieceOutcome> {
        let index = self.index.lock();
        let known = index.get(job);
        let now = known.map(KnownJob::version);
        if version.is_some_and(|version| now != Some(version)) {
            return Err(PieceOutcome::Again);
        }
        *version = now;
        let known = known.ok_or(PieceOutcome::Whole)?;
        let spans = &known.spans;
        // The last segment that begins with what the stream has, or before it.
        let (number, after) = match spans.partition_point(|span| span.before <= last) {
            0 => {
                let oldest = spans.first().filter(|oldest| oldest.before < upto);
                (0, oldest.ok_or(PieceOutcome::Whole)?.before)
            }
            behind => (behind - 1, last),
        };
        let span = spans[number];
        Ok(PlaceInJob {
            after,
            stretch: Stretch {
                segment: span.segment,
                begin: span.offset,
                end: Some(span.end),
            },
            next: spans.get(number + 1).map(|span| span.before),
            known: known.clone(),
        })
    }

    /// Reads the next events of a job, all from one segment.
    fn read_job(
        &self,
        replay: &mut Replay,
        job: &JobId,
        upto: EventId,
        request: &ReplayRequest,
    ) -> io::Result<PieceOutcome> {
        let (cursor, newest_of) = (request.cursor, request.newest.as_ref());
        let mut last = EventId(replay.batch.after);
        let mut version = None;
        loop {
            let place = match self.place_of(job, &mut version, last, upto) {
                Ok(place) => place,
                Err(PieceOutcome::Again) => return Ok(PieceOutcome::Again),
                Err(PieceOutcome::Whole) => {
                    // What was to be had there is gone meanwhile.
                    replay.miss(upto);
                    return Ok(PieceOutcome::Whole);
                }
            };
            last = place.after;
            replay.batch.after = last.0;
            let (mut newest, mut has_passed) = (last, false);
            let read =
                self.read_stretch(replay, place.stretch, cursor, &mut |replay, record| {
                    if record.job != job.as_str() || record.id <= newest {
                        return Step::Next;
                    }
                    if record.previous > newest {
                        // What lay between them is missing: said before it goes on.
                        if !replay.batch.ends.is_empty() {
                            return Step::Stop;
                        }
                        replay.batch.after = record.previous.min(upto).0;
                    }
                    if record.id > upto {
                        has_passed = true;
                        return Step::Stop;
                    }
                    newest = record.id;
                    if !place.known.is_readable(record.id) || record.is_replaced(job, newest_of) {
                        return Step::Next;
                    }
                    let step = replay.add(job, record);
                    // A stream of the job goes no further than the end of a life.
                    replay.batch.is_end = ["done", "error", DELETED].contains(&record.name);
                    if replay.batch.is_end {
                        Step::Last
                    } else {
                        step
                    }
                })?;
            if read == PieceOutcome::Again {
                return Ok(read);
            }
            if !replay.batch.ends.is_empty() {
                replay
                    .sources
                    .extend(version.map(|version| (job.clone(), version)));
                replay.reached = replay.batch.newest();
                let now = self.index.lock().get(job).map(KnownJob::version);
                let is_whole = now == version;
                return Ok(if is_whole {
                    PieceOutcome::Whole
                } else {
                    PieceOutcome::Again
                });
            }
            if has_passed {
                replay.reached = upto.0;
                return Ok(PieceOutcome::Whole);
            }
            if newest > last {
                // Nothing but what isn't wanted.
                replay.reached = newest.0;
                return Ok(PieceOutcome::Whole);
            }
            match place.next {
                Some(next) if next < upto => last = next.max(last),
                _ => {
                    // It is damaged there.
                    replay.miss(upto);
                    return Ok(PieceOutcome::Whole);
                }
            }
        }
    }

    /// Reads the next events of jobs, all from one segment.
    fn read_many(
        &self,
        replay: &mut Replay,
        jobs: &Jobs,
        upto: EventId,
        kept_from: EventId,
        request: &ReplayRequest,
    ) -> io::Result<PieceOutcome> {
        let (cursor, newest_of) = (request.cursor, request.newest.as_ref());
        let after = EventId(replay.batch.after);
        let mut known: HashMap<String, Option<Box<ReadSource>>> = HashMap::new();
        let (number, segment) = match self.segments.next_after(after, kept_from) {
            Ok(Some(next)) => next,
            Ok(None) => {
                replay.reached = upto.0;
                return Ok(PieceOutcome::Whole);
            }
            // Whoever asked has to look again what is to be had.
            Err(SegmentsGone) => return Ok(PieceOutcome::Whole),
        };
        let (mut reached, mut is_whole, mut has_passed) = (after, true, false);
        let stretch = Stretch {
            segment: number,
            begin: 0,
            end: None,
        };
        let read = self.read_stretch(replay, stretch, cursor, &mut |replay, record| {
            if record.id <= after {
                return Step::Next;
            }
            if record.id > upto {
                has_passed = true;
                return Step::Stop;
            }
            let source = match known.get(record.job) {
                Some(source) => source,
                None => known
                    .entry(record.job.to_owned())
                    .or_insert(self.source(jobs, record.job).map(Box::new)),
            };
            let mut step = Step::Next;
            if let Some(source) = source
                && source.known.is_readable(record.id)
                && record.id > source.floor
                && !record.is_replaced(&source.job, newest_of)
            {
                step = replay.add(&source.job, record);
            }
            reached = record.id;
            is_whole &= step == Step::Next;
            step
        })?;
        if read == PieceOutcome::Again {
            return Ok(read);
        }
        replay.reached = if has_passed {
            upto.0
        } else if is_whole {
            // Its other entries are no events.
            reached.max(segment.newest.min(upto)).0
        } else {
            reached.0
        };
        let sources = known.into_values().flatten();
        let sources = sources.map(|source| (source.job.clone(), source.known.version()));
        replay.sources = sources.collect();
        Ok(if self.index.lock().are_current(&replay.sources) {
            PieceOutcome::Whole
        } else {
            PieceOutcome::Again
        })
    }

    /// The job of that name, where it is one of these and has events.
    fn source(&self, jobs: &Jobs, name: &str) -> Option<ReadSource> {
        let (job, floor) = match jobs {
            Jobs::Listed(listed) => {
                let mut listed = listed.iter();
                listed.find(|(job, _)| job.as_str() == name)?.clone()
            }
            Jobs::Matching { prefix, floors } => {
                if !name.starts_with(&**prefix) {
                    return None;
                }
                let job: JobId = name.parse().ok()?;
                let floor = floors.get(&job).copied().unwrap_or(EventId(0));
                (job, floor)
            }
        };
        let known = self.index.lock().get(&job)?.clone();
        Some(ReadSource { job, floor, known })
    }

    /// Shows `each` the events of a stretch, from the cursor on if that is in it, until it
    /// has enough.
    fn read_stretch(
        &self,
        replay: &mut Replay,
        stretch: Stretch,
        cursor: Option<Cursor>,
        each: &mut dyn FnMut(&mut Replay, &EventRecord<'_>) -> Step,
    ) -> io::Result<PieceOutcome> {
        let number = stretch.segment;
        let Some(segment) = self.segments.lock().get(&number).copied() else {
            return Ok(PieceOutcome::Again);
        };
        let mut window = match window::Window::open(self, number) {
            Ok(window) => window,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let is_there = self.segments.lock().get(&number).is_some();
                // One that was removed by hand is missing for good.
                return if is_there {
                    Err(error)
                } else {
                    Ok(PieceOutcome::Again)
                };
            }
            Err(error) => return Err(error),
        };
        let from = cursor.filter(|cursor| cursor.file == number.0);
        let begin = from.map_or(stretch.begin, |cursor| cursor.offset.max(stretch.begin));
        let end = stretch.end.map_or(segment.bytes, u64::from);
        replay.end = Some(place(number, begin));
        window.read(begin.into(), end, |record, ends_at| {
            let before = replay.end;
            replay.end = Some(place(number, ends_at));
            let step = each(replay, record);
            if step == Step::Stop {
                replay.end = before;
            }
            step == Step::Next
        })?;
        Ok(PieceOutcome::Whole)
    }
}

fn place(segment: SegmentNumber, offset: u32) -> Cursor {
    Cursor {
        file: segment.0,
        offset,
    }
}

trait ReadPiece {
    fn begin(&mut self, after: EventId);
    fn miss(&mut self, upto: EventId);
    fn add(&mut self, job: &JobId, record: &EventRecord<'_>) -> Step;
}

impl ReadPiece for Replay {
    /// Empties it.
    fn begin(&mut self, after: EventId) {
        self.batch.clear();
        self.batch.after = after.0;
        self.reached = after.0;
        self.cursors.clear();
        self.end = None;
        self.sources.clear();
    }

    /// Nothing up to here is to be had.
    fn miss(&mut self, upto: EventId) {
        self.batch.after = self.batch.after.max(upto.0);
        self.reached = self.batch.after;
    }

    /// Adds a frame.
    fn add(&mut self, job: &JobId, record: &EventRecord<'_>) -> Step {
        let event = Event::restored(record.name, record.data, record.names_its_job, job);
        let Some(event) = event else {
            return Step::Next;
        };
        let frame = Frame::new(job, &event, record.id);
        self.batch.bytes.extend_from_slice(frame.bytes());
        self.batch.ends.push((record.id.0, self.batch.bytes.len()));
        self.cursors.extend(self.end);
        if self.batch.bytes.len() < PIECE_BYTES {
            Step::Next
        } else {
            Step::Last
        }
    }
}

impl<'a> EventRecord<'a> {
    /// Whether it is progress, and there is newer progress of the job.
    fn is_replaced(&self, job: &JobId, newest_of: Option<&NewestOf>) -> bool {
        newest_of.is_some_and(|newest_of| {
            FrameKind::of(self.name) == FrameKind::Progress && self.id < newest_of(job)
        })
    }

    fn of(entry: &EntryRecord<'a>) -> Option<EventRecord<'a>> {
        let (previous, name, data, names_its_job) = match entry.change {
            ChangeRecord::Event {
                previous,
                name,
                data,
                names_its_job,
                ..
            } => (previous, name, data, names_its_job),
            ChangeRecord::Delete { .. } | ChangeRecord::Begin { replaces: true, .. } => {
                (EventId(0), DELETED, "{}", false)
            }
            ChangeRecord::Begin { .. }
            | ChangeRecord::Renew { .. }
            | ChangeRecord::Cancel { .. }
            | ChangeRecord::Forget { .. } => return None,
        };
        Some(EventRecord {
            id: entry.id,
            previous,
            job: entry.job,
            name,
            data,
            names_its_job,
        })
    }
}
