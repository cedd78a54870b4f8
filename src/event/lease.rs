//! How long a job may be without a word from its worker.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde_json::value::RawValue;

use super::Malformed;

pub(super) const WRONG: Malformed = Malformed::new(
    r#"a lease is how long the job may be without a word, from "1s" to "24h": a string, with a unit, as "30s" or "5m""#,
);

/// How long a job may be without a word from its worker: 1 s to 24 h.
///
/// ```
/// use landfall::Lease;
/// assert!("30s".parse::<Lease>().is_ok());
/// for wrong in ["30", "0s", "999ms", "25h", "soon"] {
///     assert!(wrong.parse::<Lease>().is_err());
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    ms: NonZeroU32,
}

impl Lease {
    /// The shortest.
    pub const MIN: Duration = Duration::from_secs(1);
    /// The longest.
    pub const MAX: Duration = Duration::from_secs(24 * 60 * 60);

    /// A lease of whole milliseconds. None where it would be too short or too long.
    pub fn new(duration: Duration) -> Option<Lease> {
        let fits = (Lease::MIN..=Lease::MAX).contains(&duration);
        let ms = NonZeroU32::new(duration.as_millis() as u32)?;
        fits.then_some(Lease { ms })
    }

    /// A lease as it stands in JSON: a string.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn from_json(raw: &RawValue) -> Result<Lease, Malformed> {
        let text: Cow<'_, str> = serde_json::from_slice(raw.get().as_bytes()).map_err(|_| WRONG)?;
        text.parse()
    }

    /// A lease or none, as it stands in what a digest is made of.
    pub(super) fn bytes(lease: Option<Lease>) -> [u8; 4] {
        lease.map_or(0, |lease| lease.ms.get()).to_le_bytes()
    }

    /// How long that is.
    pub fn duration(self) -> Duration {
        Duration::from_millis(u64::from(self.ms.get()))
    }
}

impl FromStr for Lease {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Lease, Malformed> {
        let duration = humantime::parse_duration(text).map_err(|_| WRONG)?;
        Lease::new(duration).ok_or(WRONG)
    }
}

/// As it stands in JSON, as `1m 30s`.
impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.duration()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(text: &str) -> Option<Duration> {
        text.parse().ok().map(Lease::duration)
    }

    #[test]
    fn a_lease_is_a_second_to_a_day_and_has_a_unit() {
        for (text, seconds) in [("1s", 1), ("30s", 30), ("5m", 300), ("24h", 86_400)] {
            assert_eq!(lease(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(lease("1500ms"), Some(Duration::from_millis(1500)));
        for text in [
            "",
            "30",
            "0",
            "0s",
            "999ms",
            "999999us",
            "-1s",
            "24h 1ms",
            "1year",
            "s",
            "1 fortnight",
            "30s.",
            "99999999999999999999s",
        ] {
            assert_eq!(lease(text), None, "{text}");
        }
    }
}
