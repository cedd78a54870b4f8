//! Events as bytes on the wire (WHATWG HTML 9.2).
//!
//! A frame is `event:`, `data:`, `id:` and a blank line. The id comes last because
//! popular clients commit an id when its line arrives: first, it would outlive an
//! event that was cut in half.

use std::time::Duration;

use crate::event::Event;
use crate::event::job::JobId;
use crate::event::resume::ResetReason;

/// What an idle stream is sent. There is no blank line behind it: some clients fire
/// an empty event for a block without data.
pub const HEARTBEAT: &[u8] = b":\n";

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

/// The part of a frame that is the same on every stream: all but the id.
pub fn write_body(out: &mut impl Sink, job: &JobId, event: &Event) {
    let mut put = |text: &str| out.put(text);
    put("event: ");
    put(event.name().as_str());
    put("\ndata: ");
    if event.names_its_job() {
        put(event.data());
    } else {
        put("{\"jobId\":\"");
        put(job.as_str());
        put("\"");
        // What follows the opening brace: "}" of an empty object, or its members.
        let rest = &event.data()[1..];
        if rest != "}" {
            put(",");
        }
        put(rest);
    }
    put("\n");
}

/// How many bytes [`write_body`] writes.
pub fn body_bytes(job: &JobId, event: &Event) -> usize {
    struct Count(usize);
    impl Sink for Count {
        fn put(&mut self, text: &str) {
            self.0 += text.len();
        }
    }
    let mut count = Count(0);
    write_body(&mut count, job, event);
    count.0
}

/// The end of a frame: its id and the blank line.
pub fn write_end(out: &mut Vec<u8>, id: u64) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
    out.extend_from_slice(b"\n\n");
}

/// A whole `reset` frame: events after `last_event_id` are not to be had, and the
/// stream goes on after `id`.
pub fn write_reset(
    out: &mut Vec<u8>,
    job: &str,
    reason: ResetReason,
    last_event_id: &str,
    id: u64,
) {
    // As a JSON value, since it may be whatever the client has sent.
    let last_event_id = serde_json::Value::from(last_event_id);
    let reason = reason.as_str();
    let data = format!(r#"{{"jobId":"{job}","reason":"{reason}","lastEventId":{last_event_id}}}"#);
    out.extend_from_slice(b"event: reset\ndata: ");
    out.extend_from_slice(data.as_bytes());
    out.push(b'\n');
    write_end(out, id);
}

/// A `retry:` line. There is no blank line behind it, so it belongs to the next frame.
pub fn write_retry(out: &mut Vec<u8>, wait: Duration) {
    out.extend_from_slice(b"retry: ");
    out.extend_from_slice(itoa::Buffer::new().format(wait.as_millis()).as_bytes());
    out.push(b'\n');
}

/// The event's name and data in a frame's body, as [`write_body`] wrote it.
pub fn parse_body(body: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(body).ok()?;
    let (name, rest) = text.strip_prefix("event: ")?.split_once('\n')?;
    Some((name, rest.strip_prefix("data: ")?.strip_suffix('\n')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(job: &str, event: &Event, id: u64) -> String {
        let mut out = Vec::new();
        write_body(&mut out, &job.parse().unwrap(), event);
        write_end(&mut out, id);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_frame_is_event_data_id_and_a_blank_line() {
        assert_eq!(
            frame("job_8f3a", &Event::progress("scanning", 30.0), 1),
            "event: progress\n\
             data: {\"jobId\":\"job_8f3a\",\"stage\":\"scanning\",\"percent\":30}\n\
             id: 1\n\n"
        );
    }

    #[test]
    fn an_empty_object_and_one_that_names_its_job_stay_json() {
        assert!(frame("j", &Event::done(), 1).contains("data: {\"jobId\":\"j\"}\n"));
        let named = Event::new("x", r#"{"a":1,"jobId":"other"}"#).unwrap();
        assert!(frame("j", &named, 1).contains("data: {\"a\":1,\"jobId\":\"other\"}\n"));
    }

    #[test]
    fn a_reset_encodes_whatever_the_client_sent() {
        let mut out = Vec::new();
        write_reset(&mut out, "j", ResetReason::Unknown, "a\"\n\r\0é", 7);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 4);
        let data = text.lines().nth(1).unwrap().strip_prefix("data: ").unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["lastEventId"], "a\"\n\r\0é");
        assert_eq!(data["reason"], "unknown");
        assert_eq!(data["jobId"], "j");
        assert!(text.ends_with("\nid: 7\n\n"));
    }

    #[test]
    fn a_body_reads_back() {
        let mut out = Vec::new();
        write_body(&mut out, &"j".parse().unwrap(), &Event::error("no\nroom"));
        let (name, data) = parse_body(&out).unwrap();
        assert_eq!(name, "error");
        assert_eq!(data, r#"{"jobId":"j","message":"no\nroom"}"#);
    }
}
