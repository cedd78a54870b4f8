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
    ring.make_void_after(EventId(0));
    ring.append(&Frame::deleted(&job(), EventId(9)), LIMITS);
    ring.copy_after(3, usize::MAX, &mut batch);
    assert_eq!((batch.after, batch.newest()), (3, 9));
}

#[test]
fn what_is_void_is_of_one_life_and_those_before_it_stay() {
    let mut ring = Ring::default();
    append(&mut ring, 1, "a", LIMITS);
    ring.append(&Frame::new(&job(), &Event::done(), EventId(2)), LIMITS);
    append(&mut ring, 5, "b", LIMITS);
    append(&mut ring, 6, "c", LIMITS);
    ring.make_void_after(EventId(2));
    ring.append(&Frame::deleted(&job(), EventId(7)), LIMITS);
    let ids = |ring: &Ring| ring.numbers(EventId(0), EventId::MAX).collect::<Vec<_>>();
    assert_eq!(ids(&ring), [1, 2, 7].map(EventId));
    // Where those before it are gone, who hasn't had them is told of that, and of no more.
    (8..=14).for_each(|id| append(&mut ring, id, "d", LIMITS));
    ring.make_void_after(EventId(7));
    assert_eq!((ring.gone(), ring.newest()), (EventId(7), None));
    ring.append(&Frame::deleted(&job(), EventId(15)), LIMITS);
    let mut batch = Batch::default();
    for (after, from) in [(1, 14), (7, 7), (9, 9)] {
        ring.copy_after(after, usize::MAX, &mut batch);
        assert_eq!((batch.after, batch.newest()), (from, 15));
    }
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

/// What is in a ring at random: each event's number and kind.
fn random_events(seed: &mut u64, ring: &mut Ring, limits: RingLimits) -> Vec<(u64, FrameKind)> {
    let mut all = Vec::new();
    let mut id = 0;
    for _ in 0..random(seed) % 60 {
        id += 1 + random(seed) % 3 / 2;
        let event = match random(seed) % 12 {
            0 => Event::done(),
            1..=3 => event("abc"),
            _ => Event::progress("scanning", 1.0).unwrap(),
        };
        let frame = Frame::new(&job(), &event, EventId(id));
        all.push((id, frame.kind()));
        ring.append(&frame, limits);
    }
    all
}

#[test]
fn of_the_newest_nothing_is_left_out_but_progress_that_newer_progress_has_replaced() {
    for seed in 1..400 {
        let mut seed = 0x9e37_79b9_7f4a_7c15 ^ (seed << 9);
        let limits = RingLimits {
            events: 1 + (random(&mut seed) % 40) as usize,
            bytes: 100_000,
        };
        let mut ring = Ring::default();
        let all = random_events(&mut seed, &mut ring, limits);
        let newest = all.last().map_or(0, |last| last.0);
        for _ in 0..40 {
            let (after, upto) = (random(&mut seed) % 70, random(&mut seed) % 90);
            let lives: Vec<_> = all
                .split_inclusive(|&(_, kind)| kind == FrameKind::Terminal)
                .collect();
            let wanted = lives.iter().flat_map(|life| {
                let there = life.iter().filter(|&&(id, _)| id > after && id <= upto);
                let is_progress = |kind| kind == FrameKind::Progress;
                let last = there.clone().rfind(|it| is_progress(it.1)).map(|it| it.0);
                there.filter(move |it| !is_progress(it.1) || Some(it.0) == last)
            });
            let wanted: Vec<u64> = wanted.map(|it| it.0).collect();
            let found: Vec<u64> = ring
                .newest_numbers(EventId(after), EventId(upto))
                .map(|id| id.0)
                .collect();
            let is_missed = after < ring.missed().0.min(upto);
            if !is_missed && upto >= newest {
                assert_eq!(found, wanted, "after {after} upto {upto} of {all:?}");
            }
            assert!(wanted.ends_with(&found) || upto < newest);
            let mut batch = Batch::default();
            ring.copy_newest(after, upto, usize::MAX, &mut batch);
            assert_eq!(batch.after > after, is_missed);
            let ids: Vec<u64> = batch.ends.iter().map(|it| it.0).collect();
            assert!(found.starts_with(&ids), "{ids:?} of {found:?}");
            assert!(batch.is_end || ids.len() == found.len());
        }
    }
}

#[test]
fn progress_that_was_replaced_before_it_went_is_not_missed() {
    let one = RingLimits {
        events: 1,
        bytes: 1000,
    };
    let mut ring = Ring::default();
    let progress = Event::progress("scanning", 1.0).unwrap();
    (1..=5).for_each(|id| ring.append(&Frame::new(&job(), &progress, EventId(id)), one));
    assert_eq!((ring.gone(), ring.missed()), (EventId(4), EventId(0)));
    append(&mut ring, 6, "abc", one);
    assert_eq!((ring.gone(), ring.missed()), (EventId(5), EventId(5)));
    assert_eq!(ring.newest_progress(), EventId(5));
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
