//! How often a stream gets progress: `?maxRate=2`.

use std::str::FromStr;
use std::time::Duration;

use super::Malformed;

/// Paces differ by so much, so that there are few of them.
const STEP: Duration = Duration::from_millis(10);
const WRONG: Malformed =
    Malformed::new("a rate is a number of events a second from 0.1 to 100, as 2 or 0.5");

/// How many progress events of a job a stream gets in a second, at most: always the newest. Of
/// those between it gets none, and of all other events each.
///
/// ```
/// use landfall::internals::event::Pace;
/// let pace: Pace = "2".parse().unwrap();
/// assert_eq!(pace.interval(), std::time::Duration::from_millis(500));
/// assert!("0".parse::<Pace>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pace(Duration);

impl Pace {
    /// The lowest, in events a second: one in ten seconds.
    pub const MIN: f64 = 0.1;
    /// The highest, in events a second.
    pub const MAX: f64 = 100.0;

    /// The pace of so many events a second.
    ///
    /// # Errors
    /// It is below [`Pace::MIN`] or above [`Pace::MAX`], or no number.
    pub fn of(per_second: f64) -> Result<Pace, Malformed> {
        if !(Pace::MIN..=Pace::MAX).contains(&per_second) {
            return Err(WRONG);
        }
        // Rounded up, so that it is never more. A third of a second isn't quite that in binary.
        let steps = (1.0 / per_second / STEP.as_secs_f64() - 1e-6).ceil();
        Ok(Pace(STEP * steps as u32))
    }

    /// The time between two of a job's progress events: a multiple of 10 ms.
    pub fn interval(self) -> Duration {
        self.0
    }
}

impl FromStr for Pace {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Pace, Malformed> {
        let is_plain = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number = text.parse().ok().filter(|_| is_plain);
        Pace::of(number.ok_or(WRONG)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_a_whole_or_decimal_number_within_its_bounds() {
        for (text, milliseconds) in [
            ("2", 500),
            ("2.0", 500),
            ("0.5", 2000),
            (".5", 2000),
            ("3", 340),
            ("100", 10),
            ("60", 20),
            ("0.1", 10_000),
            ("0.7", 1430),
        ] {
            let pace: Pace = text.parse().unwrap();
            assert_eq!(pace.interval().as_millis(), milliseconds, "{text}");
        }
        let long = "9".repeat(400);
        for bad in [
            "", ".", "0", "0.0", "0.09", "100.1", "-1", "+1", "1e1", "NaN", "inf", "two", "1,5",
            " 1", "1 ", "1.2.3", "٢", &long,
        ] {
            assert_eq!(bad.parse::<Pace>(), Err(WRONG), "{bad}");
        }
        assert_eq!(Pace::of(f64::NAN), Err(WRONG));
        assert_eq!(Pace::of(f64::INFINITY), Err(WRONG));
    }
}
