//! Which jobs a token covers.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::Malformed;
use crate::event::job::JobId;

/// A list of job names, and of beginnings of them that end in `*`. `*` alone covers
/// every job there is and will be; an empty list none.
///
/// ```
/// use landfall::Scope;
/// let scope = Scope::parse(["job_8f3a", "batch-7.*"]).unwrap();
/// assert!(scope.covers(&"batch-7.part-1".parse().unwrap()));
/// assert!(!scope.covers(&"job_8f3".parse().unwrap()));
/// assert!(!scope.covers_all());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Vec<ScopePattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum ScopePattern {
    Name(JobId),
    /// What stands before the `*`; empty for every job.
    Prefix(String),
}

impl Scope {
    /// Takes a list as it stands in a claim.
    ///
    /// # Errors
    /// One of them is no job name, with or without the `*` at its end.
    pub fn parse<'a>(list: impl IntoIterator<Item = &'a str>) -> Result<Scope, Malformed> {
        list.into_iter()
            .map(ScopePattern::parse)
            .collect::<Result<_, _>>()
            .map(Scope)
    }

    /// Whether it covers a job.
    pub fn covers(&self, job: &JobId) -> bool {
        self.0.iter().any(|pattern| match pattern {
            ScopePattern::Name(name) => name == job,
            ScopePattern::Prefix(prefix) => job.as_str().starts_with(prefix.as_str()),
        })
    }

    /// Whether it covers every job there will ever be.
    pub fn covers_all(&self) -> bool {
        self.0
            .iter()
            .any(|pattern| matches!(pattern, ScopePattern::Prefix(prefix) if prefix.is_empty()))
    }

    /// Whether it covers every job there will ever be whose name begins with `prefix`.
    pub fn covers_matching(&self, prefix: &str) -> bool {
        let mut patterns = self.0.iter();
        patterns
            .any(|pattern| matches!(pattern, ScopePattern::Prefix(own) if prefix.starts_with(own)))
    }

    /// Whether it covers none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl ScopePattern {
    fn parse(text: &str) -> Result<ScopePattern, Malformed> {
        match text.strip_suffix('*') {
            None => text.parse().map(ScopePattern::Name),
            Some("") => Ok(ScopePattern::Prefix(String::new())),
            // A beginning is made of what names are made of: no star in the middle.
            Some(prefix) => prefix
                .parse::<JobId>()
                .map(|prefix| ScopePattern::Prefix(prefix.as_str().to_owned())),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|pattern| match pattern {
            ScopePattern::Name(name) => name.as_str().to_owned(),
            ScopePattern::Prefix(prefix) => format!("{prefix}*"),
        }))
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scope, D::Error> {
        let list = Vec::<String>::deserialize(deserializer)?;
        Scope::parse(list.iter().map(String::as_str)).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(list: &[&str], job: &str) -> bool {
        Scope::parse(list.iter().copied())
            .unwrap()
            .covers(&job.parse().unwrap())
    }

    #[test]
    fn a_name_covers_itself_and_a_star_what_begins_so() {
        assert!(covers(&["a"], "a"));
        assert!(!covers(&["a"], "ab"));
        assert!(!covers(&["ab"], "a"));
        assert!(!covers(&["a"], "A"));
        assert!(covers(&["a*"], "a"));
        assert!(covers(&["a*"], "ab"));
        assert!(!covers(&["a*"], "ba"));
        assert!(covers(&["x", "*"], "anything"));
        assert!(!covers(&[], "a"));
    }

    #[test]
    fn only_the_star_alone_covers_all() {
        let all = |list: &[&str]| Scope::parse(list.iter().copied()).unwrap().covers_all();
        assert!(all(&["*"]));
        assert!(all(&["a", "*"]));
        assert!(!all(&["a*"]));
        assert!(!all(&[]));
    }

    #[test]
    fn what_no_job_could_be_called_is_refused() {
        for bad in ["", "a b", "**", "a*b", "*a", "a/*", "é*", "a\0"] {
            assert!(Scope::parse([bad]).is_err(), "{bad:?}");
        }
    }
}
