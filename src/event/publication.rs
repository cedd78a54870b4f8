//! An event as it is published: a name and a JSON object, both checked.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::job::{EventName, JobId, NameError};

/// An event to publish. Its data is one JSON object on one line, so no payload
/// can end a frame early or begin another.
///
/// ```
/// use landfall::Event;
/// let event = Event::progress("scanning", 30.0);
/// assert_eq!(event.data(), r#"{"stage":"scanning","percent":30}"#);
/// assert!(Event::new("progress", r#"{"percent":101}"#).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    name: EventName,
    data: String,
    names_its_job: bool,
}

/// An event and the job it is for, where the text names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The `"job"` member.
    pub job: Option<JobId>,
    /// The `"event"` and `"data"` members.
    pub event: Event,
}

/// Why a text is no event.
#[derive(Debug, PartialEq, Eq)]
pub enum EventError {
    /// The text isn't JSON of the right shape; what serde_json says of it.
    Shape(String),
    /// The event's or the job's name is no name.
    Name(NameError),
    /// `data` isn't a JSON object.
    NotAnObject,
    /// `percent` isn't a number from 0 to 100.
    Percent,
}

impl Event {
    /// An event named `name` whose data is the JSON object in `json`.
    ///
    /// # Errors
    /// The name breaks the rules of [`EventName`], the text isn't one JSON object, or
    /// its `percent` isn't a number from 0 to 100.
    pub fn new(name: &str, json: &str) -> Result<Event, EventError> {
        let name = name.parse().map_err(EventError::Name)?;
        let raw: &RawValue = serde_json::from_str(json).map_err(shape)?;
        Event::from_raw(name, raw)
    }

    /// `progress` with a stage and a percent, which is brought into 0 to 100.
    pub fn progress(stage: &str, percent: f64) -> Event {
        let percent = if percent.is_finite() {
            percent.clamp(0.0, 100.0)
        } else {
            0.0
        };
        // 30.0 is written as 30, as the article does.
        let percent = if percent.fract() == 0.0 {
            serde_json::Value::from(percent as u64)
        } else {
            serde_json::Value::from(percent)
        };
        let stage = serde_json::Value::from(stage);
        Event {
            name: EventName::PROGRESS,
            data: format!(r#"{{"stage":{stage},"percent":{percent}}}"#),
            names_its_job: false,
        }
    }

    /// `done`, which ends the job.
    pub fn done() -> Event {
        Event {
            name: EventName::DONE,
            data: "{}".into(),
            names_its_job: false,
        }
    }

    /// `error` with a message, which ends the job.
    pub fn error(message: &str) -> Event {
        let message = serde_json::Value::from(message);
        Event {
            name: EventName::ERROR,
            data: format!(r#"{{"message":{message}}}"#),
            names_its_job: false,
        }
    }

    /// An event that was accepted before. None where it can't have been: its data would
    /// break a frame.
    pub(crate) fn from_journal(name: &str, data: &str, names_its_job: bool) -> Option<Event> {
        let is_line = data.bytes().all(|byte| byte >= b' ');
        if !is_line || !data.starts_with('{') || !data.ends_with('}') {
            return None;
        }
        Some(Event {
            name: name.parse().ok()?,
            data: data.to_owned(),
            names_its_job,
        })
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
        self.names_its_job
    }

    fn from_raw(name: EventName, raw: &RawValue) -> Result<Event, EventError> {
        let text = raw.get();
        if !text.starts_with('{') {
            return Err(EventError::NotAnObject);
        }
        let members: Members = serde_json::from_str(text).map_err(shape)?;
        if !members.percent_fits {
            return Err(EventError::Percent);
        }
        Ok(Event {
            name,
            data: compact(text),
            names_its_job: members.has_job_id,
        })
    }
}

impl Publication {
    /// Reads `{"event":"progress","data":{...}}`, with `"job"` where it is given.
    /// Without `data` the data is `{}`.
    ///
    /// # Errors
    /// As [`Event::new`], and for members that are unknown or missing.
    pub fn from_json(text: &[u8]) -> Result<Publication, EventError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire<'a> {
            #[serde(borrow, default, deserialize_with = "given")]
            job: Option<Text<'a>>,
            #[serde(borrow)]
            event: Cow<'a, str>,
            #[serde(borrow, default, deserialize_with = "given")]
            data: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
        let wire: Wire = serde_json::from_slice(text).map_err(shape)?;
        let job = wire
            .job
            .map(|job| job.0.parse())
            .transpose()
            .map_err(EventError::Name)?;
        let name = wire.event.parse().map_err(EventError::Name)?;
        let event = match wire.data {
            Some(raw) => Event::from_raw(name, raw)?,
            None => Event {
                name,
                data: "{}".into(),
                names_its_job: false,
            },
        };
        Ok(Publication { job, event })
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
        }
    }
}

impl std::error::Error for EventError {}

fn shape(error: serde_json::Error) -> EventError {
    EventError::Shape(error.to_string())
}

/// A member that is there. To serde, null would be one that isn't.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// What has to be known of the members of `data`.
struct Members {
    has_job_id: bool,
    percent_fits: bool,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct EachMember;
        impl<'de> Visitor<'de> for EachMember {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members {
                    has_job_id: false,
                    percent_fits: true,
                };
                while let Some(key) = map.next_key::<Key>()? {
                    let value: &RawValue = map.next_value()?;
                    match key {
                        Key::JobId => members.has_job_id = true,
                        Key::Percent => members.percent_fits &= fits_percent(value.get()),
                        Key::Other => {}
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(EachMember)
    }
}

enum Key {
    JobId,
    Percent,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(match name {
                    "jobId" => Key::JobId,
                    "percent" => Key::Percent,
                    _ => Key::Other,
                })
            }
        }
        deserializer.deserialize_str(Name)
    }
}

fn fits_percent(json: &str) -> bool {
    serde_json::from_str::<f64>(json).is_ok_and(|percent| (0.0..=100.0).contains(&percent))
}

/// Takes the white space between the tokens out: CR and LF may stand nowhere else in
/// valid JSON, and in a frame they would end a line.
fn compact(json: &str) -> String {
    if !json.bytes().any(|byte| byte <= b' ') {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len());
    let mut in_string = false;
    let mut escaped = false;
    for c in json.chars() {
        if in_string {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
        } else if matches!(c, ' ' | '\t' | '\r' | '\n') {
            continue;
        } else if c == '"' {
            in_string = true;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Publication, EventError> {
        Publication::from_json(text.as_bytes())
    }

    #[test]
    fn an_event_is_a_name_and_an_object() {
        let published = read(r#"{"event":"progress","data":{"percent":30}}"#).unwrap();
        assert_eq!(published.event.name().as_str(), "progress");
        assert_eq!(published.event.data(), r#"{"percent":30}"#);
        assert_eq!(published.job, None);
        assert_eq!(read(r#"{"event":"done"}"#).unwrap().event.data(), "{}");
        let job = read(r#"{"job":"a","event":"done"}"#).unwrap().job;
        assert_eq!(job, Some("a".parse().unwrap()));
    }

    #[test]
    fn line_ends_between_tokens_go_and_those_in_strings_are_escapes() {
        let event = Event::new("x", "{\r\n \"a b\" : [ 1 ,\t2 ],\n\"s\":\"\\\" \\n\" }").unwrap();
        assert_eq!(event.data(), r#"{"a b":[1,2],"s":"\" \n"}"#);
        assert!(Event::new("x", "{\"s\":\"\n\"}").is_err());
        assert!(Event::new("x", "{\"s\":\"\0\"}").is_err());
    }

    #[test]
    fn compacting_keeps_the_value() {
        let text = r#" { "k\\" : " \\" , "é" : [ { } , " \u0000 " ] , "n" : -1.5e3 } "#;
        let event = Event::new("x", text).unwrap();
        let before: serde_json::Value = serde_json::from_str(text).unwrap();
        let after: serde_json::Value = serde_json::from_str(event.data()).unwrap();
        assert_eq!(before, after);
    }

    #[test]
    fn data_must_be_an_object() {
        for data in ["[]", "1", "\"{}\"", "null", "true"] {
            assert_eq!(
                Event::new("x", data),
                Err(EventError::NotAnObject),
                "{data}"
            );
        }
    }

    #[test]
    fn null_is_neither_data_nor_a_job() {
        let data = read(r#"{"event":"x","data":null}"#);
        assert_eq!(data, Err(EventError::NotAnObject));
        let job = read(r#"{"event":"x","job":null}"#);
        assert!(matches!(job, Err(EventError::Shape(_))), "{job:?}");
    }

    #[test]
    fn percent_is_a_number_from_0_to_100_also_when_spelt_with_escapes() {
        for good in ["0", "100", "33.3", "1e2"] {
            assert!(Event::new("progress", &format!(r#"{{"percent":{good}}}"#)).is_ok());
        }
        for bad in ["-1", "100.1", "\"30\"", "null", "[1]", "1e999"] {
            let data = format!(r#"{{"percent":{bad}}}"#);
            assert_eq!(
                Event::new("progress", &data),
                Err(EventError::Percent),
                "{bad}"
            );
        }
        let escaped = r#"{"perc\u0065nt":200}"#;
        assert_eq!(Event::new("progress", escaped), Err(EventError::Percent));
        let twice = r#"{"percent":1,"percent":200}"#;
        assert_eq!(Event::new("progress", twice), Err(EventError::Percent));
    }

    #[test]
    fn a_job_id_in_the_data_is_noticed_at_the_top_only() {
        assert!(
            Event::new("x", r#"{"a":1,"jobId":"j"}"#)
                .unwrap()
                .names_its_job()
        );
        assert!(
            !Event::new("x", r#"{"a":{"jobId":"j"}}"#)
                .unwrap()
                .names_its_job()
        );
    }

    #[test]
    fn what_is_no_event_says_what_would_be_one() {
        for text in [
            "",
            "{",
            "[]",
            r#"{"data":{}}"#,
            r#"{"event":"a","date":{}}"#,
            "{}{}",
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(
                message.contains(r#"{"event":"progress""#),
                "{text}: {message}"
            );
        }
        assert!(matches!(
            read(r#"{"event":"a\nb"}"#),
            Err(EventError::Name(_))
        ));
    }

    #[test]
    fn nesting_however_deep_is_an_answer_and_no_overflow() {
        let deep = format!(r#"{{"event":"x","data":{{"a":{}}}}}"#, "[".repeat(60_000));
        assert!(read(&deep).is_err());
        let deep = format!(
            r#"{{"event":"x","data":{{"a":{}{}}}}}"#,
            "[".repeat(30_000),
            "]".repeat(30_000)
        );
        let _ = read(&deep);
    }
}
