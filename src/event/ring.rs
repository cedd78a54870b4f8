//! The newest frames of one job, as bytes that every subscriber shares.
//!
//! The invariant: the bytes are exactly the frames of the entries, in the order of
//! their numbers, and every event that was appended is either among them, or not above
//! `gone`, or void. So a reader knows for any number whether something after it is missing.

use std::collections::VecDeque;

use super::frame::{self, Frame, FrameKind};
use super::job::EventId;

/// What a ring keeps, whichever is reached first. However large they are, the newest two
/// events are kept: one that fills the ring must not be gone with the next.
///
/// See [`HubConfig`](crate::HubConfig).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingLimits {
    /// So many events.
    pub events: usize,
    /// So many bytes of frames. At most 1 GiB count.
    pub bytes: usize,
}

/// No ring has more bytes of frames, but for two frames that are larger: its offsets are
/// 32 bits.
pub const RING_MAX_BYTES: usize = 1 << 30;

/// The newest frames of a job.
#[derive(Debug, Default)]
pub struct Ring {
    bytes: VecDeque<u8>,
    entries: VecDeque<RingEntry>,
    /// Where the bytes begin, counted from the job's first byte and wrapping: only
    /// differences count.
    begin: u32,
    /// The newest number that is no longer kept; zero where all are.
    gone: u64,
    /// The same, but for progress events that a newer one had replaced before they went.
    missed: u64,
    /// The newest number that a progress event had, kept or not.
    progress: u64,
}

#[derive(Debug)]
struct RingEntry {
    id: u64,
    /// Where the frame ends, counted as `Ring::begin` is.
    end: u32,
    kind: EntryKind,
}

/// What an entry is to readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryKind {
    Frame(FrameKind),
    /// A progress event, and a newer one of the same life has come.
    Replaced,
}

impl EntryKind {
    fn is_progress(self) -> bool {
        matches!(
            self,
            EntryKind::Frame(FrameKind::Progress) | EntryKind::Replaced
        )
    }

    fn is_terminal(self) -> bool {
        self == EntryKind::Frame(FrameKind::Terminal)
    }
}

/// Whole frames copied out of a ring, to be sent when no lock is held.
#[derive(Debug, Default)]
pub struct Batch {
    /// The frames, back to back; the last chunk may follow them.
    pub bytes: Vec<u8>,
    /// The frames' numbers, and where in `bytes` each ends.
    pub ends: Vec<(u64, usize)>,
    /// Everything up to this number is with the reader already.
    pub after: u64,
    /// Whether the ring held more than fits in a batch.
    pub cut_short: bool,
    /// Whether a stream of the job ends with the last frame.
    pub is_end: bool,
}

impl Ring {
    /// A ring that keeps nothing of what came up to this number.
    pub fn beginning_after(id: EventId) -> Ring {
        Ring {
            gone: id.0,
            missed: id.0,
            ..Ring::default()
        }
    }

    /// Appends a frame, after making room for it. Its number is above all earlier ones.
    pub fn append(&mut self, frame: &Frame, limits: RingLimits) {
        let limit_bytes = limits.bytes.min(RING_MAX_BYTES);
        let bytes = frame.bytes().len();
        let kind = EntryKind::Frame(frame.kind());
        // What it replaces may be what goes.
        self.replace_with(kind);
        // Room is made first, so that the ring's memory never passes its limit.
        while !self.entries.is_empty()
            && (self.entries.len() >= limits.events
                || self.entries.len() > 1 && self.bytes.len() + bytes > limit_bytes)
        {
            self.evict();
        }
        self.bytes.extend(frame.bytes());
        self.push(RingEntry {
            id: frame.id().0,
            end: self.begin.wrapping_add(self.bytes.len() as u32),
            kind,
        });
    }

    /// The newest frame.
    pub fn newest_frame(&self) -> Option<Vec<u8>> {
        let index = self.entries.len().checked_sub(1)?;
        let range = self.start_of(index)..self.bytes.len();
        Some(self.copy(range))
    }

    /// The newest frame that isn't numbered above `upto`, and its number.
    pub fn frame_upto(&self, upto: EventId) -> Option<(EventId, Vec<u8>)> {
        let kept = self.entries.partition_point(|entry| entry.id <= upto.0);
        let index = kept.checked_sub(1)?;
        let entry = &self.entries[index];
        let range = self.start_of(index)..self.offset(entry.end);
        Some((EventId(entry.id), self.copy(range)))
    }

    /// The number of the oldest event kept.
    pub fn oldest(&self) -> Option<EventId> {
        self.entries.front().map(|entry| EventId(entry.id))
    }

    /// The number of the newest event, where any is kept.
    pub fn newest(&self) -> Option<EventId> {
        self.entries.back().map(|entry| EventId(entry.id))
    }

    /// The newest number that is no longer kept; zero where all are.
    pub fn gone(&self) -> EventId {
        EventId(self.gone)
    }

    /// The newest number that is no longer kept, but for progress events that a newer one had
    /// replaced before they went.
    pub fn missed(&self) -> EventId {
        EventId(self.missed)
    }

    /// The newest number that a progress event had, kept or not; zero where none is known.
    pub fn newest_progress(&self) -> EventId {
        EventId(self.progress)
    }

    /// Copies the frames after `after` and up to `upto` as [`Ring::copy_after`] does, but of the
    /// progress events among them the newest only.
    pub fn copy_newest(&self, after: u64, upto: u64, max_bytes: usize, batch: &mut Batch) {
        batch.clear();
        batch.after = after;
        if after < self.missed.min(upto) {
            batch.after = self.entries.front().map_or(self.gone, |entry| entry.id - 1);
        }
        let first = self.entries.partition_point(|entry| entry.id <= after);
        let mut following = self.entries.range(first..);
        let end_of_life = following.find(|entry| entry.kind.is_terminal());
        let upto = end_of_life.map_or(upto, |end| upto.min(end.id));
        for index in self.newest_indices(first, upto) {
            let entry = &self.entries[index];
            let range = self.start_of(index)..self.offset(entry.end);
            if batch.bytes.len() + range.len() > max_bytes && !batch.ends.is_empty() {
                batch.cut_short = true;
                break;
            }
            extend_from_range(&mut batch.bytes, &self.bytes, range);
            batch.ends.push((entry.id, batch.bytes.len()));
            batch.is_end = entry.kind.is_terminal();
        }
    }

    /// The numbers of the events after `after` and up to `upto`, oldest first; of the progress
    /// events among them only the newest of each life.
    pub fn newest_numbers(&self, after: EventId, upto: EventId) -> impl Iterator<Item = EventId> {
        let first = self.entries.partition_point(|entry| entry.id <= after.0);
        let indices = self.newest_indices(first, upto.0);
        indices.map(|index| EventId(self.entries[index].id))
    }

    /// Copies the frames after `after` into `batch`, at most `max_bytes` of them but
    /// always one, and none behind one that a stream of the job ends with. Where events
    /// after it are missing, `batch.after` is above `after`.
    pub fn copy_after(&self, after: u64, max_bytes: usize, batch: &mut Batch) {
        batch.clear();
        batch.after = after;
        if after < self.gone {
            batch.after = self.entries.front().map_or(self.gone, |entry| entry.id - 1);
        }
        let first = self.entries.partition_point(|entry| entry.id <= after);
        let begin = self.start_of(first);
        for entry in self.entries.range(first..) {
            let end = self.offset(entry.end) - begin;
            if end > max_bytes && !batch.ends.is_empty() {
                batch.cut_short = true;
                break;
            }
            batch.ends.push((entry.id, end));
            if entry.kind.is_terminal() {
                batch.is_end = true;
                break;
            }
        }
        let end = begin + batch.frames_end();
        extend_from_range(&mut batch.bytes, &self.bytes, begin..end);
    }

    /// The numbers of the events after `after` and up to `upto`, oldest first.
    pub fn numbers(&self, after: EventId, upto: EventId) -> impl Iterator<Item = EventId> {
        let first = self.entries.partition_point(|entry| entry.id <= after.0);
        let entries = self.entries.range(first..);
        entries
            .map(|entry| EventId(entry.id))
            .take_while(move |&id| id <= upto)
    }

    /// Adds the frame of the event numbered `id`. False where it is not kept.
    pub fn copy_one(&self, id: EventId, batch: &mut Batch) -> bool {
        let Ok(index) = self.entries.binary_search_by_key(&id.0, |entry| entry.id) else {
            return false;
        };
        let range = self.start_of(index)..self.offset(self.entries[index].end);
        extend_from_range(&mut batch.bytes, &self.bytes, range);
        batch.ends.push((id.0, batch.bytes.len()));
        true
    }

    /// The memory that the ring holds, used or reserved.
    pub fn allocated_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<RingEntry>()
    }

    /// Gives back memory that is reserved and not used: nothing will follow.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// Lets every event go. Readers that haven't had them all find that they are gone.
    pub fn evict_all(&mut self) {
        let newest = self.newest().unwrap_or(self.gone());
        *self = Ring::beginning_after(newest);
    }

    /// Lets the events after this number go, kept or gone: nobody is to miss them.
    pub fn make_void_after(&mut self, after: EventId) {
        let kept = self.entries.partition_point(|entry| entry.id <= after.0);
        self.bytes.truncate(self.start_of(kept));
        self.entries.truncate(kept);
        self.gone = self.gone.min(after.0);
        self.missed = self.missed.min(after.0);
        let mut kept = self.entries.iter().rev();
        let progress = kept.find(|entry| entry.kind.is_progress());
        self.progress = progress.map_or(0, |entry| entry.id);
    }

    /// Lets every event go but the newest, and gives the memory back.
    pub fn keep_newest(&mut self) {
        while self.entries.len() > 1 {
            self.evict();
        }
        self.shrink();
    }

    /// Puts those events of an older copy before its own that it hasn't kept, where that has
    /// the last of them.
    #[cfg(feature = "redis")]
    pub fn extend_back(&mut self, mut old: Ring, limits: RingLimits) {
        let Ok(last) = old
            .entries
            .binary_search_by_key(&self.gone, |entry| entry.id)
        else {
            return;
        };
        let end = old.offset(old.entries[last].end);
        old.entries.truncate(last + 1);
        old.bytes.truncate(end);
        for (index, entry) in self.entries.iter().enumerate() {
            let range = self.start_of(index)..self.offset(entry.end);
            old.bytes.extend(self.bytes.range(range));
            let end = old.begin.wrapping_add(old.bytes.len() as u32);
            old.replace_with(entry.kind);
            old.push(RingEntry { end, ..*entry });
        }
        while old.entries.len() > limits.events
            || old.entries.len() > 1 && old.bytes.len() > limits.bytes.min(RING_MAX_BYTES)
        {
            old.evict();
        }
        *self = old;
    }

    fn evict(&mut self) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        let bytes = self.offset(entry.end);
        self.bytes.drain(..bytes);
        self.begin = entry.end;
        self.gone = entry.id;
        if entry.kind != EntryKind::Replaced {
            self.missed = entry.id;
        }
    }

    /// An entry of this kind comes: where it is progress, it replaces that before it in its
    /// life. The walk there ends where the last one began.
    fn replace_with(&mut self, kind: EntryKind) {
        if !kind.is_progress() {
            return;
        }
        let mut before = self.entries.iter_mut().rev();
        let last = before.find(|it| it.kind.is_progress() || it.kind.is_terminal());
        if let Some(last) = last.filter(|last| last.kind.is_progress()) {
            last.kind = EntryKind::Replaced;
        }
    }

    fn push(&mut self, entry: RingEntry) {
        if entry.kind.is_progress() {
            self.progress = entry.id;
        }
        self.entries.push_back(entry);
    }

    /// The entries from `first` on and up to the number `upto`, without progress that has been
    /// replaced up to that number.
    fn newest_indices(&self, first: usize, upto: u64) -> impl Iterator<Item = usize> {
        let end = self.entries.partition_point(|entry| entry.id <= upto);
        let range = first.min(end)..end;
        let mut kept = self.entries.range(range.clone());
        // The newest may have been replaced since.
        let newest = kept.rposition(|entry| entry.kind.is_progress());
        let newest = newest.map(|behind| range.start + behind);
        range.filter(move |&index| {
            self.entries[index].kind != EntryKind::Replaced || newest == Some(index)
        })
    }

    /// Where in `bytes` the mark `end` stands.
    fn offset(&self, end: u32) -> usize {
        end.wrapping_sub(self.begin) as usize
    }

    fn copy(&self, range: std::ops::Range<usize>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(range.len());
        extend_from_range(&mut bytes, &self.bytes, range);
        bytes
    }

    fn start_of(&self, index: usize) -> usize {
        match index.checked_sub(1) {
            Some(previous) => self.offset(self.entries[previous].end),
            None => 0,
        }
    }
}

impl Batch {
    /// Empties it, and keeps its memory for the next.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.after = 0;
        self.cut_short = false;
        self.is_end = false;
    }

    /// The newest number in it.
    pub fn newest(&self) -> u64 {
        self.ends.last().map_or(self.after, |&(id, _)| id)
    }

    /// Where in `bytes` the frames end.
    pub fn frames_end(&self) -> usize {
        self.ends.last().map_or(0, |&(_, end)| end)
    }

    /// Puts the last chunk behind the frames: a stream ends with them.
    pub fn add_last_chunk(&mut self) {
        self.bytes.extend_from_slice(frame::LAST_CHUNK);
    }

    /// Where in `bytes` the frames after `id` begin. None where the batch begins
    /// later than that.
    pub fn offset_after(&self, id: u64) -> Option<usize> {
        // Nearly every subscriber is at one of the two ends.
        if id == self.after {
            return Some(0);
        }
        if id >= self.newest() {
            return Some(self.frames_end());
        }
        if id < self.after {
            return None;
        }
        let frames = self.ends.partition_point(|&(frame_id, _)| frame_id <= id);
        Some(frames.checked_sub(1).map_or(0, |last| self.ends[last].1))
    }

    /// How many frames end after `from` and not after `to`.
    pub fn frames_between(&self, from: usize, to: usize) -> usize {
        let upto = |offset| self.ends.partition_point(|&(_, end)| end <= offset);
        upto(to) - upto(from)
    }

    /// Makes this the same frames as `other` without chunks' lines.
    pub fn unchunk(&mut self, other: &Batch) {
        self.clear();
        self.after = other.after;
        self.cut_short = other.cut_short;
        self.is_end = other.is_end;
        let mut begin = 0;
        for &(id, end) in &other.ends {
            frame::unchunk(&other.bytes[begin..end], &mut self.bytes);
            self.ends.push((id, self.bytes.len()));
            begin = end;
        }
    }
}

fn extend_from_range(out: &mut Vec<u8>, bytes: &VecDeque<u8>, range: std::ops::Range<usize>) {
    let (front, back) = bytes.as_slices();
    let split = front.len();
    if range.start < split {
        out.extend_from_slice(&front[range.start..range.end.min(split)]);
    }
    if range.end > split {
        out.extend_from_slice(&back[range.start.max(split) - split..range.end - split]);
    }
}

#[cfg(test)]
mod tests;
