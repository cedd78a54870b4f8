//! What a worker says, as it stands in a request.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

use super::publication::{name_of, shape};
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
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire<'a> {
            #[serde(borrow, default, deserialize_with = "given")]
            job: Option<Text<'a>>,
            #[serde(borrow, default, deserialize_with = "given")]
            event: Option<Text<'a>>,
            #[serde(borrow, default, deserialize_with = "given")]
            data: Option<&'a RawValue>,
            #[serde(borrow, default, deserialize_with = "given")]
            lease: Option<&'a RawValue>,
            #[serde(borrow, default, deserialize_with = "given")]
            key: Option<Text<'a>>,
        }
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
        let text = std::str::from_utf8(text);
        let text = text.map_err(|error| EventError::Shape(error.to_string()))?;
        let wire: Wire = serde_json::from_str(text).map_err(shape)?;
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
