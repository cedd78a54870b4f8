//! The load generator's check is worth what it notices.

#[path = "../benches/load/sequence.rs"]
mod sequence;

use sequence::{Scanner, Sequence, Tally};

/// Feeds the pieces in turn; what was counted, and the times that were found.
fn check(first: u32, pieces: &[&[u8]]) -> (Tally, Vec<u64>) {
    let scanner = Scanner::default();
    let mut sequence = Sequence::starting_at(first);
    let mut tally = Tally::default();
    let mut times = Vec::new();
    for piece in pieces {
        scanner.feed(&mut sequence, piece, &mut tally, |time| times.push(time));
    }
    (tally, times)
}

fn frame(n: u32) -> String {
    format!(
        "event: progress\ndata: {{\"jobId\":\"n\",\"n\":{n},\"t\":{},\"stage\":\"n\"}}\nid: {n}\n\n",
        u64::from(n) * 1000
    )
}

fn frames(numbers: &[u32]) -> String {
    numbers.iter().map(|n| frame(*n)).collect()
}

#[test]
fn events_in_order_are_counted_whatever_the_split() {
    let bytes = frames(&[9, 10, 11, 12345]);
    let whole = check(9, &[bytes.as_bytes()]);
    assert_eq!(whole.0.in_order, 4);
    assert_eq!(whole.0.missing, 12345 - 12);
    assert_eq!(whole.1, [9_000, 10_000, 11_000, 12_345_000]);
    for at in 0..=bytes.len() {
        let (left, right) = bytes.as_bytes().split_at(at);
        assert_eq!(check(9, &[left, right]), whole, "split at {at}");
    }
    let single: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
    assert_eq!(check(9, &single), whole);
}

#[test]
fn chunks_around_events_change_nothing() {
    let numbers = [9, 10, 11, 12345];
    let whole = check(9, &[frames(&numbers).as_bytes()]);
    let chunk = |frame: String| format!("{:x}\r\n{frame}\r\n", frame.len());
    let bytes: String = numbers.map(|n| chunk(frame(n))).concat();
    for at in 0..=bytes.len() {
        let (left, right) = bytes.as_bytes().split_at(at);
        assert_eq!(check(9, &[left, right]), whole, "split at {at}");
    }
}

#[test]
fn an_event_that_is_lost_is_missing() {
    let (tally, _) = check(0, &[frames(&[0, 1, 3]).as_bytes()]);
    assert_eq!((tally.in_order, tally.missing, tally.repeated), (3, 1, 0));
}

#[test]
fn an_event_that_comes_twice_is_repeated() {
    let (tally, _) = check(0, &[frames(&[0, 1, 1, 2]).as_bytes()]);
    assert_eq!((tally.in_order, tally.missing, tally.repeated), (3, 0, 1));
}

#[test]
fn an_event_that_comes_late_is_missing_and_repeated() {
    let (tally, _) = check(0, &[frames(&[0, 2, 1, 3]).as_bytes()]);
    assert_eq!((tally.in_order, tally.missing, tally.repeated), (3, 1, 1));
}

#[test]
fn what_only_resembles_a_number_is_none() {
    let near = b"\"n\"n\":\"n\" :1,\"nn\":2,\"N\":3 \"n\"\"n\":7,\"t\":8}";
    let whole = check(7, &[near]);
    let only_the_last = Tally {
        in_order: 1,
        ..Tally::default()
    };
    assert_eq!(whole, (only_the_last, vec![8]));
    for at in 0..=near.len() {
        let (left, right) = near.split_at(at);
        assert_eq!(check(7, &[left, right]), whole, "split at {at}");
    }
}

#[test]
fn an_event_without_a_time_is_counted_and_not_timed() {
    let (tally, times) = check(4, &[b"data: {\"n\":4}\n\ndata: {\"n\":5,\"t\":6}\n\n"]);
    assert_eq!(tally.in_order, 2);
    assert_eq!(times, [6]);
}
