//! What a start makes of what is there.
//!
//! The invariants:
//! - Nothing is changed before everything has been read: what a newer version has written
//!   stays as it is.
//! - An entry that is restored was accepted, with this number and this content.
//! - Where an event is missing, whoever needs it is told: its job's later events don't
//!   follow on what is kept before it.
//! - Numbers go on above every one that may have been given. After the end of a process,
//!   that is the last that was written. After a loss of power, in a copy, or where the end is
//!   damaged, it is the number that the life before had reserved, and where bytes are lost, at
//!   least as many as entries can have stood in them. Those in between are remembered as lost.
//! - A segment that has no name yet counts as long as the host goes on. After a loss of power
//!   the one before it may lack its end, and it holds nothing that was on the medium for sure.

mod backlog;
mod entries;
mod numbers;
mod old;

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::JournalShared;
use super::checkpoint::{self, CheckpointHead, OpenedCheckpoint};
use super::files::{File, Files, is_same_boot};
use super::record::{MAGIC, Record, SegmentNumber, decode};
use super::scan::{Scan, SegmentPiece};
use super::segment::{Segment, file_name, parse_file_name, parse_unnamed_file, unnamed_file};
use crate::hub::Hub;
use crate::sys::order::{sort_by, sort_by_key};
pub(super) use entries::Restorer;
pub(super) use numbers::LastNumbers;

/// More than the first record of a segment has.
const HEAD_BYTES: u64 = 128;

/// What was found.
#[derive(Debug, Default)]
pub struct Restored {
    /// The number of the next segment.
    pub next: u32,
    /// The number of the next checkpoint.
    pub next_checkpoint: u32,
    /// The kernel's boot now.
    pub boot: [u8; 16],
    /// Numbers that were skipped, which isn't written yet.
    pub gap: Option<Range<u64>>,
    /// Segments to be cut off, and where.
    pub torn: Vec<(SegmentNumber, u64)>,
    /// The last segment, where the writer may go on in it.
    pub resumable: Option<SegmentNumber>,
    /// The last segment, whose end may not be on the medium. Where it has no name yet, the
    /// one before it comes first.
    pub unsettled: Vec<Unsettled>,
}

/// A segment whose end may not be on the medium as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Unsettled {
    /// Which one.
    pub number: SegmentNumber,
    /// How many bytes it has.
    pub bytes: u64,
    /// Whether it has its name.
    pub is_named: bool,
    /// The process that wrote it has ended as it shouldn't, since the host began. Had a sync
    /// failed before that, the kernel would show what was written, and take it for synced.
    pub was_killed: bool,
}

/// A segment's file, as it was found.
#[derive(Clone, Copy, Debug)]
struct ListedSegment {
    number: SegmentNumber,
    bytes: u64,
    kind: Kind,
    is_named: bool,
}

/// What a segment's first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// This format's, or damaged beyond telling.
    This,
    /// This format's, of a carrying over that is whole only with its checkpoint.
    CarriedOver,
    /// The first format's.
    Old,
    /// It has no first line.
    Blank,
}

/// What there is in the directory.
#[derive(Default)]
struct SegmentListing {
    segments: Vec<ListedSegment>,
    /// Numbers and sizes.
    checkpoints: Vec<(u32, u64)>,
    /// Halves that were never finished.
    unfinished: Vec<String>,
}

/// Restores everything into `hub`, and into what `shared` knows.
pub fn restore(shared: &JournalShared, hub: &Hub) -> io::Result<Restored> {
    let began = Instant::now();
    let files = &*shared.files;
    let boot = files.boot();
    let listing = list(files, boot)?;
    let mut found = Restored {
        next: listing.segments.last().map_or(0, |last| last.number.0) + 1,
        next_checkpoint: listing.checkpoints.last().map_or(0, |&(last, _)| last) + 1,
        boot,
        ..Restored::default()
    };
    let mut restorer = Restorer::new(shared, hub);
    let head = restore_checkpoint(shared, &listing, &mut restorer)?;
    let old: Vec<ListedSegment> = listing.segments.to_vec();
    let mut stale = listing.unfinished.clone();
    if old.iter().any(|segment| segment.kind == Kind::Old) {
        let of_another = old.iter().find(|segment| segment.kind == Kind::This);
        let mixed = of_another.map(|segment| file_name(segment.number));
        let chosen = head
            .as_ref()
            .map(|(number, _)| checkpoint::file_name(*number));
        let first = head.as_ref().map(|(_, head)| head.first);
        let is_superseded =
            |segment: &ListedSegment| first.is_some_and(|first| segment.number < first);
        let is_left = old.iter().any(|s| s.kind == Kind::Old && !is_superseded(s));
        if let Some(name) = chosen.or(mixed).filter(|_| is_left) {
            let message = format!(
                "{name} is beside segments of an older version, so both have used this \
                 directory: move away what belongs to one of them"
            );
            return Err(io::Error::new(ErrorKind::InvalidData, message));
        }
        if is_left {
            return carry_over(shared, restorer, found, &listing, began);
        }
    }
    let first = head
        .as_ref()
        .map_or(SegmentNumber(0), |(_, head)| head.first);
    let kept: Vec<_> = old
        .iter()
        .filter(|segment| segment.number >= first)
        .collect();
    // One for all: what the kernel has to clear for new ones takes longer than to read into them.
    let most = kept.iter().map(|segment| segment.bytes).max();
    let mut buffer = buffer(most.unwrap_or(0))?;
    for (index, segment) in kept.iter().enumerate() {
        let is_last = index + 1 == kept.len();
        restore_segment(
            shared,
            &mut restorer,
            segment,
            is_last,
            &mut buffer,
            &mut found,
        )?;
    }
    drop(buffer);
    shared.segments.put_in_order();
    let count = restorer.entries;
    found.unsettled = unsettled(&kept, restorer.last.was_killed(found.boot));
    restorer.finish(&mut found, kept.len() as u64);
    found.resumable = resumable(shared, &kept, &found);
    let dropped = old.iter().filter(|segment| segment.number < first);
    stale.extend(dropped.map(|segment| file_name(segment.number)));
    if let Some((chosen, _)) = head {
        let others = listing
            .checkpoints
            .iter()
            .filter(|&&(number, _)| number < chosen);
        stale.extend(others.map(|&(number, _)| checkpoint::file_name(number)));
    }
    remove(files, &stale);
    let segments = kept.len();
    let elapsed = began.elapsed();
    debug!("journal: {count} entries restored from {segments} segments in {elapsed:?}");
    Ok(found)
}

/// The segments whose end may not be on the medium.
fn unsettled(kept: &[&ListedSegment], was_killed: bool) -> Vec<Unsettled> {
    let count = match kept.last() {
        Some(last) if !last.is_named => 2,
        _ => 1,
    };
    let first = kept.len().saturating_sub(count);
    let last = kept[first..].iter().map(|listed| Unsettled {
        number: listed.number,
        bytes: listed.bytes,
        is_named: listed.is_named,
        was_killed,
    });
    last.collect()
}

/// Puts an error to the file that it is of.
pub(super) fn named(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// The refusal to start with what a newer version has written.
fn newer(name: &str) -> io::Error {
    let message = format!(
        "{name} was written by a newer version: start that one, or move the journal away; \
         nothing in it has been changed"
    );
    io::Error::new(ErrorKind::Unsupported, message)
}

/// Reads a whole file. None where it can't be read, which is reported.
fn read_whole(files: &dyn Files, name: &str, bytes: u64) -> io::Result<Option<Vec<u8>>> {
    read(files.open(name, false), name, bytes)
}

/// The same of a file that was opened, or should have been.
pub(super) fn read(
    file: io::Result<Arc<dyn File>>,
    name: &str,
    bytes: u64,
) -> io::Result<Option<Vec<u8>>> {
    let mut content = buffer(bytes)?;
    let read = read_into(file, name, &mut content)?;
    Ok(read.map(|read| {
        content.truncate(read);
        content
    }))
}

fn buffer(bytes: u64) -> io::Result<Vec<u8>> {
    let bytes = usize::try_from(bytes).map_err(|_| ErrorKind::FileTooLarge)?;
    Ok(vec![0; bytes])
}

/// Reads a file up to the buffer's end, and says how many bytes those are.
fn read_into(
    file: io::Result<Arc<dyn File>>,
    name: &str,
    buffer: &mut [u8],
) -> io::Result<Option<usize>> {
    match file.and_then(|file| file.read_at(0, buffer)) {
        Ok(read) => Ok(Some(read)),
        // It is a link, or no file: who put it there can have it read and written.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Err(named(name, &error)),
        Err(error) => {
            error!("journal: {name} can't be read, and is skipped: {error}");
            Ok(None)
        }
    }
}

fn list(files: &dyn Files, boot: [u8; 16]) -> io::Result<SegmentListing> {
    let mut listing = SegmentListing::default();
    let mut unnamed = Vec::new();
    for (name, bytes) in files.list()? {
        if let Some(number) = parse_file_name(&name) {
            let kind = kind_of(files, &name, number, bytes)?;
            listing.segments.push(ListedSegment {
                number,
                bytes,
                kind,
                is_named: true,
            });
        } else if let Some(number) = checkpoint::parse_file_name(&name) {
            listing.checkpoints.push((number, bytes));
        } else if let Some(number) = parse_unnamed_file(&name) {
            unnamed.push((number, bytes));
        } else if name.ends_with(".new") {
            listing.unfinished.push(name);
        } else {
            warn!("journal: {name} is no segment: it is left alone");
        }
    }
    sort_by_key(&mut listing.segments, |segment| segment.number);
    sort_by(&mut listing.checkpoints, Ord::cmp);
    for (number, bytes) in unnamed {
        if goes_on(files, &listing, number, bytes, boot)? {
            listing.segments.push(ListedSegment {
                number,
                bytes,
                kind: Kind::This,
                is_named: false,
            });
        } else {
            listing.unfinished.push(unnamed_file(number));
        }
    }
    Ok(listing)
}

/// Whether a segment without a name goes on behind those that have one.
fn goes_on(
    files: &dyn Files,
    listing: &SegmentListing,
    number: SegmentNumber,
    bytes: u64,
    boot: [u8; 16],
) -> io::Result<bool> {
    let is_next = |last: &ListedSegment| {
        let is_of_this = [Kind::This, Kind::CarriedOver].contains(&last.kind);
        last.is_named && is_of_this && last.number.0 + 1 == number.0
    };
    if !listing.segments.last().is_some_and(is_next) {
        return Ok(false);
    }
    let head = read_whole(files, &unnamed_file(number), bytes.min(HEAD_BYTES))?;
    Ok(head.is_some_and(|head| has_begun_in(boot, &head, number)))
}

/// Whether a segment with these first bytes was begun since the host began.
pub(super) fn has_begun_in(boot: [u8; 16], head: &[u8], number: SegmentNumber) -> bool {
    let first = Scan::new(head, number, MAGIC, decode).next();
    let opened = match first {
        Some(SegmentPiece::Record {
            record: Record::Open { boot, .. },
            ..
        }) => Some(boot),
        _ => None,
    };
    opened.is_some_and(|opened| is_same_boot(opened, boot))
}

fn kind_of(files: &dyn Files, name: &str, number: SegmentNumber, bytes: u64) -> io::Result<Kind> {
    let Some(head) = read_whole(files, name, bytes.min(HEAD_BYTES))? else {
        return Ok(Kind::This);
    };
    match version_of(&head, b"LANDFJ") {
        Some(1) => return Ok(Kind::Old),
        Some(2) => {
            let record = Scan::new(&head, number, MAGIC, decode).next();
            let is_carried_over = matches!(
                record,
                Some(SegmentPiece::Record {
                    record: Record::Open {
                        is_carried_over: true,
                        ..
                    },
                    ..
                })
            );
            return Ok(if is_carried_over {
                Kind::CarriedOver
            } else {
                Kind::This
            });
        }
        Some(newer_version) if newer_version > 2 => return Err(newer(name)),
        Some(_) | None => {}
    }
    if MAGIC.starts_with(&head) || head.len() < MAGIC.len() {
        return Ok(Kind::Blank);
    }
    // Its first line is damaged: what stands behind tells whose it is.
    let content = read_whole(files, name, bytes)?.unwrap_or_default();
    let is_old = old::has_records(&content, number)
        && !Scan::new(&content, number, MAGIC, decode)
            .any(|piece| matches!(piece, SegmentPiece::Record { .. }));
    Ok(if is_old { Kind::Old } else { Kind::This })
}

/// The version in a file's first line, where that begins with `name`.
fn version_of(head: &[u8], name: &[u8]) -> Option<u32> {
    let rest = head.strip_prefix(name)?;
    let end = rest.iter().take(5).position(|&byte| byte == b'\n')?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

/// Restores from the newest whole checkpoint, and says which that is.
fn restore_checkpoint(
    shared: &JournalShared,
    listing: &SegmentListing,
    restorer: &mut Restorer<'_>,
) -> io::Result<Option<(u32, CheckpointHead)>> {
    let files = &*shared.files;
    let mut whole = None;
    // All of them are looked at: none may be a newer version's.
    for &(number, bytes) in &listing.checkpoints {
        let name = checkpoint::file_name(number);
        let Some(content) = read_whole(files, &name, bytes)? else {
            continue;
        };
        if version_of(&content, b"LANDFC").is_some_and(|version| version > 2) {
            return Err(newer(&name));
        }
        match checkpoint::open(&content, number) {
            OpenedCheckpoint::Whole(_) => whole = Some((number, content)),
            OpenedCheckpoint::Newer => return Err(newer(&name)),
            OpenedCheckpoint::Broken => error!(
                "journal: {name} is damaged, and is skipped: what jobs have come to is read \
                 from what else there is"
            ),
        }
    }
    let Some((number, content)) = whole else {
        return Ok(None);
    };
    let OpenedCheckpoint::Whole(whole) = checkpoint::open(&content, number) else {
        return Ok(None);
    };
    restorer.take_head(&whole.head);
    for job in whole.jobs() {
        restorer.note_time(job.life.updated_ms);
        job.load(shared, restorer.hub);
    }
    shared.set_checkpoint(content.len() as u64);
    Ok(Some((number, whole.head)))
}

fn restore_segment(
    shared: &JournalShared,
    restorer: &mut Restorer<'_>,
    listed: &ListedSegment,
    is_last: bool,
    buffer: &mut [u8],
    found: &mut Restored,
) -> io::Result<()> {
    let ListedSegment {
        number,
        bytes,
        kind,
        is_named,
    } = *listed;
    let name = if is_named {
        file_name(number)
    } else {
        unnamed_file(number)
    };
    let segment = Segment::after(restorer.newest(), bytes);
    shared.segments.lock().insert(number, segment);
    if kind == Kind::Blank {
        restorer.last.lose_a_segment(bytes);
        return Ok(());
    }
    let buffer = &mut buffer[..bytes as usize];
    let Some(read) = read_into(shared.files.open(&name, false), &name, buffer)? else {
        restorer.last.lose_a_segment(bytes);
        return Ok(());
    };
    let is_torn = restorer.replay(number, &buffer[..read], is_last)?;
    if let Some(offset) = is_torn {
        found.torn.push((number, offset));
    }
    Ok(())
}

/// The last segment, where it is whole and not full.
fn resumable(
    shared: &JournalShared,
    kept: &[&ListedSegment],
    found: &Restored,
) -> Option<SegmentNumber> {
    let last = kept.last()?;
    let has_room = last.bytes < shared.config.segment_bytes() / 2;
    let is_torn = found.torn.iter().any(|&(torn, _)| torn == last.number);
    let is_whole = [Kind::This, Kind::CarriedOver].contains(&last.kind) && !is_torn;
    (is_whole && has_room).then_some(last.number)
}

fn carry_over(
    shared: &JournalShared,
    restorer: Restorer<'_>,
    mut found: Restored,
    listing: &SegmentListing,
    began: Instant,
) -> io::Result<Restored> {
    let files = &*shared.files;
    let (halves, old): (Vec<&ListedSegment>, Vec<&ListedSegment>) = listing
        .segments
        .iter()
        .partition(|segment| segment.kind == Kind::CarriedOver);
    let halves = halves.into_iter().map(|half| file_name(half.number));
    let mut stale = listing.unfinished.clone();
    stale.extend(halves);
    remove(files, &stale);
    let old: Vec<_> = old.iter().map(|old| (old.number, old.bytes)).collect();
    found.next = old.last().map_or(0, |(last, _)| last.0) + 1;
    old::carry_over(shared, restorer, &old, &mut found)?;
    let names: Vec<_> = old.iter().map(|(number, _)| file_name(*number)).collect();
    remove(files, &names);
    let elapsed = began.elapsed();
    let count = old.len();
    info!("journal: {count} segments of the first format carried over in {elapsed:?}");
    Ok(found)
}

/// Removes what nothing is read from any more.
fn remove(files: &dyn Files, names: &[String]) {
    for name in names {
        if let Err(error) = files.remove(name) {
            warn!("journal: {name} can't be removed: {error}");
        }
    }
    if !names.is_empty() {
        let _ = files.sync_names();
    }
}

#[cfg(test)]
mod tests;
