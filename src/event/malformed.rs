//! What isn't what it was read as.

use std::borrow::Cow;
use std::fmt;

/// A text isn't what it was to be. Shown, it says what would be right.
///
/// ```
/// let error = "30".parse::<landfall::Lease>().unwrap_err();
/// assert!(error.to_string().contains("with a unit"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(Cow<'static, str>);

impl Malformed {
    /// What would be right.
    pub(crate) const fn new(what: &'static str) -> Malformed {
        Malformed(Cow::Borrowed(what))
    }
}

impl From<String> for Malformed {
    fn from(what: String) -> Malformed {
        Malformed(Cow::Owned(what))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}
