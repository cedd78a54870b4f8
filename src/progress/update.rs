//! What a command said about its progress.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::measure::tenths;

/// The most that is told of a command that goes on, in percent.
const MOST_BEFORE_THE_END: f64 = 99.9;

/// Which of a command's outputs bytes come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// One thing a command said about its progress.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Update {
    /// The stage it is in; `None` where it did not say, so it is the one before.
    pub stage: Option<String>,
    /// How far it is, from 0 to 100, where it can be known.
    pub percent: Option<f64>,
    /// What else there was to say: the other fields of a JSON line.
    pub extra: Map<String, Value>,
}

/// Whether a line was some program's, and what it told.
#[derive(Debug, PartialEq)]
pub(super) enum LineReading {
    NotMine,
    Mine(Option<Update>),
}

/// How far a whole is, in percent with one decimal, that is `within` of its part `part`;
/// the first of its `parts` is 0, and each is as much as the others.
///
/// ```
/// assert_eq!(landfall::internals::progress::overall(1, 0.5, 4), 37.5);
/// assert_eq!(landfall::internals::progress::overall(3, 1.0, 4).to_string(), "100");
/// ```
pub fn overall(part: usize, within: f64, parts: usize) -> Value {
    let tenths = (part as f64 + within.clamp(0.0, 1.0)) / parts.max(1) as f64 * 1000.0;
    let percent = tenths.floor().min(1000.0) / 10.0;
    if percent.fract() == 0.0 {
        (percent as u64).into()
    } else {
        percent.into()
    }
}

impl Update {
    /// An update that tells a percentage and nothing else.
    pub fn percent(percent: f64) -> Update {
        Update {
            percent: Some(percent),
            ..Update::default()
        }
    }

    /// One that tells a part of 1, in percent with one decimal, rounded down so that 100 is not
    /// told before the end; `None` where it is no part.
    pub(super) fn part(part: f64) -> Option<Update> {
        let percent = tenths(part);
        (0.0..=100.0)
            .contains(&percent)
            .then(|| Update::percent(percent))
    }

    /// The same, where the command goes on: all of it is done when it has ended, whatever it says
    /// of one of its phases.
    pub(super) fn before_the_end(mut self) -> Update {
        self.percent = self.percent.map(|percent| percent.min(MOST_BEFORE_THE_END));
        self
    }

    /// The update as the data of a `progress` event, in JSON: `stage`, `percent`,
    /// and then the rest.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and JSON values can be written")
    }
}

impl Serialize for Update {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(stage) = &self.stage {
            map.serialize_entry("stage", stage)?;
        }
        match self.percent {
            // A whole percentage is written without a decimal point.
            Some(percent) if percent.fract() == 0.0 => {
                map.serialize_entry("percent", &(percent as u8))?;
            }
            Some(percent) => map.serialize_entry("percent", &percent)?,
            None => {}
        }
        for (key, value) in &self.extra {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}
