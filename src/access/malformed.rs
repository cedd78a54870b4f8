//! What isn't what it was read as.

use std::fmt;

/// A text isn't what it was to be. Shown, it says what would be right.
///
/// ```
/// let error = "https://app.example/".parse::<landfall::Origin>().unwrap_err();
/// assert!(error.to_string().contains("without a path"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub(super) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}
