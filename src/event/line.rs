//! What a worker says, as it stands in a request.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

use super::publication::{name_of, plain, shape};
use super::{Event, EventError, IdempotencyKey, JobId, Lease, Word};

/// What a worker says, and of which job, where the text names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The `"job"` member.
    pub job: Option<JobId>,
    /// The `"event"`, `"data"` and `"lease"` members.
    pub word: Word,
    /// The `"key"` member.
    pub key: Option<IdempotencyKey>,
}

impl Publication {
    /// Reads `{"event":"progress","data":{...}}`, with `"job"`, `"lease"` and `"key"` where they
    /// are given. Without `data` the data is `{}`. A lease may come without an event.
    ///
    /// # Errors
    /// As [`Event::new`], and for members that are unknown or missing.
    pub fn from_json(text: &[u8]) -> Result<Publication, EventError> {
        let text = std::str::from_utf8(text);
        let text = text.map_err(|error| EventError::Shape(error.to_string()))?;
        match plain::read(text) {
            Some((job, word, key)) => Ok(Publication { job, word, key }),
            None => Publication::by_serde(text),
        }
    }

    /// Reads whatever is right, and says of whatever isn't what is wrong.
    fn by_serde(text: &str) -> Result<Publication, EventError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct LineWire<'a> {
            #[serde(borrow, default, deserialize_with = "given")]
            job: Option<LineText<'a>>,
            #[serde(borrow, default, deserialize_with = "given")]
            event: Option<LineText<'a>>,
            #[serde(borrow, default, deserialize_with = "given")]
            data: Option<&'a RawValue>,
            #[serde(borrow, default, deserialize_with = "given")]
            lease: Option<&'a RawValue>,
            #[serde(borrow, default, deserialize_with = "given")]
            key: Option<LineText<'a>>,
        }
        #[derive(Deserialize)]
        struct LineText<'a>(#[serde(borrow)] Cow<'a, str>);
        // To serde, a list would do.
        let is_object = |text: &str| text.is_empty() || text.starts_with('{');
        if !is_object(text.trim_ascii_start()) {
            return Err(EventError::Shape("it is no object".into()));
        }
        let wire: LineWire = serde_json::from_slice(text.as_bytes()).map_err(shape)?;
        let job = wire
            .job
            .map(|job| job.0.parse())
            .transpose()
            .map_err(EventError::Name)?;
        let lease = wire.lease.map(Lease::from_json).transpose();
        let lease = lease.map_err(|_| EventError::Lease)?;
        let key = wire.key.map(|key| key.0.parse()).transpose();
        let key = key.map_err(|_| EventError::Key)?;
        let Some(name) = wire.event else {
            return match (lease, wire.data) {
                (Some(lease), None) => Ok(Publication {
                    job,
                    word: Word::Alive(lease),
                    key,
                }),
                _ => Err(EventError::Shape("missing field `event`".into())),
            };
        };
        let name = name_of(&name.0)?;
        let event = match wire.data {
            Some(raw) => Event::from_raw(name, raw)?,
            None => Event::bare(name),
        };
        let word = Word::Event(event, lease);
        Ok(Publication { job, word, key })
    }
}

/// A member that is there. To serde, null would be one that isn't.
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::publication::plain::DEPTH_MAX;

    const WHOLE: [&str; 8] = [
        r#"{"event":"progress","data":{"stage":"a","percent":42.5,"n":-1.5E+3}}"#,
        r#"{"job":"a.b","event":"done","data":{},"key":"k1"}"#,
        r#"{"event":"done"}"#,
        r#" { "event" : "x" , "data" : { "a" : [ 1 , 0.5, -0 ] , "b" : {} } } "#,
        r#"{"data":{"jobId":"a","percent":0,"x":[true,false,null,[],{"a":""}]},"event":"x"}"#,
        r#"{"lease":"30s","event":"x","data":{"jobId":7}}"#,
        r#"{"event":"x","data":{"jobId":"a","jobId":"b"}}"#,
        r#"{"event":"x","data":{"text":"ä€😀","e":1e2}}"#,
    ];

    /// Whether it is read in one pass: then it is what serde reads.
    fn agree(text: &str) -> bool {
        let Some((job, word, key)) = plain::read(text) else {
            return false;
        };
        let plain = Publication { job, word, key };
        assert_eq!(Ok(plain), Publication::by_serde(text), "{text}");
        true
    }

    #[test]
    fn what_most_workers_write_is_read_as_serde_reads_it() {
        for text in WHOLE {
            assert!(agree(text), "{text}");
        }
    }

    #[test]
    fn a_byte_more_or_less_or_another_is_read_as_serde_reads_it_or_not_here() {
        let others = "\"\\{}[],:-+.eE019 \n\ttfnu\u{1}x";
        for text in WHOLE {
            for (at, char) in text.char_indices() {
                let (before, after) = (&text[..at], &text[at + char.len_utf8()..]);
                agree(before);
                agree(&format!("{before}{after}"));
                for other in others.chars() {
                    agree(&format!("{before}{other}{after}"));
                    agree(&format!("{before}{other}{char}{after}"));
                }
            }
        }
    }

    #[test]
    fn what_is_deep_or_escaped_is_left_to_serde() {
        let deep = |depth: usize| {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            format!(r#"{{"event":"x","data":{{"a":{open}{close}}}}}"#)
        };
        assert!(agree(&deep(DEPTH_MAX - 1)));
        assert!(!agree(&deep(DEPTH_MAX)));
        for text in [
            r#"{"event":"x","data":{"a":"\n"}}"#,
            r#"{"ev\u0065nt":"x"}"#,
            r#"{"lease":"30s"}"#,
            r#"{"event":"x","event":"x"}"#,
            r#"{"event":"x","other":1}"#,
            r#"{"event":"x","data":{"percent":101}}"#,
        ] {
            assert!(!agree(text), "{text}");
        }
    }
}
