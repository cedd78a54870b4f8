//! The names of things: jobs, events, and the numbers events are given.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use serde_core::{Deserialize, Deserializer, Serialize, Serializer};

use super::Malformed;

/// The longest job name, in bytes.
pub const JOB_ID_MAX_BYTES: usize = 128;
/// The longest event name, in bytes.
pub const EVENT_NAME_MAX_BYTES: usize = 64;

/// A job's name: 1 to 128 of `A-Z a-z 0-9 . _ ~ -`, so that it stands in a URL
/// as it is.
///
/// ```
/// use landfall::JobId;
/// assert!("job_8f3a".parse::<JobId>().is_ok());
/// assert!("a/b".parse::<JobId>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId {
    text: Arc<str>,
    /// The text's hash: an event's name is looked up in several tables.
    hash: u64,
}

/// What a table of jobs hashes their names with: they bring their hashes along.
pub type JobIdHasher = BuildHasherDefault<Brought>;

/// A hash that a key has brought along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Brought(u64);

/// An event's name: 1 to 64 of `A-Z a-z 0-9 . _ -`. `done` and `error` are
/// terminal: no event follows them on a job.
///
/// ```
/// use landfall::EventName;
/// assert!("done".parse::<EventName>().unwrap().is_terminal());
/// assert!("pro\ngress".parse::<EventName>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventName(Cow<'static, str>);

/// An event's number: its place in the one order, the same on every stream, in every answer
/// and in every list. Numbers only grow, and none is given twice. At most [`EventId::MAX`].
///
/// ```
/// use landfall::{Event, EventId, HubConfig, Sequencer};
/// let jobs = Sequencer::in_memory(HubConfig::default());
/// let id: EventId = jobs.publish(&"a".parse().unwrap(), Event::done()).unwrap();
/// assert_eq!(jobs.snapshot(&"a".parse().unwrap()).unwrap().last_event_id, Some(id));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EventId(pub u64);

/// A life of a job: the number of the entry that began it.
///
/// See [`Sequencer::begin`](crate::Sequencer::begin).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LifeId(pub EventId);

/// What a job has come to.
///
/// ```
/// use landfall::{EventName, JobState};
/// assert_eq!(EventName::ERROR.end_state(), Some(JobState::Failed));
/// assert_eq!(JobState::Running.as_str(), "running");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum JobState {
    /// Nothing terminal has been published.
    Running,
    /// It ended with `done`.
    Done,
    /// It ended with `error`.
    Failed,
}

fn check(
    text: &str,
    what: &str,
    max_bytes: usize,
    allowed: &str,
    extra: &[u8],
) -> Result<(), Malformed> {
    if text.is_empty() {
        return Err(Malformed::new(
            "a name is empty: give it at least one character",
        ));
    }
    let why = |why: String| Malformed::from(format!("the {what} name {why}"));
    if text.len() > max_bytes {
        return Err(why(format!("is too long: at most {max_bytes} bytes")));
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || extra.contains(&b);
    if !text.bytes().all(fits) {
        return Err(why(format!("may only hold {allowed}")));
    }
    Ok(())
}

impl FromStr for JobId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let allowed = "A-Z a-z 0-9 . _ ~ -";
        check(text, "job", JOB_ID_MAX_BYTES, allowed, b"._~-")?;
        Ok(JobId {
            text: text.into(),
            hash: SECRET.hash_one(text),
        })
    }
}

impl FromStr for EventName {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        // The three that nearly every event has cost no allocation.
        match text.as_bytes() {
            b"progress" => Ok(EventName::PROGRESS),
            b"done" => Ok(EventName::DONE),
            b"error" => Ok(EventName::ERROR),
            _ => EventName::check(text).map(|()| EventName(Cow::Owned(text.to_owned()))),
        }
    }
}

/// Names are anybody's to choose, so their hashes have a secret.
#[cfg(not(test))]
static SECRET: LazyLock<std::hash::RandomState> = LazyLock::new(Default::default);
/// A simulation goes through them in the same order every time.
#[cfg(test)]
static SECRET: LazyLock<BuildHasherDefault<std::hash::DefaultHasher>> =
    LazyLock::new(Default::default);

impl Hash for JobId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hasher for Brought {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl JobId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl EventId {
    /// The highest there is, 2^53 - 1: JavaScript's numbers hold it exactly.
    pub const MAX: EventId = EventId((1 << 53) - 1);
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EventId, D::Error> {
        u64::deserialize(deserializer).map(EventId)
    }
}

impl Serialize for LifeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LifeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LifeId, D::Error> {
        EventId::deserialize(deserializer).map(LifeId)
    }
}

impl EventName {
    /// `progress`.
    pub const PROGRESS: EventName = EventName(Cow::Borrowed("progress"));
    /// `done`, which ends a job.
    pub const DONE: EventName = EventName(Cow::Borrowed("done"));
    /// `error`, which ends a job.
    pub const ERROR: EventName = EventName(Cow::Borrowed("error"));

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is such a name.
    pub(super) fn check(text: &str) -> Result<(), Malformed> {
        let allowed = "A-Z a-z 0-9 . _ -";
        check(text, "event", EVENT_NAME_MAX_BYTES, allowed, b"._-")
    }

    /// Whether the server alone says events of this name.
    pub fn is_reserved(&self) -> bool {
        matches!(self.0.as_bytes(), b"reset" | b"deleted" | b"open")
    }

    /// Whether a job ends with an event of this name.
    pub fn is_terminal(&self) -> bool {
        self.end_state().is_some()
    }

    /// The state that an event of this name puts its job in, where it ends it.
    pub fn end_state(&self) -> Option<JobState> {
        JobState::ended_by(self.as_str())
    }
}

impl JobState {
    /// The state that an event of this name puts its job in, where it ends it.
    pub(crate) fn ended_by(event: &str) -> Option<JobState> {
        match event.as_bytes() {
            b"done" => Some(JobState::Done),
            b"error" => Some(JobState::Failed),
            _ => None,
        }
    }

    /// The word the API uses for it.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Failed => "error",
        }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_name_is_1_to_128_unreserved_characters() {
        for good in ["a", "job_8f3a", "A.b_c~d-9", "x".repeat(128).as_str()] {
            assert_eq!(good.parse::<JobId>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "a b",
            "a/b",
            "a\n",
            "a\0",
            "é",
            "x".repeat(129).as_str(),
            "*",
        ] {
            assert!(bad.parse::<JobId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_event_name_is_1_to_64_and_has_no_tilde() {
        assert!("x".repeat(64).parse::<EventName>().is_ok());
        for bad in ["", "a~", "a:b", "a\r", "x".repeat(65).as_str()] {
            assert!(bad.parse::<EventName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_the_server_says_itself_is_reserved() {
        let is_reserved = |s: &str| s.parse::<EventName>().unwrap().is_reserved();
        assert!(["reset", "deleted", "open"].into_iter().all(is_reserved));
        assert!(!["progress", "Reset", "opened"].into_iter().any(is_reserved));
    }

    #[test]
    fn only_done_and_error_are_terminal() {
        let state = |s: &str| s.parse::<EventName>().unwrap().end_state();
        assert_eq!(state("done"), Some(JobState::Done));
        assert_eq!(state("error"), Some(JobState::Failed));
        assert_eq!(state("progress"), None);
        assert_eq!(state("Done"), None);
    }
}
