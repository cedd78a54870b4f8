//! Events: whatever is published is one frame, and reads back as what it was.

use landfall::internals::event::frame::{self, Frame};
use landfall::internals::event::{Beginning, Publication, Word};
use landfall::internals::routes::snapshot_json;
use landfall::{EventId, HubConfig, IdempotencyKey, JobId, Lease, Sequencer};
use serde_json::Value;

use super::sse::{Fired, read};

/// The input is what a worker publishes, and what a stream's reader gets.
pub fn check(input: &[u8]) {
    super::event_stream::check(input);
    begins_or_says_why(input);
    let (job, word) = match Publication::from_json(input) {
        Ok(Publication { job, word, key: _ }) => (job, word),
        Err(error) => return assert!(!error.to_string().contains(char::is_control)),
    };
    let lease = match &word {
        Word::Event(_, lease) => *lease,
        Word::Alive(lease) => Some(*lease),
        _ => None,
    };
    if let Some(lease) = lease {
        assert!((Lease::MIN..=Lease::MAX).contains(&lease.duration()));
    }
    let Word::Event(event, _) = word else { return };
    let published = job.clone();
    let job: JobId = job.unwrap_or_else(|| "a".parse().unwrap());
    assert!(!event.data().contains(['\r', '\n', '\0']));
    if !event.speaks_for(&job) {
        return;
    }
    let frame = Frame::new(&job, &event, EventId(7));
    let (name, data) = frame::parse(frame.bytes()).expect("no frame");
    let mut bytes = Vec::new();
    frame::unchunk(frame.bytes(), &mut bytes);
    assert_eq!(name, event.name().as_str());
    let data = data.to_owned();
    // It neither begins a frame nor goes on into the next.
    let mut stream = b"retry: 1\n".to_vec();
    stream.extend_from_slice(&bytes);
    stream.extend_from_slice(b":\n");
    stream.extend_from_slice(&bytes);
    let fired = Fired {
        event: event.name().to_string(),
        data: data.clone(),
        id: "7".to_owned(),
    };
    assert_eq!(read(&stream), [fired.clone(), fired]);
    super::event_stream::check(&stream);
    if let (Ok(before), Ok(after)) = (
        serde_json::from_slice::<Value>(input),
        serde_json::from_str::<Value>(&data),
    ) {
        keeps_its_value(&before["data"], after, &job);
    }
    let jobs = Sequencer::in_memory(HubConfig::default());
    if jobs.publish(&job, event.clone()).is_ok() {
        let snapshot = snapshot_json(&jobs.snapshot(&job).unwrap());
        let raw: Result<&serde_json::value::RawValue, _> = serde_json::from_str(&snapshot);
        raw.unwrap_or_else(|error| panic!("{error}: {snapshot}"));
    }
    // What was read can be written, and is read as the same.
    let name = event.name();
    let data = event.data();
    let in_json = |lease: Lease| format!(r#","lease":"{}ms""#, lease.duration().as_millis());
    let of_it = lease.map_or(String::new(), in_json);
    let again = match &published {
        Some(job) => format!(r#"{{"data":{data},"job":"{job}","event":"{name}"{of_it}}}"#),
        None => format!(r#"{{"event":"{name}","data":{data}{of_it}}}"#),
    };
    let again = Publication::from_json(again.as_bytes()).expect("not read again");
    let (job, word) = (published, Word::Event(event, lease));
    let key = None;
    assert_eq!(again, Publication { job, word, key });
}

/// What a life begins with, and what a change is called.
fn begins_or_says_why(input: &[u8]) {
    match Beginning::from_json(input) {
        Ok(Beginning { lease }) => {
            assert!(lease.is_none_or(|lease| (Lease::MIN..=Lease::MAX).contains(&lease.duration())))
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
    let text = String::from_utf8_lossy(input);
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    let key = text.parse::<IdempotencyKey>();
    assert_eq!(key.is_ok(), is_visible && (1..=255).contains(&text.len()));
}

/// The data is what was published, and `jobId` where that was absent.
fn keeps_its_value(before: &Value, mut after: Value, job: &JobId) {
    let has_job_id = before.get("jobId").is_some();
    let members = after.as_object_mut().expect("no object");
    if !has_job_id {
        assert_eq!(members.remove("jobId"), Some(job.as_str().into()));
    }
    match before {
        Value::Null => assert!(members.is_empty()),
        before => assert_eq!(*before, after),
    }
    if let Some(percent) = before.get("percent") {
        assert!((0.0..=100.0).contains(&percent.as_f64().expect("no number")));
    }
}
