//! Last-Event-ID: whatever it says, a stream begins somewhere, and what is repeated of it
//! can't end the frame that it is in.

use landfall::EventId;
use landfall::internals::event::frame;
use landfall::internals::event::resume::{Given, Kept, LastEventId, ResetReason, Start};
use serde_json::Value;

use super::sse::read;

/// The longest id that a `reset` repeats, in characters.
const ECHO_MAX_CHARS: usize = 64;

/// The input is four bytes, of what is kept, and then the id.
pub fn check(input: &[u8]) {
    let Some((kept, id)) = input.split_first_chunk() else {
        return;
    };
    let Some(last) = LastEventId::parse(id) else {
        assert!(id.is_empty());
        return;
    };
    let text = last.to_string();
    match &last {
        LastEventId::Number(number) => {
            assert!(id.iter().all(u8::is_ascii_digit));
            assert_eq!(id.trim_ascii_start(), id);
            let digits = std::str::from_utf8(id).unwrap().trim_start_matches('0');
            assert_eq!(digits, if *number == 0 { "" } else { &text });
        }
        LastEventId::Malformed(_) => {
            let is_digits = id.iter().all(u8::is_ascii_digit);
            assert!(!is_digits || id.len() > 19);
            assert!(text.chars().count() <= ECHO_MAX_CHARS);
        }
    }
    begins_within(kept, last);
    let mut chunk = Vec::new();
    frame::write_reset(&mut chunk, "a", ResetReason::Unknown, &text, EventId(3));
    let mut bytes = b"retry: 1\n".to_vec();
    frame::unchunk(&chunk, &mut bytes);
    let [reset] = &read(&bytes)[..] else {
        panic!("not one frame: {bytes:?}");
    };
    assert_eq!((&*reset.event, &*reset.id), ("reset", "3"));
    let data: Value = serde_json::from_str(&reset.data).expect("no JSON");
    assert_eq!(data["lastEventId"], text);
    super::event_stream::check(&bytes);
}

fn begins_within(steps: &[u8; 4], last: LastEventId) {
    let [base, lost, kept, is_empty] = steps.map(u64::from);
    let before_oldest = base + lost;
    let newest = before_oldest + kept;
    let before_newest = newest - kept.min(1);
    let newest = if is_empty == 0 { before_oldest } else { newest };
    let kept = Kept {
        given: Given {
            base: EventId(base),
            newest: EventId(newest),
            lost: &[],
        },
        floor: EventId(base + lost / 2),
        gone: EventId(before_oldest),
        before_oldest: EventId(before_oldest),
        before_newest: EventId(before_newest.min(newest)),
        newest: EventId(newest),
    };
    let beginning = kept.begin(&Start::After(last.clone()));
    assert!((kept.before_oldest..=kept.newest).contains(&beginning.after));
    match (last, beginning.reset) {
        // Nothing is skipped in silence.
        (LastEventId::Number(id), None) => assert_eq!(beginning.after, EventId(id)),
        (LastEventId::Malformed(_), None) => panic!("no reset for a malformed id"),
        (_, Some(_)) => assert_eq!(beginning.after, kept.before_oldest),
    }
}
