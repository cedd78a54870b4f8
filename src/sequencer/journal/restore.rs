//! What a start makes of what is there.
//!
//! The invariants:
//! - An event that is restored was accepted, with these numbers and this content.
//! - Where an event is missing, whoever needs it is told: its job's later events don't
//!   follow on what is kept before it.
//! - Numbers go on above every one that may have been given. After the end of a process,
//!   that is the last that was written. After a loss of power it is the number that the
//!   life before had reserved, and where bytes are lost, at least as many as events can
//!   have stood in them: of the hub, and of each job, of whose numbers no more than the
//!   hub's can be lost. Those in between are remembered as lost.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use super::files::Files;
use super::record::{EVENT_MIN_BYTES, EventRecord, Origin, Record, SegmentNumber};
use super::scan::{Piece, Scan};
use super::segment::{Place, Segment, Segments, file_name, parse_file_name};
use super::writer::RESERVED;
use crate::event::Event;
use crate::event::job::JobId;
use crate::hub::{Hub, Journaled, Numbers};

/// The end of the year 9999, in milliseconds of the unix clock.
const LAST_MS: u64 = 253_402_300_799_999;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The events that were restored.
    pub events: u64,
    /// The number of the next segment.
    pub next: u32,
    /// The kernel's boot now.
    pub boot: [u8; 16],
    /// How many numbers were skipped, which isn't written yet.
    pub gap: u64,
    /// Segments to be cut off, and where.
    pub torn: Vec<(SegmentNumber, u64)>,
}

/// What the last life left behind.
#[derive(Default)]
struct Last {
    boot: Option<[u8; 16]>,
    reserved: u64,
    is_closed: bool,
    /// Where jobs began whose oldest events are gone, until their next one.
    born: HashMap<String, Origin>,
    /// Bytes that were no records. Those at the end may be of a write that nobody has seen
    /// the result of; damage can't be told from that.
    lost_bytes: u64,
}

/// Restores everything into `hub`, and fills `segments`.
pub fn restore(files: &dyn Files, hub: &Hub, segments: &Segments) -> io::Result<Found> {
    let began = Instant::now();
    let mut numbers = Vec::new();
    for (name, bytes) in files.list()? {
        match parse_file_name(&name) {
            Some(number) => numbers.push((number, bytes)),
            // Half of a compaction.
            None if name.ends_with(".new") => drop(files.remove(&name)),
            None => log::warn!("journal: {name} is no segment: it is left alone"),
        }
    }
    numbers.sort_unstable();
    let mut found = Found {
        next: numbers.last().map_or(0, |(last, _)| last.0) + 1,
        boot: files.boot(),
        ..Found::default()
    };
    let mut last = Last::default();
    let count = numbers.len();
    for (index, (number, bytes)) in numbers.into_iter().enumerate() {
        let name = file_name(number);
        let segment = Segment {
            bytes,
            ..Segment::default()
        };
        segments.lock().insert(number, segment);
        let mut content = vec![0; bytes as usize];
        let file = files.open(&name, false);
        match file.and_then(|file| file.read_at(0, &mut content)) {
            Ok(read) => content.truncate(read),
            Err(error) => {
                log::error!("journal: {name} can't be read, and is skipped: {error}");
                last.lost_bytes += bytes;
                continue;
            }
        }
        let is_last = index + 1 == count;
        let which = (number, is_last);
        restore_segment(hub, segments, which, &content, &mut last, &mut found);
    }
    found.gap = gap(hub, &last, &found);
    if found.gap > 0 {
        log::warn!(
            "journal: up to {} numbers may have been given and lost: ids go on above them",
            found.gap - 1
        );
        hub.skip(found.gap);
    }
    log::info!(
        "journal: {} events restored from {count} segments in {:?}",
        found.events,
        began.elapsed()
    );
    Ok(found)
}

fn restore_segment(
    hub: &Hub,
    segments: &Segments,
    (number, is_last): (SegmentNumber, bool),
    content: &[u8],
    last: &mut Last,
    found: &mut Found,
) {
    let change = |change: &dyn Fn(&mut Segment)| {
        segments
            .lock()
            .get_mut(&number)
            .into_iter()
            .for_each(change);
    };
    for piece in Scan::new(content, number) {
        let (offset, bytes, record) = match piece {
            Piece::Record {
                offset,
                bytes,
                record,
            } => (offset, bytes, record),
            Piece::Damaged {
                offset,
                bytes,
                is_tail,
            } => {
                let is_end = is_tail && is_last;
                report(number, offset, bytes, is_end);
                match is_end {
                    true => found.torn.push((number, offset as u64)),
                    false => change(&|segment| segment.is_damaged = true),
                }
                last.lost_bytes += bytes as u64;
                continue;
            }
        };
        last.is_closed = record == Record::Close;
        match record {
            Record::Event(event) => {
                let place = Place {
                    segment: number,
                    offset: offset as u32,
                    bytes: bytes as u32,
                };
                let event = EventRecord {
                    origin: event.origin.or_else(|| last.born.remove(event.job)),
                    ..event
                };
                if restore_event(hub, &event, place) {
                    found.events += 1;
                    change(&|segment| segment.add_event(&event, bytes as u64));
                }
            }
            Record::Forget { job, last: numbers } => {
                last.born.remove(job);
                forget(hub, job, numbers);
            }
            Record::Open { boot, reserved } => {
                last.boot = Some(boot);
                last.reserved = reserved;
            }
            Record::Close => {}
            Record::Gap { count } => hub.skip(count),
            Record::Floor(floor) => hub.raise_floor(floor),
            Record::Born { job, origin } => {
                last.born.insert(job.to_owned(), origin);
            }
        }
    }
}

fn report(number: SegmentNumber, offset: usize, bytes: usize, is_end: bool) {
    let name = file_name(number);
    let most = bytes as u64 / EVENT_MIN_BYTES;
    if is_end {
        log::warn!(
            "journal: {name}: its end is torn: {bytes} bytes from {offset} on are cut off, \
             part of an event that wasn't accepted yet, or up to {most} that were"
        );
    } else {
        log::error!(
            "journal: {name}: {bytes} bytes from {offset} on are damaged and skipped: up to \
             {most} events are lost, and who needs them gets a reset"
        );
    }
}

fn restore_event(hub: &Hub, record: &EventRecord<'_>, place: Place) -> bool {
    let Ok(job) = record.job.parse::<JobId>() else {
        return false;
    };
    let event = Event::from_journal(record.event, record.data, record.names_its_job);
    let Some(event) = event else { return false };
    if let Some(origin) = record.origin
        && let Some(there) = hub.find(&job)
        && there.lock().newest_id() <= origin.base
    {
        // That its name was forgotten in between is lost.
        hub.forget_now(&job);
    }
    let journaled = Journaled {
        previous: record.previous,
        origin: record.origin,
        place,
    };
    let accepted = time(record.time_ms);
    hub.restore(&job, &event, record.numbers, accepted, journaled, false)
}

fn forget(hub: &Hub, job: &str, last: Numbers) {
    let Ok(job) = job.parse::<JobId>() else {
        return;
    };
    let is_newer = match hub.find(&job) {
        Some(there) => there.lock().newest_given() > last.id.0,
        None => false,
    };
    // A job that went on since is another one: compaction may have left an old record.
    if !is_newer {
        hub.forget_now(&job);
        hub.remember(&job, last);
    }
}

/// How many numbers to skip.
fn gap(hub: &Hub, last: &Last, found: &Found) -> u64 {
    let newest = hub.newest_given().0;
    let survived = last.is_closed || last.boot.is_none() || last.boot == Some(found.boot);
    let lost = last.lost_bytes.div_ceil(EVENT_MIN_BYTES);
    let reserved = match survived {
        true => 0,
        // What was reserved last may be among what is lost.
        false if lost > 0 && last.reserved > 0 => RESERVED,
        false => last.reserved.saturating_sub(newest),
    };
    match reserved.max(lost) {
        0 => 0,
        most => most + 1,
    }
}

impl Origin {
    /// When the job's first event came.
    pub fn created(&self) -> SystemTime {
        time(self.created_ms)
    }
}

/// A time of the unix clock; one that can't be written as a date is the last that can.
pub fn time(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms.min(LAST_MS))
}

/// Milliseconds of the unix clock.
pub fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
