//! Events as bytes on the wire (WHATWG HTML 9.2), each in a chunk of its own
//! (RFC 9112 section 7.1).
//!
//! A frame is `event:`, `data:`, `id:` and a blank line. The id comes last because
//! popular clients commit an id when its line arrives: first, it would outlive an
//! event that was cut in half. The chunk's own lines go with it wherever it is kept, so
//! a frame is the same bytes on every stream.

use std::time::Duration;

use super::Event;
use super::job::{EventId, JobId};
use super::resume::ResetReason;

/// What an idle stream is sent. There is no blank line behind it: some clients fire
/// an empty event for a block without data.
pub const HEARTBEAT: &[u8] = b"2\r\n:\n\r\n";
/// The same for a client of HTTP/1.0, that knows no chunks.
pub const PLAIN_HEARTBEAT: &[u8] = b":\n";
/// What a stream in chunks ends with, where it ends as it should.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The name of the event with which a deleted life ends.
pub const DELETED: &str = "deleted";

/// A frame that is about to be written.
pub struct Frame<'a> {
    name: &'a str,
    job: &'a JobId,
    data: &'a str,
    names_its_job: bool,
    id: EventId,
    payload_bytes: usize,
}

/// What frames are written to.
pub trait Sink {
    /// Appends `text`.
    fn put(&mut self, text: &str);
}

impl Sink for Vec<u8> {
    fn put(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }
}

impl<'a> Frame<'a> {
    /// The frame of `job`'s event numbered `id`.
    pub fn new(job: &'a JobId, event: &'a Event, id: EventId) -> Frame<'a> {
        let names_its_job = event.names_its_job();
        Frame::of(event.name().as_str(), job, event.data(), names_its_job, id)
    }

    /// The frame which says that `job` was deleted, by the entry numbered `id`.
    pub fn deleted(job: &'a JobId, id: EventId) -> Frame<'a> {
        Frame::of(DELETED, job, "{}", false, id)
    }

    fn of(
        name: &'a str,
        job: &'a JobId,
        data: &'a str,
        names_its_job: bool,
        id: EventId,
    ) -> Frame<'a> {
        let mut frame = Frame {
            name,
            job,
            data,
            names_its_job,
            id,
            payload_bytes: 0,
        };
        let mut count = Count(0);
        frame.write_payload(&mut count);
        frame.payload_bytes = count.0;
        frame
    }

    /// Its event's number.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// Whether a stream of its job ends with it.
    pub fn is_terminal(&self) -> bool {
        ["done", "error", DELETED].contains(&self.name)
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        let digits = (usize::BITS - self.payload_bytes.leading_zeros()).div_ceil(4) as usize;
        digits + 2 + self.payload_bytes + 2
    }

    /// Writes it.
    pub fn write(&self, out: &mut impl Sink) {
        put_hex(out, self.payload_bytes);
        out.put("\r\n");
        self.write_payload(out);
        out.put("\r\n");
    }

    fn write_payload(&self, out: &mut impl Sink) {
        let mut put = |text: &str| out.put(text);
        put("event: ");
        put(self.name);
        put("\ndata: ");
        if self.names_its_job {
            put(self.data);
        } else {
            put("{\"jobId\":\"");
            put(self.job.as_str());
            put("\"");
            // What follows the opening brace: "}" of an empty object, or its members.
            let rest = &self.data[1..];
            if rest != "}" {
                put(",");
            }
            put(rest);
        }
        put("\nid: ");
        put(itoa::Buffer::new().format(self.id.0));
        put("\n\n");
    }
}

/// A whole `reset` frame: events after `last_event_id` are not to be had, and the
/// stream goes on after `id`.
pub fn write_reset(
    out: &mut Vec<u8>,
    job: &str,
    reason: ResetReason,
    last_event_id: &str,
    id: EventId,
) {
    // As a JSON value, since it may be whatever the client has sent.
    let last_event_id = serde_json::Value::from(last_event_id);
    let reason = reason.as_str();
    let payload = format!(
        "event: reset\ndata: {{\"jobId\":\"{job}\",\"reason\":\"{reason}\",\
         \"lastEventId\":{last_event_id}}}\nid: {}\n\n",
        id.0
    );
    write_chunk(out, &payload);
}

/// A `retry:` line. There is no blank line behind it, so it belongs to the next frame.
pub fn write_retry(out: &mut Vec<u8>, wait: Duration) {
    let mut payload = String::with_capacity(32);
    payload.push_str("retry: ");
    payload.push_str(itoa::Buffer::new().format(wait.as_millis()));
    payload.push('\n');
    write_chunk(out, &payload);
}

/// Takes chunks' own lines out of `bytes`, which are whole chunks, and appends what is
/// left to `out`: what a client of HTTP/1.0 gets.
pub fn unchunk(mut bytes: &[u8], out: &mut Vec<u8>) {
    while let Some((payload, rest)) = split_chunk(bytes) {
        out.extend_from_slice(payload);
        bytes = rest;
    }
}

/// The event's name and data in a frame.
pub fn parse(frame: &[u8]) -> Option<(&str, &str)> {
    let (payload, _) = split_chunk(frame)?;
    let text = std::str::from_utf8(payload).ok()?;
    let (name, rest) = text.strip_prefix("event: ")?.split_once('\n')?;
    let (data, _) = rest.strip_prefix("data: ")?.split_once('\n')?;
    Some((name, data))
}

/// The payload of the chunk that `bytes` begin with, and what follows it.
fn split_chunk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = bytes.iter().position(|&byte| byte == b'\r')?;
    let digits = std::str::from_utf8(&bytes[..line]).ok()?;
    let length = usize::from_str_radix(digits, 16).ok()?;
    let begin = line + 2;
    let payload = bytes.get(begin..begin.checked_add(length)?)?;
    let rest = bytes.get(begin + length + 2..)?;
    (length > 0).then_some((payload, rest))
}

fn write_chunk(out: &mut Vec<u8>, payload: &str) {
    put_hex(out, payload.len());
    out.put("\r\n");
    out.put(payload);
    out.put("\r\n");
}

fn put_hex(out: &mut impl Sink, value: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    let mut begin = text.len();
    let mut rest = value;
    loop {
        begin -= 1;
        text[begin] = DIGITS[rest & 15];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    out.put(std::str::from_utf8(&text[begin..]).unwrap_or_default());
}

struct Count(usize);

impl Sink for Count {
    fn put(&mut self, text: &str) {
        self.0 += text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(job: &str, event: &Event, id: u64) -> String {
        let job = job.parse().unwrap();
        let frame = Frame::new(&job, event, EventId(id));
        let mut out = Vec::new();
        frame.write(&mut out);
        assert_eq!(out.len(), frame.bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_frame_is_a_chunk_with_event_data_id_and_a_blank_line() {
        assert_eq!(
            frame("job_8f3a", &Event::progress("scanning", 30.0), 1),
            "52\r\n\
             event: progress\n\
             data: {\"jobId\":\"job_8f3a\",\"stage\":\"scanning\",\"percent\":30}\n\
             id: 1\n\n\
             \r\n"
        );
    }

    #[test]
    fn a_frame_is_as_long_as_it_says_whatever_its_length() {
        for length in [0, 1, 150, 200, 256, 4000, 5000, 65_000, 70_000] {
            frame("j", &Event::error(&"x".repeat(length)), 7);
        }
    }

    #[test]
    fn an_empty_object_and_one_that_names_its_job_stay_json() {
        assert!(frame("j", &Event::done(), 1).contains("data: {\"jobId\":\"j\"}\n"));
        let named = Event::new("x", r#"{"a":1,"jobId":"j"}"#).unwrap();
        assert!(frame("j", &named, 1).contains("data: {\"a\":1,\"jobId\":\"j\"}\n"));
    }

    #[test]
    fn a_reset_encodes_whatever_the_client_sent() {
        let mut out = Vec::new();
        let last = "a\"\n\r\0é";
        write_reset(&mut out, "j", ResetReason::Unknown, last, EventId(7));
        let mut payload = Vec::new();
        unchunk(&out, &mut payload);
        let text = String::from_utf8(payload).unwrap();
        assert_eq!(text.lines().count(), 4);
        let data = text.lines().nth(1).unwrap().strip_prefix("data: ").unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["lastEventId"], "a\"\n\r\0é");
        assert_eq!(data["reason"], "unknown");
        assert_eq!(data["jobId"], "j");
        assert!(text.ends_with("\nid: 7\n\n"));
    }

    #[test]
    fn a_frame_reads_back() {
        let text = frame("j", &Event::error("no\nroom"), 9);
        let (name, data) = parse(text.as_bytes()).unwrap();
        assert_eq!(name, "error");
        assert_eq!(data, r#"{"jobId":"j","message":"no\nroom"}"#);
    }

    #[test]
    fn without_their_lines_chunks_are_what_they_hold() {
        let mut chunks = Vec::new();
        write_retry(&mut chunks, Duration::from_secs(5));
        chunks.extend_from_slice(frame("j", &Event::done(), 1).as_bytes());
        chunks.extend_from_slice(HEARTBEAT);
        chunks.extend_from_slice(LAST_CHUNK);
        let mut plain = Vec::new();
        unchunk(&chunks, &mut plain);
        let expected = "retry: 5000\nevent: done\ndata: {\"jobId\":\"j\"}\nid: 1\n\n:\n";
        assert_eq!(String::from_utf8(plain).unwrap(), expected);
    }
}
