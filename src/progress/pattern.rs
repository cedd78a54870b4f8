//! A pattern of the user's own, for what isn't read otherwise.

use std::fmt;
use std::str::FromStr;

use regex_lite::{Captures, Regex, RegexBuilder};

use super::STAGE_MAX_BYTES;
use super::number;
use super::update::Update;

/// How large a pattern may be once it is compiled, in bytes: a line costs as much time as the
/// pattern has parts and the line bytes, and no more whatever is in it.
const SIZE_MAX_BYTES: usize = 64 * 1024;
/// The groups that mean something.
const GROUPS: [&str; 4] = ["percent", "done", "total", "stage"];

/// A regular expression whose groups `percent`, `done`, `total` and `stage` tell how far the
/// work is.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// A text is no pattern that tells anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PatternError {
    /// It is no regular expression, as its reader says.
    Malformed(String),
    /// It has a group of another name.
    Group(String),
    /// It has no group that tells anything.
    NoGroup,
}

impl Pattern {
    /// What a line tells, where it matches.
    pub(super) fn read(&self, line: &str) -> Option<Update> {
        let captures = self.0.captures(line)?;
        let stage = group(&captures, "stage").map(str::trim);
        let stage = stage.filter(|it| (1..=STAGE_MAX_BYTES).contains(&it.len()));
        let percent = group(&captures, "percent")
            .and_then(|text| number::value(text.trim().trim_end_matches('%').trim_end()))
            .or_else(|| {
                let amount = |name| {
                    let text = group(&captures, name)?.trim();
                    let number = number::starting_at(text, 0)?;
                    (number.end == text.len()).then_some(number.value)
                };
                let (done, total) = (amount("done")?, amount("total")?);
                // Rounded down, so that 100 is not told before the end.
                (total > 0.0).then(|| (done / total * 1000.0).floor() / 10.0)
            });
        let percent = percent.filter(|it| (0.0..=100.0).contains(it));
        (stage.is_some() || percent.is_some()).then(|| Update {
            stage: stage.map(str::to_owned),
            percent,
            ..Update::default()
        })
    }
}

fn group<'a>(captures: &Captures<'a>, name: &str) -> Option<&'a str> {
    captures.name(name).map(|it| it.as_str())
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Pattern, PatternError> {
        let regex = RegexBuilder::new(text).size_limit(SIZE_MAX_BYTES).build();
        let regex = regex.map_err(|error| PatternError::Malformed(error.to_string()))?;
        let names: Vec<&str> = regex.capture_names().flatten().collect();
        if let Some(other) = names.iter().find(|name| !GROUPS.contains(name)) {
            return Err(PatternError::Group((*other).to_owned()));
        }
        let has = |name| names.contains(&name);
        if has("percent") || has("stage") || has("done") && has("total") {
            Ok(Pattern(regex))
        } else {
            Err(PatternError::NoGroup)
        }
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const RIGHT: &str = "use (?<percent>...), (?<done>...) with (?<total>...), or \
                             (?<stage>...)";
        match self {
            PatternError::Malformed(why) => write!(f, "not a pattern: {why}"),
            PatternError::Group(name) => write!(f, "a group {name} tells nothing: {RIGHT}"),
            PatternError::NoGroup => write!(f, "no group tells anything: {RIGHT}"),
        }
    }
}

impl std::error::Error for PatternError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pattern: &str, line: &str) -> Option<(Option<String>, Option<f64>)> {
        let update = pattern.parse::<Pattern>().unwrap().read(line)?;
        Some((update.stage, update.percent))
    }

    #[test]
    fn the_groups_of_a_pattern_are_what_it_tells() {
        let percent = |percent| Some((None, Some(percent)));
        assert_eq!(told(r"at (?<percent>\S+) pc", "at 12.5 pc"), percent(12.5));
        assert_eq!(told(r"at (?P<percent>\S+) pc", "at 12,5 pc"), percent(12.5));
        assert_eq!(told("at(?<percent>.*)", "at 12.5 %"), percent(12.5));
        let counted = r"(?<done>\d+) von (?<total>\d+)";
        assert_eq!(told(counted, "Bild 3 von 8"), percent(37.5));
        let sized = r"(?<done>[\d.]+ \w+) - (?<total>[\d.]+ \w+)";
        assert_eq!(told(sized, "512 KiB - 2 MiB"), percent(25.0));
        let staged = r"^== (?<stage>.*) ==( (?<percent>\d+))?";
        let stage = |percent| Some((Some("copying".to_owned()), percent));
        assert_eq!(told(staged, "== copying =="), stage(None));
        assert_eq!(told(staged, "== copying == 7"), stage(Some(7.0)));
    }

    #[test]
    fn what_does_not_match_or_is_no_number_tells_nothing() {
        assert_eq!(told(r"at (?<percent>\S+)", "12%"), None);
        assert_eq!(told(r"at (?<percent>\S+)", "at %"), None);
        for line in [
            "at x",
            "at 101",
            "at -1",
            "at 1e1",
            "at 99999999999999999999999999999999999",
        ] {
            assert_eq!(told(r"at (?<percent>\S+)", line), None, "{line}");
        }
        for line in ["1 of 0", "9 of 3", "x of y", "1 of"] {
            let counted = r"(?<done>\S+) of (?<total>\S*)";
            assert_eq!(told(counted, line), None, "{line}");
        }
        let long = format!("[{}]", "x".repeat(STAGE_MAX_BYTES + 1));
        assert_eq!(told(r"\[(?<stage>.*)\]", &long), None);
    }

    #[test]
    fn a_wrong_pattern_says_what_would_be_right() {
        for (pattern, part) in [
            ("(", "not a pattern"),
            (r"(?<percent>\d)\1", "not a pattern: backreferences"),
            ("(?<percent>5)(?=%)", "not a pattern: look-around"),
            ("(?<percent>a{10000}{10000})", "not a pattern"),
            (r"(\d+)%", "(?<percent>...)"),
            (r"(?<done>\d+)", "(?<total>...)"),
            (r"(?<percnt>\d+)", "percnt"),
        ] {
            let why = pattern.parse::<Pattern>().unwrap_err().to_string();
            assert!(why.contains(part), "{pattern}: {why}");
        }
    }

    #[test]
    fn a_pattern_that_would_have_others_go_back_and_forth_costs_no_more_than_its_size() {
        let pattern: Pattern = "(?<percent>(a+)+b)".parse().unwrap();
        assert!(pattern.read(&"a".repeat(8000)).is_none());
    }
}
