//! Reads events back for streams that are behind their rings.
//!
//! Threads of their own read, a piece at a time, and hand it to the shard that asked. A
//! stream asks for the next piece when it has sent the last, so what is held for it is
//! one piece while it is behind, and nothing else.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::Shared;
use super::record::{EventRecord, Found, HEADER_BYTES, Record, SegmentNumber, decode};
use super::segment::file_name;
use crate::event::Event;
use crate::event::frame;
use crate::event::job::{JobId, Sequence};
use crate::event::ring::Batch;
use crate::hub::{Hub, Job, Mailbox};

/// Threads that read.
const READERS: usize = 2;
/// The most bytes of frames in a piece, but for a frame that is larger by itself.
const PIECE_BYTES: usize = 128 * 1024;
/// What is read from a file at a time.
const WINDOW_BYTES: usize = 256 * 1024;

/// What a stream asks for.
pub struct Request {
    /// The stream, as its shard knows it.
    pub row: u32,
    /// Tells this request from others of the row.
    pub ticket: u64,
    /// Which events.
    pub what: What,
    /// Where the last piece ended.
    pub cursor: Option<Cursor>,
    /// Where the piece goes.
    pub reply: Sender<Replay>,
    /// Who is woken then.
    pub mailbox: Arc<Mailbox>,
}

/// Which events.
pub enum What {
    /// Those of a job after an id, and up to another.
    Job {
        /// The job.
        job: Arc<Job>,
        /// The id that the stream has.
        after: u64,
        /// The last id that is wanted.
        upto: u64,
    },
    /// Those of several jobs after a number, and up to another.
    Hub {
        /// Where the jobs are.
        hub: Hub,
        /// Which jobs, and after which numbers.
        jobs: Jobs,
        /// The number that the stream has.
        after: Sequence,
        /// The last number that is wanted.
        upto: Sequence,
    },
}

/// The jobs of a consolidated stream.
pub enum Jobs {
    /// These, after these numbers.
    Listed(Vec<(Arc<Job>, Sequence)>),
    /// All, some of them after these numbers.
    All(Arc<HashMap<JobId, Sequence>>),
}

/// A piece.
pub struct Replay {
    /// The stream.
    pub row: u32,
    /// Its request's.
    pub ticket: u64,
    /// The frames. Where events before them are missing, `after` is above the stream's.
    pub batch: Batch,
    /// The stream has everything up to here when it has the piece.
    pub reached: u64,
    /// Where the frames are.
    segment: SegmentNumber,
    generation: u32,
    /// Where each frame's record ends.
    ends: Vec<u32>,
    /// Where the piece ends.
    end: u32,
}

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

/// A place between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    segment: SegmentNumber,
    /// The segment's, when this was a place in it.
    generation: u32,
    offset: u32,
}

impl Replay {
    /// Where to go on for a stream that has the piece up to `id`.
    pub fn cursor_after(&self, id: u64) -> Option<Cursor> {
        let ends = &self.batch.ends;
        let offset = match ends.partition_point(|&(frame, _)| frame <= id) {
            all if all == ends.len() => self.end,
            0 => return None,
            frames => self.ends[frames - 1],
        };
        Some(Cursor {
            segment: self.segment,
            generation: self.generation,
            offset,
        })
    }
}

/// Starts the threads. They end with the other end of `requests`.
pub(super) fn start(shared: &Arc<Shared>, requests: &Receiver<Request>) -> io::Result<()> {
    for _ in 0..READERS {
        let (shared, requests) = (shared.clone(), requests.clone());
        std::thread::Builder::new()
            .name("journal-read".into())
            .spawn(move || {
                for request in requests {
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
            })?;
    }
    Ok(())
}

impl Shared {
    fn answer(&self, request: Request) -> Replay {
        let mut replay = Replay {
            row: request.row,
            ticket: request.ticket,
            batch: Batch::default(),
            reached: 0,
            segment: SegmentNumber(0),
            generation: 0,
            ends: Vec::new(),
            end: 0,
        };
        let read = match request.what {
            What::Job { job, after, upto } => {
                replay.batch.after = after;
                self.read_job(&mut replay, &job, upto, request.cursor)
                    .map(|()| {
                        if replay.batch.ends.is_empty() {
                            // What was to be had there is gone meanwhile, or damaged.
                            replay.batch.after = upto;
                        }
                        replay.reached = replay.batch.newest();
                    })
                    .map_err(|error| (error, upto))
            }
            What::Hub {
                hub,
                jobs,
                after,
                upto,
            } => {
                replay.batch.after = after.0;
                self.read_hub(&mut replay, &hub, &jobs, upto, request.cursor)
                    .map_err(|error| (error, upto.0))
            }
        };
        if let Err((error, upto)) = read {
            log::error!("journal: events can't be read back: {error}");
            if replay.batch.ends.is_empty() {
                replay.batch.after = upto;
            }
            replay.reached = replay.batch.newest();
        }
        replay
    }

    /// Reads the next events of a job, all from one segment.
    fn read_job(
        &self,
        replay: &mut Replay,
        job: &Arc<Job>,
        upto: u64,
        cursor: Option<Cursor>,
    ) -> io::Result<()> {
        let mut last = replay.batch.after;
        loop {
            let changes = self.segments.settled();
            let core = job.lock();
            let spans = core.spans();
            // The last segment that begins with what the stream has, or before it.
            let mut index = spans.partition_point(|span| span.before.id.0 <= last);
            if index == 0 {
                match spans.first() {
                    Some(first) if !core.is_forgotten() && first.before.id.0 < upto => {
                        last = first.before.id.0;
                        index = 1;
                    }
                    _ => return Ok(()),
                }
            }
            let span = spans[index - 1];
            let next = spans.get(index).map(|span| span.before.id.0);
            drop(core);
            replay.batch.after = last;
            let mut newest = last;
            let place = (span.segment, span.offset, changes);
            let is_read = self.read_segment(replay, place, cursor, |replay, record| {
                let id = record.numbers.id.0;
                if record.job != job.id().as_str() || id <= newest {
                    return Step::Next;
                }
                if record.previous > newest {
                    // What lay between them is missing: said before it goes on.
                    if !replay.batch.ends.is_empty() {
                        return Step::Stop;
                    }
                    replay.batch.after = record.previous;
                }
                if id > upto {
                    return Step::Stop;
                }
                newest = id;
                replay.add(job.id(), record, id)
            })?;
            match next {
                _ if !is_read => {}
                _ if !replay.batch.ends.is_empty() => return Ok(()),
                Some(next) if next < upto => last = next.max(last),
                _ => return Ok(()),
            }
        }
    }

    /// Reads the next events of jobs, all from one segment.
    fn read_hub(
        &self,
        replay: &mut Replay,
        hub: &Hub,
        jobs: &Jobs,
        upto: Sequence,
        cursor: Option<Cursor>,
    ) -> io::Result<()> {
        let after = replay.batch.after;
        let mut known: HashMap<String, Option<(Arc<Job>, u64, Sequence)>> = HashMap::new();
        if let Jobs::Listed(listed) = jobs {
            for (job, floor) in listed {
                let base = job.lock().base();
                let name = job.id().as_str().to_owned();
                known.insert(name, Some((job.clone(), base, *floor)));
            }
        }
        let find = |name: &str| {
            let Jobs::All(floors) = jobs else { return None };
            let job = hub.find(&name.parse().ok()?)?;
            let base = job.lock().base();
            let floor = floors.get(job.id()).copied();
            Some((job, base, floor.unwrap_or(Sequence(0))))
        };
        let mut reached = after;
        let mut is_whole = true;
        let mut newest = upto.0;
        let mut is_read = false;
        while !is_read {
            let changes = self.segments.settled();
            let number = {
                let segments = self.segments.lock();
                let mut candidates = segments.iter();
                let next = candidates.find(|(_, segment)| segment.newest_sequence > after);
                match next {
                    Some((number, segment)) => {
                        newest = segment.newest_sequence;
                        *number
                    }
                    None => {
                        replay.reached = upto.0;
                        return Ok(());
                    }
                }
            };
            is_read =
                self.read_segment(replay, (number, 0, changes), cursor, |replay, record| {
                    let sequence = record.numbers.sequence;
                    if sequence.0 <= after {
                        return Step::Next;
                    }
                    if sequence > upto {
                        is_whole = false;
                        return Step::Stop;
                    }
                    let known = match known.get(record.job) {
                        Some(known) => known,
                        None => known
                            .entry(record.job.to_owned())
                            .or_insert(find(record.job)),
                    };
                    let mut step = Step::Next;
                    if let Some((job, base, floor)) = known
                        && record.numbers.id.0 > *base
                        && sequence > *floor
                    {
                        step = replay.add(job.id(), record, sequence.0);
                    }
                    reached = sequence.0;
                    is_whole &= step == Step::Next;
                    step
                })?;
        }
        replay.reached = match is_whole {
            true => reached.max(newest.min(upto.0)),
            false => reached,
        };
        Ok(())
    }

    /// Shows `each` the events of a segment, from the cursor on if that is in it, and from
    /// an offset otherwise, until it has enough. False where segments have changed since
    /// there were so many `changes`: then it has shown nothing.
    fn read_segment(
        &self,
        replay: &mut Replay,
        (number, offset, changes): (SegmentNumber, u32, u64),
        cursor: Option<Cursor>,
        mut each: impl FnMut(&mut Replay, &EventRecord<'_>) -> Step,
    ) -> io::Result<bool> {
        let segment = self.segments.lock().get(&number).copied();
        let file = self.files.open(&file_name(number), false);
        // A file that was opened before it is replaced stays as it was.
        if !self.segments.is_still(changes) {
            return Ok(false);
        }
        let (Some(segment), file) = (segment, file?) else {
            return Ok(true);
        };
        replay.segment = number;
        replay.generation = segment.generation;
        let offset = match cursor {
            Some(cursor) if cursor.segment == number && cursor.generation == segment.generation => {
                cursor.offset
            }
            _ => offset,
        };
        let mut at = u64::from(offset);
        replay.end = offset;
        let mut window = Vec::new();
        let mut begin = at;
        let mut window_bytes = WINDOW_BYTES;
        while at < segment.bytes {
            let used = (at - begin) as usize;
            match decode(&window[used.min(window.len())..], number) {
                Found::Record(record, bytes) => {
                    if let Record::Event(event) = &record {
                        replay.end = (at + bytes as u64) as u32;
                        match each(replay, event) {
                            Step::Next => {}
                            Step::Last => return Ok(true),
                            Step::Stop => {
                                replay.end = at as u32;
                                return Ok(true);
                            }
                        }
                    }
                    at += bytes as u64;
                }
                Found::Nothing => at += 1,
                Found::Incomplete => {
                    let is_rest = begin + window.len() as u64 >= segment.bytes;
                    if is_rest && window.len() - used.min(window.len()) > HEADER_BYTES {
                        at += 1;
                        continue;
                    }
                    if is_rest && !window.is_empty() {
                        return Ok(true);
                    }
                    if used == 0 && !window.is_empty() {
                        window_bytes *= 2;
                    }
                    begin = at;
                    let left = (segment.bytes - at) as usize;
                    window.resize(window_bytes.min(left), 0);
                    let read = file.read_at(at, &mut window)?;
                    window.truncate(read);
                    if read == 0 {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(true)
    }
}

impl Replay {
    /// Adds a frame.
    fn add(&mut self, job: &JobId, record: &EventRecord<'_>, id: u64) -> Step {
        let event = Event::from_journal(record.event, record.data, record.names_its_job);
        let Some(event) = event else {
            return Step::Next;
        };
        frame::write_body(&mut self.batch.bytes, job, &event);
        frame::write_end(&mut self.batch.bytes, id);
        self.batch.ends.push((id, self.batch.bytes.len()));
        self.ends.push(self.end);
        match self.batch.bytes.len() < PIECE_BYTES {
            true => Step::Next,
            false => Step::Last,
        }
    }
}
