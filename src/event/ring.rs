//! The newest frames of one job, as bytes that every subscriber shares.
//!
//! The invariant: the bytes are exactly the frames of the entries, in the order of
//! their ids, and every event that was appended is either among them or counted in
//! `evicted`. So a reader knows for any id whether something after it is missing.

use std::collections::VecDeque;

use crate::event::Event;
use crate::event::frame;
use crate::event::job::{EventId, JobId, Sequence};

/// What a ring keeps, whichever is reached first. However large they are, the newest two
/// events are kept: one that fills the ring must not be gone with the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingLimits {
    /// So many events.
    pub events: usize,
    /// So many bytes of frames.
    pub bytes: usize,
}

/// The newest frames of a job.
#[derive(Debug, Default)]
pub struct Ring {
    bytes: VecDeque<u8>,
    entries: VecDeque<Entry>,
    /// Where the bytes begin, counted from the job's first byte and wrapping: only
    /// differences count.
    begin: u32,
    evicted: Option<(EventId, Sequence)>,
}

#[derive(Debug)]
struct Entry {
    id: EventId,
    sequence: Sequence,
    /// Where the frame ends, counted as `Ring::begin` is.
    end: u32,
    /// The frame's length without its id and blank line.
    body_bytes: u32,
}

/// Whole frames copied out of a ring, to be sent when no lock is held.
#[derive(Debug, Default)]
pub struct Batch {
    /// The frames, back to back.
    pub bytes: Vec<u8>,
    /// The frames' ids, and where in `bytes` each ends.
    pub ends: Vec<(u64, usize)>,
    /// The first frame is the one after this id.
    pub after: u64,
    /// Whether the ring held more than fits in a batch.
    pub cut_short: bool,
}

impl Ring {
    /// A ring that keeps nothing of what came up to this id and number.
    pub fn beginning_after(id: EventId, sequence: Sequence) -> Ring {
        Ring {
            evicted: Some((id, sequence)),
            ..Ring::default()
        }
    }

    /// Encodes an event at the end, after making room for it. `id` and `sequence` are
    /// above all earlier ones.
    pub fn append(
        &mut self,
        job: &JobId,
        event: &Event,
        id: EventId,
        sequence: Sequence,
        limits: RingLimits,
    ) {
        let mut digits = itoa::Buffer::new();
        let end = ["id: ", digits.format(id.0), "\n\n"];
        let body_bytes = frame::body_bytes(job, event);
        let bytes = body_bytes + end.iter().map(|part| part.len()).sum::<usize>();
        // Room is made first, so that the ring's memory never passes its limit.
        while !self.entries.is_empty()
            && (self.entries.len() >= limits.events
                || self.entries.len() > 1 && self.bytes.len() + bytes > limits.bytes)
        {
            self.evict();
        }
        frame::write_body(&mut Appender(&mut self.bytes), job, event);
        for part in end {
            self.bytes.extend(part.as_bytes());
        }
        let end = self.begin.wrapping_add(self.bytes.len() as u32);
        self.entries.push_back(Entry {
            id,
            sequence,
            end,
            body_bytes: body_bytes as u32,
        });
    }

    /// The newest event's body, as [`frame::parse_body`] reads it.
    pub fn newest_body(&self) -> Option<Vec<u8>> {
        let index = self.entries.len().checked_sub(1)?;
        Some(self.bytes.range(self.body_range(index)).copied().collect())
    }

    /// The id before the oldest event kept; none where nothing is kept.
    pub fn before_oldest(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.id.0 - 1)
    }

    /// The id before the newest event: that of the event before it, where it is kept.
    pub fn before_newest(&self) -> Option<u64> {
        self.entries.back().map(|entry| entry.id.0 - 1)
    }

    /// The number before the newest event on a consolidated stream.
    pub fn newest_sequence(&self) -> Option<Sequence> {
        self.entries.back().map(|entry| entry.sequence)
    }

    /// The newest number that is no longer kept; zero where all are.
    pub fn evicted_sequence(&self) -> Sequence {
        self.evicted.map_or(Sequence(0), |(_, sequence)| sequence)
    }

    /// Copies the frames after `after` into `batch`, at most `max_bytes` of them but
    /// always one. Where events after it are missing, `batch.after` is above `after`.
    pub fn copy_after(&self, after: u64, max_bytes: usize, batch: &mut Batch) {
        batch.clear();
        batch.after = after;
        if let Some((evicted, _)) = self.evicted
            && after < evicted.0
        {
            batch.after = self.before_oldest().unwrap_or(evicted.0);
        }
        let first = self.entries.partition_point(|entry| entry.id.0 <= after);
        let begin = self.start_of(first);
        for entry in self.entries.range(first..) {
            let end = self.offset(entry.end) - begin;
            if end > max_bytes && !batch.ends.is_empty() {
                batch.cut_short = true;
                break;
            }
            batch.ends.push((entry.id.0, end));
        }
        let end = begin + batch.ends.last().map_or(0, |&(_, end)| end);
        extend_from_range(&mut batch.bytes, &self.bytes, begin..end);
    }

    /// The numbers of the events after `after` and up to `upto`, oldest first.
    pub fn sequences(&self, after: Sequence, upto: Sequence) -> impl Iterator<Item = Sequence> {
        let first = self
            .entries
            .partition_point(|entry| entry.sequence <= after);
        let entries = self.entries.range(first..);
        entries
            .map(|entry| entry.sequence)
            .take_while(move |&sequence| sequence <= upto)
    }

    /// Adds the frame of the event numbered `sequence`, with that number as its id.
    /// False where it is not kept.
    pub fn copy_numbered(&self, sequence: Sequence, batch: &mut Batch) -> bool {
        let Ok(index) = self
            .entries
            .binary_search_by_key(&sequence, |entry| entry.sequence)
        else {
            return false;
        };
        extend_from_range(&mut batch.bytes, &self.bytes, self.body_range(index));
        frame::write_end(&mut batch.bytes, sequence.0);
        batch.ends.push((sequence.0, batch.bytes.len()));
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
        if let Some(newest) = self.entries.back() {
            *self = Ring::beginning_after(newest.id, newest.sequence);
        }
    }

    /// Lets every event go but the newest, and gives the memory back.
    pub fn keep_newest(&mut self) {
        while self.entries.len() > 1 {
            self.evict();
        }
        self.shrink();
    }

    fn evict(&mut self) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        let bytes = self.offset(entry.end);
        self.bytes.drain(..bytes);
        self.begin = entry.end;
        self.evicted = Some((entry.id, entry.sequence));
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

    fn body_range(&self, index: usize) -> std::ops::Range<usize> {
        let start = self.start_of(index);
        start..start + self.entries[index].body_bytes as usize
    }
}

impl Batch {
    /// Empties it, and keeps its memory for the next.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.after = 0;
        self.cut_short = false;
    }

    /// The newest id in it.
    pub fn newest(&self) -> u64 {
        self.ends.last().map_or(self.after, |&(id, _)| id)
    }

    /// Where in `bytes` the frames after `id` begin. None where the batch begins
    /// later than that.
    pub fn offset_after(&self, id: u64) -> Option<usize> {
        // Nearly every subscriber is at one of the two ends.
        if id == self.after {
            return Some(0);
        }
        if id >= self.newest() {
            return Some(self.bytes.len());
        }
        if id < self.after {
            return None;
        }
        let frames = self.ends.partition_point(|&(frame_id, _)| frame_id <= id);
        Some(frames.checked_sub(1).map_or(0, |last| self.ends[last].1))
    }

    /// The frame that the byte at `offset` is in: its id and where it ends.
    pub fn frame_at(&self, offset: usize) -> Option<(u64, usize)> {
        let index = self.ends.partition_point(|&(_, end)| end <= offset);
        self.ends.get(index).copied()
    }

    /// How many frames end after `from` and not after `to`.
    pub fn frames_between(&self, from: usize, to: usize) -> usize {
        let upto = |offset| self.ends.partition_point(|&(_, end)| end <= offset);
        upto(to) - upto(from)
    }
}

/// Appends to a `VecDeque<u8>` a slice at a time.
struct Appender<'a>(&'a mut VecDeque<u8>);

impl frame::Sink for Appender<'_> {
    fn put(&mut self, text: &str) {
        self.0.extend(text.as_bytes());
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

    const LIMITS: RingLimits = RingLimits {
        events: 4,
        bytes: 1000,
    };

    fn job() -> JobId {
        "j".parse().unwrap()
    }

    fn append(ring: &mut Ring, id: u64, text: &str, limits: RingLimits) {
        let event = Event::error(text);
        ring.append(&job(), &event, EventId(id), Sequence(id * 10), limits);
    }

    fn frame(id: u64, text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        frame::write_body(&mut out, &job(), &Event::error(text));
        frame::write_end(&mut out, id);
        out
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
                // Ids may leave numbers out: a journal can have lost some.
                id += 1 + random(&mut seed) % 3 / 2;
                let text = "x".repeat((random(&mut seed) % 200) as usize);
                append(&mut ring, id, &text, limits);
                all.push((id, frame(id, &text)));

                let mut kept = 1;
                let size = |n: usize| {
                    all.iter()
                        .rev()
                        .take(n)
                        .map(|(_, f)| f.len())
                        .sum::<usize>()
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
    fn offsets_in_a_batch_are_those_of_its_frames() {
        let mut ring = Ring::default();
        (1..=4).for_each(|id| append(&mut ring, id, &"y".repeat(id as usize), LIMITS));
        let mut batch = Batch::default();
        ring.copy_after(1, usize::MAX, &mut batch);
        assert_eq!(batch.offset_after(0), None);
        assert_eq!(batch.offset_after(1), Some(0));
        assert_eq!(batch.offset_after(2), Some(batch.ends[0].1));
        assert_eq!(batch.offset_after(4), Some(batch.bytes.len()));
        assert_eq!(batch.frame_at(0), Some((2, batch.ends[0].1)));
        assert_eq!(batch.frame_at(batch.ends[0].1), Some((3, batch.ends[1].1)));
        assert_eq!(batch.frame_at(batch.bytes.len()), None);
        assert_eq!(batch.frames_between(0, batch.bytes.len()), 3);
        assert_eq!(batch.frames_between(1, batch.ends[1].1 - 1), 1);
    }

    #[test]
    fn a_consolidated_frame_has_the_hubs_number() {
        let mut ring = Ring::default();
        (1..=6).for_each(|id| append(&mut ring, id, "abc", LIMITS));
        assert_eq!(ring.evicted_sequence(), Sequence(20));
        let numbers: Vec<_> = ring.sequences(Sequence(30), Sequence(55)).collect();
        assert_eq!(numbers, [Sequence(40), Sequence(50)]);
        let mut batch = Batch::default();
        assert!(ring.copy_numbered(Sequence(40), &mut batch));
        assert!(!ring.copy_numbered(Sequence(41), &mut batch));
        assert!(!ring.copy_numbered(Sequence(20), &mut batch));
        assert_eq!(batch.bytes, frame(40, "abc"));
    }

    #[test]
    fn the_newest_two_events_are_kept_however_large() {
        let mut ring = Ring::default();
        append(&mut ring, 1, "a", LIMITS);
        append(&mut ring, 2, &"b".repeat(5000), LIMITS);
        append(&mut ring, 3, "c", LIMITS);
        assert_eq!(ring.before_oldest(), Some(1));
        append(&mut ring, 4, &"b".repeat(5000), LIMITS);
        assert_eq!(ring.before_oldest(), Some(2));
        let body = ring.newest_body().unwrap();
        assert!(frame::parse_body(&body).unwrap().1.contains("bbbb"));
    }
}
