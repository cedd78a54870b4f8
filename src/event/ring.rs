//! The newest frames of one job, as bytes that every subscriber shares.
//!
//! The invariant: the bytes are exactly the frames of the entries, in the order of
//! their numbers, and every event that was appended is either among them, or not above
//! `gone`, or void. So a reader knows for any number whether something after it is missing.

use std::collections::VecDeque;

use super::frame::{self, Frame};
use super::job::EventId;

/// What a ring keeps, whichever is reached first. However large they are, the newest two
/// events are kept: one that fills the ring must not be gone with the next.
///
/// See [`HubConfig`](crate::HubConfig).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    entries: VecDeque<Entry>,
    /// Where the bytes begin, counted from the job's first byte and wrapping: only
    /// differences count.
    begin: u32,
    /// The newest number that is no longer kept; zero where all are.
    gone: u64,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    /// Where the frame ends, counted as `Ring::begin` is.
    end: u32,
    /// Whether a stream of the job ends with it.
    is_terminal: bool,
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
            ..Ring::default()
        }
    }

    /// Appends a frame, after making room for it. Its number is above all earlier ones.
    pub fn append(&mut self, frame: &Frame, limits: RingLimits) {
        let limit_bytes = limits.bytes.min(RING_MAX_BYTES);
        let bytes = frame.bytes().len();
        // Room is made first, so that the ring's memory never passes its limit.
        while !self.entries.is_empty()
            && (self.entries.len() >= limits.events
                || self.entries.len() > 1 && self.bytes.len() + bytes > limit_bytes)
        {
            self.evict();
        }
        self.bytes.extend(frame.bytes());
        self.entries.push_back(Entry {
            id: frame.id().0,
            end: self.begin.wrapping_add(self.bytes.len() as u32),
            is_terminal: frame.is_terminal(),
        });
    }

    /// The newest frame.
    pub fn newest_frame(&self) -> Option<Vec<u8>> {
        let index = self.entries.len().checked_sub(1)?;
        let range = self.start_of(index)..self.bytes.len();
        Some(self.bytes.range(range).copied().collect())
    }

    /// The newest frame that isn't numbered above `upto`, and its number.
    pub fn frame_upto(&self, upto: EventId) -> Option<(EventId, Vec<u8>)> {
        let kept = self.entries.partition_point(|entry| entry.id <= upto.0);
        let index = kept.checked_sub(1)?;
        let entry = &self.entries[index];
        let range = self.start_of(index)..self.offset(entry.end);
        let frame = self.bytes.range(range).copied().collect();
        Some((EventId(entry.id), frame))
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
            if entry.is_terminal {
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
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
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

    /// Lets every event go, and what was gone before: nobody is to miss them.
    pub fn make_void(&mut self) {
        *self = Ring::default();
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
            old.entries.push_back(Entry { end, ..*entry });
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
    }

    /// Where in `bytes` the mark `end` stands.
    fn offset(&self, end: u32) -> usize {
        end.wrapping_sub(self.begin) as usize
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
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::event::job::JobId;

    const LIMITS: RingLimits = RingLimits {
        events: 4,
        bytes: 1000,
    };

    fn job() -> JobId {
        "j".parse().unwrap()
    }

    fn event(text: &str) -> Event {
        let data = serde_json::json!({ "text": text });
        Event::new("log", &data.to_string()).unwrap()
    }

    fn append(ring: &mut Ring, id: u64, text: &str, limits: RingLimits) {
        ring.append(&Frame::new(&job(), &event(text), EventId(id)), limits);
    }

    fn frame(id: u64, text: &str) -> Vec<u8> {
        Frame::new(&job(), &event(text), EventId(id))
            .bytes()
            .to_vec()
    }

    /// Numbers that look random and are the same in every run.
    fn random(seed: &mut u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed
    }

    #[test]
    fn a_ring_is_the_tail_of_a_plain_vector() {
        for seed in 1..200 {
            let mut seed = 0x9e37_79b9_7f4a_7c15 ^ (seed << 7);
            let limits = RingLimits {
                events: 1 + (random(&mut seed) % 9) as usize,
                bytes: 60 + (random(&mut seed) % 900) as usize,
            };
            let mut ring = Ring {
                begin: u32::MAX - 500,
                ..Ring::default()
            };
            let mut all: Vec<(u64, Vec<u8>)> = Vec::new();
            let mut id = random(&mut seed) % 5;
            for _ in 0..60 {
                // Other jobs' events lie between.
                id += 1 + random(&mut seed) % 3 / 2;
                let text = "x".repeat((random(&mut seed) % 200) as usize);
                append(&mut ring, id, &text, limits);
                all.push((id, frame(id, &text)));

                let mut kept = 1;
                let size = |n: usize| {
                    let newest = all.iter().rev().take(n);
                    newest.map(|(_, f)| f.len()).sum::<usize>()
                };
                while kept < all.len()
                    && kept < limits.events
                    && (kept < 2 || size(kept + 1) <= limits.bytes)
                {
                    kept += 1;
                }
                let (lost, kept) = all.split_at(all.len() - kept);
                let oldest = kept[0].0;
                for after in 0..=id + 1 {
                    let mut batch = Batch::default();
                    ring.copy_after(after, usize::MAX, &mut batch);
                    let missing = lost.last().is_some_and(|&(last, _)| after < last);
                    assert_eq!(batch.after, if missing { oldest - 1 } else { after });
                    let expected: Vec<_> = kept.iter().filter(|&&(id, _)| id > after).collect();
                    let bytes: Vec<u8> = expected.iter().flat_map(|(_, f)| f.clone()).collect();
                    assert_eq!(batch.bytes, bytes);
                    let ids: Vec<u64> = batch.ends.iter().map(|&(id, _)| id).collect();
                    assert_eq!(ids, expected.iter().map(|&&(id, _)| id).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn a_batch_is_cut_between_frames_and_never_empty() {
        let mut ring = Ring::default();
        (1..=4).for_each(|id| append(&mut ring, id, "abc", LIMITS));
        let one = frame(1, "abc").len();
        let mut batch = Batch::default();
        ring.copy_after(0, one * 2 + 1, &mut batch);
        assert_eq!((batch.newest(), batch.cut_short), (2, true));
        ring.copy_after(2, 1, &mut batch);
        assert_eq!((batch.newest(), batch.cut_short), (3, true));
        ring.copy_after(3, 1, &mut batch);
        assert_eq!((batch.newest(), batch.cut_short), (4, false));
    }

    #[test]
    fn a_batch_goes_to_the_end_of_a_life_and_no_further() {
        let mut ring = Ring::default();
        append(&mut ring, 1, "a", LIMITS);
        ring.append(&Frame::new(&job(), &Event::done(), EventId(2)), LIMITS);
        append(&mut ring, 5, "b", LIMITS);
        ring.append(&Frame::deleted(&job(), EventId(6)), LIMITS);
        let mut batch = Batch::default();
        for (after, newest, is_end) in [(0, 2, true), (1, 2, true), (2, 6, true), (6, 6, false)] {
            ring.copy_after(after, usize::MAX, &mut batch);
            assert_eq!((batch.newest(), batch.is_end), (newest, is_end), "{after}");
        }
    }

    #[test]
    fn what_is_void_is_not_missed_and_what_is_evicted_is() {
        let mut ring = Ring::default();
        (1..=6).for_each(|id| append(&mut ring, id, "abc", LIMITS));
        assert_eq!(ring.gone(), EventId(2));
        ring.evict_all();
        assert_eq!(ring.gone(), EventId(6));
        let mut batch = Batch::default();
        ring.copy_after(3, usize::MAX, &mut batch);
        assert_eq!(batch.after, 6);
        ring.make_void();
        ring.append(&Frame::deleted(&job(), EventId(9)), LIMITS);
        ring.copy_after(3, usize::MAX, &mut batch);
        assert_eq!((batch.after, batch.newest()), (3, 9));
    }

    #[test]
    fn offsets_in_a_batch_are_those_of_its_frames() {
        let mut ring = Ring::default();
        (1..=4).for_each(|id| append(&mut ring, id, &"y".repeat(id as usize), LIMITS));
        let mut batch = Batch::default();
        ring.copy_after(1, usize::MAX, &mut batch);
        batch.add_last_chunk();
        assert_eq!(batch.offset_after(0), None);
        assert_eq!(batch.offset_after(1), Some(0));
        assert_eq!(batch.offset_after(2), Some(batch.ends[0].1));
        assert_eq!(batch.offset_after(4), Some(batch.frames_end()));
        assert_eq!(batch.frames_between(0, batch.bytes.len()), 3);
        assert_eq!(batch.frames_between(1, batch.ends[1].1 - 1), 1);
    }

    #[test]
    fn a_batch_without_chunks_has_the_same_frames() {
        let mut ring = Ring::default();
        (1..=4).for_each(|id| append(&mut ring, id, &"y".repeat(id as usize), LIMITS));
        let (mut batch, mut plain) = (Batch::default(), Batch::default());
        ring.copy_after(1, usize::MAX, &mut batch);
        batch.add_last_chunk();
        plain.unchunk(&batch);
        let mut expected = Vec::new();
        frame::unchunk(&batch.bytes, &mut expected);
        assert_eq!(plain.bytes, expected);
        assert_eq!(plain.frames_end(), plain.bytes.len());
        assert_eq!(plain.newest(), batch.newest());
    }

    #[test]
    fn one_event_is_copied_by_its_number() {
        let mut ring = Ring::default();
        (1..=6).for_each(|n| append(&mut ring, n * 10, "abc", LIMITS));
        let numbers: Vec<_> = ring.numbers(EventId(30), EventId(55)).collect();
        assert_eq!(numbers, [EventId(40), EventId(50)]);
        let mut batch = Batch::default();
        assert!(ring.copy_one(EventId(40), &mut batch));
        assert!(!ring.copy_one(EventId(41), &mut batch));
        assert!(!ring.copy_one(EventId(20), &mut batch));
        assert_eq!(batch.bytes, frame(40, "abc"));
    }

    #[test]
    fn the_newest_two_events_are_kept_however_large() {
        let mut ring = Ring::default();
        append(&mut ring, 1, "a", LIMITS);
        append(&mut ring, 2, &"b".repeat(5000), LIMITS);
        append(&mut ring, 3, "c", LIMITS);
        assert_eq!(ring.oldest(), Some(EventId(2)));
        append(&mut ring, 4, &"b".repeat(5000), LIMITS);
        assert_eq!(ring.oldest(), Some(EventId(3)));
        let frame = ring.newest_frame().unwrap();
        assert!(frame::parse(&frame).unwrap().1.contains("bbbb"));
    }
}
