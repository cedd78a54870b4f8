//! What a life may begin with, besides its name.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::line::given;
use super::publication::in_a_line;
use super::{Content, Lease, lease};

/// What a life begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    /// How long the first word may take.
    pub lease: Option<Lease>,
}

/// Why a text is nothing that a life begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum BeginningError {
    /// It isn't JSON of the right shape; what serde_json says of it.
    Shape(String),
    /// `lease` isn't a string that is a lease.
    Lease,
}

impl Beginning {
    /// Reads `{"lease":"30s"}`. Nothing at all is as good as `{}`.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_json(text: &[u8]) -> Result<Beginning, BeginningError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct BeginningWire<'a> {
            #[serde(borrow, default, deserialize_with = "given")]
            lease: Option<&'a RawValue>,
        }
        let text = text.trim_ascii();
        if text.is_empty() {
            return Ok(Beginning::default());
        }
        // To serde, a list would do.
        if !text.starts_with(b"{") {
            return Err(BeginningError::Shape("it is no object".into()));
        }
        let wire: BeginningWire = serde_json::from_slice(text)
            .map_err(|error| BeginningError::Shape(in_a_line(&error)))?;
        let lease = wire.lease.map(Lease::from_json).transpose();
        let lease = lease.map_err(|_| BeginningError::Lease)?;
        Ok(Beginning { lease })
    }

    /// The digest of it, and of what else the life begins with.
    pub(crate) fn content(&self, what: &[u8]) -> Content {
        Content::of([b"begin", what, &Lease::bytes(self.lease)])
    }
}

impl fmt::Display for BeginningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BeginningError::Shape(why) => write!(
                f,
                r#"not what a life begins with: {why}; that is {{"lease":"30s"}}, or nothing"#
            ),
            BeginningError::Lease => lease::WRONG.fmt(f),
        }
    }
}

impl std::error::Error for BeginningError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_begins_with_a_lease_or_without_anything() {
        for text in ["", " \n", "{}", " {} "] {
            let read = Beginning::from_json(text.as_bytes());
            assert_eq!(read, Ok(Beginning::default()), "{text:?}");
        }
        let read = Beginning::from_json(br#" {"lease" : "30s"} "#).unwrap();
        assert_eq!(read.lease, "30s".parse().ok());
    }

    #[test]
    fn what_a_life_does_not_begin_with_is_refused() {
        for lease in ["null", "30", "\"0s\"", "\"1year\"", "{}", "[\"30s\"]"] {
            let text = format!(r#"{{"lease":{lease}}}"#);
            let read = Beginning::from_json(text.as_bytes());
            assert_eq!(read, Err(BeginningError::Lease), "{text}");
        }
        for text in [
            "x",
            "null",
            "[]",
            r#"["30s"]"#,
            r#"{"event":"progress"}"#,
            r#"{"lease":"1s","lease":"2s"}"#,
            "{}{}",
        ] {
            let read = Beginning::from_json(text.as_bytes());
            assert!(matches!(read, Err(BeginningError::Shape(_))), "{text}");
        }
    }
}
