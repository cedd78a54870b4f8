//! How long a job may be without a word from its worker.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Event;
use crate::sys::units;

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
    ms: u32,
}

/// A text is no lease, or one that is too short or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseError;

impl Lease {
    /// The shortest.
    pub const MIN: Duration = Duration::from_secs(1);
    /// The longest.
    pub const MAX: Duration = Duration::from_secs(24 * 60 * 60);

    /// A lease of whole milliseconds. None where it would be too short or too long.
    pub fn new(duration: Duration) -> Option<Lease> {
        let fits = (Lease::MIN..=Lease::MAX).contains(&duration);
        fits.then_some(Lease {
            ms: duration.as_millis() as u32,
        })
    }

    /// How long that is.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.ms.into())
    }

    /// The end of a job whose worker has said nothing for so long.
    pub(crate) fn stalled(self) -> Event {
        let (seconds, rest) = (self.ms / 1000, self.ms % 1000);
        let rest = match rest {
            0 => String::new(),
            ms => format!(".{ms:03}").trim_end_matches('0').to_owned(),
        };
        Event::failure(&format!(
            r#"{{"message":"no word from the worker for {seconds}{rest} s","reason":"stalled","retryable":true}}"#
        ))
    }
}

impl FromStr for Lease {
    type Err = LeaseError;

    fn from_str(text: &str) -> Result<Lease, LeaseError> {
        let duration = units::duration(text).map_err(|_| LeaseError)?;
        Lease::new(duration).ok_or(LeaseError)
    }
}

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            r#"a lease is how long the job may be without a word, from "1s" to "24h": a string, with a unit, as "30s" or "5m""#,
        )
    }
}

impl std::error::Error for LeaseError {}

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

    #[test]
    fn a_job_without_a_word_ends_with_how_long_that_was() {
        for (text, told) in [("30s", "30 s"), ("2m", "120 s"), ("1250ms", "1.25 s")] {
            let event = text.parse::<Lease>().unwrap().stalled();
            assert_eq!(event.name().as_str(), "error");
            let expected = format!(
                r#"{{"message":"no word from the worker for {told}","reason":"stalled","retryable":true}}"#
            );
            assert_eq!(event.data(), expected);
        }
    }
}
