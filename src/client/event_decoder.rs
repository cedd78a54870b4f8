//! Event streams, read as WHATWG HTML 9.2 says, without any I/O.

use std::time::Duration;

/// The longest line and the longest data of an event, in bytes. An event beyond it
/// is dropped, and its id counts all the same, so that it is not asked for again
/// and again.
pub const EVENT_MAX_BYTES: usize = 1024 * 1024;
/// The longest wait a `retry:` field can ask for.
const RETRY_MAX: Duration = Duration::from_secs(3600);

/// An event as a browser would see it.
///
/// See [`Subscription`](crate::Subscription).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ServerEvent {
    /// Its name; `message` where it has none.
    pub event: String,
    /// Its data, the lines joined by newlines.
    pub data: String,
    /// Its id, or the one of the newest event before it that had one.
    pub id: String,
}

/// Turns the bytes of a stream into events.
#[derive(Debug, Default)]
pub struct EventDecoder {
    line: Vec<u8>,
    /// The line goes on beyond the limit.
    line_overflowed: bool,
    /// The last byte was a CR, so an LF that follows ends no second line.
    after_cr: bool,
    /// The first line is behind, so a byte order mark means nothing any more.
    begun: bool,
    event: String,
    data: String,
    has_data: bool,
    overflowed: bool,
    id: Option<String>,
    last_event_id: Option<String>,
    retry: Option<Duration>,
}

impl ServerEvent {
    /// Whether the life of its job is over with it.
    pub fn is_end(&self) -> bool {
        matches!(&*self.event, "done" | "error" | "deleted")
    }
}

impl EventDecoder {
    /// A stream that has not begun.
    pub fn new() -> EventDecoder {
        EventDecoder::default()
    }

    /// Takes the next bytes, cut anywhere, and calls `each` for every event that
    /// they complete.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(ServerEvent)) {
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|b| matches!(b, b'\n' | b'\r'));
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + part.len() > EVENT_MAX_BYTES {
                self.line_overflowed = true;
            } else {
                self.line.extend_from_slice(part);
            }
            let Some(end) = end else { return };
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            self.end_line(&mut each);
        }
    }

    /// How long to wait before connecting again, if the server has said so. An hour
    /// at most.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The id of the newest block that has ended; empty where the server took it
    /// back, `None` where there was none.
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref()
    }

    fn end_line(&mut self, each: &mut impl FnMut(ServerEvent)) {
        let bytes = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.line_overflowed) {
            // Whatever field it was, the event is not whole without it.
            self.overflowed = true;
            self.begun = true;
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        let begun = std::mem::replace(&mut self.begun, true);
        let text = if begun {
            &text
        } else {
            text.strip_prefix('\u{feff}').unwrap_or(&text)
        };
        if text.is_empty() {
            self.end_event(each);
        } else {
            let (field, value) = text.split_once(':').unwrap_or((text, ""));
            self.field(field, value.strip_prefix(' ').unwrap_or(value));
        }
        // The buffer is kept for the next line.
        self.line = bytes;
        self.line.clear();
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" if self.data.len() + value.len() >= EVENT_MAX_BYTES => self.overflowed = true,
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                let wait = value.parse().map_or(RETRY_MAX, Duration::from_millis);
                self.retry = Some(wait.min(RETRY_MAX));
            }
            // A comment has an empty name; other fields mean nothing.
            _ => {}
        }
    }

    fn end_event(&mut self, each: &mut impl FnMut(ServerEvent)) {
        if self.id.is_some() {
            self.last_event_id.clone_from(&self.id);
        }
        let event = std::mem::take(&mut self.event);
        let data = std::mem::take(&mut self.data);
        let whole = !std::mem::take(&mut self.overflowed);
        if std::mem::take(&mut self.has_data) && whole {
            let event = if event.is_empty() {
                "message".into()
            } else {
                event
            };
            each(ServerEvent {
                event,
                data,
                id: self.id.clone().unwrap_or_default(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &mut EventDecoder, chunks: &[&[u8]]) -> Vec<(String, String, String)> {
        let mut seen = Vec::new();
        for chunk in chunks {
            stream.feed(chunk, |e| seen.push((e.event, e.data, e.id)));
        }
        seen
    }

    fn events(input: &[u8]) -> Vec<(String, String, String)> {
        read(&mut EventDecoder::new(), &[input])
    }

    fn event(event: &str, data: &str, id: &str) -> (String, String, String) {
        (event.into(), data.into(), id.into())
    }

    const MIXED: &str = "\u{feff}retry: 5731\nevent: progress\ndata: {\"a\":1}\nid: 1\n\n\
        :\n: comment\r\ndata:ä\r\ndata:  two\r\n\r\nid: 2\rdata\r\rdata: open\nid: 3\n";

    #[test]
    fn fields_are_read_as_the_standard_says() {
        let expected = [
            event("progress", "{\"a\":1}", "1"),
            event("message", "ä\n two", "1"),
            event("message", "", "2"),
        ];
        let mut stream = EventDecoder::new();
        assert_eq!(read(&mut stream, &[MIXED.as_bytes()]), expected);
        assert_eq!(stream.retry(), Some(Duration::from_millis(5731)));
        // The event that is not complete does not count, nor does its id.
        assert_eq!(stream.last_event_id(), Some("2"));
    }

    #[test]
    fn cutting_the_input_anywhere_changes_nothing() {
        let bytes = MIXED.as_bytes();
        let whole = events(bytes);
        for at in 0..=bytes.len() {
            let seen = read(&mut EventDecoder::new(), &[&bytes[..at], &bytes[at..]]);
            assert_eq!(seen, whole, "cut at {at}");
        }
        let single: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(read(&mut EventDecoder::new(), &single), whole);
    }

    #[test]
    fn a_block_without_data_is_no_event_but_its_id_counts() {
        let mut stream = EventDecoder::new();
        assert!(read(&mut stream, &[b"event: x\nid: 7\n\n"]).is_empty());
        assert_eq!(stream.last_event_id(), Some("7"));
        assert_eq!(
            read(&mut stream, &[b"data: a\n\n"]),
            [event("message", "a", "7")]
        );
    }

    #[test]
    fn an_empty_id_takes_it_back_and_one_with_nul_is_ignored() {
        let mut stream = EventDecoder::new();
        read(&mut stream, &[b"id: 7\n\nid: 8\0\n\n"]);
        assert_eq!(stream.last_event_id(), Some("7"));
        read(&mut stream, &[b"id\n\n"]);
        assert_eq!(stream.last_event_id(), Some(""));
    }

    #[test]
    fn retry_takes_digits_alone_and_an_hour_at_most() {
        let retry = |text: &str| {
            let mut stream = EventDecoder::new();
            stream.feed(text.as_bytes(), |_| {});
            stream.retry()
        };
        assert_eq!(retry("retry: 10\n"), Some(Duration::from_millis(10)));
        for bad in [
            "retry\n",
            "retry: +1\n",
            "retry: 1s\n",
            "retry: -1\n",
            "Retry: 1\n",
        ] {
            assert_eq!(retry(bad), None, "{bad}");
        }
        assert_eq!(retry("retry: 99999999999999999999\n"), Some(RETRY_MAX));
    }

    #[test]
    fn an_event_beyond_the_limit_is_dropped_and_the_next_one_is_read() {
        let long = "x".repeat(EVENT_MAX_BYTES + 1);
        let many = format!("data: {}\n", "x".repeat(1000)).repeat(EVENT_MAX_BYTES / 1000 + 1);
        for input in [
            format!("data: {long}\nid: 1\n\n"),
            format!("{many}id: 1\n\n"),
        ] {
            let mut stream = EventDecoder::new();
            for chunk in input.as_bytes().chunks(4096) {
                assert!(read(&mut stream, &[chunk]).is_empty());
                assert!(stream.line.len() <= EVENT_MAX_BYTES);
                assert!(stream.data.len() <= EVENT_MAX_BYTES);
            }
            assert_eq!(stream.last_event_id(), Some("1"));
            assert_eq!(
                read(&mut stream, &[b"data: a\n\n"]),
                [event("message", "a", "1")]
            );
        }
    }
}
