//! Events as bytes on the wire (WHATWG HTML 9.2), each in a chunk of its own
//! (RFC 9112 section 7.1).
//!
//! A frame is `event:`, `data:`, `id:` and a blank line. The id comes last because
//! popular clients commit an id when its line arrives: first, it would outlive an
//! event that was cut in half. The chunk's own lines go with it wherever it is kept, so
//! a frame is the same bytes on every stream.

use std::ops::Range;
use std::time::Duration;

use super::job::{EventId, JobId};
use super::resume::ResetReason;
use super::{Event, PastEvent};

/// What an idle stream is sent. There is no blank line behind it: some clients fire
/// an empty event for a block without data.
pub const HEARTBEAT: &[u8] = b"2\r\n:\n\r\n";
/// The same for a client of HTTP/1.0, that knows no chunks.
pub const PLAIN_HEARTBEAT: &[u8] = b":\n";
/// What a stream in chunks ends with, where it ends as it should.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The name of the event with which a deleted life ends.
pub const DELETED: &str = "deleted";

/// What an event is to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// The next of its kind takes its place.
    Progress,
    /// A stream of its job ends with it.
    Terminal,
    /// Neither.
    Other,
}

/// An event as it is sent.
pub struct Frame {
    id: EventId,
    kind: FrameKind,
    text: String,
}

impl FrameKind {
    /// That of the events of this name.
    pub fn of(name: &str) -> FrameKind {
        match name.as_bytes() {
            b"progress" => FrameKind::Progress,
            b"done" | b"error" | b"deleted" => FrameKind::Terminal,
            _ => FrameKind::Other,
        }
    }
}

impl Frame {
    /// The frame of `job`'s event numbered `id`.
    pub fn new(job: &JobId, event: &Event, id: EventId) -> Frame {
        let names_its_job = event.names_its_job();
        Frame::of(event.name().as_str(), job, event.data(), names_its_job, id)
    }

    /// The frame of `job`'s event numbered `id`, which was accepted before.
    pub fn of_past(job: &JobId, event: PastEvent<'_>, id: EventId) -> Frame {
        Frame::of(event.name(), job, event.data(), event.names_its_job(), id)
    }

    /// The frame which says that `job` was deleted, by the entry numbered `id`.
    pub fn deleted(job: &JobId, id: EventId) -> Frame {
        Frame::of(DELETED, job, "{}", false, id)
    }

    fn of(name: &str, job: &JobId, data: &str, names_its_job: bool, id: EventId) -> Frame {
        // What follows the opening brace: "}" of an empty object, or its members.
        let rest = &data[1..];
        let (open, job, close) = match rest {
            _ if names_its_job => ("\ndata: {", "", ""),
            "}" => ("\ndata: {\"jobId\":\"", job.as_str(), "\""),
            _ => ("\ndata: {\"jobId\":\"", job.as_str(), "\","),
        };
        let mut digits = itoa::Buffer::new();
        let number = digits.format(id.0);
        let lines = [
            "\r\nevent: ",
            name,
            open,
            job,
            close,
            rest,
            "\nid: ",
            number,
            "\n\n\r\n",
        ];
        let length = lines.iter().map(|part| part.len()).sum::<usize>();
        let mut digits = Digits::default();
        let length_line = hex(length - 2 * "\r\n".len(), &mut digits);
        let mut text = String::with_capacity(length_line.len() + length);
        text.push_str(length_line);
        lines.iter().for_each(|part| text.push_str(part));
        Frame {
            id,
            kind: FrameKind::of(name),
            text,
        }
    }

    /// Its event's number.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// What it is to a stream.
    pub fn kind(&self) -> FrameKind {
        self.kind
    }

    /// Its bytes, with its chunk's own lines.
    pub fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
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

/// The length of the chunk that `bytes` begin with, and where its payload lies.
pub fn first(bytes: &[u8]) -> Option<(usize, Range<usize>)> {
    let (payload, rest) = split_chunk(bytes)?;
    let length = bytes.len() - rest.len();
    let end = length - "\r\n".len();
    Some((length, end - payload.len()..end))
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
    let mut digits = Digits::default();
    let chunk = [hex(payload.len(), &mut digits), "\r\n", payload, "\r\n"];
    out.extend_from_slice(chunk.concat().as_bytes());
}

/// Room for a number's digits.
type Digits = [u8; 2 * size_of::<usize>()];

fn hex(value: usize, digits: &mut Digits) -> &str {
    let mut begin = digits.len();
    let mut rest = value;
    loop {
        begin -= 1;
        digits[begin] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    std::str::from_utf8(&digits[begin..]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(job: &str, event: &Event, id: u64) -> String {
        let job = job.parse().unwrap();
        let frame = Frame::new(&job, event, EventId(id));
        String::from_utf8(frame.bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_frame_is_a_chunk_with_event_data_id_and_a_blank_line() {
        assert_eq!(
            frame("job_8f3a", &Event::progress("scanning", 30.0).unwrap(), 1),
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
            let text = frame("j", &Event::error(&"x".repeat(length)), 7);
            let mut payload = Vec::new();
            unchunk(text.as_bytes(), &mut payload);
            let line = format!("{:x}\r\n", payload.len());
            assert!(text.starts_with(&line), "{length}");
            assert_eq!(text.len(), line.len() + payload.len() + 2);
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
