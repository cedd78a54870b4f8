//! An event as it is published: a name and a JSON object, both checked.

use std::borrow::Cow;
use std::fmt;

use serde_core::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::job::{EventName, JobId};
use crate::event::key::{self, Content};
use crate::event::lease::{self, Lease};
use crate::event::{Malformed, PastEvent};

/// An event to publish. Its data is one JSON object on one line, so no payload
/// can end a frame early or begin another.
///
/// ```
/// use landfall::{Event, EventError};
/// let event = Event::progress("scanning", 30.0)?;
/// assert_eq!(event.data(), r#"{"stage":"scanning","percent":30}"#);
/// assert_eq!(Event::progress("scanning", f64::NAN), Err(EventError::Percent));
/// assert!(Event::new("progress", r#"{"percent":101}"#).is_err());
/// # Ok::<(), EventError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    name: EventName,
    data: String,
    job_id: NamedJob,
}

/// The job that an event's data names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NamedJob {
    /// None: the server adds it.
    None,
    /// This one.
    One(JobId),
    /// Something that is no job's name, or more than one.
    Nobody,
}

/// What a worker says of a job.
///
/// See [`Saying`](crate::Saying).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Word {
    /// An event, and how long the job may be without another word, where it mustn't be for
    /// ever.
    Event(Event, Option<Lease>),
    /// That the worker is there, which nobody sees, and how long the job may be without
    /// another word.
    Alive(Lease),
}

/// Why a text is no event.
///
/// ```
/// use landfall::{Event, EventError};
/// assert_eq!(Event::new("progress", "[]"), Err(EventError::NotAnObject));
/// assert_eq!(Event::new("reset", "{}"), Err(EventError::Reserved));
/// ```
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventError {
    /// The text isn't JSON of the right shape; what serde_json says of it.
    Shape(String),
    /// The event's or the job's name is no name.
    Name(Malformed),
    /// `data` isn't a JSON object.
    NotAnObject,
    /// `percent` isn't a number from 0 to 100.
    Percent,
    /// The server alone says events of this name.
    Reserved,
    /// `lease` isn't a string that is a lease.
    Lease,
    /// `key` is no key.
    Key,
}

impl Event {
    /// An event named `name` whose data is the JSON object in `json`.
    ///
    /// # Errors
    /// The name breaks the rules of [`EventName`], the text isn't one JSON object, or
    /// its `percent` isn't a number from 0 to 100.
    pub fn new(name: &str, json: &str) -> Result<Event, EventError> {
        let name = name_of(name)?;
        let raw: &RawValue = serde_json::from_slice(json.as_bytes()).map_err(shape)?;
        Event::from_raw(name, raw)
    }

    /// An event named `name` with any data that becomes a JSON object.
    ///
    /// ```
    /// use landfall::{Event, EventError};
    /// use std::collections::BTreeMap;
    /// let event = Event::of("progress", &BTreeMap::from([("percent", 30)])).unwrap();
    /// assert_eq!(event.data(), r#"{"percent":30}"#);
    /// assert_eq!(Event::of("progress", &[30]), Err(EventError::NotAnObject));
    /// ```
    ///
    /// # Errors
    /// As [`Event::new`], and where the data can't be JSON.
    pub fn of(name: &str, data: &(impl Serialize + ?Sized)) -> Result<Event, EventError> {
        let json = serde_json::to_string(data).map_err(shape)?;
        Event::new(name, &json)
    }

    /// `progress` with a stage and a percent.
    ///
    /// # Errors
    /// The percent isn't a number from 0 to 100.
    pub fn progress(stage: &str, percent: f64) -> Result<Event, EventError> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(EventError::Percent);
        }
        // 30.0 is written as 30, as the article does.
        let percent = if percent.fract() == 0.0 {
            serde_json::Value::from(percent as u64)
        } else {
            serde_json::Value::from(percent)
        };
        let stage = serde_json::Value::from(stage);
        Ok(Event {
            name: EventName::PROGRESS,
            data: format!(r#"{{"stage":{stage},"percent":{percent}}}"#),
            job_id: NamedJob::None,
        })
    }

    /// An event of that name without data.
    pub(super) fn bare(name: EventName) -> Event {
        Event {
            name,
            data: "{}".into(),
            job_id: NamedJob::None,
        }
    }

    /// `done`, which ends the job.
    pub fn done() -> Event {
        Event::bare(EventName::DONE)
    }

    /// `error` with a message, which ends the job.
    pub fn error(message: &str) -> Event {
        let message = serde_json::Value::from(message);
        Event {
            name: EventName::ERROR,
            data: format!(r#"{{"message":{message}}}"#),
            job_id: NamedJob::None,
        }
    }

    /// `error` with this data, which is an object, has no `jobId` and no percent, and stands on
    /// one line.
    pub(crate) fn failure(data: &str) -> Event {
        Event {
            name: EventName::ERROR,
            data: data.to_owned(),
            job_id: NamedJob::None,
        }
    }

    /// An event that was accepted before. None where it can't have been: its data would
    /// break a frame.
    pub(crate) fn restored(
        name: &str,
        data: &str,
        names_its_job: bool,
        job: &JobId,
    ) -> Option<Event> {
        PastEvent::new(name, data, names_its_job)?.to_event(job)
    }

    /// The event's name.
    pub fn name(&self) -> &EventName {
        &self.name
    }

    /// The data: a JSON object without white space between its tokens.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Whether the data has a `jobId` of its own.
    pub(crate) fn names_its_job(&self) -> bool {
        self.job_id != NamedJob::None
    }

    /// Whether it may be published to `job`: its data names no other.
    pub fn speaks_for(&self, job: &JobId) -> bool {
        match &self.job_id {
            NamedJob::None => true,
            NamedJob::One(named) => named == job,
            NamedJob::Nobody => false,
        }
    }

    pub(super) fn from_raw(name: EventName, raw: &RawValue) -> Result<Event, EventError> {
        let text = raw.get();
        if !text.starts_with('{') {
            return Err(EventError::NotAnObject);
        }
        let members = Members::read(text)?;
        if !members.percent_fits {
            return Err(EventError::Percent);
        }
        Ok(Event {
            name,
            data: members.data,
            job_id: members.job_id,
        })
    }
}

impl PastEvent<'_> {
    /// The same with text of its own.
    pub(crate) fn to_event(self, job: &JobId) -> Option<Event> {
        Some(Event {
            name: self.name().parse().ok()?,
            data: self.data().to_owned(),
            job_id: if self.names_its_job() {
                NamedJob::One(job.clone())
            } else {
                NamedJob::None
            },
        })
    }
}

impl Word {
    /// The digest of what it says.
    pub(crate) fn content(&self) -> Content {
        match self {
            Word::Event(event, lease) => {
                let (name, data) = (event.name().as_str(), event.data());
                let lease = Lease::bytes(*lease);
                Content::of([b"event", name.as_bytes(), data.as_bytes(), &lease])
            }
            Word::Alive(lease) => Content::of([b"alive", &Lease::bytes(Some(*lease))[..]]),
        }
    }
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventError::Shape(why) => write!(
                f,
                r#"not an event: {why}; an event is {{"event":"progress","data":{{"percent":30}}}}"#
            ),
            EventError::Name(why) => why.fmt(f),
            EventError::NotAnObject => {
                f.write_str(r#"data must be a JSON object, for example {"percent":30}"#)
            }
            EventError::Percent => f.write_str("percent must be a number from 0 to 100"),
            EventError::Reserved => f.write_str(
                "reset, deleted and open are events that the server itself sends: name yours \
                 otherwise",
            ),
            EventError::Lease => lease::WRONG.fmt(f),
            EventError::Key => key::WRONG.fmt(f),
        }
    }
}

impl std::error::Error for EventError {}

pub(super) fn name_of(text: &str) -> Result<EventName, EventError> {
    let name: EventName = text.parse().map_err(EventError::Name)?;
    if name.is_reserved() {
        return Err(EventError::Reserved);
    }
    Ok(name)
}

pub(super) fn shape(error: serde_json::Error) -> EventError {
    EventError::Shape(in_a_line(&error))
}

/// What has to be known of the members of an event's data.
struct Members {
    job_id: NamedJob,
    percent_fits: bool,
    /// All of them, without the white space between the tokens: CR and LF may stand nowhere
    /// else in valid JSON, and in a frame they would end a line.
    data: String,
}

impl Members {
    /// Reads an object that is known to be valid JSON.
    fn read(text: &str) -> Result<Members, EventError> {
        let mut members = Members {
            job_id: NamedJob::None,
            percent_fits: true,
            data: String::with_capacity(text.len()),
        };
        let bytes = text.as_bytes();
        let (mut at, mut copied, mut depth) = (0, 0, 0);
        while let Some(&byte) = bytes.get(at) {
            let begin = at;
            at += 1;
            match byte {
                // Most of what stands between strings: numbers, colons and commas.
                b'#'..=b'Z' => {}
                b'"' => {
                    at = end_of_string(bytes, at);
                    if depth == 1
                        && let Some(value) = behind_colon(&bytes[at..])
                    {
                        members.take(&text[begin..at], &text[at + value..])?;
                    }
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b' ' | b'\t' | b'\r' | b'\n' => {
                    members.data.push_str(&text[copied..begin]);
                    copied = at;
                }
                _ => {}
            }
        }
        members.data.push_str(&text[copied..]);
        Ok(members)
    }

    /// Takes a member's name, in its quotes, and what stands behind its colon.
    fn take(&mut self, name: &str, behind: &str) -> Result<(), EventError> {
        let name = if name.contains('\\') {
            // One that stands for no text, as half a surrogate, is none of those that count.
            serde_json::from_slice(name.as_bytes()).unwrap_or_default()
        } else {
            Cow::from(&name[1..name.len() - 1])
        };
        let value = || {
            let mut values = serde_json::Deserializer::from_slice(behind.as_bytes());
            <&RawValue>::deserialize(&mut values).map_err(shape)
        };
        match &*name {
            "jobId" => {
                let before = std::mem::replace(&mut self.job_id, NamedJob::None);
                self.job_id = before.and(value()?.get());
            }
            "percent" => self.percent_fits &= fits_percent(value()?.get()),
            _ => {}
        }
        Ok(())
    }
}

/// Where the string ends, behind its quote, whose text begins `at` there in valid JSON.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    let next = |at| memchr::memchr2(b'"', b'\\', bytes.get(at..)?);
    while let Some(length) = next(at) {
        if bytes[at + length] == b'"' {
            return at + length + 1;
        }
        // What is behind a backslash ends nothing.
        at += length + 2;
    }
    bytes.len()
}

/// Where in `bytes` a value begins, where they begin with a colon.
fn behind_colon(bytes: &[u8]) -> Option<usize> {
    let colon = bytes.iter().position(|byte| !byte.is_ascii_whitespace())?;
    (bytes[colon] == b':').then_some(colon + 1)
}

impl NamedJob {
    /// The same with another `jobId` member, whose value is `json`.
    fn and(self, json: &str) -> NamedJob {
        let text = serde_json::from_slice::<Cow<'_, str>>(json.as_bytes());
        match (self, text.ok().and_then(|text| text.parse().ok())) {
            (NamedJob::None, Some(job)) => NamedJob::One(job),
            (NamedJob::One(before), Some(job)) if before == job => NamedJob::One(job),
            _ => NamedJob::Nobody,
        }
    }
}

/// Of a value in JSON. A string has its quotes, and is no number.
fn fits_percent(json: &str) -> bool {
    json.parse::<f64>()
        .is_ok_and(|percent| (0.0..=100.0).contains(&percent))
}

/// What serde_json says, which repeats names as they were sent: without what would end a line
/// or steer a terminal.
pub(super) fn in_a_line(error: &serde_json::Error) -> String {
    error.to_string().replace(char::is_control, "\u{fffd}")
}

pub(super) mod plain;
#[cfg(test)]
mod tests;
