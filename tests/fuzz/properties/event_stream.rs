//! The commands' reader of event streams: the same however they are cut, and as a browser
//! would read them.

use landfall::internals::client::EventDecoder;

use super::each_cut;
use super::sse::{Fired, read};

/// The input is a stream's body.
pub fn check(input: &[u8]) {
    let expected = read(input);
    let mut last = None;
    each_cut(input, |pieces| {
        let mut stream = EventDecoder::new();
        let mut events = Vec::new();
        for piece in pieces {
            stream.feed(piece, |event| {
                events.push(Fired {
                    event: event.event,
                    data: event.data,
                    id: event.id,
                });
            });
        }
        assert_eq!(events, expected);
        let end = (stream.retry(), stream.last_event_id().map(str::to_owned));
        assert_eq!(last.get_or_insert_with(|| end.clone()), &end);
    });
}
